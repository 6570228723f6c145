//! What all commands share: usage errors, printing, JSON, Ctrl-C.

use anyhow::Result;
use kexue_output::Page;
use kexue_train::TrainError;
use serde::Serialize;
use std::io::Write;
use std::path::Path;
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
