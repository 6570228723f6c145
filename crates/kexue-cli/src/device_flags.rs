//! Flags of commands that can compute on a GPU.

use crate::output::Usage;
use anyhow::Result;
use clap::Args;
use kexue_nn::Model;
use kexue_train::{Accelerator, Task, TrainSettings, TransformerBatch};
use kexue_tune::Compute;
#[cfg(feature = "cuda")]
use {
    kexue_nn::Classifier,
    kexue_optim::Fisher,
    kexue_train::TrainError,
    kexue_tune::{TuneAccelerator, TuneBatch, TuneTask},
};

/// Checks that there is a device of this name.
pub fn check_device(name: &str) -> Result<()> {
    match name {
        "cpu" => Ok(()),
        _ => check_gpu(name),
    }
}

#[cfg(feature = "cuda")]
fn check_gpu(name: &str) -> Result<()> {
    match name.parse().and_then(kexue_cuda::Device::check) {
        Ok(_) => Ok(()),
        Err(error) => Err(Usage(format!("--device {name}: {error}")).into()),
    }
}

#[cfg(not(feature = "cuda"))]
fn check_gpu(name: &str) -> Result<()> {
    Err(Usage(format!(
        "--device {name}: this build of kexue has no GPU support; build it with --features cuda, or use --device cpu"
    ))
    .into())
}

#[derive(Args, Clone)]
#[command(next_help_heading = "Device")]
pub struct DeviceFlags {
    /// The device for training steps: cpu, or cuda:N for NVIDIA GPU number N. Validation runs on the CPU. A run may be continued on another device.
    #[arg(long, default_value = "cpu")]
    device: String,
    /// The precision of the inputs of matrix products on a GPU: f32; tf32 (f32 rounded to 10 bits of fraction); bf16 (the upper half of f32).
    /// Parameters, sums and the optimiser's state are always f32.
    #[arg(long, default_value = "f32", value_parser = ["f32", "tf32", "bf16"])]
    precision: String,
}

impl DeviceFlags {
    /// Checks the flags, and that there is such a device.
    pub fn check(&self) -> Result<()> {
        if self.device == "cpu" {
            return match self.precision.as_str() {
                "f32" => Ok(()),
                other => Err(Usage(format!("--precision {other} is for GPUs; the CPU trains in f32")).into()),
            };
        }
        check_device(&self.device)
    }

    /// The GPU and its precision; `None` for the CPU.
    #[cfg(feature = "cuda")]
    fn gpu(&self) -> Result<Option<(kexue_cuda::Device, kexue_cuda::Precision)>, TrainError> {
        if self.device == "cpu" {
            return Ok(None);
        }
        let device = self.device.parse();
        let device = device.map_err(|error: kexue_cuda::CudaError| TrainError::task(error))?;
        let precision = self
            .precision
            .parse()
            .map_err(|error: String| TrainError::task(error))?;
        Ok(Some((device, precision)))
    }

    /// The accelerator that computes the steps; `None` for the CPU.
    #[cfg(feature = "cuda")]
    pub fn accelerator<T>(&self, model: &Model, settings: &TrainSettings) -> Result<Option<Box<dyn Accelerator<T>>>>
    where
        T: Task<Model = Model>,
        T::Batch: TransformerBatch,
    {
        let Some((device, precision)) = self.gpu()? else {
            return Ok(None);
        };
        let run = kexue_cuda::DeviceRun::new(device, model, settings, precision)?;
        crate::output::note!("computing on {}, {device}, in {precision}", run.device_name());
        Ok(Some(Box::new(run)))
    }

    /// The accelerator that computes the steps; `None` for the CPU.
    #[cfg(not(feature = "cuda"))]
    #[allow(clippy::unused_self)]
    pub fn accelerator<T>(&self, _: &Model, _: &TrainSettings) -> Result<Option<Box<dyn Accelerator<T>>>>
    where
        T: Task<Model = Model>,
        T::Batch: TransformerBatch,
    {
        Ok(None)
    }
}

#[cfg(not(feature = "cuda"))]
impl Compute for DeviceFlags {}

#[cfg(feature = "cuda")]
impl Compute for DeviceFlags {
    fn accelerator<'t>(
        &self,
        _: &TuneTask<'t>,
        model: &Classifier,
        settings: &TrainSettings,
    ) -> Result<Option<TuneAccelerator<'t>>, TrainError> {
        let Some((device, precision)) = self.gpu()? else {
            return Ok(None);
        };
        let run = kexue_cuda::ClassifierRun::new(device, model, settings, precision)?;
        crate::output::note!("computing on {}, {device}, in {precision}", run.device_name());
        Ok(Some(Box::new(run)))
    }

    fn fisher(
        &self,
        task: &TuneTask<'_>,
        model: &Classifier,
        samples: &mut dyn Iterator<Item = TuneBatch>,
    ) -> Result<Option<Fisher>, TrainError> {
        let Some((device, precision)) = self.gpu()? else {
            return Ok(None);
        };
        kexue_cuda::fisher(device, precision, task, model, samples).map(Some)
    }
}
