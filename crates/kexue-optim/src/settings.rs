//! Chains as settings: the tables of a configuration file, in order of application.

use crate::mask::key;
use crate::{
    Accumulate, Adafactor, AdafactorConfig, Adam, AdamConfig, BitMask, Chain, ChildTuning, ClipEachNorm,
    ClipGlobalNorm, ClipValue, Decay, Group, LearningRate, Lion, LionConfig, Mask, Masked, Momentum, MomentumConfig,
    Partition, Pattern, Scale, Schedule, Slots, Subset, TrustRatio, UpdateDropout, WeightDecay,
};
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why a chain cannot be built.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum ChainError {
    /// A setting of a transformation is out of bounds.
    #[error("{kind}: {field} is {value}; it must be {expected}")]
    Setting {
        /// The kind of transformation.
        kind: &'static str,
        /// The setting.
        field: &'static str,
        /// Its value.
        value: f64,
        /// What it must be.
        expected: &'static str,
    },
    /// A pattern matches no parameter.
    #[error("no parameter's name matches `{pattern}`; there are, for example, {examples}")]
    NoMatch {
        /// The pattern.
        pattern: Pattern,
        /// Some names.
        examples: String,
    },
    /// Every parameter is frozen.
    #[error("every parameter is frozen: there is nothing to train")]
    AllFrozen,
    /// A group sets a weight decay, but the chain has none to replace.
    #[error("the group `{0}` has a weight decay of its own, but the chain has no `decay`")]
    NoDecay(Pattern),
    /// A weight decay is to be masked, but no link before it has a mask.
    #[error("decay: masked needs a `child_tuning` before it, whose mask it takes")]
    NoMask,
    /// A mask file cannot be used.
    #[error("child_tuning: {path}: {problem}")]
    MaskFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

/// One transformation of a chain, as a table of a configuration file.
///
/// ```toml
/// [[optimizer]]
/// kind = "clip"
/// max = 1.0
///
/// [[optimizer]]
/// kind = "adam"
///
/// [[optimizer]]
/// kind = "decay"
/// rate = 0.01
///
/// [[optimizer]]
/// kind = "rate"
/// peak = 1e-3
/// warmup = 300
/// decay = "cosine"
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Link {
    /// [`ClipGlobalNorm`].
    Clip {
        /// The largest norm.
        max: f32,
    },
    /// [`ClipEachNorm`].
    ClipEach {
        /// The largest norm of one parameter's gradient.
        max: f32,
    },
    /// [`ClipValue`].
    ClipValue {
        /// The largest absolute value.
        max: f32,
    },
    /// [`Momentum`]: gradient descent with momentum.
    Momentum(MomentumConfig),
    /// [`Adam`].
    Adam(AdamConfig),
    /// [`Lion`].
    Lion(LionConfig),
    /// [`Adafactor`].
    Adafactor(AdafactorConfig),
    /// [`ChildTuning`]: after clipping, before the moments. Task-free if there is no mask file.
    ChildTuning {
        /// The share of the gradient that a step keeps. With a mask file, the kept gradient is divided by it.
        p: f32,
        /// The mask of the task-driven form: a file that [`BitMask::save`] wrote.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mask: Option<PathBuf>,
        /// Whether what is kept is divided by `p`.
        #[serde(default = "yes", skip_serializing_if = "is_yes")]
        divide: bool,
        /// Distinguishes the masks of several links. All masks also depend on the seed of the run.
        #[serde(default, skip_serializing_if = "is_zero")]
        seed: u64,
    },
    /// [`UpdateDropout`]: after the moments.
    UpdateDropout {
        /// The share of the update that a step keeps.
        p: f32,
        /// Whether what is kept is divided by `p`.
        #[serde(default = "yes", skip_serializing_if = "is_yes")]
        divide: bool,
        /// Distinguishes the masks of several links. All masks also depend on the seed of the run.
        #[serde(default, skip_serializing_if = "is_zero")]
        seed: u64,
    },
    /// [`WeightDecay`].
    Decay {
        /// The rate.
        rate: f32,
        /// The parameters that decay; matrices by default.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        on: Vec<Pattern>,
        /// Whether only the parameters decay that the last `child_tuning` before it keeps.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        masked: bool,
    },
    /// [`TrustRatio`]: after `adam` and `decay`, LAMB.
    TrustRatio {},
    /// [`Scale`].
    Scale {
        /// The factor of the updates.
        factor: f32,
        /// The parameters whose updates are scaled.
        on: Vec<Pattern>,
    },
    /// [`LearningRate`].
    Rate {
        /// The highest rate.
        peak: f32,
        /// Steps of warm-up.
        #[serde(default)]
        warmup: u64,
        /// How the rate decays after the warm-up, until the end of the run.
        #[serde(default)]
        decay: Decay,
    },
    /// [`Masked`]: a chain on some parameters.
    Masked {
        /// The parameters.
        on: Vec<Pattern>,
        /// Their chain.
        chain: Vec<Link>,
    },
    /// [`Partition`]: each parameter gets the chain of the first group that it matches.
    Partition {
        /// The groups; a parameter that matches none is frozen.
        groups: Vec<PartitionGroup>,
    },
    /// [`Accumulate`]: the transformations after it are applied to the mean of several gradients.
    Accumulate {
        /// The number of gradients.
        steps: u64,
    },
}

/// A group of [`Link::Partition`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartitionGroup {
    /// Its parameters.
    pub on: Vec<Pattern>,
    /// Their chain; frozen if it is empty.
    #[serde(default)]
    pub chain: Vec<Link>,
}

