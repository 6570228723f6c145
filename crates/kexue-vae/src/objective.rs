//! Training objectives: bounds of the log-density, and estimators of their gradients.

use crate::kernels::normal_backward;
use crate::vae::Terms;
use crate::{Observations, Vae, VaeTape};
use kexue_nn::kernels::exp_inline;
use kexue_optim::Parameters;
use kexue_train::TrainError;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// A bound and the estimator of its gradient. `w = p(x, z)/q(z|x)`, and z is a function of noise that does not depend on the parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// The evidence lower bound `E log w` (Kingma & Welling, arXiv 1312.6114), estimated by the mean over the draws.
    Vae,
    /// `E log (1/k Σ w)`. Its gradient is that of `log w` weighted by `w/Σw` (Burda, Grosse & Salakhutdinov, arXiv 1509.00519, equation 14).
    Iwae,
    /// The same bound. The encoder's gradient flows only through z and is weighted by `(w/Σw)²`, which gives the same mean and a smaller variance (Tucker,
    /// Lawson, Gu & Maddison, arXiv 1810.04152, equation 8). The decoder's gradient is that of IWAE.
    Dreg,
}

/// The objective of training, which is maximised.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Objective {
    /// The bound that is maximised, and the estimator of its gradient.
    pub bound: Bound,
    /// Number of draws of the latents for each observation, k.
    pub draws: usize,
    /// Whether the Kullback–Leibler divergence of the last layer is computed in closed form instead of at the draws.
    pub closed_form_kl: bool,
    /// Factor of the divergence, as in β-VAE (Higgins et al., 2017). With values below 1 the result is not a bound, and with values above 1 it is a looser one.
    pub beta: f32,
    /// Number of steps in which the factor increases from 0 to `beta`.
    pub kl_warmup: u64,
}

impl Default for Objective {
    fn default() -> Self {
        Self {
            bound: Bound::Vae,
            draws: 1,
            closed_form_kl: false,
            beta: 1.0,
            kl_warmup: 0,
        }
    }
}

/// The values of an objective for observations.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Objectives {
    /// Sum of the bounds over the observations, in nats.
    pub bound: f64,
    /// Sum over the observations of the mean log-likelihood.
    pub log_likelihood: f64,
}

impl Objective {
    /// Checks the objective.
    ///
    /// # Errors
    /// If a setting is invalid. The error names the first one.
    pub fn validate(&self) -> Result<(), TrainError> {
        let problem = |field, problem: &str| {
            let problem = problem.to_owned();
            Err(TrainError::Setting { field, problem })
        };
        if self.draws == 0 || self.draws > 1 << 16 {
            return problem("draws", "must be within 1 and 65536");
        }
        if !(self.beta >= 0.0 && self.beta.is_finite()) {
            return problem("beta", "must be a number, 0 or more");
        }
        if self.bound != Bound::Vae && (self.closed_form_kl || self.beta != 1.0 || self.kl_warmup > 0) {
            return problem(
                "bound",
                "a bound over several draws has no separate divergence; closed_form_kl, beta and kl_warmup need the vae bound",
            );
        }
        Ok(())
    }

    /// The factor of the divergence at a step.
    pub fn beta_at(&self, step: u64) -> f64 {
        let share = match self.kl_warmup {
            0 => 1.0,
            steps => ((step + 1) as f64 / steps as f64).min(1.0),
        };
        f64::from(self.beta) * share
    }

    /// Computes the bound of observations, and adds the gradient of its negative sum to `gradient`.
    pub fn gradient(
        &self,
        model: &Vae,
        observations: &Observations,
        step: u64,
        generator: &mut ChaCha8Rng,
        tape: &mut VaeTape,
        gradient: &mut [f32],
    ) -> Objectives {
        let count = observations.inputs.len() / model.config().dimensions;
        model.prepare(tape);
        model.draw_noise(count * self.draws, generator, tape);
        self.gradient_of_noise(model, observations, step, generator, tape, gradient)
    }

