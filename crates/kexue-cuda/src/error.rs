//! Errors of GPUs.

use thiserror::Error;

/// Why something cannot be computed on a GPU.
#[derive(Debug, Error)]
pub enum CudaError {
    /// A library of NVIDIA is missing.
    #[error("{library} was not found: {hint}")]
    Library {
        /// The file of the library.
        library: &'static str,
        /// What to do.
        hint: &'static str,
    },
    /// There is no such device.
    #[error("there is no GPU with number {ordinal}; the driver found {count}")]
    NoDevice {
        /// The requested number.
        ordinal: usize,
        /// Number of GPUs.
        count: usize,
    },
    /// A name that is not a device.
    #[error("`{0}` is not a device: expected `cpu`, `cuda` or `cuda:N`")]
    Name(String),
    /// A call of the driver or of a library failed.
    #[error("{call}: {problem}")]
    Call {
        /// The called function.
        call: &'static str,
        /// Its error.
        problem: String,
    },
    /// The memory of the device is exhausted.
    #[error("the GPU does not have {wanted} MiB of free memory; use a smaller batch or model")]
    Memory {
        /// The requested memory.
        wanted: usize,
    },
    /// A kernel does not compile.
    #[error("the kernels do not compile: {0}")]
    Compile(String),
    /// An option that GPUs do not support.
    #[error("{field}: {problem}; use the CPU, or change this setting")]
    Unsupported {
        /// The setting.
        field: &'static str,
        /// The unsupported option.
        problem: String,
    },
    /// A batch that does not fit the model.
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