/// Parameters with their own training settings. If a parameter matches several groups, the first one counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlotGroup {
    /// The parameters.
    pub on: Pattern,
    /// Whether they are frozen. Frozen parameters are not part of norms and have no moments.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub frozen: bool,
    /// The factor of their learning rate.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub rate: f32,
    /// Their weight decay, which replaces the chain's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decay: Option<f32>,
}

impl SlotGroup {
    /// Frozen parameters.
    pub fn frozen(on: Pattern) -> Self {
        Self {
            frozen: true,
            ..Self::with_rate(on, 1.0)
        }
    }

    /// Parameters with this factor on their learning rate.
    pub fn with_rate(on: Pattern, rate: f32) -> Self {
        Self {
            on,
            frozen: false,
            rate,
            decay: None,
        }
    }
}

fn one() -> f32 {
    1.0
}

fn is_one(value: &f32) -> bool {
    *value == 1.0
}

fn yes() -> bool {
    true
}

fn is_yes(value: &bool) -> bool {
    *value
}

fn is_zero(value: &u64) -> bool {
    *value == 0
}

/// A whole optimiser as settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ChainSettings {
    /// The transformations, in order.
    #[serde(rename = "optimizer")]
    pub links: Vec<Link>,
    /// Parameters with their own training settings.
    #[serde(rename = "group", skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<SlotGroup>,
    /// Seed of random masks: that of the run, which is not part of the file.
    #[serde(skip)]
    pub seed: u64,
}

impl Link {
    /// Whether its result depends on the length of the run.
    fn depends_on_steps(&self) -> bool {
        match self {
            Self::Rate { decay, .. } => matches!(decay, Decay::Linear | Decay::Cosine | Decay::Phases),
            Self::Masked { chain, .. } => chain.iter().any(Self::depends_on_steps),
            Self::Partition { groups } => groups.iter().flat_map(|group| &group.chain).any(Self::depends_on_steps),
            _ => false,
        }
    }
}

impl ChainSettings {
    /// Whether the chain depends on the length of the run, because a learning rate decays towards the end.
    pub fn depends_on_steps(&self) -> bool {
        self.links.iter().any(Link::depends_on_steps)
    }

