//! Decoding on a CPU, with the keys and values of a *tree* of tokens under each prompt, so that beams share their common part.
//!
//! A cached token is a node that knows its parent. To move a beam is to keep another node: keys and values are never copied. One call computes many
//! continuations of many prompts, of different lengths, without padding.

use crate::attention::rotate_and_scale;
use crate::batch::Mask;
use crate::kernels::{Rotary, SET, Shape, Work, activate, attend, matmul};
use crate::model::Model;
use crate::packed_weights::InferenceLinear;
use crate::parameters::BranchRanges;
use crate::training::{BranchTape, NormTape};
use kexue_text::Token;

/// A token in the cache of a [`Decoder`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Node(u32);

#[derive(Clone, Copy, Debug)]
struct Cached {
    /// The previous token, or the token itself for the last token of a prompt.
    parent: u32,
    /// The first row of its prompt, and the length of the prompt.
    prompt: (u32, u32),
    /// Position in its sequence, from 0.
    position: u32,
}

/// Decodes continuations of prompts with a UniLM mask: a prompt sees all of itself, and a continuation sees the prompt and its own past. It uses the
/// packed weights of the model, as an [`Encoder`](crate::Encoder) does.
#[derive(Debug)]
pub struct Decoder<'m> {
    model: &'m Model,
    nodes: Vec<Cached>,
    /// For each block, the keys and the values, `[nodes, d_model]` each.
    keys_values: Vec<(Vec<f32>, Vec<f32>)>,
    /// The last hidden state of every node, `[nodes, d_model]`.
    hidden: Vec<f32>,
    rotary: Rotary,
    scratch: Scratch,
}

#[derive(Debug, Default)]
struct Scratch {
    stream: Vec<f32>,
    /// The values that a training pass would keep around a branch; overwritten by the next branch.
    tape: BranchTape,
    outer_norm: NormTape,
    normed: Vec<f32>,
    query_key_value: Vec<f32>,
    context: Vec<f32>,
    branch: Vec<f32>,
    up: Vec<f32>,
    activated: Vec<f32>,
    visible: Vec<u32>,
    visible_ends: Vec<usize>,
    scores: Vec<f32>,
}

impl Scratch {
    fn resize(&mut self, rows: usize, d: usize, ffn: usize) {
        self.stream.resize(rows * d, 0.0);
        self.normed.resize(rows * d, 0.0);
        self.query_key_value.resize(rows * 3 * d, 0.0);
        self.context.resize(rows * d, 0.0);
        self.branch.resize(rows * d, 0.0);
        self.up.resize(rows * ffn, 0.0);
        self.activated.resize(rows * ffn, 0.0);
    }

    fn outer_norm(&mut self, model: &Model, when: bool) {
        if let Some(norm) = model.layout().outer_norm.as_ref().filter(|_| when) {
            model.norm(&mut self.normed, &mut self.outer_norm, &self.stream, norm);
            self.stream.copy_from_slice(&self.normed);
        }
    }

    /// Computes the input of the branch.
    fn branch_input(&mut self, model: &Model, at: &BranchRanges) {
        model.branch_input(&self.stream, &mut self.tape, at);
    }

    /// Adds the branch to the stream.
    fn add_branch(&mut self, model: &Model, at: &BranchRanges) {
        let (stream, branch) = (&mut self.stream, &mut self.branch);
        model.add_branch(
            stream,
            branch,
            &mut self.normed,
            &mut self.tape,
            at,
            None::<&mut rand_chacha::ChaCha8Rng>,
        );
    }
}

impl<'m> Decoder<'m> {
    /// Creates a decoder with an empty cache.
    pub fn new(model: &'m Model) -> Self {
        let mut rotary = Rotary::default();
        rotary.for_heads(model.config().head_dim());
        Self {
            model,
            nodes: Vec::new(),
            keys_values: vec![Default::default(); model.config().layers],
            hidden: Vec::new(),
            rotary,
            scratch: Scratch::default(),
        }
    }

