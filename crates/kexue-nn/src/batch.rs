//! Packed sequences and their masks.

use kexue_text::Token;
use std::ops::Range;
use thiserror::Error;

/// Which keys each query of a sequence sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mask {
    /// Every token sees the first `prefix` tokens; later tokens also see the tokens before them and themselves.
    prefix: usize,
    /// Only keys less than `window` positions away are seen.
    window: usize,
    /// Rotary distances above this are treated as this.
    max_distance: usize,
}

impl Mask {
    /// Every token sees every token.
    pub const BIDIRECTIONAL: Self = Self::unilm(usize::MAX);
    /// Every token sees the tokens before it and itself.
    pub const CAUSAL: Self = Self::unilm(0);

    /// The first `prefix` tokens see each other; each later token sees all tokens before it and itself (UniLM, arXiv 1905.03197).
    pub const fn unilm(prefix: usize) -> Self {
        Self {
            prefix,
            window: usize::MAX,
            max_distance: usize::MAX,
        }
    }

    /// Limits this mask to keys less than `window` positions away. The minimum is 1, the token itself.
    pub fn within(self, window: usize) -> Self {
        Self {
            window: window.max(1),
            ..self
        }
    }

    /// Treats rotary distances above `distance` as `distance`, so that all keys stay visible at distances known from training (ReRoPE, article 9708).
    /// Supported in forward passes over packed sequences only; learned positions are not affected.
    pub fn with_max_distance(self, distance: usize) -> Self {
        Self {
            max_distance: distance,
            ..self
        }
    }

    /// The cap on rotary distances.
    pub(crate) fn max_distance(&self) -> usize {
        self.max_distance
    }

    /// The keys that the query at `position` sees in a sequence of `length` tokens. Their number is the n of
    /// [`AttentionScale`](crate::AttentionScale).
    #[inline]
    pub fn visible(&self, position: usize, length: usize) -> Range<usize> {
        let end = self.prefix.max(position + 1).min(length);
        let nearest = (position + 1).saturating_sub(self.window);
        nearest..end.min(position.saturating_add(self.window))
    }
}

/// Error: a row of a padded batch has padding before a token.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("row {row} of the batch has padding before a token; pad at the end")]
pub struct PaddingError {
    /// The row, from 0.
    pub row: usize,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Sequence {
    /// Row of its first token.
    pub start: usize,
    pub length: usize,
    pub mask: Mask,
    pub gap: Gap,
}

/// Positions skipped before a token of a sequence.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Gap {
    /// Index of the token in its sequence.
    before: usize,
    /// Number of skipped positions.
    by: usize,
}

impl Sequence {
    #[inline]
    pub fn visible(&self, place: usize) -> Range<usize> {
        self.mask.visible(place, self.length)
    }

    /// The position of the token at an index.
    #[inline]
    pub fn position(&self, place: usize) -> usize {
        place + if place >= self.gap.before { self.gap.by } else { 0 }
    }
}

/// Sequences packed one after another, without padding. Each has its own mask, and its positions start at 0. Masks count tokens, which are the
/// same as positions unless the sequence has a gap.
#[derive(Clone, Debug, Default)]
pub struct PackedBatch {
    tokens: Vec<Token>,
    /// The segment of each token (BERT's token type); empty while all are 0.
    types: Vec<u8>,
    sequences: Vec<Sequence>,
    /// The rows whose last hidden states are needed, ascending; `None` for all.
    outputs: Option<Vec<usize>>,
}

impl PackedBatch {
    /// Empties the batch.
    pub fn clear(&mut self) {
        self.tokens.clear();
        self.types.clear();
        self.sequences.clear();
        self.outputs = None;
    }

