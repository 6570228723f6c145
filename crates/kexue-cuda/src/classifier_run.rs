//! Fine-tuning runs: the Transformer on a device, the head and the loss on the CPU.

use crate::plan::dropout_words;
use crate::{CudaError, Device, DeviceOptimizer, Engine, Precision, Shard};
use kexue_nn::{Classifier, ClassifierTape};
use kexue_optim::Parameters;
use kexue_train::{Accelerator, ClassifierTask, Loss, NamedState, TrainError, TrainSettings};
use rand_chacha::ChaCha8Rng;

/// The accelerator of a run of [`train_on`](kexue_train::train_on), for tasks that train a [`Classifier`].
#[derive(Debug)]
pub struct ClassifierRun {
    engine: Engine,
    optimizer: DeviceOptimizer,
    /// Of which only the head's parameters are those of the present step.
    classifier: Classifier,
    tape: ClassifierTape,
    d_logits: Vec<f32>,
    /// Only the head's part is used.
    gradient: Vec<f32>,
    /// Number of terms of the last gradient.
    terms: f64,
}

impl ClassifierRun {
    /// Moves the model and the optimiser of a run to a device.
    ///
    /// # Errors
    /// As [`Engine::new`] and [`DeviceOptimizer::new`].
    pub fn new(
        device: Device,
        classifier: &Classifier,
        settings: &TrainSettings,
        precision: Precision,
    ) -> Result<Self, TrainError> {
        let engine = Engine::new(device, classifier.model(), precision).map_err(TrainError::task)?;
        Self::on(engine, classifier, settings)
    }

    pub(crate) fn on(
        mut engine: Engine,
        classifier: &Classifier,
        settings: &TrainSettings,
    ) -> Result<Self, TrainError> {
        let (chain, averages) = (settings.chain(), settings.averages());
        let optimizer = DeviceOptimizer::new(&mut engine, &chain, settings.steps, &averages)?;
        Ok(Self {
            engine,
            optimizer,
            classifier: classifier.clone(),
            tape: ClassifierTape::default(),
            d_logits: Vec::new(),
            gradient: vec![0.0; classifier.slots().size()],
            terms: 0.0,
        })
    }

    /// The driver's name of the device, such as `NVIDIA H100`.
    pub fn device_name(&self) -> String {
        self.engine.device_name()
    }

    /// Computes the loss, and leaves its gradient on the device. `generators` advance as on the CPU.
    fn pass<T: ClassifierTask>(
        &mut self,
        task: &T,
        shards: &[(T::Batch, ChaCha8Rng)],
        generators: &mut [ChaCha8Rng],
        offset: &[f32],
    ) -> Result<Loss, CudaError> {
        let config = self.classifier.model().config().clone();
        let views: Vec<Shard<'_>> = shards
            .iter()
            .zip(&*generators)
            .map(|((batch, _), generator)| Shard {
                packed: T::packed(batch),
                objective: None,
                generator: Some(generator),
            })
            .collect();
        let states = self.engine.states(&views, offset)?;
        drop(views);
        let head = self.classifier.head();
        self.gradient[head.clone()].fill(0.0);
        let (mut total, mut d_states) = (Loss::default(), Vec::with_capacity(states.len()));
        let mut rest = &states[..];
        for ((batch, _), generator) in shards.iter().zip(generators) {
            let packed = T::packed(batch);
            let here;
            (here, rest) = rest.split_at(packed.rows().count() * config.d_model);
            if here.is_empty() {
                continue;
            }
            generator.set_word_pos(generator.get_word_pos() + dropout_words(&config, packed));
            self.classifier
                .states_forward(here.to_vec(), &mut self.tape, Some(generator));
            total += task.logits_loss(batch, self.tape.logits(), &mut self.d_logits);
            let back = self
                .classifier
                .states_backward(&mut self.tape, &self.d_logits, &mut self.gradient);
            d_states.extend_from_slice(back);
        }
        self.engine.states_backward(&d_states)?;
        self.engine.set_gradient_of(head, &self.gradient)?;
        Ok(total)
    }

    fn loss<T: ClassifierTask>(&mut self, task: &T, shards: &[(T::Batch, ChaCha8Rng)]) -> Result<Loss, CudaError> {
        let head = self.classifier.head();
        self.engine.parameters_of(head, self.classifier.values_mut())?;
        let mut generators: Vec<ChaCha8Rng> = shards.iter().map(|(_, generator)| generator.clone()).collect();
        let loss = self.pass(task, shards, &mut generators, &[])?;
        if task.perturbation() == 0.0 {
            return Ok(loss);
        }
        let d = self.classifier.model().config().d_model;
        let tokens = shards.iter().map(|(batch, _)| T::packed(batch).len()).sum();
        let derivative = self.engine.d_embeddings(tokens)?;
        let (mut offset, mut rest) = (Vec::with_capacity(derivative.len()), &derivative[..]);
        for (batch, _) in shards {
            let here;
            (here, rest) = rest.split_at(T::packed(batch).len() * d);
            offset.extend(T::packed(batch).steps_along(here, task.perturbation()));
        }
        self.engine.keep_gradient()?;
        let adversarial = self.pass(task, shards, &mut generators, &offset)?;
        self.engine.add_kept_gradient()?;
        Ok(T::with_adversarial(loss, adversarial))
    }
}

impl<T: ClassifierTask> Accelerator<T> for ClassifierRun {
    fn load(&mut self, values: &[f32], state: Vec<NamedState<'_>>) -> Result<(), TrainError> {
        self.engine.set_parameters(values).map_err(TrainError::task)?;
        self.optimizer.load(&mut self.engine, state).map_err(TrainError::task)
    }

    fn gradient(&mut self, task: &T, shards: &[(T::Batch, ChaCha8Rng)], _: u64) -> Result<Loss, TrainError> {
        let loss = self.loss(task, shards).map_err(TrainError::task)?;
        self.terms = loss.terms;
        Ok(loss)
    }

    fn apply(&mut self, step: u64) -> Result<(), TrainError> {
        self.optimizer
            .step(&mut self.engine, step, self.terms)
            .map_err(TrainError::task)
    }

    fn store(&mut self, values: &mut [f32], state: Vec<NamedState<'_>>) -> Result<(), TrainError> {
        self.engine.parameters_into(values).map_err(TrainError::task)?;
        self.optimizer.store(&mut self.engine, state).map_err(TrainError::task)
    }
}