    /// [`gradient`](Self::gradient) with the noise of the latents in the tape.
    fn gradient_of_noise(
        &self,
        model: &Vae,
        observations: &Observations,
        step: u64,
        generator: &mut ChaCha8Rng,
        tape: &mut VaeTape,
        gradient: &mut [f32],
    ) -> Objectives {
        let share = self.draws;
        let count = observations.inputs.len() / model.config().dimensions;
        let rows = count * share;
        let terms = Terms {
            beta: self.beta_at(step),
            closed_form: self.closed_form_kl,
        };
        model.encode(&observations.inputs, tape);
        model.draw(rows, share, terms, tape);
        model.generate((&observations.targets, share), rows, terms, true, generator, tape);
        if terms.closed_form {
            subtract_divergence(model, rows, share, terms.beta, tape);
        }
        let objectives = self.weights(count, tape);
        backward_generative(model, rows, terms, tape, gradient);
        if self.bound == Bound::Dreg {
            // The encoder's weights are squared. The scale is the negative weight.
            for (layer, d_latents) in tape.d_latents.iter_mut().enumerate() {
                let rows = d_latents.chunks_exact_mut(model.latents(layer)).zip(&tape.scale);
                rows.for_each(|(row, scale)| row.iter_mut().for_each(|d| *d *= -scale));
            }
            tape.scale.iter_mut().for_each(|scale| *scale *= -*scale);
        }
        self.backward_inference(model, observations, rows, terms, tape, gradient);
        objectives
    }

    /// Sets the scale of each row: the negative derivative of the bound with respect to its log-weight.
    fn weights(&self, count: usize, tape: &mut VaeTape) -> Objectives {
        let share = self.draws;
        let mut all = Objectives::default();
        tape.scale.clear();
        for observation in 0..count {
            let own = observation * share..(observation + 1) * share;
            let logs = &tape.log_weights[own.clone()];
            all.log_likelihood += tape.log_likelihoods[own].iter().sum::<f64>() / share as f64;
            match self.bound {
                Bound::Vae => {
                    all.bound += logs.iter().sum::<f64>() / share as f64;
                    tape.scale.extend(logs.iter().map(|_| -1.0 / share as f32));
                }
                Bound::Iwae | Bound::Dreg => {
                    let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                    let sum: f64 = logs.iter().map(|log| (log - largest).exp()).sum();
                    all.bound += largest + (sum / share as f64).ln();
                    tape.scale
                        .extend(logs.iter().map(|log| -((log - largest).exp() / sum) as f32));
                }
            }
        }
        all
    }

