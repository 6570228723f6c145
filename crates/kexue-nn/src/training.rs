//! Forward with everything kept, and backward: the training hot path on a CPU.
//!
//! A batch is packed: the tokens of all sequences one after another, without padding, so that the linear layers are single large
//! matrix products and no work goes into positions that do not exist.

use crate::kernels::{
    Rotary, Shape, add, gelu, gelu_backward, layer_norm, layer_norm_backward, linear, linear_backward, matmul, softmax,
};
use crate::model::{Model, Token};
use crate::parameters::Pair;
use crate::{NormPlacement, TransformerConfig};
use rand::{Rng, RngCore};

/// Sequences packed one after another.
#[derive(Clone, Debug, Default)]
pub struct PackedBatch {
    /// The tokens of all sequences.
    tokens: Vec<Token>,
    /// End of each sequence in `tokens`, and how many of its first tokens every one of them sees.
    sequences: Vec<(usize, usize)>,
}

impl PackedBatch {
    /// Empties the batch.
    pub fn clear(&mut self) {
        self.tokens.clear();
        self.sequences.clear();
    }

    /// Adds a sequence and returns the row of its first token.
    ///
    /// Its first `prefix` tokens see each other; those after see what stands before them and themselves. So 0 is a causal model,
    /// `tokens.len()` a bidirectional one, and the length of the question UniLM (arXiv 1905.03197).
    pub fn push(&mut self, tokens: &[Token], prefix: usize) -> usize {
        let start = self.tokens.len();
        self.tokens.extend_from_slice(tokens);
        self.sequences.push((self.tokens.len(), prefix.min(tokens.len())));
        start
    }

    /// Number of tokens.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether there are no tokens.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// The sequences as (first row, length, prefix).
    fn sequences(&self) -> impl Iterator<Item = (usize, usize, usize)> {
        let mut start = 0;
        self.sequences.iter().map(move |&(end, prefix)| {
            let sequence = (start, end - start, prefix);
            start = end;
            sequence
        })
    }
}

/// How many keys the query at `position` sees in a sequence whose first `prefix` tokens see each other.
#[inline]
pub(crate) fn visible_keys(position: usize, prefix: usize) -> usize {
    prefix.max(position + 1)
}

#[derive(Debug, Default)]
struct NormTape {
    normal: Vec<f32>,
    inverse_std: Vec<f32>,
}

#[derive(Debug, Default)]
struct BlockTape {
    /// What the attention reads: normed (pre) or plain (post) `[tokens, d_model]`.
    attention_input: Vec<f32>,
    attention_norm: NormTape,
    /// Turned and scaled queries, turned keys, values: `[tokens, 3·d_model]`.
    query_key_value: Vec<f32>,
    /// For each sequence and head `[length, length]`.
    probabilities: Vec<f32>,
    /// Heads side by side, before the output layer: `[tokens, d_model]`.
    context: Vec<f32>,
    attention_kept: Vec<u8>,
    ffn_input: Vec<f32>,
    ffn_norm: NormTape,
    /// Before the GELU: `[tokens, d_ffn]`.
    up: Vec<f32>,
    /// After it.
    activated: Vec<f32>,
    ffn_kept: Vec<u8>,
}

/// What the forward pass keeps for the backward pass, and the memory of both; reused from batch to batch.
#[derive(Debug, Default)]
pub struct Tape {
    /// The residual stream; after the forward pass the last hidden state `[tokens, d_model]`.
    hidden: Vec<f32>,
    embedding_kept: Vec<u8>,
    outer_norm: NormTape,
    blocks: Vec<BlockTape>,
    rotary: Rotary,
    scratch: Vec<f32>,
    wide: Vec<f32>,
    scores: Vec<f32>,
}

impl Tape {
    /// The last hidden state, `[tokens, d_model]`.
    pub fn hidden(&self) -> &[f32] {
        &self.hidden
    }
}

/// Drops elements with a probability that is a multiple of 1/256, so that one random byte decides one element.
#[derive(Clone, Copy)]
struct Dropout {
    dropped: u8,
}

impl Dropout {
    fn new(probability: f32) -> Self {
        Self {
            dropped: (probability * 256.0).round().clamp(0.0, 255.0) as u8,
        }
    }

