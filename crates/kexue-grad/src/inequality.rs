//! The inequality between the gradients with respect to input and parameters, on the networks for which it is proved (article 8796).
//!
//! For `h⁽¹⁾ = x`, `h⁽ᵗ⁺¹⁾ = g(W⁽ᵗ⁾h⁽ᵗ⁾ + b⁽ᵗ⁾)` and any scalar function f of the last h, each sample satisfies
//!
//! `‖∇ₓf‖² · Σₜ (1 + ‖h⁽ᵗ⁾‖²) / (‖W⁽ᵗ⁾‖² · ‖∂h⁽ᵗ⁾/∂x‖²) ≤ ‖∇_θf‖²`
//!
//! and each summand gives a separate bound: with `‖h⁽ᵗ⁾‖²` for the gradient of the weight, and with 1 for that of the bias.
//!
//! Everything is computed in double precision, with explicit Jacobians. Spectral norms come from a converged singular value decomposition, because
//! power iteration would underestimate the norm and so overestimate the left side.

use faer::Mat;
use faer::linalg::solvers::SvdError;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The activation g of an [`Mlp`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `x`.
    Identity,
    /// `max(0, x)`.
    Relu,
    /// `x` above 0, `0.1·x` below.
    LeakyRelu,
    /// `x·Φ(x)`, approximated with tanh.
    Gelu,
    /// `x·σ(x)`.
    Silu,
    /// The hyperbolic tangent.
    Tanh,
    /// `1/(1 + e⁻ˣ)`.
    Sigmoid,
    /// `ln(1 + eˣ)`.
    Softplus,
    /// `x` above 0, `eˣ − 1` below.
    Elu,
}

impl Activation {
    /// All activations.
    pub const ALL: [Self; 9] = [
        Self::Identity,
        Self::Relu,
        Self::LeakyRelu,
        Self::Gelu,
        Self::Silu,
        Self::Tanh,
        Self::Sigmoid,
        Self::Softplus,
        Self::Elu,
    ];

    /// Whether the function is linear between kinks, so that its second derivative is 0 wherever it exists.
    pub fn is_piecewise_linear(self) -> bool {
        matches!(self, Self::Identity | Self::Relu | Self::LeakyRelu)
    }

    /// The value at x.
    pub fn value(self, x: f64) -> f64 {
        match self {
            Self::Identity => x,
            Self::Relu => x.max(0.0),
            Self::LeakyRelu => x.max(0.1 * x),
            Self::Gelu => 0.5 * x * (1.0 + gelu_argument(x).tanh()),
            Self::Silu => x * Self::Sigmoid.value(x),
            Self::Tanh => x.tanh(),
            Self::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            Self::Softplus => x.max(0.0) + (-x.abs()).exp().ln_1p(),
            Self::Elu => x.max(x.min(0.0).exp_m1()),
        }
    }

    /// The derivative at x; at a kink, that of the negative side.
    pub fn derivative(self, x: f64) -> f64 {
        let positive = |otherwise: f64| if x > 0.0 { 1.0 } else { otherwise };
        match self {
            Self::Identity => 1.0,
            Self::Relu => positive(0.0),
            Self::LeakyRelu => positive(0.1),
            Self::Gelu => {
                let tanh = gelu_argument(x).tanh();
                let inner = GELU_FACTOR * (1.0 + 3.0 * GELU_CUBIC * x * x);
                0.5 * (1.0 + tanh) + 0.5 * x * (1.0 - tanh * tanh) * inner
            }
            Self::Silu => {
                let sigmoid = Self::Sigmoid.value(x);
                sigmoid + x * sigmoid * (1.0 - sigmoid)
            }
            Self::Tanh => 1.0 - x.tanh().powi(2),
            Self::Sigmoid => {
                let y = self.value(x);
                y * (1.0 - y)
            }
            Self::Softplus => Self::Sigmoid.value(x),
            Self::Elu => positive(x.min(0.0).exp()),
        }
    }
}

/// `√(2/π)`.
const GELU_FACTOR: f64 = 0.797_884_560_802_865_4;
const GELU_CUBIC: f64 = 0.044_715;

fn gelu_argument(x: f64) -> f64 {
    GELU_FACTOR * (x + GELU_CUBIC * x * x * x)
}

