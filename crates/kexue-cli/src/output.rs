//! What all commands share: exit codes, JSON, Ctrl-C.

use anyhow::Result;
use kexue_train::TrainError;
use serde::Serialize;
use std::io::Write;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use thiserror::Error;

/// Writes a line to standard error, if anybody still reads there.
macro_rules! note {
    ($($argument:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($argument)*);
    }};
}
pub(crate) use note;

/// A command line that cannot be: exit code 2.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// Says what failed, and returns the exit code: 2 for a wrong command line, 3 for bad input.
pub fn fail(error: &anyhow::Error) -> ExitCode {
    // A reader that closes early, as `head` does, has what it wants.
    if error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
    {
        return ExitCode::SUCCESS;
    }
    // Some errors already hold their cause's words.
    let mut message = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !message.contains(&cause) {
            message = format!("{message}: {cause}");
        }
    }
    note!("kexue: {message}");
    let training = match error.downcast_ref() {
        Some(kexue_qa::Error::Train(error)) => Some(error),
        _ => error.downcast_ref(),
    };
    let setting = matches!(training, Some(TrainError::Setting { .. }));
    if error.is::<Usage>() || setting {
        ExitCode::from(2)
    } else {
        ExitCode::from(3)
    }
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