    fn scale(self) -> f32 {
        256.0 / (256.0 - f32::from(self.dropped))
    }

    fn forward(self, x: &mut [f32], kept: &mut Vec<u8>, generator: Option<&mut (impl Rng + ?Sized)>) {
        kept.clear();
        let Some(generator) = generator.filter(|_| self.dropped > 0) else {
            return;
        };
        kept.resize(x.len(), 0);
        generator.fill_bytes(kept);
        let scale = self.scale();
        for (x, kept) in x.iter_mut().zip(kept) {
            *kept = u8::from(*kept >= self.dropped);
            *x *= f32::from(*kept) * scale;
        }
    }

    fn backward(self, dx: &mut [f32], kept: &[u8]) {
        let scale = self.scale();
        for (dx, &kept) in dx.iter_mut().zip(kept) {
            *dx *= f32::from(kept) * scale;
        }
    }
}

fn resize(buffer: &mut Vec<f32>, length: usize) -> &mut [f32] {
    buffer.resize(length.max(buffer.len()), 0.0);
    &mut buffer[..length]
}

impl Model {
    fn norm(&self, y: &mut [f32], tape: &mut NormTape, x: &[f32], at: &Pair) {
        let normal = resize(&mut tape.normal, x.len());
        let inverse_std = resize(&mut tape.inverse_std, x.len() / self.config().d_model);
        let (gamma, beta) = (self.at(&at.weight), self.at(&at.bias));
        layer_norm(y, normal, inverse_std, x, gamma, beta, self.config().norm_epsilon);
    }

    fn norm_backward(&self, dx: &mut [f32], gradient: &mut [f32], dy: &[f32], tape: &NormTape, at: &Pair) {
        let (dgamma, dbeta) = two(gradient, at);
        let normal = &tape.normal[..dy.len()];
        let inverse_std = &tape.inverse_std[..dy.len() / self.config().d_model];
        layer_norm_backward(dx, dgamma, dbeta, dy, normal, inverse_std, self.at(&at.weight));
    }

    /// Runs the model over a batch and keeps what [`Model::backward`] needs; the hidden states are then in [`Tape::hidden`].
    ///
    /// Dropout happens when there is a generator to draw from.
    pub fn forward(&self, batch: &PackedBatch, tape: &mut Tape, mut generator: Option<&mut dyn RngCore>) {
        let config = self.config();
        let layout = self.layout();
        let (d, rows) = (config.d_model, batch.len());
        let pre = config.norm_placement == NormPlacement::Pre;
        let dropout = Dropout::new(config.dropout);
        tape.blocks.resize_with(config.layers, BlockTape::default);
        tape.rotary.for_heads(config.head_dim());
        tape.rotary
            .reserve(batch.sequences().map(|(_, length, _)| length).max().unwrap_or(0));

        tape.hidden.resize(rows * d, 0.0);
        let hidden = &mut tape.hidden[..];
        let embedding = self.at(&layout.embedding);
        for (row, &token) in hidden.chunks_exact_mut(d).zip(&batch.tokens) {
            row.copy_from_slice(&embedding[token as usize * d..][..d]);
        }
        let scratch = resize(&mut tape.scratch, rows * d);
        if !pre {
            self.norm(scratch, &mut tape.outer_norm, hidden, &layout.outer_norm);
            hidden.copy_from_slice(scratch);
        }
        dropout.forward(hidden, &mut tape.embedding_kept, generator.as_deref_mut());

        for (block, at) in tape.blocks.iter_mut().zip(&layout.blocks) {
            let input = resize(&mut block.attention_input, rows * d);
            if pre {
                self.norm(input, &mut block.attention_norm, hidden, &at.attention_norm);
            } else {
                input.copy_from_slice(hidden);
            }
            let qkv = resize(&mut block.query_key_value, rows * 3 * d);
            linear(
                qkv,
                input,
                self.at(&at.query_key_value.weight),
                self.at(&at.query_key_value.bias),
                rows,
            );
            let context = resize(&mut block.context, rows * d);
            attention(config, batch, &tape.rotary, qkv, &mut block.probabilities, context);
            linear(
                scratch,
                context,
                self.at(&at.attention_output.weight),
                self.at(&at.attention_output.bias),
                rows,
            );
            dropout.forward(scratch, &mut block.attention_kept, generator.as_deref_mut());
            add(hidden, scratch);

            let input = resize(&mut block.ffn_input, rows * d);
            if pre {
                self.norm(input, &mut block.ffn_norm, hidden, &at.ffn_norm);
            } else {
                self.norm(input, &mut block.attention_norm, hidden, &at.attention_norm);
                hidden.copy_from_slice(input);
            }
            let up = resize(&mut block.up, rows * config.d_ffn);
            linear(up, input, self.at(&at.up.weight), self.at(&at.up.bias), rows);
            let activated = resize(&mut block.activated, rows * config.d_ffn);
            gelu(activated, up);
            linear(
                scratch,
                activated,
                self.at(&at.down.weight),
                self.at(&at.down.bias),
                rows,
            );
            dropout.forward(scratch, &mut block.ffn_kept, generator.as_deref_mut());
            add(hidden, scratch);
            if !pre {
                self.norm(scratch, &mut block.ffn_norm, hidden, &at.ffn_norm);
                hidden.copy_from_slice(scratch);
            }
        }
        if pre {
            self.norm(scratch, &mut tape.outer_norm, hidden, &layout.outer_norm);
            hidden.copy_from_slice(scratch);
        }
    }

