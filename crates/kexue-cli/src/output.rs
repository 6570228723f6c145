//! What all commands share: exit codes, JSON, Ctrl-C.

use crate::setting_flags::refused;
use anyhow::Result;
use kexue_output::Page;
use kexue_train::TrainError;
use serde::Serialize;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use thiserror::Error;

/// Writes a line to standard error, if anybody still reads there.
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

/// Keeps all but errors from being printed: of several processes that train together only the first talks.
pub fn set_quiet(quiet: bool) {
    QUIET.store(quiet, Ordering::Relaxed);
}

/// Whether nothing but errors is printed.
pub fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// A command line that cannot be: exit code 2.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// Says what failed, and returns the exit code: 2 for a wrong command line, 3 for bad input.
pub fn fail(error: &anyhow::Error) -> u8 {
    // A reader that closes early, as `head` does, has what it wants.
    if error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
    {
        return 0;
    }
    // Some errors already hold their cause's words.
    let mut message = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !message.contains(&cause) {
            message = format!("{message}: {cause}");
        }
    }
    if let Some(advice) = crate::kg::advice(error) {
        message = format!("{message}; {advice}");
    }
    let training = training(error);
    if let Some(TrainError::Setting { field, problem }) = training {
        message = refused(field, problem).0;
    }
    // The process that it happened in says it.
    if !matches!(training, Some(TrainError::Process { .. })) {
        let _ = writeln!(std::io::stderr(), "kexue: {message}");
    }
    let setting = matches!(training, Some(TrainError::Setting { .. }));
    if error.is::<Usage>() || setting { 2 } else { 3 }
}

fn training(error: &anyhow::Error) -> Option<&TrainError> {
    match error.downcast_ref() {
        Some(kexue_qa::Error::Train(error)) => Some(error),
        _ => error.downcast_ref(),
    }
}

/// Whether every process of a training fails with this error.
#[cfg(feature = "mpi")]
pub fn is_known_to_all(error: &anyhow::Error) -> bool {
    matches!(training(error), Some(TrainError::Process { .. }))
}

/// Prints a text.
///
/// # Errors
/// When standard output cannot be written, as when its reader has closed it.
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

/// Refuses to replace a page that shows something else: one with another title than what is to be written.
///
/// # Errors
/// Names the page that is there.
pub fn check_page(path: &Path, title: &str) -> Result<()> {
    // Neither a folder nor a pipe is a page.
    let title_there = match path.is_file() {
        true => Page::title_in(path).map_err(TrainError::io(path))?,
        false => None,
    };
    match title_there {
        Some(other) if other != title => {
            let problem = format!("holds another page, “{other}”: name another file, or delete this one");
            Err(TrainError::file(path, problem).into())
        }
        _ => Ok(()),
    }
}

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Turns Ctrl-C into a flag that long work looks at; a second Ctrl-C ends the program.
pub struct Interrupt;

impl Interrupt {
    /// Takes Ctrl-C over.
    pub fn install() -> Self {
        // Without a handler Ctrl-C ends the program as usual: nothing that was saved is lost.
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
