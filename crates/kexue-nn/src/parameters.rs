//! All parameters of a Transformer in one flat vector, and where each stands in it.

use crate::{NormPlacement, TransformerConfig};
use rand::Rng;
use std::ops::Range;

/// One named parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Its name, as Hugging Face's BERT calls it.
    pub name: String,
    /// Its shape; matrices are `[out, in]`.
    pub shape: Vec<usize>,
    /// Where it stands in the flat vector.
    pub range: Range<usize>,
}

impl Slot {
    /// Whether weight decay applies: to matrices, not to biases and norms.
    pub fn decays(&self) -> bool {
        self.shape.len() > 1
    }
}

/// The parameters of a linear layer or a norm: weight (γ) and bias (β).
#[derive(Clone, Debug, Default)]
pub(crate) struct Pair {
    pub weight: Range<usize>,
    pub bias: Range<usize>,
}

/// The parameters of a block.
#[derive(Clone, Debug, Default)]
pub(crate) struct BlockRanges {
    /// Query, key and value one under the other: `[3·d_model, d_model]`.
    pub query_key_value: Pair,
    pub attention_output: Pair,
    pub attention_norm: Pair,
    pub up: Pair,
    pub down: Pair,
    pub ffn_norm: Pair,
}

/// Where each parameter stands in the flat vector.
#[derive(Clone, Debug)]
pub struct Layout {
    slots: Vec<Slot>,
    length: usize,
    pub(crate) embedding: Range<usize>,
    /// Of the embeddings in a post-norm model, of the last block's output in a pre-norm one.
    pub(crate) outer_norm: Pair,
    pub(crate) blocks: Vec<BlockRanges>,
}

impl Layout {
    /// The layout of a valid configuration.
    pub fn new(config: &TransformerConfig) -> Self {
        let mut slots = Slots::default();
        let (d, ffn) = (config.d_model, config.d_ffn);
        let embedding = slots.add("embeddings.word_embeddings.weight", &[config.vocab_size, d]);
        let outer = match config.norm_placement {
            NormPlacement::Post => "embeddings.LayerNorm",
            NormPlacement::Pre => "encoder.final_layer_norm",
        };
        let outer_norm = slots.add_norm(outer, d);
        let blocks = (0..config.layers)
            .map(|layer| {
                let name = |part: &str| format!("encoder.layer.{layer}.{part}");
                let names = ["query", "key", "value"].map(|part| name(&format!("attention.self.{part}")));
                // The three matrices, then the three biases, so that one multiplication serves all three.
                let weights = names
                    .each_ref()
                    .map(|name| slots.add(&format!("{name}.weight"), &[d, d]));
                let biases = names.each_ref().map(|name| slots.add(&format!("{name}.bias"), &[d]));
                BlockRanges {
                    query_key_value: Pair {
                        weight: weights[0].start..weights[2].end,
                        bias: biases[0].start..biases[2].end,
                    },
                    attention_output: slots.add_linear(&name("attention.output.dense"), d, d),
                    attention_norm: slots.add_norm(&name("attention.output.LayerNorm"), d),
                    up: slots.add_linear(&name("intermediate.dense"), ffn, d),
                    down: slots.add_linear(&name("output.dense"), d, ffn),
                    ffn_norm: slots.add_norm(&name("output.LayerNorm"), d),
                }
            })
            .collect();
        Self {
            length: slots.length,
            slots: slots.slots,
            embedding,
            outer_norm,
            blocks,
        }
    }

    /// Every parameter, in the order of the flat vector.
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// Number of parameters.
    #[allow(clippy::len_without_is_empty)] // a valid configuration has parameters
    pub fn len(&self) -> usize {
        self.length
    }

