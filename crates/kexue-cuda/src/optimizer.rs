//! Updates of the parameters on a device: clip → mask → Adam → mask → decay → rate, and moving averages, in two passes over memory.

use crate::machine::{Address, Arg, bytes_of, bytes_of_mut};
use crate::{CudaError, Engine};
use kexue_optim::{AdamConfig, ChainError, ChainSettings, Link, Mask, Schedule, Slot, SlotGroup, StepMask};
use kexue_train::{NamedState, TrainError};
use std::ops::Range;

/// Parameters per piece; see `optimizer.cu`.
const PIECE: usize = 1 << 14;

/// Bytes of the values that change from step to step; see `optimizer.cu`.
const SCALARS: usize = 4 * 8 + 8;

/// Maximum number of moving averages.
const AVERAGES: usize = 4;

/// An optimiser for the parameters of an engine.
#[derive(Debug)]
pub struct DeviceOptimizer {
    adam: AdamConfig,
    /// Maximum norm of the gradient; infinite for no bound.
    max_norm: f32,
    schedules: Vec<Schedule>,
    masking: Option<Masking>,
    averages: Vec<f32>,
    /// The trained parameters.
    trained: Vec<Range<usize>>,
    size: usize,
    pieces: usize,
    blocks: usize,
    at: Places,
}

/// A mask and what it is applied to.
#[derive(Clone, Debug)]
struct Masking {
    mask: Mask,
    /// The bits of `optimizer.cu`.
    what: u32,
    factor: f32,
    decay_factor: f32,
}

/// What a mask is applied to; see `optimizer.cu`.
const MASK_GRADIENT: u32 = 1;
const MASK_UPDATE: u32 = 2;
const MASK_DECAY: u32 = 4;

/// Addresses.
#[derive(Debug, Default)]
struct Places {
    pieces: Address,
    first: Address,
    second: Address,
    averages: [Address; AVERAGES],
    scalars: Address,
    /// The bits of a fixed mask; 0 for none.
    bits: Address,
    sums: Address,
    factor: Address,
}

impl DeviceOptimizer {
    /// Creates the optimiser of a run of `steps` steps. `averages` are the decay factors of moving averages, which start at the parameters.
    ///
    /// # Errors
    /// If a setting is invalid, or the chain is not one of clip, a mask of the gradient, Adam, a mask of the update, decay
    /// and rate in this order. The error names the transformation.
    pub fn new(engine: &mut Engine, chain: &ChainSettings, steps: u64, averages: &[f32]) -> Result<Self, TrainError> {
        let slots = engine.layout.slots().clone();
        chain.build(&slots, steps)?;
        let is_frozen = |slot: &Slot| group_of(&chain.groups, slot).is_some_and(|group| group.frozen);
        let subset = slots.subset(|slot| !is_frozen(slot));
        let mask_of = |link: &Link| chain.mask_of(link, subset.slots());
        let parts = Parts::of(&chain.links, steps, mask_of)?;
        if averages.len() > AVERAGES {
            let problem = format!(
                "{} moving averages are more than the {AVERAGES} that a GPU supports",
                averages.len()
            );
            return Err(TrainError::task(CudaError::unsupported("average", problem)));
        }
        let trained: Vec<&Slot> = slots.iter().filter(|slot| !is_frozen(slot)).collect();
        // Masks count the trained parameters only.
        let (mut words, mut position) = (Vec::new(), 0);
        for slot in &trained {
            let group = group_of(&chain.groups, slot);
            let decay = group
                .and_then(|group| group.decay)
                .unwrap_or_else(|| parts.decay_of(slot));
            let rate = group.map_or(1.0, |group| group.rate);
            for start in slot.range.clone().step_by(PIECE) {
                let count = PIECE.min(slot.range.end - start);
                words.extend([
                    start as u32,
                    count as u32,
                    position as u32,
                    decay.to_bits(),
                    rate.to_bits(),
                ]);
                position += count;
            }
        }
        let (size, pieces) = (slots.size(), words.len() / 5);
        let blocks = pieces.min(8 * engine.machine.multiprocessors());
        let mut at = Places::default();
        let allocated = |problem: CudaError| TrainError::task(problem);
        for (place, bytes) in [
            (&mut at.pieces, 4 * words.len()),
            (&mut at.first, 4 * size),
            (&mut at.second, 4 * size),
            (&mut at.scalars, SCALARS),
            (&mut at.sums, 8 * blocks),
            (&mut at.factor, 4),
        ] {
            *place = engine.allocate(bytes).map_err(allocated)?;
        }
        for place in at.averages.iter_mut().take(averages.len()) {
            *place = engine.allocate(4 * size).map_err(allocated)?;
        }
        engine.machine.upload(at.pieces, bytes_of(&words)).map_err(allocated)?;
        if let Some(StepMask::Fixed(mask)) = parts.masking.as_ref().map(|masking| masking.mask.at(0)) {
            let words: Vec<u32> = mask.words().collect();
            at.bits = engine.allocate(4 * words.len()).map_err(allocated)?;
            engine.machine.upload(at.bits, bytes_of(&words)).map_err(allocated)?;
        }
        let mut optimizer = Self {
            adam: parts.adam,
            max_norm: parts.max_norm,
            schedules: parts.schedules,
            masking: parts.masking,
            averages: averages.to_vec(),
            trained: trained.iter().map(|slot| slot.range.clone()).collect(),
            size,
            pieces,
            blocks,
            at,
        };
        optimizer.start_averages(engine).map_err(allocated)?;
        Ok(optimizer)
    }

