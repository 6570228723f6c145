//! The places of a Transformer's parameters in one flat vector.

use crate::{Head, NormKind, NormPlacement, TransformerConfig};
use kexue_optim::{Branch, Place, Role, Slots};
use rand::Rng;
use std::ops::Range;

/// The parameters of a linear layer or a norm: weight (γ) and bias (β). An RMS norm has no bias.
#[derive(Clone, Debug, Default)]
pub struct Pair {
    /// The range of the weight in the flat vector.
    pub weight: Range<usize>,
    /// The range of the bias; empty for an RMS norm.
    pub bias: Range<usize>,
}

/// The parameters around a branch.
#[derive(Clone, Debug, Default)]
pub struct BranchRanges {
    /// The norm before the branch or after the sum, depending on the placement.
    pub norm: Option<Pair>,
    /// The norm after the branch, in a sandwich placement.
    pub output_norm: Option<Pair>,
    /// The learned factor of the branch.
    pub gate: Option<Range<usize>>,
}

/// The parameters of a block.
#[derive(Clone, Debug, Default)]
pub struct BlockRanges {
    /// Query, key and value as one matrix `[3·d_model, d_model]`.
    pub query_key_value: Pair,
    /// The output layer of the attention.
    pub attention_output: Pair,
    /// Around the attention.
    pub attention: BranchRanges,
    /// The first feed-forward layer.
    pub up: Pair,
    /// The second feed-forward layer.
    pub down: Pair,
    /// Around the feed-forward layers.
    pub ffn: BranchRanges,
}

/// The parameters of BERT's head before the softmax.
#[derive(Clone, Debug, Default)]
pub struct DenseNormRanges {
    /// The dense layer.
    pub dense: Pair,
    /// The norm after its activation.
    pub norm: Pair,
}

/// The place of each parameter in the flat vector.
#[derive(Clone, Debug)]
pub struct Layout {
    slots: Slots,
    /// The embedding of tokens, `[vocab_size, d_model]`.
    pub embedding: Range<usize>,
    /// The embedding of learned positions.
    pub position_embedding: Option<Range<usize>>,
    /// The embedding of segments.
    pub type_embedding: Option<Range<usize>>,
    /// The norm of the embeddings if norms follow the branches, or of the last block's output if norms precede the branches.
    pub outer_norm: Option<Pair>,
    /// The parameters of each block.
    pub blocks: Vec<BlockRanges>,
    /// The layers before the softmax.
    pub head_dense: Option<DenseNormRanges>,
    /// The bias of the softmax.
    pub head_bias: Option<Range<usize>>,
}

impl Layout {
    /// The layout of a valid configuration.
    pub fn new(config: &TransformerConfig) -> Self {
        Self::build(config, true)
    }

    /// The layout without the linear layers of the blocks, whose ranges are empty.
    pub(crate) fn without_linear(config: &TransformerConfig) -> Self {
        Self::build(config, false)
    }

    fn build(config: &TransformerConfig, linear: bool) -> Self {
        let mut slots = Builder {
            slots: Slots::default(),
            place: Place::Input,
            biased_norms: config.norm == NormKind::LayerNorm,
        };
        let (d, ffn, placement) = (config.d_model, config.d_ffn, config.norm_placement);
        let mut embed = |name: &str, rows: usize| {
            (rows > 0).then(|| slots.add(&format!("embeddings.{name}.weight"), Role::Embedding, &[rows, d]))
        };
        let embedding = embed("word_embeddings", config.vocab_size).unwrap_or_default();
        let position_embedding = embed("position_embeddings", config.max_positions);
        let type_embedding = embed("token_type_embeddings", config.token_types);
        let outer_norm = if placement.after() {
            Some(slots.add_norm("embeddings.LayerNorm", d))
        } else if placement.before() {
            slots.place = Place::Output;
            Some(slots.add_norm("encoder.final_layer_norm", d))
        } else {
            None
        };
        let blocks = (0..config.layers)
            .map(|layer| {
                let name = |part: &str| format!("encoder.layer.{layer}.{part}");
                let place = |branch| Place::Block { block: layer, branch };
                slots.place = place(Branch::Attention);
                let query_key_value = match linear {
                    true => slots.add_query_key_value(&name("attention.self"), d),
                    false => Pair::default(),
                };
                let add_linear = |slots: &mut Builder, part: &str, role, outputs, inputs| match linear {
                    true => slots.add_linear(&name(part), role, outputs, inputs),
                    false => Pair::default(),
                };
                let attention_output = add_linear(&mut slots, "attention.output.dense", Role::AttentionOutput, d, d);
                let attention = slots.add_branch(&name("attention.output"), config);
                slots.place = place(Branch::FeedForward);
                let up = add_linear(&mut slots, "intermediate.dense", Role::Up, ffn, d);
                let down = add_linear(&mut slots, "output.dense", Role::Down, d, ffn);
                BlockRanges {
                    query_key_value,
                    attention_output,
                    attention,
                    up,
                    down,
                    ffn: slots.add_branch(&name("output"), config),
                }
            })
            .collect();
        slots.place = Place::Head;
        let head_dense = (config.head == Head::DenseNorm).then(|| DenseNormRanges {
            dense: slots.add_linear("cls.predictions.transform.dense", Role::Dense, d, d),
            norm: slots.add_norm("cls.predictions.transform.LayerNorm", d),
        });
        let head_bias =
            (config.head != Head::None).then(|| slots.add("cls.predictions.bias", Role::Bias, &[config.vocab_size]));
        Self {
            slots: slots.slots,
            embedding,
            position_embedding,
            type_embedding,
            outer_norm,
            blocks,
            head_dense,
            head_bias,
        }
    }