    /// Limits the rows whose last hidden states are needed; without this, all are. The last layer may then compute what follows its attention for these
    /// rows only. The last hidden states of other rows are unspecified, and a loss must not depend on them.
    ///
    /// Call it when the batch is complete: with each further sequence, all rows are needed again.
    ///
    /// # Panics
    /// If a row is not in the batch.
    pub fn set_outputs(&mut self, rows: impl IntoIterator<Item = usize>) {
        let mut rows: Vec<usize> = rows.into_iter().collect();
        rows.sort_unstable();
        rows.dedup();
        assert!(
            rows.last().is_none_or(|&last| last < self.len()),
            "an output is not in the batch"
        );
        self.outputs = Some(rows);
    }

    /// Limits the rows whose last hidden states are needed to the first of each sequence, as [`set_outputs`](Self::set_outputs) does.
    pub fn set_first_tokens_as_outputs(&mut self) {
        self.outputs = Some(self.sequences.iter().map(|sequence| sequence.start).collect());
    }

    /// The rows whose last hidden states are needed, ascending; `None` for all.
    pub(crate) fn outputs(&self) -> Option<&[usize]> {
        self.outputs.as_deref().filter(|outputs| outputs.len() < self.len())
    }

    /// Adds a sequence and returns the row of its first token. An empty sequence adds nothing.
    pub fn push(&mut self, tokens: &[Token], mask: Mask) -> usize {
        self.add(tokens, mask, Gap::default())
    }

    /// Adds a sequence of two parts with `gap` positions skipped between them. Returns the row of its first token.
    pub fn push_apart(&mut self, first: &[Token], second: &[Token], gap: usize, mask: Mask) -> usize {
        let before = first.len();
        self.add(&[first, second].concat(), mask, Gap { before, by: gap })
    }

    fn add(&mut self, tokens: &[Token], mask: Mask, gap: Gap) -> usize {
        let start = self.tokens.len();
        self.outputs = None;
        self.tokens.extend_from_slice(tokens);
        if !self.types.is_empty() {
            self.types.resize(self.tokens.len(), 0);
        }
        if !tokens.is_empty() {
            self.sequences.push(Sequence {
                start,
                length: tokens.len(),
                mask,
                gap,
            });
        }
        start
    }

    /// Adds a pair of texts: `first` in segment 0, `second` in segment 1 (BERT's token types). Returns the row of its first token.
    pub fn push_pair(&mut self, first: &[Token], second: &[Token], mask: Mask) -> usize {
        let start = self.push(&[first, second].concat(), mask);
        self.types.resize(start + first.len(), 0);
        self.types.resize(self.tokens.len(), 1);
        start
    }

    /// Adds the rows of a padded batch `[batch, seq]` without their padding. `attention_mask` `[batch, seq]` is 1 for tokens and 0 for the padding
    /// after them. Rows that are all padding add nothing.
    ///
    /// # Errors
    /// If padding precedes a token.
    pub fn push_padded(
        &mut self,
        tokens: &[Token],
        attention_mask: &[u8],
        length: usize,
        mask: Mask,
    ) -> Result<(), PaddingError> {
        let width = length.max(1);
        let rows = tokens.chunks_exact(width).zip(attention_mask.chunks_exact(width));
        for (row, (tokens, attention_mask)) in rows.enumerate() {
            let count = attention_mask.iter().take_while(|&&kept| kept != 0).count();
            if attention_mask[count..].iter().any(|&kept| kept != 0) {
                return Err(PaddingError { row });
            }
            self.push(&tokens[..count], mask);
        }
        Ok(())
    }

