//! Fine-tuning runs: the Transformer on a device, the head and the loss on the CPU.

use crate::plan::dropout_words;
use crate::{CudaError, Device, DeviceRun, Engine, Precision, Shard};
use kexue_nn::{Classifier, ClassifierTape};
use kexue_optim::{Fisher, Parameters};
use kexue_train::{Accelerator, ClassifierTask, Loss, NamedState, TrainError, TrainSettings};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::RngCore;

/// The head of a classifier whose Transformer is on a device.
#[derive(Debug)]
struct HostHead {
    /// Of which only the head's parameters are those of the present step.
    classifier: Classifier,
    tape: ClassifierTape,
    d_logits: Vec<f32>,
    /// Only the head's part is used.
    gradient: Vec<f32>,
}

impl HostHead {
    fn new(classifier: &Classifier) -> Self {
        Self {
            classifier: classifier.clone(),
            tape: ClassifierTape::default(),
            d_logits: Vec::new(),
            gradient: vec![0.0; classifier.slots().size()],
        }
    }

    /// Computes the loss, and leaves its gradient on the device. With a generator for each batch there is dropout, and the generators advance as on the
    /// CPU.
    fn pass<T: ClassifierTask>(
        &mut self,
        engine: &mut Engine,
        task: &T,
        batches: &[&T::Batch],
        generators: &mut [ChaCha8Rng],
        offset: &[f32],
    ) -> Result<Loss, CudaError> {
        let config = self.classifier.model().config().clone();
        let numbered = batches.iter().enumerate();
        let views: Vec<Shard<'_>> = numbered
            .map(|(shard, batch)| Shard {
                packed: T::packed(batch),
                objective: None,
                generator: generators.get(shard),
            })
            .collect();
        let states = engine.states(&views, offset)?;
        let head = self.classifier.head();
        self.gradient[head.clone()].fill(0.0);
        let (mut total, mut d_states) = (Loss::default(), Vec::with_capacity(states.len()));
        let mut rest = &states[..];
        for (shard, batch) in batches.iter().enumerate() {
            let packed = T::packed(batch);
            let here;
            (here, rest) = rest.split_at(packed.rows().count() * config.d_model);
            if here.is_empty() {
                continue;
            }
            let generator = generators.get_mut(shard).map(|generator| {
                generator.set_word_pos(generator.get_word_pos() + dropout_words(&config, packed));
                generator as &mut dyn RngCore
            });
            self.classifier.states_forward(here.to_vec(), &mut self.tape, generator);
            total += task.logits_loss(batch, self.tape.logits(), &mut self.d_logits);
            let back = self
                .classifier
                .states_backward(&mut self.tape, &self.d_logits, &mut self.gradient);
            d_states.extend_from_slice(back);
        }
        engine.states_backward(&d_states)?;
        engine.set_gradient_of(head, &self.gradient)?;
        Ok(total)
    }

    fn loss<T: ClassifierTask>(
        &mut self,
        engine: &mut Engine,
        task: &T,
        shards: &[(T::Batch, ChaCha8Rng)],
    ) -> Result<Loss, CudaError> {
        let head = self.classifier.head();
        engine.parameters_of(head, self.classifier.values_mut())?;
        let batches: Vec<&T::Batch> = shards.iter().map(|(batch, _)| batch).collect();
        let mut generators: Vec<ChaCha8Rng> = shards.iter().map(|(_, generator)| generator.clone()).collect();
        let loss = self.pass(engine, task, &batches, &mut generators, &[])?;
        if task.perturbation() == 0.0 {
            return Ok(loss);
        }
        let d = self.classifier.model().config().d_model;
        let tokens = batches.iter().map(|batch| T::packed(batch).len()).sum();
        let derivative = engine.d_embeddings(tokens)?;
        let (mut offset, mut rest) = (Vec::with_capacity(derivative.len()), &derivative[..]);
        for batch in &batches {
            let here;
            (here, rest) = rest.split_at(T::packed(batch).len() * d);
            offset.extend(T::packed(batch).steps_along(here, task.perturbation()));
        }
        engine.keep_gradient()?;
        let adversarial = self.pass(engine, task, &batches, &mut generators, &offset)?;
        engine.add_kept_gradient()?;
        Ok(T::with_adversarial(loss, adversarial))
    }
}

/// The Fisher information of a classifier over batches of one example each, without dropout, on a device.
///
/// # Errors
/// As [`Engine::new`], or if a batch does not fit the model.
pub fn fisher<T: ClassifierTask>(
    device: Device,
    precision: Precision,
    task: &T,
    classifier: &Classifier,
    samples: &mut dyn Iterator<Item = T::Batch>,
) -> Result<Fisher, TrainError> {
    let engine = Engine::new(device, classifier.model(), precision).map_err(TrainError::task)?;
    fisher_on(engine, task, classifier, samples).map_err(TrainError::task)
}

pub(crate) fn fisher_on<T: ClassifierTask>(
    mut engine: Engine,
    task: &T,
    classifier: &Classifier,
    samples: &mut dyn Iterator<Item = T::Batch>,
) -> Result<Fisher, CudaError> {
    let mut head = HostHead::new(classifier);
    let mut count = 0;
    for batch in samples {
        head.pass(&mut engine, task, &[&batch], &mut [], &[])?;
        engine.keep_squares()?;
        count += 1;
    }
    Ok(Fisher::of_sums(engine.kept_values()?, count))
}

/// The accelerator of a run of [`train_on`](kexue_train::train_on), for tasks that train a [`Classifier`].
#[derive(Debug)]
pub struct ClassifierRun {
    run: DeviceRun,
    head: HostHead,
}

impl ClassifierRun {
    /// Moves the model and the optimiser of a run to a device.
    ///
    /// # Errors
    /// As [`DeviceRun::new`].
    pub fn new(
        device: Device,
        classifier: &Classifier,
        settings: &TrainSettings,
        precision: Precision,
    ) -> Result<Self, TrainError> {
        let run = DeviceRun::new(device, classifier.model(), settings, precision)?;
        Ok(Self::of(run, classifier))
    }

    pub(crate) fn of(run: DeviceRun, classifier: &Classifier) -> Self {
        Self {
            run,
            head: HostHead::new(classifier),
        }
    }

    /// The driver's name of the device, such as `NVIDIA H100`.
    pub fn device_name(&self) -> String {
        self.run.device_name()
    }
}

impl<T: ClassifierTask> Accelerator<T> for ClassifierRun {
    fn load(&mut self, values: &[f32], state: Vec<NamedState<'_>>) -> Result<(), TrainError> {
        self.run.take_over(values, state)
    }

    fn gradient(&mut self, task: &T, shards: &[(T::Batch, ChaCha8Rng)], _: u64) -> Result<Loss, TrainError> {
        let loss = self.head.loss(&mut self.run.engine, task, shards);
        let loss = loss.map_err(TrainError::task)?;
        self.run.terms = loss.terms;
        Ok(loss)
    }

    fn apply(&mut self, step: u64) -> Result<(), TrainError> {
        self.run.update(step)
    }

    fn store(&mut self, values: &mut [f32], state: Vec<NamedState<'_>>) -> Result<(), TrainError> {
        self.run.bring_back(values, state)
    }
}
