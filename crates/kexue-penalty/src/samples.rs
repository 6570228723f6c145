//! Both sides on the samples of one network.

use crate::examples::Examples;
use crate::slack::Slack;
use kexue_grad::inequality::{MatrixNorm, Mlp, MlpError, Readout, Sides};
use rayon::prelude::*;
use serde::Serialize;

/// Both sides of each example's cross-entropy, for the first examples.
///
/// # Errors
/// If the examples do not fit the network, or a singular value decomposition does not converge.
pub fn sides(mlp: &Mlp, examples: &Examples, count: usize, norm: MatrixNorm) -> Result<Vec<Sides>, MlpError> {
    let sides = (0..count.min(examples.len())).into_par_iter().map(|example| {
        let input: Vec<f64> = examples.input(example).iter().map(|x| f64::from(*x)).collect();
        let class = examples.class(example);
        mlp.sides(&input, &Readout::CrossEntropy { class }, norm)
    });
    sides.collect()
}

/// What is the same for all samples, and means over them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Samples.
    pub samples: usize,
    /// Samples for which the inequality, or one of the bounds of its layers, does not hold.
    pub violations: usize,
    /// Mean `‖∇ₓf‖²`.
    pub input_gradient_square: f64,
    /// Mean `‖∇_θf‖²`.
    pub parameter_gradient_square: f64,
    /// Median of the bracket.
    pub bracket: f64,
    /// Right side over left side.
    pub slack: Option<Slack>,
    /// Each layer's own bounds.
    pub layers: Vec<LayerSummary>,
}

/// One layer's bounds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerSummary {
    /// `‖W‖`.
    pub weight_norm: f64,
    /// Mean `‖∂h/∂x‖` of its input.
    pub jacobian_norm: f64,
    /// Mean `‖h‖²` of its input.
    pub input_square: f64,
    /// Right side over left side; that of the weight's bound and of the bias's are the same, because both sides have the same factor `‖h‖²`.
    pub slack: Option<Slack>,
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len().max(1) as f64;
    values.sum::<f64>() / count
}

impl Summary {
    /// Of some samples of one network.
    pub fn of(sides: &[Sides]) -> Self {
        let layers = sides.first().map_or(0, |sides| sides.layers.len());
        let layer = |number: usize| {
            let all = || sides.iter().map(|sides| sides.layers[number]);
            let ratios = all().filter(|layer| layer.bias.left > 0.0);
            LayerSummary {
                weight_norm: all().next().map_or(0.0, |layer| layer.weight_norm),
                jacobian_norm: mean(all().map(|layer| layer.jacobian_norm).collect::<Vec<_>>().into_iter()),
                input_square: mean(all().map(|layer| layer.input_square).collect::<Vec<_>>().into_iter()),
                slack: Slack::of(ratios.map(|layer| layer.bias.right / layer.bias.left).collect()),
            }
        };
        Self {
            samples: sides.len(),
            violations: sides.iter().filter(|sides| !sides.holds()).count(),
            input_gradient_square: mean(sides.iter().map(|sides| sides.input_gradient_square)),
            parameter_gradient_square: mean(sides.iter().map(Sides::right)),
            bracket: Slack::of(sides.iter().map(Sides::bracket).collect()).map_or(f64::NAN, |bracket| bracket.median),
            slack: Slack::of(sides.iter().filter_map(Sides::slack).collect()),
            layers: (0..layers).map(layer).collect(),
        }
    }
}
