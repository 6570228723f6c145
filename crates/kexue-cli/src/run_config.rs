//! `--config`: the configuration of another run as the base of a new one.

use anyhow::Result;
use kexue_output::read_text;
use kexue_train::TrainError;
use serde::de::DeserializeOwned;
use std::path::Path;

/// Reads the `config.toml` of a run, or of the run in a folder.
///
/// # Errors
/// If it cannot be read, or is that of another command, naming line and field.
pub fn read_config<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let path = match path.is_dir() {
        true => path.join("config.toml"),
        false => path.to_path_buf(),
    };
    let text = read_text(&path).map_err(TrainError::io(&path))?;
    let read = toml::from_str(&text);
    Ok(read.map_err(|error| TrainError::file(&path, error.to_string().trim_end().to_owned()))?)
}
