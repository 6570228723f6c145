//! Replaying the log of an index, and its state.

use crate::changes::{Base, Changes};
use crate::error::KgError;
use crate::log::{log_path, read_log};
use crate::sections::{FOLDED, PINS};
use kexue_trie::{Bytes, Container, Error};
use std::fs::File;
use std::path::Path;

/// Reads the changes of an index file: those merged into it, and those in its log.
pub(crate) fn changes_of(path: Option<&Path>, container: &Container, base: &Base<'_>) -> Result<Changes, KgError> {
    let mut changes = Changes::default();
    if let Some(pins) = container.find(PINS) {
        changes.pins =
            serde_json::from_slice(&pins).map_err(|error| Error::Damaged(format!("section `{PINS}`: {error}")))?;
    }
    let Some(path) = path else {
        return Ok(changes);
    };
    let Some(log) = read_log(path)? else {
        return Ok(changes);
    };
    if log.identity == container.identity() {
        for change in &log.changes {
            changes.replay(base, change)?;
        }
        changes.count = log.changes.len() as u64;
        changes.unfinished = log.unfinished;
    } else if container.find(FOLDED).as_deref() != Some(&log.identity.to_le_bytes()) && !log.changes.is_empty() {
        return Err(KgError::Input {
            file: log_path(path).display().to_string(),
            problem: format!(
                "this log belongs to another index than {}; restore that index, or move the log away",
                path.display()
            ),
        });
    }
    Ok(changes)
}

/// The state of the log beside an index.
pub(crate) enum LogState {
    /// There is no log, or it has no changes.
    None,
    /// All its changes are merged into the index.
    Folded,
    /// It has this number of changes that are nowhere else.
    Pending(usize),
}

/// The state of the log beside an index. The index may be missing or damaged.
pub(crate) fn log_state(index: &Path) -> Result<LogState, KgError> {
    let Some(log) = read_log(index)?.filter(|log| !log.changes.is_empty()) else {
        return Ok(LogState::None);
    };
    let container = File::open(index)
        .and_then(|file| Bytes::map(&file))
        .ok()
        .and_then(|bytes| Container::open(bytes).ok());
    let is_folded = container.is_some_and(|container| {
        container.identity() != log.identity && container.find(FOLDED).as_deref() == Some(&log.identity.to_le_bytes())
    });
    Ok(match is_folded {
        true => LogState::Folded,
        false => LogState::Pending(log.changes.len()),
    })
}