    /// The model that the decoder runs.
    pub fn model(&self) -> &'m Model {
        self.model
    }

    /// Removes all nodes and keeps the allocated memory.
    pub fn clear(&mut self) {
        self.nodes.clear();
        self.hidden.clear();
        for (keys, values) in &mut self.keys_values {
            keys.clear();
            values.clear();
        }
    }

    /// The last hidden state of a node, `[d_model]`.
    pub fn hidden(&self, node: Node) -> &[f32] {
        let d = self.model.config().d_model;
        &self.hidden[node.0 as usize * d..][..d]
    }

    /// The logit of `token` as the next after `node`.
    pub fn logit(&self, node: Node, token: Token) -> f32 {
        self.model.logit(self.hidden(node), token)
    }

    /// The logits of the whole vocabulary after each node, `[nodes, vocab_size]`, as one matrix product.
    pub fn vocabulary_logits(&self, nodes: &[Node]) -> Vec<f32> {
        let (d, vocabulary) = (self.model.config().d_model, self.model.config().vocab_size);
        let states: Vec<f32> = nodes.iter().flat_map(|&node| self.hidden(node)).copied().collect();
        let mut logits = vec![0.0; nodes.len() * vocabulary];
        let embedding = self.model.at(&self.model.layout().embedding);
        let (rows, columns) = (Shape::dense(nodes.len(), d), Shape::dense(vocabulary, d).t());
        matmul(
            &mut logits,
            Shape::dense(nodes.len(), vocabulary),
            &states,
            rows,
            embedding,
            columns,
            SET,
        );
        logits
    }

    /// Computes prompts in one batch and returns the node of each prompt's last token.
    ///
    /// # Panics
    /// If a prompt is empty or a token is not in the vocabulary.
    pub fn prompts<'a>(&mut self, prompts: impl IntoIterator<Item = &'a [Token]>) -> Vec<Node> {
        let (first, mut tokens, mut ends) = (self.nodes.len(), Vec::new(), Vec::new());
        for prompt in prompts {
            assert!(!prompt.is_empty(), "an empty prompt");
            let start = self.nodes.len() as u32;
            let prompt_rows = (start, prompt.len() as u32);
            self.nodes.extend((0..prompt.len() as u32).map(|position| Cached {
                parent: start + position,
                prompt: prompt_rows,
                position,
            }));
            tokens.extend_from_slice(prompt);
            ends.push(Node(self.nodes.len() as u32 - 1));
        }
        self.compute(first, &tokens);
        ends
    }

    /// Computes each token after its parent node, in one batch. A step may follow an earlier step of the same list.
    pub fn extend(&mut self, steps: &Steps) {
        assert_eq!(
            steps.first as usize,
            self.nodes.len(),
            "these steps belong to another state of the cache"
        );
        let (first, mut tokens) = (self.nodes.len(), Vec::with_capacity(steps.steps.len()));
        for &(parent, token) in &steps.steps {
            let before = self.nodes[parent.0 as usize];
            self.nodes.push(Cached {
                parent: parent.0,
                prompt: before.prompt,
                position: before.position + 1,
            });
            tokens.push(token);
        }
        self.compute(first, &tokens);
    }

    /// An empty list of steps for the current state of the cache.
    pub fn steps(&self) -> Steps {
        Steps {
            first: self.nodes.len() as u32,
            steps: Vec::new(),
        }
    }

    /// Computes the nodes from `first` on, with these tokens.
    fn compute(&mut self, first: usize, tokens: &[Token]) {
        let Self {
            model,
            nodes,
            keys_values,
            hidden,
            rotary,
            scratch,
        } = self;
        let (config, layout) = (model.config(), model.layout());
        let (d, rows) = (config.d_model, tokens.len());
        if rows == 0 {
            return;
        }
        let new = &nodes[first..];
        scratch.resize(rows, d, config.d_ffn);
        rotary.reserve(new.iter().map(|node| node.position as usize + 1).max().unwrap_or(0));
        list_visible(nodes, first, &mut scratch.visible, &mut scratch.visible_ends);

        let placed = tokens.iter().zip(new);
        let placed = placed.map(|(&token, node)| (token, node.position as usize, 0));
        model.embed(&mut scratch.stream, placed);
        scratch.outer_norm(model, config.norm_placement.after());
        let blocks = layout.blocks.iter().zip(&model.packed().blocks);
        for ((at, packed), (keys, values)) in blocks.zip(keys_values) {
            let multiply = |layer: &InferenceLinear, y: &mut [f32], x: &[f32]| layer.multiply(Work::Pieces, y, x, rows);
            scratch.branch_input(model, &at.attention);
            let input = &scratch.tape.input[..rows * d];
            multiply(&packed.query_key_value, &mut scratch.query_key_value, input);
            for (row, node) in scratch.query_key_value.chunks_exact_mut(3 * d).zip(new) {
                let position = node.position as usize;
                let seen = Mask::unilm(node.prompt.1 as usize).visible(position, usize::MAX).len();
                rotate_and_scale(config, rotary, row, position, seen, false);
                keys.extend_from_slice(&row[d..2 * d]);
                values.extend_from_slice(&row[2 * d..]);
            }
            let mut start = 0;
            let qkv = scratch.query_key_value.chunks_exact(3 * d);
            for ((row, &end), context) in qkv.zip(&scratch.visible_ends).zip(scratch.context.chunks_exact_mut(d)) {
                let visible = &scratch.visible[start..end];
                let (heads, scores) = (config.heads, &mut scratch.scores);
                attend(context, &row[..d], keys, values, visible, heads, scores);
                start = end;
            }
            multiply(&packed.attention_output, &mut scratch.branch, &scratch.context);
            scratch.add_branch(model, &at.attention);

            scratch.branch_input(model, &at.ffn);
            multiply(&packed.up, &mut scratch.up, &scratch.tape.input[..rows * d]);
            activate(config.activation, &mut scratch.activated, &scratch.up);
            multiply(&packed.down, &mut scratch.branch, &scratch.activated);
            scratch.add_branch(model, &at.ffn);
        }
        scratch.outer_norm(model, config.norm_placement.before());
        let factor = config.hidden_factor();
        hidden.extend(scratch.stream.iter().map(|h| h * factor));
    }
}

