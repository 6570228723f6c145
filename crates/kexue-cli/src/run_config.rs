//! `--config`: the settings of another run as the base of a new one.

use crate::given_flags::is_given;
use anyhow::Result;
use kexue_output::read_text;
use kexue_train::TrainError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;
use toml::{Table, Value};

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

/// The settings of another run, overridden by the flags of the command line. `flags` is the configuration that the flags alone would make. `named` lists
/// flags and the settings that they set, where those have another name or are tables; `of_data` lists settings that follow from the data of the new run.
///
/// # Errors
/// If the result is not a configuration of this kind.
pub fn overridden<T: Serialize + DeserializeOwned>(
    base: &T,
    flags: &T,
    named: &[(&str, &str)],
    of_data: &[&str],
) -> Result<T> {
    let named_settings = named.iter().filter(|(flag, _)| is_given(flag));
    let mut settings: Vec<&str> = named_settings.map(|(_, setting)| *setting).collect();
    settings.extend(of_data);
    let (mut base, flags) = (Table::try_from(base)?, Table::try_from(flags)?);
    override_table(&mut base, &flags, &|name, _| settings.contains(&name));
    // A flag such as --train does not replace the table `train`.
    override_table(&mut base, &flags, &|name, is_table| !is_table && is_given(name));
    Ok(base.try_into()?)
}

/// Copies settings, wherever in the tables they are. `is_chosen` gets a setting's name and whether it is a table.
fn override_table(base: &mut Table, flags: &Table, is_chosen: &impl Fn(&str, bool) -> bool) {
    base.retain(|name, value| flags.contains_key(name) || !is_chosen(name, value.is_table()));
    for (name, value) in flags {
        if is_chosen(name, value.is_table()) {
            base.insert(name.clone(), value.clone());
        }
    }
    for (name, value) in base.iter_mut() {
        if let (Value::Table(base), Some(Value::Table(flags))) = (value, flags.get(name)) {
            override_table(base, flags, is_chosen);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_settings_are_overridden_wherever_they_are() {
        let table = |text: &str| text.parse::<Table>().unwrap();
        let mut base =
            table("version = '1'\n[train]\nsteps = 5\nseed = 1\npatience = 2\n[train.adam]\nepsilon = 0.5\n");
        let flags = table("version = '2'\n[train]\nsteps = 7\nseed = 9\nshards = 4\n[train.adam]\nepsilon = 0.25\n");
        override_table(&mut base, &flags, &|name, is_table| {
            !is_table && ["steps", "epsilon", "patience", "shards", "train"].contains(&name)
        });
        let expected = "version = '1'\n[train]\nsteps = 7\nseed = 1\nshards = 4\n[train.adam]\nepsilon = 0.25\n";
        assert_eq!(base, table(expected));
    }
}
