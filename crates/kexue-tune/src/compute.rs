//! The device of fine-tuning runs.

use crate::task::{TuneBatch, TuneTask};
use kexue_nn::Classifier;
use kexue_optim::Fisher;
use kexue_train::{Accelerator, TrainError, TrainSettings};

/// The accelerator of a fine-tuning run.
pub type TuneAccelerator<'t> = Box<dyn Accelerator<TuneTask<'t>>>;

/// Where runs are computed. Every part has a default, the CPU.
pub trait Compute {
    /// The accelerator of a run that starts from `model`; `None` for the CPU.
    ///
    /// # Errors
    /// If the device fails, or does not support a setting.
    fn accelerator<'t>(
        &self,
        _task: &TuneTask<'t>,
        _model: &Classifier,
        _settings: &TrainSettings,
    ) -> Result<Option<TuneAccelerator<'t>>, TrainError> {
        Ok(None)
    }

    /// The Fisher information over batches of one example each, without dropout; `None` for the CPU.
    ///
    /// # Errors
    /// If the device fails.
    fn fisher(
        &self,
        _task: &TuneTask<'_>,
        _model: &Classifier,
        _samples: &mut dyn Iterator<Item = TuneBatch>,
    ) -> Result<Option<Fisher>, TrainError> {
        Ok(None)
    }
}

/// The CPU.
#[derive(Clone, Copy, Debug)]
pub struct Cpu;

impl Compute for Cpu {}
