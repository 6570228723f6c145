//! Finds subsets of numbers with a given size and a sum in a given range, by meeting in the middle.

/// The maximum number of values: a mask of 32 bits for each half.
pub(crate) const MOST: usize = 64;

/// The sums of the subsets of one half, by size, in ascending order.
struct Half {
    by_size: Vec<Vec<(f64, u32)>>,
}

impl Half {
    fn new(values: &[f64], largest: usize) -> Self {
        let mut by_size: Vec<Vec<(f64, u32)>> = vec![vec![(0.0, 0)]];
        for size in 1..=largest.min(values.len()) {
            // Each set of this size arises once: from a smaller set and a member after all of its members.
            let mut sums = Vec::new();
            for &(sum, mask) in &by_size[size - 1] {
                let next = (u32::BITS - mask.leading_zeros()) as usize;
                sums.extend((next..values.len()).map(|index| (sum + values[index], mask | 1 << index)));
            }
            by_size.push(sums);
        }
        for sums in &mut by_size {
            sums.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        }
        Self { by_size }
    }
}

/// The subsets of some numbers, prepared for many searches.
pub(crate) struct Subsets {
    split: usize,
    count: usize,
    left: Half,
    right: Half,
}

impl Subsets {
    /// Prepares the subsets of up to `largest` members of up to [`MOST`] numbers.
    pub fn new(values: &[f64], largest: usize) -> Self {
        debug_assert!(values.len() <= MOST);
        let split = values.len() / 2;
        let half = |values: &[f64]| Half::new(values, largest);
        Self {
            split,
            count: values.len(),
            left: half(&values[..split]),
            right: half(&values[split..]),
        }
    }

    /// Calls `found` with every set of `size` numbers, as a mask, whose sum is in `low..=high`, until it returns `false`.
    pub fn find(&self, size: usize, low: f64, high: f64, mut found: impl FnMut(u64) -> bool) {
        self.windows(size, low, high, |left, right| {
            right
                .iter()
                .all(|(_, mask)| found(u64::from(left) | (u64::from(*mask) << self.split)))
        });
    }

    /// How many sets of `size` numbers have a sum in `low..=high`.
    pub fn count(&self, size: usize, low: f64, high: f64) -> u64 {
        let mut count = 0;
        self.windows(size, low, high, |_, right| {
            count += right.len() as u64;
            true
        });
        count
    }

    fn windows(&self, size: usize, low: f64, high: f64, mut each: impl FnMut(u32, &[(f64, u32)]) -> bool) {
        if size > self.count {
            return;
        }
        for part in 0..=size {
            let (Some(left), Some(right)) = (self.left.by_size.get(part), self.right.by_size.get(size - part)) else {
                continue;
            };
            // As the sums of the left half increase, the window in the right half moves down.
            let (mut start, mut end) = (right.len(), right.len());
            for &(sum, mask) in left {
                while start > 0 && right[start - 1].0 >= low - sum {
                    start -= 1;
                }
                while end > start && right[end - 1].0 > high - sum {
                    end -= 1;
                }
                if end > start && !each(mask, &right[start..end]) {
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_same_as_trying_all(
            values in prop::collection::vec(-20i32..20, 0..10),
            left_out in 0usize..10, low in -40i32..40, width in 0i32..20,
        ) {
            let floats: Vec<f64> = values.iter().map(|&v| f64::from(v)).collect();
            let (low, high) = (f64::from(low), f64::from(low + width));
            let subsets = Subsets::new(&floats, left_out);
            let mut found = Vec::new();
            subsets.find(left_out, low, high, |mask| { found.push(mask); true });
            found.sort_unstable();
            let slow: Vec<u64> = (0..1u64 << values.len())
                .filter(|mask| mask.count_ones() as usize == left_out)
                .filter(|mask| {
                    let sum: f64 = (0..values.len()).filter(|i| mask >> i & 1 == 1).map(|i| floats[i]).sum();
                    (low..=high).contains(&sum)
                })
                .collect();
            prop_assert_eq!(subsets.count(left_out, low, high), slow.len() as u64);
            prop_assert_eq!(found, slow);
        }
    }
}
