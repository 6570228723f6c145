//! A Transformer with a head that predicts classes or numbers for whole sequences, forward and backward.

use crate::dropout::Dropout;
use crate::kernels::{activate, activate_backward, gather, linear, linear_backward, resize};
use crate::parameters::Pair;
use crate::pretrained::{self, Family, Pretrained, PretrainedError, default_positions, our_name};
use crate::tensors::{Renamed, Tensors};
use crate::training::two;
use crate::weights::check_shape;
use crate::{
    Head, InferenceDevice, InferencePrecision, Model, PackedBatch, Role, Slot, Tape, TransformerConfig, WeightsError,
};
use kexue_optim::{Parameters, Place, Slots};
use rand::{Rng, RngCore};
use std::collections::HashMap;
use std::convert::Infallible;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// A model that computes logits for each sequence from the last hidden state of its first token, as `…ForSequenceClassification` of `transformers`.
///
/// BERT's head is its pooler, `tanh(W·x + b)`, dropout and a linear layer. RoFormer's is dropout, a dense layer with the model's activation, dropout
/// and a linear layer. One flat vector holds the parameters of the Transformer, without the head of a masked language model, and then those of the new
/// head.
#[derive(Clone, Debug)]
pub struct Classifier {
    model: Model,
    family: Family,
    dense: Pair,
    output: Pair,
    labels: usize,
    /// `max_position_embeddings` of saved files.
    positions: usize,
}

/// The values of the forward pass that [`Classifier::backward`] needs, and working memory of both. Reuse it from batch to batch.
#[derive(Debug, Default)]
pub struct ClassifierTape {
    /// The tape of the Transformer.
    pub tape: Tape,
    d_hidden: Vec<f32>,
    /// The first token's hidden state of each sequence, after dropout, `[sequences, d_model]`.
    states: Vec<f32>,
    states_kept: Vec<u8>,
    /// The dense layer before the activation.
    dense: Vec<f32>,
    /// The dense layer after activation and dropout.
    activated: Vec<f32>,
    /// The dense layer after the activation, before dropout.
    undropped: Vec<f32>,
    activated_kept: Vec<u8>,
    /// `[sequences, labels]`.
    logits: Vec<f32>,
    d_activated: Vec<f32>,
    d_states: Vec<f32>,
}

impl ClassifierTape {
    /// The logits of the last forward pass, `[sequences, labels]`.
    pub fn logits(&self) -> &[f32] {
        &self.logits
    }

    /// After a backward pass, the derivative of the loss with respect to the sum of the embeddings, `[tokens, d_model]`.
    pub fn d_embeddings(&self) -> &[f32] {
        &self.d_hidden
    }
}

impl Classifier {
    /// A pretrained model with a randomly initialised head of `labels` logits. Keeps BERT's pooler if there is one.
    ///
    /// # Panics
    /// If the pretrained model was loaded for inference.
    pub fn new(pretrained: &Pretrained, labels: usize, generator: &mut impl Rng) -> Self {
        let mut model = pretrained.model.without_head();
        let family = Family::of(model.config());
        let Ok::<_, Infallible>((dense, output)) = add_head(&mut model, labels, |config, slot, values| {
            config.initializer.fill(config, slot, values, generator);
            Ok(())
        });
        if let Some(pooler) = pretrained.pooler.as_ref().filter(|_| family == Family::Bert) {
            model.values_mut()[dense.weight.clone()].copy_from_slice(&pooler.weight);
            model.values_mut()[dense.bias.clone()].copy_from_slice(&pooler.bias);
        }
        Self {
            model,
            family,
            dense,
            output,
            labels,
            positions: pretrained.positions,
        }
    }

    /// A fine-tuned model from the file of its weights, for inference only: the linear layers of its blocks are packed as they are read, in the precision
    /// given, and are in memory only so. It can be neither changed, nor trained, nor saved.
    ///
    /// # Errors
    /// If the configuration is invalid, the file cannot be read, or a parameter is missing or has another shape. The error names the file and the parameter.
    pub fn load_for_inference(
        config: TransformerConfig,
        labels: usize,
        path: &Path,
        precision: InferencePrecision,
    ) -> Result<Self, PretrainedError> {
        Self::load_with(config, labels, path, |config, tensors| {
            Model::from_tensors_for_inference(config, tensors, precision)
        })
    }

