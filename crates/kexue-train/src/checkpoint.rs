//! A run's state in a file: what is needed to go on exactly as if it had never stopped.
//!
//! Little-endian: magic, fingerprint of the run's settings, step, best result, its step, validations since, number of vectors; each vector
//! as its length and its numbers; where losses are still to be recorded, their sum and number; last a checksum (FNV-1a, 64 bits) of
//! everything before.

use crate::TrainError;
use kexue_output::write_file;
use std::path::Path;

const MAGIC: &[u8; 8] = b"KXCKPT01";

/// The scalars of a run's state.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Progress {
    /// Steps done.
    pub step: u64,
    /// Best validation result so far.
    pub best: f64,
    /// The step it was reached at.
    pub best_step: u64,
    /// Validations since then.
    pub stale: u64,
    /// Losses since the last record of `metrics.jsonl`: their sum.
    pub loss: f64,
    /// And their number.
    pub terms: f64,
}

impl Progress {
    /// Before the first step.
    pub fn start() -> Self {
        Self {
            step: 0,
            best: f64::NEG_INFINITY,
            best_step: 0,
            stale: 0,
            loss: 0.0,
            terms: 0.0,
        }
    }
}

/// A hash of bytes: FNV-1a.
pub(crate) fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

pub(crate) fn save(path: &Path, run: u64, progress: Progress, vectors: &[&[f32]]) -> Result<(), TrainError> {
    let mut bytes = Vec::with_capacity(64 + vectors.iter().map(|vector| 8 + 4 * vector.len()).sum::<usize>());
    bytes.extend_from_slice(MAGIC);
    for number in [
        run,
        progress.step,
        progress.best.to_bits(),
        progress.best_step,
        progress.stale,
        vectors.len() as u64,
    ] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    for vector in vectors {
        bytes.extend_from_slice(&(vector.len() as u64).to_le_bytes());
        bytes.extend(vector.iter().flat_map(|value| value.to_le_bytes()));
    }
    // Only a run that was interrupted between two records has any.
    if progress.terms > 0.0 {
        bytes.extend_from_slice(&progress.loss.to_le_bytes());
        bytes.extend_from_slice(&progress.terms.to_le_bytes());
    }
    bytes.extend_from_slice(&fingerprint(&bytes).to_le_bytes());
    Ok(write_file(path, &bytes)?)
}

/// Loads a checkpoint into the vectors; `None` when there is none.
pub(crate) fn load(path: &Path, run: u64, vectors: Vec<&mut Vec<f32>>) -> Result<Option<Progress>, TrainError> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            return Err(TrainError::Io {
                path: path.to_path_buf(),
                source,
            });
        }
    };
    let problem = |problem: &str| TrainError::File {
        path: path.to_path_buf(),
        problem: problem.to_owned(),
    };
    let damaged = || problem("the checkpoint is damaged; delete it to start the run anew");
    let (content, checksum) = bytes.split_last_chunk::<8>().ok_or_else(damaged)?;
    let mut rest = content.strip_prefix(MAGIC).ok_or_else(damaged)?;
    if fingerprint(content) != u64::from_le_bytes(*checksum) {
        return Err(damaged());
    }
    let mut number = || {
        let (first, after) = rest.split_first_chunk::<8>()?;
        rest = after;
        Some(u64::from_le_bytes(*first))
    };
    let mut numbers = [0; 6];
    for slot in &mut numbers {
        *slot = number().ok_or_else(damaged)?;
    }
    let [saved_run, step, best, best_step, stale, count] = numbers;
    if saved_run != run {
        return Err(problem(
            "the checkpoint is of a run with other settings; use another folder, or delete it to start anew",
        ));
    }
    if count != vectors.len() as u64 {
        return Err(damaged());
    }
    for vector in vectors {
        let (length, after) = rest.split_first_chunk::<8>().ok_or_else(damaged)?;
        let length = u64::from_le_bytes(*length);
        if length != vector.len() as u64 || after.len() < vector.len() * 4 {
            return Err(damaged());
        }
        let (values, after) = after.split_at(vector.len() * 4);
        for (slot, value) in vector.iter_mut().zip(values.chunks_exact(4)) {
            *slot = f32::from_le_bytes([value[0], value[1], value[2], value[3]]);
        }
        rest = after;
    }
    let (loss, terms) = match rest {
        [] => (0.0, 0.0),
        _ => {
            let (loss, terms) = rest.split_first_chunk::<8>().ok_or_else(damaged)?;
            let terms = terms.try_into().map_err(|_| damaged())?;
            (f64::from_le_bytes(*loss), f64::from_le_bytes(terms))
        }
    };
    Ok(Some(Progress {
        step,
        best: f64::from_bits(best),
        best_step,
        stale,
        loss,
        terms,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROGRESS: Progress = Progress {
        step: 3,
        best: 0.5,
        best_step: 2,
        stale: 1,
        loss: 0.0,
        terms: 0.0,
    };

    #[test]
    fn round_trip_and_refusals() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint.bin");
        let mut read = vec![0.0; 2];
        assert_eq!(load(&path, 9, vec![&mut read]).unwrap(), None);
        save(&path, 9, PROGRESS, &[&[1.0, 2.0]]).unwrap();
        assert_eq!(load(&path, 9, vec![&mut read]).unwrap(), Some(PROGRESS));
        assert_eq!(read, [1.0, 2.0]);
        assert!(
            load(&path, 8, vec![&mut read])
                .unwrap_err()
                .to_string()
                .contains("other settings")
        );
        // Losses that are still to be recorded come after all else.
        let between = Progress {
            loss: 0.1,
            terms: 7.0,
            ..PROGRESS
        };
        let without = std::fs::read(&path).unwrap();
        save(&path, 9, between, &[&[1.0, 2.0]]).unwrap();
        assert_eq!(load(&path, 9, vec![&mut read]).unwrap(), Some(between));
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes.len(), without.len() + 16);
        for length in 0..bytes.len() {
            std::fs::write(&path, &bytes[..length]).unwrap();
            assert!(
                load(&path, 9, vec![&mut read])
                    .unwrap_err()
                    .to_string()
                    .contains("damaged")
            );
        }
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x10;
            std::fs::write(&path, &changed).unwrap();
            assert!(load(&path, 9, vec![&mut read]).is_err());
        }
    }
}