    /// The chain for these parameters, over a run of `steps` steps.
    ///
    /// # Errors
    /// If a setting is out of bounds or a pattern matches no parameter; names it.
    pub fn build(&self, slots: &Slots, steps: u64) -> Result<Chain, ChainError> {
        for group in &self.groups {
            check("group", "rate", group.rate, group.rate >= 0.0, "0 or more")?;
            let decay = group.decay.unwrap_or(0.0);
            check("group", "decay", decay, decay >= 0.0, "0 or more")?;
            matching(slots, std::slice::from_ref(&group.on))?;
        }
        let is_frozen = |name: &str| self.group_of(name).is_some_and(|group| group.frozen);
        let frozen = slots.subset(|slot| is_frozen(&slot.name));
        if frozen.slots().is_empty() {
            return self.of(&self.links, slots, steps, true);
        }
        let trained = slots.subset(|slot| !is_frozen(&slot.name));
        if trained.slots().is_empty() {
            return Err(ChainError::AllFrozen);
        }
        let names: Vec<String> = self
            .groups
            .iter()
            .filter(|group| group.frozen)
            .map(|group| group.on.to_string())
            .collect();
        let chain = self.of(&self.links, trained.slots(), steps, true)?;
        Ok(Chain::new().then(Partition::new(vec![
            Group {
                name: names.join(", "),
                subset: frozen,
                chain: None,
            },
            Group {
                name: "others".to_owned(),
                subset: trained,
                chain: Some(chain),
            },
        ])))
    }

    fn group_of(&self, name: &str) -> Option<&SlotGroup> {
        self.groups.iter().find(|group| group.on.matches(name))
    }

    /// A chain for some slots. `whole` marks the chain of the groups, which sets their learning rates at its end.
    fn of(&self, links: &[Link], slots: &Slots, steps: u64, whole: bool) -> Result<Chain, ChainError> {
        let (mut chain, mut mask) = (Chain::new(), None);
        for (at, link) in links.iter().enumerate() {
            if let Link::Accumulate { steps: mean_of } = *link {
                check("accumulate", "steps", mean_of as f32, mean_of > 0, "1 or more")?;
                let rest = self.of(&links[at + 1..], slots, steps / mean_of, whole)?;
                return Ok(chain.then(Accumulate::new(mean_of, rest, slots.size())));
            }
            chain = match link {
                Link::ChildTuning {
                    p,
                    mask: file,
                    divide,
                    seed,
                } => {
                    let child = self.child(*p, file.as_deref(), *divide, *seed, slots)?;
                    mask = Some(child.mask().clone());
                    chain.then(child)
                }
                Link::Decay { rate, on, masked } => {
                    check("decay", "rate", *rate, *rate >= 0.0, "0 or more")?;
                    let decay = self.decay(*rate, on, slots)?;
                    match (*masked, &mask) {
                        (false, _) => chain.then(decay),
                        (true, Some(mask)) => chain.then(decay.masked(mask.clone())),
                        (true, None) => return Err(ChainError::NoMask),
                    }
                }
                // The place in the list distinguishes the masks of several parts.
                _ => self.add(chain, link, slots, steps, at as u64)?,
            };
        }
        if whole {
            let own_decay = |group: &&SlotGroup| group.decay.is_some() && !group.frozen;
            let has_decay = links.iter().any(|link| matches!(link, Link::Decay { .. }));
            if let Some(group) = self.groups.iter().find(own_decay).filter(|_| !has_decay) {
                return Err(ChainError::NoDecay(group.on.clone()));
            }
            let factor = |slot: &crate::Slot| {
                let rate = self.group_of(&slot.name).map_or(1.0, |group| group.rate);
                (rate != 1.0).then(|| (slot.range.clone(), rate))
            };
            let factors: Vec<(Range<usize>, f32)> = slots.iter().filter_map(factor).collect();
            if !factors.is_empty() {
                let with_rate = self.groups.iter().filter(|group| group.rate != 1.0 && !group.frozen);
                let words: Vec<String> = with_rate
                    .map(|group| format!("×{} on {}", group.rate, group.on))
                    .collect();
                chain = chain.then(Scale::with_words(factors, words.join(", ")));
            }
        }
        Ok(chain)
    }

