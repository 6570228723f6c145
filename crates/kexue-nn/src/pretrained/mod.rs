//! Models in Hugging Face's format, a folder with `config.json` and weights, for BERT and RoFormer.

mod config;

pub use config::Family;

use crate::tensors::{Renamed, SafetensorsFile, Tensors};
use crate::weights::{NamedTensor, check_shape, write_safetensors};
use crate::{Head, InferencePrecision, Model, Precision, TransformerConfig, WeightsError};
pub(crate) use config::ConfigFile;
use config::FieldError;
use kexue_output::{OutputError, git_lfs_problem, write_file};
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why a folder cannot be loaded or saved.
#[derive(Debug, Error)]
pub enum PretrainedError {
    /// A file cannot be read, or a folder cannot be created.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's message.
        source: std::io::Error,
    },
    /// A file cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// A field of the configuration describes a model that one of the two sides cannot represent.
    #[error("{path}: {field}{}{problem}", if field.is_empty() { "" } else { ": " })]
    Config {
        /// The file.
        path: PathBuf,
        /// The field; empty for the whole file.
        field: String,
        /// The problem.
        problem: String,
    },
    /// There is no file of weights.
    #[error("{folder}: found none of {}", WEIGHTS.join(", "))]
    NoWeights {
        /// The folder.
        folder: PathBuf,
    },
    /// The weights cannot be read or written, or do not fit the configuration.
    #[error("{path}: {source}")]
    Weights {
        /// The file.
        path: PathBuf,
        /// The problem.
        source: WeightsError,
    },
}

/// Files of weights, in the order of preference. The indices name the parts of a model in several files.
const WEIGHTS: [&str; 4] = [
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
];

/// BERT's layer after the hidden state of the first token, `tanh(W·x + b)`. It is kept to be saved again, and not computed here.
#[derive(Clone, Debug, PartialEq)]
pub struct Pooler {
    /// `[d_model, d_model]`.
    pub weight: Vec<f32>,
    /// `[d_model]`.
    pub bias: Vec<f32>,
}

/// A model loaded from a folder, and the parts that came with it.
///
/// Dropout of attention probabilities (`attention_probs_dropout_prob`), which matters only in training, is not implemented.
#[derive(Clone, Debug)]
pub struct Pretrained {
    /// The model. It has the head of a masked language model if the files have one.
    pub model: Model,
    /// The pooler, if the files have one.
    pub pooler: Option<Pooler>,
    /// `max_position_embeddings`: for RoFormer, the length of the table of sines in its files, which is no limit here.
    pub positions: usize,
    /// Names of tensors in the files that the model does not use, such as the classifier of a task, sorted.
    pub unused: Vec<String>,
}

impl Pretrained {
    /// Wraps a model in order to save it.
    pub fn new(model: Model) -> Self {
        Self {
            positions: default_positions(model.config()),
            model,
            pooler: None,
            unused: Vec::new(),
        }
    }