    /// A fine-tuned model from the file of its weights, with all parameters.
    ///
    /// # Errors
    /// As [`load_for_inference`](Self::load_for_inference).
    pub fn load(config: TransformerConfig, labels: usize, path: &Path) -> Result<Self, PretrainedError> {
        Self::load_with(config, labels, path, |config, tensors| {
            Model::from_tensors(config, tensors)
        })
    }

    fn load_with(
        config: TransformerConfig,
        labels: usize,
        path: &Path,
        make: impl FnOnce(TransformerConfig, &mut dyn Tensors) -> Result<Model, WeightsError>,
    ) -> Result<Self, PretrainedError> {
        let family = Family::of(&config);
        let config = TransformerConfig {
            head: Head::None,
            ..config
        };
        let file = pretrained::open(path)?;
        let read = || {
            let mut tensors = Renamed::new(vec![file], |name| our_name(family, name))?;
            let mut model = make(config, &mut tensors)?;
            let (dense, output) = add_head(&mut model, labels, |_, slot, values| {
                check_shape(&tensors, &slot.name, &slot.shape)?;
                tensors.read(&slot.name, values)
            })?;
            Ok(Self {
                positions: default_positions(model.config()),
                model,
                family,
                dense,
                output,
                labels,
            })
        };
        read().map_err(|source| PretrainedError::Weights {
            path: path.to_owned(),
            source,
        })
    }

    /// `max_position_embeddings` of saved files.
    pub(crate) fn positions(&self) -> usize {
        self.positions
    }

    /// The Transformer. Its flat vector holds the head's parameters too.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Changes the precision in which an [`Encoder`](crate::Encoder) runs the Transformer.
    pub fn set_inference_precision(&mut self, precision: InferencePrecision) {
        self.model.set_inference_precision(precision);
    }

    /// Lets an [`Encoder`](crate::Encoder) run the Transformer on a device; see [`Model::set_device`].
    pub fn set_device(&mut self, device: Arc<dyn InferenceDevice>) {
        self.model.set_device(device);
    }

    /// The family, which determines the head.
    pub fn family(&self) -> Family {
        self.family
    }

    /// Number of logits.
    pub fn labels(&self) -> usize {
        self.labels
    }

    /// The parameters of the head in the flat vector.
    pub fn head(&self) -> Range<usize> {
        self.dense.weight.start..self.output.bias.end
    }

    /// The parameters with their names in saved files: those of the Transformer begin with `bert.` or `roformer.`.
    pub(crate) fn saved_slots(&self) -> Slots {
        let mut saved = Slots::default();
        for slot in self.slots() {
            saved.add(self.saved_name(&slot.name), slot.role, slot.place, &slot.shape);
        }
        saved
    }

    /// The name of a tensor in a saved file.
    pub(crate) fn saved_name(&self, name: &str) -> String {
        match name.starts_with("classifier.") {
            true => name.to_owned(),
            false => format!("{}.{name}", self.family.model_type()),
        }
    }

    /// Computes the logits of a batch, which are then in [`ClassifierTape::logits`]. Dropout is applied only if a generator is given.
    ///
    /// # Panics
    /// As [`Model::forward`].
    pub fn forward(&self, batch: &PackedBatch, tape: &mut ClassifierTape, mut generator: Option<&mut dyn RngCore>) {
        let random = generator.as_mut().map(|random| &mut **random as &mut dyn RngCore);
        self.model.forward(batch, &mut tape.tape, random);
        // Taken out, so that the head can write to the rest of the tape.
        let transformer = std::mem::take(&mut tape.tape);
        self.head_forward(batch, transformer.hidden(), tape, generator);
        tape.tape = transformer;
    }