/// Error: an invalid MLP, or an input that does not fit it.
#[derive(Debug, Error, PartialEq)]
pub enum MlpError {
    /// There is no layer.
    #[error("an MLP needs at least one layer")]
    NoLayer,
    /// The sizes of a layer do not match each other or the previous layer.
    #[error("layer {layer}: {problem}")]
    Layer {
        /// Index of the layer, from 0.
        layer: usize,
        /// The mismatch.
        problem: String,
    },
    /// The input or the readout has the wrong length.
    #[error("the {what} has {found} numbers, but the MLP needs {expected}")]
    Length {
        /// Which vector.
        what: &'static str,
        /// Its length.
        found: usize,
        /// The expected length.
        expected: usize,
    },
    /// The class is not one of the outputs.
    #[error("class {class} is out of range for an MLP with {outputs} outputs")]
    Class {
        /// The class, from 0.
        class: usize,
        /// Number of outputs.
        outputs: usize,
    },
    /// A number is infinite or not a number.
    #[error("the {0} has a number that is not finite")]
    NotFinite(&'static str),
    /// The singular value decomposition did not converge.
    #[error("the singular values of {0} did not converge")]
    Svd(String),
}

/// A linear layer `[out, in]` with its bias.
#[derive(Clone, Debug)]
pub struct Layer {
    weight: Mat<f64>,
    bias: Vec<f64>,
}

impl Layer {
    /// Creates a layer from the weight `[out, in]`, row by row, and the bias `[out]`.
    ///
    /// # Errors
    /// If the lengths do not match.
    pub fn new(inputs: usize, weight: &[f64], bias: Vec<f64>) -> Result<Self, MlpError> {
        if inputs == 0 || bias.is_empty() || weight.len() != inputs * bias.len() {
            let problem = format!(
                "a weight of {} numbers is not {} outputs times {inputs} inputs",
                weight.len(),
                bias.len()
            );
            return Err(MlpError::Layer { layer: 0, problem });
        }
        Ok(Self {
            weight: Mat::from_fn(bias.len(), inputs, |row, column| weight[row * inputs + column]),
            bias,
        })
    }

    /// Number of inputs.
    pub fn inputs(&self) -> usize {
        self.weight.ncols()
    }

    /// Number of outputs.
    pub fn outputs(&self) -> usize {
        self.weight.nrows()
    }
}

/// A multilayer perceptron with the activation after every layer, or after every layer but the last.
///
/// ```
/// use kexue_grad::inequality::{Activation, Layer, MatrixNorm, Mlp, Readout};
///
/// let mlp = Mlp::new(
///     vec![
///         Layer::new(2, &[0.5, -1.0, 0.25, 0.75, 1.0, -0.5], vec![0.1, 0.0, -0.1])?,
///         Layer::new(3, &[1.0, -1.0, 0.5], vec![0.2])?,
///     ],
///     Activation::Tanh,
/// )?;
/// let sides = mlp.sides(&[0.3, -0.8], &Readout::Linear(vec![1.0]), MatrixNorm::Spectral)?;
/// assert!(sides.left() <= sides.right());
/// assert_eq!(sides.layers.len(), 2);
/// # Ok::<(), kexue_grad::inequality::MlpError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Mlp {
    layers: Vec<Layer>,
    /// The activation after each layer.
    activations: Vec<Activation>,
}

/// The scalar function f of the last h.
#[derive(Clone, Debug, PartialEq)]
pub enum Readout {
    /// `c·h`.
    Linear(Vec<f64>),
    /// The cross-entropy of this class under the softmax of h.
    CrossEntropy {
        /// The class, from 0.
        class: usize,
    },
}

/// The norm of weights and Jacobians.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MatrixNorm {
    /// The largest singular value: the tighter bound.
    Spectral,
    /// The square root of the sum of squares.
    Frobenius,
}

/// One bound: the left side should not exceed the right side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Bound {
    /// The lower bound from the gradient with respect to the input.
    pub left: f64,
    /// The squared norm of the gradient with respect to parameters.
    pub right: f64,
}

impl Bound {
    /// Whether the bound holds, up to rounding in double precision.
    pub fn holds(self) -> bool {
        self.left <= self.right * (1.0 + 1e-9) + f64::MIN_POSITIVE
    }
}

