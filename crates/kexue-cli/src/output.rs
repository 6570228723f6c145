//! What all commands share: usage errors, checks of outputs, printing, JSON, Ctrl-C.

use anyhow::Result;
use kexue_output::{Page, folder_of, real_path};
use kexue_train::TrainError;
use serde::Serialize;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use thiserror::Error;

/// Writes a line to standard error. A closed pipe is ignored.
macro_rules! note {
    ($($argument:tt)*) => {{
        use std::io::Write as _;
        if !$crate::output::is_quiet() {
            let _ = writeln!(std::io::stderr(), $($argument)*);
        }
    }};
}
pub(crate) use note;

static QUIET: AtomicBool = AtomicBool::new(false);

/// Suppresses all notes. Of several processes that train together, only the first prints.
pub fn set_quiet(quiet: bool) {
    QUIET.store(quiet, Ordering::Relaxed);
}

/// Whether notes are suppressed.
pub fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// An invalid command line: exit code 2.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// Prints a text.
///
/// # Errors
/// If standard output cannot be written, for example because its reader has closed it.
pub fn print(text: &str) -> Result<()> {
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

/// Prints a value as one line of JSON.
pub fn print_json(value: &impl Serialize) -> Result<()> {
    let mut line = serde_json::to_string(value)?;
    line.push('\n');
    print(&line)
}

/// Refuses to overwrite a page with a different title.
///
/// # Errors
/// Names the existing page.
pub fn check_page(path: &Path, title: &str) -> Result<()> {
    // A folder or a pipe is not a page.
    let title_there = match path.is_file() {
        true => Page::title_in(path).map_err(TrainError::io(path))?,
        false => None,
    };
    match title_there {
        Some(other) if other != title => {
            let problem = format!("holds another page, “{other}”; use another file, or delete this one");
            Err(TrainError::file(path, problem).into())
        }
        _ => Ok(()),
    }
}

/// The files that make a folder a run or a Hugging Face model.
const MODEL_FILES: [&str; 18] = [
    "config.toml",
    "config.json",
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "vocab.txt",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "checkpoint.bin",
    "metrics.jsonl",
    "report.html",
    "result.json",
    "comparison.json",
    "mask.safetensors",
    "reranker.txt",
    "reranker.toml",
];

/// The files of the model in a folder. No output of a command that reads the model may replace them. What else is in the folder may be replaced, such
/// as the page of an earlier probe.
pub fn model_files(folder: &Path) -> Vec<PathBuf> {
    let paths = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let is_of_model = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // Or a part of the weights: model-00001-of-00002.safetensors.
        MODEL_FILES.contains(&&*name) || name.contains("-of-0")
    };
    paths.map(|entry| entry.path()).filter(is_of_model).collect()
}

/// Refuses two outputs, each with its flag, that are one file.
///
/// # Errors
/// Names both flags.
pub fn check_distinct(first: (&str, Option<&Path>), second: (&str, Option<&Path>)) -> Result<()> {
    let place = |path: &Path| {
        let path = real_path(path);
        Some(folder_of(&path).canonicalize().ok()?.join(path.file_name()?))
    };
    match (first.1.and_then(place), second.1.and_then(place)) {
        // A device or a pipe takes both.
        (Some(one), Some(other)) if one == other && (one.is_file() || !one.exists()) => {
            let problem = format!("{} and {} name one file, {}", first.0, second.0, one.display());
            Err(Usage(problem).into())
        }
        _ => Ok(()),
    }
}

/// Refuses an output for samples of a kind, such as "images", whose extension is that of a format other than `own`.
///
/// # Errors
/// Names the extensions of the formats.
pub fn check_format(out: &Path, kind: &str, own: &[&str]) -> Result<()> {
    let extension = out.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    let known = ["csv", "tsv", "jpeg", "jpg", "png", "safetensors"];
    match known.contains(&&*extension) && !own.contains(&&*extension) {
        true => {
            let problem = format!("the samples are {kind}; name a .{} file", own.join(" or ."));
            Err(Usage(format!("--out {}: {problem}", out.display())).into())
        }
        false => Ok(()),
    }
}

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Turns Ctrl-C into a flag that long work checks. A second Ctrl-C ends the program.
pub struct Interrupt;

impl Interrupt {
    /// Installs the handler.
    pub fn install() -> Self {
        // If this fails, Ctrl-C ends the program as usual; saved files stay.
        let _ = ctrlc::set_handler(|| {
            if INTERRUPTED.swap(true, Ordering::Relaxed) {
                std::process::exit(130);
            }
        });
        Self
    }

    /// Whether Ctrl-C was pressed.
    pub fn flag(&self) -> &'static AtomicBool {
        &INTERRUPTED
    }
}
