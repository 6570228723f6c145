//! Elias–Fano coding of rising numbers: `2 + log2(largest / count)` bits each, any one read in a step.
//!
//! P. Elias, "Efficient storage and retrieval by content and address of static files", J. ACM 21 (1974); R. Fano, 1971. Each value is cut in
//! low bits, kept as they are, and high bits, kept as unary gaps; the position of every 128th one bit is kept beside them.

use crate::bytes::{Bytes, word};
use crate::index::{Error, Result};
use crate::varint::{read_varint, write_varint};

/// One bits between two sampled positions.
const SAMPLE: u64 = 128;
const HEADER: usize = 24;

/// Collects rising numbers; [`finish`](EliasFanoBuilder::finish) codes them.
///
/// Until then a number takes a byte or two (its distance to the one before).
#[derive(Clone, Debug, Default)]
pub struct EliasFanoBuilder {
    gaps: Vec<u8>,
    count: u64,
    last: u64,
}

impl EliasFanoBuilder {
    /// No numbers yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a number that is not below the one before.
    ///
    /// # Panics
    /// If it is below: the caller's mistake.
    pub fn push(&mut self, value: u64) {
        assert!(value >= self.last, "Elias–Fano numbers must not fall");
        write_varint(value - self.last, &mut self.gaps);
        self.last = value;
        self.count += 1;
    }

    /// How many numbers there are.
    pub fn len(&self) -> u64 {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The coded numbers.
    pub fn finish(&self) -> Vec<u8> {
        let count = self.count;
        let low_width = match self.last.checked_div(count) {
            Some(mean) if mean > 0 => u64::from(mean.ilog2()),
            _ => 0,
        };
        let mut low = vec![0u64; (count * low_width).div_ceil(64) as usize + 1];
        let high_length = count + (self.last >> low_width) + 1;
        let mut high = vec![0u64; high_length.div_ceil(64) as usize];
        let mut samples = Vec::with_capacity((count / SAMPLE + 1) as usize);
        let (mut at, mut value) = (0, 0);
        for index in 0..count {
            value += read_varint(&self.gaps, &mut at).unwrap_or_default();
            let bits = value & ((1 << low_width) - 1);
            let place = index * low_width;
            low[(place / 64) as usize] |= bits << (place % 64);
            if place % 64 + low_width > 64 {
                low[(place / 64) as usize + 1] |= bits >> (64 - place % 64);
            }
            let one = (value >> low_width) + index;
            high[(one / 64) as usize] |= 1 << (one % 64);
            if index % SAMPLE == 0 {
                samples.push(one);
            }
        }
        let mut bytes = Vec::with_capacity(HEADER + 8 * (low.len() + high.len() + samples.len()));
        for part in [&[count, low_width, high.len() as u64][..], &low, &samples, &high] {
            bytes.extend(part.iter().flat_map(|word| word.to_le_bytes()));
        }
        bytes
    }
}

/// The place of one bit number `index` of a word that has more than `index`: byte sums side by side, then the byte's bits.
///
/// S. Vigna, "Broadword implementation of rank/select queries", 2008.
#[inline(always)]
pub(crate) fn select_in_word(word: u64, index: u32) -> u32 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let mut sums = word - ((word >> 1) & 0x5555_5555_5555_5555);
    sums = (sums & 0x3333_3333_3333_3333) + ((sums >> 2) & 0x3333_3333_3333_3333);
    sums = ((sums + (sums >> 4)) & 0x0f0f_0f0f_0f0f_0f0f).wrapping_mul(ONES);
    // The bytes whose sum up to and with them is at most `index` lie before the one that is sought.
    let before = (((u64::from(index) * ONES) | HIGH).wrapping_sub(sums) & HIGH).count_ones() * 8;
    let before = before.min(56);
    let skipped = if before == 0 {
        0
    } else {
        (sums >> (before - 8)) as u32 & 0xff
    };
    let mut byte = word >> before & 0xff;
    for _ in skipped..index {
        byte &= byte.wrapping_sub(1);
    }
    before + byte.trailing_zeros().min(7)
}

/// Coded rising numbers.
#[derive(Clone, Debug)]
pub struct EliasFano {
    bytes: Bytes,
    count: u64,
    low_width: u32,
    samples: usize,
    high: usize,
}

impl EliasFano {
    /// Reads what [`EliasFanoBuilder::finish`] wrote; `name` is what errors call it.
    ///
    /// # Errors
    /// If the length does not fit the header.
    pub fn new(bytes: Bytes, name: &str) -> Result<Self> {
        let damaged = || Error::Damaged(format!("the numbers of `{name}` are cut off"));
        let header = |at| word(&bytes, at).ok_or_else(damaged);
        let (count, low_width, high_words) = (header(0)?, header(8)?, header(16)?);
        if low_width > 63 {
            return Err(damaged());
        }
        let low_words = count
            .checked_mul(low_width)
            .map(|bits| bits.div_ceil(64) + 1)
            .ok_or_else(damaged)?;
        let words = low_words
            .checked_add(count.div_ceil(SAMPLE))
            .and_then(|words| words.checked_add(high_words))
            .ok_or_else(damaged)?;
        if words
            .checked_mul(8)
            .and_then(|length| length.checked_add(HEADER as u64))
            != Some(bytes.len() as u64)
        {
            return Err(damaged());
        }
        let samples = HEADER + 8 * low_words as usize;
        Ok(Self {
            count,
            low_width: low_width as u32,
            samples,
            high: samples + 8 * count.div_ceil(SAMPLE) as usize,
            bytes,
        })
    }