/// The bounds of one layer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LayerSides {
    /// The bound for the weight.
    pub weight: Bound,
    /// The bound for the bias.
    pub bias: Bound,
    /// `‖W‖`.
    pub weight_norm: f64,
    /// `‖∂h/∂x‖`, of the layer's input.
    pub jacobian_norm: f64,
    /// `‖h‖²`, of the layer's input.
    pub input_square: f64,
}

/// Both sides for one sample.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sides {
    /// The value of f.
    pub value: f64,
    /// `‖∇ₓf‖²`.
    pub input_gradient_square: f64,
    /// The bounds of each layer.
    pub layers: Vec<LayerSides>,
}

impl Sides {
    /// The left side: `‖∇ₓf‖²` times the [bracket](Self::bracket).
    pub fn left(&self) -> f64 {
        self.layers
            .iter()
            .map(|layer| layer.weight.left + layer.bias.left)
            .sum()
    }

    /// The right side, `‖∇_θf‖²`.
    pub fn right(&self) -> f64 {
        self.layers
            .iter()
            .map(|layer| layer.weight.right + layer.bias.right)
            .sum()
    }

    /// The factor `Σₜ (1 + ‖h‖²)/(‖W‖²·‖∂h/∂x‖²)`, called the bracket; infinite if a layer's input does not depend on x.
    pub fn bracket(&self) -> f64 {
        self.layers
            .iter()
            .map(|layer| (1.0 + layer.input_square) / (layer.weight_norm * layer.jacobian_norm).powi(2))
            .sum()
    }

    /// The right side divided by the left side, at least 1; `None` if the left side is 0.
    pub fn slack(&self) -> Option<f64> {
        (self.left() > 0.0).then(|| self.right() / self.left())
    }

    /// Whether the inequality and the bounds of all layers hold.
    pub fn holds(&self) -> bool {
        let total = Bound {
            left: self.left(),
            right: self.right(),
        };
        total.holds()
            && self
                .layers
                .iter()
                .all(|layer| layer.weight.holds() && layer.bias.holds())
    }
}

/// The results of a forward and a backward pass.
struct Passes {
    value: f64,
    /// The input of each layer.
    inputs: Vec<Vec<f64>>,
    /// g′ of each layer.
    slopes: Vec<Vec<f64>>,
    /// ∂f/∂(W·h + b) of each layer.
    errors: Vec<Vec<f64>>,
    input_gradient: Vec<f64>,
}

fn square(vector: &[f64]) -> f64 {
    vector.iter().map(|v| v * v).sum()
}

impl Mlp {
    /// Creates an MLP from its layers.
    ///
    /// # Errors
    /// If there are no layers, a layer does not fit the previous one, or a number is not finite.
    pub fn new(layers: Vec<Layer>, activation: Activation) -> Result<Self, MlpError> {
        if layers.is_empty() {
            return Err(MlpError::NoLayer);
        }
        for (number, pair) in layers.windows(2).enumerate() {
            if pair[0].outputs() != pair[1].inputs() {
                let (found, expected) = (pair[1].inputs(), pair[0].outputs());
                let problem = format!("has {found} inputs, but the previous layer has {expected} outputs");
                return Err(MlpError::Layer {
                    layer: number + 1,
                    problem,
                });
            }
        }
        let finite = |layer: &Layer| layer.weight.is_all_finite() && layer.bias.iter().all(|b| b.is_finite());
        if !layers.iter().all(finite) {
            return Err(MlpError::NotFinite("MLP"));
        }
        let activations = vec![activation; layers.len()];
        Ok(Self { layers, activations })
    }

    /// The same network without an activation after the last layer, as in a classifier.
    pub fn with_linear_output(mut self) -> Self {
        if let Some(last) = self.activations.last_mut() {
            *last = Activation::Identity;
        }
        self
    }

