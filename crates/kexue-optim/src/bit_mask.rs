//! One bit for each parameter, and the choice of the parameters with the largest scores.

use crate::vectors::{add_bits, keep_bits};
use crate::{Slot, Slots, WeightsError};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use std::collections::HashMap;

/// A set of parameters, one bit each: the child network of ChildTuning-D.
///
/// ```
/// use kexue_optim::{BitMask, Slots};
///
/// // The two largest of four; of equals the first.
/// let mask = BitMask::largest(&[0.5, 2.0, 0.1, 0.5], 0.5, &Slots::flat(4), |_| true);
/// assert_eq!((0..4).map(|at| mask.keeps(at)).collect::<Vec<_>>(), [true, true, false, false]);
/// ```
#[derive(Clone, Debug)]
pub struct BitMask {
    /// 32 bits each, as the bits of a number: checkpoints hold vectors of numbers.
    words: Vec<f32>,
    len: usize,
}

impl PartialEq for BitMask {
    fn eq(&self, other: &Self) -> bool {
        let bits = |mask: &Self| mask.words.iter().map(|word| word.to_bits()).collect::<Vec<u32>>();
        self.len == other.len && bits(self) == bits(other)
    }
}

impl BitMask {
    /// The parameters of a flat vector of `len` numbers for which `keep` holds.
    pub fn from_fn(len: usize, mut keep: impl FnMut(usize) -> bool) -> Self {
        let words = (0..len).step_by(32).map(|first| {
            let bits = (first..len.min(first + 32)).map(|at| u32::from(keep(at)) << (at - first));
            f32::from_bits(bits.fold(0, |word, bit| word | bit))
        });
        Self {
            words: words.collect(),
            len,
        }
    }

    /// Keeps the share `p` with the largest scores (rounded to a whole number) of the parameters in slots for which `competes` holds, and all parameters
    /// of the other slots. Of equal scores the earlier one is kept. A score that is not a number counts as the smallest.
    ///
    /// The choice is exact. It needs one bit per parameter and 512 KiB besides the scores.
    pub fn largest(scores: &[f32], p: f32, slots: &Slots, competes: impl Fn(&Slot) -> bool) -> Self {
        // Non-negative numbers have the order of their bits.
        let rank = |score: f32| if score > 0.0 { score.to_bits() } else { 0 };
        let competing: Vec<&Slot> = slots.iter().filter(|slot| competes(slot)).collect();
        let each = || competing.iter().flat_map(|slot| &scores[slot.range.clone()]);
        let total: usize = competing.iter().map(|slot| slot.range.len()).sum();
        let wanted = (f64::from(p) * total as f64).round() as usize;
        // First the upper half of the bits of the smallest score that is kept, then its lower half.
        let mut counts = vec![0usize; 1 << 16];
        each().for_each(|&score| counts[(rank(score) >> 16) as usize] += 1);
        let (upper, above) = last_kept(&counts, wanted);
        counts.fill(0);
        each()
            .map(|&score| rank(score))
            .filter(|rank| rank >> 16 == upper)
            .for_each(|rank| counts[(rank & 0xffff) as usize] += 1);
        let (lower, equal) = last_kept(&counts, wanted - above);
        let threshold = upper << 16 | lower;
        let mut ties = wanted - above - equal;
        let mut keeps = vec![false; 0];
        let mut mask = Self::from_fn(slots.size(), |_| true);
        for slot in competing {
            keeps.clear();
            keeps.extend(scores[slot.range.clone()].iter().map(|&score| {
                let rank = rank(score);
                let is_tie = rank == threshold && ties > 0;
                ties -= usize::from(is_tie);
                rank > threshold || is_tie
            }));
            for (at, _) in slot.range.clone().zip(&keeps).filter(|(_, keep)| !**keep) {
                mask.drop(at);
            }
        }
        mask
    }

    fn drop(&mut self, at: usize) {
        let word = &mut self.words[at / 32];
        *word = f32::from_bits(word.to_bits() & !(1 << (at % 32)));
    }

    /// Number of parameters, kept or not.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no parameters.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Number of parameters that are kept.
    pub fn count(&self) -> usize {
        self.words.iter().map(|word| word.to_bits().count_ones() as usize).sum()
    }