    fn start_averages(&mut self, engine: &mut Engine) -> Result<(), CudaError> {
        if self.averages.is_empty() {
            return Ok(());
        }
        let mut values = vec![0.0; self.size];
        engine.parameters_into(&mut values)?;
        for &at in &self.at.averages[..self.averages.len()] {
            engine.machine.upload(at, bytes_of(&values))?;
        }
        Ok(())
    }

    /// Updates the parameters at a step, counted from 0, with the engine's gradient of a sum of `terms` terms.
    ///
    /// # Errors
    /// If the device fails.
    pub fn step(&mut self, engine: &mut Engine, step: u64, terms: f64) -> Result<(), CudaError> {
        let AdamConfig { beta1, beta2, epsilon } = self.adam;
        let correction = |beta: f32| (1.0 / (1.0 - f64::from(beta).powf((step + 1) as f64))) as f32;
        let rate = self.schedules.iter().map(|schedule| schedule.at(step)).product::<f32>();
        let mut scalars = [0.0f32; 8];
        scalars[..4].copy_from_slice(&[
            (1.0 / terms.max(1.0)) as f32,
            rate,
            correction(beta1),
            correction(beta2),
        ]);
        for (scalar, decay) in scalars[4..].iter_mut().zip(&self.averages) {
            *scalar = 1.0 - decay.min((step + 1) as f32 / (step + 10) as f32);
        }
        let at = &self.at;
        let (mut key, mut threshold) = (0, 0);
        if let Some(StepMask::Random {
            key: here,
            threshold: t,
        }) = self.masking.as_ref().map(|m| m.mask.at(step))
        {
            (key, threshold) = (here, t);
        }
        let mut bytes = bytes_of(&scalars).to_vec();
        bytes.extend(key.to_ne_bytes());
        engine.machine.upload(at.scalars, &bytes)?;
        let (pieces, table) = (Arg::from(self.pieces), Arg::from(at.pieces));
        let gradient = Arg::from(engine.gradient);
        engine.launch(
            "square_sums",
            (self.blocks, 1),
            256,
            0,
            &[pieces, table, gradient, at.sums.into()],
        )?;
        let clip = [
            Arg::from(self.blocks),
            at.sums.into(),
            at.scalars.into(),
            self.max_norm.into(),
            at.factor.into(),
        ];
        engine.launch("clip_factor", (1, 1), 256, 0, &clip)?;
        let mut adam = vec![
            pieces,
            table,
            at.scalars.into(),
            at.factor.into(),
            beta1.into(),
            beta2.into(),
            epsilon.into(),
            engine.parameters.into(),
            gradient,
            at.first.into(),
            at.second.into(),
            engine.operands().into(),
        ];
        adam.extend(at.averages.map(Arg::from));
        let (what, factor, decay_factor) = self
            .masking
            .as_ref()
            .map_or((0, 0.0, 0.0), |m| (m.what, m.factor, m.decay_factor));
        adam.extend([
            Arg::Word(what),
            Arg::Word(threshold),
            at.bits.into(),
            factor.into(),
            decay_factor.into(),
        ]);
        engine.launch("adam", (self.pieces.min(1 << 16), 1), 256, 0, &adam)
    }

    /// Loads the state of a checkpoint.
    ///
    /// # Errors
    /// If the device fails.
    pub fn load(&mut self, engine: &mut Engine, state: Vec<NamedState<'_>>) -> Result<(), CudaError> {
        for (name, vector) in state {
            match self.place(&name) {
                None => {}
                Some((at, false)) => engine.machine.upload(at, bytes_of(vector))?,
                Some((at, true)) => {
                    let mut whole = vec![0.0; self.size];
                    let mut rest = &vector[..];
                    for range in &self.trained {
                        let here;
                        (here, rest) = rest.split_at(range.len());
                        whole[range.clone()].copy_from_slice(here);
                    }
                    engine.machine.upload(at, bytes_of(&whole))?;
                }
            }
        }
        Ok(())
    }

    /// Stores the state for a checkpoint.
    ///
    /// # Errors
    /// If the device fails.
    pub fn store(&mut self, engine: &mut Engine, state: Vec<NamedState<'_>>) -> Result<(), CudaError> {
        for (name, vector) in state {
            match self.place(&name) {
                None => {}
                Some((at, false)) => engine.machine.download(at, bytes_of_mut(vector))?,
                Some((at, true)) => {
                    let mut whole = vec![0.0; self.size];
                    engine.machine.download(at, bytes_of_mut(&mut whole))?;
                    let mut rest = &mut vector[..];
                    for range in &self.trained {
                        let (here, after) = rest.split_at_mut(range.len());
                        here.copy_from_slice(&whole[range.clone()]);
                        rest = after;
                    }
                }
            }
        }
        Ok(())
    }

