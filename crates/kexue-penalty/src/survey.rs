//! The inequality on random networks of every depth and activation.

use crate::slack::Slack;
use kexue_grad::inequality::{Activation, Layer, MatrixNorm, Mlp, MlpError, Readout};
use kexue_train::generator;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::Serialize;

/// The largest depth.
pub const DEPTHS: usize = 6;
/// The widest layer.
const WIDEST: usize = 24;
/// One network in so many has been trained.
const TRAINED: usize = 4;
/// For how many steps.
const STEPS: usize = 10;

/// All networks of one depth and activation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct SurveyRow {
    /// Layers.
    pub depth: usize,
    /// What every layer ends in.
    pub activation: Activation,
    /// Networks, each with an input of its own.
    pub networks: usize,
    /// Networks for which the inequality, or one of the bounds of its layers, does not hold.
    pub violations: usize,
    /// Right side over left side; `None` if no network depends on its input.
    pub slack: Option<Slack>,
    /// The median of `‖W‖₂` at the start, of the networks that were not trained, over all layers.
    pub weight_norm: f64,
}

/// Checks the inequality, and each layer's own bounds, on at least so many random networks and inputs in double precision: evenly spread over depths from 1
/// to [`DEPTHS`] and all activations, one in four trained for some steps.
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
        // Steps of bounded length: a linear readout has no minimum.
        let length = mlp.sides(&x, readout, MatrixNorm::Frobenius)?.right().sqrt();
        mlp.descend(&x, readout, 0.1 / length.max(1.0))?;
    }
    Ok(())
}
