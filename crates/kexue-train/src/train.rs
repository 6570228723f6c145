//! The training loop.

use crate::checkpoint::{self, Progress, fingerprint};
use crate::metrics::{self, Record};
use crate::{Order, TrainError, TrainSettings, generator, write_by_rename, write_report};
use indicatif::{ProgressBar, ProgressStyle};
use kexue_nn::{HeadTape, Model, PackedBatch, Precision, Tape};
use kexue_optim::{Adam, Chain, ClipGlobalNorm, LearningRate, MovingAverage, Schedule, WeightDecay};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What a shard's examples cost.
#[derive(Clone, Copy, Debug, Default)]
pub struct Loss {
    /// Sum of the terms.
    pub sum: f64,
    /// Number of terms: the loss reported, and the gradient followed, are of the mean over the whole batch.
    pub terms: f64,
    /// Tokens computed, for the throughput.
    pub tokens: usize,
}

/// What one shard works with; reused from step to step.
#[derive(Debug, Default)]
pub struct Scratch {
    /// Memory of forward and backward passes.
    pub tape: Tape,
    /// The packed sequences.
    pub batch: PackedBatch,
    /// The gradient of the *sum* of the shard's terms; zero when the task is called.
    pub gradient: Vec<f32>,
    /// Memory for the derivative with respect to the hidden states.
    pub d_hidden: Vec<f32>,
    /// Memory of the head.
    pub head: HeadTape,
}

/// Something to train.
pub trait Task: Sync {
    /// Number of training examples.
    fn examples(&self) -> usize;

    /// Computes the loss of some examples and adds the gradient of its sum to the scratch.
    ///
    /// # Errors
    /// When an example cannot be made.
    fn loss(
        &self,
        model: &Model,
        examples: &[usize],
        generator: &mut ChaCha8Rng,
        scratch: &mut Scratch,
    ) -> Result<Loss, TrainError>;

    /// Measures the model: numbers by name, and first the one to maximise.
    ///
    /// # Errors
    /// When validation fails.
    fn validate(&self, model: &Model) -> Result<Vec<(String, f64)>, TrainError>;

    /// What goes into the header of the saved weights.
    fn metadata(&self) -> HashMap<String, String>;
}

/// How a run ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The best model.
    pub model: Model,
    /// Steps done.
    pub steps: u64,
    /// Best validation result and its step; none where there was nothing to validate on.
    pub best: Option<(f64, u64)>,
    /// Whether it was interrupted, and can be resumed.
    pub interrupted: bool,
    /// Every record.
    pub records: Vec<Record>,
}

/// Without a progress bar, as in a log file, a line comes this often.
const SILENCE: Duration = Duration::from_secs(30);