    /// The address of a checkpoint's vector, and whether it covers only the trained parameters.
    fn place(&self, name: &str) -> Option<(Address, bool)> {
        if name.ends_with("adam.first") {
            return Some((self.at.first, true));
        }
        if name.ends_with("adam.second") {
            return Some((self.at.second, true));
        }
        let number: usize = name.split("average.").nth(1)?.split('.').next()?.parse().ok()?;
        self.at.averages[..self.averages.len()]
            .get(number)
            .map(|&at| (at, false))
    }
}

fn group_of<'a>(groups: &'a [SlotGroup], slot: &Slot) -> Option<&'a SlotGroup> {
    groups.iter().find(|group| group.on.matches(&slot.name))
}

/// The transformations of a chain that a device supports.
struct Parts<'a> {
    max_norm: f32,
    adam: AdamConfig,
    /// The decay rate, and the parameters that decay.
    decay: Option<(f32, &'a [kexue_optim::Pattern])>,
    schedules: Vec<Schedule>,
    masking: Option<Masking>,
}

impl<'a> Parts<'a> {
    fn of(
        links: &'a [Link],
        steps: u64,
        mask_of: impl Fn(&Link) -> Result<Option<(Mask, f32)>, ChainError>,
    ) -> Result<Self, TrainError> {
        let refuse = |what: &str| {
            let problem = format!(
                "a GPU supports clip, child_tuning, adam, update_dropout, decay and rate, in this order, and one mask; {what}"
            );
            Err(TrainError::task(CudaError::unsupported("optimizer", problem)))
        };
        let mut rest = links;
        let mut max_norm = f32::INFINITY;
        if let [Link::Clip { max }, after @ ..] = rest {
            (max_norm, rest) = (*max, after);
        }
        let mut masking = None;
        if let [link @ Link::ChildTuning { .. }, after @ ..] = rest {
            masking = mask_of(link)?.map(|(mask, factor)| Masking {
                mask,
                what: MASK_GRADIENT,
                factor,
                decay_factor: 1.0,
            });
            rest = after;
        }
        let [Link::Adam(adam), after @ ..] = rest else {
            return refuse(&format!(
                "this chain has {} there",
                rest.first().map_or("nothing", name)
            ));
        };
        rest = after;
        let mut decay = None;
        loop {
            match rest {
                [Link::Decay { rate, on, masked }, after @ ..] if decay.is_none() => {
                    if let Some(masking) = masking.as_mut().filter(|_| *masked) {
                        masking.what |= MASK_DECAY;
                    }
                    (decay, rest) = (Some((*rate, &on[..])), after);
                }
                [link @ Link::UpdateDropout { .. }, after @ ..] if masking.is_none() => {
                    masking = mask_of(link)?.map(|(mask, factor)| Masking {
                        mask,
                        // Decay before it is part of the update.
                        what: MASK_UPDATE | if decay.is_some() { MASK_DECAY } else { 0 },
                        factor,
                        decay_factor: factor,
                    });
                    rest = after;
                }
                _ => break,
            }
        }
        let mut schedules = Vec::new();
        for link in rest {
            let Link::Rate { peak, warmup, decay } = link else {
                return refuse(&format!("{} is out of order", name(link)));
            };
            schedules.push(Schedule {
                peak: *peak,
                warmup: *warmup,
                total: steps,
                decay: *decay,
            });
        }
        Ok(Self {
            max_norm,
            adam: *adam,
            decay,
            schedules,
            masking,
        })
    }

    /// The default decay of a parameter.
    fn decay_of(&self, slot: &Slot) -> f32 {
        match self.decay {
            Some((rate, [])) if slot.decays() => rate,
            Some((rate, on)) if on.iter().any(|pattern| pattern.matches(&slot.name)) => rate,
            _ => 0.0,
        }
    }
}

/// The name of a link in configuration files.
fn name(link: &Link) -> &'static str {
    match link {
        Link::Clip { .. } => "clip",
        Link::ClipEach { .. } => "clip_each",
        Link::ClipValue { .. } => "clip_value",
        Link::Momentum(_) => "momentum",
        Link::Adam(_) => "adam",
        Link::Lion(_) => "lion",
        Link::Adafactor(_) => "adafactor",
        Link::ChildTuning { .. } => "child_tuning",
        Link::UpdateDropout { .. } => "update_dropout",
        Link::Decay { .. } => "decay",
        Link::TrustRatio {} => "trust_ratio",
        Link::Scale { .. } => "scale",
        Link::Rate { .. } => "rate",
        Link::Masked { .. } => "masked",
        Link::Partition { .. } => "partition",
        Link::Accumulate { .. } => "accumulate",
    }
}
