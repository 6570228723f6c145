//! The training loop.

use crate::checkpoint::{self, Progress, fingerprint};
use crate::metrics::{self, Record};
use crate::{Order, TrainError, TrainSettings, generator, write_report};
use indicatif::{ProgressBar, ProgressStyle};
use kexue_nn::{HeadTape, Model, PackedBatch, Precision, Tape, TransformerConfig};
use kexue_optim::{Adam, Chain, ClipGlobalNorm, LearningRate, MovingAverage, Schedule, WeightDecay};
use kexue_output::write_file;
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
    /// Those of them that were done before this call.
    pub resumed: u64,
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
    let mut progress = Progress::start();
    let load_model = |config: &TransformerConfig| {
        let bytes = std::fs::read(model_path).map_err(TrainError::io(model_path))?;
        Model::from_safetensors(config.clone(), &bytes).map_err(|error| TrainError::file(model_path, error))
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
    if progress.best.is_finite() {
        // Said before more steps rather than after the last one.
        load_model(model.config())?;
    }
    let mut records = metrics::resume(metrics_path, progress.step)?;

    let mut order = Order::new(settings.seed, task.examples());
    let mut scratches: Vec<Scratch> = (0..settings.shards)
        .map(|_| Scratch {
            gradient: vec![0.0; model.layout().len()],
            ..Scratch::default()
        })
        .collect();
    let bar = progress_bar(settings.steps, progress.step);
    let (mut window_tokens, mut window_start) = (0, Instant::now());
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
            let what = "the loss";
            return Err(TrainError::Diverged { step, what });
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
        progress.loss += loss.sum;
        progress.terms += loss.terms;
        window_tokens += loss.tokens;
        bar.set_position(progress.step);

        interrupted = interrupt.load(Ordering::Relaxed);
        // What is due is due whether the run is interrupted or not, and nothing else is: the resumed run is the uninterrupted one.
        let validating = progress.step.is_multiple_of(settings.validate_every) || progress.step == settings.steps;
        if (validating || interrupted) && !model.values().iter().all(|value| value.is_finite()) {
            // What was saved before is good.
            bar.abandon();
            let what = "a weight";
            return Err(TrainError::Diverged { step, what });
        }
        if validating || progress.step.is_multiple_of(50) {
            let mean = progress.loss / progress.terms.max(1.0);
            let tokens = window_tokens as f64 / window_start.elapsed().as_secs_f64();
            bar.set_message(format!(
                "loss {mean:.4} · {tokens:.0} tokens/s · best {:.4}",
                progress.best.max(0.0)
            ));
            if bar.is_hidden() && said.elapsed() >= SILENCE && !interrupted && progress.step < settings.steps {
                said = Instant::now();
                let done = (progress.step - resumed) as f64 / started.elapsed().as_secs_f64();
                let minutes = (settings.steps - progress.step) as f64 / done / 60.0;
                let step = progress.step;
                let line =
                    format!("step {step}: loss {mean:.4} · {tokens:.0} tokens/s · at most {minutes:.0} min left");
                let _ = writeln!(std::io::stderr(), "{line}");
            }
            if progress.terms > 0.0 {
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
            (progress.loss, progress.terms) = (0.0, 0.0);
            (window_tokens, window_start) = (0, Instant::now());
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
        if validating || interrupted {
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
        best = load_model(best.config())?;
    }
    Ok(Outcome {
        model: best,
        steps: progress.step,
        resumed,
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
    Ok(write_file(path, &bytes)?)
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
    use kexue_nn::Mask;
    use std::sync::atomic::{AtomicU64, AtomicUsize};

    /// Learns to put the hidden state of a token near a fixed target.
    #[derive(Default)]
    struct Toy {
        interrupt: AtomicBool,
        /// The step, from 1, at which it interrupts itself; 0 for never.
        interrupt_at: u64,
        /// The step, from 1, from which its loss is no number; 0 for never.
        breaks_at: u64,
        calls: AtomicU64,
        /// What validations find, one after another; the sum of the weights where there is nothing.
        scores: Vec<f64>,
        validations: AtomicUsize,
    }

    impl Task for Toy {
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
            // Every shard calls once a step.
            let step = self.calls.fetch_add(1, Ordering::Relaxed) / SHARDS + 1;
            if step == self.interrupt_at {
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
            if step == self.breaks_at {
                scratch.gradient.fill(f32::NAN);
            }
            Ok(Loss {
                sum,
                terms: examples.len() as f64,
                tokens,
            })
        }

        fn validate(&self, model: &Model) -> Result<Vec<(String, f64)>, TrainError> {
            let sum = || model.values().iter().map(|&v| f64::from(v)).sum();
            let at = self.validations.fetch_add(1, Ordering::Relaxed);
            let score = self.scores.get(at).copied().unwrap_or_else(sum);
            Ok(vec![("sum".to_owned(), score)])
        }

        fn metadata(&self) -> HashMap<String, String> {
            HashMap::new()
        }
    }

    const SHARDS: u64 = 2;

    fn fresh() -> Model {
        let config = TransformerConfig {
            d_model: 8,
            layers: 1,
            heads: 2,
            d_ffn: 8,
            ..TransformerConfig::new(10)
        };
        Model::new(config, &mut generator(1, 0, 0)).unwrap()
    }

    fn settings(steps: u64, validate_every: u64) -> TrainSettings {
        TrainSettings {
            steps,
            batch_size: 5,
            shards: SHARDS as usize,
            validate_every,
            warmup: 5,
            ..TrainSettings::default()
        }
    }

    fn run(folder: &Path, task: &Toy, settings: &TrainSettings) -> Result<Outcome, TrainError> {
        train(task, fresh(), settings, folder, "toy", &task.interrupt)
    }

    fn interrupted_at(step: u64) -> Toy {
        Toy {
            interrupt_at: step,
            ..Toy::default()
        }
    }

    const FILES: [&str; 4] = ["checkpoint.bin", "model.safetensors", "metrics.jsonl", "report.html"];

    fn files(folder: &Path) -> Vec<Vec<u8>> {
        FILES
            .iter()
            .map(|name| std::fs::read(folder.join(name)).unwrap())
            .collect()
    }

    /// Interrupts runs at these steps, one after another, resumes each, and compares what they leave with the uninterrupted run.
    fn compare(settings: &TrainSettings, stops: impl Iterator<Item = Vec<u64>>) -> Outcome {
        let whole = tempfile::tempdir().unwrap();
        let uninterrupted = run(whole.path(), &Toy::default(), settings).unwrap();
        let expected = files(whole.path());
        for stops in stops {
            let parts = tempfile::tempdir().unwrap();
            for &stop in &stops {
                assert!(run(parts.path(), &interrupted_at(stop), settings).unwrap().interrupted);
            }
            let resumed = run(parts.path(), &Toy::default(), settings).unwrap();
            assert_eq!(resumed.steps, uninterrupted.steps);
            assert_eq!(resumed.best, uninterrupted.best);
            assert_eq!(resumed.records, uninterrupted.records, "{stops:?}");
            assert_eq!(resumed.model.values(), uninterrupted.model.values());
            for ((name, found), expected) in FILES.iter().zip(files(parts.path())).zip(&expected) {
                assert!(found == *expected, "{name} differs after {stops:?}");
            }
        }
        uninterrupted
    }

    #[test]
    fn a_resumed_run_is_the_uninterrupted_one_wherever_it_was_interrupted() {
        let outcome = compare(&settings(10, 3), (1..=10).map(|stop| vec![stop]));
        assert_eq!(outcome.steps, 10);
        // Records of the loss come every fifty steps too.
        let stops = [vec![17, 9], vec![49], vec![50], vec![51, 1, 1], vec![60, 2]];
        let outcome = compare(&settings(120, 60), stops.into_iter());
        let losses: Vec<f64> = outcome
            .records
            .iter()
            .filter_map(|record| record.values.get("loss").copied())
            .collect();
        assert_eq!(losses.len(), 4);
        assert!(losses[3] < losses[0], "it learns: {losses:?}");
    }

    #[test]
    fn patience_ends_a_run_and_the_best_is_kept() {
        let patient = TrainSettings {
            patience: 2,
            ..settings(40, 4)
        };
        let folder = tempfile::tempdir().unwrap();
        let task = Toy {
            scores: vec![1.0, 3.0, 2.0, 3.0, 9.0, 9.0],
            ..Toy::default()
        };
        let outcome = run(folder.path(), &task, &patient).unwrap();
        // Of equals the latest is kept, but it is no better.
        assert_eq!((outcome.steps, outcome.best), (16, Some((3.0, 16))));
        let again = run(folder.path(), &Toy::default(), &patient).unwrap();
        assert_eq!((again.steps, again.best), (16, outcome.best), "it has ended");

        // Validations before an interruption count.
        let parts = tempfile::tempdir().unwrap();
        let first = Toy {
            scores: vec![1.0, 3.0, 2.0],
            ..interrupted_at(12)
        };
        assert!(run(parts.path(), &first, &patient).unwrap().interrupted);
        let second = Toy {
            scores: vec![3.0, 9.0, 9.0],
            ..Toy::default()
        };
        let outcome = run(parts.path(), &second, &patient).unwrap();
        assert_eq!((outcome.steps, outcome.best), (16, Some((3.0, 16))));
        assert!(files(parts.path()) == files(folder.path()));
    }

    #[test]
    fn a_run_that_diverges_stops_and_leaves_the_last_good_state() {
        let diverged = |breaks_at: u64| {
            let folder = tempfile::tempdir().unwrap();
            let task = Toy {
                breaks_at,
                ..Toy::default()
            };
            let error = run(folder.path(), &task, &settings(12, 3)).unwrap_err();
            let read = |name: &str| std::fs::read(folder.path().join(name)).ok();
            (error.to_string(), read("checkpoint.bin"), read("model.safetensors"))
        };
        let whole = tempfile::tempdir().unwrap();
        let stopped = interrupted_at(6);
        run(whole.path(), &stopped, &settings(12, 3)).unwrap();
        let good = |name: &str| std::fs::read(whole.path().join(name)).ok();
        // After the seventh step the weights are none: the eighth has no loss.
        let (error, checkpoint, model) = diverged(7);
        assert!(
            error.starts_with("the loss of step 7 is not finite: the run has diverged"),
            "{error}"
        );
        assert!(checkpoint == good("checkpoint.bin") && model == good("model.safetensors"));
        // At a validation there was no loss yet.
        let (error, checkpoint, model) = diverged(9);
        assert!(
            error.starts_with("a weight of step 8 is not finite: the run has diverged"),
            "{error}"
        );
        assert!(checkpoint == good("checkpoint.bin") && model == good("model.safetensors"));
        assert_eq!(diverged(1).1, None);
    }

    #[test]
    fn weights_that_were_damaged_are_named_before_more_steps() {
        let folder = tempfile::tempdir().unwrap();
        run(folder.path(), &interrupted_at(7), &settings(12, 3)).unwrap();
        let path = folder.path().join("model.safetensors");
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        let task = Toy::default();
        let error = run(folder.path(), &task, &settings(12, 3)).unwrap_err().to_string();
        assert!(
            error.contains("model.safetensors: not a readable file of weights"),
            "{error}"
        );
        assert_eq!(task.calls.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn another_run_in_the_folder_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let task = Toy::default();
        run(folder.path(), &task, &settings(4, 2)).unwrap();
        let settings = TrainSettings::default();
        let error = train(&task, fresh(), &settings, folder.path(), "other", &task.interrupt).unwrap_err();
        assert!(error.to_string().contains("other settings"));
    }
}