    /// Adds to `gradient` (as long as the parameters) the gradient of a loss whose derivative with respect to the last hidden state is
    /// `d_hidden`, `[tokens, d_model]`, which is used up. The batch and the tape are those of the last [`Model::forward`].
    pub fn backward(&self, batch: &PackedBatch, tape: &mut Tape, d_hidden: &mut [f32], gradient: &mut [f32]) {
        let config = self.config();
        let layout = self.layout();
        let (d, rows) = (config.d_model, batch.len());
        let pre = config.norm_placement == NormPlacement::Pre;
        let dropout = Dropout::new(config.dropout);
        let scratch = resize(&mut tape.scratch, rows * d);
        // Derivatives of what is three or d_ffn wide, and of a branch's input.
        let wide = resize(&mut tape.wide, rows * (config.d_ffn.max(3 * d) + d));
        let (wide, branch) = wide.split_at_mut(rows * config.d_ffn.max(3 * d));

        if pre {
            scratch.copy_from_slice(d_hidden);
            d_hidden.fill(0.0);
            self.norm_backward(d_hidden, gradient, scratch, &tape.outer_norm, &layout.outer_norm);
        }
        for (block, at) in tape.blocks.iter_mut().zip(&layout.blocks).rev() {
            if !pre {
                scratch.copy_from_slice(d_hidden);
                d_hidden.fill(0.0);
                self.norm_backward(d_hidden, gradient, scratch, &block.ffn_norm, &at.ffn_norm);
            }
            // d_hidden is now the derivative of x + F(x); the identity path keeps it as it is.
            scratch.copy_from_slice(d_hidden);
            dropout.backward(scratch, &block.ffn_kept);
            let d_up = &mut wide[..rows * config.d_ffn];
            let activated = &block.activated[..rows * config.d_ffn];
            let (dw, db) = two(gradient, &at.down);
            linear_backward(d_up, dw, db, scratch, activated, self.at(&at.down.weight), rows, false);
            gelu_backward(d_up, &block.up[..rows * config.d_ffn]);
            let (dw, db) = two(gradient, &at.up);
            let input = &block.ffn_input[..rows * d];
            linear_backward(branch, dw, db, d_up, input, self.at(&at.up.weight), rows, false);
            if pre {
                self.norm_backward(d_hidden, gradient, branch, &block.ffn_norm, &at.ffn_norm);
            } else {
                add(d_hidden, branch);
                scratch.copy_from_slice(d_hidden);
                d_hidden.fill(0.0);
                self.norm_backward(d_hidden, gradient, scratch, &block.attention_norm, &at.attention_norm);
            }

            scratch.copy_from_slice(d_hidden);
            dropout.backward(scratch, &block.attention_kept);
            let (dw, db) = two(gradient, &at.attention_output);
            let context = &block.context[..rows * d];
            linear_backward(
                branch,
                dw,
                db,
                scratch,
                context,
                self.at(&at.attention_output.weight),
                rows,
                false,
            );
            let d_qkv = &mut wide[..rows * 3 * d];
            let qkv = &block.query_key_value[..rows * 3 * d];
            attention_backward(
                config,
                batch,
                &tape.rotary,
                qkv,
                &block.probabilities,
                branch,
                d_qkv,
                &mut tape.scores,
            );
            let (dw, db) = two(gradient, &at.query_key_value);
            let input = &block.attention_input[..rows * d];
            linear_backward(
                branch,
                dw,
                db,
                d_qkv,
                input,
                self.at(&at.query_key_value.weight),
                rows,
                false,
            );
            if pre {
                self.norm_backward(d_hidden, gradient, branch, &block.attention_norm, &at.attention_norm);
            } else {
                add(d_hidden, branch);
            }
        }
        dropout.backward(d_hidden, &tape.embedding_kept);
        if !pre {
            scratch.copy_from_slice(d_hidden);
            d_hidden.fill(0.0);
            self.norm_backward(d_hidden, gradient, scratch, &tape.outer_norm, &layout.outer_norm);
        }
        let d_embedding = &mut gradient[layout.embedding.clone()];
        for (row, &token) in d_hidden.chunks_exact(d).zip(&batch.tokens) {
            add(&mut d_embedding[token as usize * d..][..d], row);
        }
    }
}

