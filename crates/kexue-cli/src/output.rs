//! What all commands share: exit codes, JSON, Ctrl-C.

use anyhow::Result;
use serde::Serialize;
use std::io::Write;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use thiserror::Error;

/// A command line that cannot be: exit code 2.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// The exit code of a failed command: 2 for a wrong command line, 3 for bad input.
pub fn exit_code(error: &anyhow::Error) -> ExitCode {
    if error.is::<Usage>() {
        ExitCode::from(2)
    } else {
        ExitCode::from(3)
    }
}

/// Prints a value as one line of JSON.
pub fn print_json(value: &impl Serialize) -> Result<()> {
    let mut line = serde_json::to_string(value)?;
    line.push('\n');
    std::io::stdout().write_all(line.as_bytes())?;
    Ok(())
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
