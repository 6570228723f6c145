//! Regularisers that need only additional gradients: perturbed inputs, perturbed parameters, and gradient penalties by finite differences.
//!
//! By symmetry, `∂/∂θ (d/dε L(x + εv)) = d/dε ∇_θL(x + εv)`: the derivative of a gradient penalty is a difference of two gradients. So any model that
//! can compute a gradient can be regularised, including the Transformers with hand-written backward passes (article 8796).

use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

/// The perturbation or penalty. The inputs of a Transformer are its embeddings. As in article 7234 the whole table is perturbed, so that each token's
/// input is perturbed in the same way at all positions.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Regularizer {
    /// Adds `weight·‖∇ₓL‖²` to the loss, by central differences.
    InputGradient {
        /// The factor of the penalty.
        weight: f32,
    },
    /// Adds `weight·‖∇_θL‖²` to the loss, by central differences.
    ParameterGradient {
        /// The factor of the penalty.
        weight: f32,
    },
    /// Adds the loss at inputs that are moved by `radius` along their gradient (FGM, arXiv 1605.07725).
    Fgm {
        /// The distance.
        radius: f32,
    },
    /// Adds the loss at inputs that are moved in three steps within `radius` along their gradient (PGD, arXiv 1706.06083).
    Pgd {
        /// The distance.
        radius: f32,
    },
    /// Takes the gradient at parameters that are moved by `radius` along it (SAM, arXiv 2010.01412).
    Sam {
        /// The distance.
        radius: f32,
    },
}

/// Number of steps of [`Regularizer::Pgd`].
const PGD_STEPS: u32 = 3;
/// The step of central differences, along a direction of length 1. The rounding error is about `1e-7/STEP` of the gradient, and the truncation error
/// `STEP²` of its third derivative.
const STEP: f32 = 1e-2;

impl Regularizer {
    /// Whether inputs are perturbed; parameters otherwise.
    pub fn perturbs_inputs(self) -> bool {
        matches!(self, Self::InputGradient { .. } | Self::Fgm { .. } | Self::Pgd { .. })
    }

    /// The number of gradients that a step needs besides the ordinary one.
    pub fn more_gradients(self) -> u32 {
        match self {
            Self::InputGradient { .. } | Self::ParameterGradient { .. } => 2,
            Self::Fgm { .. } | Self::Sam { .. } => 1,
            Self::Pgd { .. } => PGD_STEPS,
        }
    }

    /// Turns the gradient of a loss at `values` into that of the regularised loss. `ranges` are the parts of `values` to perturb; `gradient_at`
    /// computes the gradient at other values. The values are restored at the end.
    ///
    /// # Errors
    /// Those of `gradient_at`.
    pub fn apply<E>(
        self,
        values: &mut [f32],
        ranges: &[Range<usize>],
        gradient: &mut [f32],
        mut gradient_at: impl FnMut(&[f32]) -> Result<Vec<f32>, E>,
    ) -> Result<(), E> {
        let gather = |whole: &[f32]| -> Vec<f32> {
            let parts = ranges.iter().flat_map(|range| &whole[range.clone()]);
            parts.copied().collect()
        };
        let start = gather(values);
        let (mut direction, length) = unit(gather(gradient));
        if length == 0.0 {
            return Ok(());
        }
        let mut at = |offset: &[f32], factor: f32, values: &mut [f32]| {
            let mut moved = start.iter().zip(offset).map(|(start, offset)| start + factor * offset);
            for value in ranges.iter().flat_map(|range| range.clone()) {
                values[value] = moved.next().unwrap_or_default();
            }
            let gradient = gradient_at(values);
            let mut start = start.iter();
            for value in ranges.iter().flat_map(|range| range.clone()) {
                values[value] = start.next().copied().unwrap_or_default();
            }
            gradient
        };
        match self {
            Self::InputGradient { weight } | Self::ParameterGradient { weight } => {
                let (above, below) = (at(&direction, STEP, values)?, at(&direction, -STEP, values)?);
                let factor = weight * 2.0 * length / (2.0 * STEP);
                for ((sum, above), below) in gradient.iter_mut().zip(above).zip(below) {
                    *sum += factor * (above - below);
                }
            }
            Self::Fgm { radius } => {
                for (sum, more) in gradient.iter_mut().zip(at(&direction, radius, values)?) {
                    *sum += more;
                }
            }
            Self::Pgd { radius } => {
                // Each step a little longer than its share, so that the ball's surface can be reached on a curved path.
                let step = radius * 1.5 / PGD_STEPS as f32;
                let mut offset = vec![0.0; direction.len()];
                for number in 1..=PGD_STEPS {
                    for (offset, direction) in offset.iter_mut().zip(&direction) {
                        *offset += step * direction;
                    }
                    let (back, far) = unit(offset.clone());
                    if far > radius {
                        offset = back.iter().map(|share| share * radius).collect();
                    }
                    let there = at(&offset, 1.0, values)?;
                    if number < PGD_STEPS {
                        direction = unit(gather(&there)).0;
                    } else {
                        gradient.iter_mut().zip(there).for_each(|(sum, more)| *sum += more);
                    }
                }
            }
            Self::Sam { radius } => gradient.copy_from_slice(&at(&direction, radius, values)?),
        }
        Ok(())
    }
}

