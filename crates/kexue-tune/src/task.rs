//! Fine-tuning as a task of the training loop.

use crate::dataset::{Dataset, Encoded, Labels};
use crate::method::Method;
use crate::metrics::Measure;
use crate::objective::{divergence, loss};
use crate::predict::{logits, measure};
use kexue_nn::{Classifier, ClassifierTape, PackedBatch};
use kexue_train::{ClassifierTask, Loss, Metric, Task, TrainError};
use rand_chacha::ChaCha8Rng;
use std::collections::HashMap;
use std::hash::{Hash as _, Hasher};

/// Fine-tuning on examples, with validation on others.
#[derive(Clone, Debug)]
pub struct TuneTask<'a> {
    /// The training examples, which must all have targets.
    pub training: &'a Dataset,
    /// The validation examples.
    pub held_out: &'a Dataset,
    /// The kind of labels.
    pub labels: &'a Labels,
    /// The measures. The first one selects the best step.
    pub measures: &'a [Measure],
    /// The method, of which the task implements R-Drop and FGM. Masks are part of the optimiser.
    pub method: Method,
    /// Whether the model has embeddings of the two texts of a pair.
    pub has_segments: bool,
}

/// Packed examples. For R-Drop, all examples follow a second time.
pub struct TuneBatch {
    packed: PackedBatch,
    targets: Vec<f32>,
}

/// Working memory of a shard.
#[derive(Debug, Default)]
pub struct TuneWorkspace {
    tape: ClassifierTape,
    d_logits: Vec<f32>,
}

impl TuneTask<'_> {
    /// The task without R-Drop and FGM, which change the loss but not the probability of the labels.
    pub(crate) fn without_technique(&self) -> Self {
        Self {
            method: Method::default(),
            ..self.clone()
        }
    }

    /// The training examples, one by one.
    pub(crate) fn samples(&self) -> impl Iterator<Item = TuneBatch> + '_ {
        let examples = &self.training.examples;
        examples.iter().map(|example| self.pack(std::iter::once(example)))
    }

    /// Packs examples into a batch, twice for R-Drop.
    pub(crate) fn pack<'e>(&self, examples: impl Iterator<Item = &'e Encoded> + Clone) -> TuneBatch {
        let mut packed = PackedBatch::default();
        for _ in 0..if self.method.r_drop > 0.0 { 2 } else { 1 } {
            examples
                .clone()
                .for_each(|example| example.push(&mut packed, self.has_segments));
        }
        packed.set_first_tokens_as_outputs();
        let targets = examples.map(|example| example.target.unwrap_or(0.0)).collect();
        TuneBatch { packed, targets }
    }

    /// Computes the loss of a batch and adds its gradient. Dropout is applied only if a generator is given.
    pub(crate) fn gradient(
        &self,
        model: &Classifier,
        batch: &TuneBatch,
        generator: Option<&mut ChaCha8Rng>,
        workspace: &mut TuneWorkspace,
        gradient: &mut [f32],
    ) -> Loss {
        let random = generator.map(|random| random as &mut dyn rand_chacha::rand_core::RngCore);
        let TuneWorkspace { tape, d_logits } = workspace;
        model.forward(&batch.packed, tape, random);
        let loss = self.logits_loss(batch, tape.logits(), d_logits);
        model.backward(&batch.packed, tape, d_logits, gradient);
        loss
    }
}

impl ClassifierTask for TuneTask<'_> {
    fn packed(batch: &TuneBatch) -> &PackedBatch {
        &batch.packed
    }

    fn logits_loss(&self, batch: &TuneBatch, logits: &[f32], d_logits: &mut Vec<f32>) -> Loss {
        let terms = batch.targets.len() as f64;
        let width = self.labels.logits();
        d_logits.clear();
        d_logits.resize(logits.len(), 0.0);
        let passes = logits.len() / (width * batch.targets.len()).max(1);
        let weight = 1.0 / passes as f32;
        let mut sum = 0.0;
        let rows = logits.chunks_exact(width).zip(d_logits.chunks_exact_mut(width));
        for ((logits, d_logits), target) in rows.zip(batch.targets.iter().cycle()) {
            sum += f64::from(weight) * loss(logits, *target, weight, d_logits);
        }
        let mut also = Vec::new();
        if self.method.r_drop > 0.0 {
            let half = logits.len() / 2;
            let (first, second) = d_logits.split_at_mut(half);
            let pairs = logits[..half]
                .chunks_exact(width)
                .zip(logits[half..].chunks_exact(width));
            let d_pairs = first.chunks_exact_mut(width).zip(second.chunks_exact_mut(width));
            let divergences = pairs
                .zip(d_pairs)
                .map(|((a, b), (d_a, d_b))| divergence([a, b], self.method.r_drop, [d_a, d_b]));
            also.push(("divergence".to_owned(), divergences.sum(), terms));
        }
        Loss {
            sum,
            terms,
            items: batch.targets.len(),
            also,
        }
    }

    fn perturbation(&self) -> f32 {
        self.method.fgm
    }

    fn with_adversarial(mut loss: Loss, adversarial: Loss) -> Loss {
        let name = "adversarial_loss".to_owned();
        loss.also.push((name, adversarial.sum, adversarial.terms));
        loss
    }
}

impl Task for TuneTask<'_> {
    type Model = Classifier;
    type Batch = TuneBatch;
    type Workspace = TuneWorkspace;

    fn examples(&self) -> usize {
        self.training.examples.len()
    }

    fn hash_examples(&self, mut hasher: &mut dyn Hasher) {
        for example in &self.training.examples {
            (&example.tokens, example.second, example.target.map(f32::to_bits)).hash(&mut hasher);
        }
    }

    fn workspace(&self, _: &Classifier) -> TuneWorkspace {
        TuneWorkspace::default()
    }

    fn batch(&self, examples: &[usize], _: u64, _: &mut ChaCha8Rng) -> Result<TuneBatch, TrainError> {
        let examples = examples.iter().map(|&example| &self.training.examples[example]);
        Ok(self.pack(examples))
    }

    fn loss(
        &self,
        model: &Classifier,
        batch: &TuneBatch,
        generator: &mut ChaCha8Rng,
        workspace: &mut TuneWorkspace,
        gradient: &mut [f32],
    ) -> Result<Loss, TrainError> {
        if batch.targets.is_empty() {
            return Ok(Loss::default());
        }
        let loss = self.gradient(model, batch, Some(generator), workspace, gradient);
        if self.perturbation() == 0.0 {
            return Ok(loss);
        }
        let offset = batch
            .packed
            .steps_along(workspace.tape.d_embeddings(), self.perturbation());
        workspace.tape.tape.set_offset(offset);
        let adversarial = self.gradient(model, batch, Some(generator), workspace, gradient);
        workspace.tape.tape.set_offset(Vec::new());
        Ok(Self::with_adversarial(loss, adversarial))
    }

    fn validate(&self, model: &Classifier) -> Result<Vec<Metric>, TrainError> {
        let logits = logits(model, &self.held_out.examples).map_err(TrainError::task)?;
        Ok(measure(&logits, &self.held_out.examples, self.labels, self.measures))
    }

    fn metadata(&self) -> HashMap<String, String> {
        HashMap::from([("format".to_owned(), "pt".to_owned())])
    }
}
