//! The flags of commands that run a trained model.

use clap::{Args, ValueEnum};
use kexue_nn::InferencePrecision;

#[derive(Args, Clone)]
#[command(next_help_heading = "Inference")]
pub struct InferenceFlags {
    /// The precision of the model's linear layers.
    #[arg(long = "precision", value_name = "PRECISION", value_enum, default_value_t = PrecisionFlag::F32)]
    inference_precision: PrecisionFlag,
}

#[derive(Clone, Copy, ValueEnum)]
enum PrecisionFlag {
    /// 32 bits, as trained.
    F32,
    /// Weights of 16 bits: half the memory.
    F16,
    /// Integers of eight bits: about twice as fast for larger models, with slightly different results.
    Int8,
}

impl InferenceFlags {
    /// The precision that was asked for.
    pub fn precision(&self) -> InferencePrecision {
        match self.inference_precision {
            PrecisionFlag::F32 => InferencePrecision::Single,
            PrecisionFlag::F16 => InferencePrecision::Half,
            PrecisionFlag::Int8 => InferencePrecision::Int8,
        }
    }
}
