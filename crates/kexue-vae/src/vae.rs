//! The model: its parameters, and the passes from observations to latents and back.

use crate::kernels::{draw_normal, normal, standard_normal};
use crate::network::{Network, NetworkTape, Part, resize};
use crate::{StochasticLayer, VaeConfig};
use kexue_optim::{Parameters, Place, Role, Slots};
use kexue_train::TrainError;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use std::ops::Range;

/// A variational autoencoder with one flat vector of parameters.
///
/// Slots: `encoder.L.I.weight` and `.bias` are layer I of the network from the observation, or from the latents of stochastic layer L − 1, to those of layer
/// L; it computes `[μ | log σ]`. `decoder.L.I` is the network from the latents of L back; that of layer 0 computes the parameters of the likelihood,
/// `[parameter, dimension]`. `likelihood.log_std` are the logarithms of learned standard deviations.
#[derive(Clone, Debug)]
pub struct Vae {
    config: VaeConfig,
    slots: Slots,
    values: Vec<f32>,
    pub(crate) encoders: Vec<Network>,
    pub(crate) decoders: Vec<Network>,
    log_deviations: Range<usize>,
}

/// Working memory of the passes through a model.
#[derive(Clone, Debug, Default)]
pub struct VaeTape {
    pub(crate) encoders: Vec<NetworkTape>,
    pub(crate) decoders: Vec<NetworkTape>,
    /// The latents of each layer, `[rows, latents]`.
    pub(crate) noise: Vec<Vec<f32>>,
    pub(crate) latents: Vec<Vec<f32>>,
    /// Targets with noise.
    targets: Vec<f32>,
    /// The derivatives with respect to the latents of each layer.
    pub(crate) d_latents: Vec<Vec<f32>>,
    pub(crate) d_statistics: Vec<f32>,
    pub(crate) d_input: Vec<f32>,
    pub(crate) log_weights: Vec<f64>,
    pub(crate) log_likelihoods: Vec<f64>,
    pub(crate) scale: Vec<f32>,
}

/// Observations as the input of a model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observations {
    /// The input of the encoder, `[observations, dimensions]`.
    pub inputs: Vec<f32>,
    /// The values in the likelihood, `[observations, dimensions]`: 0 or 1, a real number, a class, or a byte/127.5 − 1; for dequantised bytes, byte/256.
    pub targets: Vec<f32>,
}

/// The terms of the bound in the log-weights.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// Factor of `log p(z) − log q(z|x)`.
    pub beta: f64,
    /// Omit the terms of the last layer, whose Kullback–Leibler divergence is added in closed form.
    pub closed_form: bool,
}

impl Terms {
    /// The terms of an importance weight.
    pub const WEIGHT: Self = Self {
        beta: 1.0,
        closed_form: false,
    };

    fn top(&self) -> f64 {
        if self.closed_form { 0.0 } else { self.beta }
    }
}

impl Vae {
    /// Creates a model with random weights.
    ///
    /// # Errors
    /// If the configuration is invalid. The error names the setting.
    pub fn new(config: VaeConfig, generator: &mut ChaCha8Rng) -> Result<Self, TrainError> {
        let mut model = Self::without_values(config)?;
        model.values = vec![0.0; model.slots.size()];
        for network in model.encoders.iter().chain(&model.decoders) {
            network.initialise(&mut model.values, generator);
        }
        Ok(model)
    }

