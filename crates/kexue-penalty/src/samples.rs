//! Both sides of the inequality on the samples of one network.

use crate::examples::Examples;
use crate::slack::Slack;
use kexue_grad::inequality::{MatrixNorm, Mlp, MlpError, Readout, Sides};
use rayon::prelude::*;
use serde::Serialize;

/// Both sides for the cross-entropy of each of the first `count` examples.
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

/// A summary of both sides over samples.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Number of samples.
    pub samples: usize,
    /// Number of samples that violate the inequality or the bound of a layer.
    pub violations: usize,
    /// Mean `‖∇ₓf‖²`.
    pub input_gradient_square: f64,
    /// Mean `‖∇_θf‖²`.
    pub parameter_gradient_square: f64,
    /// Median of the bracket.
    pub bracket: f64,
    /// The ratio of the right side to the left side.
    pub slack: Option<Slack>,
    /// The bounds of each layer.
    pub layers: Vec<LayerSummary>,
}

/// The bounds of one layer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerSummary {
    /// `‖W‖`.
    pub weight_norm: f64,
    /// Mean `‖∂h/∂x‖` of its input.
    pub jacobian_norm: f64,
    /// Mean `‖h‖²` of its input.
    pub input_square: f64,
    /// The ratio of the right side to the left side. It is the same for weight and bias, because both sides of their bounds differ by the factor `‖h‖²`.
    pub slack: Option<Slack>,
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len().max(1) as f64;
    values.sum::<f64>() / count
}

impl Summary {
    /// Summarises samples of one network.
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