    /// Whether the parameter at a position is kept.
    pub fn keeps(&self, position: usize) -> bool {
        self.words[position / 32].to_bits() >> (position % 32) & 1 == 1
    }

    /// How many parameters of a slot are kept.
    pub fn count_in(&self, slot: &Slot) -> usize {
        slot.range.clone().filter(|&position| self.keeps(position)).count()
    }

    /// The bits, 32 in a word, the first in the lowest bit.
    pub fn words(&self) -> impl Iterator<Item = u32> + '_ {
        self.words.iter().map(|word| word.to_bits())
    }

    pub(crate) fn words_mut(&mut self) -> &mut Vec<f32> {
        &mut self.words
    }

    /// Multiplies the kept values from position `start` on by `factor`. The others become 0, even if they are not finite.
    pub(crate) fn keep(&self, start: usize, values: &mut [f32], factor: f32) {
        let (head, values) = values.split_at_mut(before_word(start).min(values.len()));
        for (position, value) in (start..).zip(&mut *head) {
            *value = if self.keeps(position) { *value * factor } else { 0.0 };
        }
        keep_bits(values, &self.words[(start + head.len()) / 32..], factor);
    }

    /// Adds `factor · source` to the kept values from position `start` on.
    pub(crate) fn add(&self, start: usize, values: &mut [f32], source: &[f32], factor: f32) {
        let head = before_word(start).min(values.len());
        let ((head, values), (head_of_source, source)) = (values.split_at_mut(head), source.split_at(head));
        for ((position, value), source) in (start..).zip(&mut *head).zip(head_of_source) {
            *value += if self.keeps(position) { factor * source } else { 0.0 };
        }
        add_bits(values, source, &self.words[(start + head.len()) / 32..], factor);
    }

    /// The content of a mask file: a safetensors file with a tensor of bytes for each slot, 8 parameters per byte, the first in the lowest bit.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, slots: &Slots) -> Result<Vec<u8>, WeightsError> {
        let bytes: Vec<(&str, Vec<u8>)> = slots
            .iter()
            .map(|slot| {
                let byte = |first: usize| {
                    let bits =
                        (first..slot.range.end.min(first + 8)).map(|at| u8::from(self.keeps(at)) << (at - first));
                    bits.fold(0, |byte, bit| byte | bit)
                };
                let bytes = slot.range.clone().step_by(8).map(byte).collect();
                (slot.name.as_str(), bytes)
            })
            .collect();
        let problem = |error: safetensors::SafeTensorError| WeightsError(format!("cannot be written: {error}"));
        let tensors = bytes
            .iter()
            .map(|(name, bytes)| Ok((*name, TensorView::new(Dtype::U8, vec![bytes.len()], bytes)?)))
            .collect::<Result<Vec<_>, _>>()
            .map_err(problem)?;
        let metadata = HashMap::from([("format".to_owned(), FORMAT.to_owned())]);
        safetensors::serialize(tensors, Some(metadata)).map_err(problem)
    }

    /// Reads the mask of these parameters from the content of a mask file, which may contain more.
    ///
    /// # Errors
    /// If the file is damaged or not a mask, or if a parameter is missing or has another size; names the parameter.
    pub fn load(bytes: &[u8], slots: &Slots) -> Result<Self, WeightsError> {
        let problem = |error: safetensors::SafeTensorError| WeightsError(format!("not a readable mask: {error}"));
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(problem)?;
        let format = header.metadata().as_ref().and_then(|fields| fields.get("format"));
        if format.is_none_or(|format| format != FORMAT) {
            return Err(WeightsError("holds no mask of ChildTuning".to_owned()));
        }
        let file = SafeTensors::deserialize(bytes).map_err(problem)?;
        let mut mask = Self::from_fn(slots.size(), |_| false);
        for slot in slots {
            let size = slot.range.len();
            let missing = |_| WeightsError(format!("has no bits of `{}`; it belongs to another model", slot.name));
            let tensor = file.tensor(&slot.name).map_err(missing)?;
            if tensor.dtype() != Dtype::U8 || tensor.data().len() != size.div_ceil(8) {
                let found = tensor.data().len();
                let problem = format!("has {found} bytes for the {size} numbers of `{}`", slot.name);
                return Err(WeightsError(problem));
            }
            let bit = |at: usize| tensor.data()[at / 8] >> (at % 8) & 1 == 1;
            for position in slot.range.clone().filter(|position| bit(position - slot.range.start)) {
                let word = &mut mask.words[position / 32];
                *word = f32::from_bits(word.to_bits() | 1 << (position % 32));
            }
        }
        Ok(mask)
    }
}