    /// Divides the sequences, in order, into `parts` batches of about the same number of tokens; some may be empty.
    pub fn split(&self, parts: usize) -> Vec<Self> {
        let mut batches = vec![Self::default(); parts.max(1)];
        let mut outputs_of = vec![Vec::new(); batches.len()];
        for sequence in &self.sequences {
            let rows = sequence.start..sequence.start + sequence.length;
            // A sequence goes to the part that contains its middle.
            let at = (rows.start + rows.end) * batches.len() / (2 * self.len()).max(1);
            let at = at.min(batches.len() - 1);
            let batch = &mut batches[at];
            let start = batch.add(&self.tokens[rows.clone()], sequence.mask, sequence.gap);
            if let Some(outputs) = &self.outputs {
                let here =
                    outputs.partition_point(|&row| row < rows.start)..outputs.partition_point(|&row| row < rows.end);
                outputs_of[at].extend(outputs[here].iter().map(|row| start + row - rows.start));
            }
            if let Some(types) = self.types.get(rows) {
                batch.types.resize(batch.tokens.len() - types.len(), 0);
                batch.types.extend_from_slice(types);
            }
        }
        if self.outputs.is_some() {
            for (batch, outputs) in batches.iter_mut().zip(outputs_of) {
                batch.outputs = Some(outputs);
            }
        }
        batches
    }

