//! The order of the examples.

use crate::streams::{ORDER, generator};
use rand::seq::SliceRandom;

/// Endless epochs over `length` examples. Each epoch has its own order, which depends only on the seed and the epoch.
#[derive(Clone, Debug)]
pub(crate) struct Epochs {
    seed: u64,
    epoch: Option<u64>,
    permutation: Vec<u32>,
}

impl Epochs {
    /// Creates epochs over `length` examples.
    pub fn new(seed: u64, length: usize) -> Self {
        Self {
            seed,
            epoch: None,
            permutation: (0..length as u32).collect(),
        }
    }

    /// The example at a place of the endless sequence; `None` if there are no examples.
    pub fn example(&mut self, place: u64) -> Option<usize> {
        let length = self.permutation.len() as u64;
        let epoch = place.checked_div(length)?;
        if self.epoch != Some(epoch) {
            self.permutation.sort_unstable();
            self.permutation.shuffle(&mut generator(self.seed, ORDER, epoch));
            self.epoch = Some(epoch);
        }
        self.permutation
            .get((place % length) as usize)
            .map(|&example| example as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_epoch_has_every_example_once_and_can_be_entered_anywhere() {
        let mut epochs = Epochs::new(7, 100);
        let all: Vec<usize> = (0..300).map(|place| epochs.example(place).unwrap()).collect();
        for epoch in all.chunks(100) {
            let mut sorted = epoch.to_vec();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..100).collect::<Vec<_>>());
        }
        assert_ne!(all[..100], all[100..200]);
        let mut late = Epochs::new(7, 100);
        assert_eq!(late.example(250), Some(all[250]));
        assert_eq!(Epochs::new(7, 0).example(3), None);
    }
}
