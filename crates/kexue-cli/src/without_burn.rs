//! Commands that this build does not include: they need Burn, which takes longer to build than everything else.

use crate::output::Usage;
use anyhow::Result;
use clap::Args;
use std::ffi::OsString;
use std::process::ExitCode;

/// Any arguments of such a command.
#[derive(Args)]
#[command(disable_help_flag = true)]
pub struct Anything {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    _arguments: Vec<OsString>,
}

/// Tells how to get a command.
pub fn refuse(command: &str) -> Result<ExitCode> {
    let problem = format!(
        "`kexue {command}` needs the Cargo feature `burn`, which this build does not have; build it with `cargo install --path crates/kexue-cli \
         --features burn` (takes a few minutes longer)"
    );
    Err(Usage(problem).into())
}
