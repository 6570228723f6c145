//! A model and its optimisers: gradients of batches, and steps. Without files.

use crate::epochs::Epochs;
use crate::streams::{SHARDS, generator};
use crate::{Loss, ParameterGroup, Task, TrainError};
use kexue_optim::Parameters;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// How a step's batch is put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchSettings {
    /// Seed of every random choice.
    pub seed: u64,
    /// Examples a step.
    pub size: usize,
    /// Parts that are computed in parallel; their gradients are summed in order.
    pub shards: usize,
}

/// A shard's batch, with the generator that made it.
type Made<B> = Result<(B, ChaCha8Rng), TrainError>;

/// A model in training: [`gradient`](Self::gradient), then [`apply`](Self::apply), step by step.
///
/// [`Trainer`](crate::Trainer) adds what a run needs besides; use a learner alone to look at a training from within.
pub struct Learner<'a, T: Task> {
    task: &'a T,
    model: T::Model,
    groups: Vec<ParameterGroup>,
    batches: BatchSettings,
    epochs: Epochs,
    /// One for each shard.
    workspaces: Vec<T::Workspace>,
    /// One for each shard; the first is that of the whole batch in the end.
    gradients: Vec<Vec<f32>>,
    /// The batches of the next step.
    ahead: Option<(u64, Vec<Made<T::Batch>>)>,
}

impl<'a, T: Task> Learner<'a, T> {
    /// A model to be trained; the groups must not overlap. Parameters in no group stay as they are.
    pub fn new(task: &'a T, model: T::Model, groups: Vec<ParameterGroup>, batches: BatchSettings) -> Self {
        let size = model.slots().size();
        let shards = batches.shards.max(1);
        Self {
            workspaces: (0..shards).map(|_| task.workspace(&model)).collect(),
            gradients: vec![vec![0.0; size]; shards],
            epochs: Epochs::new(batches.seed, task.examples()),
            task,
            model,
            groups,
            batches,
            ahead: None,
        }
    }

    /// The model.
    pub fn model(&self) -> &T::Model {
        &self.model
    }

    /// The model, to be changed.
    pub fn model_mut(&mut self) -> &mut T::Model {
        &mut self.model
    }

    /// The model, at the end.
    pub fn into_model(self) -> T::Model {
        self.model
    }

    /// The groups, each with its optimiser.
    pub fn groups(&self) -> &[ParameterGroup] {
        &self.groups
    }

    /// The groups, to be changed.
    pub fn groups_mut(&mut self) -> &mut [ParameterGroup] {
        &mut self.groups
    }

    pub(crate) fn model_and_groups(&mut self) -> (&mut T::Model, &mut [ParameterGroup]) {
        (&mut self.model, &mut self.groups)
    }

    /// The gradient of the mean loss, after [`gradient`](Self::gradient).
    pub fn last_gradient(&self) -> &[f32] {
        &self.gradients[0]
    }

    /// The workspace of a shard.
    pub fn workspace(&mut self, shard: usize) -> &mut T::Workspace {
        &mut self.workspaces[shard]
    }

    /// The examples of each shard of a step.
    fn examples(&mut self, step: u64) -> Vec<Vec<usize>> {
        let size = self.batches.size as u64;
        let places = step * size..(step + 1) * size;
        let examples: Vec<usize> = places.filter_map(|place| self.epochs.example(place)).collect();
        let each = examples.len().div_ceil(self.workspaces.len()).max(1);
        let shard = |shard: usize| {
            let start = (shard * each).min(examples.len());
            examples[start..(start + each).min(examples.len())].to_vec()
        };
        (0..self.workspaces.len()).map(shard).collect()
    }

    /// Computes the loss of a step's batch and the gradient of its mean. Meanwhile the batch of the next step is made, unless this is the last.
    ///
    /// # Errors
    /// If the task fails.
    pub fn gradient(&mut self, step: u64, last: bool) -> Result<Loss, TrainError> {
        let (task, seed) = (self.task, self.batches.seed);
        let make = |step: u64, examples: Vec<Vec<usize>>| -> Vec<Made<T::Batch>> {
            let made = examples.into_par_iter().enumerate().map(|(shard, examples)| {
                let mut random = generator(seed, SHARDS + shard as u64, step);
                task.batch(&examples, step, &mut random).map(|batch| (batch, random))
            });
            made.collect()
        };
        let made = match self.ahead.take() {
            Some((made_for, made)) if made_for == step => made,
            _ => make(step, self.examples(step)),
        };
        let next = (!last).then(|| self.examples(step + 1));
        let model = &self.model;
        let shards = (&mut self.workspaces[..], &mut self.gradients[..]);
        let (losses, ahead) = rayon::join(
            || {
                let shards = shards.0.par_iter_mut().zip(shards.1.par_iter_mut());
                let losses = shards.zip(made).map(|((workspace, gradient), made)| {
                    let (batch, mut random) = made?;
                    gradient.fill(0.0);
                    task.loss(model, &batch, &mut random, workspace, gradient)
                });
                losses.collect::<Result<Vec<_>, _>>()
            },
            || next.map(|examples| (step + 1, make(step + 1, examples))),
        );
        self.ahead = ahead;
        let loss = total(losses?);
        self.fold((1.0 / loss.terms.max(1.0)) as f32);
        Ok(loss)
    }

    /// Sums the shards' gradients in order, and scales the sum.
    fn fold(&mut self, factor: f32) {
        let Some((first, others)) = self.gradients.split_first_mut() else {
            return;
        };
        const CHUNK: usize = 1 << 14;
        let chunks = first.par_chunks_mut(CHUNK).enumerate();
        chunks.for_each(|(index, chunk)| {
            for other in others.iter() {
                for (sum, more) in chunk.iter_mut().zip(&other[index * CHUNK..]) {
                    *sum += more;
                }
            }
            chunk.iter_mut().for_each(|sum| *sum *= factor);
        });
    }

    /// Moves the parameters of the groups whose turn it is. Afterwards the gradient is what was subtracted.
    pub fn apply(&mut self, step: u64) {
        let gradient = &mut self.gradients[0];
        for group in &mut self.groups {
            group.apply(self.model.values_mut(), gradient, step);
        }
        self.model.changed();
    }
}

/// The losses of the shards as one.
fn total(losses: Vec<Loss>) -> Loss {
    losses.into_iter().fold(Loss::default(), |mut total, loss| {
        total.sum += loss.sum;
        total.terms += loss.terms;
        total.items += loss.items;
        for (name, sum, terms) in loss.also {
            match total.also.iter_mut().find(|(other, ..)| *other == name) {
                Some(other) => (other.1, other.2) = (other.1 + sum, other.2 + terms),
                None => total.also.push((name, sum, terms)),
            }
        }
        total
    })
}
