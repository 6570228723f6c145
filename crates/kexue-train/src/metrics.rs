//! `metrics.jsonl`: one line a record.

use crate::TrainError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

/// Numbers of one moment of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Record {
    /// Steps done.
    pub step: u64,
    /// The numbers, by name.
    #[serde(flatten)]
    pub values: BTreeMap<String, f64>,
}

/// Reads the records of a run up to a step, and leaves those alone in the file, to the letter: the same run has the same file, however often it was
/// interrupted. A last line that was cut off goes too.
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

/// A line as a record; none where it is no whole one.
fn parse(line: &str) -> Option<Record> {
    /// JSON has no numbers that are not finite: they are written as null.
    #[derive(Deserialize)]
    struct Line {
        step: u64,
        #[serde(flatten)]
        values: BTreeMap<String, Option<f64>>,
    }
    let line = line.strip_suffix('\n')?;
    let read: Line = serde_json::from_str(line).ok()?;
    let value = |(name, value): (String, Option<f64>)| {
        let value = value.map_or(f64::NAN, |rough| exact(line, &name).unwrap_or(rough));
        (name, value)
    };
    Some(Record {
        step: read.step,
        values: read.values.into_iter().map(value).collect(),
    })
}

/// The number after a name. serde_json, as it is built here, may miss its last bit; the standard library does not.
fn exact(line: &str, name: &str) -> Option<f64> {
    let name = serde_json::to_string(name).ok()? + ":";
    let (_, rest) = line.split_once(&name)?;
    rest[..rest.find([',', '}'])?].parse().ok()
}

fn line(record: &Record) -> String {
    serde_json::to_string(record).unwrap_or_default() + "\n"
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