    fn add(&self, chain: Chain, link: &Link, slots: &Slots, steps: u64, at: u64) -> Result<Chain, ChainError> {
        let positive = |kind, field, value: f32| check(kind, field, value, value > 0.0, "a positive number");
        let share = |kind, field, value: f32| {
            check(
                kind,
                field,
                value,
                (0.0..1.0).contains(&value),
                "0 or more and less than 1",
            )
        };
        Ok(match link {
            Link::Clip { max } => {
                // Infinite for no bound.
                check(
                    "clip",
                    "max",
                    if max.is_infinite() { 1.0 } else { *max },
                    *max > 0.0,
                    "a positive number",
                )?;
                chain.then(ClipGlobalNorm { max_norm: *max })
            }
            Link::ClipEach { max } => {
                positive("clip_each", "max", *max)?;
                chain.then(ClipEachNorm::new(*max, slots))
            }
            Link::ClipValue { max } => {
                positive("clip_value", "max", *max)?;
                chain.then(ClipValue { max: *max })
            }
            Link::Momentum(config) => {
                share("momentum", "momentum", config.momentum)?;
                chain.then(Momentum::new(*config, slots.size()))
            }
            Link::Adam(config) => {
                share("adam", "beta1", config.beta1)?;
                share("adam", "beta2", config.beta2)?;
                positive("adam", "epsilon", config.epsilon)?;
                chain.then(Adam::new(*config, slots.size()))
            }
            Link::Lion(config) => {
                share("lion", "beta1", config.beta1)?;
                share("lion", "beta2", config.beta2)?;
                chain.then(Lion::new(*config, slots.size()))
            }
            Link::Adafactor(config) => {
                check("adafactor", "decay", config.decay, config.decay <= 0.0, "0 or less")?;
                positive("adafactor", "epsilon", config.epsilon)?;
                positive("adafactor", "smallest_scale", config.smallest_scale)?;
                positive("adafactor", "clip", config.clip)?;
                chain.then(Adafactor::new(*config, slots))
            }
            Link::UpdateDropout { p, divide, seed } => chain.then(self.update_dropout(*p, *divide, *seed)?),
            Link::TrustRatio {} => chain.then(TrustRatio::new(slots)),
            Link::Scale { factor, on } => {
                check("scale", "factor", *factor, true, "a number")?;
                let ranges = matching(slots, on)?
                    .ranges()
                    .iter()
                    .map(|range| (range.clone(), *factor))
                    .collect();
                chain.then(Scale::with_words(ranges, format!("×{factor} on {}", list(on))))
            }
            Link::Rate { peak, warmup, decay } => {
                // Larger ones, times the steps of a warm-up, might not be finite.
                check(
                    "rate",
                    "peak",
                    *peak,
                    *peak > 0.0 && *peak <= 1e30,
                    "positive and at most 1e30",
                )?;
                chain.then(LearningRate(Schedule {
                    peak: *peak,
                    warmup: *warmup,
                    total: steps,
                    decay: *decay,
                }))
            }
            Link::Masked { on, chain: inner } => {
                let subset = matching(slots, on)?;
                let inner = self.part(at).of(inner, subset.slots(), steps, false)?;
                chain.then(Masked::new(subset, inner))
            }
            Link::Partition { groups } => chain.then(self.part(at).partition(groups, slots, steps)?),
            // Handled where the list is.
            Link::Accumulate { .. } | Link::ChildTuning { .. } | Link::Decay { .. } => chain,
        })
    }

    /// The settings of a part of the parameters, with its own random masks.
    fn part(&self, at: u64) -> Self {
        Self {
            seed: key(&[self.seed, PARTS, at]),
            ..self.clone()
        }
    }

    fn child(
        &self,
        p: f32,
        file: Option<&Path>,
        divide: bool,
        seed: u64,
        slots: &Slots,
    ) -> Result<ChildTuning, ChainError> {
        check("child_tuning", "p", p, p > 0.0 && p <= 1.0, SHARE)?;
        let Some(path) = file else {
            let child = ChildTuning::task_free(p, key(&[self.seed, GRADIENTS, seed]));
            return Ok(if divide { child } else { child.undivided() });
        };
        let problem = |problem: String| ChainError::MaskFile {
            path: path.to_path_buf(),
            problem,
        };
        let bytes = std::fs::read(path).map_err(|error| problem(error.to_string()))?;
        let mask = BitMask::load(&bytes, slots).map_err(|error| problem(error.to_string()))?;
        Ok(ChildTuning::new(Mask::fixed(mask), if divide { 1.0 / p } else { 1.0 }))
    }

    fn update_dropout(&self, p: f32, divide: bool, seed: u64) -> Result<UpdateDropout, ChainError> {
        check("update_dropout", "p", p, p > 0.0 && p <= 1.0, SHARE)?;
        let dropout = UpdateDropout::new(p, key(&[self.seed, UPDATES, seed]));
        Ok(if divide { dropout } else { dropout.undivided() })
    }

