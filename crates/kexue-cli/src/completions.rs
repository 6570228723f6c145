//! `kexue completions` and `kexue man`: shell completions and manual pages, generated from the definition of the command.

use crate::output::print;
use anyhow::Result;
use clap::{Args, Command};
use clap_complete::Shell;
use kexue_output::write_file;
use std::path::PathBuf;
use std::process::ExitCode;

/// Print a completion script for a shell.
#[derive(Args)]
#[command(after_help = "\
Examples:
  kexue completions bash > ~/.local/share/bash-completion/completions/kexue
  kexue completions zsh > ~/.zfunc/_kexue            # with fpath+=~/.zfunc before compinit in ~/.zshrc
  kexue completions fish > ~/.config/fish/completions/kexue.fish")]
pub struct CompletionsArgs {
    /// The shell.
    shell: Shell,
}

/// Runs `kexue completions`; `command` is all of `kexue`.
pub fn run(args: &CompletionsArgs, mut command: Command) -> Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "kexue", &mut script);
    print(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}

/// Write the manual pages.
#[derive(Args)]
#[command(after_help = "\
Example:
  kexue man -o ~/.local/share/man/man1")]
pub struct ManArgs {
    /// The folder to write to, one page for each command. It is created if it does not exist.
    #[arg(long, short)]
    out: PathBuf,
}

/// Runs `kexue man`; `command` is all of `kexue`.
pub fn run_man(args: &ManArgs, mut command: Command) -> Result<ExitCode> {
    std::fs::create_dir_all(&args.out).map_err(|source| kexue_qa::Error::Io {
        path: args.out.clone(),
        source,
    })?;
    command.build();
    write_pages(&command, "kexue", args)?;
    Ok(ExitCode::SUCCESS)
}

/// Writes the page of a command, then those of its subcommands.
fn write_pages(command: &Command, name: &str, args: &ManArgs) -> Result<()> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut page)?;
    write_file(&args.out.join(format!("{name}.1")), &page)?;
    for subcommand in command.get_subcommands() {
        if !subcommand.is_hide_set() && subcommand.get_name() != "help" {
            write_pages(subcommand, &format!("{name}-{}", subcommand.get_name()), args)?;
        }
    }
    Ok(())
}