    /// Computes the gradients of the encoders' parameters from the derivatives with respect to the latents.
    fn backward_inference(
        &self,
        model: &Vae,
        observations: &Observations,
        rows: usize,
        terms: Terms,
        tape: &mut VaeTape,
        gradient: &mut [f32],
    ) {
        let values = model.values();
        for layer in (0..=model.top()).rev() {
            let width = model.latents(layer);
            let top = layer == model.top();
            let share = if layer == 0 { self.draws } else { 1 };
            let closed_form = terms.closed_form && top;
            // Fills the derivative with respect to the statistics: through z only, or including that of −log q.
            let statistics_gradient = |through_latents: bool, tape: &mut VaeTape| {
                let statistics = tape.encoders[layer].output();
                let d_statistics = &mut tape.d_statistics;
                d_statistics.clear();
                d_statistics.resize(rows / share * 2 * width, 0.0);
                let each = tape.noise[layer]
                    .chunks_exact(width)
                    .zip(tape.d_latents[layer].chunks_exact(width));
                for (row, ((noise, dz), scale)) in each.zip(&tape.scale).enumerate() {
                    if *scale == 0.0 {
                        // The weight has underflowed. z may be infinite, and is ignored.
                        continue;
                    }
                    let (mean, log_deviation) = statistics[row / share * 2 * width..][..2 * width].split_at(width);
                    let (d_mean, d_log) = d_statistics[row / share * 2 * width..][..2 * width].split_at_mut(width);
                    let scaled = scale * terms.beta as f32;
                    for i in 0..width {
                        let deviation = exp_inline(log_deviation[i]);
                        // −∂ log q/∂z = noise/σ.
                        let dz = dz[i]
                            + if through_latents {
                                scale * noise[i] / deviation
                            } else {
                                0.0
                            };
                        d_mean[i] += dz;
                        d_log[i] += dz * noise[i] * deviation;
                        if closed_form {
                            d_mean[i] -= scaled * mean[i];
                            d_log[i] += scaled * (1.0 - deviation * deviation);
                        } else if !through_latents {
                            d_log[i] += scaled;
                        }
                    }
                }
            };
            let dreg = self.bound == Bound::Dreg;
            statistics_gradient(dreg, tape);
            let below = layer.checked_sub(1);
            let input = match below {
                None => &observations.inputs,
                Some(below) => &tape.latents[below],
            };
            let mut d_statistics = std::mem::take(&mut tape.d_statistics);
            let mut d_input = std::mem::take(&mut tape.d_input);
            let network = &model.encoders[layer];
            let wanted = (layer > 0 && !dreg).then_some(&mut d_input);
            let network_tape = &mut tape.encoders[layer];
            network.backward(
                values,
                (input, rows / share),
                network_tape,
                &mut d_statistics,
                Some(&mut *gradient),
                wanted,
            );
            tape.d_statistics = d_statistics;
            if layer > 0 && dreg {
                // The path includes the latents of the layer below, on which −log q of this layer depends.
                statistics_gradient(false, tape);
                let mut d_statistics = std::mem::take(&mut tape.d_statistics);
                let input = &tape.latents[layer - 1];
                let network_tape = &mut tape.encoders[layer];
                network.backward(
                    values,
                    (input, rows),
                    network_tape,
                    &mut d_statistics,
                    None,
                    Some(&mut d_input),
                );
                tape.d_statistics = d_statistics;
            }
            if layer > 0 {
                kexue_nn::kernels::add(&mut tape.d_latents[layer - 1], &d_input);
            }
            tape.d_input = d_input;
        }
    }
}

/// Subtracts `β·KL(q(z_L|·) ‖ N(0, I))` from the log-weights.
fn subtract_divergence(model: &Vae, rows: usize, share: usize, beta: f64, tape: &mut VaeTape) {
    let (top, width) = (model.top(), model.latents(model.top()));
    let share = if top == 0 { share } else { 1 };
    let statistics = tape.encoders[top].output();
    for row in 0..rows {
        let (mean, log_deviation) = statistics[row / share * 2 * width..][..2 * width].split_at(width);
        let pairs = mean.iter().zip(log_deviation);
        let divergence: f32 = pairs.map(|(m, s)| 0.5 * (m * m + (2.0 * s).exp() - 1.0) - s).sum();
        tape.log_weights[row] -= beta * f64::from(divergence);
    }
}

