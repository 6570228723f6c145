//! A [`Vae`] as a model for the estimator and the annealed chains.

use crate::network::resize;
use crate::{AnnealedModel, ImportanceModel, Observations, Vae, VaeTape};
use kexue_optim::Parameters;
use rand_chacha::ChaCha8Rng;
use std::sync::Mutex;

/// Estimates densities of a [`Vae`] with its encoder as the proposal.
#[derive(Debug)]
pub struct VaeDensity<'a> {
    model: &'a Vae,
    /// Working memory for the blocks that are computed at the same time.
    tapes: Mutex<Vec<VaeTape>>,
}

impl<'a> VaeDensity<'a> {
    /// Creates an estimator for a model.
    pub fn new(model: &'a Vae) -> Self {
        Self {
            model,
            tapes: Mutex::default(),
        }
    }

    /// Calls a function with working memory that no other thread uses.
    fn with_tape<R>(&self, act: impl FnOnce(&mut VaeTape) -> R) -> R {
        // A poisoned lock is harmless, because the pool contains only complete tapes.
        let tapes = || self.tapes.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut tape = tapes().pop().unwrap_or_default();
        let result = act(&mut tape);
        tapes().push(tape);
        result
    }
}

impl ImportanceModel for VaeDensity<'_> {
    /// A single observation.
    type Sample = Observations;
    /// `[μ | log σ]` of the first layer's latents.
    type Proposal = Vec<f32>;

    fn propose(&self, sample: &Observations) -> Vec<f32> {
        self.with_tape(|tape| {
            self.model.encode(&sample.inputs, tape);
            tape.encoders[0].output().to_vec()
        })
    }

    fn log_weights(&self, sample: &Observations, proposal: &Vec<f32>, generator: &mut ChaCha8Rng, out: &mut [f64]) {
        self.with_tape(|tape| {
            self.model.prepare(tape);
            resize(tape.encoders[0].output_mut(), proposal.len()).copy_from_slice(proposal);
            self.model
                .weigh((&sample.targets, out.len()), out.len(), generator, tape);
            out.copy_from_slice(&tape.log_weights);
        });
    }
}

/// Dequantised targets are used as they are, so the density is that of the real number.
impl AnnealedModel for VaeDensity<'_> {
    type Sample = Observations;

    fn noise_size(&self) -> usize {
        self.model.noise_size()
    }

    fn log_likelihood(&self, sample: &Observations, noise: &[f32], gradient: &mut [f32], out: &mut [f64]) {
        let model = self.model;
        let (dimensions, likelihood) = (model.config().dimensions, model.config().likelihood);
        let (size, values) = (model.noise_size(), model.values());
        let rows = out.len();
        self.with_tape(|tape| {
            model.latents_of_noise(noise, tape);
            model.decoders[0].forward(values, &tape.latents[0], rows, &mut tape.decoders[0]);
            out.fill(0.0);
            let mut d_outputs = std::mem::take(tape.decoders[0].output_mut());
            let targets = (&sample.targets[..], rows);
            likelihood.log_likelihood(&mut d_outputs, targets, dimensions, model.log_deviations(), true, out);
            let mut from = size;
            for layer in 0..=model.top() {
                // The derivative with respect to this layer's latents, through the network below it.
                let (decoder, latents) = (&mut tape.decoders[layer], &tape.latents[layer]);
                let d_latents = Some(&mut tape.d_latents[layer]);
                model.decoders[layer].backward(values, (latents, rows), decoder, &mut d_outputs, None, d_latents);
                let width = model.latents(layer);
                from -= width;
                let statistics = (layer < model.top()).then(|| std::mem::take(tape.decoders[layer + 1].output_mut()));
                d_outputs.clear();
                for (row, d_latents) in tape.d_latents[layer].chunks_exact(width).enumerate() {
                    let d_noise = &mut gradient[row * size + from..][..width];
                    let Some(statistics) = &statistics else {
                        d_noise.copy_from_slice(d_latents);
                        continue;
                    };
                    d_outputs.extend_from_slice(d_latents);
                    let log_deviations = &statistics[(2 * row + 1) * width..][..width];
                    let noise = &noise[row * size + from..][..width];
                    for at in 0..width {
                        d_noise[at] = d_latents[at] * log_deviations[at].exp();
                        d_outputs.push(d_noise[at] * noise[at]);
                    }
                }
            }
        });
    }

    fn generate(&self, noise: &[f32], generator: &mut ChaCha8Rng) -> Observations {
        let (dimensions, likelihood) = (self.model.config().dimensions, self.model.config().likelihood);
        self.with_tape(|tape| {
            self.model.latents_of_noise(noise, tape);
            let latents = tape.latents[0].clone();
            let outputs = self.model.decode(&latents, tape);
            let targets = likelihood.draw(&outputs, dimensions, self.model.log_deviations(), generator);
            let inputs = targets.iter().map(|&target| likelihood.input_of(target)).collect();
            Observations { inputs, targets }
        })
    }
}
