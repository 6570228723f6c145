//! A run: resume, step, record, validate, save.

use crate::checkpoint::{self, Identity, Progress};
use crate::extension::identity;
use crate::metrics::{self, Record};
use crate::status::Status;
use crate::task::Goal;
use crate::{
    Accelerator, BatchSettings, GroupSettings, Learner, Loss, Metric, ParameterGroup, Ranks, Task, TrainError,
    TrainSettings, Turn, ranks, write_report,
};
use kexue_optim::Parameters;
use kexue_output::{Lock, write_file};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use xxhash_rust::xxh3::Xxh3;

/// How a run ended.
#[derive(Clone, Debug)]
pub struct Outcome<M> {
    /// The best model.
    pub model: M,
    /// Number of completed steps.
    pub steps: u64,
    /// The number of these steps that were completed before this call.
    pub resumed: u64,
    /// The best validation result and its step; `None` without validation.
    pub best: Option<(f64, u64)>,
    /// Whether it was interrupted, and can be resumed.
    pub interrupted: bool,
    /// Every record.
    pub records: Vec<Record>,
}

/// The number of steps between records of the mean loss. It is also recorded at every validation.
const RECORD_EVERY: u64 = 50;

/// Trains in a folder, or resumes the run in it: a [`Trainer`] with a single group of parameters, configured by the settings.
///
/// # Errors
/// As [`Trainer::run`].
pub fn train<T: Task>(
    task: &T,
    model: T::Model,
    settings: &TrainSettings,
    folder: &Path,
    description: &str,
    interrupt: &AtomicBool,
) -> Result<Outcome<T::Model>, TrainError> {
    train_on(None, task, model, settings, folder, description, interrupt)
}

/// As [`train`], with the steps computed by an accelerator, if there is one.
///
/// # Errors
/// As [`train`]; and if the accelerator fails.
pub fn train_on<T: Task>(
    accelerator: Option<Box<dyn Accelerator<T> + '_>>,
    task: &T,
    model: T::Model,
    settings: &TrainSettings,
    folder: &Path,
    description: &str,
    interrupt: &AtomicBool,
) -> Result<Outcome<T::Model>, TrainError> {
    let group = GroupSettings {
        name: String::new(),
        on: Vec::new(),
        chain: settings.chain(),
        turn: Turn::ALWAYS,
        averages: settings.averages(),
    };
    let mut trainer = Trainer::new(task, model, settings, &[group], folder, description)?;
    if let Some(accelerator) = accelerator {
        trainer = trainer.accelerated(accelerator)?;
    }
    trainer.run(interrupt)
}

/// A run in a folder. It writes `metrics.jsonl`, `model.safetensors` (the best model so far), `checkpoint.bin` and `report.html`.
pub struct Trainer<'a, T: Task> {
    task: &'a T,
    learner: Learner<'a, T>,
    /// Whether this process validates, writes and prints.
    is_first: bool,
    settings: &'a TrainSettings,
    folder: PathBuf,
    description: &'a str,
    identity: Identity,
    progress: Progress,
    /// Number of steps completed before this call.
    resumed: u64,
    records: Vec<Record>,
    status: Status,
}

impl<'a, T: Task> Trainer<'a, T> {
    /// Creates a run of a model whose parameters are trained in groups. `description` (such as the text of `config.toml`) identifies the run; a run
    /// [that can be extended](TrainSettings::can_be_extended) stays the same with more steps. The optimiser and averages in `settings` are for
    /// [`train`] only; here each group has its own.
    ///
    /// # Errors
    /// If a setting is invalid; names it.
    pub fn new(
        task: &'a T,
        model: T::Model,
        settings: &'a TrainSettings,
        groups: &[GroupSettings],
        folder: &Path,
        description: &'a str,
    ) -> Result<Self, TrainError> {
        settings.validate()?;
        let group = |group| ParameterGroup::new(group, model.slots(), model.values(), settings.steps);
        let groups = groups.iter().map(group).collect::<Result<Vec<_>, _>>()?;
        let batches = BatchSettings {
            seed: settings.seed,
            size: settings.batch_size,
            shards: settings.shards,
        };
        let trainer = Self {
            learner: Learner::new(task, model, groups, batches).regularized(settings.regularizer)?,
            is_first: true,
            task,
            settings,
            folder: folder.to_path_buf(),
            description,
            identity: Identity::new(&identity(description), task),
            progress: Progress::default(),
            resumed: 0,
            records: Vec::new(),
            status: Status::new(settings.steps, T::UNIT, false),
        };
        trainer.shared(ranks())
    }

