//! The inequality on random networks of all depths and activations.

use crate::slack::Slack;
use kexue_grad::inequality::{Activation, Layer, MatrixNorm, Mlp, MlpError, Readout};
use kexue_train::generator;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::Serialize;

/// Maximum depth.
pub const DEPTHS: usize = 6;
/// Maximum width.
const WIDEST: usize = 24;
/// One network in this many is trained.
const TRAINED: usize = 4;
/// Number of training steps.
const STEPS: usize = 10;

/// The results for all networks of one depth and activation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct SurveyRow {
    /// Number of layers.
    pub depth: usize,
    /// The activation of every layer.
    pub activation: Activation,
    /// Number of networks, each with one input.
    pub networks: usize,
    /// Number of networks that violate the inequality or the bound of a layer.
    pub violations: usize,
    /// The ratio of the right side to the left side; `None` if no network depends on its input.
    pub slack: Option<Slack>,
    /// The median of `‖W‖₂` over all layers of the untrained networks.
    pub weight_norm: f64,
}

/// Checks the inequality and the bounds of each layer in double precision on at least `networks` random networks and inputs, evenly distributed over
/// depths from 1 to [`DEPTHS`] and all activations. One network in four is trained for some steps.
///
/// # Errors
/// If a singular value decomposition does not converge.
pub fn survey(networks: usize, seed: u64, norm: MatrixNorm) -> Result<Vec<SurveyRow>, MlpError> {
    let kinds: Vec<(usize, Activation)> = (1..=DEPTHS)
        .flat_map(|depth| Activation::ALL.map(|activation| (depth, activation)))
        .collect();
    let each = networks.div_ceil(kinds.len());
    let rows = kinds.par_iter().enumerate().map(|(kind, &(depth, activation))| {
        let (mut violations, mut slacks, mut norms) = (0, Vec::new(), Vec::new());
        for number in 0..each {
            let mut random = generator(seed, kind as u64, number as u64);
            let (mut mlp, readout) = network(depth, activation, &mut random)?;
            let trained = number % TRAINED == TRAINED - 1;
            if trained {
                train(&mut mlp, &readout, &mut random)?;
            }
            let sides = mlp.sides(&input(&mlp, &mut random), &readout, norm)?;
            violations += usize::from(!sides.holds());
            slacks.extend(sides.slack());
            if !trained {
                norms.extend(sides.layers.iter().map(|layer| layer.weight_norm));
            }
        }
        Ok(SurveyRow {
            depth,
            activation,
            networks: each,
            violations,
            slack: Slack::of(slacks),
            weight_norm: Slack::of(norms).map_or(f64::NAN, |norms| norms.median),
        })
    });
    rows.collect()
}

/// A network of random widths and scale.
fn network(depth: usize, activation: Activation, random: &mut ChaCha8Rng) -> Result<(Mlp, Readout), MlpError> {
    let widths: Vec<usize> = (0..=depth).map(|_| random.random_range(1..=WIDEST)).collect();
    let scale: f64 = random.random_range(0.3..3.0);
    let layers = widths.windows(2).map(|pair| {
        let bound = scale * (3.0 / pair[0] as f64).sqrt();
        let weight: Vec<f64> = (0..pair[0] * pair[1])
            .map(|_| random.random_range(-bound..bound))
            .collect();
        let bias = (0..pair[1]).map(|_| random.random_range(-0.5..0.5)).collect();
        Layer::new(pair[0], &weight, bias)
    });
    let layers = layers.collect::<Result<Vec<_>, _>>()?;
    let outputs = widths[depth];
    let readout = match random.random() {
        true => Readout::CrossEntropy {
            class: random.random_range(0..outputs),
        },
        false => Readout::Linear((0..outputs).map(|_| random.random_range(-1.0..1.0)).collect()),
    };
    Ok((Mlp::new(layers, activation)?, readout))
}

fn input(mlp: &Mlp, random: &mut ChaCha8Rng) -> Vec<f64> {
    let size = mlp.layers()[0].inputs();
    (0..size).map(|_| random.random_range(-2.0..2.0)).collect()
}

fn train(mlp: &mut Mlp, readout: &Readout, random: &mut ChaCha8Rng) -> Result<(), MlpError> {
    for _ in 0..STEPS {
        let x = input(mlp, random);
        // Steps of bounded length, because a linear readout has no minimum.
        let length = mlp.sides(&x, readout, MatrixNorm::Frobenius)?.right().sqrt();
        mlp.descend(&x, readout, 0.1 / length.max(1.0))?;
    }
    Ok(())
}
