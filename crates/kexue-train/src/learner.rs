//! A model and its optimisers: gradients of batches, and steps. Does not use files.

use crate::epochs::Epochs;
use crate::ranks::{Alone, CHUNK, Ranks};
use crate::streams::{SHARDS, generator};
use crate::{Accelerator, Loss, ParameterGroup, Regularizer, Task, TrainError};
use kexue_optim::{Parameters, Role};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// How a step's batch is composed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchSettings {
    /// Seed of all random choices.
    pub seed: u64,
    /// Examples per step.
    pub size: usize,
    /// Parts that are computed in parallel; their gradients are summed in order.
    pub shards: usize,
}

/// A shard's batch, with the generator that made it.
type Made<B> = Result<(B, ChaCha8Rng), TrainError>;

/// A model in training: [`gradient`](Self::gradient), then [`apply`](Self::apply), step by step.
///
/// [`Trainer`](crate::Trainer) adds everything else that a run needs. Use a learner alone to observe a training step by step.
pub struct Learner<'a, T: Task> {
    task: &'a T,
    model: T::Model,
    groups: Vec<ParameterGroup>,
    batches: BatchSettings,
    epochs: Epochs,
    /// The regulariser, and the ranges of the parameters that it perturbs.
    regularizer: Option<(Regularizer, Vec<Range<usize>>)>,
    ranks: Box<dyn Ranks>,
    /// The accelerator that computes instead of this process.
    accelerator: Option<Box<dyn Accelerator<T> + 'a>>,
    /// The shards that this process computes.
    own: Range<usize>,
    /// One for each of them.
    workspaces: Vec<T::Workspace>,
    /// One for each of them. In the end, the first one is that of the whole batch.
    gradients: Vec<Vec<f32>>,
    /// The batches of the next step.
    ahead: Option<(u64, Vec<Made<T::Batch>>)>,
}

impl<'a, T: Task> Learner<'a, T> {
    /// Creates a learner. The groups must not overlap. Parameters outside all groups do not change.
    pub fn new(task: &'a T, model: T::Model, groups: Vec<ParameterGroup>, batches: BatchSettings) -> Self {
        let size = model.slots().size();
        Self {
            workspaces: (0..batches.shards).map(|_| task.workspace(&model)).collect(),
            gradients: vec![vec![0.0; size]; batches.shards],
            own: 0..batches.shards,
            regularizer: None,
            ranks: Box::new(Alone),
            accelerator: None,
            epochs: Epochs::new(batches.seed, task.examples()),
            task,
            model,
            groups,
            batches,
            ahead: None,
        }
    }

    /// Adds a regulariser. Its inputs are the embeddings; if there are several tables, that of the words.
    ///
    /// # Errors
    /// If inputs are to be perturbed and the model has no embeddings.
    pub fn regularized(mut self, regularizer: Option<Regularizer>) -> Result<Self, TrainError> {
        let Some(regularizer) = regularizer else {
            return Ok(self);
        };
        let slots = self.model.slots();
        let embeddings = || slots.iter().filter(|slot| slot.role == Role::Embedding);
        let words = embeddings().filter(|slot| slot.name.contains("word_embeddings"));
        let mut ranges: Vec<Range<usize>> = words.map(|slot| slot.range.clone()).collect();
        if ranges.is_empty() {
            ranges = embeddings().map(|slot| slot.range.clone()).collect();
        }
        if !regularizer.perturbs_inputs() {
            ranges = std::iter::once(0..slots.size()).collect();
        } else if ranges.is_empty() {
            return Err(TrainError::Setting {
                field: "regularizer",
                problem: format!("{regularizer} perturbs embeddings, and the model has none"),
            });
        }
        self.regularizer = Some((regularizer, ranges));
        Ok(self)
    }

    /// Shares the shards with other processes. All processes must have the same model and take the same steps.
    ///
    /// # Errors
    /// If there are more processes than shards.
    pub fn shared(mut self, ranks: Box<dyn Ranks>) -> Result<Self, TrainError> {
        let (rank, size, shards) = (ranks.rank(), ranks.size(), self.batches.shards);
        if size > shards {
            let problem = format!(
                "{shards} shards of a batch are too few for {size} processes, each of which computes at least one"
            );
            return Err(TrainError::Setting {
                field: "shards",
                problem,
            });
        }
        self.own = rank * shards / size..(rank + 1) * shards / size;
        self.workspaces.truncate(self.own.len());
        self.gradients.truncate(self.own.len());
        self.ranks = ranks;
        Ok(self)
    }

    /// Computes the steps with an accelerator. Call [`take_over`](Self::take_over) before the first step.
    ///
    /// # Errors
    /// If several processes train together, or there is a regulariser.
    pub fn accelerated(mut self, accelerator: Box<dyn Accelerator<T> + 'a>) -> Result<Self, TrainError> {
        if self.ranks.size() > 1 {
            let problem = "several processes train on the CPU only".to_owned();
            return Err(TrainError::Setting {
                field: "device",
                problem,
            });
        }
        if let Some((regularizer, _)) = &self.regularizer {
            let problem = format!("{regularizer} is for the CPU; a GPU computes the gradient of the loss alone");
            return Err(TrainError::Setting {
                field: "regularizer",
                problem,
            });
        }
        self.accelerator = Some(accelerator);
        self.workspaces.clear();
        self.gradients.clear();
        Ok(self)
    }