    /// Shares the run with other processes; by default with those that `mpirun` started. Only the first process uses the folder.
    ///
    /// # Errors
    /// If there are more processes than shards.
    pub fn shared(mut self, ranks: Box<dyn Ranks>) -> Result<Self, TrainError> {
        self.is_first = ranks.rank() == 0;
        self.status = Status::new(self.settings.steps, T::UNIT, !self.is_first);
        self.learner = self.learner.shared(ranks)?;
        Ok(self)
    }

    /// Computes the steps with an accelerator.
    ///
    /// # Errors
    /// If several processes train together.
    pub fn accelerated(mut self, accelerator: Box<dyn Accelerator<T> + 'a>) -> Result<Self, TrainError> {
        self.learner = self.learner.accelerated(accelerator)?;
        Ok(self)
    }

    /// The optimisers, one line for each group.
    pub fn describe(&mut self) -> String {
        let groups = self.learner.groups_mut().iter_mut();
        groups.map(ParameterGroup::describe).collect::<Vec<_>>().join("\n")
    }

    /// Trains to the end, or until interrupted. After an interruption, the same call continues where this one stopped, and the result is that of an
    /// uninterrupted run.
    ///
    /// # Errors
    /// If a file cannot be written, another process is training in the folder, the folder holds another run, the loss diverges, or the task fails.
    pub fn run(self, interrupt: &AtomicBool) -> Result<Outcome<T::Model>, TrainError> {
        match self.learner.ranks().size() {
            // On a thread of the pool: otherwise each parallel operation of a step would wake another thread, which takes as long as a small step.
            1 => rayon::scope(|_| self.run_here(interrupt)),
            // MPI is called from the main thread only.
            _ => self.run_here(interrupt),
        }
    }

