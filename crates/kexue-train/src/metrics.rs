//! `metrics.jsonl`: one line a record.

use crate::TrainError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

/// Numbers of one moment of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Steps done.
    pub step: u64,
    /// The numbers, by name.
    #[serde(flatten)]
    pub values: BTreeMap<String, f64>,
}

/// Reads the records of a run up to a step; a last line that was cut off is left out.
pub(crate) fn read(path: &Path, last_step: u64) -> Vec<Record> {
    fs::read_to_string(path)
        .unwrap_or_default()
        .lines()
        .map_while(|line| serde_json::from_str::<Record>(line).ok())
        .filter(|record| record.step <= last_step)
        .collect()
}

fn line(record: &Record) -> String {
    serde_json::to_string(record).unwrap_or_default() + "\n"
}

/// Replaces the file by these records.
pub(crate) fn rewrite(path: &Path, records: &[Record]) -> Result<(), TrainError> {
    crate::write_by_rename(path, records.iter().map(line).collect::<String>().as_bytes())
}

/// Adds one record.
pub(crate) fn append(path: &Path, record: &Record) -> Result<(), TrainError> {
    let write = || {
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)?
            .write_all(line(record).as_bytes())
    };
    write().map_err(TrainError::io(path))
}