    /// How many numbers there are.
    pub fn len(&self) -> u64 {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    #[inline]
    fn low(&self, bytes: &[u8], index: u64) -> Option<u64> {
        if self.low_width == 0 {
            return Some(0);
        }
        let place = index * u64::from(self.low_width);
        let at = HEADER + (place / 8) as usize;
        let shift = (place % 8) as u32;
        let mut bits = word(bytes, at)? >> shift;
        if shift + self.low_width > 64 {
            bits |= u64::from(*bytes.get(at + 8)?) << (64 - shift);
        }
        Some(bits & ((1 << self.low_width) - 1))
    }

    /// The word of high bits that holds one bit number `index`, with the ones before it taken out, and the word's number.
    #[inline]
    fn select(&self, bytes: &[u8], index: u64) -> Option<(u64, u64)> {
        let sample = word(bytes, self.samples + 8 * (index / SAMPLE) as usize)?;
        let mut left = (index % SAMPLE) as u32;
        let mut number = sample / 64;
        let at = |number: u64| self.high.checked_add(usize::try_from(number.checked_mul(8)?).ok()?);
        let mut bits = word(bytes, at(number)?)? & (!0 << (sample % 64));
        loop {
            let ones = bits.count_ones();
            if left < ones {
                break;
            }
            left -= ones;
            number += 1;
            bits = word(bytes, at(number)?)?;
        }
        let place = select_in_word(bits, left);
        Some((bits & (!0 << place), number))
    }

    fn damaged() -> Error {
        Error::Damaged("a table of offsets is not in order".into())
    }

    /// Number `index`.
    ///
    /// # Errors
    /// If there is no such number or the bits are damaged.
    #[inline]
    pub fn get(&self, index: u64) -> Result<u64> {
        self.try_get(index).ok_or_else(Self::damaged)
    }

    #[inline]
    fn try_get(&self, index: u64) -> Option<u64> {
        if index >= self.count {
            return None;
        }
        let bytes = self.bytes.as_slice();
        // Read first: it does not have to wait for the rest.
        let low = self.low(bytes, index)?;
        let (bits, number) = self.select(bytes, index)?;
        let high = (number * 64 + u64::from(bits.trailing_zeros())).checked_sub(index)?;
        Some(high.checked_shl(self.low_width)? | low)
    }

    /// Numbers `index` and `index + 1`, as a range.
    ///
    /// # Errors
    /// If there are no such numbers, or the second is below the first.
    #[inline]
    pub fn range(&self, index: u64) -> Result<std::ops::Range<u64>> {
        self.try_range(index).ok_or_else(Self::damaged)
    }

    #[inline]
    fn try_range(&self, index: u64) -> Option<std::ops::Range<u64>> {
        if index.checked_add(1)? >= self.count {
            return None;
        }
        let bytes = self.bytes.as_slice();
        let (first_low, second_low) = (self.low(bytes, index)?, self.low(bytes, index + 1)?);
        let (mut bits, mut number) = self.select(bytes, index)?;
        let first = (number * 64 + u64::from(bits.trailing_zeros())).checked_sub(index)?;
        bits &= bits.wrapping_sub(1);
        while bits == 0 {
            number += 1;
            bits = word(bytes, self.high + usize::try_from(number.checked_mul(8)?).ok()?)?;
        }
        let second = (number * 64 + u64::from(bits.trailing_zeros())).checked_sub(index + 1)?;
        let start = first.checked_shl(self.low_width)? | first_low;
        let end = second.checked_shl(self.low_width)? | second_low;
        (start <= end).then_some(start..end)
    }

    /// The last index whose number is at most `value`, `None` where all are above.
    ///
    /// # Errors
    /// If the bits are damaged.
    pub fn last_at_most(&self, value: u64) -> Result<Option<u64>> {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.get(middle)? <= value {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low.checked_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn coded(values: &[u64]) -> Vec<u8> {
        let mut builder = EliasFanoBuilder::new();
        values.iter().for_each(|&value| builder.push(value));
        builder.finish()
    }

    proptest! {
        #[test]
        fn reads_back_what_was_put_in(mut values in proptest::collection::vec(any::<u64>(), 0..300), shift in 0u32..64) {
            values.iter_mut().for_each(|value| *value >>= shift.max(1));
            values.sort_unstable();
            let numbers = EliasFano::new(coded(&values).into(), "test").unwrap();
            for (index, &value) in values.iter().enumerate() {
                prop_assert_eq!(numbers.get(index as u64).unwrap(), value);
            }
            for (index, pair) in values.windows(2).enumerate() {
                prop_assert_eq!(numbers.range(index as u64).unwrap(), pair[0]..pair[1]);
            }
            prop_assert!(numbers.get(values.len() as u64).is_err());
            for probe in values.iter().flat_map(|&value| [value.saturating_sub(1), value, value + 1]) {
                prop_assert_eq!(numbers.last_at_most(probe).unwrap(), (values.partition_point(|&value| value <= probe) as u64).checked_sub(1));
            }
        }

        #[test]
        fn damage_never_panics(mut values in proptest::collection::vec(0u64..10_000, 0..200), flips in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..8), cut in any::<usize>()) {
            values.sort_unstable();
            let mut bytes = coded(&values);
            for (at, byte) in flips {
                let at = at % bytes.len();
                bytes[at] ^= byte;
            }
            bytes.truncate(bytes.len() - cut % 3 * 4);
            if let Ok(numbers) = EliasFano::new(bytes.into(), "test") {
                for index in 0..=values.len() as u64 {
                    let _ = numbers.get(index);
                    let _ = numbers.range(index);
                }
            }
        }
    }
}