    /// Fresh parameters: matrices from a truncated normal of *effective* deviation `initial_std`, biases 0, norms 1.
    pub fn initialise(&self, initial_std: f32, generator: &mut impl Rng) -> Vec<f32> {
        let mut values = vec![0.0; self.length];
        for slot in &self.slots {
            let slice = &mut values[slot.range.clone()];
            if slot.decays() {
                slice.fill_with(|| truncated_normal(generator) * initial_std);
            } else if slot.name.ends_with("norm.weight") || slot.name.ends_with("LayerNorm.weight") {
                slice.fill(1.0);
            }
        }
        values
    }
}

/// The deviation of a standard normal truncated at ±2 (article 8747).
const TRUNCATED_STD: f64 = 0.879_625_7;

/// One draw from a normal truncated at two nominal deviations, of effective deviation 1.
fn truncated_normal(generator: &mut impl Rng) -> f32 {
    loop {
        // Box and Muller's transformation.
        let radius = (-2.0 * (1.0 - generator.random::<f64>()).ln()).sqrt();
        let draw = radius * (std::f64::consts::TAU * generator.random::<f64>()).cos();
        if draw.abs() <= 2.0 {
            return (draw / TRUNCATED_STD) as f32;
        }
    }
}

#[derive(Default)]
struct Slots {
    slots: Vec<Slot>,
    length: usize,
}

impl Slots {
    fn add(&mut self, name: &str, shape: &[usize]) -> Range<usize> {
        let start = self.length;
        self.length += shape.iter().product::<usize>();
        let range = start..self.length;
        self.slots.push(Slot {
            name: name.to_owned(),
            shape: shape.to_vec(),
            range: range.clone(),
        });
        range
    }

    fn add_linear(&mut self, name: &str, outputs: usize, inputs: usize) -> Pair {
        Pair {
            weight: self.add(&format!("{name}.weight"), &[outputs, inputs]),
            bias: self.add(&format!("{name}.bias"), &[outputs]),
        }
    }

    fn add_norm(&mut self, name: &str, width: usize) -> Pair {
        Pair {
            weight: self.add(&format!("{name}.weight"), &[width]),
            bias: self.add(&format!("{name}.bias"), &[width]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn slots_tile_the_vector() {
        for norm_placement in [NormPlacement::Pre, NormPlacement::Post] {
            let config = TransformerConfig {
                norm_placement,
                ..TransformerConfig::new(300)
            };
            let layout = Layout::new(&config);
            let mut end = 0;
            for slot in layout.slots() {
                assert_eq!(slot.range.start, end);
                assert_eq!(slot.range.len(), slot.shape.iter().product::<usize>());
                end = slot.range.end;
            }
            assert_eq!(end, layout.len());
        }
    }

    #[test]
    fn initial_weights_have_the_effective_deviation() {
        let config = TransformerConfig {
            d_model: 128,
            d_ffn: 512,
            ..TransformerConfig::new(1000)
        };
        let layout = Layout::new(&config);
        let values = layout.initialise(0.02, &mut rand_chacha::ChaCha8Rng::seed_from_u64(0));
        let weights = &values[layout.embedding.clone()];
        let count = weights.len() as f64;
        let variance = weights.iter().map(|&w| f64::from(w).powi(2)).sum::<f64>() / count;
        let mean = weights.iter().map(|&w| f64::from(w)).sum::<f64>() / count;
        // Four standard errors of the mean and, roughly, of the deviation.
        assert!(mean.abs() < 4.0 * 0.02 / count.sqrt());
        assert!((variance.sqrt() / 0.02 - 1.0).abs() < 4.0 / (2.0 * count).sqrt());
        let bound = 2.0 * 0.02 / TRUNCATED_STD as f32 * 1.000_01;
        assert!(weights.iter().all(|w| w.abs() <= bound));
        assert!(
            values[layout.outer_norm.weight.clone()]
                .iter()
                .all(|&gamma| gamma == 1.0)
        );
        assert!(values[layout.blocks[0].up.bias.clone()].iter().all(|&bias| bias == 0.0));
    }
}