/// Trains in a folder, or resumes the run that stands there. Writes `metrics.jsonl`, `model.safetensors` (the best so far),
/// `checkpoint.bin` and `report.html`; `description` (such as the text of `config.toml`) tells this run from others.
///
/// # Errors
/// When a file cannot be written, the folder holds another run, the loss diverges, or the task fails.
pub fn train(
    task: &dyn Task,
    mut model: Model,
    settings: &TrainSettings,
    folder: &Path,
    description: &str,
    interrupt: &AtomicBool,
) -> Result<Outcome, TrainError> {
    settings.validate()?;
    let paths = ["metrics.jsonl", "model.safetensors", "checkpoint.bin"].map(|name| folder.join(name));
    let [metrics_path, model_path, checkpoint_path] = &paths;
    let run = fingerprint(description.as_bytes());
    let mut chain = chain(&model, settings);
    let mut average = (settings.average > 0.0).then(|| MovingAverage::new(settings.average, model.values()));
    let mut progress = Progress {
        step: 0,
        best: f64::NEG_INFINITY,
        best_step: 0,
        stale: 0,
    };
    {
        let mut values = model.values().to_vec();
        let mut vectors = vec![&mut values];
        vectors.extend(chain.state());
        vectors.extend(average.as_mut().map(MovingAverage::values_mut));
        if let Some(saved) = checkpoint::load(checkpoint_path, run, vectors)? {
            progress = saved;
        }
        model.values_mut().copy_from_slice(&values);
    }
    let mut records = metrics::read(metrics_path, progress.step);
    metrics::rewrite(metrics_path, &records)?;

    let mut order = Order::new(settings.seed, task.examples());
    let mut scratches: Vec<Scratch> = (0..settings.shards)
        .map(|_| Scratch {
            gradient: vec![0.0; model.layout().len()],
            ..Scratch::default()
        })
        .collect();
    let bar = progress_bar(settings.steps, progress.step);
    let (mut window, mut window_tokens, mut window_start) = (Loss::default(), 0, Instant::now());
    let (started, resumed, mut said) = (Instant::now(), progress.step, Instant::now());
    let mut interrupted = false;
    let patient = |stale: u64| settings.patience == 0 || stale < settings.patience;
    while progress.step < settings.steps && patient(progress.stale) {
        let step = progress.step;
        let first = step * settings.batch_size as u64;
        let examples: Vec<usize> = (first..first + settings.batch_size as u64)
            .filter_map(|place| order.example(place))
            .collect();
        let loss = compute(task, &model, settings, step, &examples, &mut scratches)?;
        if !loss.sum.is_finite() {
            bar.abandon();
            return Err(TrainError::Diverged {
                step,
                loss: loss.sum / loss.terms.max(1.0),
            });
        }
        let gradient = &mut scratches[0].gradient;
        let factor = (1.0 / loss.terms.max(1.0)) as f32;
        gradient
            .par_chunks_mut(1 << 16)
            .for_each(|chunk| chunk.iter_mut().for_each(|g| *g *= factor));
        chain.step(model.values_mut(), gradient, step);
        if let Some(average) = &mut average {
            average.update(model.values(), step);
        }
        progress.step += 1;
        window.sum += loss.sum;
        window.terms += loss.terms;
        window_tokens += loss.tokens;
        bar.set_position(progress.step);

        interrupted = interrupt.load(Ordering::Relaxed);
        let last = progress.step == settings.steps || interrupted;
        let validating = !interrupted && (progress.step.is_multiple_of(settings.validate_every) || last);
        if validating || last || progress.step.is_multiple_of(50) {
            let mean = window.sum / window.terms.max(1.0);
            let tokens = window_tokens as f64 / window_start.elapsed().as_secs_f64();
            bar.set_message(format!(
                "loss {mean:.4} · {tokens:.0} tokens/s · best {:.4}",
                progress.best.max(0.0)
            ));
            if bar.is_hidden() && said.elapsed() >= SILENCE && !last {
                said = Instant::now();
                let done = (progress.step - resumed) as f64 / started.elapsed().as_secs_f64();
                let minutes = (settings.steps - progress.step) as f64 / done / 60.0;
                let step = progress.step;
                let line =
                    format!("step {step}: loss {mean:.4} · {tokens:.0} tokens/s · at most {minutes:.0} min left");
                let _ = writeln!(std::io::stderr(), "{line}");
            }
            if window.terms > 0.0 {
                // Time is left out of the file: the same run has the same metrics.
                let values = BTreeMap::from([
                    ("loss".to_owned(), mean),
                    ("learning_rate".to_owned(), f64::from(schedule(settings).at(step))),
                ]);
                let record = Record {
                    step: progress.step,
                    values,
                };
                metrics::append(metrics_path, &record)?;
                records.push(record);
            }
            (window, window_tokens, window_start) = (Loss::default(), 0, Instant::now());
        }
        let mut stop = false;
        if validating {
            let mut candidate = model.clone();
            if let Some(average) = &average {
                candidate.values_mut().copy_from_slice(average.values());
            }
            let measured = task.validate(&candidate)?;
            if let Some((name, result)) = measured.first() {
                let line = format!("step {}: {name} {result:.4}", progress.step);
                // A hidden bar, as in a log file, prints nothing itself.
                if bar.is_hidden() {
                    // Nobody may read there any more.
                    let _ = writeln!(std::io::stderr(), "{line}");
                } else {
                    bar.println(line)
                }
                let better = *result > progress.best || !progress.best.is_finite();
                progress.stale = if better { 0 } else { progress.stale + 1 };
                stop = !patient(progress.stale);
                // Of equals the latest, which has learned most.
                if better || *result == progress.best {
                    (progress.best, progress.best_step) = (*result, progress.step);
                    save_model(model_path, &candidate, task.metadata())?;
                }
            } else {
                // Nothing tells which is best: the latest.
                save_model(model_path, &candidate, task.metadata())?;
            }
            let record = Record {
                step: progress.step,
                values: measured.into_iter().collect(),
            };
            metrics::append(metrics_path, &record)?;
            records.push(record);
            window_start = Instant::now();
        }
        if validating || last {
            let values = model.values().to_vec();
            let mut vectors: Vec<&[f32]> = vec![&values];
            let mut state = chain.state();
            vectors.extend(state.iter_mut().map(|vector| &vector[..]));
            vectors.extend(average.as_ref().map(MovingAverage::values));
            checkpoint::save(checkpoint_path, run, progress, &vectors)?;
            write_report(folder, "Training", description, &records)?;
        }
        if interrupted || stop {
            break;
        }
    }
    bar.finish_and_clear();
    let mut best = model;
    if interrupted && !progress.best.is_finite() {
        save_model(model_path, &best, task.metadata())?;
    } else {
        let bytes = std::fs::read(model_path).map_err(TrainError::io(model_path))?;
        best = Model::from_safetensors(best.config().clone(), &bytes).map_err(TrainError::task)?;
    }
    Ok(Outcome {
        model: best,
        steps: progress.step,
        best: progress.best.is_finite().then_some((progress.best, progress.best_step)),
        interrupted,
        records,
    })
}

