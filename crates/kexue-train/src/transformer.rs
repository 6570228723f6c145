//! Runs of Transformers: workspace, contents of the folder, memory.

use crate::TrainError;
use crate::run::{RunConfig, RunFile};
use kexue_nn::{HeadTape, Layout, Model, Tape, TransformerConfig};
use kexue_text::{PretrainedTokenizer, Tokenizer, Vocabulary};
use std::path::Path;

/// The workspace of a shard of a [`Task`](crate::Task) that trains a Transformer.
#[derive(Debug, Default)]
pub struct TransformerWorkspace {
    /// Memory of forward and backward passes.
    pub tape: Tape,
    /// Memory for the derivative with respect to the hidden states.
    pub d_hidden: Vec<f32>,
    /// Memory of the head.
    pub head: HeadTape,
}

impl TransformerWorkspace {
    /// The derivative with respect to the last forward pass's hidden states, set to 0.
    pub fn clear_d_hidden(&mut self) {
        self.d_hidden.clear();
        self.d_hidden.resize(self.tape.hidden().len(), 0.0);
    }
}

/// The configuration of a run whose model is a Transformer over a vocabulary.
pub trait TransformerRunConfig: RunConfig {
    /// The model.
    fn model(&self) -> &TransformerConfig;
}

/// The vocabulary as a file that a run starts from.
pub fn vocabulary_file(vocabulary: &Vocabulary) -> RunFile {
    RunFile {
        name: "vocab.txt",
        text: vocabulary.to_text(),
        what: "tokens",
    }
}

/// The tokenizer as a file that a run starts from.
pub fn tokenizer_file(tokenizer: &Tokenizer) -> RunFile {
    let (name, text) = tokenizer.file();
    RunFile {
        name,
        text,
        what: "tokens",
    }
}

/// The tokens of a run, as stored in its folder.
pub trait RunTokens: Sized {
    /// Reads the file in the folder of a run.
    ///
    /// # Errors
    /// Names the file that is missing or damaged.
    fn open(folder: &Path) -> Result<Self, TrainError>;

    /// Checks that a model with this number of tokens fits; otherwise says what is wrong.
    fn problem(&self, vocab_size: usize) -> Option<String>;
}

impl RunTokens for Vocabulary {
    fn open(folder: &Path) -> Result<Self, TrainError> {
        let path = folder.join("vocab.txt");
        if !path.exists() && folder.join("tokenizer.json").exists() {
            let problem =
                "is the tokenizer of a pretrained model; what is asked for needs a run with a vocabulary of its own";
            return Err(TrainError::file(folder.join("tokenizer.json"), problem));
        }
        Self::from_text(&read_text(&path)?).map_err(|error| TrainError::file(path, error))
    }

    fn problem(&self, vocab_size: usize) -> Option<String> {
        let tokens = self.len();
        (tokens != vocab_size).then(|| format!("has {tokens} tokens, but config.toml says {vocab_size}"))
    }
}

impl RunTokens for Tokenizer {
    fn open(folder: &Path) -> Result<Self, TrainError> {
        if folder.join("vocab.txt").exists() || !folder.join("tokenizer.json").exists() {
            return Ok(Self::Vocabulary(RunTokens::open(folder)?));
        }
        pretrained_tokenizer(folder)
    }

    fn problem(&self, vocab_size: usize) -> Option<String> {
        match self {
            Self::Vocabulary(vocabulary) => vocabulary.problem(vocab_size),
            // Pretrained models may have extra rows.
            Self::Pretrained(_) => {
                let tokens = self.len();
                (tokens > vocab_size).then(|| format!("has {tokens} tokens, and the model {vocab_size}"))
            }
        }
    }
}

/// The tokenizer in the folder of a pretrained model.
pub(crate) fn pretrained_tokenizer(folder: &Path) -> Result<Tokenizer, TrainError> {
    let tokenizer = PretrainedTokenizer::load(folder).map_err(TrainError::task)?;
    let encoder = tokenizer.text_encoder();
    let encoder = encoder.map_err(|error| TrainError::file(folder, error))?;
    Ok(Tokenizer::Pretrained(Box::new(encoder)))
}

fn read_text(path: &Path) -> Result<String, TrainError> {
    let bytes = std::fs::read(path).map_err(TrainError::io(path))?;
    String::from_utf8(bytes).map_err(|_| TrainError::file(path, "is not UTF-8 text"))
}

/// A trained model with its tokens and its configuration.
#[derive(Clone, Debug)]
pub struct Run<C, T = Vocabulary> {
    /// Its configuration.
    pub config: C,
    /// Its tokens.
    pub vocabulary: T,
    /// Its parameters.
    pub model: Model,
}

impl<C: TransformerRunConfig, T: RunTokens> Run<C, T> {
    /// Opens a run's folder.
    ///
    /// # Errors
    /// Names the file that is missing, damaged, or does not fit the others; says what the folder is if it is something else.
    pub fn open(folder: &Path) -> Result<Self, TrainError> {
        if folder.exists() && !folder.join("config.toml").exists() {
            let what = match () {
                () if !folder.is_dir() => "is a file",
                () if folder.join("config.json").exists() => "is a Hugging Face model",
                () => "holds no config.toml",
            };
            let kind = match C::KIND {
                "" => String::new(),
                kind => format!(" of kexue {kind} train"),
            };
            return Err(TrainError::file(
                folder,
                format!("{what}: give the folder of a run{kind}"),
            ));
        }
        let config = read_text(&folder.join("config.toml"))?;
        let vocabulary = T::open(folder)?;
        let weights = folder.join("model.safetensors");
        let weights = std::fs::read(&weights).map_err(TrainError::io(&weights))?;
        Self::of(&config, vocabulary, &weights, folder)
    }

