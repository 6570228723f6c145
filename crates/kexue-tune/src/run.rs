//! A training run with one method and one seed, in a folder.

use crate::columns::Columns;
use crate::compute::Compute;
use crate::dataset::{Dataset, Labels};
use crate::fisher::{FisherKind, KeptShare, child, fisher, kept_shares};
use crate::method::{ChildSettings, Masking, Method};
use crate::metrics::Measure;
use crate::start::Start;
use crate::task::TuneTask;
use kexue_nn::{Classifier, InferencePrecision, PretrainedError, TransformerConfig};
use kexue_optim::{BitMask, Parameters};
use kexue_output::{Lock, write_file};
use kexue_text::PretrainedTokenizer;
use kexue_train::{
    Record, RunConfig, TrainError, TrainSettings, TransformerRunConfig, generator, prepare, streams, train_on,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// The model, the data and the method of a fine-tuning run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TuneSettings {
    /// The folder of the pretrained model.
    pub start: String,
    /// The file of training examples.
    pub training: String,
    /// The file of validation examples. If there is none, training examples are held out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_out: Option<String>,
    /// Without a file of validation examples, one training example in `hold_out` is held out.
    pub hold_out: usize,
    /// The columns of texts and labels.
    pub columns: Columns,
    /// The names of the classes, in the order of the logits; empty for regression.
    pub labels: Vec<String>,
    /// The measures. The first one selects the best step.
    pub measures: Vec<Measure>,
    /// Maximum number of tokens per example; longer examples are truncated.
    pub length: usize,
    /// The method of fine-tuning.
    pub method: Method,
    /// The way in which ChildTuning-D measures the Fisher information.
    pub fisher: FisherKind,
    /// Maximum number of training examples, from the start of the file, on which it is measured.
    pub fisher_samples: usize,
    /// Whether weight decay is masked as well.
    pub masked_decay: bool,
}

/// The complete configuration of a fine-tuning run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TuneConfig {
    /// The version of Kexue that wrote it.
    pub version: String,
    /// The Transformer.
    pub model: TransformerConfig,
    /// The training settings, before the method changes the optimiser.
    pub train: TrainSettings,
    /// The data and the method.
    pub finetune: TuneSettings,
}

impl RunConfig for TuneConfig {
    const KIND: &'static str = "finetune";

    fn validate(&self) -> Result<(), TrainError> {
        let problem = |field, problem: &str| {
            let problem = problem.to_owned();
            Err(TrainError::Setting { field, problem })
        };
        let settings = &self.finetune;
        if settings.length < 3 {
            return problem("max_length", "must be at least 3: [CLS], a token, [SEP]");
        }
        if self.model.longest_sequence().is_some_and(|most| settings.length > most) {
            return problem("max_length", "is more than the model's positions");
        }
        if settings.fisher_samples == 0 {
            return problem("fisher_samples", "must be at least 1");
        }
        if settings.measures.is_empty() {
            return problem("metrics", "name at least one");
        }
        if settings
            .measures
            .iter()
            .any(|measure| measure.is_of_numbers() != settings.labels.is_empty())
        {
            return problem(
                "metrics",
                "pearson and spearman are measures of numbers, the others of classes",
            );
        }
        Ok(())
    }
}

impl TransformerRunConfig for TuneConfig {
    fn model(&self) -> &TransformerConfig {
        &self.model
    }
}

/// The result of a training run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TuneResult {
    /// The method.
    pub method: Method,
    /// The seed of the initial head, the batches, dropout and masks.
    pub seed: u64,
    /// Number of steps.
    pub steps: u64,
    /// The step of the best validation.
    pub best_step: u64,
    /// The measures of the best validation.
    pub best: BTreeMap<String, f64>,
    /// The measures of the last validation.
    pub last: BTreeMap<String, f64>,
    /// The first measure of every validation, by step.
    pub curve: Vec<(u64, f64)>,
    /// The shares of the model that ChildTuning-D trains; else empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<KeptShare>,
}

/// The file with the result of a finished run.
const RESULT: &str = "result.json";
/// The file with ChildTuning-D's mask.
const MASK: &str = "mask.safetensors";

