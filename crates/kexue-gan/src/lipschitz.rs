//! Measurement of a normalised critic's slope.

use crate::network::Critic;
use crate::normalizer::Normalizer;
use crate::play::normalized_scores;
use crate::players::noise;
use burn::module::Module;
use burn::tensor::{Tensor, TensorData};
use kexue_grad::norm_per_sample;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

/// The slopes of D̂.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Slopes {
    /// The largest `‖∇ₓD̂‖` at the sampled points, which are almost surely not on kinks.
    pub largest_gradient: f64,
    /// The mean `‖∇ₓD̂‖`.
    pub mean_gradient: f64,
    /// The largest and the mean `|D̂(x) − D̂(y)|/‖x − y‖` over pairs of points, for several distances. Where D̂ jumps, the slope grows without bound as
    /// the distance decreases.
    pub pairs: Vec<PairSlopes>,
}

/// Slopes between pairs of points.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PairSlopes {
    /// Distance of the two points, relative to the root mean square of a point's coordinates times the square root of their number.
    pub distance: f64,
    /// The largest slope.
    pub largest: f64,
    /// The mean slope.
    pub mean: f64,
}

impl Slopes {
    /// The largest slope of all measurements, a lower bound of the Lipschitz constant.
    pub fn largest(&self) -> f64 {
        self.pairs
            .iter()
            .fold(self.largest_gradient, |most, pairs| most.max(pairs.largest))
    }
}

/// The distances of pairs, relative to the size of the data.
pub const DISTANCES: [f64; 5] = [1e-3, 1e-2, 1e-1, 0.3, 1.0];

fn numbers(tensor: Tensor<1>) -> Vec<f64> {
    tensor.into_data_as::<f64>().try_to_vec().expect("just converted")
}

fn largest_and_mean(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let count = values.clone().count().max(1) as f64;
    let sum: f64 = values.clone().sum();
    (values.fold(0.0, f64::max), sum / count)
}

/// D̂ and its gradient at points `[batch, size]`, both constants.
pub fn scores_and_gradients(normalizer: &dyn Normalizer, critic: &Critic, points: Tensor<2>) -> (Tensor<1>, Tensor<2>) {
    let critic = normalizer.weights(critic).no_grad();
    let points = points.detach().require_grad();
    let scores = normalized_scores(normalizer, &critic, points.clone()).0;
    let gradient = points.grad(&scores.clone().sum().backward()).map(Tensor::from_inner);
    (
        scores.detach(),
        gradient.unwrap_or_else(|| points.zeros_like().detach()),
    )
}

/// Measures D̂ at random points between real and generated samples, both `[samples, size]`.
pub fn slopes(
    normalizer: &dyn Normalizer,
    critic: &Critic,
    real: Tensor<2>,
    fake: Tensor<2>,
    random: &mut ChaCha8Rng,
) -> Slopes {
    let [count, size] = real.dims();
    let device = real.device();
    let tensor = |values: Vec<f32>, size: usize| -> Tensor<2> {
        Tensor::from_data(TensorData::new(values, [count, size]), &device)
    };
    let shares = tensor((0..count).map(|_| random.random_range(0.0..1.0)).collect(), 1);
    let between = real.clone() * shares.clone() + fake.clone() * (shares.neg() + 1.0);
    let points = Tensor::cat(vec![real.clone(), fake, between.clone()], 0);
    let (_, gradients) = scores_and_gradients(normalizer, critic, points);
    let norms = numbers(norm_per_sample(gradients));
    let (largest_gradient, mean_gradient) = largest_and_mean(norms.iter().copied());

    let scale: f64 = norm_per_sample(real).mean().into_scalar();
    let frozen = normalizer.weights(critic).no_grad();
    let scores = |points: Tensor<2>| normalized_scores(normalizer, &frozen, points).0;
    let starts = numbers(scores(between.clone()));
    let pairs = DISTANCES.map(|distance| {
        let direction = tensor(noise(count * size, random), size);
        let length = norm_per_sample(direction.clone()).reshape([count, 1]);
        let step = direction / length * (distance * scale);
        let ends = between.clone() + step;
        // The step after rounding.
        let walked = numbers(norm_per_sample(ends.clone() - between.clone()));
        let slopes = numbers(scores(ends))
            .into_iter()
            .zip(&starts)
            .zip(walked)
            .map(|((end, start), walked)| (end - start).abs() / walked.max(f64::MIN_POSITIVE));
        let slopes: Vec<f64> = slopes.collect();
        let (largest, mean) = largest_and_mean(slopes.into_iter());
        PairSlopes {
            distance,
            largest,
            mean,
        }
    });
    Slopes {
        largest_gradient,
        mean_gradient,
        pairs: pairs.to_vec(),
    }
}