    /// Parts that models of this family can have and this one does not.
    pub fn absent(&self) -> Vec<&'static str> {
        let head = (self.model.config().head == Head::None).then_some("masked-language-model head");
        let bert = Family::of(self.model.config()) == Family::Bert;
        let pooler = (bert && self.pooler.is_none()).then_some("pooler");
        head.into_iter().chain(pooler).collect()
    }

    /// Loads a folder of `config.json` and `model.safetensors` or `pytorch_model.bin`, in one file or several.
    ///
    /// Numbers may be float16, bfloat16, float32 or float64. Names may begin with the model's (`bert.`), and norms may have `gamma` and
    /// `beta` instead of `weight` and `bias`. PyTorch's own files need the feature `pytorch`; nothing in them is executed.
    ///
    /// # Errors
    /// If a file cannot be read, or the model cannot be represented here. The error names the file and the field or tensor.
    pub fn load(folder: impl AsRef<Path>) -> Result<Self, PretrainedError> {
        Self::read(folder.as_ref(), Model::from_tensors)
    }

    /// As [`Self::load`], with a model for inference only: the linear layers of its blocks are packed as they are read, in the precision given, and are in
    /// memory only so. The model can be neither changed, nor trained, nor saved.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_for_inference(
        folder: impl AsRef<Path>,
        precision: InferencePrecision,
    ) -> Result<Self, PretrainedError> {
        Self::read(folder.as_ref(), |config, tensors| {
            Model::from_tensors_for_inference(config, tensors, precision)
        })
    }

    fn read(
        folder: &Path,
        model: impl FnOnce(TransformerConfig, &mut dyn Tensors) -> Result<Model, WeightsError>,
    ) -> Result<Self, PretrainedError> {
        let path = folder.join("config.json");
        let mut file = ConfigFile::parse(&read_text(&path)?).map_err(|error| error.at(&path))?;
        let mut weights = Weights::open(folder, file.family)?;
        let has_head = weights.tensors.names().iter().any(|name| name.starts_with(HEAD));
        if !has_head {
            file.config.head = Head::None;
        }
        let d = file.config.d_model;
        let pooler = weights.pooler(d)?;
        if has_head {
            weights.check_tied(&file)?;
        }
        weights.check_rotary_table(&file)?;
        let unused = weights.unused(&file);
        let model = model(file.config, &mut weights.tensors).map_err(|source| weights.error(source))?;
        Ok(Self {
            model,
            pooler,
            positions: file.positions,
            unused,
        })
    }

    /// Saves `config.json` and `model.safetensors` as `transformers` writes them: as `…ForMaskedLM` if the model has a head, else as `…Model` with
    /// the pooler, if there is one. Creates the folder if needed, and writes each file atomically.
    ///
    /// # Errors
    /// If a file cannot be written, or `transformers` cannot compute the model. The error names the field.
    ///
    /// # Panics
    /// If the model was loaded for inference.
    pub fn save(&self, folder: impl AsRef<Path>, precision: Precision) -> Result<(), PretrainedError> {
        let folder = folder.as_ref();
        let config = self.model.config();
        let file = ConfigFile {
            family: Family::of(config),
            config: config.clone(),
            positions: self.positions,
            tied: true,
        };
        let path = folder.join("config.json");
        let text = file.to_json(precision).map_err(|error| error.at(&path))?;
        fs::create_dir_all(folder).map_err(|source| PretrainedError::Io {
            path: folder.to_owned(),
            source,
        })?;
        let weights = folder.join("model.safetensors");
        // Some versions of `transformers` refuse files that do not name a framework.
        let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        write_safetensors(&weights, self.tensors(&file), precision, metadata).map_err(|error| match error {
            WeightsError::Output(error) => error.into(),
            source => PretrainedError::Weights { path: weights, source },
        })?;
        Ok(write_file(&path, text.as_bytes())?)
    }

    /// All tensors of the saved file.
    fn tensors(&self, file: &ConfigFile) -> Vec<NamedTensor<'_>> {
        let (d, config) = (file.config.d_model, &file.config);
        let mut tensors = self.model.tensors();
        tensors.extend(implied_tensors(config, self.positions));
        if config.head == Head::None {
            if let Some(Pooler { weight, bias }) = &self.pooler {
                tensors.push((POOLER_WEIGHT.to_owned(), vec![d, d], Cow::Borrowed(weight)));
                tensors.push((POOLER_BIAS.to_owned(), vec![d], Cow::Borrowed(bias)));
            }
            return tensors;
        }
        for (name, ..) in tensors.iter_mut().filter(|(name, ..)| !name.starts_with(HEAD)) {
            *name = format!("{}.{name}", file.family.model_type());
        }
        tensors
    }
}

/// `max_position_embeddings` of a model that was never saved.
pub(crate) fn default_positions(config: &TransformerConfig) -> usize {
    config.longest_sequence().unwrap_or(1536)
}

const HEAD: &str = "cls.predictions.";
const HEAD_BIAS: &str = "cls.predictions.bias";
const DECODER_WEIGHT: &str = "cls.predictions.decoder.weight";
const DECODER_BIAS: &str = "cls.predictions.decoder.bias";
const WORDS: &str = "embeddings.word_embeddings.weight";
const TOKEN_TYPES: &str = "embeddings.token_type_embeddings.weight";
const POOLER_WEIGHT: &str = "pooler.dense.weight";
const POOLER_BIAS: &str = "pooler.dense.bias";
const ROTARY_TABLE: &str = "encoder.embed_positions.weight";
/// Counters in old files.
const BUFFERS: [&str; 2] = ["embeddings.position_ids", "embeddings.token_type_ids"];

/// The name that [`Slot`](crate::Slot) has for a tensor.
pub(crate) fn our_name(family: Family, name: &str) -> String {
    let name = name
        .strip_prefix(family.model_type())
        .and_then(|rest| rest.strip_prefix('.'))
        .unwrap_or(name);
    for (old, new) in [("gamma", "weight"), ("beta", "bias")] {
        if let Some(norm) = name.strip_suffix(old).filter(|rest| rest.ends_with("LayerNorm.")) {
            return format!("{norm}{new}");
        }
    }
    name.to_owned()
}