    /// The networks and the slots of a model, before there is memory for its values.
    pub(crate) fn without_values(config: VaeConfig) -> Result<Self, TrainError> {
        config.validate()?;
        let mut slots = Slots::default();
        let (mut encoders, mut decoders) = (Vec::new(), Vec::new());
        let dense = |widths: &[usize]| widths.iter().map(|&width| Part::Dense(width)).collect::<Vec<_>>();
        let mut below = config.dimensions;
        for (at, StochasticLayer { hidden, latent }) in config.layers.iter().enumerate() {
            let convolutions = if at == 0 { &config.convolutions[..] } else { &[] };
            let mut parts: Vec<Part> = convolutions
                .iter()
                .map(|&channels| Part::Convolution(channels))
                .collect();
            parts.extend(dense(hidden));
            parts.push(Part::Dense(2 * latent));
            let from = (below, config.image.filter(|_| at == 0));
            encoders.push(Network::new(
                &mut slots,
                &format!("encoder.{at}"),
                from,
                &parts,
                config.activation,
            ));
            below = *latent;
        }
        for (at, StochasticLayer { hidden, latent }) in config.layers.iter().enumerate() {
            let reversed: Vec<usize> = hidden.iter().rev().copied().collect();
            let mut parts = dense(&reversed);
            match (at, config.smallest_image(), config.image) {
                (0, Some(smallest), Some(image)) => {
                    parts.push(Part::DenseImage(smallest));
                    let channels = config.convolutions.iter().rev().skip(1);
                    parts.extend(channels.map(|&channels| Part::Transposed(channels)));
                    parts.push(Part::Transposed(image.channels * config.likelihood.parameters()));
                }
                (0, ..) => parts.push(Part::Dense(config.dimensions * config.likelihood.parameters())),
                _ => parts.push(Part::Dense(2 * config.layers[at - 1].latent)),
            }
            let name = format!("decoder.{at}");
            decoders.push(Network::new(
                &mut slots,
                &name,
                (*latent, None),
                &parts,
                config.activation,
            ));
        }
        let log_deviations = match config.likelihood.log_deviations(config.dimensions) {
            0 => 0..0,
            count => slots.add("likelihood.log_std", Role::Bias, Place::Unspecified, &[count]),
        };
        Ok(Self {
            config,
            slots,
            values: Vec::new(),
            encoders,
            decoders,
            log_deviations,
        })
    }

    /// The configuration.
    pub fn config(&self) -> &VaeConfig {
        &self.config
    }

    /// Sets the bias of the logits to the logits of the mean observation, clipped to 0.001 and 0.999, or for real numbers to the mean itself, as published.
    /// Convolutional decoders, whose biases belong to channels, and other likelihoods are not changed.
    pub fn start_at_mean(&mut self, mean: &[f32]) {
        use crate::Likelihood::{Bernoulli, Gaussian};
        let bias = self.decoders[0].last_bias();
        if bias.len() != mean.len() {
            return;
        }
        let of = |mean: f32| match self.config.likelihood {
            Bernoulli {} => {
                let clipped = mean.clamp(0.001, 0.999);
                Some((clipped / (1.0 - clipped)).ln())
            }
            Gaussian { .. } => Some(mean),
            _ => None,
        };
        for (at, &mean) in mean.iter().enumerate() {
            if let Some(value) = of(mean) {
                self.values[bias.start + at] = value;
            }
        }
    }

    pub(crate) fn log_deviations(&self) -> &[f32] {
        &self.values[self.log_deviations.clone()]
    }

    pub(crate) fn log_deviation_range(&self) -> Range<usize> {
        self.log_deviations.clone()
    }

    /// Number of latents of a layer, counted from 0.
    pub fn latents(&self, layer: usize) -> usize {
        self.config.layers[layer].latent
    }

    pub(crate) fn top(&self) -> usize {
        self.config.layers.len() - 1
    }

    /// Prepares the tape. Every pass calls this.
    pub(crate) fn prepare(&self, tape: &mut VaeTape) {
        let layers = self.config.layers.len();
        tape.encoders.resize_with(layers, NetworkTape::default);
        tape.decoders.resize_with(layers, NetworkTape::default);
        tape.noise.resize_with(layers, Vec::new);
        tape.latents.resize_with(layers, Vec::new);
        tape.d_latents.resize_with(layers, Vec::new);
    }

    /// Computes the statistics `[μ | log σ]` of the first layer's latents, `[observations, 2·latents]`, in the tape.
    pub(crate) fn encode(&self, inputs: &[f32], tape: &mut VaeTape) {
        self.prepare(tape);
        let rows = inputs.len() / self.config.dimensions;
        self.encoders[0].forward(&self.values, inputs, rows, &mut tape.encoders[0]);
    }

