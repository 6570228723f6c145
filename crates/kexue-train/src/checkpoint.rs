//! A run's state in a file, for resuming exactly as if the run had never stopped.
//!
//! Magic; length of the header (u64); the header in JSON: the run's fingerprint, its progress, name and length of each vector; the vectors' numbers
//! (f32); a checksum (XXH3, 64 bits) of everything before. Little-endian.

use crate::TrainError;
use crate::task::{Goal, Task};
use kexue_output::write_file;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

const MAGIC: &[u8; 8] = b"KXCKPT02";
/// The beginning of the magic of all versions.
const FAMILY: &[u8] = b"KXCKPT";

/// The scalars of a run's state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// Number of completed steps.
    pub step: u64,
    /// Best validation result so far.
    pub best: Option<f64>,
    /// The step it was reached at.
    pub best_step: u64,
    /// Validations since then.
    pub stale: u64,
    /// Means since the last record of `metrics.jsonl`, by name: sum and number of terms.
    pub means: BTreeMap<String, (f64, f64)>,
    /// The goals of the metrics so far.
    pub goals: BTreeMap<String, Goal>,
}

/// What a run can be resumed as.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// A hash of its settings.
    run: String,
    /// A hash of its training examples; `None` in checkpoints of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    examples: Option<u64>,
}

impl Identity {
    /// The identity of a run with these settings and the examples of a task.
    pub fn new(description: &str, task: &impl Task) -> Self {
        let mut hasher = Xxh3::new();
        task.hash_examples(&mut hasher);
        Self {
            run: format!("{:016x}", xxh3_64(description.as_bytes())),
            examples: Some(hasher.digest()),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Header {
    #[serde(flatten)]
    identity: Identity,
    progress: Progress,
    vectors: Vec<(String, usize)>,
}

/// Saves the state of a run: its progress, and vectors by name.
pub(crate) fn save(
    path: &Path,
    identity: &Identity,
    progress: &Progress,
    vectors: &[(String, &[f32])],
) -> Result<(), TrainError> {
    let header = Header {
        identity: identity.clone(),
        progress: progress.clone(),
        vectors: vectors
            .iter()
            .map(|(name, vector)| (name.clone(), vector.len()))
            .collect(),
    };
    let header = serde_json::to_vec(&header).map_err(|error| TrainError::file(path, error))?;
    let numbers: usize = vectors.iter().map(|(_, vector)| vector.len()).sum();
    let mut bytes = Vec::with_capacity(24 + header.len() + 4 * numbers);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&(header.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&header);
    for (_, vector) in vectors {
        bytes.extend(vector.iter().flat_map(|value| value.to_le_bytes()));
    }
    bytes.extend_from_slice(&xxh3_64(&bytes).to_le_bytes());
    Ok(write_file(path, &bytes)?)
}

/// Loads a checkpoint into the vectors; `None` if there is none.
pub(crate) fn load(
    path: &Path,
    identity: &Identity,
    vectors: Vec<(String, &mut [f32])>,
) -> Result<Option<Progress>, TrainError> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(TrainError::io(path)(error)),
    };
    let problem = |problem: String| TrainError::file(path, problem);
    let damaged = || problem("the checkpoint is damaged; delete it to start the run anew".to_owned());
    let magic = bytes.first_chunk::<8>();
    if magic.is_some_and(|magic| magic.starts_with(FAMILY) && magic != MAGIC) {
        return Err(problem(
            "the checkpoint is of another version of Kexue, and cannot be resumed; finish the run with that version, or delete the checkpoint to \
             start it anew"
                .to_owned(),
        ));
    }
    let (content, checksum) = bytes.split_last_chunk::<8>().ok_or_else(damaged)?;
    let rest = content.strip_prefix(MAGIC).ok_or_else(damaged)?;
    if xxh3_64(content) != u64::from_le_bytes(*checksum) {
        return Err(damaged());
    }
    let (length, rest) = rest.split_first_chunk::<8>().ok_or_else(damaged)?;
    let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| damaged())?;
    let (header, mut rest) = rest.split_at_checked(length).ok_or_else(damaged)?;
    let header: Header = serde_json::from_slice(header).map_err(|_| damaged())?;
    let saved = header.identity;
    if saved.run != identity.run {
        return Err(problem(
            "the checkpoint is of a run with other settings; use another folder, or delete it to start anew".to_owned(),
        ));
    }
    if saved.examples.is_some() && saved.examples != identity.examples {
        return Err(problem(
            "the checkpoint is of a run with other training examples: the data has changed since then; train in another folder, or delete it to start anew"
                .to_owned(),
        ));
    }
    let mut saved = BTreeMap::new();
    for (name, length) in &header.vectors {
        let bytes = length.checked_mul(4).ok_or_else(damaged)?;
        let (values, after) = rest.split_at_checked(bytes).ok_or_else(damaged)?;
        saved.insert(name.as_str(), values);
        rest = after;
    }
    for (name, vector) in vectors {
        let values = saved
            .remove(name.as_str())
            .filter(|values| values.len() == 4 * vector.len());
        let values = values.ok_or_else(|| {
            problem(format!(
                "the checkpoint has no `{name}` of {} numbers: it is of another optimiser; delete it to start anew",
                vector.len()
            ))
        })?;
        for (slot, value) in vector.iter_mut().zip(values.chunks_exact(4)) {
            *slot = f32::from_le_bytes([value[0], value[1], value[2], value[3]]);
        }
    }
    if let Some(name) = saved.keys().next() {
        return Err(problem(format!(
            "the checkpoint has `{name}`, which this optimiser has not; delete it to start anew"
        )));
    }
    Ok(Some(header.progress))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress() -> Progress {
        Progress {
            step: 3,
            best: Some(-0.1),
            best_step: 2,
            stale: 1,
            means: BTreeMap::from([("loss".to_owned(), (1.0 / 3.0, 7.0))]),
            goals: BTreeMap::from([("score".to_owned(), Goal::Minimize)]),
        }
    }