impl TuneResult {
    fn of(config: &TuneConfig, records: &[Record], steps: u64, kept: Vec<KeptShare>) -> Result<Self, TrainError> {
        let first = config
            .finetune
            .measures
            .first()
            .map_or("accuracy", |measure| measure.name());
        let validations: Vec<&Record> = records
            .iter()
            .filter(|record| record.values.contains_key(first))
            .collect();
        let missing = || TrainError::task("the run has no validation");
        // The latest of equal ones, like the saved model.
        let best = validations
            .iter()
            .max_by(|a, b| a.values[first].total_cmp(&b.values[first]));
        let (best, last) = (best.ok_or_else(missing)?, validations.last().ok_or_else(missing)?);
        Ok(Self {
            method: config.finetune.method,
            seed: config.train.seed,
            steps,
            best_step: best.step,
            best: best.values.clone(),
            last: last.values.clone(),
            curve: validations
                .iter()
                .map(|record| (record.step, record.values[first]))
                .collect(),
            kept,
        })
    }

    /// Reads the result of a finished run; `None` if there is none.
    fn read(folder: &Path) -> Result<Option<Self>, TrainError> {
        let path = folder.join(RESULT);
        match std::fs::read(&path) {
            Ok(bytes) => {
                let read = serde_json::from_slice(&bytes);
                let problem = |error| {
                    TrainError::file(
                        &path,
                        format!("is damaged ({error}); delete it to continue from the checkpoint"),
                    )
                };
                read.map(Some).map_err(problem)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(TrainError::io(path)(error)),
        }
    }
}

/// Trains in a folder, continues an interrupted run, or returns the result of a finished one. `None` if the training was interrupted.
///
/// The folder then also has the files with which `transformers` loads the best model as `…ForSequenceClassification`, if it supports the model.
///
/// # Errors
/// As [`kexue_train::train_on`], or if the folder contains another run.
pub fn tune(
    start: &Start,
    config: &TuneConfig,
    training: &Dataset,
    held_out: &Dataset,
    folder: &Path,
    compute: &dyn Compute,
    interrupt: &AtomicBool,
) -> Result<Option<TuneResult>, TrainError> {
    let description = prepare(folder, config, &[])?;
    if let Some(result) = TuneResult::read(folder)? {
        return Ok(Some(result));
    }
    let settings = &config.finetune;
    let labels = Labels::named(&settings.labels);
    let mut random = generator(config.train.seed, streams::WEIGHTS, 0);
    let model = Classifier::new(&start.pretrained, labels.logits(), &mut random);
    if kexue_train::is_first() {
        start.tokenizer.save(folder).map_err(TrainError::task)?;
        let path = folder.join("config.json");
        // Only `kexue finetune predict` can use models that `transformers` does not support.
        if let Ok(text) = model.huggingface_config(&settings.labels, &path) {
            write_file(&path, text.as_bytes())?;
        }
    }
    let task = TuneTask {
        training,
        held_out,
        labels: &labels,
        measures: &settings.measures,
        method: settings.method,
        has_segments: config.model.token_types > 1,
    };
    let kept = match settings.method.masking {
        Masking::TaskDriven(p) => {
            let mask = child_network(&task, &model, config, p, folder, compute)?;
            kept_shares(&mask, &model)
        }
        _ => Vec::new(),
    };
    let child = ChildSettings {
        mask_file: folder.join(MASK),
        undivided: settings.fisher == FisherKind::Authors,
        masked_decay: settings.masked_decay,
    };
    let train_settings = settings.method.settings(&config.train, &config.model, &child);
    let accelerator = compute.accelerator(&task, &model, &train_settings)?;
    let outcome = train_on(
        accelerator,
        &task,
        model,
        &train_settings,
        folder,
        &description,
        interrupt,
    )?;
    if outcome.interrupted {
        return Ok(None);
    }
    let result = TuneResult::of(config, &outcome.records, outcome.steps, kept)?;
    if kexue_train::is_first() {
        let text = serde_json::to_string_pretty(&result).map_err(TrainError::task)? + "\n";
        write_file(&folder.join(RESULT), text.as_bytes())?;
    }
    Ok(Some(result))
}

/// ChildTuning-D's mask: reads it from the folder, or computes and stores it.
fn child_network(
    task: &TuneTask<'_>,
    model: &Classifier,
    config: &TuneConfig,
    p: f32,
    folder: &Path,
    compute: &dyn Compute,
) -> Result<BitMask, TrainError> {
    let path = folder.join(MASK);
    if path.exists() {
        let bytes = std::fs::read(&path).map_err(TrainError::io(&path))?;
        let problem = |error| TrainError::file(&path, format!("{error}; delete the folder to start over"));
        return BitMask::load(&bytes, model.slots()).map_err(problem);
    }
    let settings = &config.finetune;
    let samples = task.training.examples.len().min(settings.fisher_samples);
    let measured = Dataset {
        examples: task.training.examples[..samples].to_vec(),
        cut: 0,
    };
    let on = TuneTask {
        training: &measured,
        ..task.clone()
    };
    let train = &config.train;
    let computed = match settings.fisher {
        FisherKind::Samples => {
            let on = on.without_technique();
            compute.fisher(&on, model, &mut on.samples())?
        }
        FisherKind::Authors => None,
    };
    let information = computed.unwrap_or_else(|| {
        fisher(
            &on,
            model,
            settings.fisher,
            train.batch_size,
            train.max_gradient_norm,
            train.seed,
        )
    });
    let mask = child(&information, settings.fisher, p, model);
    // Keeps a second process from writing the mask of the same folder.
    let _lock = Lock::of_folder(folder)?;
    write_file(&path, &mask.save(model.slots()).map_err(TrainError::task)?)?;
    Ok(mask)
}

/// A fine-tuned model from the folder of a run, for predictions.
#[derive(Clone, Debug)]
pub struct Tuned {
    /// The configuration of the run.
    pub config: TuneConfig,
    /// Its tokenizer.
    pub tokenizer: PretrainedTokenizer,
    /// The model of the best validation, for inference only.
    pub model: Classifier,
}

impl Tuned {
    /// Opens the folder of a run. The model computes in the precision given.
    ///
    /// # Errors
    /// If a file is missing, damaged or not part of a fine-tuning run. The error names it.
    pub fn open(folder: &Path, precision: InferencePrecision) -> Result<Self, TrainError> {
        Self::open_with(folder, |config, labels, weights| {
            Classifier::load_for_inference(config, labels, weights, precision)
        })
    }

