//! The folder of a run: `config.toml`, `vocab.txt`, `model.safetensors`, beside what training writes.

use crate::TrainError;
use crate::differences::differences;
use kexue_nn::{Model, TransformerConfig};
use kexue_output::write_file;
use kexue_text::Vocabulary;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;
use toml::{Table, Value};

/// Everything that makes a run what it is: the content of `config.toml`.
pub trait RunConfig: Serialize + DeserializeOwned {
    /// The table of `config.toml` that only runs of this kind have: `name` where `kexue name train` makes them. Empty where any run will do.
    const KIND: &'static str = "";

    /// The model.
    fn model(&self) -> &TransformerConfig;

    /// Checks what only runs of this kind have.
    ///
    /// # Errors
    /// Names the setting that cannot stand.
    fn validate(&self) -> Result<(), TrainError> {
        Ok(())
    }

    /// The text of `config.toml`.
    ///
    /// # Errors
    /// When a value cannot be written in TOML.
    fn to_toml(&self) -> Result<String, TrainError> {
        toml::to_string_pretty(self).map_err(|error| TrainError::file("config.toml", error))
    }

    /// Reads the text of `config.toml`; `path` is for messages.
    ///
    /// # Errors
    /// Names the field that is missing or not as expected.
    fn from_toml(text: &str, path: &Path) -> Result<Self, TrainError> {
        toml::from_str(text).map_err(|error| {
            let table: Table = text.parse().unwrap_or_default();
            // Every run has these.
            let common = ["model", "train"];
            let is_kind = |(name, value): &(&String, &Value)| value.is_table() && !common.contains(&name.as_str());
            match table.iter().find(is_kind).filter(|_| common.iter().all(|name| table.contains_key(*name))) {
                Some((other, _)) if !Self::KIND.is_empty() && !table.contains_key(Self::KIND) => {
                    let problem = format!(
                        "is of a run of another kind, [{other}] instead of [{kind}]: give the folder of a run of kexue {kind} train",
                        kind = Self::KIND
                    );
                    TrainError::file(path, problem)
                }
                _ => TrainError::file(path, error.to_string().trim_end()),
            }
        })
    }
}

/// A trained model with its vocabulary and how it was made.
#[derive(Clone, Debug)]
pub struct Run<C> {
    /// How it was made.
    pub config: C,
    /// Its tokens.
    pub vocabulary: Vocabulary,
    /// Its parameters.
    pub model: Model,
}

