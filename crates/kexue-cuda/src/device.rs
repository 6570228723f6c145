//! Devices by name, and engines on them.

use crate::cuda::{CudaMachine, Gpu};
use crate::program::Program;
use crate::{CudaError, Engine, Precision};
use kexue_nn::Model;
use std::fmt;
use std::str::FromStr;

/// A GPU, written as `cuda` or `cuda:0`, `cuda:1`, ….
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// Its number in the driver.
    pub ordinal: usize,
}

impl FromStr for Device {
    type Err = CudaError;

    fn from_str(text: &str) -> Result<Self, CudaError> {
        let ordinal = match text.strip_prefix("cuda") {
            Some("") => Some(0),
            Some(rest) => rest.strip_prefix(':').and_then(|number| number.parse().ok()),
            None => None,
        };
        match ordinal {
            Some(ordinal) => Ok(Self { ordinal }),
            None => Err(CudaError::Name(text.to_owned())),
        }
    }
}

impl Device {
    /// The name of the GPU, if it exists.
    ///
    /// # Errors
    /// If there is no driver or no such GPU.
    pub fn check(self) -> Result<String, CudaError> {
        Ok(Gpu::open(self.ordinal)?.name())
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cuda:{}", self.ordinal)
    }
}

impl Engine {
    /// Copies a model to a GPU.
    ///
    /// # Errors
    /// If there is no such GPU, a library is missing, GPUs do not support an option of the model (the error names it), or memory is insufficient.
    pub fn new(device: Device, model: &Model, precision: Precision) -> Result<Self, CudaError> {
        Self::open(device, model, precision, true)
    }

    /// As [`Engine::on`], on a GPU.
    pub(crate) fn open(
        device: Device,
        model: &Model,
        precision: Precision,
        is_for_training: bool,
    ) -> Result<Self, CudaError> {
        let program = Program::new(model.config(), model.layout(), precision)?;
        let gpu = Gpu::open(device.ordinal)?;
        if precision != Precision::F32 && gpu.capability.0 < 8 {
            return Err(CudaError::unsupported(
                "precision",
                format!("{} supports f32 only", gpu.name()),
            ));
        }
        let machine = CudaMachine::new(gpu, &program.source, precision)?;
        Self::on(Box::new(machine), program, model, precision, is_for_training)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_devices_are_read() {
        assert_eq!("cuda".parse::<Device>().unwrap(), Device { ordinal: 0 });
        assert_eq!("cuda:3".parse::<Device>().unwrap().to_string(), "cuda:3");
        for wrong in ["", "gpu", "cuda:", "cuda:-1", "cuda0", "CUDA:0"] {
            let message = wrong.parse::<Device>().unwrap_err().to_string();
            assert!(message.contains("expected `cpu`, `cuda` or `cuda:N`"), "{message}");
        }
    }
}