    /// Gives parameters and state to the accelerator, if there is one.
    ///
    /// # Errors
    /// If the device fails.
    pub fn take_over(&mut self) -> Result<(), TrainError> {
        match &mut self.accelerator {
            None => Ok(()),
            Some(accelerator) => {
                let state = self.groups.iter_mut().flat_map(ParameterGroup::state);
                accelerator.load(self.model.values(), state.collect())
            }
        }
    }

    /// Copies parameters and state from the accelerator, if there is one. Call it before reading them.
    ///
    /// # Errors
    /// If the device fails.
    pub fn bring_back(&mut self) -> Result<(), TrainError> {
        let Some(accelerator) = &mut self.accelerator else {
            return Ok(());
        };
        let state = self.groups.iter_mut().flat_map(ParameterGroup::state);
        accelerator.store(self.model.values_mut(), state.collect())?;
        self.model.changed();
        Ok(())
    }

    /// The processes that train together.
    pub fn ranks(&self) -> &dyn Ranks {
        &*self.ranks
    }

    /// The model.
    pub fn model(&self) -> &T::Model {
        &self.model
    }

    /// The model, mutably.
    pub fn model_mut(&mut self) -> &mut T::Model {
        &mut self.model
    }

    /// Returns the model.
    pub fn into_model(self) -> T::Model {
        self.model
    }

    /// The groups, each with its optimiser.
    pub fn groups(&self) -> &[ParameterGroup] {
        &self.groups
    }

    /// The groups, mutably.
    pub fn groups_mut(&mut self) -> &mut [ParameterGroup] {
        &mut self.groups
    }

    pub(crate) fn model_and_groups(&mut self) -> (&mut T::Model, &mut [ParameterGroup]) {
        (&mut self.model, &mut self.groups)
    }

    pub(crate) fn parts(&mut self) -> (&mut T::Model, &mut [ParameterGroup], &dyn Ranks) {
        (&mut self.model, &mut self.groups, &*self.ranks)
    }

    /// The gradient of the mean loss, after [`gradient`](Self::gradient) without an accelerator.
    pub fn last_gradient(&self) -> &[f32] {
        &self.gradients[0]
    }

    /// The workspace of a shard.
    pub fn workspace(&mut self, shard: usize) -> &mut T::Workspace {
        &mut self.workspaces[shard]
    }

    /// The examples of each of this process's shards of a step.
    fn examples(&mut self, step: u64) -> Vec<Vec<usize>> {
        let size = self.batches.size as u64;
        let places = step * size..(step + 1) * size;
        let examples: Vec<usize> = places.filter_map(|place| self.epochs.example(place)).collect();
        let each = examples.len().div_ceil(self.batches.shards).max(1);
        let shard = |shard: usize| {
            let start = (shard * each).min(examples.len());
            examples[start..(start + each).min(examples.len())].to_vec()
        };
        self.own.clone().map(shard).collect()
    }

    /// Computes the loss of a step's batch and the gradient of its mean. Meanwhile makes the batch of the next step, unless this is the last one.
    ///
    /// # Errors
    /// If the task fails.
    pub fn gradient(&mut self, step: u64, last: bool) -> Result<Loss, TrainError> {
        let (task, seed, first) = (self.task, self.batches.seed, self.own.start);
        let make = |step: u64, examples: Vec<Vec<usize>>| -> Vec<Made<T::Batch>> {
            let made = examples.into_par_iter().enumerate().map(|(shard, examples)| {
                let mut random = generator(seed, SHARDS + (first + shard) as u64, step);
                task.batch(&examples, step, &mut random).map(|batch| (batch, random))
            });
            made.collect()
        };
        let made = match self.ahead.take() {
            Some((made_for, made)) if made_for == step => made,
            _ => make(step, self.examples(step)),
        };
        let next = (!last).then(|| self.examples(step + 1));
        let made = made.into_iter().collect::<Result<Vec<_>, _>>();
        let (model, workspaces, gradients) = (&self.model, &mut self.workspaces, &mut self.gradients);
        let accelerator = self.accelerator.as_mut();
        let compute = |made: &[(T::Batch, ChaCha8Rng)]| match accelerator {
            Some(accelerator) => Ok(vec![accelerator.gradient(task, made, step)?]),
            None => pass(task, model, workspaces, gradients, made),
        };
        let (passed, ahead) = rayon::join(
            || made.and_then(|made| Ok((compute(&made)?, made))),
            || next.map(|examples| (step + 1, make(step + 1, examples))),
        );
        self.ahead = ahead;
        let (losses, made) = match passed {
            Ok((losses, made)) => (Ok(losses), made),
            Err(error) => (Err(error), Vec::new()),
        };
        let loss = self.sum(losses)?;
        if let Some((regularizer, ranges)) = self.regularizer.clone() {
            self.regularize(regularizer, &ranges, &made)?;
        }
        Ok(loss)
    }