fn schedule(settings: &TrainSettings) -> Schedule {
    Schedule {
        peak: settings.learning_rate,
        warmup: settings.warmup,
        total: settings.steps,
        decay: settings.decay,
    }
}

fn chain(model: &Model, settings: &TrainSettings) -> Chain {
    let ranges = model
        .layout()
        .slots()
        .iter()
        .filter(|slot| slot.decays())
        .map(|slot| slot.range.clone())
        .collect();
    Chain::new()
        .then(ClipGlobalNorm {
            max_norm: settings.max_gradient_norm,
        })
        .then(Adam::new(settings.adam, model.layout().len()))
        .then(WeightDecay {
            rate: settings.weight_decay,
            ranges,
        })
        .then(LearningRate(schedule(settings)))
}

/// The loss of a batch; its gradient is left in the first scratch.
fn compute(
    task: &dyn Task,
    model: &Model,
    settings: &TrainSettings,
    step: u64,
    examples: &[usize],
    scratches: &mut [Scratch],
) -> Result<Loss, TrainError> {
    let shard_size = examples.len().div_ceil(settings.shards).max(1);
    let losses = scratches
        .par_iter_mut()
        .zip((0..settings.shards).into_par_iter())
        .map(|(scratch, shard)| {
            scratch.gradient.fill(0.0);
            let start = (shard * shard_size).min(examples.len());
            let examples = &examples[start..(start + shard_size).min(examples.len())];
            let mut random = generator(settings.seed, 1 + shard as u64, step);
            task.loss(model, examples, &mut random, scratch)
        })
        .collect::<Result<Vec<_>, _>>()?;
    if let Some((first, others)) = scratches.split_first_mut() {
        first
            .gradient
            .par_chunks_mut(1 << 16)
            .enumerate()
            .for_each(|(index, chunk)| {
                for other in others.iter() {
                    let start = index << 16;
                    for (sum, more) in chunk.iter_mut().zip(&other.gradient[start..]) {
                        *sum += more;
                    }
                }
            });
    }
    Ok(losses.into_iter().fold(Loss::default(), |total, loss| Loss {
        sum: total.sum + loss.sum,
        terms: total.terms + loss.terms,
        tokens: total.tokens + loss.tokens,
    }))
}

fn save_model(path: &Path, model: &Model, metadata: HashMap<String, String>) -> Result<(), TrainError> {
    let bytes = model
        .to_safetensors(Precision::Single, metadata)
        .map_err(TrainError::task)?;
    write_by_rename(path, &bytes)
}

fn progress_bar(steps: u64, done: u64) -> ProgressBar {
    let bar = ProgressBar::new(steps);
    let template = "{bar:30} {pos}/{len} steps · {elapsed} done · {eta} left · {msg}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_position(done);
    bar.reset_eta();
    bar
}

#[cfg(test)]
mod tests {
    use super::*;
    use kexue_nn::{Mask, TransformerConfig};
    use std::sync::atomic::AtomicU64;

