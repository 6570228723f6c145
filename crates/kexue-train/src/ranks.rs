//! Processes that train one run together, on one machine or several.
//!
//! Each process computes some of a step's shards. The shards' gradients are summed in the order of the shards, so the result depends on the number of
//! shards, but not on the number of processes.

/// The processes that train a run together. All must call the same methods in the same order.
pub trait Ranks: Send {
    /// The number of this process, from 0. The process of number 0 validates, writes and prints.
    fn rank(&self) -> usize;

    /// The number of processes.
    fn size(&self) -> usize;

    /// The bytes of every process, in order, on every process.
    fn gather(&self, own: &[u8]) -> Vec<Vec<u8>>;

    /// Replaces the numbers with those of process 0.
    fn broadcast(&self, values: &mut [f32]);

    /// Sums the vectors of all processes, in order: first those of process 0. Afterwards the first of `own` is the sum, on every process.
    fn sum(&self, own: &mut [Vec<f32>]);
}

/// A single process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

impl Ranks for Alone {
    fn rank(&self) -> usize {
        0
    }

    fn size(&self) -> usize {
        1
    }

    fn gather(&self, own: &[u8]) -> Vec<Vec<u8>> {
        vec![own.to_vec()]
    }

    fn broadcast(&self, _: &mut [f32]) {}

    fn sum(&self, own: &mut [Vec<f32>]) {
        add_in_order(own, None);
    }
}

/// Numbers that one thread adds at a time.
pub(crate) const CHUNK: usize = 1 << 14;

/// Adds the vectors to the first, in order; `before` is the sum of those before the first.
pub(crate) fn add_in_order(own: &mut [Vec<f32>], before: Option<&[f32]>) {
    use rayon::prelude::*;
    let Some((first, others)) = own.split_first_mut() else {
        return;
    };
    first.par_chunks_mut(CHUNK).enumerate().for_each(|(index, chunk)| {
        let at = index * CHUNK;
        if let Some(before) = before {
            for (own, before) in chunk.iter_mut().zip(&before[at..]) {
                *own += before;
            }
        }
        for other in others.iter() {
            for (sum, more) in chunk.iter_mut().zip(&other[at..]) {
                *sum += more;
            }
        }
    });
}
