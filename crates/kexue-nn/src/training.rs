//! The forward pass, which keeps all activations, and the backward pass: the hot path of training on a CPU.
//!
//! A batch is packed: the tokens of all sequences follow one another without padding. So each linear layer is one large matrix product, and no
//! work is spent on padding.

use crate::attention::{self, Probabilities};
use crate::batch::PackedBatch;
use crate::dropout::Dropout;
use crate::kernels::{
    Linear, Rotary, Work, activate_backward, activate_with, add, dot, linear, linear_backward, norm, norm_backward,
    resize,
};
use crate::model::Model;
use crate::packed_weights::InferenceLinear;
use crate::parameters::{BranchRanges, Pair};
use rand::{Rng, RngCore};
use std::ops::Range;

#[derive(Debug, Default)]
pub(crate) struct NormTape {
    normal: Vec<f32>,
    inverse_std: Vec<f32>,
}

/// The values around a branch that the backward pass needs.
#[derive(Debug, Default)]
pub(crate) struct BranchTape {
    /// The input of the branch, `[tokens, d_model]`: the stream, normalised or unchanged.
    pub input: Vec<f32>,
    norm: NormTape,
    output_norm: NormTape,
    /// The output of the branch before its gate, if it has one, `[tokens, d_model]`.
    ungated: Vec<f32>,
    kept: Vec<u8>,
}

/// What the backward pass of a layer needs. In the last layer, rows that are no [outputs](PackedBatch::set_outputs) are left out of all that follows the
/// attention: `[outputs, …]` instead of `[tokens, …]`.
#[derive(Debug, Default)]
struct BlockTape {
    attention: BranchTape,
    /// Rotated and scaled queries, rotated keys, values: `[tokens, 3·d_model]`.
    query_key_value: Vec<f32>,
    /// For each sequence and head `[length, length]`.
    probabilities: Vec<f32>,
    /// The heads side by side, before the output layer: `[tokens, d_model]`.
    context: Vec<f32>,
    ffn: BranchTape,
    /// Before the activation: `[tokens, d_ffn]`.
    up: Vec<f32>,
    /// After the activation: `[tokens, d_ffn]`.
    activated: Vec<f32>,
}

/// The residual stream at every branch of a model.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// Before the first branch, then after each: `[2·layers + 1][tokens · d_model]`.
    pub streams: Vec<Vec<f32>>,
    /// The output that each branch added, before the stream is normalised: `[2·layers][tokens · d_model]`.
    pub branches: Vec<Vec<f32>>,
    /// After a backward pass, the gradient with respect to each of `streams`, in the same shape.
    pub gradients: Vec<Vec<f32>>,
}

/// Activations that the forward pass keeps for the backward pass, and working memory of both. Reuse it from batch to batch.
#[derive(Debug, Default)]
pub struct Tape {
    /// The residual stream; after the forward pass the last hidden state `[tokens, d_model]`.
    hidden: Vec<f32>,
    /// An offset of the embeddings, `[tokens, d_model]`; empty for none.
    offset: Vec<f32>,
    embedding_kept: Vec<u8>,
    outer_norm: NormTape,
    blocks: Vec<BlockTape>,
    trace: Option<Trace>,
    /// Whether all layers share the memory of one layer.
    forward_only: bool,
    /// How a forward-only pass is computed.
    work: Work,
    rotary: Rotary,
    scratch: Vec<f32>,
    wide: Vec<f32>,
    scores: Vec<f32>,
    dropout: Vec<u8>,
}

impl Tape {
    /// A tape that also keeps the residual stream.
    pub fn tracing() -> Self {
        Self {
            trace: Some(Trace::default()),
            ..Self::default()
        }
    }

    /// A tape for inference: it keeps the last hidden state only and needs the memory of one layer.
    pub fn forward_only() -> Self {
        Self {
            forward_only: true,
            ..Self::default()
        }
    }

