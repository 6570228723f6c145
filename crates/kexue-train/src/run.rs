//! The folder of a run: its `config.toml`, the files that it starts from, and the files that training writes.

use crate::TrainError;
use crate::differences::{differences, values};
use crate::extension::more_steps;
use kexue_output::{Lock, write_file};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;
use toml::{Table, Value};

/// The configuration of a run: the content of `config.toml`. Together with the input files it determines the result.
pub trait RunConfig: Serialize + DeserializeOwned {
    /// The table of `config.toml` that only runs of this kind have: `name` if `kexue name train` makes them. Empty to accept runs of any kind.
    const KIND: &'static str = "";

    /// Checks the settings that only runs of this kind have.
    ///
    /// # Errors
    /// Names the invalid setting.
    fn validate(&self) -> Result<(), TrainError> {
        Ok(())
    }

    /// Whether a finished run can be continued with more steps: `train.steps` is the number of steps, and nothing else depends on it (see
    /// [`TrainSettings::can_be_extended`](crate::TrainSettings::can_be_extended)).
    fn can_be_extended(&self) -> bool {
        false
    }

    /// The text of `config.toml`.
    ///
    /// # Errors
    /// If a value cannot be written in TOML.
    fn to_toml(&self) -> Result<String, TrainError> {
        toml::to_string_pretty(self).map_err(|error| TrainError::file("config.toml", error))
    }

    /// Reads the text of `config.toml`; `path` is for messages.
    ///
    /// # Errors
    /// Names the missing or invalid field.
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

/// The settings of a run by their path, such as `train.seed`, each as it is written.
///
/// # Errors
/// If a value cannot be written in TOML.
pub fn settings(config: &impl RunConfig) -> Result<Vec<(String, String)>, TrainError> {
    Ok(values(&config.to_toml()?))
}

/// The files that training writes into the folder of a run.
const WRITTEN: [&str; 4] = ["metrics.jsonl", "model.safetensors", "checkpoint.bin", "report.html"];

/// A file that a run starts from, such as its vocabulary.
#[derive(Clone, Debug)]
pub struct RunFile {
    /// Its name in the folder.
    pub name: &'static str,
    /// Its content.
    pub text: String,
    /// The name of its content in messages, such as "tokens".
    pub what: &'static str,
}

/// Checks that no other process is training in a folder. Call it before inputs are read. Creates and changes nothing.
///
/// # Errors
/// If another process holds the folder.
pub fn check_free(folder: &Path) -> Result<(), TrainError> {
    if crate::is_first() && folder.join(".lock").exists() {
        Lock::of_folder(folder)?;
    }
    Ok(())
}

/// Prepares the folder of a run that starts, is resumed, or continues with more steps. Returns the text of its `config.toml`. Never overwrites other
/// files.
///
/// # Errors
/// If the folder has a run with other settings, or files of no run that training would overwrite; if it cannot be written; if another process is
/// training there.
pub fn prepare(folder: &Path, config: &impl RunConfig, files: &[RunFile]) -> Result<String, TrainError> {
    let description = config.to_toml()?;
    if !crate::is_first() {
        // Only the first process uses the folder.
        return Ok(description);
    }
    if folder.exists() && !folder.is_dir() {
        let problem = "is a file, and a run needs a folder, which is made if there is none; name another";
        return Err(TrainError::file(folder, problem));
    }
    // The content of a file; `None` if it does not exist.
    let standing = |name: &str| {
        let path = folder.join(name);
        match std::fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(TrainError::io(path)(error)),
        }
    };
    let settings = standing("config.toml")?;
    let inputs = files
        .iter()
        .map(|file| standing(file.name))
        .collect::<Result<Vec<_>, _>>()?;
    let is_same = |(file, standing): &(&RunFile, &Option<Vec<u8>>)| standing.as_deref() == Some(file.text.as_bytes());
    let differs = |pair: &(&RunFile, &Option<Vec<u8>>)| pair.1.is_some() && !is_same(pair);
    let of_another = |name: &str, what: &str| {
        let problem = format!("the folder holds a run with other {what}; use another folder, or delete this one");
        Err(TrainError::file(folder.join(name), problem))
    };
    let mut pairs = files.iter().zip(&inputs);
    if settings.is_some()
        && let Some((file, _)) = pairs.clone().find(differs)
    {
        return of_another(file.name, file.what);
    }
    match &settings {
        Some(bytes) if bytes != description.as_bytes() => {
            let there = String::from_utf8_lossy(bytes);
            match more_steps(&there, &description) {
                Some(_) if config.can_be_extended() => {}
                Some((there, here)) => {
                    let problem = format!(
                        "the run in this folder ends at step {there}, and its learning rate falls towards that step, so it cannot go on to step {here}; \
                         start a new run from its weights in another folder, or train with a rate that stays constant"
                    );
                    return Err(TrainError::file(folder.join("config.toml"), problem));
                }
                None => {
                    let which = differences(&there, &description);
                    return of_another("config.toml", &format!("settings{which}"));
                }
            }
        }
        Some(_) => {}
        None => {
            let changed = pairs.find(differs).map(|(file, _)| file.name);
            let written = WRITTEN.into_iter().find(|name| folder.join(name).exists());
            if let Some(name) = changed.or(written) {
                let problem =
                    "is of no run (config.toml is not there), and training would overwrite it; use another folder";
                return Err(TrainError::file(folder.join(name), problem));
            }
        }
    }
    std::fs::create_dir_all(folder).map_err(TrainError::io(folder))?;
    let lock = Lock::of_folder(folder)?;
    // Another process may have started a run since the first look.
    if standing("config.toml")? != settings {
        drop(lock);
        return prepare(folder, config, files);
    }
    if settings.as_deref() != Some(description.as_bytes()) {
        write_file(&folder.join("config.toml"), description.as_bytes())?;
    }
    for (file, standing) in files.iter().zip(inputs) {
        if standing.is_none() {
            write_file(&folder.join(file.name), file.text.as_bytes())?;
        }
    }
    Ok(description)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Config {
        model: Model,
        train: crate::TrainSettings,
        words: Words,
    }