    /// The loss of the whole batch; the first gradient becomes that of its mean.
    fn sum(&mut self, losses: Result<Vec<Loss>, TrainError>) -> Result<Loss, TrainError> {
        let loss = self.exchange(losses)?.into_iter().sum::<Loss>();
        if self.accelerator.is_some() {
            return Ok(loss);
        }
        self.ranks.sum(&mut self.gradients);
        let factor = (1.0 / loss.terms.max(1.0)) as f32;
        if let Some(sum) = self.gradients.first_mut() {
            sum.par_chunks_mut(CHUNK)
                .for_each(|chunk| chunk.iter_mut().for_each(|sum| *sum *= factor));
        }
        Ok(loss)
    }

    /// Turns the gradient into that of the regularised loss, by evaluating the same batch with the same dropout at other parameters.
    fn regularize(
        &mut self,
        regularizer: Regularizer,
        ranges: &[Range<usize>],
        made: &[(T::Batch, ChaCha8Rng)],
    ) -> Result<(), TrainError> {
        let mut values = self.model.values().to_vec();
        let mut gradient = self.gradients[0].clone();
        let done = regularizer.apply(&mut values, ranges, &mut gradient, |at| {
            self.model.values_mut().copy_from_slice(at);
            self.model.changed();
            let losses = pass(self.task, &self.model, &mut self.workspaces, &mut self.gradients, made);
            self.sum(losses)?;
            Ok(self.gradients[0].clone())
        });
        self.model.values_mut().copy_from_slice(&values);
        self.model.changed();
        self.gradients[0] = gradient;
        done
    }

    /// The losses of all shards, in order. An error of one process is an error of all.
    fn exchange(&self, own: Result<Vec<Loss>, TrainError>) -> Result<Vec<Loss>, TrainError> {
        if self.ranks.size() == 1 {
            return own;
        }
        let message = match &own {
            Ok(losses) => Ok(losses.iter().map(Bits::of).collect::<Vec<_>>()),
            Err(error) => Err(error.to_string()),
        };
        let bytes = serde_json::to_vec(&message).map_err(TrainError::task)?;
        let mut all = Vec::with_capacity(self.batches.shards);
        for (rank, bytes) in self.ranks.gather(&bytes).into_iter().enumerate() {
            let message: Result<Vec<Bits>, String> = serde_json::from_slice(&bytes).map_err(TrainError::task)?;
            match message {
                Ok(losses) => all.extend(losses.into_iter().map(Bits::loss)),
                Err(_) if rank == self.ranks.rank() => return own,
                Err(problem) => return Err(TrainError::Process { rank, problem }),
            }
        }
        Ok(all)
    }

    /// Updates the parameters of the groups that are trained at this step. Afterwards the gradient is the update that was subtracted.
    ///
    /// # Errors
    /// If an accelerator fails.
    pub fn apply(&mut self, step: u64) -> Result<(), TrainError> {
        if let Some(accelerator) = &mut self.accelerator {
            return accelerator.apply(step);
        }
        let gradient = &mut self.gradients[0];
        for group in &mut self.groups {
            group.apply(self.model.values_mut(), gradient, step);
        }
        self.model.changed();
        Ok(())
    }
}

/// Losses and gradients of some shards.
fn pass<T: Task>(
    task: &T,
    model: &T::Model,
    workspaces: &mut [T::Workspace],
    gradients: &mut [Vec<f32>],
    made: &[(T::Batch, ChaCha8Rng)],
) -> Result<Vec<Loss>, TrainError> {
    let shards = workspaces.par_iter_mut().zip(gradients.par_iter_mut()).zip(made);
    let losses = shards.map(|((workspace, gradient), (batch, random))| {
        gradient.fill(0.0);
        task.loss(model, batch, &mut random.clone(), workspace, gradient)
    });
    losses.collect()
}

/// A loss as sent to another process: numbers as bits, so that non-finite ones are preserved.
#[derive(Serialize, Deserialize)]
struct Bits {
    sum: u64,
    terms: u64,
    items: usize,
    also: Vec<(String, u64, u64)>,
}

impl Bits {
    fn of(loss: &Loss) -> Self {
        let also = loss.also.iter();
        Self {
            sum: loss.sum.to_bits(),
            terms: loss.terms.to_bits(),
            items: loss.items,
            also: also
                .map(|(name, sum, terms)| (name.clone(), sum.to_bits(), terms.to_bits()))
                .collect(),
        }
    }

    fn loss(self) -> Loss {
        let also = self.also.into_iter();
        Loss {
            sum: f64::from_bits(self.sum),
            terms: f64::from_bits(self.terms),
            items: self.items,
            also: also
                .map(|(name, sum, terms)| (name, f64::from_bits(sum), f64::from_bits(terms)))
                .collect(),
        }
    }
}