    /// The rows of a batch to which the last layer is limited after its attention. The residual stream is traced for all rows.
    fn outputs<'b>(&self, batch: &'b PackedBatch) -> Option<&'b [usize]> {
        batch.outputs().filter(|_| self.trace.is_none())
    }

    /// Changes how the next pass is computed.
    pub(crate) fn set_work(&mut self, work: Work) {
        self.work = work;
    }

    /// Adds `offset`, `[tokens, d_model]`, to the sum of the embeddings in the next forward passes, for adversarial perturbations. Empty for none.
    pub fn set_offset(&mut self, offset: Vec<f32>) {
        self.offset = offset;
    }

    /// The last hidden state, `[tokens, d_model]`; unspecified for rows that are no [outputs](PackedBatch::set_outputs).
    pub fn hidden(&self) -> &[f32] {
        &self.hidden
    }

    /// The residual stream, if the tape was made by [`Tape::tracing`].
    pub fn trace(&self) -> Option<&Trace> {
        self.trace.as_ref()
    }

    /// The mean entropy of the attention rows of the last forward pass, in nats, `[layers][heads]`; empty for a [`Tape::forward_only`].
    pub fn attention_entropy(&self, model: &Model, batch: &PackedBatch) -> Vec<Vec<f64>> {
        let heads = model.config().heads;
        let of = |block: &BlockTape| attention::entropy(batch, heads, &block.probabilities);
        let kept = self.blocks.iter().filter(|_| !self.forward_only);
        kept.map(of).collect()
    }
}

