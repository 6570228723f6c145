//! Questions to train on, and questions held out of the training.

use crate::questions::questions_for;
use crate::{Question, Result};
use kexue_kg::KnowledgeGraph;
use std::path::Path;

/// The questions of a file in two parts.
pub(crate) struct Split {
    /// The questions to train on.
    pub kept: Vec<Question>,
    /// The held-out questions.
    pub held_out: Vec<Question>,
}

impl Split {
    /// Reads a file of questions and holds one in `every` out, as [`hold_out`] does.
    pub fn read(graph: &KnowledgeGraph, path: &Path, every: usize) -> Result<Self> {
        let (kept, held_out) = hold_out(questions_for(graph, path, false)?, every);
        Ok(Self { kept, held_out })
    }
}

/// Splits items into those to train on and those held out: the last of each `every` items is held out. Nothing is held out if `every` is 0.
///
/// ```
/// assert_eq!(kexue_qa::hold_out(vec![1, 2, 3, 4, 5], 2), (vec![1, 3, 5], vec![2, 4]));
/// ```
pub fn hold_out<T>(items: Vec<T>, every: usize) -> (Vec<T>, Vec<T>) {
    let (mut kept, mut held_out) = (Vec::new(), Vec::new());
    for (index, item) in items.into_iter().enumerate() {
        let part = if every > 0 && index % every == every - 1 {
            &mut held_out
        } else {
            &mut kept
        };
        part.push(item);
    }
    (kept, held_out)
}

/// Keeps at most `most` of the items, evenly spread.
///
/// ```
/// assert_eq!(kexue_qa::spread(vec![1, 2, 3, 4, 5, 6], 2), [3, 6]);
/// ```
pub fn spread<T>(items: Vec<T>, most: usize) -> Vec<T> {
    let all = items.len().max(1);
    let is_kept = |index: usize| most >= all || (index + 1) * most / all > index * most / all;
    let kept = items.into_iter().enumerate().filter(|(index, _)| is_kept(*index));
    kept.map(|(_, item)| item).collect()
}