/// A vector of length 1 in the same direction, and the length.
fn unit(mut vector: Vec<f32>) -> (Vec<f32>, f32) {
    let length = vector.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt() as f32;
    if length > 0.0 && length.is_finite() {
        vector.iter_mut().for_each(|x| *x /= length);
        return (vector, length);
    }
    (vector, 0.0)
}

/// A kind with its number.
type Make = fn(f32) -> Regularizer;

/// The kinds by name, and the meaning of their number.
const NAMES: [(&str, Make); 5] = [
    ("input-gradient", |weight| Regularizer::InputGradient { weight }),
    ("parameter-gradient", |weight| Regularizer::ParameterGradient { weight }),
    ("fgm", |radius| Regularizer::Fgm { radius }),
    ("pgd", |radius| Regularizer::Pgd { radius }),
    ("sam", |radius| Regularizer::Sam { radius }),
];

impl FromStr for Regularizer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = NAMES.map(|(name, _)| name).join(", ");
        let expected = format!("expected KIND:NUMBER, such as fgm:0.5, where KIND is one of {names}");
        let (kind, number) = text.split_once(':').ok_or_else(|| format!("`{text}`: {expected}"))?;
        let make = NAMES.iter().find(|(name, _)| *name == kind);
        let (_, make) = make.ok_or_else(|| format!("there is no regulariser `{kind}`: {expected}"))?;
        match number.parse::<f32>() {
            Ok(number) if number > 0.0 && number.is_finite() => Ok(make(number)),
            _ => Err(format!("`{number}` is not a positive number: {expected}")),
        }
    }
}

impl fmt::Display for Regularizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, number) = match self {
            Self::InputGradient { weight } => ("input-gradient", weight),
            Self::ParameterGradient { weight } => ("parameter-gradient", weight),
            Self::Fgm { radius } => ("fgm", radius),
            Self::Pgd { radius } => ("pgd", radius),
            Self::Sam { radius } => ("sam", radius),
        };
        write!(f, "{name}:{number}")
    }
}