    /// The layers, from input to output.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Computes both sides for an input.
    ///
    /// # Errors
    /// If the input or the readout does not fit the network or is not finite.
    pub fn sides(&self, input: &[f64], readout: &Readout, norm: MatrixNorm) -> Result<Sides, MlpError> {
        let passes = self.passes(input, readout)?;
        let input_gradient_square = square(&passes.input_gradient);
        let mut jacobian = Mat::<f64>::identity(input.len(), input.len());
        let mut sides = Vec::with_capacity(self.layers.len());
        for (number, layer) in self.layers.iter().enumerate() {
            let weight_norm = size(&layer.weight, norm, || format!("the weight of layer {number}"))?;
            // The identity has spectral norm 1 at any size, and its Frobenius norm only makes the bound looser.
            let jacobian_norm = size(&jacobian, norm, || {
                format!("the Jacobian of the input of layer {number}")
            })?;
            let denominator = (weight_norm * jacobian_norm).powi(2);
            // If a layer's input does not depend on x, the gradient with respect to x is 0.
            let left = if input_gradient_square == 0.0 {
                0.0
            } else {
                input_gradient_square / denominator
            };
            let input_square = square(&passes.inputs[number]);
            let right = square(&passes.errors[number]);
            sides.push(LayerSides {
                weight: Bound {
                    left: left * input_square,
                    right: right * input_square,
                },
                bias: Bound { left, right },
                weight_norm,
                jacobian_norm,
                input_square,
            });
            let mut next = &layer.weight * &jacobian;
            for (row, slope) in passes.slopes[number].iter().enumerate() {
                next.row_mut(row).iter_mut().for_each(|element| *element *= slope);
            }
            jacobian = next;
        }
        Ok(Sides {
            value: passes.value,
            input_gradient_square,
            layers: sides,
        })
    }

    /// One step of gradient descent on f.
    ///
    /// # Errors
    /// If the input or the readout does not fit the network.
    pub fn descend(&mut self, input: &[f64], readout: &Readout, rate: f64) -> Result<(), MlpError> {
        let passes = self.passes(input, readout)?;
        for ((layer, errors), inputs) in self.layers.iter_mut().zip(&passes.errors).zip(&passes.inputs) {
            for (row, error) in errors.iter().enumerate() {
                for (weight, input) in layer.weight.row_mut(row).iter_mut().zip(inputs) {
                    *weight -= rate * error * input;
                }
                layer.bias[row] -= rate * error;
            }
        }
        Ok(())
    }

    fn passes(&self, input: &[f64], readout: &Readout) -> Result<Passes, MlpError> {
        let expected = self.layers[0].inputs();
        if input.len() != expected {
            return Err(MlpError::Length {
                what: "input",
                found: input.len(),
                expected,
            });
        }
        if !input.iter().all(|x| x.is_finite()) {
            return Err(MlpError::NotFinite("input"));
        }
        let (mut inputs, mut slopes) = (Vec::new(), Vec::new());
        let mut hidden = input.to_vec();
        for (layer, &activation) in self.layers.iter().zip(&self.activations) {
            let before: Vec<f64> = (0..layer.outputs())
                .map(|row| layer.bias[row] + dot(layer.weight.row(row).iter(), &hidden))
                .collect();
            slopes.push(before.iter().map(|&z| activation.derivative(z)).collect::<Vec<_>>());
            inputs.push(hidden);
            hidden = before.iter().map(|&z| activation.value(z)).collect();
        }
        let (value, mut gradient) = readout.apply(&hidden)?;
        let mut errors = Vec::new();
        for (layer, slopes) in self.layers.iter().zip(&slopes).rev() {
            let error: Vec<f64> = gradient.iter().zip(slopes).map(|(g, slope)| g * slope).collect();
            gradient = (0..layer.inputs())
                .map(|column| dot(layer.weight.col(column).iter(), &error))
                .collect();
            errors.push(error);
        }
        errors.reverse();
        Ok(Passes {
            value,
            inputs,
            slopes,
            errors,
            input_gradient: gradient,
        })
    }
}

impl Readout {
    /// The value of f, and ∂f/∂h.
    fn apply(&self, hidden: &[f64]) -> Result<(f64, Vec<f64>), MlpError> {
        match self {
            Self::Linear(coefficients) => {
                if coefficients.len() != hidden.len() {
                    return Err(MlpError::Length {
                        what: "readout",
                        found: coefficients.len(),
                        expected: hidden.len(),
                    });
                }
                if !coefficients.iter().all(|c| c.is_finite()) {
                    return Err(MlpError::NotFinite("readout"));
                }
                Ok((dot(coefficients.iter(), hidden), coefficients.clone()))
            }
            &Self::CrossEntropy { class } => {
                if class >= hidden.len() {
                    let outputs = hidden.len();
                    return Err(MlpError::Class { class, outputs });
                }
                let largest = hidden.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let sum: f64 = hidden.iter().map(|h| (h - largest).exp()).sum();
                let gradient = hidden.iter().enumerate().map(|(i, h)| {
                    let probability = (h - largest).exp() / sum;
                    if i == class { probability - 1.0 } else { probability }
                });
                Ok((largest + sum.ln() - hidden[class], gradient.collect()))
            }
        }
    }
}

