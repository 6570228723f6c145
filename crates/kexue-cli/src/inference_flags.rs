//! The flags of commands that run a trained model.

use crate::device_flags::check_device;
use crate::output::Usage;
use anyhow::Result;
use clap::{Args, ValueEnum};
use kexue_nn::{InferencePrecision, Model};
use kexue_tune::Tuned;
use std::path::Path;
#[cfg(feature = "cuda")]
use {
    kexue_cuda::{DeviceModel, Precision},
    std::sync::Arc,
};

#[derive(Args, Clone)]
#[command(next_help_heading = "Inference")]
pub struct InferenceFlags {
    /// The device that runs the model: cpu, or cuda:N for NVIDIA GPU number N.
    #[arg(long = "device", value_name = "DEVICE", default_value = CPU)]
    inference_device: String,
    /// The precision of the model's linear layers; f16 and int8 are for the CPU, tf32 and bf16 for GPUs.
    #[arg(long = "precision", value_name = "PRECISION", value_enum, default_value_t = PrecisionFlag::F32)]
    inference_precision: PrecisionFlag,
}

const CPU: &str = "cpu";

#[derive(Clone, Copy, ValueEnum)]
enum PrecisionFlag {
    /// 32 bits, as trained.
    F32,
    /// Weights of 16 bits: half the memory.
    F16,
    /// Integers of eight bits: about twice as fast for larger models, with slightly different results.
    Int8,
    /// 32 bits, of which products use 19.
    Tf32,
    /// The upper 16 of the 32 bits.
    Bf16,
}

impl PrecisionFlag {
    /// On the CPU.
    fn on_cpu(self) -> Result<InferencePrecision> {
        match self {
            Self::F32 => Ok(InferencePrecision::Single),
            Self::F16 => Ok(InferencePrecision::Half),
            Self::Int8 => Ok(InferencePrecision::Int8),
            Self::Tf32 | Self::Bf16 => self.refuse("GPUs", "f32, f16 or int8 on the CPU"),
        }
    }

    /// On a GPU.
    #[cfg(feature = "cuda")]
    fn on_gpu(self) -> Result<Precision> {
        match self {
            Self::F32 => Ok(Precision::F32),
            Self::Tf32 => Ok(Precision::Tf32),
            Self::Bf16 => Ok(Precision::Bf16),
            Self::F16 | Self::Int8 => self.refuse("the CPU", "f32, tf32 or bf16 on a GPU"),
        }
    }

    fn refuse<T>(self, where_it_is: &str, others: &str) -> Result<T> {
        let name = self.to_possible_value().map(|value| value.get_name().to_owned());
        let name = name.unwrap_or_default();
        Err(Usage(format!("--precision {name} is for {where_it_is}; expected {others}")).into())
    }
}

impl InferenceFlags {
    fn is_on_cpu(&self) -> bool {
        self.inference_device == CPU
    }

    /// Checks the flags, and that there is such a device.
    pub fn check(&self) -> Result<()> {
        check_device(&self.inference_device)?;
        if self.is_on_cpu() {
            self.inference_precision.on_cpu()?;
        }
        #[cfg(feature = "cuda")]
        if !self.is_on_cpu() {
            self.inference_precision.on_gpu()?;
        }
        Ok(())
    }

    /// Copies a model to the GPU.
    #[cfg(feature = "cuda")]
    fn copy(&self, model: &Model) -> Result<Arc<DeviceModel>> {
        let device: kexue_cuda::Device = self.inference_device.parse()?;
        let copy = DeviceModel::new(device, model, self.inference_precision.on_gpu()?)?;
        crate::output::note!("computing on {}, {device}", copy.device_name());
        Ok(Arc::new(copy))
    }

    /// Prepares a model that was loaded with all its parameters for inference only. The flags have been checked.
    pub fn prepare(&self, model: &mut Model) -> Result<()> {
        if self.is_on_cpu() {
            model.keep_for_inference(self.inference_precision.on_cpu()?);
        }
        #[cfg(feature = "cuda")]
        if !self.is_on_cpu() {
            model.set_device(self.copy(model)?);
        }
        Ok(())
    }

    /// Opens a fine-tuned model for inference.
    pub fn open_tuned(&self, folder: &Path) -> Result<Tuned> {
        self.check()?;
        #[cfg(feature = "cuda")]
        if !self.is_on_cpu() {
            let mut tuned = Tuned::open_whole(folder)?;
            tuned.model.set_device(self.copy(tuned.model.model())?);
            return Ok(tuned);
        }
        Ok(Tuned::open(folder, self.inference_precision.on_cpu()?)?)
    }
}