    fn run_here(mut self, interrupt: &AtomicBool) -> Result<Outcome<T::Model>, TrainError> {
        // Two runs in a folder would mix their metrics. The processes of one run share its folder; the first one holds the lock for all.
        let lock = self.is_first.then(|| Lock::of_folder(&self.folder)).transpose();
        let (_lock, locked) = match lock {
            Ok(lock) => (lock, Ok(())),
            Err(error) => (None, Err(error.into())),
        };
        self.share(locked)?;
        self.resume()?;
        let chains = self.describe();
        self.status.say(&format!("optimizer: {chains}"));
        let mut interrupted = false;
        while !self.is_done() && !interrupted {
            self.step()?;
            interrupted = self.any(interrupt.load(Ordering::Relaxed));
            // What is due is due whether the run is interrupted or not, and nothing else is: the resumed run is the uninterrupted one.
            let validating = self.is_validation_due();
            if validating || interrupted {
                self.learner.bring_back()?;
                self.check_weights()?;
            }
            if validating || self.progress.step.is_multiple_of(RECORD_EVERY) {
                let recorded = self.record(interrupted);
                self.share(recorded)?;
            }
            if validating {
                self.check_same()?;
                self.only_first(Self::validate)?;
            }
            if validating || interrupted {
                self.only_first(Self::save)?;
            }
        }
        self.finish(interrupted)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn is_done(&self) -> bool {
        let Self { settings, progress, .. } = self;
        let out_of_patience = settings.patience > 0 && progress.stale >= settings.patience;
        progress.step >= settings.steps || out_of_patience
    }

    fn is_validation_due(&self) -> bool {
        let step = self.progress.step;
        step.is_multiple_of(self.settings.validate_every) || step == self.settings.steps
    }

    /// Runs an action only in the first process, which uses the folder.
    fn only_first(&mut self, act: fn(&mut Self) -> Result<(), TrainError>) -> Result<(), TrainError> {
        let done = if self.is_first { act(self) } else { Ok(()) };
        self.share(done)
    }

    /// Broadcasts the first process's success or failure, and its progress, to all.
    fn share(&mut self, done: Result<(), TrainError>) -> Result<(), TrainError> {
        if self.learner.ranks().size() == 1 {
            return done;
        }
        let message = match &done {
            Ok(()) => Ok(&self.progress),
            Err(error) => Err(error.to_string()),
        };
        let bytes = serde_json::to_vec(&message).map_err(TrainError::task)?;
        let all = self.learner.ranks().gather(if self.is_first { &bytes } else { &[] });
        let first = all.first().map_or(&[][..], |bytes| bytes);
        let message: Result<Progress, String> = serde_json::from_slice(first).map_err(TrainError::task)?;
        done?;
        self.progress = message.map_err(|problem| TrainError::Process { rank: 0, problem })?;
        Ok(())
    }

    /// Whether it holds in any process.
    fn any(&self, holds: bool) -> bool {
        match self.learner.ranks().size() {
            1 => holds,
            _ => self.learner.ranks().gather(&[u8::from(holds)]).concat().contains(&1),
        }
    }

    /// Checks that all processes have the same parameters: machines of different kinds may round differently.
    fn check_same(&self) -> Result<(), TrainError> {
        let ranks = self.learner.ranks();
        if ranks.size() == 1 {
            return Ok(());
        }
        let mut hash = Xxh3::new();
        for value in self.learner.model().values() {
            hash.update(&value.to_le_bytes());
        }
        let all = ranks.gather(&hash.digest().to_le_bytes());
        match all.iter().position(|other| *other != all[0]) {
            None => Ok(()),
            Some(rank) => Err(TrainError::task(format!(
                "the parameters of process {rank} are no longer those of process 0: the machines compute differently; use machines of one kind, and the \
                 same build"
            ))),
        }
    }

    /// Loads the state of the run in the folder, if there is one.
    fn resume(&mut self) -> Result<(), TrainError> {
        self.only_first(Self::read)?;
        let (model, groups, ranks) = self.learner.parts();
        ranks.broadcast(model.values_mut());
        model.changed();
        for (_, vector) in groups.iter_mut().flat_map(ParameterGroup::state) {
            ranks.broadcast(vector);
        }
        self.learner.take_over()?;
        self.resumed = self.progress.step;
        self.status.start(self.progress.step);
        if self.resumed > 0 && !self.is_done() {
            self.status.say(&format!("resumed after step {}", self.resumed));
        }
        Ok(())
    }

    /// Reads checkpoint and metrics.
    fn read(&mut self) -> Result<(), TrainError> {
        let path = self.path("checkpoint.bin");
        let mut values = self.learner.model().values().to_vec();
        let mut vectors = vec![("parameters".to_owned(), &mut values[..])];
        for group in self.learner.groups_mut() {
            vectors.extend(group.state().into_iter().map(|(name, vector)| (name, &mut vector[..])));
        }
        if let Some(saved) = checkpoint::load(&path, &self.identity, vectors)? {
            self.progress = saved;
            if self.progress.best.is_some() {
                // A damaged file is reported before the next step instead of after the last one.
                self.load_best()?;
            }
            self.set_values(&values);
        }
        self.records = metrics::resume(&self.path("metrics.jsonl"), self.progress.step)?;
        Ok(())
    }

    fn set_values(&mut self, values: &[f32]) {
        let model = self.learner.model_mut();
        model.values_mut().copy_from_slice(values);
        model.changed();
    }

    /// Loads the saved model into the learner's.
    fn load_best(&mut self) -> Result<(), TrainError> {
        let path = self.path("model.safetensors");
        let bytes = std::fs::read(&path).map_err(TrainError::io(&path))?;
        let loaded = self.learner.model_mut().load(&bytes);
        loaded.map_err(|error| TrainError::file(path, error))
    }

    /// One optimiser step.
    fn step(&mut self) -> Result<(), TrainError> {
        let step = self.progress.step;
        let loss = self.learner.gradient(step, step + 1 == self.settings.steps)?;
        if !loss.sum.is_finite() {
            return Err(self.diverged("the loss"));
        }
        self.learner.apply(step)?;
        self.progress.step += 1;
        self.add(step, &loss);
        self.status.advance(self.progress.step, loss.items);
        Ok(())
    }

    /// Adds the losses of a step to the means. Losses of groups that take turns are named after the groups.
    fn add(&mut self, step: u64, loss: &Loss) {
        let turns = self.learner.groups().iter().filter(|group| group.turn().has(step));
        let prefixes: Vec<String> = turns
            .filter(|group| !group.name().is_empty())
            .map(|group| format!("{}.", group.name()))
            .collect();
        let prefix = prefixes.concat();
        let also = loss.also.iter().cloned();
        let all = std::iter::once((format!("{prefix}loss"), loss.sum, loss.terms)).chain(also);
        for (name, sum, terms) in all {
            let mean = self.progress.means.entry(name).or_default();
            (mean.0, mean.1) = (mean.0 + sum, mean.1 + terms);
        }
    }

    fn diverged(&self, what: &'static str) -> TrainError {
        self.status.abandon();
        TrainError::Diverged {
            // Counted from 0; a weight is of the step that has been done.
            step: if what == "a weight" {
                self.progress.step - 1
            } else {
                self.progress.step
            },
            what,
        }
    }

    /// Checks that the run has not diverged, so that good saved files are not overwritten.
    fn check_weights(&self) -> Result<(), TrainError> {
        match self.learner.model().values().iter().all(|value| value.is_finite()) {
            true => Ok(()),
            false => Err(self.diverged("a weight")),
        }
    }

    /// Records the mean losses since the last record, and the learning rates. Times are not recorded, so that the same run has the same metrics.
    fn record(&mut self, interrupted: bool) -> Result<(), TrainError> {
        let means = std::mem::take(&mut self.progress.means);
        let named = means.into_iter().filter(|(_, (_, terms))| *terms > 0.0);
        let mut values: BTreeMap<String, f64> = named.map(|(name, (sum, terms))| (name, sum / terms)).collect();
        let losses: Vec<(&str, f64)> = values
            .iter()
            .filter(|(name, _)| name.ends_with("loss"))
            .map(|(name, value)| (name.as_str(), *value))
            .collect();
        let quiet = interrupted || self.progress.step == self.settings.steps;
        self.status.show(&losses, self.progress.best, quiet);
        if values.is_empty() {
            return Ok(());
        }
        for (name, _) in losses {
            self.progress.goals.entry(name.to_owned()).or_insert(Goal::Minimize);
        }
        for group in self.learner.groups() {
            if let Some(rate) = group.learning_rate(self.progress.step - 1) {
                let dot = if group.name().is_empty() { "" } else { "." };
                values.insert(format!("{}{dot}learning_rate", group.name()), f64::from(rate));
            }
        }
        self.append(values)
    }

    fn append(&mut self, values: BTreeMap<String, f64>) -> Result<(), TrainError> {
        let record = Record {
            step: self.progress.step,
            values,
        };
        if self.is_first {
            metrics::append(&self.path("metrics.jsonl"), &record)?;
        }
        self.records.push(record);
        Ok(())
    }

    /// Measures the model, or each of its averages, and saves the best.
    fn validate(&mut self) -> Result<(), TrainError> {
        let averages = self.learner.groups().iter().map(ParameterGroup::averages);
        let averages = averages.max_by_key(Vec::len).unwrap_or_default();
        let more = averages.iter().skip(1).map(|average| format!(" (average {average})"));
        let candidates: Vec<String> = std::iter::once(String::new()).chain(more).collect();
        let values = self.learner.model().values().to_vec();
        let (mut record, mut better, mut told) = (BTreeMap::new(), false, false);
        for (candidate, suffix) in candidates.iter().enumerate() {
            let (model, groups) = self.learner.model_and_groups();
            model.values_mut().copy_from_slice(&values);
            groups
                .iter()
                .for_each(|group| group.use_average(candidate, model.values_mut()));
            model.changed();
            let measured = self.task.validate(self.learner.model())?;
            told |= self.judge(&measured, suffix, &mut better)?;
            for metric in measured {
                let name = metric.name + suffix;
                self.progress.goals.extend(metric.goal.map(|goal| (name.clone(), goal)));
                record.insert(name, metric.value);
            }
            if !told && candidate == 0 {
                // Nothing tells which is best: the latest.
                self.save_model()?;
            }
        }
        self.set_values(&values);
        if told {
            self.progress.stale = if better { 0 } else { self.progress.stale + 1 };
        }
        self.append(record)?;
        self.status.restart();
        Ok(())
    }

    /// Compares a candidate with the best one so far, and saves it if it is at least as good. Returns whether there is a metric to compare.
    fn judge(&mut self, measured: &[Metric], suffix: &str, better: &mut bool) -> Result<bool, TrainError> {
        let Some((name, value, goal)) = measured
            .iter()
            .find_map(|metric| Some((&metric.name, metric.value, metric.goal?)))
        else {
            return Ok(false);
        };
        self.status
            .say(&format!("step {}: {name}{suffix} {value:.4}", self.progress.step));
        let best = self.progress.best.filter(|best| best.is_finite());
        let improves = best.is_none_or(|best| goal.is_better(value, best));
        *better |= improves;
        // Of equals the latest, which has learned most.
        if improves || best == Some(value) {
            (self.progress.best, self.progress.best_step) = (Some(value), self.progress.step);
            self.save_model()?;
        }
        Ok(true)
    }

    fn save_model(&self) -> Result<(), TrainError> {
        let bytes = self
            .learner
            .model()
            .save(self.task.metadata())
            .map_err(TrainError::task)?;
        Ok(write_file(&self.path("model.safetensors"), &bytes)?)
    }

    /// Writes the checkpoint and the report.
    fn save(&mut self) -> Result<(), TrainError> {
        let path = self.path("checkpoint.bin");
        let (model, groups) = self.learner.model_and_groups();
        let mut vectors = vec![("parameters".to_owned(), model.values())];
        for group in groups {
            vectors.extend(group.state().into_iter().map(|(name, vector)| (name, &vector[..])));
        }
        checkpoint::save(&path, &self.identity, &self.progress, &vectors)?;
        write_report(
            &self.folder,
            "Training",
            self.description,
            &self.records,
            &self.progress.goals,
            |page| self.task.illustrate(page),
        )
    }

    /// The outcome, with the best model.
    fn finish(mut self, interrupted: bool) -> Result<Outcome<T::Model>, TrainError> {
        self.status.finish();
        let unvalidated = |trainer: &Self| trainer.progress.best.is_none_or(|best| !best.is_finite());
        self.only_first(match interrupted && unvalidated(&self) {
            true => |trainer| trainer.save_model(),
            false => |trainer| trainer.load_best(),
        })?;
        let (model, _, ranks) = self.learner.parts();
        ranks.broadcast(model.values_mut());
        model.changed();
        let best = self.progress.best.filter(|best| best.is_finite());
        Ok(Outcome {
            model: self.learner.into_model(),
            steps: self.progress.step,
            resumed: self.resumed,
            best: best.map(|best| (best, self.progress.best_step)),
            interrupted,
            records: self.records,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{TransformerWorkspace, generator};
    use kexue_nn::{Mask, Model, PackedBatch, TransformerConfig};
    use rand_chacha::ChaCha8Rng;
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
        type Model = Model;
        type Batch = PackedBatch;
        type Workspace = TransformerWorkspace;

        fn examples(&self) -> usize {
            13
        }

        fn workspace(&self, _: &Model) -> TransformerWorkspace {
            TransformerWorkspace::default()
        }

        fn batch(&self, examples: &[usize], _: u64, _: &mut ChaCha8Rng) -> Result<PackedBatch, TrainError> {
            let mut batch = PackedBatch::default();
            for &example in examples {
                batch.push(&[1, example as u32 % 7, 2], Mask::unilm(1));
            }
            Ok(batch)
        }

        fn loss(
            &self,
            model: &Model,
            batch: &PackedBatch,
            generator: &mut ChaCha8Rng,
            workspace: &mut TransformerWorkspace,
            gradient: &mut [f32],
        ) -> Result<Loss, TrainError> {
            // Every shard calls once a step.
            let step = self.calls.fetch_add(1, Ordering::Relaxed) / SHARDS + 1;
            if step == self.interrupt_at {
                self.interrupt.store(true, Ordering::Relaxed);
            }
            model.forward(batch, &mut workspace.tape, Some(generator));
            let d = model.config().d_model;
            let (mut sum, mut d_hidden) = (0.0, Vec::new());
            for (i, h) in workspace.tape.hidden().iter().enumerate() {
                let error = h - (i % d) as f32 * 0.1;
                sum += 0.5 * f64::from(error * error);
                d_hidden.push(error);
            }
            model.backward(batch, &mut workspace.tape, &mut d_hidden, gradient);
            if step == self.breaks_at {
                gradient.fill(f32::NAN);
            }
            Ok(Loss {
                sum,
                terms: batch.len() as f64 / 3.0,
                items: batch.len(),
                also: Vec::new(),
            })
        }

        fn validate(&self, model: &Model) -> Result<Vec<Metric>, TrainError> {
            let sum = || model.values().iter().map(|&v| f64::from(v)).sum();
            let at = self.validations.fetch_add(1, Ordering::Relaxed);
            let score = self.scores.get(at).copied().unwrap_or_else(sum);
            Ok(vec![Metric::maximized("sum", score)])
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

    fn run(folder: &Path, task: &Toy, settings: &TrainSettings) -> Result<Outcome<Model>, TrainError> {
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
    fn compare(settings: &TrainSettings, stops: impl Iterator<Item = Vec<u64>>) -> Outcome<Model> {
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
    fn a_finished_run_that_goes_on_is_the_longer_one() {
        let [short, long] = [40, 70].map(|steps| TrainSettings {
            decay: kexue_optim::Decay::Constant,
            ..settings(steps, 20)
        });
        let train = |folder: &Path, settings: &TrainSettings| {
            let description = toml::to_string(&std::collections::BTreeMap::from([("train", settings)])).unwrap();
            let task = Toy::default();
            train(&task, fresh(), settings, folder, &description, &task.interrupt).unwrap()
        };
        let [whole, parts] = [0, 1].map(|_| tempfile::tempdir().unwrap());
        let expected = train(whole.path(), &long);
        assert_eq!(train(parts.path(), &short).steps, 40);
        let extended = train(parts.path(), &long);
        assert_eq!((extended.resumed, extended.steps), (40, 70));
        assert_eq!(extended.records, expected.records);
        assert!(files(parts.path()) == files(whole.path()));
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
