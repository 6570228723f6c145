//! LAMB's layer-wise learning rates.

use crate::clip::norm;
use crate::{Slots, Transformation};
use std::ops::Range;

/// Scales the update of each parameter to the norm of that parameter (You et al., arXiv 1904.00962); after [`Adam`](crate::Adam) and
/// [`WeightDecay`](crate::WeightDecay) in the chain, it is LAMB's. Parameters and updates that are 0 pass unchanged.
#[derive(Clone, Debug)]
pub struct TrustRatio {
    ranges: Vec<Range<usize>>,
}

impl TrustRatio {
    /// One ratio for each slot.
    pub fn new(slots: &Slots) -> Self {
        let ranges = slots.iter().map(|slot| slot.range.clone()).collect();
        Self { ranges }
    }
}

impl Transformation for TrustRatio {
    fn name(&self) -> &'static str {
        "trust_ratio"
    }

    fn apply(&mut self, update: &mut [f32], parameters: &[f32], _: u64) {
        for range in &self.ranges {
            let update = &mut update[range.clone()];
            let ratio = norm(&parameters[range.clone()]) / norm(update);
            if ratio > 0.0 && ratio.is_finite() {
                update.iter_mut().for_each(|u| *u *= ratio as f32);
            }
        }
    }

    fn describe(&self) -> String {
        "trust ratio".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Place, Role};

    #[test]
    fn updates_are_as_large_as_their_parameters() {
        let mut slots = Slots::default();
        for (name, size) in [("a", 2), ("b", 1), ("c", 1)] {
            slots.add(name, Role::Weight, Place::Unspecified, &[size]);
        }
        let mut update = [3.0, 4.0, 0.0, 7.0];
        TrustRatio::new(&slots).apply(&mut update, &[0.0, 10.0, 5.0, 0.0], 0);
        assert_eq!(update, [6.0, 8.0, 0.0, 7.0]);
    }
}