impl TryFrom<String> for Regularizer {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Regularizer> for String {
    fn from(regularizer: Regularizer) -> Self {
        regularizer.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    /// L = ½·Σ aᵢzᵢ² + z₀·z₁·z₂ over an "input" z₀, z₁ and "parameters" z₂, z₃.
    const CURVATURES: [f32; 4] = [1.0, 2.0, 3.0, 0.5];
    const INPUT: Range<usize> = 0..2;
    const PARAMETERS: Range<usize> = 2..4;

    fn gradient(z: &[f32]) -> Vec<f32> {
        let mut g: Vec<f32> = z.iter().zip(CURVATURES).map(|(z, a)| a * z).collect();
        g[0] += z[1] * z[2];
        g[1] += z[0] * z[2];
        g[2] += z[0] * z[1];
        g
    }

    fn regularized(regularizer: Regularizer, z: [f32; 4]) -> Vec<f32> {
        let ranges = if regularizer.perturbs_inputs() {
            [INPUT]
        } else {
            [PARAMETERS]
        };
        let (mut values, mut result, mut calls) = (z, gradient(&z), 0);
        let done: Result<(), Infallible> = regularizer.apply(&mut values, &ranges, &mut result, |at| {
            calls += 1;
            Ok(gradient(at))
        });
        done.unwrap();
        assert_eq!((values, calls), (z, regularizer.more_gradients()));
        result
    }

    const AT: [f32; 4] = [0.5, -0.3, 0.8, 1.1];

    #[test]
    fn differences_are_the_gradient_of_the_penalty() {
        for (regularizer, range) in [
            (Regularizer::InputGradient { weight: 0.7 }, INPUT),
            (Regularizer::ParameterGradient { weight: 0.7 }, PARAMETERS),
        ] {
            let penalty = |z: &[f32]| -> f64 {
                let g = gradient(z);
                0.7 * range.clone().map(|i| f64::from(g[i]).powi(2)).sum::<f64>()
            };
            let found = regularized(regularizer, AT);
            for i in 0..4 {
                let moved = |by: f32| {
                    let mut z = AT;
                    z[i] += by;
                    penalty(&z)
                };
                let expected = f64::from(gradient(&AT)[i]) + (moved(0.01) - moved(-0.01)) / 0.02;
                assert!((f64::from(found[i]) - expected).abs() < 1e-3, "{regularizer} {i}");
            }
        }
    }

    #[test]
    fn perturbations_go_up_the_gradient_and_stay_within_their_radius() {
        let loss = |z: &[f32]| {
            let square: f32 = z.iter().zip(CURVATURES).map(|(z, a)| 0.5 * a * z * z).sum();
            square + z[0] * z[1] * z[2]
        };
        let g = gradient(&AT);
        let length = g[0].hypot(g[1]);
        let moved = [AT[0] + 0.2 * g[0] / length, AT[1] + 0.2 * g[1] / length, AT[2], AT[3]];
        assert!(loss(&moved) > loss(&AT));
        let expected: Vec<f32> = gradient(&moved).iter().zip(&g).map(|(a, b)| a + b).collect();
        let found = regularized(Regularizer::Fgm { radius: 0.2 }, AT);
        assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-5));
        // Of a loss this smooth, several steps end close to where one does, and no further away.
        let steps = regularized(Regularizer::Pgd { radius: 0.2 }, AT);
        assert!(steps.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 0.05));
        let sam = regularized(Regularizer::Sam { radius: 0.1 }, AT);
        let length = g[2].hypot(g[3]);
        let moved = [AT[0], AT[1], AT[2] + 0.1 * g[2] / length, AT[3] + 0.1 * g[3] / length];
        assert!(sam.iter().zip(gradient(&moved)).all(|(a, b)| (a - b).abs() < 1e-5));
        // Where the gradient is 0 there is no direction.
        let mut values = [0.0; 4];
        let mut result = vec![0.0; 4];
        let none = Regularizer::Sam { radius: 1.0 }.apply(&mut values, &[PARAMETERS], &mut result, |_| Err("called"));
        assert_eq!((none, result), (Ok(()), vec![0.0; 4]));
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        for text in [
            "input-gradient:1",
            "parameter-gradient:0.01",
            "fgm:0.5",
            "pgd:0.3",
            "sam:0.05",
        ] {
            assert_eq!(text.parse::<Regularizer>().unwrap().to_string(), text);
        }
        for (text, problem) in [
            ("fgm", "expected KIND:NUMBER"),
            ("fog:1", "no regulariser `fog`"),
            ("sam:-1", "not a positive number"),
            ("sam:NaN", "not a positive number"),
        ] {
            assert!(text.parse::<Regularizer>().unwrap_err().contains(problem), "{text}");
        }
    }
}
