//! Factors for some parameters: decoupled weight decay, and scaled updates.

use crate::chain::{Piece, apply_pieces};
use crate::vectors::{add_scaled, scale};
use crate::{Mask, Transformation};
use std::ops::Range;

/// Ranges of the flat vector, ascending, each with its factor.
#[derive(Clone, Debug, Default)]
pub(crate) struct Factors(Vec<(Range<usize>, f32)>);

impl Factors {
    pub fn new(mut factors: Vec<(Range<usize>, f32)>) -> Self {
        factors.sort_by_key(|(range, _)| range.start);
        Self(factors)
    }

    /// The parts of the ranges within a piece, relative to its start.
    fn within(&self, piece: Range<usize>) -> impl Iterator<Item = (Range<usize>, f32)> + '_ {
        let first = self.0.partition_point(|(range, _)| range.end <= piece.start);
        let here = self.0[first..]
            .iter()
            .take_while(move |(range, _)| range.start < piece.end);
        here.map(move |(range, factor)| {
            let (start, end) = (range.start.max(piece.start), range.end.min(piece.end));
            (start - piece.start..end - piece.start, *factor)
        })
    }

    /// `change` is called with the update and the parameters of a part, and its factor.
    fn pieces(&self, pieces: usize, size: usize, change: fn(&mut [f32], &[f32], f32)) -> Vec<Piece<'_>> {
        let piece = |at: usize| -> Piece<'_> {
            let mut start = at * size;
            Box::new(move |update, parameters| {
                for (range, factor) in self.within(start..start + update.len()) {
                    change(&mut update[range.clone()], &parameters[range], factor);
                }
                start += update.len();
            })
        };
        (0..pieces).map(piece).collect()
    }
}

/// Adds `rate · parameter` to the update of some parameters (Loshchilov & Hutter, arXiv 1711.05101). Before
/// [`LearningRate`](crate::LearningRate) in the chain, it is AdamW's decay.
#[derive(Clone, Debug)]
pub struct WeightDecay {
    factors: Factors,
    mask: Option<Mask>,
    words: String,
}

impl WeightDecay {
    /// Decays the parameters in `ranges`. `rate` is the fraction of a parameter that a step with learning rate 1 removes.
    pub fn new(rate: f32, ranges: Vec<Range<usize>>) -> Self {
        let factors = ranges.into_iter().map(|range| (range, rate)).collect();
        Self::with_rates(factors, format!("decay {rate}"))
    }

    /// A rate for each range, and its description in the chain's line.
    pub(crate) fn with_rates(factors: Vec<(Range<usize>, f32)>, words: String) -> Self {
        Self {
            factors: Factors::new(factors),
            mask: None,
            words,
        }
    }

    /// The same, only for parameters that a mask keeps, which are those that [`ChildTuning`](crate::ChildTuning) with the same mask moves. The rate is
    /// not divided by p.
    pub fn masked(self, mask: Mask) -> Self {
        let words = format!("{}, masked", self.words);
        Self {
            mask: Some(mask),
            words,
            ..self
        }
    }
}

impl Transformation for WeightDecay {
    fn name(&self) -> &'static str {
        "decay"
    }

    fn apply(&mut self, update: &mut [f32], parameters: &[f32], step: u64) {
        apply_pieces(self, update, parameters, step);
    }

    fn is_elementwise(&self) -> bool {
        true
    }

    fn pieces(&mut self, pieces: usize, size: usize, step: u64) -> Vec<Piece<'_>> {
        let Some(mask) = &self.mask else {
            return self.factors.pieces(pieces, size, add_scaled);
        };
        let (factors, mask) = (&self.factors, mask.at(step));
        let piece = |at: usize| -> Piece<'_> {
            let mut start = at * size;
            Box::new(move |update, parameters| {
                for (range, rate) in factors.within(start..start + update.len()) {
                    let parameters = &parameters[range.clone()];
                    mask.add(start + range.start, &mut update[range], parameters, rate);
                }
                start += update.len();
            })
        };
        (0..pieces).map(piece).collect()
    }

    fn state(&mut self) -> Vec<(String, &mut Vec<f32>)> {
        self.mask.as_mut().map(Mask::state).unwrap_or_default()
    }

    fn describe(&self) -> String {
        self.words.clone()
    }
}

/// Multiplies the update of some parameters by a factor, which gives them their own learning rate.
#[derive(Clone, Debug)]
pub struct Scale {
    factors: Factors,
    words: String,
}

impl Scale {
    /// A factor for each range; the others pass unchanged.
    pub fn new(factors: Vec<(Range<usize>, f32)>) -> Self {
        let mut words: Vec<String> = factors.iter().map(|(_, factor)| format!("×{factor}")).collect();
        words.dedup();
        let words = words.join(", ");
        Self::with_words(factors, words)
    }

    pub(crate) fn with_words(factors: Vec<(Range<usize>, f32)>, words: String) -> Self {
        let factors = Factors::new(factors);
        Self { factors, words }
    }
}

impl Transformation for Scale {
    fn name(&self) -> &'static str {
        "scale"
    }

    fn apply(&mut self, update: &mut [f32], parameters: &[f32], step: u64) {
        apply_pieces(self, update, parameters, step);
    }

    fn is_elementwise(&self) -> bool {
        true
    }

    fn pieces(&mut self, pieces: usize, size: usize, _: u64) -> Vec<Piece<'_>> {
        self.factors
            .pieces(pieces, size, |update, _, factor| scale(update, factor))
    }

    fn describe(&self) -> String {
        self.words.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_ranges_decay() {
        let mut update = [0.0; 4];
        WeightDecay::new(0.1, vec![1..2, 3..4]).apply(&mut update, &[1.0, 2.0, 3.0, 4.0], 0);
        assert_eq!(update, [0.0, 0.2, 0.0, 0.4]);
    }

    #[test]
    fn ranges_are_cut_where_pieces_end() {
        let mut update = [1.0; 10];
        let mut scale = Scale::new(vec![(7..9, 3.0), (2..6, 2.0)]);
        for (at, mut piece) in scale.pieces(3, 4, 0).into_iter().enumerate() {
            let end = (4 * at + 4).min(10);
            piece(&mut update[4 * at..end], &[0.0; 4][..end - 4 * at]);
        }
        assert_eq!(update, [1.0, 1.0, 2.0, 2.0, 2.0, 2.0, 1.0, 3.0, 3.0, 1.0]);
    }
}