/// The tensors of a saved file that follow from the configuration.
pub(crate) fn implied_tensors(config: &TransformerConfig, positions: usize) -> Vec<NamedTensor<'static>> {
    let (d, head_dim) = (config.d_model, config.head_dim());
    let types = (config.token_types == 0).then(|| (TOKEN_TYPES.to_owned(), vec![1, d], vec![0.0; d].into()));
    let is_rotary = Family::of(config) == Family::RoFormer;
    let table = is_rotary.then(|| {
        let table = rotary_table(positions, head_dim);
        (ROTARY_TABLE.to_owned(), vec![positions, head_dim], table.into())
    });
    types.into_iter().chain(table).collect()
}

/// Sines, then cosines, `[positions, head_dim]`, as in RoFormer's files.
fn rotary_table(positions: usize, head_dim: usize) -> Vec<f32> {
    let half = head_dim / 2;
    let angle = |position: usize, i: usize| position as f64 * 10_000f64.powf(-(i as f64) / half as f64);
    (0..positions)
        .flat_map(|position| {
            let sines = (0..half).map(move |i| angle(position, i).sin() as f32);
            sines.chain((0..half).map(move |i| angle(position, i).cos() as f32))
        })
        .collect()
}

/// The weights of a folder, under our names.
struct Weights {
    /// The file, or the index of the files.
    path: PathBuf,
    files: Vec<PathBuf>,
    tensors: Renamed,
}

/// The file that lists the files of a large model's tensors.
#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Weights {
    fn open(folder: &Path, family: Family) -> Result<Self, PretrainedError> {
        let name = WEIGHTS.iter().find(|name| folder.join(name).is_file());
        let path = match name {
            Some(name) => folder.join(name),
            None => {
                return Err(PretrainedError::NoWeights {
                    folder: folder.to_owned(),
                });
            }
        };
        let files = if path.extension().is_some_and(|extension| extension == "json") {
            shards(folder, &path)?
        } else {
            vec![path.clone()]
        };
        let tensors = files.iter().map(|path| open(path)).collect::<Result<_, _>>()?;
        let tensors = Renamed::new(tensors, |name| our_name(family, name));
        let mut tensors = tensors.map_err(|source| PretrainedError::Weights {
            path: path.clone(),
            source,
        })?;
        // The same bias under the decoder's name, if the file has only that name.
        if tensors.describe(HEAD_BIAS).is_none() {
            tensors.rename(DECODER_BIAS, HEAD_BIAS);
        }
        Ok(Self { path, files, tensors })
    }

    /// Adds the file that contains a tensor to an error.
    fn error(&self, source: WeightsError) -> PretrainedError {
        let file = match &source {
            WeightsError::Mismatch { name, .. } => self.tensors.file_of(name),
            _ => None,
        };
        PretrainedError::Weights {
            path: file.map_or(&self.path, |file| &self.files[file]).clone(),
            source,
        }
    }

    /// Reads a tensor that must have this shape.
    fn read(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, PretrainedError> {
        let read = check_shape(&self.tensors, name, shape).and_then(|()| {
            let mut values = vec![0.0; shape.iter().product()];
            self.tensors.read(name, &mut values).map(|()| values)
        });
        read.map_err(|source| self.error(source))
    }

    fn pooler(&mut self, d: usize) -> Result<Option<Pooler>, PretrainedError> {
        if self.tensors.describe(POOLER_WEIGHT).is_none() {
            return Ok(None);
        }
        Ok(Some(Pooler {
            weight: self.read(POOLER_WEIGHT, &[d, d])?,
            bias: self.read(POOLER_BIAS, &[d])?,
        }))
    }

    /// Checks that a softmax with its own weights has the same weights as the embedding.
    fn check_tied(&mut self, file: &ConfigFile) -> Result<(), PretrainedError> {
        if self.tensors.describe(DECODER_WEIGHT).is_none() {
            return Ok(());
        }
        let shape = [file.config.vocab_size, file.config.d_model];
        if self.read(DECODER_WEIGHT, &shape)? == self.read(WORDS, &shape)? {
            return Ok(());
        }
        let but = match file.tied {
            true => "although config.json says that they are tied; one of them is wrong",
            false => "and models with two different matrices are not supported",
        };
        let problem = format!("`{DECODER_WEIGHT}` differs from `{WORDS}`, {but}");
        Err(self.error(WeightsError::Format(problem)))
    }

    /// Checks that stored rotary positions equal the computed ones.
    fn check_rotary_table(&mut self, file: &ConfigFile) -> Result<(), PretrainedError> {
        if file.family != Family::RoFormer || self.tensors.describe(ROTARY_TABLE).is_none() {
            return Ok(());
        }
        let head_dim = file.config.head_dim();
        let stored = self.read(ROTARY_TABLE, &[file.positions, head_dim])?;
        let computed = rotary_table(file.positions, head_dim);
        // bfloat16 has eight bits of precision.
        if stored.iter().zip(&computed).all(|(a, b)| (a - b).abs() < 5e-3) {
            return Ok(());
        }
        let problem = format!("`{ROTARY_TABLE}` is not RoFormer's table of sines and cosines");
        Err(self.error(WeightsError::Format(problem)))
    }

    fn unused(&self, file: &ConfigFile) -> Vec<String> {
        let layout = crate::Layout::new(&file.config);
        let mut used: BTreeSet<&str> = layout.slots().iter().map(|slot| slot.name.as_str()).collect();
        used.extend([DECODER_WEIGHT, DECODER_BIAS, TOKEN_TYPES, POOLER_WEIGHT, POOLER_BIAS]);
        used.extend(BUFFERS);
        if file.family == Family::RoFormer {
            used.insert(ROTARY_TABLE);
        }
        let mut unused = self.tensors.names();
        unused.retain(|name| !used.contains(name.as_str()));
        unused.sort();
        unused
    }
}

