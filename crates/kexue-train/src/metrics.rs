//! `metrics.jsonl`: one record per line.

use crate::TrainError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

/// A record of a step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Record {
    /// Number of completed steps.
    pub step: u64,
    /// The numbers, by name.
    #[serde(flatten)]
    pub values: BTreeMap<String, f64>,
}

/// Reads the records of a run up to a step and removes later ones from the file, so that the file does not depend on how often the run was
/// interrupted. Also removes an incomplete last line.
pub(crate) fn resume(path: &Path, last_step: u64) -> Result<Vec<Record>, TrainError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(TrainError::io(path)(error)),
    };
    let (mut kept, mut records) = (String::new(), Vec::new());
    for line in text.split_inclusive('\n') {
        let Some(record) = parse(line) else { break };
        if record.step <= last_step {
            kept.push_str(line);
            records.push(record);
        }
    }
    kexue_output::write_file(path, kept.as_bytes())?;
    Ok(records)
}

/// Parses a record; `None` if the line is incomplete.
fn parse(line: &str) -> Option<Record> {
    /// Non-finite numbers are written as null, since JSON lacks them.
    #[derive(Deserialize)]
    struct Line {
        step: u64,
        #[serde(flatten)]
        values: BTreeMap<String, Option<f64>>,
    }
    let read: Line = serde_json::from_str(line.strip_suffix('\n')?).ok()?;
    let values = read.values.into_iter();
    Some(Record {
        step: read.step,
        values: values.map(|(name, value)| (name, value.unwrap_or(f64::NAN))).collect(),
    })
}

fn line(record: &Record) -> String {
    serde_json::to_string(record).unwrap_or_default() + "\n"
}

/// Appends a record.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_kept_to_the_letter_and_what_is_read_is_what_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        assert_eq!(resume(&path, 5).unwrap(), []);
        let record = |step: u64| Record {
            step,
            // Numbers of as many digits as there are.
            values: BTreeMap::from([
                ("held_out_loss".to_owned(), (step as f64 + 0.1).sqrt() * 1e-7),
                ("loss".to_owned(), 1.0 / (step as f64 + 0.3)),
            ]),
        };
        let records: Vec<Record> = (0..200).map(record).collect();
        for record in &records {
            append(&path, record).unwrap();
        }
        let whole = fs::read_to_string(&path).unwrap();
        assert_eq!(resume(&path, 1000).unwrap(), records);
        assert_eq!(fs::read_to_string(&path).unwrap(), whole);
        fs::write(&path, whole.trim_end()).unwrap();
        assert_eq!(
            resume(&path, 1000).unwrap(),
            records[..199],
            "the last line was cut off"
        );
        assert_eq!(resume(&path, 9).unwrap(), records[..10]);
        let kept: String = whole.split_inclusive('\n').take(10).collect();
        assert_eq!(fs::read_to_string(&path).unwrap(), kept);
    }

    #[test]
    fn a_number_that_is_none_hides_no_later_record() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        for value in [f64::INFINITY, 2.0] {
            let values = BTreeMap::from([("loss".to_owned(), value)]);
            append(&path, &Record { step: 1, values }).unwrap();
        }
        let read = resume(&path, 1).unwrap();
        assert!(read[0].values["loss"].is_nan() && read[1].values["loss"] == 2.0);
    }
}
