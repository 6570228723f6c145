//! Analysis of the latents: active units, reconstructions and traversals.

use crate::{Dataset, Observations, Preparation, Vae, VaeTape};
use rand_chacha::ChaCha8Rng;

/// The variance of a unit's posterior mean above which it is active (Burda, Grosse & Salakhutdinov, arXiv 1509.00519, section 5.1).
const ACTIVE: f64 = 0.01;

/// Number of units of each stochastic layer whose posterior mean has a variance of more than 0.01 over the data. The means of a higher layer are computed
/// from the means of the layer below.
pub fn active_units(
    model: &Vae,
    data: &Dataset,
    preparation: &Preparation,
    indices: &[usize],
    generator: &mut ChaCha8Rng,
) -> Vec<usize> {
    let layers = model.config().layers.len();
    let mut sums: Vec<Vec<(f64, f64)>> = (0..layers)
        .map(|layer| vec![(0.0, 0.0); model.latents(layer)])
        .collect();
    let mut tape = VaeTape::default();
    for indices in indices.chunks(200) {
        let observations = preparation.observe(data, model.config().likelihood, indices, generator);
        for (layer, means) in model.latent_means(&observations.inputs, &mut tape).iter().enumerate() {
            for row in means.chunks_exact(model.latents(layer)) {
                for (sum, &mean) in sums[layer].iter_mut().zip(row) {
                    let mean = f64::from(mean);
                    *sum = (sum.0 + mean, sum.1 + mean * mean);
                }
            }
        }
    }
    let count = indices.len().max(1) as f64;
    let is_active = |sum: &&(f64, f64)| sum.1 / count - (sum.0 / count).powi(2) > ACTIVE;
    sums.iter()
        .map(|layer| layer.iter().filter(is_active).count())
        .collect()
}

/// Observations, each followed by its reconstruction from the mean of its latents, in units of the targets.
pub fn reconstructions(model: &Vae, observations: &Observations) -> Vec<Vec<f32>> {
    let mut tape = VaeTape::default();
    let means = model.latent_means(&observations.inputs, &mut tape).swap_remove(0);
    let rebuilt = model.decode_means(&means, &mut tape);
    let targets = observations.targets.chunks_exact(model.config().dimensions);
    targets
        .zip(rebuilt)
        .flat_map(|(target, rebuilt)| [target.to_vec(), rebuilt])
        .collect()
}

/// Mean observations while one unit of the first layer goes from −3 to 3 in `steps` steps and the others stay at the posterior mean of an observation. There
/// is a row for each of the `units` units whose posterior means vary most.
pub fn traversals(model: &Vae, observations: &Observations, units: usize, steps: usize) -> Vec<Vec<f32>> {
    let mut tape = VaeTape::default();
    let width = model.latents(0);
    let means = model.latent_means(&observations.inputs, &mut tape).swap_remove(0);
    let rows = means.len() as f64 / width as f64;
    let variance = |unit: usize| {
        let values = || means.iter().skip(unit).step_by(width).map(|&mean| f64::from(mean));
        let mean = values().sum::<f64>() / rows;
        values().map(|value| (value - mean).powi(2)).sum::<f64>()
    };
    let mut order: Vec<(f64, usize)> = (0..width).map(|unit| (variance(unit), unit)).collect();
    order.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let mut latents = Vec::new();
    for (_, unit) in order.into_iter().take(units) {
        for step in 0..steps {
            let start = latents.len();
            latents.extend_from_slice(&means[..width]);
            latents[start + unit] = -3.0 + 6.0 * step as f32 / (steps - 1).max(1) as f32;
        }
    }
    model.decode_means(&latents, &mut tape)
}
