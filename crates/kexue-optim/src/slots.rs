//! Named parts of one flat vector.

use crate::Pattern;
use serde::Serialize;
use std::ops::{Deref, Range};

/// The role of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// A lookup table for tokens, positions or classes.
    Embedding,
    /// The query projection of attention.
    Query,
    /// The key projection of attention.
    Key,
    /// The value projection of attention.
    Value,
    /// The output projection of attention.
    AttentionOutput,
    /// The first layer of a feed-forward branch.
    Up,
    /// The last layer of a feed-forward branch.
    Down,
    /// The dense layer of a head.
    Dense,
    /// A norm's factor γ.
    Gamma,
    /// The bias of a linear layer, a norm or the softmax.
    Bias,
    /// The learned factor of a branch.
    Gate,
    /// Any other weight: a matrix, a convolution kernel, a vector.
    Weight,
}

/// The two kinds of branches of a Transformer block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Branch {
    /// Self-attention.
    Attention,
    /// The feed-forward layers.
    FeedForward,
}

/// Which part of a model a parameter belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Place {
    /// Before the first block.
    Input,
    /// In a branch of a block.
    Block {
        /// The block, from 0.
        block: usize,
        /// Which of its branches.
        branch: Branch,
    },
    /// Between the last block and the head.
    Output,
    /// In the head.
    Head,
    /// Not specified by the model.
    #[default]
    Unspecified,
}

/// One named parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Its name, unique in the model; dots separate the parts, as in PyTorch.
    pub name: String,
    /// Its role.
    pub role: Role,
    /// Its place in the model.
    pub place: Place,
    /// Its shape; matrices are `[out, in]`.
    pub shape: Vec<usize>,
    /// Its values in the flat vector.
    pub range: Range<usize>,
}

impl Slot {
    /// Whether weight decay applies by default: to matrices and kernels, not to biases, norms and gates.
    pub fn decays(&self) -> bool {
        self.shape.len() > 1
    }
}

/// The named parameters of a model; together they tile one flat vector, in this order.
///
/// ```
/// use kexue_optim::{Place, Role, Slots};
///
/// let mut slots = Slots::default();
/// let weight = slots.add("linear.weight", Role::Weight, Place::Unspecified, &[2, 3]);
/// let bias = slots.add("linear.bias", Role::Bias, Place::Unspecified, &[2]);
/// assert_eq!((weight, bias, slots.size()), (0..6, 6..8, 8));
/// assert!(slots[0].decays() && !slots[1].decays());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slots {
    slots: Vec<Slot>,
    size: usize,
}

impl Slots {
    /// A single unnamed parameter of this many values.
    pub fn flat(size: usize) -> Self {
        let mut slots = Self::default();
        slots.add("", Role::Weight, Place::Unspecified, &[size]);
        slots
    }

    /// Adds a parameter at the end; returns the range of its values.
    pub fn add(&mut self, name: impl Into<String>, role: Role, place: Place, shape: &[usize]) -> Range<usize> {
        let start = self.size;
        self.size += shape.iter().product::<usize>();
        let range = start..self.size;
        self.slots.push(Slot {
            name: name.into(),
            role,
            place,
            shape: shape.to_vec(),
            range: range.clone(),
        });
        range
    }

    /// Number of values in the flat vector.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The parameters for which `keep` holds, as slots of a smaller flat vector.
    pub fn subset(&self, mut keep: impl FnMut(&Slot) -> bool) -> Subset {
        let mut subset = Subset::default();
        for slot in self.slots.iter().filter(|slot| keep(slot)) {
            subset.slots.add(slot.name.clone(), slot.role, slot.place, &slot.shape);
            match subset.ranges.last_mut() {
                Some(last) if last.end == slot.range.start => last.end = slot.range.end,
                _ => subset.ranges.push(slot.range.clone()),
            }
        }
        subset
    }

    /// The parameters whose names match any of the patterns.
    pub fn matching(&self, patterns: &[Pattern]) -> Subset {
        self.subset(|slot| patterns.iter().any(|pattern| pattern.matches(&slot.name)))
    }
}

impl Deref for Slots {
    type Target = [Slot];

    fn deref(&self) -> &[Slot] {
        &self.slots
    }
}

impl<'a> IntoIterator for &'a Slots {
    type Item = &'a Slot;
    type IntoIter = std::slice::Iter<'a, Slot>;

    fn into_iter(self) -> Self::IntoIter {
        self.slots.iter()
    }
}

/// Some parameters of a model, seen as a smaller flat vector.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subset {
    slots: Slots,
    ranges: Vec<Range<usize>>,
}

impl Subset {
    /// The parameters; their ranges are those in the smaller vector.
    pub fn slots(&self) -> &Slots {
        &self.slots
    }

    /// Their values in the whole vector; neighbours are merged.
    pub fn ranges(&self) -> &[Range<usize>] {
        &self.ranges
    }

    /// Copies their values from the whole vector.
    pub fn gather(&self, whole: &[f32], into: &mut Vec<f32>) {
        into.clear();
        into.reserve(self.slots.size());
        for range in &self.ranges {
            into.extend_from_slice(&whole[range.clone()]);
        }
    }

    /// Copies their values back into the whole vector.
    pub fn scatter(&self, values: &[f32], whole: &mut [f32]) {
        let mut rest = values;
        for range in &self.ranges {
            let (here, after) = rest.split_at(range.len());
            whole[range.clone()].copy_from_slice(here);
            rest = after;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subset_merges_neighbours_and_goes_there_and_back() {
        let mut slots = Slots::default();
        for (name, size) in [("a.x", 2), ("a.y", 1), ("b", 3), ("a.z", 2)] {
            slots.add(name, Role::Weight, Place::Unspecified, &[size]);
        }
        let subset = slots.matching(&["a.*".parse().unwrap()]);
        assert_eq!(subset.ranges(), [0..3, 6..8]);
        assert_eq!(subset.slots()[2].range, 3..5);
        let mut whole: Vec<f32> = (0..8).map(|value| value as f32).collect();
        let mut part = Vec::new();
        subset.gather(&whole, &mut part);
        assert_eq!(part, [0.0, 1.0, 2.0, 6.0, 7.0]);
        part.iter_mut().for_each(|value| *value += 10.0);
        subset.scatter(&part, &mut whole);
        assert_eq!(whole, [10.0, 11.0, 12.0, 3.0, 4.0, 5.0, 16.0, 17.0]);
    }
}