/// The weight's and the bias's part of the gradient; the weight stands before the bias in every layout.
fn two<'a>(gradient: &'a mut [f32], at: &Pair) -> (&'a mut [f32], &'a mut [f32]) {
    let (first, second) = gradient.split_at_mut(at.bias.start);
    (&mut first[at.weight.clone()], &mut second[..at.bias.len()])
}

/// Turns and scales `qkv` in place, fills the probabilities of every sequence and head, and `context`.
fn attention(
    config: &TransformerConfig,
    batch: &PackedBatch,
    rotary: &Rotary,
    qkv: &mut [f32],
    probabilities: &mut Vec<f32>,
    context: &mut [f32],
) {
    let (d, head_dim) = (config.d_model, config.head_dim());
    let squares: usize = batch.sequences().map(|(_, length, _)| length * length).sum();
    let mut probabilities = resize(probabilities, squares * config.heads);
    for (start, length, prefix) in batch.sequences() {
        let qkv = &mut qkv[start * 3 * d..][..length * 3 * d];
        for (position, row) in qkv.chunks_exact_mut(3 * d).enumerate() {
            rotary.turn(&mut row[..2 * d], position, false);
            let factor = config.attention_scale.factor(visible_keys(position, prefix), head_dim);
            row[..d].iter_mut().for_each(|q| *q *= factor);
        }
        let strided = Shape::strided(length, head_dim, 3 * d);
        for head in 0..config.heads {
            let here;
            (here, probabilities) = std::mem::take(&mut probabilities).split_at_mut(length * length);
            let square = Shape::dense(length, length);
            let (q, k, v) = (
                &qkv[head * head_dim..],
                &qkv[d + head * head_dim..],
                &qkv[2 * d + head * head_dim..],
            );
            matmul(here, square, q, strided, k, strided.t(), false);
            for (position, row) in here.chunks_exact_mut(length).enumerate() {
                let (seen, hidden) = row.split_at_mut(visible_keys(position, prefix));
                softmax(seen);
                hidden.fill(0.0);
            }
            let out = &mut context[start * d + head * head_dim..];
            matmul(
                out,
                Shape::strided(length, head_dim, d),
                here,
                square,
                v,
                strided,
                false,
            );
        }
    }
}

