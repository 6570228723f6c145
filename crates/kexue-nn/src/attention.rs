//! Attention over packed sequences, forward and backward, and the entropy of its rows.

use crate::Positions;
use crate::TransformerConfig;
use crate::batch::{PackedBatch, Sequence};
use crate::kernels::{ColumnBlocks, Rotary, SET, Shape, Work, dot, matmul, resize, softmax};
use rayon::prelude::*;

/// Rotates the query and key of one token, `[3·d_model]`, to its position, and scales the query for the number of keys it sees. With
/// `backward`, does the same to their gradient.
pub(crate) fn rotate_and_scale(
    config: &TransformerConfig,
    rotary: &Rotary,
    row: &mut [f32],
    position: usize,
    keys: usize,
    backward: bool,
) {
    let d = config.d_model;
    let factor = config.attention_scale.factor(keys, config.head_dim());
    row[..d].iter_mut().for_each(|q| *q *= factor);
    if config.positions == Positions::Rotary {
        rotary.rotate(&mut row[..2 * d], position, backward);
    }
}

/// Queries and keys of a sequence whose mask caps rotary distances (ReRoPE, article 9708).
struct Rectified {
    distance: usize,
    /// `[length, 3·d_model]`: queries rotated by the distance, keys without rotation, queries rotated back by the distance. The product of one of the
    /// queries and a key is their score at exactly that distance.
    rows: Vec<f32>,
    /// Scores of a head, `[length, length]`, for keys before their query and for keys after it.
    before: Vec<f32>,
    after: Vec<f32>,
}

impl Rectified {
    /// Computes them from `qkv` before rotation. `None` if no distance exceeds the cap.
    fn new(config: &TransformerConfig, rotary: &Rotary, sequence: &Sequence, qkv: &[f32]) -> Option<Self> {
        let distance = sequence.mask.max_distance();
        if config.positions != Positions::Rotary || sequence.position(sequence.length - 1) <= distance {
            return None;
        }
        let d = config.d_model;
        let mut rows = qkv.to_vec();
        for (at, row) in rows.chunks_exact_mut(3 * d).enumerate() {
            let keys = sequence.visible(at).len();
            let factor = config.attention_scale.factor(keys, config.head_dim());
            let (query, rest) = row.split_at_mut(d);
            query.iter_mut().for_each(|q| *q *= factor);
            rest[d..].copy_from_slice(query);
            rotary.rotate(query, distance, false);
            rotary.rotate(&mut rest[d..], distance, true);
        }
        let square = sequence.length.pow(2);
        Some(Self {
            distance,
            rows,
            before: vec![0.0; square],
            after: vec![0.0; square],
        })
    }

    /// Replaces the scores of keys beyond the cap, `[length, length]`.
    fn correct(&mut self, config: &TransformerConfig, sequence: &Sequence, head: usize, scores: &mut [f32]) {
        let (d, head_dim, length) = (config.d_model, config.head_dim(), sequence.length);
        let square = Shape::dense(length, length);
        let strided = Shape::strided(length, head_dim, 3 * d);
        let [first, keys, last] = [0, 1, 2].map(|part| &self.rows[part * d + head * head_dim..]);
        matmul(&mut self.before, square, first, strided, keys, strided.t(), SET);
        matmul(&mut self.after, square, last, strided, keys, strided.t(), SET);
        for query in 0..length {
            let row = query * length..(query + 1) * length;
            let position = sequence.position(query);
            let far = self.before[row.clone()].iter().zip(&self.after[row.clone()]);
            for (key, (score, (before, after))) in scores[row].iter_mut().zip(far).enumerate() {
                let other = sequence.position(key);
                if other + self.distance < position {
                    *score = *before;
                } else if position + self.distance < other {
                    *score = *after;
                }
            }
        }
    }
}

/// The buffer of the probabilities, `[length, length]` for each sequence and head.
pub(crate) struct Probabilities<'a> {
    pub buffer: &'a mut Vec<f32>,
    /// Whether the probabilities of all heads are kept; otherwise each head overwrites those of the one before.
    pub kept: bool,
}