    /// Computes the logits from the Transformer's last hidden states, `[tokens, d_model]`.
    pub fn head_forward(
        &self,
        batch: &PackedBatch,
        hidden: &[f32],
        tape: &mut ClassifierTape,
        generator: Option<&mut dyn RngCore>,
    ) {
        let mut states = std::mem::take(&mut tape.states);
        let first_tokens = batch.rows().map(|sequence| sequence.start);
        gather(&mut states, hidden, self.model.config().d_model, first_tokens);
        self.states_forward(states, tape, generator);
    }

    /// Computes the logits from the last hidden states of the sequences' first tokens, `[sequences, d_model]`.
    pub fn states_forward(&self, states: Vec<f32>, tape: &mut ClassifierTape, mut generator: Option<&mut dyn RngCore>) {
        let config = self.model.config();
        let d = config.d_model;
        let count = states.len() / d;
        tape.states = states;
        let dropout = Dropout::new(config.dropout);
        if self.family == Family::RoFormer {
            dropout.forward(&mut tape.states, &mut tape.states_kept, generator.as_deref_mut());
        }
        let dense = resize(&mut tape.dense, count * d);
        linear(dense, &tape.states, self.model.linear(&self.dense), count);
        let activated = resize(&mut tape.activated, count * d);
        match self.family {
            Family::Bert => activated.iter_mut().zip(dense).for_each(|(y, x)| *y = x.tanh()),
            Family::RoFormer => activate(config.activation, activated, dense),
        }
        resize(&mut tape.undropped, count * d).copy_from_slice(activated);
        dropout.forward(activated, &mut tape.activated_kept, generator);
        tape.logits.resize(count * self.labels, 0.0);
        linear(&mut tape.logits, activated, self.model.linear(&self.output), count);
    }

    /// The backward pass of [`Self::states_forward`]: adds to the head's part of `gradient`, and returns the derivative of the loss with respect to the
    /// states, `[sequences, d_model]`.
    ///
    /// # Panics
    /// If the shapes do not match.
    pub fn states_backward<'t>(
        &self,
        tape: &'t mut ClassifierTape,
        d_logits: &[f32],
        gradient: &mut [f32],
    ) -> &'t mut [f32] {
        let config = self.model.config();
        let d = config.d_model;
        let count = d_logits.len() / self.labels;
        let dropout = Dropout::new(config.dropout);
        let d_activated = resize(&mut tape.d_activated, count * d);
        let output = self.model.linear(&self.output);
        let activated = &tape.activated[..count * d];
        linear_backward(
            d_activated,
            two(gradient, &self.output),
            d_logits,
            activated,
            output,
            count,
        );
        dropout.backward(d_activated, &tape.activated_kept);
        match self.family {
            Family::Bert => {
                let outputs = d_activated.iter_mut().zip(&tape.undropped);
                outputs.for_each(|(dy, y)| *dy *= 1.0 - y * y);
            }
            Family::RoFormer => activate_backward(config.activation, d_activated, &tape.dense[..count * d]),
        }
        let d_states = resize(&mut tape.d_states, count * d);
        let dense = self.model.linear(&self.dense);
        let states = &tape.states[..count * d];
        linear_backward(d_states, two(gradient, &self.dense), d_activated, states, dense, count);
        if self.family == Family::RoFormer {
            dropout.backward(d_states, &tape.states_kept);
        }
        d_states
    }

    /// Adds to `gradient` the gradient of a loss whose derivative with respect to the logits is `d_logits`, `[sequences, labels]`. Batch and tape must be those
    /// of the last [`Self::forward`].
    ///
    /// # Panics
    /// As [`Model::backward`].
    pub fn backward(&self, batch: &PackedBatch, tape: &mut ClassifierTape, d_logits: &[f32], gradient: &mut [f32]) {
        let d = self.model.config().d_model;
        let mut d_hidden = std::mem::take(&mut tape.d_hidden);
        d_hidden.clear();
        d_hidden.resize(batch.len() * d, 0.0);
        let d_states = self.states_backward(tape, d_logits, gradient);
        for (sequence, d_state) in batch.rows().zip(d_states.chunks_exact(d)) {
            d_hidden[sequence.start * d..][..d].copy_from_slice(d_state);
        }
        self.model.backward(batch, &mut tape.tape, &mut d_hidden, gradient);
        tape.d_hidden = d_hidden;
    }
}