    fn identity(run: &str, examples: u64) -> Identity {
        Identity {
            run: run.to_owned(),
            examples: Some(examples),
        }
    }

    fn read(path: &Path, run: &str, names: [&str; 2]) -> Result<(Option<Progress>, [Vec<f32>; 2]), TrainError> {
        let mut vectors = [vec![0.0; 2], vec![0.0; 1]];
        let named = names
            .iter()
            .zip(&mut vectors)
            .map(|(name, vector)| (name.to_string(), &mut vector[..]));
        let progress = load(path, &identity(run, 7), named.collect())?;
        Ok((progress, vectors))
    }

    #[test]
    fn round_trip_by_name_and_refusals() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint.bin");
        assert_eq!(read(&path, "9", ["a", "b"]).unwrap().0, None);
        save(
            &path,
            &identity("9", 7),
            &progress(),
            &[("b".to_owned(), &[3.0]), ("a".to_owned(), &[1.0, 2.0])],
        )
        .unwrap();
        let expected = (Some(progress()), [vec![1.0, 2.0], vec![3.0]]);
        assert_eq!(read(&path, "9", ["a", "b"]).unwrap(), expected);
        let error = |run: &str, names: [&str; 2]| read(&path, run, names).unwrap_err().to_string();
        assert!(error("8", ["a", "b"]).contains("other settings"));
        assert!(error("9", ["a", "c"]).contains("no `c` of 1 numbers"));
        assert!(error("9", ["b", "a"]).contains("no `b` of 2 numbers"));
        let mut one = [0.0; 2];
        let mut refused = |identity: &Identity| {
            load(&path, identity, vec![("a".to_owned(), &mut one[..])])
                .unwrap_err()
                .to_string()
        };
        assert!(refused(&identity("9", 8)).contains("other training examples"));
        let missing = refused(&identity("9", 7));
        assert!(missing.contains("has `b`, which this optimiser has not"), "{missing}");

        let bytes = std::fs::read(&path).unwrap();
        for length in 0..bytes.len() {
            std::fs::write(&path, &bytes[..length]).unwrap();
            assert!(error("9", ["a", "b"]).contains("damaged"));
        }
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x10;
            std::fs::write(&path, &changed).unwrap();
            assert!(read(&path, "9", ["a", "b"]).is_err());
        }
    }

    #[test]
    fn a_checkpoint_of_an_earlier_version_is_told_from_a_damaged_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint.bin");
        std::fs::write(&path, b"KXCKPT01 and what it held").unwrap();
        let error = read(&path, "9", ["a", "b"]).unwrap_err().to_string();
        assert!(error.contains("of another version of Kexue"), "{error}");
    }
}