    #[derive(Serialize, Deserialize)]
    struct Model {
        width: usize,
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

        fn can_be_extended(&self) -> bool {
            self.train.can_be_extended()
        }
    }

    fn vocabulary(text: &str) -> RunFile {
        RunFile {
            name: "vocab.txt",
            text: text.to_owned(),
            what: "tokens",
        }
    }

    fn config() -> Config {
        Config {
            model: Model { width: 3 },
            train: crate::TrainSettings::default(),
            words: Words { length: 3 },
        }
    }

    #[test]
    fn what_differs_from_the_run_that_stands_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let vocabulary = [vocabulary("a b")];
        let mut config = config();
        prepare(folder.path(), &config, &vocabulary).unwrap();
        prepare(folder.path(), &config, &vocabulary).unwrap();
        config.train.learning_rate = 0.002;
        config.words.length = 4;
        let error = prepare(folder.path(), &config, &vocabulary).unwrap_err().to_string();
        let expected = "config.toml: the folder holds a run with other settings: train.learning_rate is 0.001 there and 0.002 here, \
                        words.length is 3 there and 4 here; use another folder, or delete this one";
        assert!(error.ends_with(expected), "{error}");
    }

    #[test]
    fn a_run_goes_on_with_more_steps_if_no_rate_falls_towards_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let vocabulary = [vocabulary("a b")];
        let mut config = config();
        let mut refused = |steps: u64, decay: kexue_optim::Decay| {
            config.train.steps = steps;
            config.train.decay = decay;
            let prepared = prepare(folder.path(), &config, &vocabulary);
            let text = std::fs::read_to_string(folder.path().join("config.toml")).unwrap();
            assert_eq!(text == config.to_toml().unwrap(), prepared.is_ok());
            prepared.err().map(|error| error.to_string())
        };
        let (cosine, constant) = (kexue_optim::Decay::Cosine, kexue_optim::Decay::Constant);
        assert_eq!(refused(100, cosine), None);
        let error = refused(200, cosine).unwrap();
        assert!(
            error.contains(
                "ends at step 100, and its learning rate falls towards that step, so it cannot go on to step 200"
            ),
            "{error}"
        );
        std::fs::remove_file(folder.path().join("config.toml")).unwrap();
        assert_eq!(refused(100, constant), None);
        assert_eq!(refused(200, constant), None);
        let error = refused(100, constant).unwrap();
        assert!(error.contains("train.steps is 200 there and 100 here"), "{error}");
    }

    #[test]
    fn a_folder_in_which_another_process_trains_is_told() {
        let folder = tempfile::tempdir().unwrap();
        check_free(&folder.path().join("none")).unwrap();
        check_free(folder.path()).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let lock = Lock::of_folder(folder.path()).unwrap();
        assert!(check_free(folder.path()).is_err());
        drop(lock);
        check_free(folder.path()).unwrap();
    }

    #[test]
    fn a_folder_of_another_kind_is_told() {
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

    #[test]
    fn what_is_of_no_run_is_left_alone() {
        let vocabulary = [vocabulary("a b")];
        for name in WRITTEN.into_iter().chain(["vocab.txt"]) {
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
        std::fs::write(folder.path().join("vocab.txt"), "a b").unwrap();
        prepare(folder.path(), &config(), &vocabulary).unwrap();
        // Another vocabulary in the run's own folder.
        std::fs::write(folder.path().join("vocab.txt"), "theirs").unwrap();
        let error = prepare(folder.path(), &config(), &vocabulary).unwrap_err().to_string();
        assert!(
            error.contains("vocab.txt: the folder holds a run with other tokens; use another folder"),
            "{error}"
        );
        let error = prepare(&folder.path().join("notes.txt"), &config(), &vocabulary).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("notes.txt: is a file, and a run needs a folder"),
            "{error}"
        );
    }
}