impl Model {
    pub(crate) fn linear(&self, at: &Pair) -> Linear<'_> {
        Linear::new(self.config(), self.at(&at.weight), self.at(&at.bias))
    }

    pub(crate) fn norm(&self, y: &mut [f32], tape: &mut NormTape, x: &[f32], at: &Pair) {
        let normal = resize(&mut tape.normal, x.len());
        let inverse_std = resize(&mut tape.inverse_std, x.len() / self.config().d_model);
        let (gamma, beta) = (self.at(&at.weight), self.at(&at.bias));
        norm(y, normal, inverse_std, x, gamma, beta, self.config().norm_epsilon);
    }

    /// Replaces `x` by its norm.
    fn norm_in_place(&self, x: &mut [f32], scratch: &mut [f32], tape: &mut NormTape, at: &Pair) {
        self.norm(scratch, tape, x, at);
        x.copy_from_slice(scratch);
    }

    /// Adds to `dx`.
    pub(crate) fn norm_backward(&self, dx: &mut [f32], gradient: &mut [f32], dy: &[f32], tape: &NormTape, at: &Pair) {
        let (dgamma, dbeta) = two(gradient, at);
        let normal = &tape.normal[..dy.len()];
        let inverse_std = &tape.inverse_std[..dy.len() / self.config().d_model];
        norm_backward(dx, dgamma, dbeta, dy, normal, inverse_std, self.at(&at.weight));
    }

    /// Replaces the gradient with respect to a norm's output by that with respect to its input.
    fn norm_backward_in_place(
        &self,
        d: &mut [f32],
        scratch: &mut [f32],
        gradient: &mut [f32],
        tape: &NormTape,
        at: &Pair,
    ) {
        scratch.copy_from_slice(d);
        d.fill(0.0);
        self.norm_backward(d, gradient, scratch, tape, at);
    }

    /// Computes the input of a branch from the stream `[tokens, d_model]` and keeps it in the tape.
    pub(crate) fn branch_input(&self, stream: &[f32], tape: &mut BranchTape, at: &BranchRanges) {
        let input = resize(&mut tape.input, stream.len());
        match &at.norm {
            Some(before) if self.config().norm_placement.before() => self.norm(input, &mut tape.norm, stream, before),
            _ => input.copy_from_slice(stream),
        }
    }

    /// Adds the output of a branch to the stream, both `[tokens, d_model]`, with the norms, dropout and gate of its placement. Afterwards `branch`
    /// holds what was added; the content of `scratch` is undefined.
    pub(crate) fn add_branch(
        &self,
        stream: &mut [f32],
        branch: &mut [f32],
        scratch: &mut [f32],
        tape: &mut BranchTape,
        at: &BranchRanges,
        generator: Option<&mut (impl Rng + ?Sized)>,
    ) {
        let config = self.config();
        if let Some(after) = &at.output_norm {
            self.norm_in_place(branch, scratch, &mut tape.output_norm, after);
        }
        Dropout::new(config.dropout).forward(branch, &mut tape.kept, generator);
        if let Some(gate) = &at.gate {
            resize(&mut tape.ungated, branch.len()).copy_from_slice(branch);
            scale(branch, self.at(gate)[0]);
        }
        scale(stream, config.norm_placement.residual_scale(config.layers) as f32);
        add(stream, branch);
        match &at.norm {
            Some(after) if config.norm_placement.after() => self.norm_in_place(stream, scratch, &mut tape.norm, after),
            _ => {}
        }
    }

    /// Backward through [`Model::add_branch`]: turns the gradient with respect to the stream after it into that of the stream before it, without the
    /// part that flows through the branch. The gradient with respect to the branch's output is written to `d_branch`.
    fn add_branch_backward(
        &self,
        d_stream: &mut [f32],
        d_branch: &mut [f32],
        scratch: &mut [f32],
        tape: &BranchTape,
        at: &BranchRanges,
        gradient: &mut [f32],
    ) {
        let config = self.config();
        match &at.norm {
            Some(after) if config.norm_placement.after() => {
                self.norm_backward_in_place(d_stream, scratch, gradient, &tape.norm, after);
            }
            _ => {}
        }
        d_branch.copy_from_slice(d_stream);
        if let Some(gate) = &at.gate {
            gradient[gate.start] += dot(d_branch, &tape.ungated[..d_branch.len()]);
            scale(d_branch, self.at(gate)[0]);
        }
        Dropout::new(config.dropout).backward(d_branch, &tape.kept);
        if let Some(after) = &at.output_norm {
            self.norm_backward_in_place(d_branch, scratch, gradient, &tape.output_norm, after);
        }
        scale(d_stream, config.norm_placement.residual_scale(config.layers) as f32);
    }

    /// Backward through [`Model::branch_input`]: adds the part that flows through the branch to the gradient with respect to the stream.
    fn branch_input_backward(
        &self,
        d_stream: &mut [f32],
        d_input: &[f32],
        tape: &BranchTape,
        at: &BranchRanges,
        gradient: &mut [f32],
    ) {
        match &at.norm {
            Some(before) if self.config().norm_placement.before() => {
                self.norm_backward(d_stream, gradient, d_input, &tape.norm, before);
            }
            _ => add(d_stream, d_input),
        }
    }

    /// The sums of the embeddings of tokens, positions and segments, `[tokens, d_model]`, before norm and dropout.
    ///
    /// # Panics
    /// If a token, position or segment has no embedding.
    pub(crate) fn embed(&self, hidden: &mut [f32], tokens: impl Iterator<Item = (u32, usize, u8)>) {
        let (d, layout) = (self.config().d_model, self.layout());
        for (row, (token, position, segment)) in hidden.chunks_exact_mut(d).zip(tokens) {
            row.copy_from_slice(self.embedding(token));
            if let Some(positions) = &layout.position_embedding {
                add(row, &self.at(positions)[position * d..][..d]);
            }
            if let Some(types) = &layout.type_embedding {
                add(row, &self.at(types)[usize::from(segment) * d..][..d]);
            }
        }
    }

    /// Runs the model over a batch and keeps what [`Model::backward`] needs. The last hidden states are then in [`Tape::hidden`].
    ///
    /// Dropout is applied only if a generator is given.
    ///
    /// # Panics
    /// If a token is not in the vocabulary, or a sequence is longer than [`TransformerConfig::longest_sequence`](crate::TransformerConfig::longest_sequence).
    pub fn forward(&self, batch: &PackedBatch, tape: &mut Tape, mut generator: Option<&mut dyn RngCore>) {
        let config = self.config();
        let layout = self.layout();
        let (d, rows) = (config.d_model, batch.len());
        let end = batch.end_of_positions();
        assert!(
            config.longest_sequence().is_none_or(|most| end <= most),
            "a sequence of {end} positions is longer than the model's positions"
        );
        let work = if tape.forward_only { tape.work } else { Work::Whole };
        // Training changes the weights after every pass, so it does not pack them.
        let packed = (work != Work::Whole || self.is_for_inference()).then(|| self.packed());
        let multiply = |y: &mut [f32], x: &[f32], rows: usize, at: &Pair, packed: Option<&InferenceLinear>| match packed
        {
            _ if rows == 0 => {}
            Some(packed) => packed.multiply(work, y, x, rows),
            None => linear(y, x, self.linear(at), rows),
        };
        let outputs = tape.outputs(batch);
        // Capped distances need two more score matrices per head, so heads are computed one after another.
        let by_heads = work != Work::Whole && !batch.caps_distances();
        let kept = if tape.forward_only { 1 } else { config.layers };
        tape.blocks.resize_with(kept, BlockTape::default);
        tape.rotary.for_heads(config.head_dim());
        tape.rotary.reserve(end);

        tape.hidden.resize(rows * d, 0.0);
        let hidden = &mut tape.hidden[..];
        let tokens = batch.tokens().iter().copied();
        let tokens = tokens.zip(batch.positions()).zip(batch.types());
        self.embed(
            hidden,
            tokens.map(|((token, position), segment)| (token, position, segment)),
        );
        if !tape.offset.is_empty() {
            add(hidden, &tape.offset);
        }
        let (branch, scratch) = resize(&mut tape.scratch, 2 * rows * d).split_at_mut(rows * d);
        if let Some(norm) = layout.outer_norm.as_ref().filter(|_| config.norm_placement.after()) {
            self.norm_in_place(hidden, scratch, &mut tape.outer_norm, norm);
        }
        Dropout::new(config.dropout).forward(hidden, &mut tape.embedding_kept, generator.as_deref_mut());
        let mut trace = tape.trace.as_mut();
        if let Some(trace) = &mut trace {
            trace.branches.clear();
            trace.gradients.clear();
            trace.streams = vec![hidden.to_vec()];
        }
        let mut record = |stream: &[f32], branch: &[f32]| {
            if let Some(trace) = &mut trace {
                trace.branches.push(branch.to_vec());
                trace.streams.push(stream.to_vec());
            }
        };

        for (layer, at) in layout.blocks.iter().enumerate() {
            let block = &mut tape.blocks[layer % kept];
            let packed = packed.map(|packed| &packed.blocks[layer]);
            self.branch_input(hidden, &mut block.attention, &at.attention);
            let qkv = resize(&mut block.query_key_value, rows * 3 * d);
            let input = &block.attention.input[..rows * d];
            let weights = packed.map(|packed| &packed.query_key_value);
            multiply(qkv, input, rows, &at.query_key_value, weights);
            let context = resize(&mut block.context, rows * d);
            let buffer = &mut block.probabilities;
            if by_heads {
                attention::forward_by_heads(config, batch, &tape.rotary, qkv, buffer, context, work);
            } else {
                let kept = !tape.forward_only;
                let probabilities = Probabilities { buffer, kept };
                attention::forward(config, batch, &tape.rotary, qkv, probabilities, context);
            }

            // What follows the last attention is computed for the outputs only.
            let outputs = outputs.filter(|_| layer + 1 == config.layers);
            let whole = (rows * d, &mut tape.dropout);
            let mut random = generator.as_mut().map(|generator| DropoutBytes {
                generator: &mut **generator,
                rows: outputs,
                whole,
            });
            let rows = outputs.map_or(rows, |outputs| {
                compact(hidden, outputs, d);
                compact(context, outputs, d);
                outputs.len()
            });
            let (hidden, context) = (&mut hidden[..rows * d], &context[..rows * d]);
            let (branch, scratch) = (&mut branch[..rows * d], &mut scratch[..rows * d]);
            let weights = packed.map(|packed| &packed.attention_output);
            multiply(branch, context, rows, &at.attention_output, weights);
            self.add_branch(
                hidden,
                branch,
                scratch,
                &mut block.attention,
                &at.attention,
                random.as_mut(),
            );
            record(hidden, branch);

            self.branch_input(hidden, &mut block.ffn, &at.ffn);
            let up = resize(&mut block.up, rows * config.d_ffn);
            let input = &block.ffn.input[..rows * d];
            multiply(up, input, rows, &at.up, packed.map(|packed| &packed.up));
            let activated = resize(&mut block.activated, rows * config.d_ffn);
            activate_with(work, config.activation, activated, up);
            multiply(branch, activated, rows, &at.down, packed.map(|packed| &packed.down));
            self.add_branch(hidden, branch, scratch, &mut block.ffn, &at.ffn, random.as_mut());
            record(hidden, branch);
        }
        let computed = outputs.map_or(rows, <[_]>::len);
        let (computed, scratch) = (&mut hidden[..computed * d], &mut scratch[..computed * d]);
        if let Some(norm) = layout.outer_norm.as_ref().filter(|_| config.norm_placement.before()) {
            self.norm_in_place(computed, scratch, &mut tape.outer_norm, norm);
        }
        scale(computed, config.hidden_factor());
        if let Some(outputs) = outputs {
            spread(hidden, outputs, d);
        }
    }

    /// Adds to `gradient`, `[parameters]`, the gradient of a loss whose derivative with respect to the last hidden state is `d_hidden`,
    /// `[tokens, d_model]`. Rows of `d_hidden` that are no [outputs](PackedBatch::set_outputs) must be 0. Its content is overwritten. Batch and tape
    /// must be those of the last [`Model::forward`].
    ///
    /// # Panics
    /// If the tape is a [`Tape::forward_only`], a mask has a [`Mask::with_max_distance`](crate::Mask::with_max_distance), or the model was loaded for
    /// inference.
    pub fn backward(&self, batch: &PackedBatch, tape: &mut Tape, d_hidden: &mut [f32], gradient: &mut [f32]) {
        self.expect_all_parameters();
        assert!(
            !tape.forward_only,
            "a forward-only tape keeps nothing for a backward pass"
        );
        assert!(
            !batch.caps_distances(),
            "masks with a maximum distance are supported in forward passes only"
        );
        let config = self.config();
        let layout = self.layout();
        let (d, rows) = (config.d_model, batch.len());
        let outputs = tape.outputs(batch);
        let (d_branch, scratch) = resize(&mut tape.scratch, 2 * rows * d).split_at_mut(rows * d);
        // Derivatives of width 3·d_model or d_ffn, and of a branch's input.
        let widest = rows * config.d_ffn.max(3 * d);
        let (wide, d_input) = resize(&mut tape.wide, widest + rows * d).split_at_mut(widest);

        let computed = outputs.map_or(rows, |outputs| {
            compact(d_hidden, outputs, d);
            outputs.len()
        });
        {
            let (d_hidden, scratch) = (&mut d_hidden[..computed * d], &mut scratch[..computed * d]);
            scale(d_hidden, config.hidden_factor());
            if let Some(norm) = layout.outer_norm.as_ref().filter(|_| config.norm_placement.before()) {
                self.norm_backward_in_place(d_hidden, scratch, gradient, &tape.outer_norm, norm);
            }
        }
        let mut trace = tape.trace.as_mut();
        let mut record = |gradient: &[f32]| {
            if let Some(trace) = &mut trace {
                trace.gradients.push(gradient.to_vec());
            }
        };
        record(d_hidden);
        let last = layout.blocks.len() - 1;
        for (layer, (block, at)) in tape.blocks.iter_mut().zip(&layout.blocks).enumerate().rev() {
            let outputs = outputs.filter(|_| layer == last);
            {
                let rows = outputs.map_or(rows, <[_]>::len);
                let d_hidden = &mut d_hidden[..rows * d];
                let (d_branch, scratch) = (&mut d_branch[..rows * d], &mut scratch[..rows * d]);
                let d_input = &mut d_input[..rows * d];
                self.add_branch_backward(d_hidden, d_branch, scratch, &block.ffn, &at.ffn, gradient);
                let d_up = &mut wide[..rows * config.d_ffn];
                let activated = &block.activated[..rows * config.d_ffn];
                let down = self.linear(&at.down);
                linear_backward(d_up, two(gradient, &at.down), d_branch, activated, down, rows);
                activate_backward(config.activation, d_up, &block.up[..rows * config.d_ffn]);
                let input = &block.ffn.input[..rows * d];
                linear_backward(d_input, two(gradient, &at.up), d_up, input, self.linear(&at.up), rows);
                self.branch_input_backward(d_hidden, d_input, &block.ffn, &at.ffn, gradient);
                record(d_hidden);

                self.add_branch_backward(d_hidden, d_branch, scratch, &block.attention, &at.attention, gradient);
                let context = &block.context[..rows * d];
                let output = self.linear(&at.attention_output);
                let d_output = two(gradient, &at.attention_output);
                linear_backward(d_input, d_output, d_branch, context, output, rows);
            }
            if let Some(outputs) = outputs {
                spread(d_hidden, outputs, d);
                spread(d_input, outputs, d);
            }
            let d_qkv = &mut wide[..rows * 3 * d];
            attention::backward(
                config,
                batch,
                &tape.rotary,
                &block.query_key_value[..rows * 3 * d],
                &block.probabilities,
                d_input,
                d_qkv,
                &mut tape.scores,
            );
            let input = &block.attention.input[..rows * d];
            let query_key_value = self.linear(&at.query_key_value);
            let d_weights = two(gradient, &at.query_key_value);
            linear_backward(d_input, d_weights, d_qkv, input, query_key_value, rows);
            self.branch_input_backward(d_hidden, d_input, &block.attention, &at.attention, gradient);
            record(d_hidden);
        }
        if let Some(trace) = &mut tape.trace {
            trace.gradients.reverse();
        }
        Dropout::new(config.dropout).backward(d_hidden, &tape.embedding_kept);
        if let Some(norm) = layout.outer_norm.as_ref().filter(|_| config.norm_placement.after()) {
            self.norm_backward_in_place(d_hidden, scratch, gradient, &tape.outer_norm, norm);
        }
        let mut add_rows = |table: &Range<usize>, indices: &mut dyn Iterator<Item = usize>| {
            let d_table = &mut gradient[table.clone()];
            for (row, index) in d_hidden.chunks_exact(d).zip(indices) {
                add(&mut d_table[index * d..][..d], row);
            }
        };
        add_rows(
            &layout.embedding,
            &mut batch.tokens().iter().map(|&token| token as usize),
        );
        if let Some(table) = &layout.position_embedding {
            add_rows(table, &mut batch.positions());
        }
        if let Some(table) = &layout.type_embedding {
            add_rows(table, &mut batch.types().map(usize::from));
        }
    }
}

