//! The `kexue` command: parse, call, print.

mod output;
mod qa;
mod search_flags;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Kexue: question answering that can only answer with facts, and other results of Scientific Spaces as tools.
#[derive(Parser)]
#[command(version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    thing: Thing,
}

#[derive(Subcommand)]
enum Thing {
    /// Train, evaluate and use models that answer from a graph.
    Qa(qa::QaArgs),
}

fn main() -> ExitCode {
    let result = match Cli::parse().thing {
        Thing::Qa(args) => qa::run(args),
    };
    result.unwrap_or_else(|error| {
        eprintln!("kexue: {error:#}");
        output::exit_code(&error)
    })
}
