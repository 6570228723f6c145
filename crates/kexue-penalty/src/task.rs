//! Training of a classifier with a penalty or another regulariser, with measurements of both sides of the inequality.

use crate::examples::Examples;
use crate::network::{NetworkSettings, in_double};
use crate::samples::{Summary, sides};
use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Tensor, TensorData};
use kexue_burn::FlatModule;
use kexue_grad::inequality::MatrixNorm;
use kexue_grad::{Dual, ForwardDual, Mlp, NormPenalty, input_gradient_penalty, parameter_gradient_penalty};
use kexue_optim::Parameters;
use kexue_train::{Loss, Metric, Page, Regularizer, RunConfig, Task, TrainError, TrainSettings};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use std::hash::{Hash as _, Hasher};

/// The data, the penalty and the measurements of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PenaltySettings {
    /// The source of the examples, for messages.
    pub data: String,
    /// Number of training examples.
    pub train_examples: usize,
    /// Size of an input.
    pub inputs: usize,
    /// Number of classes.
    pub classes: usize,
    /// Number of samples on which both sides are measured.
    pub measured: usize,
    /// The regulariser. The penalty of the input gradient is per sample, and that of the parameter gradient is per batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regularizer: Option<Regularizer>,
    /// Whether gradient penalties are differentiated by finite differences instead of exactly.
    pub by_differences: bool,
}

/// The content of a run's `config.toml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PenaltyConfig {
    /// The version of Kexue that wrote it.
    pub version: String,
    /// The network.
    pub model: NetworkSettings,
    /// The run.
    pub train: TrainSettings,
    /// The data, the penalty and the measurements.
    pub penalty: PenaltySettings,
}

impl RunConfig for PenaltyConfig {
    const KIND: &'static str = "penalty";

    fn validate(&self) -> Result<(), TrainError> {
        self.model.validate()
    }
}

/// Training on examples, with tests on others.
pub struct PenaltyTask<'a> {
    settings: &'a PenaltySettings,
    train: &'a Examples,
    test: &'a Examples,
    classes: usize,
    start: Summary,
}

/// Inputs and classes of a batch.
pub struct Batch {
    inputs: Vec<f32>,
    classes: Vec<usize>,
}

/// The cross-entropy of each sample, from logits `[batch, classes]` and one-hot classes.
fn cross_entropy(logits: Dual<2>, one_hot: &Tensor<2>) -> Dual<1> {
    -(logits.log_softmax(1) * Dual::constant(one_hot.clone())).sum_per_sample()
}

impl<'a> PenaltyTask<'a> {
    /// Creates a task for an untrained network.
    ///
    /// # Errors
    /// If the test inputs differ in size from the training inputs, or the inequality cannot be measured.
    pub fn new(
        settings: &'a PenaltySettings,
        train: &'a Examples,
        test: &'a Examples,
        start: &FlatModule<Mlp>,
    ) -> Result<Self, TrainError> {
        if train.size() != test.size() {
            let problem = format!(
                "has inputs of {} numbers, but the training data of {}",
                test.size(),
                train.size()
            );
            return Err(TrainError::Setting {
                field: "test_data",
                problem,
            });
        }
        Ok(Self {
            settings,
            train,
            test,
            classes: settings.classes,
            start: measure(start, train, settings.measured)?,
        })
    }

    /// Both sides before the first step.
    pub fn start(&self) -> &Summary {
        &self.start
    }

    fn tensors(&self, network: &FlatModule<Mlp>, batch: &Batch) -> (Tensor<2>, Tensor<2>) {
        let (count, device) = (batch.classes.len(), network.module().layers()[0].weight.val().device());
        let mut one_hot = vec![0f32; count * self.classes];
        for (row, class) in batch.classes.iter().enumerate() {
            one_hot[row * self.classes + class] = 1.0;
        }
        let tensor =
            |values: Vec<f32>, size: usize| Tensor::<2>::from_data(TensorData::new(values, [count, size]), &device);
        (
            tensor(batch.inputs.clone(), self.train.size()),
            tensor(one_hot, self.classes),
        )
    }