    /// Creates a model from its tokens and the contents of the two other files.
    fn of(config: &str, vocabulary: T, weights: &[u8], folder: &Path) -> Result<Self, TrainError> {
        let at = folder.join("config.toml");
        let config = C::from_toml(config, &at)?;
        let problem = |error| TrainError::file(&at, format!("[model] {error}"));
        config.model().validate().map_err(problem)?;
        config.validate().map_err(|error| TrainError::file(&at, error))?;
        if let Some(problem) = vocabulary.problem(config.model().vocab_size) {
            let name = match folder.join("vocab.txt").exists() || !folder.join("tokenizer.json").exists() {
                true => "vocab.txt",
                false => "tokenizer.json",
            };
            return Err(TrainError::file(folder.join(name), problem));
        }
        let model = Model::from_safetensors(config.model().clone(), weights)
            .map_err(|error| TrainError::file(folder.join("model.safetensors"), error))?;
        Ok(Self {
            config,
            vocabulary,
            model,
        })
    }
}

impl<C: TransformerRunConfig> Run<C> {
    /// Creates a model from the contents of its three files. `folder` is for messages.
    ///
    /// # Errors
    /// As [`Run::open`].
    pub fn from_parts(config: &str, vocabulary: &str, weights: &[u8], folder: &Path) -> Result<Self, TrainError> {
        let vocabulary = Vocabulary::from_text(vocabulary);
        let vocabulary = vocabulary.map_err(|error| TrainError::file(folder.join("vocab.txt"), error))?;
        Self::of(config, vocabulary, weights, folder)
    }
}

/// A lower bound on the memory, in bytes, for training a model on `sequences` sequences of `length` tokens per step: weights, gradient and Adam's two
/// moments; the activations for the backward pass; the attention probabilities. The actual memory is of the same order.
pub fn least_memory(config: &TransformerConfig, sequences: usize, length: usize) -> f64 {
    let [layers, heads, d_model, d_ffn] =
        [config.layers, config.heads, config.d_model, config.d_ffn].map(|size| size as f64);
    let (length, tokens) = (length as f64, sequences as f64 * length as f64);
    let parameters = 4.0 * Layout::new(config).len() as f64;
    // Stream, query, key, value and context of each layer; both sides of its activation.
    let activations = tokens * layers * (5.0 * d_model + 2.0 * d_ffn);
    // The backward pass has one more square.
    let probabilities = tokens * length * layers * heads + length * length;
    4.0 * (parameters + activations + probabilities)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kexue_text::VocabularyBuilder;
    use serde::{Deserialize, Serialize};

    #[derive(Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Config {
        model: TransformerConfig,
        words: Words,
    }

    #[derive(Serialize, Deserialize)]
    struct Words {
        length: usize,
    }

    impl RunConfig for Config {
        const KIND: &'static str = "words";

        fn validate(&self) -> Result<(), TrainError> {
            let problem = TrainError::Setting {
                field: "length",
                problem: "must be at least 1".to_owned(),
            };
            if self.words.length == 0 { Err(problem) } else { Ok(()) }
        }
    }

    impl TransformerRunConfig for Config {
        fn model(&self) -> &TransformerConfig {
            &self.model
        }
    }

    #[test]
    fn a_folder_of_something_else_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let opened = |path: &Path| Run::<Config>::open(path).map(|_| ()).unwrap_err().to_string();
        assert!(opened(folder.path()).ends_with("holds no config.toml: give the folder of a run of kexue words train"));
        let file = folder.path().join("config.json");
        std::fs::write(&file, "{}").unwrap();
        let message = opened(folder.path());
        assert!(message.contains("is a Hugging Face model: give the folder of a run of kexue words train"));
        let message = opened(&file);
        assert!(
            message.ends_with("config.json: is a file: give the folder of a run of kexue words train"),
            "{message}"
        );
    }

    #[test]
    fn a_file_that_does_not_stand_is_the_one_that_is_named() {
        let vocabulary = VocabularyBuilder::new().build();
        let mut config = Config {
            words: Words { length: 3 },
            model: TransformerConfig::new(vocabulary.len()),
        };
        config.model = TransformerConfig {
            d_model: 8,
            layers: 1,
            heads: 2,
            d_ffn: 8,
            ..TransformerConfig::new(vocabulary.len())
        };
        let read = |config: &Config, weights: &[u8]| {
            let tokens = vocabulary.to_text();
            let parts = Run::<Config>::from_parts(&config.to_toml().unwrap(), &tokens, weights, Path::new("run"));
            parts.map(|_| ()).unwrap_err().to_string()
        };
        assert!(read(&config, b"x").starts_with("run/model.safetensors: "));
        config.words.length = 0;
        assert_eq!(read(&config, b"x"), "run/config.toml: length: must be at least 1");
        config.model.heads = 3;
        let message = read(&config, b"x");
        assert!(
            message.starts_with("run/config.toml: [model] heads: 3 heads"),
            "{message}"
        );
    }

    #[test]
    fn sizes_are_those_of_real_trainings() {
        let small = TransformerConfig::new(8000);
        let (alone, trained) = (least_memory(&small, 0, 0), least_memory(&small, 64, 128));
        assert!(
            (alone / 16.0 / 5.2e6 - 1.0).abs() < 0.01,
            "5.2 million parameters: {alone}"
        );
        assert!((1e8..2e9).contains(&trained), "{trained}");
        let wide = TransformerConfig {
            d_model: 1 << 16,
            d_ffn: 1 << 18,
            layers: 1 << 10,
            ..TransformerConfig::new(1 << 24)
        };
        assert!(least_memory(&wide, usize::MAX, usize::MAX).is_finite());
        assert!(least_memory(&small, 1, 1 << 16) > 2e11, "squares of long sequences");
    }
}