    /// Draws the noise of the latents of each row.
    pub(crate) fn draw_noise(&self, rows: usize, generator: &mut ChaCha8Rng, tape: &mut VaeTape) {
        for layer in 0..=self.top() {
            let noise = resize(&mut tape.noise[layer], rows * self.latents(layer));
            noise
                .iter_mut()
                .for_each(|noise| *noise = generator.sample(StandardNormal));
        }
    }

    /// Computes the latents of each row from the noise and the statistics. Sets the log-weights to `−log q`.
    pub(crate) fn draw(&self, rows: usize, share: usize, terms: Terms, tape: &mut VaeTape) {
        tape.log_weights.clear();
        tape.log_weights.resize(rows, 0.0);
        for layer in 0..=self.top() {
            let width = self.latents(layer);
            let z = resize(&mut tape.latents[layer], rows * width);
            let statistics = tape.encoders[layer].output();
            let share = if layer == 0 { share } else { 1 };
            let factor = if layer == self.top() { terms.top() } else { terms.beta };
            draw_normal(
                z,
                &tape.noise[layer],
                statistics,
                width,
                share,
                factor,
                &mut tape.log_weights,
            );
            if layer < self.top() {
                let next = &mut tape.encoders[layer + 1];
                self.encoders[layer + 1].forward(&self.values, &tape.latents[layer], rows, next);
            }
        }
    }

    /// Computes the generative model: adds `log p(x, z)` to the log-weights, and sets the log-likelihoods. With `gradient`, the output of the last decoder is
    /// replaced by the derivative of the log-likelihood.
    pub(crate) fn generate(
        &self,
        (targets, share): (&[f32], usize),
        rows: usize,
        terms: Terms,
        gradient: bool,
        generator: &mut ChaCha8Rng,
        tape: &mut VaeTape,
    ) {
        let top = self.top();
        standard_normal(
            &tape.latents[top],
            self.latents(top),
            terms.top(),
            &mut tape.log_weights,
        );
        for layer in (0..=top).rev() {
            self.decoders[layer].forward(&self.values, &tape.latents[layer], rows, &mut tape.decoders[layer]);
            if layer > 0 {
                let (z, statistics) = (&tape.latents[layer - 1], tape.decoders[layer].output());
                normal(
                    z,
                    statistics,
                    self.latents(layer - 1),
                    terms.beta,
                    &mut tape.log_weights,
                );
            }
        }
        let (likelihood, dimensions) = (self.config.likelihood, self.config.dimensions);
        let (targets, share) = match likelihood.dequantizes() {
            false => (targets, share),
            true => {
                let noisy = resize(&mut tape.targets, rows * dimensions);
                for (row, noisy) in noisy.chunks_exact_mut(dimensions).enumerate() {
                    let own = &targets[row / share * dimensions..][..dimensions];
                    for (noisy, target) in noisy.iter_mut().zip(own) {
                        *noisy = target + generator.random::<f32>() / 256.0;
                    }
                }
                (&tape.targets[..], 1)
            }
        };
        tape.log_likelihoods.clear();
        tape.log_likelihoods.resize(rows, likelihood.log_volume(dimensions));
        let outputs = tape.decoders[0].output_mut();
        let deviations = &self.values[self.log_deviations.clone()];
        likelihood.log_likelihood(
            outputs,
            (targets, share),
            dimensions,
            deviations,
            gradient,
            &mut tape.log_likelihoods,
        );
        for (weight, likelihood) in tape.log_weights.iter_mut().zip(&tape.log_likelihoods) {
            *weight += likelihood;
        }
    }

    /// Computes the log-weights of `rows/share` observations in the tape, with `share` draws for each, from the statistics that [`encode`](Self::encode)
    /// computed.
    pub(crate) fn weigh(
        &self,
        (targets, share): (&[f32], usize),
        rows: usize,
        generator: &mut ChaCha8Rng,
        tape: &mut VaeTape,
    ) {
        self.draw_noise(rows, generator, tape);
        self.draw(rows, share, Terms::WEIGHT, tape);
        self.generate((targets, share), rows, Terms::WEIGHT, false, generator, tape);
    }

