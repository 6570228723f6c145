//! Fits y = 2x − 1 to noisy points: `cargo run -p kexue-train --example line -- FOLDER STEPS`. The same command resumes; with `--features mpi`
//! it runs under `mpirun` too.

use kexue_optim::{Parameters, Place, Role, Slots};
use kexue_train::{Loss, Metric, Task, TrainError, TrainSettings, train};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// y = w·x + b, with as many copies as make a vector worth sending.
struct Line {
    slots: Slots,
    values: Vec<f32>,
}

const COPIES: usize = 100_003;

impl Parameters for Line {
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

struct Points;

impl Task for Points {
    type Model = Line;
    type Batch = Vec<(f32, f32)>;
    type Workspace = ();

    fn examples(&self) -> usize {
        1000
    }

    fn workspace(&self, _: &Line) {}

    fn batch(&self, examples: &[usize], _: u64, generator: &mut ChaCha8Rng) -> Result<Self::Batch, TrainError> {
        let point = |example: &usize| {
            let x = *example as f32 / 500.0 - 1.0;
            (x, 2.0 * x - 1.0 + generator.random_range(-0.1..0.1))
        };
        Ok(examples.iter().map(point).collect())
    }

    fn loss(
        &self,
        model: &Line,
        batch: &Self::Batch,
        _: &mut ChaCha8Rng,
        _: &mut (),
        gradient: &mut [f32],
    ) -> Result<Loss, TrainError> {
        let mut sum = 0.0;
        for (x, y) in batch {
            for (values, gradient) in model.values.chunks_exact(2).zip(gradient.chunks_exact_mut(2)) {
                let error = values[0] * x + values[1] - y;
                sum += f64::from(error * error);
                gradient[0] += 2.0 * error * x;
                gradient[1] += 2.0 * error;
            }
        }
        Ok(Loss {
            sum,
            terms: batch.len() as f64,
            items: batch.len(),
            also: Vec::new(),
        })
    }

    fn validate(&self, model: &Line) -> Result<Vec<Metric>, TrainError> {
        let error = (model.values[0] - 2.0).abs().max((model.values[1] + 1.0).abs());
        Ok(vec![Metric::minimized("error", error.into())])
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    #[cfg(feature = "mpi")]
    let _session = kexue_train::mpi::Session::start();
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("which folder?")?;
    let steps = arguments.next().unwrap_or_else(|| "300".to_owned()).parse()?;
    let mut slots = Slots::default();
    slots.add("lines", Role::Weight, Place::Unspecified, &[COPIES, 2]);
    let model = Line {
        values: vec![0.0; slots.size()],
        slots,
    };
    let settings = TrainSettings {
        steps,
        batch_size: 8,
        learning_rate: 0.05,
        validate_every: 10,
        average: 0.0,
        ..TrainSettings::default()
    };
    if kexue_train::is_first() {
        std::fs::create_dir_all(&folder)?;
    }
    let outcome = train(
        &Points,
        model,
        &settings,
        Path::new(&folder),
        "line",
        &AtomicBool::new(false),
    )?;
    if kexue_train::is_first() {
        println!(
            "{:?} after {} steps, {} of them resumed",
            outcome.best, outcome.steps, outcome.resumed
        );
    }
    Ok(())
}
