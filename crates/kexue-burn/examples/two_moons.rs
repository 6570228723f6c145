//! A Burn module in the common training loop: an MLP that tells two interleaved half circles apart.
//!
//!     cargo run -p kexue-burn --example two_moons -- FOLDER
//!
//! The folder gets what every run has: metrics, weights in PyTorch's names, a checkpoint and a report. Started again, it resumes.

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};
use kexue_burn::FlatModule;
use kexue_train::{Loss, Metric, Outcome, Task, TrainError, TrainSettings, train};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Two hidden layers of width 32.
#[derive(Module, Debug)]
pub struct Mlp {
    layers: Vec<Linear>,
}

impl Mlp {
    /// Fresh weights, from the device's generator.
    pub fn new(device: &Device) -> Self {
        let widths = [2, 32, 32, 2];
        let layers = widths
            .windows(2)
            .map(|pair| LinearConfig::new(pair[0], pair[1]).init(device));
        Self {
            layers: layers.collect(),
        }
    }

    /// Points `[batch, 2]` to logits `[batch, 2]`.
    pub fn forward(&self, points: Tensor<2>) -> Tensor<2> {
        let (last, hidden) = self.layers.split_last().expect("an MLP has layers");
        let hidden = hidden.iter().fold(points, |x, layer| layer.forward(x).tanh());
        last.forward(hidden)
    }
}

/// Points of two half circles, and which of them each is on.
pub struct Moons {
    device: Device,
    /// Interrupts the run at this validation, as Ctrl-C would.
    pub stop_at: usize,
    validations: AtomicUsize,
    interrupt: AtomicBool,
}

/// A shard's points and classes.
pub struct Batch {
    points: Vec<f32>,
    classes: Vec<i64>,
}

const POINTS: usize = 400;

impl Moons {
    fn point(example: usize) -> ([f32; 2], i64) {
        let angle = std::f32::consts::PI * (example / 2) as f32 / (POINTS / 2) as f32;
        match example % 2 {
            0 => ([angle.cos(), angle.sin()], 0),
            _ => ([1.0 - angle.cos(), 0.5 - angle.sin()], 1),
        }
    }

    /// The log-probabilities of the right classes, `[batch]`.
    fn log_probabilities(&self, model: &Mlp, batch: &Batch) -> Tensor<1> {
        let count = batch.classes.len();
        let points = TensorData::new(batch.points.clone(), [count, 2]);
        let classes = TensorData::new(batch.classes.clone(), [count, 1]);
        let logits = model.forward(Tensor::from_data(points, &self.device));
        let classes = Tensor::<2, Int>::from_data(classes, &self.device);
        log_softmax(logits, 1).gather(1, classes).reshape([count])
    }
}

impl Task for Moons {
    type Model = FlatModule<Mlp>;
    type Batch = Batch;
    type Workspace = ();

    fn examples(&self) -> usize {
        POINTS
    }

    fn workspace(&self, _: &FlatModule<Mlp>) {}

    fn batch(&self, examples: &[usize], _: u64, generator: &mut ChaCha8Rng) -> Result<Batch, TrainError> {
        let mut batch = Batch {
            points: Vec::new(),
            classes: Vec::new(),
        };
        for &example in examples {
            let (point, class) = Self::point(example);
            batch
                .points
                .extend(point.map(|x| x + generator.random_range(-0.1..0.1)));
            batch.classes.push(class);
        }
        Ok(batch)
    }

    fn loss(
        &self,
        model: &FlatModule<Mlp>,
        batch: &Batch,
        _: &mut ChaCha8Rng,
        _: &mut (),
        gradient: &mut [f32],
    ) -> Result<Loss, TrainError> {
        // The shards of a step are computed by several threads.
        let fork = model.fork();
        let loss = -self.log_probabilities(&fork, batch).sum();
        for (sum, term) in gradient.iter_mut().zip(model.gradient_of(&fork, loss.backward())) {
            *sum += term;
        }
        Ok(Loss {
            sum: f64::from(loss.into_scalar::<f32>()),
            terms: batch.classes.len() as f64,
            items: batch.classes.len(),
            also: Vec::new(),
        })
    }

    fn validate(&self, model: &FlatModule<Mlp>) -> Result<Vec<Metric>, TrainError> {
        if self.validations.fetch_add(1, Ordering::Relaxed) + 1 == self.stop_at {
            self.interrupt.store(true, Ordering::Relaxed);
        }
        let (points, classes): (Vec<_>, Vec<_>) = (0..POINTS).map(Self::point).unzip();
        let batch = Batch {
            points: points.concat(),
            classes,
        };
        let right = self.log_probabilities(model.module(), &batch).exp().greater_elem(0.5);
        let accuracy = right.int().sum().into_scalar::<i64>() as f64 / POINTS as f64;
        Ok(vec![Metric::maximized("accuracy", accuracy)])
    }
}

/// Trains in a folder, or goes on where a run in it stopped.
pub fn run(folder: &Path, stop_at: usize) -> Result<Outcome<FlatModule<Mlp>>, Box<dyn std::error::Error>> {
    let device = Device::flex().autodiff();
    device.seed(7);
    let task = Moons {
        device: device.clone(),
        stop_at,
        validations: AtomicUsize::new(0),
        interrupt: AtomicBool::new(false),
    };
    let settings = TrainSettings {
        steps: 300,
        batch_size: 32,
        shards: 2,
        learning_rate: 0.02,
        warmup: 20,
        average: 0.9,
        validate_every: 60,
        ..TrainSettings::default()
    };
    let model = FlatModule::new(Mlp::new(&device))?;
    Ok(train(&task, model, &settings, folder, "two moons", &task.interrupt)?)
}

#[allow(dead_code)] // a test includes this file
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args()
        .nth(1)
        .map_or_else(|| PathBuf::from("runs/two-moons"), PathBuf::from);
    let outcome = run(&folder, 0)?;
    println!("best accuracy and its step: {:?}", outcome.best);
    Ok(())
}
