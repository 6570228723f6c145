//! The commands that this build leaves out: they need Burn, which takes longer to build than all the rest.

use crate::output::Usage;
use anyhow::Result;
use clap::Args;
use std::ffi::OsString;
use std::process::ExitCode;

/// Whatever such a command is called with.
#[derive(Args)]
#[command(disable_help_flag = true)]
pub struct Anything {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    _arguments: Vec<OsString>,
}

/// Says how to get a command.
pub fn refuse(command: &str) -> Result<ExitCode> {
    let problem = format!(
        "`kexue {command}` needs the Cargo feature `burn`, which this build does not have; build it with `cargo install --path crates/kexue-cli \
         --features burn` (some minutes more than without)"
    );
    Err(Usage(problem).into())
}