    /// Number of tokens.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether the batch is empty.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// The tokens of all sequences.
    pub fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    /// The segment of each token.
    pub fn types(&self) -> impl Iterator<Item = u8> + '_ {
        self.types.iter().copied().chain(std::iter::repeat(0)).take(self.len())
    }

    /// The position of each token.
    pub fn positions(&self) -> impl Iterator<Item = usize> + '_ {
        let of = |sequence: &'_ Sequence| {
            let sequence = *sequence;
            (0..sequence.length).map(move |place| sequence.position(place))
        };
        self.sequences.iter().flat_map(of)
    }

    /// One more than the last position.
    pub fn end_of_positions(&self) -> usize {
        let ends = self
            .sequences
            .iter()
            .map(|sequence| sequence.position(sequence.length - 1) + 1);
        ends.max().unwrap_or(0)
    }

    /// The rows of each sequence.
    pub fn rows(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.sequences
            .iter()
            .map(|sequence| sequence.start..sequence.start + sequence.length)
    }

    /// For each sequence, a vector of a fixed length in the direction of its part of `derivative`, `[tokens, width]`: FGM's perturbation of the embeddings
    /// (Miyato et al., arXiv 1605.07725). A sequence without a derivative gets zeros.
    pub fn steps_along(&self, derivative: &[f32], length: f32) -> Vec<f32> {
        let width = derivative.len() / self.len().max(1);
        let mut steps = derivative.to_vec();
        for rows in self.rows() {
            let part = &mut steps[rows.start * width..rows.end * width];
            let norm = part.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
            let factor = if norm > 0.0 { f64::from(length) / norm } else { 0.0 };
            part.iter_mut().for_each(|g| *g *= factor as f32);
        }
        steps
    }

    /// The rows that each token sees.
    pub fn visible_rows(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.sequences.iter().flat_map(|sequence| {
            (0..sequence.length).map(move |place| {
                let seen = sequence.visible(place);
                sequence.start + seen.start..sequence.start + seen.end
            })
        })
    }

    /// Whether a mask caps rotary distances ([`Mask::with_max_distance`]).
    pub fn caps_distances(&self) -> bool {
        self.sequences
            .iter()
            .any(|sequence| sequence.mask.max_distance() != usize::MAX)
    }

    pub(crate) fn sequences(&self) -> &[Sequence] {
        &self.sequences
    }

    /// Length of the longest sequence.
    pub fn longest(&self) -> usize {
        self.sequences.iter().map(|sequence| sequence.length).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn visible_keys_are_those_of_the_full_mask() {
        for length in [1, 4, 9] {
            for prefix in [0, 1, 3, 9, usize::MAX] {
                for window in [1, 2, 5, usize::MAX] {
                    let mask = Mask::unilm(prefix).within(window);
                    for query in 0..length {
                        let seen: Vec<usize> = (0..length)
                            .filter(|&key| (key <= query || key < prefix) && key.abs_diff(query) < window)
                            .collect();
                        assert_eq!(mask.visible(query, length).collect::<Vec<_>>(), seen);
                    }
                }
            }
        }
    }

    #[test]
    fn padding_is_left_out_at_the_end_and_refused_elsewhere() {
        let mut batch = PackedBatch::default();
        let tokens = [5, 6, 7, 8, 0, 0];
        batch
            .push_padded(&tokens, &[1, 1, 1, 1, 0, 0], 3, Mask::BIDIRECTIONAL)
            .unwrap();
        assert_eq!(batch.tokens(), [5, 6, 7, 8]);
        assert_eq!(batch.rows().collect::<Vec<_>>(), [0..3, 3..4]);
        batch
            .push_padded(&tokens, &[0, 0, 0, 1, 1, 0], 3, Mask::CAUSAL)
            .unwrap();
        batch.push_padded(&[], &[], 0, Mask::CAUSAL).unwrap();
        assert_eq!(
            batch.rows().collect::<Vec<_>>(),
            [0..3, 3..4, 4..6],
            "no row of padding alone"
        );
        let error = batch.push_padded(&tokens, &[1, 1, 1, 0, 1, 1], 3, Mask::CAUSAL);
        assert_eq!(error, Err(PaddingError { row: 1 }));
    }

    #[test]
    fn parts_are_the_whole_in_order() {
        let mut batch = PackedBatch::default();
        for length in [3, 1, 1, 8, 2] {
            batch.push_pair(&vec![length; length as usize], &[9], Mask::unilm(length as usize));
        }
        let positions: Vec<usize> = {
            let mut apart = batch.clone();
            apart.push_apart(&[1, 2], &[3], 7, Mask::CAUSAL);
            assert_eq!(apart.end_of_positions(), 10);
            apart
                .split(3)
                .iter()
                .flat_map(|part| part.positions().collect::<Vec<_>>())
                .collect()
        };
        assert_eq!(positions[20..], [0, 1, 9], "a part keeps its gap");
        assert!(
            positions[..20]
                .iter()
                .copied()
                .eq(batch.rows().flat_map(|rows| 0..rows.len()))
        );
        for parts in [1, 2, 3, 9] {
            let split = batch.split(parts);
            assert_eq!(split.len(), parts);
            assert_eq!(
                split.iter().flat_map(|part| part.tokens().to_vec()).collect::<Vec<_>>(),
                batch.tokens()
            );
            assert!(split.iter().flat_map(PackedBatch::types).eq(batch.types()));
            let masks = split
                .iter()
                .flat_map(|part| part.sequences.iter().map(|sequence| sequence.mask));
            assert!(masks.eq(batch.sequences.iter().map(|sequence| sequence.mask)));
        }
        let tokens: Vec<usize> = batch.split(2).iter().map(PackedBatch::len).collect();
        assert_eq!(tokens, [8, 12], "as even as whole sequences can be");
    }

    #[test]
    fn outputs_are_divided_with_their_sequences() {
        let mut batch = PackedBatch::default();
        for length in [3, 1, 8, 2] {
            batch.push(&vec![1; length], Mask::CAUSAL);
        }
        batch.set_outputs([13, 3, 2, 3]);
        assert_eq!(batch.outputs(), Some(&[2, 3, 13][..]));
        let outputs: Vec<_> = batch.split(3).into_iter().map(|part| part.outputs).collect();
        assert_eq!(outputs, [Some(vec![2, 3]), Some(vec![]), Some(vec![1])]);
        batch.set_first_tokens_as_outputs();
        assert_eq!(batch.outputs(), Some(&[0, 3, 4, 12][..]));
        batch.push(&[1], Mask::CAUSAL);
        assert_eq!(batch.outputs(), None, "all rows of a batch that goes on");
    }

    #[test]
    fn segments_reach_to_the_end() {
        let mut batch = PackedBatch::default();
        batch.push(&[1, 2], Mask::BIDIRECTIONAL);
        batch.push_pair(&[3], &[4, 5], Mask::BIDIRECTIONAL);
        batch.push(&[6], Mask::BIDIRECTIONAL);
        assert_eq!(batch.types().collect::<Vec<_>>(), [0, 0, 0, 1, 1, 0]);
    }
}