/// The gradient of [`attention`] with respect to the untouched `qkv`, from that of the context.
#[allow(clippy::too_many_arguments)]
fn attention_backward(
    config: &TransformerConfig,
    batch: &PackedBatch,
    rotary: &Rotary,
    qkv: &[f32],
    mut probabilities: &[f32],
    d_context: &[f32],
    d_qkv: &mut [f32],
    scores: &mut Vec<f32>,
) {
    let (d, head_dim) = (config.d_model, config.head_dim());
    for (start, length, prefix) in batch.sequences() {
        let qkv = &qkv[start * 3 * d..][..length * 3 * d];
        let d_qkv = &mut d_qkv[start * 3 * d..][..length * 3 * d];
        let square = Shape::dense(length, length);
        let strided = Shape::strided(length, head_dim, 3 * d);
        for head in 0..config.heads {
            let here;
            (here, probabilities) = probabilities.split_at(length * length);
            let at = head * head_dim;
            let d_out = &d_context[start * d + at..];
            let out = Shape::strided(length, head_dim, d);
            matmul(&mut d_qkv[2 * d + at..], strided, here, square.t(), d_out, out, false);
            let d_scores = resize(scores, length * length);
            matmul(d_scores, square, d_out, out, &qkv[2 * d + at..], strided.t(), false);
            for (d_row, row) in d_scores.chunks_exact_mut(length).zip(here.chunks_exact(length)) {
                let mean = crate::kernels::dot(d_row, row);
                for (d, p) in d_row.iter_mut().zip(row) {
                    *d = p * (*d - mean);
                }
            }
            matmul(
                &mut d_qkv[at..],
                strided,
                d_scores,
                square,
                &qkv[d + at..],
                strided,
                false,
            );
            matmul(
                &mut d_qkv[d + at..],
                strided,
                d_scores,
                square.t(),
                &qkv[at..],
                strided,
                false,
            );
        }
        for (position, row) in d_qkv.chunks_exact_mut(3 * d).enumerate() {
            let factor = config.attention_scale.factor(visible_keys(position, prefix), head_dim);
            row[..d].iter_mut().for_each(|q| *q *= factor);
            rotary.turn(&mut row[..2 * d], position, true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AttentionScale;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    fn small(norm_placement: NormPlacement, attention_scale: AttentionScale) -> Model {
        let config = TransformerConfig {
            d_model: 16,
            layers: 2,
            heads: 2,
            d_ffn: 24,
            norm_placement,
            attention_scale,
            dropout: 0.25,
            initial_std: 0.3,
            ..TransformerConfig::new(20)
        };
        Model::new(config, &mut ChaCha8Rng::seed_from_u64(3)).unwrap()
    }

    fn batch() -> PackedBatch {
        let mut batch = PackedBatch::default();
        batch.push(&[1, 5, 6, 7, 2, 9, 10, 2], 5);
        batch.push(&[1, 8, 2], 0);
        batch.push(&[3, 4, 4, 11], 4);
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
        let invariant = AttentionScale::EntropyInvariant { base: 512.0 };
        for (norm, scale) in [
            (NormPlacement::Pre, AttentionScale::Ordinary),
            (NormPlacement::Post, AttentionScale::Ordinary),
            (NormPlacement::Pre, invariant),
        ] {
            let mut model = small(norm, scale);
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
                    "{norm:?} {scale:?} {}: {exact} but {numeric}",
                    slot.name
                );
            }
        }
    }

    fn add_direction(values: &mut [f32], direction: &[f32], step: f32) {
        for (value, u) in values.iter_mut().zip(direction) {
            *value += step * u;
        }
    }

    #[test]
    fn sequences_of_a_batch_do_not_see_each_other() {
        let model = small(NormPlacement::Pre, AttentionScale::Ordinary);
        let (mut together, mut alone) = (Tape::default(), Tape::default());
        model.forward(&batch(), &mut together, None);
        let mut single = PackedBatch::default();
        single.push(&[1, 8, 2], 0);
        model.forward(&single, &mut alone, None);
        for (a, b) in together.hidden()[8 * 16..11 * 16].iter().zip(alone.hidden()) {
            assert!((a - b).abs() < 1e-5);
        }
    }

    #[test]
    fn the_prefix_is_bidirectional_and_the_rest_causal() {
        let model = small(NormPlacement::Post, AttentionScale::Ordinary);
        let hidden = |tokens: &[Token]| {
            let (mut batch, mut tape) = (PackedBatch::default(), Tape::default());
            batch.push(tokens, 3);
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

    #[test]
    fn dropout_keeps_the_mean() {
        let dropout = Dropout::new(0.25);
        let mut x = vec![1.0; 100_000];
        let mut kept = Vec::new();
        dropout.forward(&mut x, &mut kept, Some(&mut ChaCha8Rng::seed_from_u64(0)));
        let mean = x.iter().sum::<f32>() / x.len() as f32;
        assert!((mean - 1.0).abs() < 4.0 * (1.0f32 / 3.0 / 100_000.0).sqrt());
    }
}