    /// Learns to put the hidden state of a token near a fixed target; interrupts itself at a step.
    struct Toy<'a> {
        interrupt: &'a AtomicBool,
        interrupt_at: u64,
        calls: AtomicU64,
    }

    impl Task for Toy<'_> {
        fn examples(&self) -> usize {
            13
        }

        fn loss(
            &self,
            model: &Model,
            examples: &[usize],
            generator: &mut ChaCha8Rng,
            scratch: &mut Scratch,
        ) -> Result<Loss, TrainError> {
            if self.calls.fetch_add(1, Ordering::Relaxed) / 2 + 1 == self.interrupt_at {
                self.interrupt.store(true, Ordering::Relaxed);
            }
            scratch.batch.clear();
            for &example in examples {
                scratch.batch.push(&[1, example as u32 % 7, 2], Mask::unilm(1));
            }
            model.forward(&scratch.batch, &mut scratch.tape, Some(generator));
            let d = model.config().d_model;
            let (mut sum, mut d_hidden) = (0.0, Vec::new());
            for (i, h) in scratch.tape.hidden().iter().enumerate() {
                let error = h - (i % d) as f32 * 0.1;
                sum += 0.5 * f64::from(error * error);
                d_hidden.push(error);
            }
            let tokens = scratch.batch.len();
            model.backward(&scratch.batch, &mut scratch.tape, &mut d_hidden, &mut scratch.gradient);
            Ok(Loss {
                sum,
                terms: examples.len() as f64,
                tokens,
            })
        }

        fn validate(&self, model: &Model) -> Result<Vec<(String, f64)>, TrainError> {
            Ok(vec![(
                "sum".to_owned(),
                model.values().iter().map(|&v| f64::from(v)).sum(),
            )])
        }

        fn metadata(&self) -> HashMap<String, String> {
            HashMap::new()
        }
    }

    fn run(folder: &Path, interrupt_at: u64) -> Outcome {
        let interrupt = AtomicBool::new(false);
        let task = Toy {
            interrupt: &interrupt,
            interrupt_at,
            calls: AtomicU64::new(0),
        };
        let config = TransformerConfig {
            d_model: 8,
            layers: 1,
            heads: 2,
            d_ffn: 8,
            ..TransformerConfig::new(10)
        };
        let model = Model::new(config, &mut generator(1, 0, 0)).unwrap();
        let settings = TrainSettings {
            steps: 40,
            batch_size: 5,
            validate_every: 10,
            warmup: 5,
            ..TrainSettings::default()
        };
        train(&task, model, &settings, folder, "toy", &interrupt).unwrap()
    }

    #[test]
    fn a_resumed_run_is_the_uninterrupted_one() {
        let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let uninterrupted = run(whole.path(), u64::MAX);
        assert!(run(parts.path(), 17).interrupted);
        assert!(run(parts.path(), 9).interrupted);
        let resumed = run(parts.path(), u64::MAX);
        assert_eq!(resumed.steps, 40);
        assert_eq!(resumed.model.values(), uninterrupted.model.values());
        for name in ["checkpoint.bin", "model.safetensors"] {
            let read = |folder: &Path| std::fs::read(folder.join(name)).unwrap();
            assert!(read(whole.path()) == read(parts.path()), "{name} differs");
        }
        let first = uninterrupted.records.first().unwrap().values["loss"];
        let last = uninterrupted
            .records
            .iter()
            .rev()
            .find_map(|record| record.values.get("loss"))
            .unwrap();
        assert!(*last < first, "it learns: {first} to {last}");
        assert!(whole.path().join("report.html").exists());
    }

    #[test]
    fn another_run_in_the_folder_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        run(folder.path(), u64::MAX);
        let interrupt = AtomicBool::new(false);
        let task = Toy {
            interrupt: &interrupt,
            interrupt_at: u64::MAX,
            calls: AtomicU64::new(0),
        };
        let config = TransformerConfig {
            d_model: 8,
            layers: 1,
            heads: 2,
            d_ffn: 8,
            ..TransformerConfig::new(10)
        };
        let model = Model::new(config, &mut generator(1, 0, 0)).unwrap();
        let error = train(
            &task,
            model,
            &TrainSettings::default(),
            folder.path(),
            "other",
            &interrupt,
        )
        .unwrap_err();
        assert!(error.to_string().contains("other settings"));
    }
}
