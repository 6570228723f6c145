//! Decoding, with the keys and values of a *tree* of tokens under each prompt, so that beams share their common part.
//!
//! A cached token is a node that knows its parent. To move a beam is to keep another node: keys and values are never copied. One call computes many
//! continuations of many prompts, of different lengths, without padding.

use crate::Model;
use crate::inference_device::{DeviceError, NewNodes, NodeCache};
use crate::processor_cache::ProcessorCache;
use kexue_text::Token;
use std::sync::Arc;

/// A token in the cache of a [`Decoder`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Node(pub(crate) u32);

impl Node {
    /// Its number in the cache, from 0.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

#[derive(Clone, Copy, Debug)]
struct Cached {
    /// The previous token, or the token itself for the tokens of a prompt.
    parent: u32,
    /// The first row of its prompt, and the row after its last.
    prompt: (u32, u32),
    /// Position in its sequence, from 0.
    position: u32,
}

/// Decodes continuations of prompts with a UniLM mask: a prompt sees all of itself, and a continuation sees the prompt and its own past. It uses the
/// packed weights of the model, as an [`Encoder`](crate::Encoder) does, or the model's [device](Model::set_device).
#[derive(Debug)]
pub struct Decoder<'m> {
    model: &'m Model,
    nodes: Vec<Cached>,
    cache: Box<dyn NodeCache + 'm>,
    new: NewNodes,
}

impl<'m> Decoder<'m> {
    /// Creates a decoder with an empty cache.
    pub fn new(model: &'m Model) -> Self {
        Self {
            model,
            nodes: Vec::new(),
            cache: match model.device() {
                Some(device) => Arc::clone(device).cache(),
                None => Box::new(ProcessorCache::new(model)),
            },
            new: NewNodes::default(),
        }
    }

    /// The model that the decoder runs.
    pub fn model(&self) -> &'m Model {
        self.model
    }

    /// Removes all nodes and keeps the allocated memory.
    pub fn clear(&mut self) {
        self.nodes.clear();
        self.cache.clear();
    }

    /// The last hidden state of a node, `[d_model]`.
    ///
    /// # Errors
    /// If the model is on a device, and the device fails.
    pub fn hidden(&mut self, node: Node) -> Result<Vec<f32>, DeviceError> {
        self.cache.hidden(node)
    }

    /// The logit of each token as the next after its node.
    ///
    /// # Errors
    /// If the model is on a device, and the device fails.
    pub fn logits(&mut self, pairs: &[(Node, Token)]) -> Result<Vec<f32>, DeviceError> {
        self.cache.logits(pairs)
    }

    /// The logits of the whole vocabulary after each node, `[nodes, vocab_size]`, as one matrix product.
    ///
    /// # Errors
    /// If the model is on a device, and the device fails.
    pub fn vocabulary_logits(&mut self, nodes: &[Node]) -> Result<Vec<f32>, DeviceError> {
        self.cache.vocabulary_logits(nodes)
    }

    /// Computes prompts in one batch and returns the node of each prompt's last token.
    ///
    /// # Errors
    /// If the model is on a device, and the device fails.
    ///
    /// # Panics
    /// If a prompt is empty or a token is not in the vocabulary.
    pub fn prompts<'a>(&mut self, prompts: impl IntoIterator<Item = &'a [Token]>) -> Result<Vec<Node>, DeviceError> {
        let mut ends = Vec::new();
        self.new.start(self.nodes.len());
        for prompt in prompts {
            assert!(!prompt.is_empty(), "an empty prompt");
            let start = self.nodes.len() as u32;
            let rows = (start, start + prompt.len() as u32);
            for (position, &token) in prompt.iter().enumerate() {
                let position = position as u32;
                self.nodes.push(Cached {
                    parent: start + position,
                    prompt: rows,
                    position,
                });
                self.new.push(token, position, rows.0..rows.1);
            }
            ends.push(Node(rows.1 - 1));
        }
        self.compute()?;
        Ok(ends)
    }

    /// Computes each token after its parent node, in one batch. A step may follow an earlier step of the same list.
    ///
    /// # Errors
    /// If the model is on a device, and the device fails.
    pub fn extend(&mut self, steps: &Steps) -> Result<(), DeviceError> {
        assert_eq!(
            steps.first as usize,
            self.nodes.len(),
            "these steps belong to another state of the cache"
        );
        self.new.start(self.nodes.len());
        for &(parent, token) in &steps.steps {
            let before = self.nodes[parent.index()];
            let (start, end) = before.prompt;
            let mut at = self.nodes.len() as u32;
            self.nodes.push(Cached {
                parent: parent.0,
                position: before.position + 1,
                ..before
            });
            while at >= end {
                self.new.paths.push(at);
                at = self.nodes[at as usize].parent;
            }
            self.new.push(token, before.position + 1, start..end);
        }
        self.compute()
    }

    /// An empty list of steps for the current state of the cache.
    pub fn steps(&self) -> Steps {
        Steps {
            first: self.nodes.len() as u32,
            steps: Vec::new(),
        }
    }

    fn compute(&mut self) -> Result<(), DeviceError> {
        match self.new.tokens.is_empty() {
            true => Ok(()),
            false => self.cache.compute(&self.new),
        }
    }
}

