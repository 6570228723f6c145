//! What can go wrong on a GPU.

use thiserror::Error;

/// Why something cannot be computed on a GPU.
#[derive(Debug, Error)]
pub enum CudaError {
    /// A library of NVIDIA's is not there.
    #[error("{library} was not found: {hint}")]
    Library {
        /// Its file.
        library: &'static str,
        /// What to do.
        hint: &'static str,
    },
    /// There is no such device.
    #[error("there is no GPU of number {ordinal}; the driver knows {count}")]
    NoDevice {
        /// The number asked for.
        ordinal: usize,
        /// How many there are.
        count: usize,
    },
    /// A name that is no device.
    #[error("`{0}` is no device: expected `cpu`, `cuda` or `cuda:N`")]
    Name(String),
    /// The driver, or a library, refused a call.
    #[error("{call}: {problem}")]
    Call {
        /// What was called.
        call: &'static str,
        /// What it said.
        problem: String,
    },
    /// The memory of the device does not suffice.
    #[error("the GPU has no {wanted} MiB of memory left: make the batch or the model smaller")]
    Memory {
        /// What was asked for.
        wanted: usize,
    },
    /// A kernel does not compile.
    #[error("the kernels do not compile: {0}")]
    Compile(String),
    /// A choice that GPUs do not offer.
    #[error("{field}: {problem}; train on the CPU, or choose otherwise")]
    Unsupported {
        /// The setting.
        field: &'static str,
        /// What is not offered.
        problem: String,
    },
    /// A batch that the model cannot read.
    #[error("{0}")]
    Batch(String),
}

impl CudaError {
    pub(crate) fn call(call: &'static str) -> impl FnOnce(String) -> Self {
        move |problem| Self::Call { call, problem }
    }

    pub(crate) fn unsupported(field: &'static str, problem: impl Into<String>) -> Self {
        Self::Unsupported {
            field,
            problem: problem.into(),
        }
    }
}