    /// The means of the latents of each layer, `[observations, latents]`. Those of a higher layer are computed from the means of the layer below.
    pub fn latent_means(&self, inputs: &[f32], tape: &mut VaeTape) -> Vec<Vec<f32>> {
        let rows = inputs.len() / self.config.dimensions;
        self.encode(inputs, tape);
        let mut means: Vec<Vec<f32>> = Vec::new();
        for layer in 0..=self.top() {
            if let Some(below) = means.last() {
                self.encoders[layer].forward(&self.values, below, rows, &mut tape.encoders[layer]);
            }
            let width = self.latents(layer);
            let statistics = tape.encoders[layer].output().chunks_exact(2 * width);
            means.push(statistics.flat_map(|row| row[..width].iter().copied()).collect());
        }
        means
    }

    /// The parameters of the likelihood for latents of the first layer, `[rows, parameters, dimensions]`.
    pub(crate) fn decode(&self, latents: &[f32], tape: &mut VaeTape) -> Vec<f32> {
        self.prepare(tape);
        let rows = latents.len() / self.latents(0);
        self.decoders[0].forward(&self.values, latents, rows, &mut tape.decoders[0]);
        tape.decoders[0].output().to_vec()
    }

    /// The mean observations for latents of the first layer, in units of the targets; for classes, the most probable ones.
    pub fn decode_means(&self, latents: &[f32], tape: &mut VaeTape) -> Vec<Vec<f32>> {
        let outputs = self.decode(latents, tape);
        let rows = outputs.chunks_exact(self.config.dimensions * self.config.likelihood.parameters());
        rows.map(|row| self.config.likelihood.mean(row, self.config.dimensions))
            .collect()
    }

    /// Computes the latents of the first layer from standard normal noise `[rows, Σ latents]`, with the noise of the last layer first. The latents of the other
    /// layers are drawn from their distributions with that noise.
    pub(crate) fn latents_of_noise(&self, noise: &[f32], tape: &mut VaeTape) {
        self.prepare(tape);
        let size = self.noise_size();
        let rows = noise.len() / size;
        let mut from = 0;
        for layer in (0..=self.top()).rev() {
            let width = self.latents(layer);
            let own = resize(&mut tape.noise[layer], rows * width);
            for (own, noise) in own.chunks_exact_mut(width).zip(noise.chunks_exact(size)) {
                own.copy_from_slice(&noise[from..from + width]);
            }
            from += width;
            let z = resize(&mut tape.latents[layer], rows * width);
            if layer == self.top() {
                z.copy_from_slice(&tape.noise[layer]);
                continue;
            }
            let (below, above) = tape.latents.split_at_mut(layer + 1);
            self.decoders[layer + 1].forward(&self.values, &above[0], rows, &mut tape.decoders[layer + 1]);
            let statistics = tape.decoders[layer + 1].output();
            let mut unused = vec![0.0; rows];
            draw_normal(
                &mut below[layer],
                &tape.noise[layer],
                statistics,
                width,
                1,
                0.0,
                &mut unused,
            );
        }
    }

    /// Size of the noise of the latents of all layers.
    pub(crate) fn noise_size(&self) -> usize {
        self.config.layers.iter().map(|layer| layer.latent).sum()
    }

    /// Draws observations from the model, in units of the targets. With `means`, returns their means given the latents instead of draws.
    pub fn sample(&self, count: usize, means: bool, generator: &mut ChaCha8Rng) -> Vec<Vec<f32>> {
        let mut tape = VaeTape::default();
        let noise: Vec<f32> = (0..count * self.noise_size())
            .map(|_| generator.sample(StandardNormal))
            .collect();
        self.latents_of_noise(&noise, &mut tape);
        let latents = std::mem::take(&mut tape.latents[0]);
        let outputs = self.decode(&latents, &mut tape);
        let (likelihood, dimensions) = (self.config.likelihood, self.config.dimensions);
        let rows = outputs.chunks_exact(dimensions * likelihood.parameters());
        rows.map(|row| match means {
            true => likelihood.mean(row, dimensions),
            false => likelihood.draw(row, dimensions, self.log_deviations(), generator),
        })
        .collect()
    }
}

impl Parameters for Vae {
    fn slots(&self) -> &Slots {
        &self.slots
    }

    fn values(&self) -> &[f32] {
        &self.values
    }

    fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }
}
