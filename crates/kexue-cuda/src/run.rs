//! Training runs with steps on a device.
//!
//! The state and its updates are here for every run; `classifier_run.rs` computes its gradients otherwise.

use crate::{CudaError, Device, DeviceOptimizer, Engine, Precision, Shard};
use kexue_nn::Model;
use kexue_train::{Accelerator, Loss, NamedState, Task, TrainError, TrainSettings, TransformerBatch};
use rand_chacha::ChaCha8Rng;

/// The accelerator of a run of [`train_on`](kexue_train::train_on), for tasks whose model is a Transformer.
#[derive(Debug)]
pub struct DeviceRun {
    pub(crate) engine: Engine,
    optimizer: DeviceOptimizer,
    /// Number of terms of the last gradient.
    pub(crate) terms: f64,
}

impl DeviceRun {
    /// Moves the model and the optimiser of a run to a device.
    ///
    /// # Errors
    /// As [`Engine::new`] and [`DeviceOptimizer::new`].
    pub fn new(
        device: Device,
        model: &Model,
        settings: &TrainSettings,
        precision: Precision,
    ) -> Result<Self, TrainError> {
        let engine = Engine::new(device, model, precision).map_err(TrainError::task)?;
        Self::on(engine, settings)
    }

    pub(crate) fn on(mut engine: Engine, settings: &TrainSettings) -> Result<Self, TrainError> {
        let (chain, averages) = (settings.chain(), settings.averages());
        let optimizer = DeviceOptimizer::new(&mut engine, &chain, settings.steps, &averages)?;
        Ok(Self {
            engine,
            optimizer,
            terms: 0.0,
        })
    }

    /// The driver's name of the device, such as `NVIDIA H100`.
    pub fn device_name(&self) -> String {
        self.engine.device_name()
    }

    /// [`Accelerator::load`].
    pub(crate) fn take_over(&mut self, values: &[f32], state: Vec<NamedState<'_>>) -> Result<(), TrainError> {
        self.engine.set_parameters(values).map_err(TrainError::task)?;
        self.optimizer.load(&mut self.engine, state).map_err(TrainError::task)
    }

    /// [`Accelerator::apply`].
    pub(crate) fn update(&mut self, step: u64) -> Result<(), TrainError> {
        self.optimizer
            .step(&mut self.engine, step, self.terms)
            .map_err(TrainError::task)
    }

    /// [`Accelerator::store`].
    pub(crate) fn bring_back(&mut self, values: &mut [f32], state: Vec<NamedState<'_>>) -> Result<(), TrainError> {
        self.engine.parameters_into(values).map_err(TrainError::task)?;
        self.optimizer.store(&mut self.engine, state).map_err(TrainError::task)
    }
}

impl<T> Accelerator<T> for DeviceRun
where
    T: Task<Model = Model>,
    T::Batch: TransformerBatch,
{
    fn load(&mut self, values: &[f32], state: Vec<NamedState<'_>>) -> Result<(), TrainError> {
        self.take_over(values, state)
    }

    fn gradient(&mut self, _: &T, shards: &[(T::Batch, ChaCha8Rng)], _: u64) -> Result<Loss, TrainError> {
        let views: Vec<Shard<'_>> = shards
            .iter()
            .map(|(batch, generator)| Shard {
                packed: batch.packed(),
                objective: Some(batch.objective()),
                generator: Some(generator),
            })
            .collect();
        let (sum, _) = self
            .engine
            .loss(&views)
            .map_err(|error: CudaError| TrainError::task(error))?;
        let mut total = Loss::default();
        for (batch, _) in shards {
            let loss = batch.loss(0.0);
            total.terms += loss.terms;
            total.items += loss.items;
        }
        total.sum = sum;
        self.terms = total.terms;
        Ok(total)
    }

    fn apply(&mut self, step: u64) -> Result<(), TrainError> {
        self.update(step)
    }

    fn store(&mut self, values: &mut [f32], state: Vec<NamedState<'_>>) -> Result<(), TrainError> {
        self.bring_back(values, state)
    }
}