impl Parameters for Classifier {
    fn slots(&self) -> &Slots {
        self.model.layout().slots()
    }

    fn values(&self) -> &[f32] {
        self.model.values()
    }

    fn values_mut(&mut self) -> &mut [f32] {
        self.model.values_mut()
    }

    /// Uses the tensor names of `transformers`.
    fn save(&self, metadata: HashMap<String, String>) -> Result<Vec<u8>, kexue_optim::WeightsError> {
        self.to_safetensors(metadata)
            .map_err(|error| kexue_optim::WeightsError(error.to_string()))
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), kexue_optim::WeightsError> {
        self.load_safetensors(bytes)
            .map_err(|error| kexue_optim::WeightsError(error.to_string()))
    }
}

impl Model {
    /// The same parameters without the head of a masked language model.
    fn without_head(&self) -> Self {
        self.expect_all_parameters();
        let mut config = self.config().clone();
        config.head = Head::None;
        let size = crate::Layout::new(&config).len();
        // The head is at the end of every layout.
        Self::truncated(config, self.values()[..size].to_vec())
    }
}

/// Adds the layers of the family's head at the end of the parameters, with the values that `fill` writes.
fn add_head<E>(
    model: &mut Model,
    labels: usize,
    mut fill: impl FnMut(&TransformerConfig, &Slot, &mut [f32]) -> Result<(), E>,
) -> Result<(Pair, Pair), E> {
    let d = model.config().d_model;
    let [dense_name, output_name] = match Family::of(model.config()) {
        Family::Bert => ["pooler.dense", "classifier"],
        Family::RoFormer => ["classifier.dense", "classifier.out_proj"],
    };
    let mut add = |name: &str, role: Role, shape: &[usize]| {
        let mut slots = Slots::default();
        slots.add(name, role, Place::Head, shape);
        let mut values = vec![0.0; slots.size()];
        fill(model.config(), &slots[0], &mut values)?;
        Ok(model.extend(name, role, shape, &values))
    };
    let mut add_linear = |name: &str, outputs: usize| {
        Ok(Pair {
            weight: add(&format!("{name}.weight"), Role::Dense, &[outputs, d])?,
            bias: add(&format!("{name}.bias"), Role::Bias, &[outputs])?,
        })
    };
    Ok((add_linear(dense_name, d)?, add_linear(output_name, labels)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Initializer, Mask, NormPlacement, Positions, StdConvention, TransformerConfig};
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    fn classifier(positions: Positions) -> Classifier {
        let config = TransformerConfig {
            d_model: 16,
            layers: 2,
            heads: 2,
            d_ffn: 24,
            dropout: 0.25,
            head: Head::DenseNorm,
            norm_placement: NormPlacement::Post,
            positions,
            max_positions: if positions == Positions::Learned { 12 } else { 0 },
            token_types: 2,
            initializer: Initializer::truncated_normal(0.3, StdConvention::Effective),
            ..TransformerConfig::new(20)
        };
        let mut generator = ChaCha8Rng::seed_from_u64(3);
        let model = Model::new(config, &mut generator).unwrap();
        Classifier::new(&Pretrained::new(model), 3, &mut generator)
    }

    fn batch() -> PackedBatch {
        let mut batch = PackedBatch::default();
        batch.push_pair(&[1, 5, 2], &[9, 10, 2], Mask::BIDIRECTIONAL);
        batch.push(&[1, 8, 2], Mask::BIDIRECTIONAL);
        batch
    }

    fn loss(model: &Classifier, tape: &mut ClassifierTape) -> f64 {
        model.forward(&batch(), tape, Some(&mut ChaCha8Rng::seed_from_u64(11)));
        let weighted = tape.logits().iter().zip(WEIGHTS).map(|(&x, w)| f64::from(x * w));
        weighted.sum()
    }

    const WEIGHTS: [f32; 6] = [0.5, -1.0, 2.0, 1.5, -0.3, 0.8];

    #[test]
    fn backward_agrees_with_finite_differences() {
        for positions in [Positions::Learned, Positions::Rotary] {
            let mut model = classifier(positions);
            let mut tape = ClassifierTape::default();
            loss(&model, &mut tape);
            let mut gradient = vec![0.0; model.slots().size()];
            model.backward(&batch(), &mut tape, &WEIGHTS, &mut gradient);
            for slot in model.slots().to_vec() {
                let mut random = ChaCha8Rng::seed_from_u64(slot.range.start as u64);
                let direction: Vec<f32> = slot.range.clone().map(|_| random.random_range(-1.0..1.0)).collect();
                let pairs = gradient[slot.range.clone()].iter().zip(&direction);
                let exact: f64 = pairs.map(|(&g, &u)| f64::from(g * u)).sum();
                let mut moved = |step: f32| {
                    let kept = model.values()[slot.range.clone()].to_vec();
                    let values = model.values_mut()[slot.range.clone()].iter_mut();
                    values.zip(&direction).for_each(|(value, u)| *value += step * u);
                    let loss = loss(&model, &mut tape);
                    model.values_mut()[slot.range.clone()].copy_from_slice(&kept);
                    loss
                };
                let step = 2e-3;
                let near = moved(step) - moved(-step);
                let numeric = (8.0 * near - (moved(2.0 * step) - moved(-2.0 * step))) / (12.0 * f64::from(step));
                let squares = gradient[slot.range.clone()].iter().map(|&g| f64::from(g).powi(2));
                let size = squares.sum::<f64>().sqrt();
                assert!(
                    (exact - numeric).abs() < 3e-3 * (1.0 + size),
                    "{}: {exact} but {numeric}",
                    slot.name
                );
            }
        }
    }

    #[test]
    fn an_offset_of_the_embeddings_moves_the_loss_as_its_derivative_says() {
        let model = classifier(Positions::Learned);
        let mut tape = ClassifierTape::default();
        loss(&model, &mut tape);
        model.backward(&batch(), &mut tape, &WEIGHTS, &mut vec![0.0; model.slots().size()]);
        let derivative = tape.d_embeddings().to_vec();
        let squares: f64 = derivative.iter().map(|&g| f64::from(g).powi(2)).sum();
        let mut moved = |step: f32| {
            tape.tape.set_offset(derivative.iter().map(|g| step * g).collect());
            loss(&model, &mut tape)
        };
        let numeric = (moved(1e-3) - moved(-1e-3)) / 2e-3;
        assert!((numeric / squares - 1.0).abs() < 1e-2, "{numeric} but {squares}");
        tape.tape.set_offset(Vec::new());
        let mut fresh = ClassifierTape::default();
        assert_eq!(loss(&model, &mut tape), loss(&model, &mut fresh), "no offset any more");
    }

    #[test]
    fn weights_go_there_and_back_by_the_names_of_transformers() {
        for (positions, expected) in [
            (Positions::Learned, ["bert.pooler.dense.weight", "classifier.bias"]),
            (
                Positions::Rotary,
                ["classifier.dense.weight", "classifier.out_proj.bias"],
            ),
        ] {
            let model = classifier(positions);
            let names: Vec<String> = model.saved_slots().iter().map(|slot| slot.name.clone()).collect();
            assert!(
                expected.iter().all(|name| names.iter().any(|other| other == name)),
                "{names:?}"
            );
            let bytes = model.save(HashMap::new()).unwrap();
            let mut read = classifier(positions);
            read.values_mut().fill(0.0);
            read.load(&bytes).unwrap();
            assert_eq!(read.values(), model.values());
            for length in (0..bytes.len()).step_by(97) {
                assert!(read.load(&bytes[..length]).is_err());
            }
        }
    }
}