    /// Loss and gradient of a batch with the exact penalties.
    fn exact(&self, network: &FlatModule<Mlp>, batch: &Batch) -> (f64, Vec<f32>) {
        let (inputs, one_hot) = self.tensors(network, batch);
        // Shards are differentiated by several threads.
        let module = &network.fork();
        let mean = |network: &Mlp, tangent: Option<&Mlp>| {
            let logits = network.forward_dual(tangent, Dual::constant(inputs.clone()));
            cross_entropy(logits, &one_hot).mean()
        };
        let loss = mean(module, None).value;
        let penalty = match self.settings.regularizer {
            Some(Regularizer::InputGradient { weight }) => {
                let score = |logits| cross_entropy(logits, &one_hot);
                let penalty = input_gradient_penalty(module, inputs.clone(), score, NormPenalty::Square);
                Some(penalty * f64::from(weight))
            }
            Some(Regularizer::ParameterGradient { weight }) => {
                Some(parameter_gradient_penalty(module, network.layout(), mean) * f64::from(weight))
            }
            _ => None,
        };
        let value = f64::from(loss.clone().into_scalar::<f32>());
        let total = match penalty {
            Some(penalty) => loss + penalty,
            None => loss,
        };
        (value, network.gradient_of(module, total.backward()))
    }

    /// Loss and gradient of a batch with a regulariser that needs only additional gradients. Parameters and inputs form one vector.
    fn by_more_gradients(
        &self,
        regularizer: Regularizer,
        network: &FlatModule<Mlp>,
        batch: &Batch,
    ) -> Result<(f64, Vec<f32>), TrainError> {
        let (inputs, one_hot) = self.tensors(network, batch);
        let (dims, parameters) = (inputs.dims(), network.values().len());
        let (layout, device) = (network.layout(), inputs.device());
        let mut loss = None;
        let mut gradient_at = |values: &[f32]| -> Result<Vec<f32>, TrainError> {
            let (own, moved) = values.split_at(parameters);
            let module = layout.write_parameters(network.module().clone(), own);
            let inputs = Tensor::<2>::from_data(TensorData::new(moved.to_vec(), dims), &device).require_grad();
            let logits = module.forward_dual(None, Dual::constant(inputs.clone()));
            let mean = cross_entropy(logits, &one_hot).mean().value;
            loss.get_or_insert_with(|| f64::from(mean.clone().into_scalar::<f32>()));
            let mut gradients = mean.backward();
            let of_inputs = inputs.grad_remove(&mut gradients).map(Tensor::into_data_as::<f32>);
            let gradients = GradientsParams::from_grads(gradients, &module);
            let mut all: Vec<f32> = layout.gradients(&module, &gradients);
            match of_inputs {
                Some(data) => all.extend(data.as_slice::<f32>().expect("just converted")),
                None => all.resize(values.len(), 0.0),
            }
            Ok(all)
        };
        let mut values = [network.values(), &batch.inputs].concat();
        let mut gradient = gradient_at(&values)?;
        let samples = batch.classes.len() as f32;
        // Penalty and radius are per sample, but the vector has all samples, and the loss is their mean.
        let (ranges, scaled) = match regularizer {
            Regularizer::InputGradient { weight } => {
                let weight = weight * samples;
                (parameters..values.len(), Regularizer::InputGradient { weight })
            }
            Regularizer::Fgm { radius } => {
                let radius = radius * samples.sqrt();
                (parameters..values.len(), Regularizer::Fgm { radius })
            }
            Regularizer::Pgd { radius } => {
                let radius = radius * samples.sqrt();
                (parameters..values.len(), Regularizer::Pgd { radius })
            }
            other => (0..parameters, other),
        };
        scaled.apply(&mut values, &[ranges], &mut gradient, gradient_at)?;
        gradient.truncate(parameters);
        Ok((loss.unwrap_or(f64::NAN), gradient))
    }

    /// Accuracy and mean cross-entropy on the test examples.
    fn test(&self, network: &FlatModule<Mlp>) -> (f64, f64) {
        let frozen = network.module().clone().no_grad();
        let (mut right, mut loss) = (0usize, 0.0);
        let all: Vec<usize> = (0..self.test.len()).collect();
        for some in all.chunks(1000) {
            let batch = batch(self.test, some);
            let (inputs, _) = self.tensors(network, &batch);
            let logits = log_softmax(frozen.forward(inputs), 1).into_data_as::<f32>();
            let logits = logits.as_slice::<f32>().expect("just converted");
            for (row, class) in logits.chunks(self.classes).zip(&batch.classes) {
                let best = (0..row.len()).max_by(|a, b| row[*a].total_cmp(&row[*b]));
                right += usize::from(best == Some(*class));
                loss -= f64::from(row[*class]);
            }
        }
        let count = self.test.len().max(1) as f64;
        (right as f64 / count, loss / count)
    }
}