    /// All parameters, in the order of the flat vector.
    pub fn slots(&self) -> &Slots {
        &self.slots
    }

    /// Adds a parameter of a head at the end.
    pub(crate) fn extend(&mut self, name: &str, role: Role, shape: &[usize]) -> Range<usize> {
        self.slots.add(name, role, Place::Head, shape)
    }

    /// Number of parameters.
    #[allow(clippy::len_without_is_empty)] // a valid configuration has parameters
    pub fn len(&self) -> usize {
        self.slots.size()
    }

    /// Draws initial parameters with the configuration's [`Initializer`](crate::Initializer).
    pub fn initialise(&self, config: &TransformerConfig, generator: &mut impl Rng) -> Vec<f32> {
        let mut values = vec![0.0; self.len()];
        for slot in &self.slots {
            config
                .initializer
                .fill(config, slot, &mut values[slot.range.clone()], generator);
        }
        values
    }
}

/// Adds parameters to the current part of the model.
struct Builder {
    slots: Slots,
    place: Place,
    biased_norms: bool,
}

impl Builder {
    fn add(&mut self, name: &str, role: Role, shape: &[usize]) -> Range<usize> {
        self.slots.add(name, role, self.place, shape)
    }

    fn add_linear(&mut self, name: &str, role: Role, outputs: usize, inputs: usize) -> Pair {
        Pair {
            weight: self.add(&format!("{name}.weight"), role, &[outputs, inputs]),
            bias: self.add(&format!("{name}.bias"), Role::Bias, &[outputs]),
        }
    }

    /// The three matrices, then the three biases, so that one product computes all three.
    fn add_query_key_value(&mut self, name: &str, d: usize) -> Pair {
        let parts = [("query", Role::Query), ("key", Role::Key), ("value", Role::Value)];
        let weights = parts.map(|(part, role)| self.add(&format!("{name}.{part}.weight"), role, &[d, d]));
        let biases = parts.map(|(part, _)| self.add(&format!("{name}.{part}.bias"), Role::Bias, &[d]));
        Pair {
            weight: weights[0].start..weights[2].end,
            bias: biases[0].start..biases[2].end,
        }
    }

    fn add_norm(&mut self, name: &str, width: usize) -> Pair {
        let weight = self.add(&format!("{name}.weight"), Role::Gamma, &[width]);
        let bias = if self.biased_norms {
            self.add(&format!("{name}.bias"), Role::Bias, &[width])
        } else {
            weight.end..weight.end
        };
        Pair { weight, bias }
    }

    /// The norms and the gate around a branch whose last layer is `{name}.dense`.
    fn add_branch(&mut self, name: &str, config: &TransformerConfig) -> BranchRanges {
        let (placement, d) = (config.norm_placement, config.d_model);
        BranchRanges {
            norm: (placement != NormPlacement::None).then(|| self.add_norm(&format!("{name}.LayerNorm"), d)),
            output_norm: (placement == NormPlacement::Sandwich)
                .then(|| self.add_norm(&format!("{name}.branch_layer_norm"), d)),
            gate: config.gate.map(|_| self.add(&format!("{name}.gate"), Role::Gate, &[1])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_tile_the_vector() {
        for norm_placement in [
            NormPlacement::Pre,
            NormPlacement::Post,
            NormPlacement::Sandwich,
            NormPlacement::None,
        ] {
            let config = TransformerConfig {
                norm_placement,
                gate: Some(0.0),
                head: Head::DenseNorm,
                token_types: 2,
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
}