/// The distinct files that an index names.
fn shards(folder: &Path, path: &Path) -> Result<Vec<PathBuf>, PretrainedError> {
    let refuse = |problem: String| PretrainedError::Config {
        path: path.to_owned(),
        field: "weight_map".to_owned(),
        problem,
    };
    let index: Index = serde_json::from_str(&read_text(path)?).map_err(|error| refuse(error.to_string()))?;
    let names: BTreeSet<String> = index.weight_map.into_values().collect();
    names
        .into_iter()
        .map(|name| {
            let plain = Path::new(&name).file_name().is_some_and(|file| file == name.as_str());
            plain
                .then(|| folder.join(&name))
                .ok_or_else(|| refuse(format!("{name:?} is not the name of a file in the folder")))
        })
        .collect()
}

/// Opens a file of weights.
pub(crate) fn open(path: &Path) -> Result<Box<dyn Tensors>, PretrainedError> {
    let file = File::open(path).map_err(|source| PretrainedError::Io {
        path: path.to_owned(),
        source,
    })?;
    let lfs = git_lfs_problem(&beginning(path)?);
    let tensors: Result<Box<dyn Tensors>, _> = if let Some(problem) = lfs {
        Err(WeightsError::Format(problem.to_owned()))
    } else if path.extension().is_some_and(|extension| extension == "bin") {
        open_pytorch(path)
    } else {
        SafetensorsFile::open(file).map(|file| Box::new(file) as _)
    };
    tensors.map_err(|source| PretrainedError::Weights {
        path: path.to_owned(),
        source,
    })
}

/// The first bytes of a file.
fn beginning(path: &Path) -> Result<Vec<u8>, PretrainedError> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(64).read_to_end(&mut bytes))
        .map(|_| bytes)
        .map_err(|source| PretrainedError::Io {
            path: path.to_owned(),
            source,
        })
}

#[cfg(feature = "pytorch")]
fn open_pytorch(path: &Path) -> Result<Box<dyn Tensors>, WeightsError> {
    Ok(Box::new(crate::tensors::PytorchFile::open(path)?))
}

#[cfg(not(feature = "pytorch"))]
fn open_pytorch(_: &Path) -> Result<Box<dyn Tensors>, WeightsError> {
    Err(WeightsError::Format(
        "this build cannot read PyTorch's own files; build with the feature `pytorch`, or save as safetensors"
            .to_owned(),
    ))
}

fn read_text(path: &Path) -> Result<String, PretrainedError> {
    kexue_output::read_text(path).map_err(|source| PretrainedError::Io {
        path: path.to_owned(),
        source,
    })
}

impl FieldError {
    pub(crate) fn at(self, path: &Path) -> PretrainedError {
        PretrainedError::Config {
            path: path.to_owned(),
            field: self.field,
            problem: self.problem,
        }
    }
}