/// How many parameters from a position on precede the next word.
fn before_word(position: usize) -> usize {
    position.next_multiple_of(32) - position
}

/// Marks a safetensors file as a mask file.
const FORMAT: &str = "kexue child mask";

/// The index where a descending count reaches `wanted`, and the number at higher indices.
fn last_kept(counts: &[usize], wanted: usize) -> (u32, usize) {
    let mut above = 0;
    for (index, count) in counts.iter().enumerate().rev() {
        if above + count >= wanted || index == 0 {
            return (index as u32, above);
        }
        above += count;
    }
    (0, above)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Place, Role};
    use proptest::prelude::*;

    fn slots(sizes: &[usize]) -> Slots {
        let mut slots = Slots::default();
        for (at, &size) in sizes.iter().enumerate() {
            slots.add(format!("p{at}"), Role::Weight, Place::Unspecified, &[size]);
        }
        slots
    }

    proptest! {
        #[test]
        fn the_choice_is_that_of_a_sort(
            scores in proptest::collection::vec(prop_oneof![Just(0.0f32), Just(1.0), Just(f32::NAN), 0.0f32..1e-30, 0.0f32..1.0], 1..200),
            p in 0.0f32..=1.0,
            first in 0usize..100,
        ) {
            let first = first.min(scores.len());
            let slots = slots(&[first, scores.len() - first]);
            // All compete, or those of the second slot alone.
            for all in [true, false] {
                let mask = BitMask::largest(&scores, p, &slots, |slot| all || slot.name == "p1");
                let from = if all { 0 } else { first };
                let mut order: Vec<usize> = (from..scores.len()).collect();
                let value = |at: usize| if scores[at] > 0.0 { scores[at] } else { 0.0 };
                order.sort_by(|&a, &b| value(b).total_cmp(&value(a)));
                order.truncate((f64::from(p) * order.len() as f64).round() as usize);
                for at in 0..scores.len() {
                    prop_assert_eq!(mask.keeps(at), at < from || order.contains(&at), "{}", at);
                }
                prop_assert_eq!(mask.count(), from + order.len());
                let bytes = mask.save(&slots).unwrap();
                prop_assert_eq!(&BitMask::load(&bytes, &slots).unwrap(), &mask);
            }
        }
    }

    #[test]
    fn a_part_of_a_mask_is_found_by_name_and_what_is_no_mask_is_refused() {
        let whole = slots(&[13, 50, 7]);
        let mask = BitMask::from_fn(70, |at| at % 3 == 0);
        let bytes = mask.save(&whole).unwrap();
        let part = whole.subset(|slot| slot.name != "p1");
        let found = BitMask::load(&bytes, part.slots()).unwrap();
        let expected: Vec<bool> = (0..13).chain(63..70).map(|at| at % 3 == 0).collect();
        assert_eq!((0..20).map(|at| found.keeps(at)).collect::<Vec<_>>(), expected);

        let error = |slots: &Slots, bytes: &[u8]| BitMask::load(bytes, slots).unwrap_err().to_string();
        assert!(error(&slots(&[13, 50, 7, 1]), &bytes).contains("no bits of `p3`"));
        assert!(error(&slots(&[99, 50, 7]), &bytes).contains("has 2 bytes for the 99 numbers of `p0`"));
        let weights = safetensors::serialize(Vec::<(&str, TensorView<'_>)>::new(), None).unwrap();
        assert!(error(&whole, &weights).contains("holds no mask"));
        for length in 0..bytes.len() {
            assert!(BitMask::load(&bytes[..length], &whole).is_err());
        }
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x41;
            let _ = BitMask::load(&damaged, &whole);
        }
    }
}