    /// The mask of a link of the chain, and the factor of what it keeps; `None` if the link has no mask. `slots` are the trained parameters.
    ///
    /// # Errors
    /// If a setting is out of bounds, or the file of a mask cannot be read.
    pub fn mask_of(&self, link: &Link, slots: &Slots) -> Result<Option<(Mask, f32)>, ChainError> {
        Ok(match link {
            Link::ChildTuning { p, mask, divide, seed } => {
                let child = self.child(*p, mask.as_deref(), *divide, *seed, slots)?;
                Some((child.mask().clone(), child.factor()))
            }
            Link::UpdateDropout { p, divide, seed } => {
                let dropout = self.update_dropout(*p, *divide, *seed)?;
                Some((dropout.mask().clone(), dropout.factor()))
            }
            _ => None,
        })
    }

    fn decay(&self, rate: f32, on: &[Pattern], slots: &Slots) -> Result<WeightDecay, ChainError> {
        let chosen = match on {
            [] => slots.subset(crate::Slot::decays),
            on => matching(slots, on)?,
        };
        let mut words = match on {
            [] => format!("decay {rate} on matrices"),
            on => format!("decay {rate} on {}", list(on)),
        };
        let own = self.groups.iter().filter(|group| !group.frozen);
        for (rate, on) in own.filter_map(|group| Some((group.decay?, &group.on))) {
            words += &format!(", {rate} on {on}");
        }
        let chosen: Vec<&str> = chosen.slots().iter().map(|slot| slot.name.as_str()).collect();
        let rate_of = |slot: &crate::Slot| {
            let own = self.group_of(&slot.name).and_then(|group| group.decay);
            let rate = own.or_else(|| chosen.contains(&slot.name.as_str()).then_some(rate));
            rate.map(|rate| (slot.range.clone(), rate))
        };
        Ok(WeightDecay::with_rates(
            slots.iter().filter_map(rate_of).collect(),
            words,
        ))
    }

    fn partition(&self, groups: &[PartitionGroup], slots: &Slots, steps: u64) -> Result<Partition, ChainError> {
        let first = |name: &str| {
            let matches = |group: &PartitionGroup| group.on.iter().any(|pattern| pattern.matches(name));
            groups.iter().position(matches)
        };
        let mut parts = Vec::new();
        for (at, group) in groups.iter().enumerate() {
            matching(slots, &group.on)?;
            let subset = slots.subset(|slot| first(&slot.name) == Some(at));
            let chain = match group.chain.is_empty() {
                true => None,
                false => Some(self.part(at as u64).of(&group.chain, subset.slots(), steps, false)?),
            };
            parts.push(Group {
                name: list(&group.on),
                subset,
                chain,
            });
        }
        let rest = slots.subset(|slot| first(&slot.name).is_none());
        if !rest.slots().is_empty() {
            parts.push(Group {
                name: "others".to_owned(),
                subset: rest,
                chain: None,
            });
        }
        Ok(Partition::new(parts))
    }
}

/// Purposes of random masks, and of the seeds of parts.
const GRADIENTS: u64 = 0;
const UPDATES: u64 = 1;
const PARTS: u64 = 2;

const SHARE: &str = "more than 0 and at most 1";

fn list(patterns: &[Pattern]) -> String {
    let names: Vec<String> = patterns.iter().map(Pattern::to_string).collect();
    names.join(", ")
}

/// The parameters that match; at least one for each pattern.
fn matching(slots: &Slots, patterns: &[Pattern]) -> Result<Subset, ChainError> {
    for pattern in patterns {
        if !slots.iter().any(|slot| pattern.matches(&slot.name)) {
            let names: Vec<&str> = slots.iter().take(3).map(|slot| slot.name.as_str()).collect();
            return Err(ChainError::NoMatch {
                pattern: pattern.clone(),
                examples: names.join(", "),
            });
        }
    }
    Ok(slots.matching(patterns))
}

fn check(
    kind: &'static str,
    field: &'static str,
    value: f32,
    good: bool,
    expected: &'static str,
) -> Result<(), ChainError> {
    match good && value.is_finite() {
        true => Ok(()),
        false => Err(ChainError::Setting {
            kind,
            field,
            value: value.into(),
            expected,
        }),
    }
}