fn dot<'a>(a: impl Iterator<Item = &'a f64>, b: &[f64]) -> f64 {
    a.zip(b).map(|(a, b)| a * b).sum()
}

fn size(matrix: &Mat<f64>, norm: MatrixNorm, what: impl Fn() -> String) -> Result<f64, MlpError> {
    match norm {
        MatrixNorm::Frobenius => Ok(matrix.norm_l2()),
        MatrixNorm::Spectral => {
            // Scaled to 1, because the iteration does not converge if all entries are 0 or tiny.
            let largest = matrix.norm_max();
            if largest == 0.0 {
                return Ok(0.0);
            }
            if !largest.is_finite() {
                return Err(MlpError::NotFinite("network"));
            }
            let scaled = Mat::from_fn(matrix.nrows(), matrix.ncols(), |row, column| {
                matrix[(row, column)] / largest
            });
            let values = scaled
                .singular_values()
                .map_err(|SvdError::NoConvergence| MlpError::Svd(what()))?;
            Ok(values.first().copied().unwrap_or(0.0) * largest)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    /// An MLP of this depth with widths up to 8, and a readout.
    fn random(depth: usize, activation: Activation, generator: &mut ChaCha8Rng) -> (Mlp, Readout) {
        let widths: Vec<usize> = (0..=depth).map(|_| generator.random_range(1..=8)).collect();
        let scale = generator.random_range(0.2..3.0);
        let layers = widths.windows(2).map(|pair| {
            let weight: Vec<f64> = (0..pair[0] * pair[1])
                .map(|_| scale * generator.random_range(-1.0..1.0))
                .collect();
            let bias = (0..pair[1]).map(|_| generator.random_range(-1.0..1.0)).collect();
            Layer::new(pair[0], &weight, bias).unwrap()
        });
        let layers: Vec<Layer> = layers.collect();
        let outputs = widths[depth];
        let readout = if generator.random() {
            Readout::CrossEntropy {
                class: generator.random_range(0..outputs),
            }
        } else {
            Readout::Linear((0..outputs).map(|_| generator.random_range(-1.0..1.0)).collect())
        };
        (Mlp::new(layers, activation).unwrap(), readout)
    }

    fn input(mlp: &Mlp, generator: &mut ChaCha8Rng) -> Vec<f64> {
        (0..mlp.layers()[0].inputs())
            .map(|_| generator.random_range(-2.0..2.0))
            .collect()
    }

    /// Neither the inequality nor a layer's bound is violated on 10,800 networks and inputs. Also checks the slack.
    #[test]
    fn the_inequality_holds_on_random_networks_trained_or_not() {
        let mut generator = ChaCha8Rng::seed_from_u64(8796);
        for depth in 1..=6 {
            for activation in Activation::ALL {
                let mut slacks = Vec::new();
                for round in 0..200 {
                    let (mut mlp, readout) = random(depth, activation, &mut generator);
                    if round % 4 == 0 {
                        for _ in 0..10 {
                            let x = input(&mlp, &mut generator);
                            // Steps of bounded length, because a linear readout has no minimum.
                            let sides = mlp.sides(&x, &readout, MatrixNorm::Frobenius).unwrap();
                            let rate = 0.1 / sides.right().sqrt().max(1.0);
                            mlp.descend(&x, &readout, rate).unwrap();
                        }
                    }
                    let x = input(&mlp, &mut generator);
                    let spectral = mlp.sides(&x, &readout, MatrixNorm::Spectral).unwrap();
                    let frobenius = mlp.sides(&x, &readout, MatrixNorm::Frobenius).unwrap();
                    assert!(spectral.holds(), "{depth} {activation:?} {spectral:?}");
                    assert!(frobenius.holds(), "{depth} {activation:?} {frobenius:?}");
                    assert!(frobenius.left() <= spectral.left() * (1.0 + 1e-9));
                    slacks.extend(spectral.slack());
                }
                assert!(
                    slacks.len() > 100 || activation == Activation::Relu,
                    "{depth} {activation:?}"
                );
            }
        }
    }

    #[test]
    fn one_linear_layer_is_tight() {
        // f = c·(Wx + b) with one output: ‖∇ₓf‖ = |c|·‖W‖ and ‖∇_b f‖ = |c|, so the bounds are equalities.
        let layer = Layer::new(3, &[1.0, -2.0, 0.5], vec![0.3]).unwrap();
        let mlp = Mlp::new(vec![layer], Activation::Identity).unwrap();
        let sides = mlp
            .sides(&[0.1, 0.2, -0.7], &Readout::Linear(vec![1.5]), MatrixNorm::Spectral)
            .unwrap();
        assert!((sides.slack().unwrap() - 1.0).abs() < 1e-12, "{sides:?}");
        assert!((sides.right() - 1.5 * 1.5 * (1.0 + 0.54)).abs() < 1e-12);
        assert!((sides.bracket() * sides.input_gradient_square - sides.left()).abs() < 1e-12);
    }

    /// Compares the gradients in both sides with central differences.
    #[test]
    fn gradients_are_those_of_differences() {
        let mut generator = ChaCha8Rng::seed_from_u64(5);
        for activation in Activation::ALL {
            let (mlp, readout) = random(3, activation, &mut generator);
            let x = input(&mlp, &mut generator);
            let value = |mlp: &Mlp, x: &[f64]| mlp.passes(x, &readout).unwrap().value;
            let sides = mlp.sides(&x, &readout, MatrixNorm::Spectral).unwrap();
            let step = 1e-6;
            let mut total = 0.0;
            for i in 0..x.len() {
                let at = |delta: f64| {
                    let mut x = x.clone();
                    x[i] += delta;
                    value(&mlp, &x)
                };
                total += ((at(step) - at(-step)) / (2.0 * step)).powi(2);
            }
            let close = |a: f64, b: f64| (a - b).abs() <= 1e-6 * a.abs().max(b.abs()) + 1e-12;
            assert!(close(total, sides.input_gradient_square), "{activation:?}");
            for number in 0..3 {
                let mut bias = 0.0;
                for row in 0..mlp.layers[number].outputs() {
                    let at = |delta: f64| {
                        let mut mlp = mlp.clone();
                        mlp.layers[number].bias[row] += delta;
                        value(&mlp, &x)
                    };
                    bias += ((at(step) - at(-step)) / (2.0 * step)).powi(2);
                }
                assert!(close(bias, sides.layers[number].bias.right), "{activation:?} {number}");
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name() {
        let layer = |inputs, outputs| Layer::new(inputs, &vec![0.5; inputs * outputs], vec![0.0; outputs]).unwrap();
        assert_eq!(Mlp::new(vec![], Activation::Relu).unwrap_err(), MlpError::NoLayer);
        let error = Mlp::new(vec![layer(2, 3), layer(4, 1)], Activation::Relu).unwrap_err();
        assert_eq!(
            error.to_string(),
            "layer 1: has 4 inputs, but the previous layer has 3 outputs"
        );
        assert!(Layer::new(2, &[1.0; 5], vec![0.0; 2]).is_err());
        let mlp = Mlp::new(vec![layer(2, 3)], Activation::Relu).unwrap();
        let linear = Readout::Linear(vec![1.0; 3]);
        for (input, readout, message) in [
            (
                vec![1.0],
                linear.clone(),
                "the input has 1 numbers, but the MLP needs 2",
            ),
            (
                vec![1.0; 2],
                Readout::Linear(vec![1.0]),
                "the readout has 1 numbers, but the MLP needs 3",
            ),
            (
                vec![1.0; 2],
                Readout::CrossEntropy { class: 3 },
                "class 3 is out of range for an MLP with 3 outputs",
            ),
            (vec![1.0, f64::NAN], linear, "the input has a number that is not finite"),
        ] {
            let error = mlp.sides(&input, &readout, MatrixNorm::Spectral).unwrap_err();
            assert_eq!(error.to_string(), message);
        }
    }
}