impl<C: RunConfig> Run<C> {
    /// Opens a run's folder.
    ///
    /// # Errors
    /// Names the file that is missing, damaged, or does not fit the others, and what the folder is where it is of something else.
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
        let read = |name: &str| std::fs::read(folder.join(name)).map_err(TrainError::io(folder.join(name)));
        let text = |name: &str| {
            let problem = |_| TrainError::file(folder.join(name), "is not UTF-8 text");
            String::from_utf8(read(name)?).map_err(problem)
        };
        let (config, vocabulary) = (text("config.toml")?, text("vocab.txt")?);
        Self::from_parts(&config, &vocabulary, &read("model.safetensors")?, folder)
    }

    /// A model from the contents of its three files; `folder` is for messages.
    ///
    /// # Errors
    /// As [`Run::open`].
    pub fn from_parts(config: &str, vocabulary: &str, weights: &[u8], folder: &Path) -> Result<Self, TrainError> {
        let at = folder.join("config.toml");
        let config = C::from_toml(config, &at)?;
        let problem = |error| TrainError::file(&at, format!("[model] {error}"));
        config.model().validate().map_err(problem)?;
        config.validate().map_err(|error| TrainError::file(&at, error))?;
        let at = folder.join("vocab.txt");
        let vocabulary = Vocabulary::from_text(vocabulary).map_err(|error| TrainError::file(&at, error))?;
        let expected = config.model().vocab_size;
        if vocabulary.len() != expected {
            let problem = format!("has {} tokens, but config.toml says {expected}", vocabulary.len());
            return Err(TrainError::file(at, problem));
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

/// What training writes into the folder of a run.
const WRITTEN: [&str; 5] = [
    "vocab.txt",
    "metrics.jsonl",
    "model.safetensors",
    "checkpoint.bin",
    "report.html",
];

/// Makes the folder of a run that is to start or to be resumed; returns the text of its `config.toml`. Nothing is written where anything stands that is not
/// of this run.
///
/// # Errors
/// When the folder holds a run with other settings, or files that training would overwrite and no run, or cannot be written.
pub fn prepare(folder: &Path, config: &impl RunConfig, vocabulary: &Vocabulary) -> Result<String, TrainError> {
    let (description, tokens) = (config.to_toml()?, vocabulary.to_text());
    if folder.exists() && !folder.is_dir() {
        let problem = "is a file; --out is the folder of a run, which is made where there is none: give another";
        return Err(TrainError::file(folder, problem));
    }
    // What stands in a file; nothing where there is none.
    let standing = |name: &str| {
        let path = folder.join(name);
        match std::fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(TrainError::io(path)(error)),
        }
    };
    let (settings, vocabulary) = (standing("config.toml")?, standing("vocab.txt")?);
    let same_tokens = vocabulary.as_ref().map(|bytes| bytes == tokens.as_bytes());
    let of_another = |name: &str, what: &str| {
        let problem = format!("the folder holds a run with other {what}; use another --out, or delete the folder");
        Err(TrainError::file(folder.join(name), problem))
    };
    match &settings {
        Some(bytes) if bytes != description.as_bytes() => {
            let which = differences(&String::from_utf8_lossy(bytes), &description);
            return of_another("config.toml", &format!("settings{which}"));
        }
        Some(_) if same_tokens == Some(false) => return of_another("vocab.txt", "tokens"),
        Some(_) => {}
        None => {
            let foreign =
                |name: &&&str| folder.join(name).exists() && !(**name == "vocab.txt" && same_tokens == Some(true));
            if let Some(name) = WRITTEN.iter().find(foreign) {
                let problem =
                    "is of no run (config.toml is not there), and training would overwrite it; use another --out";
                return Err(TrainError::file(folder.join(name), problem));
            }
        }
    }
    std::fs::create_dir_all(folder).map_err(TrainError::io(folder))?;
    for (name, standing, text) in [
        ("config.toml", settings, &description),
        ("vocab.txt", vocabulary, &tokens),
    ] {
        if standing.is_none() {
            write_file(&folder.join(name), text.as_bytes())?;
        }
    }
    Ok(description)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kexue_text::VocabularyBuilder;
    use serde::Deserialize;

    #[derive(Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Config {
        model: TransformerConfig,
        train: crate::TrainSettings,
        words: Words,
    }

    #[derive(Serialize, Deserialize)]
    struct Words {
        length: usize,
    }

    impl RunConfig for Config {
        const KIND: &'static str = "words";

        fn model(&self) -> &TransformerConfig {
            &self.model
        }

        fn validate(&self) -> Result<(), TrainError> {
            let problem = TrainError::Setting {
                field: "length",
                problem: "must be at least 1".to_owned(),
            };
            if self.words.length == 0 { Err(problem) } else { Ok(()) }
        }
    }

    fn config() -> Config {
        Config {
            model: TransformerConfig::new(300),
            train: crate::TrainSettings::default(),
            words: Words { length: 3 },
        }
    }

    #[test]
    fn what_differs_from_the_run_that_stands_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let vocabulary = VocabularyBuilder::new().build();
        let mut config = config();
        prepare(folder.path(), &config, &vocabulary).unwrap();
        prepare(folder.path(), &config, &vocabulary).unwrap();
        config.train.learning_rate = 0.002;
        config.words.length = 4;
        let error = prepare(folder.path(), &config, &vocabulary).unwrap_err().to_string();
        let expected = "config.toml: the folder holds a run with other settings: train.learning_rate is 0.001 there and 0.002 here, \
                        words.length is 3 there and 4 here; use another --out, or delete the folder";
        assert!(error.ends_with(expected), "{error}");
    }

    #[test]
    fn a_folder_of_another_kind_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let opened = || Run::<Config>::open(folder.path()).map(|_| ()).unwrap_err().to_string();
        assert!(opened().ends_with("holds no config.toml: give the folder of a run of kexue words train"));
        std::fs::write(folder.path().join("config.json"), "{}").unwrap();
        assert!(opened().contains("is a Hugging Face model: give the folder of a run of kexue words train"));

        let path = Path::new("run/config.toml");
        let read = |text: &str| Config::from_toml(text, path).map(|_| ()).unwrap_err().to_string();
        let text = config().to_toml().unwrap();
        assert_eq!(
            read(&text.replace("[words]\nlength = 3", "[pictures]\nwidth = 3")),
            "run/config.toml: is of a run of another kind, [pictures] instead of [words]: give the folder of a run of kexue words train"
        );
        // Of the right kind, but not right.
        assert!(read(&text.replace("length = 3", "length = \"x\"")).contains("expected usize"));
        assert!(read("a = ").contains("line 1"));

        let file = folder.path().join("config.json");
        let message = Run::<Config>::open(&file).map(|_| ()).unwrap_err().to_string();
        assert!(
            message.ends_with("config.json: is a file: give the folder of a run of kexue words train"),
            "{message}"
        );
    }

    #[test]
    fn what_is_of_no_run_is_left_alone() {
        let vocabulary = VocabularyBuilder::new().build();
        for name in WRITTEN {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("config.json"), "{}").unwrap();
            std::fs::write(folder.path().join(name), "theirs").unwrap();
            let error = prepare(folder.path(), &config(), &vocabulary).unwrap_err().to_string();
            assert!(error.contains(&format!("{name}: is of no run")), "{error}");
            assert_eq!(std::fs::read_to_string(folder.path().join(name)).unwrap(), "theirs");
            assert!(!folder.path().join("config.toml").exists());
        }
        // Other files do not matter, nor does a vocabulary that the run would write.
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("notes.txt"), "mine").unwrap();
        std::fs::write(folder.path().join("vocab.txt"), vocabulary.to_text()).unwrap();
        prepare(folder.path(), &config(), &vocabulary).unwrap();
        // Another vocabulary in the run's own folder.
        std::fs::write(folder.path().join("vocab.txt"), "theirs").unwrap();
        let error = prepare(folder.path(), &config(), &vocabulary).unwrap_err().to_string();
        assert!(
            error.contains("vocab.txt: the folder holds a run with other tokens; use another --out"),
            "{error}"
        );
        let error = prepare(&folder.path().join("notes.txt"), &config(), &vocabulary).unwrap_err();
        assert!(
            error.to_string().contains("notes.txt: is a file; --out is the folder"),
            "{error}"
        );
    }

    #[test]
    fn a_file_that_does_not_stand_is_the_one_that_is_named() {
        let vocabulary = VocabularyBuilder::new().build();
        let mut config = config();
        config.model = TransformerConfig {
            d_model: 8,
            layers: 1,
            heads: 2,
            d_ffn: 8,
            ..TransformerConfig::new(vocabulary.len())
        };
        let read = |config: &Config, weights: &[u8]| {
            let parts = Run::<Config>::from_parts(
                &config.to_toml().unwrap(),
                &vocabulary.to_text(),
                weights,
                Path::new("run"),
            );
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
}