/// Lists the nodes that each new node sees: its prompt, its ancestors, itself.
fn list_visible(nodes: &[Cached], first: usize, visible: &mut Vec<u32>, ends: &mut Vec<usize>) {
    visible.clear();
    ends.clear();
    for (index, node) in nodes.iter().enumerate().skip(first) {
        let (start, length) = node.prompt;
        visible.extend(start..start + length);
        let mut at = index as u32;
        while at >= start + length {
            visible.push(at);
            at = nodes[at as usize].parent;
        }
        ends.push(visible.len());
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
        AttentionScale, Initializer, LogitScale, NormKind, NormPlacement, PackedBatch, Positions, StdConvention, Tape,
        TransformerConfig,
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
            let ends = decoder.prompts(prompts);
            close(
                decoder.hidden(ends[0]),
                uncached(&model, prompts[0], &[]).chunks(24).last().unwrap(),
            );

            // Under the first prompt the branches 11 12 and 11 13, under the second 14; 12 and 14 come in the same call as their parents.
            let mut steps = decoder.steps();
            let a = steps.push(ends[0], 11);
            let b = steps.push(a, 12);
            let c = steps.push(ends[1], 14);
            decoder.extend(&steps);
            let mut steps = decoder.steps();
            let e = steps.push(a, 13);
            let f = steps.push(c, 15);
            decoder.extend(&steps);

            let last = |prompt, continuation: &[Token]| {
                uncached(&model, prompt, continuation)
                    .chunks(24)
                    .last()
                    .unwrap()
                    .to_vec()
            };
            close(decoder.hidden(b), &last(prompts[0], &[11, 12]));
            close(decoder.hidden(e), &last(prompts[0], &[11, 13]));
            close(decoder.hidden(f), &last(prompts[1], &[14, 15]));
            let logits = decoder.vocabulary_logits(&[b, f]);
            for token in 0..30 {
                assert!((logits[token as usize] - decoder.logit(b, token)).abs() < 1e-4);
                assert!((logits[30 + token as usize] - decoder.logit(f, token)).abs() < 1e-4);
            }
        }
    }

    #[test]
    fn a_cleared_decoder_is_a_new_one() {
        let model = models().next().unwrap();
        let mut decoder = Decoder::new(&model);
        decoder.prompts([&[1, 5, 6, 7, 2][..]]);
        decoder.clear();
        let end = decoder.prompts([&[1, 7, 8, 2][..]])[0];
        close(
            decoder.hidden(end),
            uncached(&model, &[1, 7, 8, 2], &[]).chunks(24).last().unwrap(),
        );
    }
}
