//! `kexue shrink`: write weights with fewer bits.

use crate::output::note;
use anyhow::Result;
use clap::{Args, ValueEnum};
use kexue_nn::{FewerBits, WeightsError, shrink};
use kexue_output::check_output;
use std::path::PathBuf;
use std::process::ExitCode;

/// Write a file of weights with fewer bits: half or a quarter of its size. Put it in the place of the other in a copy of the model's folder.
#[derive(Args)]
#[command(after_help = "Example:
  cp -r runs/reviews small && kexue shrink runs/reviews/model.safetensors -o small/model.safetensors
  kexue finetune predict --model small --precision int8 --input new.tsv")]
pub struct ShrinkArgs {
    /// The weights, a .safetensors file of any model.
    weights: PathBuf,
    /// The file to write.
    #[arg(long, short)]
    out: PathBuf,
    /// f16 gives all numbers 16 bits; other programs read it too. int8 gives the numbers of matrices eight bits, and each row a size of its own for their steps;
    /// kexue alone reads it.
    #[arg(long, value_enum, default_value_t = Bits::Int8)]
    precision: Bits,
}

#[derive(Clone, Copy, ValueEnum)]
enum Bits {
    F16,
    Int8,
}

/// Runs the command.
pub fn run(args: &ShrinkArgs) -> Result<ExitCode> {
    check_output(&args.out, [&args.weights])?;
    let bits = match args.precision {
        Bits::F16 => FewerBits::Sixteen,
        Bits::Int8 => FewerBits::Eight,
    };
    shrink(&args.weights, &args.out, bits).map_err(|error| match error {
        // It names the file that cannot be written.
        WeightsError::Output(error) => anyhow::Error::from(error),
        error => anyhow::Error::from(error).context(args.weights.display().to_string()),
    })?;
    let size = |path: &PathBuf| std::fs::metadata(path).map_or(0.0, |file| file.len() as f64 / 1e6);
    note!(
        "{}: {:.1} MB instead of {:.1}",
        args.out.display(),
        size(&args.out),
        size(&args.weights)
    );
    Ok(ExitCode::SUCCESS)
}