/// Rotates and scales `qkv` `[tokens, 3·d_model]` in place, and fills the probabilities of every sequence and head and `context`
/// `[tokens, d_model]`.
pub(crate) fn forward(
    config: &TransformerConfig,
    batch: &PackedBatch,
    rotary: &Rotary,
    qkv: &mut [f32],
    probabilities: Probabilities<'_>,
    context: &mut [f32],
) {
    let (d, head_dim) = (config.d_model, config.head_dim());
    let squares: usize = if probabilities.kept {
        let squares = batch.sequences().iter().map(|sequence| sequence.length.pow(2));
        squares.sum::<usize>() * config.heads
    } else {
        batch.longest().pow(2)
    };
    let all = resize(probabilities.buffer, squares);
    let mut used = 0;
    for sequence in batch.sequences() {
        let (start, length) = (sequence.start, sequence.length);
        let qkv = &mut qkv[start * 3 * d..][..length * 3 * d];
        let mut rectified = Rectified::new(config, rotary, sequence, qkv);
        for (at, row) in qkv.chunks_exact_mut(3 * d).enumerate() {
            let keys = sequence.visible(at).len();
            rotate_and_scale(config, rotary, row, sequence.position(at), keys, false);
        }
        let strided = Shape::strided(length, head_dim, 3 * d);
        for head in 0..config.heads {
            let here = &mut all[used..][..length * length];
            if probabilities.kept {
                used += length * length;
            }
            let square = Shape::dense(length, length);
            let (q, k, v) = (
                &qkv[head * head_dim..],
                &qkv[d + head * head_dim..],
                &qkv[2 * d + head * head_dim..],
            );
            matmul(here, square, q, strided, k, strided.t(), SET);
            if let Some(rectified) = &mut rectified {
                rectified.correct(config, sequence, head, here);
            }
            for (position, row) in here.chunks_exact_mut(length).enumerate() {
                let visible = sequence.visible(position);
                row[..visible.start].fill(0.0);
                row[visible.end..].fill(0.0);
                softmax(&mut row[visible]);
            }
            let out = &mut context[start * d + head * head_dim..];
            matmul(out, Shape::strided(length, head_dim, d), here, square, v, strided, SET);
        }
    }
}

/// Like [`forward`], but keeps no probabilities and divides the work by the heads of each sequence.
///
/// `buffer` is working memory for `[heads, length, length]` of the longest sequence.
#[allow(unsafe_code)]
pub(crate) fn forward_by_heads(
    config: &TransformerConfig,
    batch: &PackedBatch,
    rotary: &Rotary,
    qkv: &mut [f32],
    buffer: &mut Vec<f32>,
    context: &mut [f32],
    work: Work,
) {
    let (d, head_dim) = (config.d_model, config.head_dim());
    let all = resize(buffer, config.heads * batch.longest().pow(2));
    for sequence in batch.sequences() {
        let (start, length) = (sequence.start, sequence.length);
        let qkv = &mut qkv[start * 3 * d..][..length * 3 * d];
        for (at, row) in qkv.chunks_exact_mut(3 * d).enumerate() {
            let keys = sequence.visible(at).len();
            rotate_and_scale(config, rotary, row, sequence.position(at), keys, false);
        }
        let qkv = &*qkv;
        let (square, strided) = (Shape::dense(length, length), Shape::strided(length, head_dim, 3 * d));
        let out = ColumnBlocks::new(&mut context[start * d..], length, d);
        let head = |(head, here): (usize, &mut [f32])| {
            let at = head * head_dim;
            let (q, k, v) = (&qkv[at..], &qkv[d + at..], &qkv[2 * d + at..]);
            matmul(here, square, q, strided, k, strided.t(), SET);
            for (position, row) in here.chunks_exact_mut(length).enumerate() {
                let visible = sequence.visible(position);
                row[..visible.start].fill(0.0);
                row[visible.end..].fill(0.0);
                softmax(&mut row[visible]);
            }
            // SAFETY: heads are disjoint ranges of columns.
            unsafe { out.multiply(at..at + head_dim, (here, square), (v, strided), (&[], 1.0)) };
        };
        let probabilities = &mut all[..config.heads * length * length];
        match work {
            Work::ParallelPieces => probabilities
                .par_chunks_exact_mut(length * length)
                .enumerate()
                .for_each(head),
            Work::Whole | Work::Pieces => probabilities
                .chunks_exact_mut(length * length)
                .enumerate()
                .for_each(head),
        }
    }
}