/// Moves some rows of a matrix, given in ascending order, to its start.
fn compact(x: &mut [f32], rows: &[usize], width: usize) {
    for (to, &from) in rows.iter().enumerate() {
        x.copy_within(from * width..(from + 1) * width, to * width);
    }
}

/// Moves rows from the start of a matrix to their places, given in ascending order. All others become 0.
fn spread(x: &mut [f32], rows: &[usize], width: usize) {
    let mut end = x.len();
    for (from, &to) in rows.iter().enumerate().rev() {
        x.copy_within(from * width..(from + 1) * width, to * width);
        x[(to + 1) * width..end].fill(0.0);
        end = to * width;
    }
    x[..end].fill(0.0);
}

/// Draws bytes for a whole matrix and returns those of some rows, so that the dropout of a row does not depend on which others are computed.
struct DropoutBytes<'g> {
    generator: &'g mut dyn RngCore,
    /// The rows; `None` for all.
    rows: Option<&'g [usize]>,
    /// Size of the whole matrix, and memory for its bytes.
    whole: (usize, &'g mut Vec<u8>),
}

impl RngCore for DropoutBytes<'_> {
    fn next_u32(&mut self) -> u32 {
        self.generator.next_u32()
    }

    fn next_u64(&mut self) -> u64 {
        self.generator.next_u64()
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        let Some(rows) = self.rows else {
            return self.generator.fill_bytes(bytes);
        };
        let (numbers, whole) = &mut self.whole;
        whole.resize(*numbers, 0);
        self.generator.fill_bytes(whole);
        let width = bytes.len() / rows.len().max(1);
        for (bytes, row) in bytes.chunks_exact_mut(width.max(1)).zip(rows) {
            bytes.copy_from_slice(&whole[row * width..][..width]);
        }
    }
}

