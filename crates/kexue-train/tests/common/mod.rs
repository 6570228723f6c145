//! A toy with two players: each pulls its own numbers towards examples, with noise, and a little towards the other's.

use kexue_optim::{ChainSettings, Link, Parameters, Place, Role, Slots};
use kexue_train::{GroupSettings, Loss, Metric, Task, TrainError, TrainSettings, Turn};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

pub const SIZE: usize = 40;

pub struct Players {
    slots: Slots,
    values: Vec<f32>,
}

impl Players {
    pub fn new() -> Self {
        let mut slots = Slots::default();
        // Not side by side.
        for name in ["critic.first", "generator.all", "critic.last"] {
            slots.add(name, Role::Weight, Place::Unspecified, &[4, SIZE / 4]);
        }
        let values = (0..slots.size()).map(|at| (at as f32 * 0.3).sin()).collect();
        Self { slots, values }
    }
}

impl Parameters for Players {
    fn slots(&self) -> &Slots {
        &self.slots
    }

    fn values(&self) -> &[f32] {
        &self.values
    }

    fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }
}

#[derive(Default)]
pub struct Duel {
    /// Interrupts at this call of the loss of the first shard, from 1; 0 for never.
    pub interrupt_at: u64,
    /// Fails at this example.
    pub fails_at: Option<usize>,
    pub interrupt: AtomicBool,
    pub calls: AtomicU64,
    /// The values that validations saw.
    pub seen: Mutex<Vec<Vec<f32>>>,
}

pub struct Batch {
    examples: Vec<usize>,
    noise: f32,
}

impl Task for Duel {
    type Model = Players;
    type Batch = Batch;
    type Workspace = ();

    fn examples(&self) -> usize {
        30
    }

    fn workspace(&self, _: &Players) {}

    fn batch(&self, examples: &[usize], _: u64, generator: &mut ChaCha8Rng) -> Result<Batch, TrainError> {
        match examples.iter().find(|example| Some(**example) == self.fails_at) {
            Some(example) => Err(TrainError::task(format!("example {example} is spoilt"))),
            None => Ok(Batch {
                examples: examples.to_vec(),
                noise: generator.random(),
            }),
        }
    }

    fn loss(
        &self,
        model: &Players,
        batch: &Batch,
        generator: &mut ChaCha8Rng,
        _: &mut (),
        gradient: &mut [f32],
    ) -> Result<Loss, TrainError> {
        if self.calls.fetch_add(1, Ordering::Relaxed) + 1 == self.interrupt_at {
            self.interrupt.store(true, Ordering::Relaxed);
        }
        let mut sum = 0.0;
        let all = model.values();
        for &example in &batch.examples {
            let dropped: f32 = generator.random();
            for (at, gradient) in gradient.iter_mut().enumerate() {
                let target =
                    (example as f32 + batch.noise + dropped + at as f32).cos() + 0.1 * all[(at + SIZE) % all.len()];
                let error = all[at] - target;
                sum += f64::from(error * error);
                *gradient += error;
            }
        }
        Ok(Loss {
            sum,
            terms: batch.examples.len() as f64,
            items: batch.examples.len(),
            also: vec![("noise".to_owned(), f64::from(batch.noise), 1.0)],
        })
    }

    fn validate(&self, model: &Players) -> Result<Vec<Metric>, TrainError> {
        self.seen.lock().unwrap().push(model.values().to_vec());
        let size: f64 = model.values().iter().map(|&value| f64::from(value).abs()).sum();
        Ok(vec![
            Metric::observed("first", model.values()[0].into()),
            Metric::minimized("cost", size - 1000.0),
        ])
    }
}

pub fn settings() -> TrainSettings {
    TrainSettings {
        steps: 23,
        batch_size: 9,
        shards: 4,
        validate_every: 7,
        ..TrainSettings::default()
    }
}

pub fn chain(rate: f32) -> ChainSettings {
    let decay = Link::Decay {
        rate: 0.1,
        on: Vec::new(),
        masked: false,
    };
    let rate = Link::Rate {
        peak: rate,
        warmup: 3,
        decay: Default::default(),
    };
    ChainSettings {
        links: vec![Link::Clip { max: 1.0 }, Link::Adam(Default::default()), decay, rate],
        ..ChainSettings::default()
    }
}

/// Two steps of the critic, one of the generator.
pub fn groups() -> [GroupSettings; 2] {
    [("critic", 0, 2, vec![]), ("generator", 2, 3, vec![0.9, 0.2])].map(|(name, from, until, averages)| GroupSettings {
        name: name.to_owned(),
        on: vec![format!("{name}.*").parse().unwrap()],
        chain: chain(0.05),
        turn: Turn { cycle: 3, from, until },
        averages,
    })
}

pub const FILES: [&str; 4] = ["checkpoint.bin", "model.safetensors", "metrics.jsonl", "report.html"];

pub fn files(folder: &Path) -> Vec<Vec<u8>> {
    FILES
        .iter()
        .map(|name| std::fs::read(folder.join(name)).unwrap())
        .collect()
}