/// The gradient of [`forward`] with respect to the original `qkv`, given that of the context.
#[allow(clippy::too_many_arguments)]
pub(crate) fn backward(
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
    for sequence in batch.sequences() {
        let (start, length) = (sequence.start, sequence.length);
        let qkv = &qkv[start * 3 * d..][..length * 3 * d];
        let d_qkv = &mut d_qkv[start * 3 * d..][..length * 3 * d];
        let square = Shape::dense(length, length);
        let strided = Shape::strided(length, head_dim, 3 * d);
        for head in 0..config.heads {
            let here;
            (here, probabilities) = probabilities.split_at(length * length);
            let at = head * head_dim;
            let (q, k, v) = (&qkv[at..], &qkv[d + at..], &qkv[2 * d + at..]);
            let d_out = &d_context[start * d + at..];
            let out = Shape::strided(length, head_dim, d);
            matmul(&mut d_qkv[2 * d + at..], strided, here, square.t(), d_out, out, SET);
            let d_scores = resize(scores, length * length);
            matmul(d_scores, square, d_out, out, v, strided.t(), SET);
            for (d_row, row) in d_scores.chunks_exact_mut(length).zip(here.chunks_exact(length)) {
                let mean = dot(d_row, row);
                for (d, p) in d_row.iter_mut().zip(row) {
                    *d = p * (*d - mean);
                }
            }
            matmul(&mut d_qkv[at..], strided, d_scores, square, k, strided, SET);
            matmul(&mut d_qkv[d + at..], strided, d_scores, square.t(), q, strided, SET);
        }
        for (at, row) in d_qkv.chunks_exact_mut(3 * d).enumerate() {
            let keys = sequence.visible(at).len();
            rotate_and_scale(config, rotary, row, sequence.position(at), keys, true);
        }
    }
}