/// Both sides of the inequality on the first training examples.
fn measure(network: &FlatModule<Mlp>, examples: &Examples, count: usize) -> Result<Summary, TrainError> {
    let double = in_double(network).map_err(TrainError::task)?;
    let sides = sides(&double, examples, count, MatrixNorm::Spectral).map_err(TrainError::task)?;
    Ok(Summary::of(&sides))
}

fn batch(examples: &Examples, numbers: &[usize]) -> Batch {
    Batch {
        inputs: numbers
            .iter()
            .flat_map(|&number| examples.input(number))
            .copied()
            .collect(),
        classes: numbers.iter().map(|&number| examples.class(number)).collect(),
    }
}

impl Task for PenaltyTask<'_> {
    type Model = FlatModule<Mlp>;
    type Batch = Batch;
    type Workspace = ();

    fn examples(&self) -> usize {
        self.train.len()
    }

    fn hash_examples(&self, mut hasher: &mut dyn Hasher) {
        self.train.hash(&mut hasher);
    }

    fn workspace(&self, _: &FlatModule<Mlp>) {}

    fn batch(&self, examples: &[usize], _: u64, _: &mut ChaCha8Rng) -> Result<Batch, TrainError> {
        Ok(batch(self.train, examples))
    }

    fn loss(
        &self,
        model: &FlatModule<Mlp>,
        batch: &Batch,
        _: &mut ChaCha8Rng,
        (): &mut (),
        gradient: &mut [f32],
    ) -> Result<Loss, TrainError> {
        let is_exact = |regularizer: &Regularizer| {
            let penalty = matches!(
                regularizer,
                Regularizer::InputGradient { .. } | Regularizer::ParameterGradient { .. }
            );
            penalty && !self.settings.by_differences
        };
        let (loss, found) = match self.settings.regularizer.filter(|regularizer| !is_exact(regularizer)) {
            Some(regularizer) => self.by_more_gradients(regularizer, model, batch)?,
            None => self.exact(model, batch),
        };
        gradient.iter_mut().zip(found).for_each(|(sum, part)| *sum += part);
        Ok(Loss {
            sum: loss,
            terms: 1.0,
            items: batch.classes.len(),
            also: Vec::new(),
        })
    }

    fn validate(&self, model: &FlatModule<Mlp>) -> Result<Vec<Metric>, TrainError> {
        let (accuracy, loss) = self.test(model);
        let summary = measure(model, self.train, self.settings.measured)?;
        // Without a goal, so that the last weights are kept and the test examples do not influence the choice.
        let mut metrics = vec![
            Metric::observed("test.accuracy", 100.0 * accuracy),
            Metric::observed("test.loss", loss),
            Metric::observed("gradient.input_square", summary.input_gradient_square),
            Metric::observed("gradient.parameter_square", summary.parameter_gradient_square),
            Metric::observed("inequality.bracket", summary.bracket),
            Metric::observed("inequality.violations", summary.violations as f64),
        ];
        if let Some(slack) = summary.slack {
            metrics.push(Metric::observed("inequality.slack", slack.median));
        }
        for (number, layer) in summary.layers.iter().enumerate() {
            metrics.push(Metric::observed(format!("weight_norm.{number}"), layer.weight_norm));
        }
        Ok(metrics)
    }

    fn illustrate(&self, page: &mut Page) {
        let norms = self
            .start
            .layers
            .iter()
            .map(|layer| format!("{:.3}", layer.weight_norm));
        page.paragraph(&format!(
            "Before the first step: ‖∇ₓf‖² {:.4e}, ‖∇_θf‖² {:.4e}, bracket {:.4e}, spectral norms of the weights {}.",
            self.start.input_gradient_square,
            self.start.parameter_gradient_square,
            self.start.bracket,
            norms.collect::<Vec<_>>().join(", ")
        ));
    }
}