/// Tokens to add after nodes in one call of [`Decoder::extend`].
#[derive(Clone, Debug)]
pub struct Steps {
    first: u32,
    steps: Vec<(Node, Token)>,
}

impl Steps {
    /// Adds `token` after `parent`, which may be an earlier step of this list. Returns its node.
    pub fn push(&mut self, parent: Node, token: Token) -> Node {
        let node = Node(self.first + self.steps.len() as u32);
        assert!(parent.0 < node.0, "the parent of a step does not exist yet");
        self.steps.push((parent, token));
        node
    }

    /// Number of steps.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Whether there are no steps.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        AttentionScale, Initializer, LogitScale, Mask, NormKind, NormPlacement, PackedBatch, Positions, StdConvention,
        Tape, TransformerConfig,
    };
    use rand::SeedableRng;

    fn models() -> impl Iterator<Item = Model> {
        let base = TransformerConfig {
            d_model: 24,
            layers: 3,
            heads: 3,
            d_ffn: 40,
            initializer: Initializer::truncated_normal(0.2, StdConvention::Effective),
            ..TransformerConfig::new(30)
        };
        let configs = [
            base.clone(),
            TransformerConfig {
                norm_placement: NormPlacement::Post,
                attention_scale: AttentionScale::EntropyInvariant { base: 512.0 },
                ..base.clone()
            },
            TransformerConfig {
                norm_placement: NormPlacement::Sandwich,
                norm: NormKind::RmsNorm,
                attention_scale: AttentionScale::EntropyInvariant { base: 512.0 },
                ..base.clone()
            },
            TransformerConfig {
                norm_placement: NormPlacement::DeepNormAdam,
                positions: Positions::Learned,
                max_positions: 10,
                token_types: 2,
                gate: Some(0.5),
                logit_scale: LogitScale::InverseRootWidth,
                ..base.clone()
            },
            TransformerConfig {
                heads: base.d_model,
                positions: Positions::Learned,
                max_positions: 10,
                ..base
            },
        ];
        configs
            .into_iter()
            .map(|config| Model::new(config, &mut rand_chacha::ChaCha8Rng::seed_from_u64(1)).unwrap())
    }

    /// Rows of the hidden states of prompt + continuation, computed without a cache.
    fn uncached(model: &Model, prompt: &[Token], continuation: &[Token]) -> Vec<f32> {
        let (mut batch, mut tape) = (PackedBatch::default(), Tape::default());
        batch.push(&[prompt, continuation].concat(), Mask::unilm(prompt.len()));
        model.forward(&batch, &mut tape, None);
        tape.hidden().to_vec()
    }

    fn close(a: &[f32], b: &[f32]) {
        assert_eq!(a.len(), b.len());
        for (a, b) in a.iter().zip(b) {
            assert!((a - b).abs() < 2e-5, "{a} against {b}");
        }
    }

    #[test]
    fn cached_equals_uncached_for_trees_under_several_prompts() {
        for model in models() {
            let prompts: [&[Token]; 2] = [&[1, 7, 8, 2], &[1, 9, 2]];
            let mut decoder = Decoder::new(&model);
            let ends = decoder.prompts(prompts).unwrap();
            close(
                &decoder.hidden(ends[0]).unwrap(),
                uncached(&model, prompts[0], &[]).chunks(24).last().unwrap(),
            );

            // Under the first prompt the branches 11 12 and 11 13, under the second 14; 12 and 14 come in the same call as their parents.
            let mut steps = decoder.steps();
            let a = steps.push(ends[0], 11);
            let b = steps.push(a, 12);
            let c = steps.push(ends[1], 14);
            decoder.extend(&steps).unwrap();
            let mut steps = decoder.steps();
            let e = steps.push(a, 13);
            let f = steps.push(c, 15);
            decoder.extend(&steps).unwrap();

            let last = |prompt, continuation: &[Token]| {
                uncached(&model, prompt, continuation)
                    .chunks(24)
                    .last()
                    .unwrap()
                    .to_vec()
            };
            close(&decoder.hidden(b).unwrap(), &last(prompts[0], &[11, 12]));
            close(&decoder.hidden(e).unwrap(), &last(prompts[0], &[11, 13]));
            close(&decoder.hidden(f).unwrap(), &last(prompts[1], &[14, 15]));
            let logits = decoder.vocabulary_logits(&[b, f]).unwrap();
            for token in 0..30 {
                let alone = decoder.logits(&[(b, token), (f, token)]).unwrap();
                assert!((logits[token as usize] - alone[0]).abs() < 1e-4);
                assert!((logits[30 + token as usize] - alone[1]).abs() < 1e-4);
            }
        }
    }

    #[test]
    fn a_cleared_decoder_is_a_new_one() {
        let model = models().next().unwrap();
        let mut decoder = Decoder::new(&model);
        decoder.prompts([&[1, 5, 6, 7, 2][..]]).unwrap();
        decoder.clear();
        let end = decoder.prompts([&[1, 7, 8, 2][..]]).unwrap()[0];
        close(
            &decoder.hidden(end).unwrap(),
            uncached(&model, &[1, 7, 8, 2], &[]).chunks(24).last().unwrap(),
        );
    }
}