/// The mean entropy of each head's rows in nats, `[heads]`, over all queries of a batch.
pub(crate) fn entropy(batch: &PackedBatch, heads: usize, mut probabilities: &[f32]) -> Vec<f64> {
    let mut sums = vec![0.0; heads];
    for sequence in batch.sequences() {
        for sum in &mut sums {
            let here;
            (here, probabilities) = probabilities.split_at(sequence.length.pow(2));
            let row_entropy = |row: &[f32]| {
                let term = |&p: &f32| {
                    if p > 0.0 {
                        -f64::from(p) * f64::from(p).ln()
                    } else {
                        0.0
                    }
                };
                row.iter().map(term).sum::<f64>()
            };
            *sum += here.chunks_exact(sequence.length).map(row_entropy).sum::<f64>();
        }
    }
    sums.iter().map(|sum| sum / batch.len().max(1) as f64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AttentionScale, Mask};
    use rand::{Rng, SeedableRng};

    fn config(attention_scale: AttentionScale) -> TransformerConfig {
        TransformerConfig {
            d_model: 12,
            heads: 3,
            positions: Positions::Learned,
            max_positions: 600,
            attention_scale,
            ..TransformerConfig::new(10)
        }
    }

    fn kept(buffer: &mut Vec<f32>) -> Probabilities<'_> {
        Probabilities { buffer, kept: true }
    }

    /// Prefixes and windows of every kind of mask.
    fn masks(length: usize) -> impl Iterator<Item = (usize, usize)> {
        let prefixes = [usize::MAX, 0, length / 3].into_iter();
        prefixes.flat_map(|prefix| [(prefix, usize::MAX), (prefix, 4)])
    }

    /// Queries one by one, from the definition: n is counted in the row of the full mask.
    fn naive(
        config: &TransformerConfig,
        qkv: &[f32],
        length: usize,
        (prefix, window): (usize, usize),
    ) -> (Vec<f32>, Vec<f64>) {
        let (d, head_dim) = (config.d_model, config.head_dim());
        let element = |part: usize, row: usize, i: usize| f64::from(qkv[row * 3 * d + part * d + i]);
        let (mut context, mut entropies) = (vec![0.0; length * d], vec![0.0; config.heads]);
        for query in 0..length {
            let seen: Vec<usize> = (0..length)
                .filter(|&key| (key <= query || key < prefix) && key.abs_diff(query) < window)
                .collect();
            let n = seen.len() as f64;
            let root = (head_dim as f64).sqrt();
            let scale = match config.attention_scale {
                AttentionScale::Ordinary => 1.0 / root,
                AttentionScale::EntropyInvariant { base } => n.log(base) / root,
                AttentionScale::EntropyInvariantKappa { kappa } => kappa * n.ln() / head_dim as f64,
                AttentionScale::InferenceClip { trained_length } => n.log(trained_length as f64).max(1.0) / root,
                AttentionScale::Fixed { factor } => factor,
            };
            for (head, entropy) in entropies.iter_mut().enumerate() {
                let at = head * head_dim;
                let score = |&key: &usize| {
                    let products = (at..at + head_dim).map(|i| element(0, query, i) * element(1, key, i));
                    (scale * products.sum::<f64>()).exp()
                };
                let weights: Vec<f64> = seen.iter().map(score).collect();
                let total: f64 = weights.iter().sum();
                for (&key, weight) in seen.iter().zip(&weights) {
                    let p = weight / total;
                    *entropy -= p * p.ln() / length as f64;
                    for i in at..at + head_dim {
                        context[query * d + i] += (p * element(2, key, i)) as f32;
                    }
                }
            }
        }
        (context, entropies)
    }

    #[test]
    fn every_scale_under_every_mask_is_the_definition() {
        let mut generator = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        let scales = [
            AttentionScale::Ordinary,
            AttentionScale::EntropyInvariant { base: 512.0 },
            AttentionScale::EntropyInvariantKappa { kappa: 0.7 },
            AttentionScale::InferenceClip { trained_length: 3 },
            AttentionScale::Fixed { factor: 1.0 },
        ];
        for scale in scales {
            let config = config(scale);
            for length in [1, 2, 9, 17] {
                for (prefix, window) in masks(length) {
                    let mask = Mask::unilm(prefix).within(window);
                    let mut batch = PackedBatch::default();
                    // The document before it, and its padding, must not count.
                    let before = 5;
                    batch
                        .push_padded(&[1; 8], &[1, 1, 1, 1, 1, 0, 0, 0], 8, Mask::BIDIRECTIONAL)
                        .unwrap();
                    batch.push(&vec![1; length], mask);
                    let mut qkv: Vec<f32> = (0..batch.len() * 36)
                        .map(|_| generator.random_range(-2.0..2.0))
                        .collect();
                    // The padded row is that of its five tokens alone.
                    let (padded, _) = naive(&config, &qkv, before, (usize::MAX, usize::MAX));
                    let (expected, entropies) = naive(&config, &qkv[before * 36..], length, (prefix, window));
                    let mut context = vec![0.0; batch.len() * 12];
                    let mut probabilities = Vec::new();
                    forward(
                        &config,
                        &batch,
                        &Rotary::default(),
                        &mut qkv,
                        kept(&mut probabilities),
                        &mut context,
                    );
                    assert_eq!(
                        context.len(),
                        padded.len() + expected.len(),
                        "nothing is computed for padding"
                    );
                    for (found, expected) in context.iter().zip(padded.iter().chain(&expected)) {
                        assert!(
                            (found - expected).abs() < 1e-5,
                            "{scale:?} {mask:?} {length}: {found} {expected}"
                        );
                    }
                    let mut alone = PackedBatch::default();
                    alone.push(&vec![1; length], mask);
                    let found = entropy(&alone, 3, &probabilities[3 * before * before..]);
                    for (found, expected) in found.iter().zip(&entropies) {
                        assert!(
                            (found - expected).abs() < 1e-5,
                            "{scale:?} {mask:?} {length}: {found} {expected}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn at_512_keys_entropy_invariant_is_ordinary_bit_for_bit() {
        let mut generator = rand_chacha::ChaCha8Rng::seed_from_u64(2);
        let mut batch = PackedBatch::default();
        batch.push(&vec![1; 512], Mask::BIDIRECTIONAL);
        let qkv: Vec<f32> = (0..512 * 36).map(|_| generator.random_range(-2.0..2.0)).collect();
        let context = |scale| {
            let mut context = vec![0.0; 512 * 12];
            forward(
                &config(scale),
                &batch,
                &Rotary::default(),
                &mut qkv.clone(),
                kept(&mut Vec::new()),
                &mut context,
            );
            context
        };
        let invariant = context(AttentionScale::EntropyInvariant { base: 512.0 });
        let ordinary = context(AttentionScale::Ordinary);
        assert!(invariant.iter().zip(&ordinary).all(|(a, b)| a.to_bits() == b.to_bits()));
    }

    /// The law behind the scale (article 8823): as n grows, the entropy of random queries and keys grows less than with the ordinary scale.
    #[test]
    fn entropy_grows_less_under_the_invariant_scale() {
        let mut generator = rand_chacha::ChaCha8Rng::seed_from_u64(3);
        let mut entropy_at = |scale, length: usize| {
            let config = config(scale);
            let mut batch = PackedBatch::default();
            batch.push(&vec![1; length], Mask::BIDIRECTIONAL);
            // Scores of deviation about 2.
            let mut qkv: Vec<f32> = (0..length * 36).map(|_| generator.random_range(-2.5..2.5)).collect();
            let (mut context, mut probabilities) = (vec![0.0; length * 12], Vec::new());
            forward(
                &config,
                &batch,
                &Rotary::default(),
                &mut qkv,
                kept(&mut probabilities),
                &mut context,
            );
            entropy(&batch, 3, &probabilities).iter().sum::<f64>() / 3.0
        };
        let mut growth = |scale| entropy_at(scale, 512) - entropy_at(scale, 64);
        let (ordinary, invariant) = (
            growth(AttentionScale::Ordinary),
            growth(AttentionScale::EntropyInvariant { base: 64.0 }),
        );
        assert!(ordinary > 1.5, "about ln 8: {ordinary}");
        assert!(invariant < 0.75 * ordinary, "{invariant} against {ordinary}");
    }

    #[test]
    fn a_gap_turns_queries_and_keys_by_their_positions() {
        turns_by_positions(usize::MAX);
    }

    #[test]
    fn distances_over_the_longest_count_as_it() {
        // From no distance above the cap to all of them: 703 is the distance of the last token of the first part, 0 removes all positions.
        for distance in [704, 703, 702, 2, 1, 0] {
            turns_by_positions(distance);
        }
    }

    fn turns_by_positions(max_distance: usize) {
        let config = TransformerConfig {
            d_model: 8,
            heads: 2,
            ..TransformerConfig::new(10)
        };
        let positions = [0u16, 1, 2, 703, 704];
        let mut batch = PackedBatch::default();
        batch.push(&[1; 6], Mask::CAUSAL);
        let mask = Mask::BIDIRECTIONAL.with_max_distance(max_distance);
        let start = batch.push_apart(&[1; 3], &[1; 2], 700, mask);
        let mut generator = rand_chacha::ChaCha8Rng::seed_from_u64(5);
        let qkv: Vec<f32> = (0..batch.len() * 24)
            .map(|_| generator.random_range(-2.0..2.0))
            .collect();
        let element = |part: usize, row: usize, i: usize| f64::from(qkv[(start + row) * 24 + part * 8 + i]);
        // By definition, each pair of a head is rotated by the distance of the positions.
        let score = |head: usize, query: usize, key: usize| -> f64 {
            let most = max_distance as f64;
            let distance = (f64::from(positions[key]) - f64::from(positions[query])).clamp(-most, most);
            let product = |pair: usize| {
                let at = head * 4 + 2 * pair;
                let [a, b] = [at, at + 1].map(|i| element(0, query, i));
                let [c, d] = [at, at + 1].map(|i| element(1, key, i));
                let angle = distance * 10_000f64.powf(-(pair as f64) / 2.0);
                (a * c + b * d) * angle.cos() + (b * c - a * d) * angle.sin()
            };
            (0..2).map(product).sum::<f64>() / 2.0
        };
        let mut rotary = Rotary::default();
        rotary.for_heads(4);
        rotary.reserve(batch.end_of_positions());
        let (mut context, mut probabilities) = (vec![0.0; batch.len() * 8], Vec::new());
        forward(
            &config,
            &batch,
            &rotary,
            &mut qkv.clone(),
            kept(&mut probabilities),
            &mut context,
        );
        for query in 0..5 {
            for head in 0..2 {
                let weights: Vec<f64> = (0..5).map(|key| score(head, query, key).exp()).collect();
                let total: f64 = weights.iter().sum();
                for i in head * 4..head * 4 + 4 {
                    let expected: f64 = (0..5).map(|key| weights[key] / total * element(2, key, i)).sum();
                    let found = f64::from(context[(start + query) * 8 + i]);
                    assert!(
                        (found - expected).abs() < 1e-4,
                        "{max_distance} {query} {head} {i}: {found} {expected}"
                    );
                }
            }
        }
    }
}
