//! The folder of a run: `config.toml`, `vocab.txt`, `model.safetensors`, beside what training writes.

use crate::{TrainError, write_by_rename};
use kexue_nn::{Model, TransformerConfig};
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
        if folder.is_dir() && !folder.join("config.toml").exists() {
            let what = match folder.join("config.json").exists() {
                true => "is a Hugging Face model",
                false => "holds no config.toml",
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
        let config = C::from_toml(config, &folder.join("config.toml"))?;
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

/// Makes the folder of a run that is to start or to be resumed; returns the text of its `config.toml`.
///
/// # Errors
/// When the folder holds a run with other settings, or cannot be written.
pub fn prepare(folder: &Path, config: &impl RunConfig, vocabulary: &Vocabulary) -> Result<String, TrainError> {
    let description = config.to_toml()?;
    std::fs::create_dir_all(folder).map_err(TrainError::io(folder))?;
    // Nothing of another run is overwritten.
    let tokens = vocabulary.to_text();
    for (name, text, what) in [
        ("config.toml", &description, "settings"),
        ("vocab.txt", &tokens, "tokens"),
    ] {
        let path = folder.join(name);
        match std::fs::read(&path) {
            Ok(bytes) if bytes == text.as_bytes() => {}
            Ok(bytes) => {
                let which = match what {
                    "settings" => differences(&String::from_utf8_lossy(&bytes), text),
                    _ => String::new(),
                };
                let problem =
                    format!("the folder holds a run with other {what}{which}; use another --out, or delete the folder");
                return Err(TrainError::file(path, problem));
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => write_by_rename(&path, text.as_bytes())?,
            Err(error) => return Err(TrainError::io(path)(error)),
        }
    }
    Ok(description)
}

/// The most differences that are listed.
const LISTED: usize = 5;

/// Which settings two configurations differ in, and how: `: train.seed is 0 there and 1 here`. Nothing where they cannot be read, or do not differ.
fn differences(there: &str, here: &str) -> String {
    let values = |text: &str| -> Vec<(String, String)> {
        let mut values = Vec::new();
        flatten("", &Value::Table(text.parse().unwrap_or_default()), &mut values);
        values
    };
    let (there, here) = (values(there), values(here));
    let of = |values: &[(String, String)], name: &str| {
        let found = values.iter().find(|(other, _)| other == name);
        found.map_or_else(|| "not set".to_owned(), |(_, value)| value.clone())
    };
    let mut names: Vec<&String> = here.iter().chain(&there).map(|(name, _)| name).collect();
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| seen.insert(*name) && of(&there, name) != of(&here, name));
    let mut all: Vec<String> = names
        .iter()
        .take(LISTED)
        .map(|name| format!("{name} is {} there and {} here", of(&there, name), of(&here, name)))
        .collect();
    if names.len() > LISTED {
        all.push(format!("{} more", names.len() - LISTED));
    }
    match all.is_empty() {
        true => String::new(),
        false => format!(": {}", all.join(", ")),
    }
}

/// The numbers and texts of a TOML value, by their path.
fn flatten(path: &str, value: &Value, all: &mut Vec<(String, String)>) {
    match value {
        Value::Table(table) => {
            for (name, value) in table {
                let dot = if path.is_empty() { "" } else { "." };
                flatten(&format!("{path}{dot}{name}"), value, all);
            }
        }
        // Most are of single precision: in as many digits as those have.
        Value::Float(number) if f64::from(*number as f32) == *number => {
            all.push((path.to_owned(), (*number as f32).to_string()));
        }
        other => all.push((path.to_owned(), other.to_string())),
    }
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
        assert_eq!(
            differences("a = 1\n[b]\nc = \"x\"\n", "[b]\nc = \"y\"\n"),
            ": b.c is \"x\" there and \"y\" here, a is 1 there and not set here"
        );
        let many = |value: i32| (0..9).map(|at| format!("s{at} = {value}\n")).collect::<String>();
        assert!(differences(&many(1), &many(2)).ends_with("s4 is 1 there and 2 here, 4 more"));
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
    }
}