fn scale(x: &mut [f32], factor: f32) {
    if factor != 1.0 {
        x.iter_mut().for_each(|x| *x *= factor);
    }
}

/// The parts of the gradient for the weight and the bias. The weight comes before the bias in every layout.
pub(crate) fn two<'a>(gradient: &'a mut [f32], at: &Pair) -> (&'a mut [f32], &'a mut [f32]) {
    let (first, second) = gradient.split_at_mut(at.bias.start);
    (&mut first[at.weight.clone()], &mut second[..at.bias.len()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Activation, AttentionScale, Initializer, LogitScale, Mask, NormKind, NormPlacement, Parametrization, Positions,
        StdConvention, Token, TransformerConfig,
    };
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    fn small(change: impl FnOnce(&mut TransformerConfig)) -> Model {
        let mut config = TransformerConfig {
            d_model: 16,
            layers: 2,
            heads: 2,
            d_ffn: 24,
            dropout: 0.25,
            initializer: Initializer::truncated_normal(0.3, StdConvention::Effective),
            ..TransformerConfig::new(20)
        };
        change(&mut config);
        Model::new(config, &mut ChaCha8Rng::seed_from_u64(3)).unwrap()
    }

    fn batch() -> PackedBatch {
        let mut batch = PackedBatch::default();
        batch.push(&[1, 5, 6, 7, 2, 9, 10, 2], Mask::unilm(5));
        batch.push(&[1, 8, 2], Mask::CAUSAL);
        batch.push_pair(&[3, 4], &[4, 11], Mask::BIDIRECTIONAL.within(3));
        batch.push_apart(&[3, 12], &[13], 5, Mask::BIDIRECTIONAL);
        batch
    }

    /// A loss that weighs every element of the hidden state differently.
    fn loss(model: &Model, batch: &PackedBatch, tape: &mut Tape) -> f64 {
        model.forward(batch, tape, Some(&mut ChaCha8Rng::seed_from_u64(11)));
        tape.hidden()
            .iter()
            .enumerate()
            .map(|(i, &h)| f64::from(h) * weight(i))
            .sum()
    }

    fn weight(i: usize) -> f64 {
        (i as f64 * 0.7).sin()
    }

    #[test]
    fn backward_agrees_with_finite_differences() {
        let placements = [
            NormPlacement::Pre,
            NormPlacement::Post,
            NormPlacement::DeepNorm,
            NormPlacement::Sandwich,
        ];
        for placement in placements {
            check_backward(small(|config| config.norm_placement = placement));
        }
        check_backward(small(|config| {
            config.attention_scale = AttentionScale::EntropyInvariant { base: 512.0 };
            config.norm = NormKind::RmsNorm;
            config.activation = Activation::GeluTanh;
        }));
        check_backward(small(|config| {
            // Heads of width 1.
            config.heads = config.d_model;
            config.positions = Positions::Learned;
            config.max_positions = 8;
        }));
        check_backward(small(|config| {
            config.norm_placement = NormPlacement::None;
            config.gate = Some(0.6);
            config.parametrization = Parametrization::Ntk;
            config.logit_scale = LogitScale::InverseRootWidth;
        }));
        check_backward(small(|config| {
            config.norm_placement = NormPlacement::Post;
            config.positions = Positions::Learned;
            config.max_positions = 8;
            config.token_types = 2;
        }));
    }

    fn check_backward(mut model: Model) {
        let (batch, mut tape) = (batch(), Tape::default());
        loss(&model, &batch, &mut tape);
        let mut d_hidden: Vec<f32> = (0..tape.hidden().len()).map(|i| weight(i) as f32).collect();
        let mut gradient = vec![0.0; model.layout().len()];
        model.backward(&batch, &mut tape, &mut d_hidden, &mut gradient);
        // Along random directions within one parameter each, so that an error names its parameter.
        for slot in model.layout().slots().to_vec() {
            let mut generator = ChaCha8Rng::seed_from_u64(slot.range.start as u64);
            let direction: Vec<f32> = slot.range.clone().map(|_| generator.random_range(-1.0..1.0)).collect();
            let exact: f64 = gradient[slot.range.clone()]
                .iter()
                .zip(&direction)
                .map(|(&g, &u)| f64::from(g * u))
                .sum();
            let mut moved = |step: f32| {
                let kept = model.values()[slot.range.clone()].to_vec();
                add_direction(&mut model.values_mut()[slot.range.clone()], &direction, step);
                let loss = loss(&model, &batch, &mut tape);
                model.values_mut()[slot.range.clone()].copy_from_slice(&kept);
                loss
            };
            let step = 4e-3;
            let numeric = (8.0 * (moved(step) - moved(-step)) - (moved(2.0 * step) - moved(-2.0 * step)))
                / (12.0 * f64::from(step));
            let size: f64 = gradient[slot.range.clone()]
                .iter()
                .map(|&g| f64::from(g).powi(2))
                .sum::<f64>()
                .sqrt();
            assert!(
                (exact - numeric).abs() < 2e-3 * (1.0 + size),
                "{:?} {}: {exact} but {numeric}",
                model.config(),
                slot.name
            );
        }
    }

    fn add_direction(values: &mut [f32], direction: &[f32], step: f32) {
        for (value, u) in values.iter_mut().zip(direction) {
            *value += step * u;
        }
    }

    #[test]
    fn the_trace_holds_the_gradients_of_the_stream() {
        // Without dropout, the stream before the first branch is the embedding, so its gradient, summed by token, is that of the embedding.
        let model = small(|config| {
            config.norm_placement = NormPlacement::Pre;
            config.dropout = 0.0;
        });
        let (batch, mut tape) = (batch(), Tape::tracing());
        model.forward(&batch, &mut tape, None);
        let mut d_hidden: Vec<f32> = (0..tape.hidden().len()).map(|i| weight(i) as f32).collect();
        let mut gradient = vec![0.0; model.layout().len()];
        model.backward(&batch, &mut tape, &mut d_hidden, &mut gradient);
        let trace = tape.trace().unwrap();
        assert_eq!(trace.gradients.len(), trace.streams.len());
        let mut by_token = vec![0.0; 20 * 16];
        for (&token, row) in batch.tokens().iter().zip(trace.gradients[0].chunks(16)) {
            add(&mut by_token[token as usize * 16..][..16], row);
        }
        assert_eq!(by_token, gradient[model.layout().embedding.clone()]);
        // Only the final norm follows the last stream, and the backward pass of a norm gives gradients that sum to 0 over the features.
        let last = trace.gradients.last().unwrap();
        assert!(last.chunks(16).all(|row| row.iter().sum::<f32>().abs() < 1e-4));
    }

    #[test]
    fn sequences_of_a_batch_do_not_see_each_other() {
        let model = small(|_| ());
        let (mut together, mut alone) = (Tape::default(), Tape::default());
        model.forward(&batch(), &mut together, None);
        let mut single = PackedBatch::default();
        single.push(&[1, 8, 2], Mask::CAUSAL);
        model.forward(&single, &mut alone, None);
        for (a, b) in together.hidden()[8 * 16..11 * 16].iter().zip(alone.hidden()) {
            assert!((a - b).abs() < 1e-5);
        }
    }

    #[test]
    fn parts_of_a_sequence_stand_where_they_stood_in_it() {
        // With a window of 1, only positions can distinguish the tokens of the whole from those of its parts.
        let model = small(|config| {
            config.positions = Positions::Learned;
            config.max_positions = 8;
        });
        let hidden = |batch: &PackedBatch| {
            let mut tape = Tape::default();
            model.forward(batch, &mut tape, None);
            tape.hidden().to_vec()
        };
        let alone = Mask::BIDIRECTIONAL.within(1);
        let (mut whole, mut parts) = (PackedBatch::default(), PackedBatch::default());
        whole.push(&[1, 5, 6, 7, 8, 9, 2], alone);
        parts.push_apart(&[1, 5], &[9, 2], 3, alone);
        let (whole, parts) = (hidden(&whole), hidden(&parts));
        for (at, place) in [0, 1, 5, 6].into_iter().enumerate() {
            let same = whole[place * 16..][..16].iter().zip(&parts[at * 16..][..16]);
            assert!(same.into_iter().all(|(a, b)| (a - b).abs() < 1e-6), "{place}");
        }
    }

    #[test]
    fn a_pass_limited_to_outputs_computes_what_the_whole_does_there() {
        let placements = [
            NormPlacement::Pre,
            NormPlacement::Post,
            NormPlacement::DeepNorm,
            NormPlacement::Sandwich,
            NormPlacement::None,
        ];
        for (placement, outputs) in placements
            .into_iter()
            .flat_map(|placement| [&[0, 3, 4, 10, 13][..], &[14], &[0, 1], &[]].map(|outputs| (placement, outputs)))
        {
            let model = small(|config| config.norm_placement = placement);
            let width = model.config().d_model;
            let run = |batch: &PackedBatch| {
                let (mut tape, mut random) = (Tape::default(), ChaCha8Rng::seed_from_u64(11));
                model.forward(batch, &mut tape, Some(&mut random));
                let mut d_hidden = vec![0.0; tape.hidden().len()];
                for row in outputs {
                    (row * width..(row + 1) * width).for_each(|i| d_hidden[i] = weight(i) as f32);
                }
                let mut gradient = vec![0.0; model.layout().len()];
                model.backward(batch, &mut tape, &mut d_hidden, &mut gradient);
                (tape.hidden().to_vec(), gradient, random.next_u64())
            };
            let mut limited = batch();
            limited.set_outputs(outputs.iter().rev().copied());
            let (whole, limited) = (run(&batch()), run(&limited));
            let close = |one: &[f32], other: &[f32]| {
                one.iter()
                    .zip(other)
                    .all(|(a, b)| (a - b).abs() <= 2e-5 * (1.0 + a.abs()))
            };
            for row in outputs {
                let row = row * width..(row + 1) * width;
                assert!(
                    close(&whole.0[row.clone()], &limited.0[row]),
                    "{placement:?} {outputs:?}"
                );
            }
            assert!(close(&whole.1, &limited.1), "{placement:?} {outputs:?}");
            assert_eq!(whole.2, limited.2, "the generator goes on as after the whole pass");
        }
    }

    #[test]
    fn a_trace_has_all_rows_whatever_the_outputs_are() {
        let model = small(|_| ());
        let mut limited = batch();
        limited.set_outputs([2]);
        let streams = |batch: &PackedBatch| {
            let mut tape = Tape::tracing();
            model.forward(batch, &mut tape, None);
            tape.trace().unwrap().streams.clone()
        };
        assert_eq!(streams(&limited), streams(&batch()));
    }

    #[test]
    fn the_prefix_is_bidirectional_and_the_rest_causal() {
        let model = small(|config| config.norm_placement = NormPlacement::Post);
        let hidden = |tokens: &[Token]| {
            let (mut batch, mut tape) = (PackedBatch::default(), Tape::default());
            batch.push(tokens, Mask::unilm(3));
            model.forward(&batch, &mut tape, None);
            tape.hidden().to_vec()
        };
        let (one, other) = (hidden(&[1, 5, 2, 7, 8]), hidden(&[1, 5, 2, 7, 9]));
        assert_eq!(one[..4 * 16], other[..4 * 16], "what comes later is not seen");
        let changed = hidden(&[1, 5, 3, 7, 8]);
        assert!(
            (one[0] - changed[0]).abs() > 1e-6,
            "the first token sees the whole prefix"
        );
    }
}