    /// Opens the folder of a run, with all parameters of the model in memory, as a copy on a device needs them.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_whole(folder: &Path) -> Result<Self, TrainError> {
        Self::open_with(folder, Classifier::load)
    }

    fn open_with(
        folder: &Path,
        load: impl FnOnce(TransformerConfig, usize, &Path) -> Result<Classifier, PretrainedError>,
    ) -> Result<Self, TrainError> {
        let path = folder.join("config.toml");
        if !path.exists() {
            let what = match () {
                () if !folder.exists() => "does not exist",
                () if folder.join("comparison.json").exists() => {
                    "holds a comparison: name one of its runs, such as METHOD/seed-0"
                }
                () => "holds no config.toml",
            };
            return Err(TrainError::file(
                folder,
                format!("{what}; give the folder of a run of kexue finetune train"),
            ));
        }
        let text = std::fs::read_to_string(&path).map_err(TrainError::io(&path))?;
        let config = TuneConfig::from_toml(&text, &path)?;
        let problem = |error| TrainError::file(&path, format!("[model] {error}"));
        config.model.validate().map_err(problem)?;
        config.validate().map_err(|error| TrainError::file(&path, error))?;
        let tokenizer = PretrainedTokenizer::load(folder).map_err(TrainError::task)?;
        if tokenizer.len() > config.model.vocab_size {
            let problem = format!(
                "has {} tokens, but config.toml says {}",
                tokenizer.len(),
                config.model.vocab_size
            );
            return Err(TrainError::file(folder.join("tokenizer.json"), problem));
        }
        let weights = folder.join("model.safetensors");
        let labels = Labels::named(&config.finetune.labels);
        let model = load(config.model.clone(), labels.logits(), &weights).map_err(TrainError::task)?;
        Ok(Self {
            config,
            tokenizer,
            model,
        })
    }

    /// The labels that it predicts.
    pub fn labels(&self) -> Labels {
        Labels::named(&self.config.finetune.labels)
    }
}
