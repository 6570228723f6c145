//! Chains that act on some parameters only.

use crate::{Chain, Subset, Transformation};

/// Applies a chain to some parameters as if there were no others; their updates pass unchanged, as in optax's `masked`.
pub struct Masked {
    subset: Subset,
    chain: Chain,
    /// Copies of parameters that are not contiguous.
    update: Vec<f32>,
    parameters: Vec<f32>,
}

impl Masked {
    /// `chain` must be made for the slots of `subset`.
    pub fn new(subset: Subset, chain: Chain) -> Self {
        Self {
            subset,
            chain,
            update: Vec::new(),
            parameters: Vec::new(),
        }
    }

    /// The parameters that the chain is applied to.
    pub fn subset(&self) -> &Subset {
        &self.subset
    }

    /// The chain that is applied to the group.
    pub fn chain(&mut self) -> &mut Chain {
        &mut self.chain
    }

    /// Makes one step for these parameters. The others and their gradient do not change.
    pub fn step(&mut self, parameters: &mut [f32], gradient: &mut [f32], step: u64) {
        match self.subset.ranges() {
            [] => {}
            [one] => self
                .chain
                .step(&mut parameters[one.clone()], &mut gradient[one.clone()], step),
            _ => {
                self.subset.gather(parameters, &mut self.parameters);
                self.subset.gather(gradient, &mut self.update);
                self.chain.step(&mut self.parameters, &mut self.update, step);
                self.subset.scatter(&self.parameters, parameters);
                self.subset.scatter(&self.update, gradient);
            }
        }
    }
}

impl Transformation for Masked {
    fn name(&self) -> &'static str {
        "masked"
    }

    fn apply(&mut self, update: &mut [f32], parameters: &[f32], step: u64) {
        match self.subset.ranges() {
            [] => {}
            [one] => self
                .chain
                .apply(&mut update[one.clone()], &parameters[one.clone()], step),
            _ => {
                self.subset.gather(parameters, &mut self.parameters);
                self.subset.gather(update, &mut self.update);
                self.chain.apply(&mut self.update, &self.parameters, step);
                self.subset.scatter(&self.update, update);
            }
        }
    }

    fn state(&mut self) -> Vec<(String, &mut Vec<f32>)> {
        self.chain.state()
    }

    fn learning_rate(&self, step: u64) -> Option<f32> {
        self.chain.learning_rate(step)
    }

    fn describe(&self) -> String {
        let names: Vec<&str> = self.subset.slots().iter().map(|slot| slot.name.as_str()).collect();
        let of = match names[..] {
            [] => "nothing".to_owned(),
            [one] => one.to_owned(),
            [first, ..] => format!("{first} and {} more", names.len() - 1),
        };
        format!("({}) on {of}", self.chain)
    }
}

/// A group of a [`Partition`].
pub struct Group {
    /// Its name in the chain's line.
    pub name: String,
    /// Its parameters.
    pub subset: Subset,
    /// Its chain; a group without a chain is frozen.
    pub chain: Option<Chain>,
}

/// Applies a separate chain to each group of parameters, as in optax's `partition`. The update of a group without a chain is 0.
pub struct Partition {
    groups: Vec<(String, Masked)>,
    frozen: Vec<std::ops::Range<usize>>,
    words: Vec<String>,
}

impl Partition {
    /// Groups of parameters; each parameter must be in exactly one.
    pub fn new(groups: Vec<Group>) -> Self {
        let mut partition = Self {
            groups: Vec::new(),
            frozen: Vec::new(),
            words: Vec::new(),
        };
        for Group { name, subset, chain } in groups {
            match chain {
                Some(chain) => {
                    partition.words.push(format!("{name}: {chain}"));
                    partition.groups.push((name, Masked::new(subset, chain)));
                }
                None => {
                    partition.words.push(format!("{name}: frozen"));
                    partition.frozen.extend_from_slice(subset.ranges());
                }
            }
        }
        partition
    }
}

impl Transformation for Partition {
    fn name(&self) -> &'static str {
        "partition"
    }

    fn apply(&mut self, update: &mut [f32], parameters: &[f32], step: u64) {
        for range in &self.frozen {
            update[range.clone()].fill(0.0);
        }
        for (_, group) in &mut self.groups {
            group.apply(update, parameters, step);
        }
    }

    fn state(&mut self) -> Vec<(String, &mut Vec<f32>)> {
        let mut all = Vec::new();
        for (name, group) in &mut self.groups {
            all.extend(
                group
                    .state()
                    .into_iter()
                    .map(|(part, vector)| (format!("{name}.{part}"), vector)),
            );
        }
        all
    }

    fn learning_rate(&self, step: u64) -> Option<f32> {
        self.groups.first().and_then(|(_, group)| group.learning_rate(step))
    }

    fn describe(&self) -> String {
        format!("[{}]", self.words.join(" | "))
    }
}