/// Computes the decoders' gradients and the derivatives of `log p(x, z)` with respect to the latents from the scales of the rows.
fn backward_generative(model: &Vae, rows: usize, terms: Terms, tape: &mut VaeTape, gradient: &mut [f32]) {
    let values = model.values();
    let (likelihood, dimensions) = (model.config().likelihood, model.config().dimensions);
    let range = model.log_deviation_range();
    let outputs = tape.decoders[0].output_mut();
    likelihood.deviation_gradient(
        outputs,
        model.log_deviations(),
        &tape.scale,
        &mut gradient[range],
        dimensions,
    );
    let mut d_outputs = std::mem::take(outputs);
    let width = dimensions * likelihood.parameters();
    for (row, scale) in d_outputs.chunks_exact_mut(width).zip(&tape.scale) {
        row.iter_mut().for_each(|d| *d *= scale);
    }
    // The output layer has no activation, so the backward pass does not read its tape, and the memory is used for the derivative.
    let (decoder, latents) = (&mut tape.decoders[0], &tape.latents[0]);
    let d_latents = Some(&mut tape.d_latents[0]);
    model.decoders[0].backward(
        values,
        (latents, rows),
        decoder,
        &mut d_outputs,
        Some(&mut *gradient),
        d_latents,
    );
    *tape.decoders[0].output_mut() = d_outputs;
    let beta = terms.beta as f32;
    let scale: Vec<f32> = tape.scale.iter().map(|scale| scale * beta).collect();
    for layer in 1..=model.top() {
        let mut statistics = std::mem::take(tape.decoders[layer].output_mut());
        let (width, z) = (model.latents(layer - 1), &tape.latents[layer - 1]);
        normal_backward(&mut tape.d_latents[layer - 1], z, &mut statistics, width, &scale);
        let (decoder, latents) = (&mut tape.decoders[layer], &tape.latents[layer]);
        let d_latents = Some(&mut tape.d_latents[layer]);
        model.decoders[layer].backward(
            values,
            (latents, rows),
            decoder,
            &mut statistics,
            Some(&mut *gradient),
            d_latents,
        );
        *tape.decoders[layer].output_mut() = statistics;
    }
    if !terms.closed_form {
        let top = model.top();
        let width = model.latents(top);
        let each = tape.d_latents[top]
            .chunks_exact_mut(width)
            .zip(tape.latents[top].chunks_exact(width));
        for ((dz, z), scale) in each.zip(&scale) {
            for (dz, z) in dz.iter_mut().zip(z) {
                *dz -= scale * z;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::VaeConfig;
    use rand::SeedableRng;
    use serde_json::Value;

    fn numbers(value: &Value) -> Vec<f32> {
        value
            .as_array()
            .unwrap()
            .iter()
            .map(|number| number.as_f64().unwrap() as f32)
            .collect()
    }

    /// `benches/peers/vae/goldens.py` wrote the file.
    #[test]
    fn bounds_and_gradients_are_those_of_pytorch() {
        let goldens: Value = serde_json::from_str(include_str!("../tests/pytorch.json")).unwrap();
        let cases = goldens.as_array().unwrap();
        assert!(cases.len() >= 12);
        for case in cases {
            let config: VaeConfig = serde_json::from_value(case["config"].clone()).unwrap();
            let objective: Objective = serde_json::from_value(case["objective"].clone()).unwrap();
            let mut generator = ChaCha8Rng::seed_from_u64(0);
            let mut model = Vae::new(config, &mut generator).unwrap();
            for slot in model.slots().clone().iter() {
                let values = numbers(&case["parameters"][&slot.name]);
                model.values_mut()[slot.range.clone()].copy_from_slice(&values);
            }
            let inputs = numbers(&case["x"]);
            let observations = Observations {
                targets: inputs.clone(),
                inputs,
            };
            let mut tape = VaeTape::default();
            model.prepare(&mut tape);
            for (noise, expected) in tape.noise.iter_mut().zip(case["noise"].as_array().unwrap()) {
                *noise = numbers(expected);
            }
            let mut gradient = vec![0.0; model.values().len()];
            let found = objective.gradient_of_noise(&model, &observations, 0, &mut generator, &mut tape, &mut gradient);
            let bound = case["bound"].as_f64().unwrap();
            assert!(
                (found.bound - bound).abs() < 1e-4,
                "{objective:?}: {} {bound}",
                found.bound
            );
            for slot in model.slots().iter() {
                for (found, expected) in gradient[slot.range.clone()]
                    .iter()
                    .zip(numbers(&case["gradient"][&slot.name]))
                {
                    assert!(
                        (found - expected).abs() < 1e-4 * (1.0 + expected.abs()),
                        "{objective:?} {}: {found} {expected}",
                        slot.name
                    );
                }
            }
        }
    }
}
