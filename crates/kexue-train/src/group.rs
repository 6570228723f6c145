//! Groups of parameters, each with its own optimiser, steps and averages.

use crate::TrainError;
use kexue_optim::{Chain, ChainSettings, Masked, MovingAverage, Pattern, Slots, Transformation};
use serde::{Deserialize, Serialize};

/// The steps at which a group is trained: those whose remainder modulo `cycle` is at least `from` and less than `until`.
///
/// At other steps the group does not change at all, whereas Adam's momentum would move its parameters even at a gradient of 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Turn {
    /// Length of a cycle, in steps.
    pub cycle: u64,
    /// The first step of the group in a cycle, from 0.
    pub from: u64,
    /// The step after its last one in a cycle.
    pub until: u64,
}

impl Turn {
    /// Every step.
    pub const ALWAYS: Self = Self {
        cycle: 1,
        from: 0,
        until: 1,
    };

    /// Whether the group is trained at a step.
    pub fn has(&self, step: u64) -> bool {
        (self.from..self.until).contains(&(step % self.cycle))
    }

    /// The number of the group's steps before a step.
    pub fn before(&self, step: u64) -> u64 {
        let within = |steps: u64| steps.min(self.until).saturating_sub(self.from);
        step / self.cycle * within(self.cycle) + within(step % self.cycle)
    }
}

/// How a group of parameters is trained.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupSettings {
    /// Its name, in metrics and checkpoints; empty for a group that is the whole model.
    pub name: String,
    /// Patterns of its parameters' names; no patterns mean all parameters.
    pub on: Vec<Pattern>,
    /// Its optimiser.
    pub chain: ChainSettings,
    /// The steps at which it is trained.
    pub turn: Turn,
    /// Decays of its moving averages. Each average is validated, and the best one is saved.
    pub averages: Vec<f32>,
}

/// A group of parameters in training.
pub struct ParameterGroup {
    name: String,
    chain: Masked,
    turn: Turn,
    averages: Vec<(f32, MovingAverage)>,
    scratch: Vec<f32>,
}

impl ParameterGroup {
    /// The whole model under one chain.
    pub fn whole(slots: &Slots, chain: Chain) -> Self {
        Self {
            name: String::new(),
            chain: Masked::new(slots.subset(|_| true), chain),
            turn: Turn::ALWAYS,
            averages: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// Creates a group from its settings, for a model with these values and a run of `steps` steps.
    ///
    /// # Errors
    /// If a setting is invalid or a pattern matches no parameter.
    pub fn new(settings: &GroupSettings, slots: &Slots, values: &[f32], steps: u64) -> Result<Self, TrainError> {
        let problem = |field, problem: String| Err(TrainError::Setting { field, problem });
        let Turn { cycle, from, until } = settings.turn;
        if !(from < until && until <= cycle) {
            return problem(
                "turn",
                format!("from {from} until {until} is no part of a cycle of {cycle} steps"),
            );
        }
        if let Some(average) = settings.averages.iter().find(|average| !(0.0..1.0).contains(*average)) {
            return problem("average", format!("{average} must be 0 or more and less than 1"));
        }
        let subset = match settings.on.is_empty() {
            true => slots.subset(|_| true),
            false => slots.matching(&settings.on),
        };
        if subset.slots().is_empty() {
            return problem(
                "group",
                format!("no parameter's name matches that of the group {}", settings.name),
            );
        }
        let chain = settings.chain.build(subset.slots(), settings.turn.before(steps))?;
        let mut own = Vec::new();
        subset.gather(values, &mut own);
        let averages = settings
            .averages
            .iter()
            .map(|&decay| (decay, MovingAverage::new(decay, &own)));
        Ok(Self {
            name: settings.name.clone(),
            averages: averages.collect(),
            chain: Masked::new(subset, chain),
            turn: settings.turn,
            scratch: own,
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its steps.
    pub fn turn(&self) -> Turn {
        self.turn
    }

    /// Its learning rate at a step.
    pub fn learning_rate(&self, step: u64) -> Option<f32> {
        self.chain.learning_rate(self.turn.before(step))
    }

    /// Its name and chain in one line.
    pub fn describe(&mut self) -> String {
        let (name, chain) = (&self.name, self.chain.chain());
        match name.is_empty() {
            true => chain.to_string(),
            false => format!("{name}: {chain}"),
        }
    }

    /// Updates its parameters, if it is trained at this step.
    pub(crate) fn apply(&mut self, values: &mut [f32], gradient: &mut [f32], step: u64) {
        if !self.turn.has(step) {
            return;
        }
        let own = self.turn.before(step);
        self.chain.step(values, gradient, own);
        if self.averages.is_empty() {
            return;
        }
        let now = match self.chain.subset().ranges() {
            [one] => &values[one.clone()],
            _ => {
                self.chain.subset().gather(values, &mut self.scratch);
                &self.scratch
            }
        };
        for (_, average) in &mut self.averages {
            average.update(now, own);
        }
    }

    /// The decays of its averages.
    pub(crate) fn averages(&self) -> Vec<f32> {
        self.averages.iter().map(|(decay, _)| *decay).collect()
    }

    /// Replaces its parameters with an average: the last one if there are fewer. Does nothing if there is none.
    pub(crate) fn use_average(&self, index: usize, values: &mut [f32]) {
        if let Some((_, average)) = self.averages.get(index).or(self.averages.last()) {
            self.chain.subset().scatter(average.values(), values);
        }
    }

    /// Its state between steps, by name.
    pub(crate) fn state(&mut self) -> Vec<(String, &mut Vec<f32>)> {
        let prefix = match self.name.is_empty() {
            true => String::new(),
            false => format!("{}.", self.name),
        };
        let chain = self.chain.state().into_iter();
        let mut all: Vec<_> = chain
            .map(|(name, vector)| (format!("{prefix}optimizer.{name}"), vector))
            .collect();
        let averages = self.averages.iter_mut().enumerate();
        all.extend(averages.map(|(at, (decay, average))| {
            // Two may have the same weight.
            (format!("{prefix}average.{at}.{decay}"), average.values_mut())
        }));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_count_their_own_steps() {
        let critic = Turn {
            cycle: 6,
            from: 0,
            until: 5,
        };
        let generator = Turn {
            from: 5,
            until: 6,
            ..critic
        };
        let mut own = [0, 0];
        for step in 0..40 {
            for (turn, own) in [critic, generator].iter().zip(&mut own) {
                assert_eq!(turn.before(step), *own, "step {step}");
                *own += u64::from(turn.has(step));
            }
            assert!(critic.has(step) != generator.has(step) && Turn::ALWAYS.has(step));
            assert_eq!(Turn::ALWAYS.before(step), step);
        }
    }
}
