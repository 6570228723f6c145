//! The passes over a batch, on slices.
//!
//! Within a region between the kinks, the network is affine. So its backward pass needs only the signs of the hidden values, and these are known after
//! one forward pass: what is computed once for `f` also serves the derivatives of `‖∇ₓf‖`.

use super::layer::{Image, Layer};
use crate::derivative::SHORTEST;
use kexue_nn::kernels::{ADD, SET, Shape, dot, matmul};
use multiversion::multiversion;
use rayon::prelude::*;
use std::ops::Range;

/// The layers, and the slope of the activation between them below 0.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Chain {
    pub layers: Vec<Layer>,
    pub slope: f32,
}

/// The largest number of parts of a batch that are computed in parallel. It is fixed, so that sums do not depend on the number of threads.
const PARTS: usize = 4;

/// A part of a batch has at least this number of samples.
const SAMPLES: usize = 8;

/// Number of pixels whose patches are multiplied by the weights at once: large enough for fast products, small enough for the cache.
const PIXELS: usize = 256;

/// What the backward pass needs of a forward pass.
#[derive(Debug)]
pub(super) struct Tape {
    parameters: Vec<LayerParameters>,
    parts: Vec<Part>,
}

/// The parameters of a layer, in our order.
#[derive(Debug)]
struct LayerParameters {
    /// `[out, taps]`.
    weight: Vec<f32>,
    /// `[taps, out]`.
    transposed: Vec<f32>,
    /// `[out]`.
    bias: Vec<f32>,
}

/// A part of a batch.
#[derive(Debug)]
struct Part {
    samples: Range<usize>,
    /// The input, channels last.
    input: Vec<f32>,
    /// The values of each layer after its activation.
    values: Vec<Vec<f32>>,
    gradient: Option<InputGradient>,
}

/// The gradients of the scores with respect to the input, and what they were computed from.
#[derive(Debug)]
struct InputGradient {
    /// The derivatives of the score with respect to the values of each layer before its activation.
    derivatives: Vec<Vec<f32>>,
    /// `[samples, input]`, channels last.
    values: Vec<f32>,
    /// `[samples]`.
    norms: Vec<f32>,
}

/// Gradients of a loss.
#[derive(Debug)]
pub(super) struct Gradients {
    /// In the order of the parameters.
    pub parameters: Option<Vec<f32>>,
    /// `[batch, input]`.
    pub input: Option<Vec<f32>>,
}

/// What to differentiate with respect to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub parameters: bool,
    pub input: bool,
}

/// Memory for patches.
#[derive(Default)]
struct Buffer(Vec<f32>);

impl Buffer {
    fn of(&mut self, length: usize) -> &mut [f32] {
        if self.0.len() < length {
            self.0.resize(length, 0.0);
        }
        &mut self.0[..length]
    }
}

impl Chain {
    pub fn input(&self) -> Image {
        self.layers[0].input
    }

    pub fn parameters(&self) -> usize {
        self.layers.iter().map(Layer::parameters).sum()
    }

    /// Computes the scores of a batch, `[batch]`, followed by the norms of their gradients if `norms` is true.
    pub fn forward(&self, parameters: &[f32], input: &[f32], norms: bool) -> (Vec<f32>, Tape) {
        assert_eq!(parameters.len(), self.parameters(), "parameters of another network");
        let mut rest = parameters;
        let of_layer = self.layers.iter().map(|layer| {
            let (weight, after) = rest.split_at(layer.weights());
            let (bias, after) = after.split_at(layer.output.channels);
            rest = after;
            let (weight, transposed) = layer.ordered_weights(weight);
            LayerParameters {
                weight,
                transposed,
                bias: bias.to_vec(),
            }
        });
        let parameters: Vec<LayerParameters> = of_layer.collect();
        let size = self.input().numbers();
        let batch = input.len() / size;
        let samples = batch.div_ceil(PARTS).max(SAMPLES);
        let parts = (0..batch.div_ceil(samples)).into_par_iter().map(|part| {
            let samples = part * samples..((part + 1) * samples).min(batch);
            let mut own = vec![0.0; samples.len() * size];
            for (from, to) in input[samples.start * size..]
                .chunks_exact(size)
                .zip(own.chunks_exact_mut(size))
            {
                self.input().channels_last(from, to);
            }
            let mut buffer = Buffer::default();
            let values = self.values(&parameters, &own, &mut buffer);
            let gradient = norms.then(|| {
                let factors = vec![1.0; samples.len()];
                let (derivatives, values) = self.derivatives(&parameters, &values, &factors, true, &mut buffer);
                let norms = values.chunks_exact(size).map(|values| dot(values, values).sqrt());
                InputGradient {
                    norms: norms.collect(),
                    derivatives,
                    values,
                }
            });
            Part {
                samples,
                input: own,
                values,
                gradient,
            }
        });
        let parts: Vec<Part> = parts.collect();
        let scores = parts.iter().flat_map(|part| part.values.last().into_iter().flatten());
        let norms = parts.iter().filter_map(|part| part.gradient.as_ref());
        let output = scores
            .chain(norms.flat_map(|gradient| &gradient.norms))
            .copied()
            .collect();
        let tape = Tape { parameters, parts };
        (output, tape)
    }

    /// The gradients of a loss, given its derivatives with respect to the output of [`forward`](Self::forward).
    pub fn backward(&self, tape: &Tape, output: &[f32], wanted: Wanted) -> Gradients {
        let batch = tape.parts.last().map_or(0, |part| part.samples.end);
        let (of_scores, of_norms) = output.split_at(batch);
        let size = self.input().numbers();
        let parts: Vec<_> = (tape.parts.par_iter())
            .map(|part| {
                let mut buffer = Buffer::default();
                let of_scores = &of_scores[part.samples.clone()];
                match &part.gradient {
                    Some(gradient) => {
                        let of_norms = &of_norms[part.samples.clone()];
                        let parameters = wanted.parameters.then(|| {
                            self.gradient_with_norms(tape, part, gradient, (of_scores, of_norms), &mut buffer)
                        });
                        // The norms are constant between the kinks.
                        let input = wanted.input.then(|| {
                            let mut input = gradient.values.clone();
                            scale_rows(&mut input, of_scores);
                            input
                        });
                        (parameters, input)
                    }
                    None => {
                        let (derivatives, input) =
                            self.derivatives(&tape.parameters, &part.values, of_scores, wanted.input, &mut buffer);
                        let parameters =
                            (wanted.parameters).then(|| self.gradient_of_scores(part, &derivatives, &mut buffer));
                        (parameters, wanted.input.then_some(input))
                    }
                }
            })
            .collect();
        let parameters = wanted.parameters.then(|| {
            let mut sum = vec![0.0; self.parameters()];
            for (gradient, _) in &parts {
                let (mut from, mut to) = (&gradient.as_ref().expect("wanted")[..], &mut sum[..]);
                for layer in &self.layers {
                    let (weights, biases) = from[..layer.parameters()].split_at(layer.weights());
                    let (own, after) = to.split_at_mut(layer.parameters());
                    let (own_weights, own_biases) = own.split_at_mut(layer.weights());
                    layer.add_weights(weights, own_weights);
                    kexue_nn::kernels::add(own_biases, biases);
                    (from, to) = (&from[layer.parameters()..], after);
                }
            }
            sum
        });
        let input = wanted.input.then(|| {
            let mut all = vec![0.0; batch * size];
            let rows = parts
                .iter()
                .flat_map(|(_, input)| input.iter().flat_map(|i| i.chunks_exact(size)));
            for (from, to) in rows.zip(all.chunks_exact_mut(size)) {
                self.input().channels_first(from, to);
            }
            all
        });
        Gradients { parameters, input }
    }

    /// The values of all layers.
    fn values(&self, parameters: &[LayerParameters], input: &[f32], buffer: &mut Buffer) -> Vec<Vec<f32>> {
        let mut values: Vec<Vec<f32>> = Vec::with_capacity(self.layers.len());
        for (at, layer) in self.layers.iter().enumerate() {
            let from = values.last().map_or(input, |values| values);
            let mut to = vec![0.0; from.len() / layer.input.numbers() * layer.output.numbers()];
            let slope = if at + 1 == self.layers.len() { 1.0 } else { self.slope };
            layer.for_each_block(from, buffer, |pixels, patches| {
                let to = &mut to[pixels.start * layer.output.channels..pixels.end * layer.output.channels];
                layer.multiply(to, patches, &parameters[at].transposed);
                bias_and_activation(to, &parameters[at].bias, slope);
            });
            values.push(to);
        }
        values
    }

    /// The derivatives of `Σ factor·score` with respect to the values of each layer before its activation, and with respect to the input if it is wanted.
    fn derivatives(
        &self,
        parameters: &[LayerParameters],
        values: &[Vec<f32>],
        factors: &[f32],
        input: bool,
        buffer: &mut Buffer,
    ) -> (Vec<Vec<f32>>, Vec<f32>) {
        let last = self.layers.len() - 1;
        let mut derivatives = vec![Vec::new(); self.layers.len()];
        derivatives[last] = factors.to_vec();
        let mut of_input = Vec::new();
        for (at, layer) in self.layers.iter().enumerate().rev() {
            if at == 0 && !input {
                break;
            }
            let mut before = vec![0.0; factors.len() * layer.input.numbers()];
            layer.multiply_transposed(&mut before, &derivatives[at], &parameters[at].weight, buffer);
            if at == 0 {
                of_input = before;
            } else {
                activation_slopes(&mut before, &values[at - 1], self.slope);
                derivatives[at - 1] = before;
            }
        }
        (derivatives, of_input)
    }

    /// The gradient of `Σ factor·score` with respect to the parameters, in our order, where the factors are in the derivatives.
    fn gradient_of_scores(&self, part: &Part, derivatives: &[Vec<f32>], buffer: &mut Buffer) -> Vec<f32> {
        let mut gradient = vec![0.0; self.parameters()];
        let mut rest = &mut gradient[..];
        for (at, layer) in self.layers.iter().enumerate() {
            let from = if at == 0 { &part.input } else { &part.values[at - 1] };
            let (own, after) = std::mem::take(&mut rest).split_at_mut(layer.parameters());
            let (weights, biases) = own.split_at_mut(layer.weights());
            layer.for_each_block(from, buffer, |pixels, patches| {
                layer.add_products(weights, &derivatives[at], pixels, patches);
            });
            add_rows(biases, &derivatives[at]);
            rest = after;
        }
        gradient
    }

    /// The gradient of `Σ a·score + b·norm` with respect to the parameters, in our order.
    ///
    /// Between the kinks `norm = ⟨∇ₓf, u⟩` with the direction u of the gradient held constant, and the gradient of both is that of the affine network of
    /// the sample's region for the input `a·x + b·u`, with biases times a. Its derivatives with respect to hidden values do not depend on the input, so
    /// that they are the ones already computed for `∇ₓf`.
    fn gradient_with_norms(
        &self,
        tape: &Tape,
        part: &Part,
        of_input: &InputGradient,
        (of_scores, of_norms): (&[f32], &[f32]),
        buffer: &mut Buffer,
    ) -> Vec<f32> {
        let size = self.input().numbers();
        let mut from = part.input.clone();
        let rows = from.chunks_exact_mut(size).zip(of_input.values.chunks_exact(size));
        for (sample, (row, gradient)) in rows.enumerate() {
            let length = of_input.norms[sample];
            let along = if length < SHORTEST as f32 {
                0.0
            } else {
                of_norms[sample] / length
            };
            combine(row, of_scores[sample], gradient, along);
        }
        let mut sum = vec![0.0; self.parameters()];
        let mut rest = &mut sum[..];
        for (at, layer) in self.layers.iter().enumerate() {
            let (own, after) = std::mem::take(&mut rest).split_at_mut(layer.parameters());
            let (weights, biases) = own.split_at_mut(layer.weights());
            let derivatives = &of_input.derivatives[at];
            let last = at + 1 == self.layers.len();
            let length = if last { 0 } else { part.values[at].len() };
            let mut to = vec![0.0; length];
            layer.for_each_block(&from, buffer, |pixels, patches| {
                layer.add_products(weights, derivatives, pixels.clone(), patches);
                if !last {
                    let to = &mut to[pixels.start * layer.output.channels..pixels.end * layer.output.channels];
                    layer.multiply(to, patches, &tape.parameters[at].transposed);
                }
            });
            let per_sample = layer.output.numbers();
            for (sample, derivatives) in derivatives.chunks_exact(per_sample).enumerate() {
                add_scaled_rows(biases, derivatives, of_scores[sample]);
            }
            for (sample, to) in to.chunks_exact_mut(per_sample).enumerate() {
                let values = &part.values[at][sample * per_sample..(sample + 1) * per_sample];
                scaled_bias_and_slopes(to, &tape.parameters[at].bias, of_scores[sample], values, self.slope);
            }
            (from, rest) = (to, after);
        }
        sum
    }
}

impl Layer {
    /// Calls `visit` for blocks of samples with the range of their pixels in the output and their patches, `[pixels, taps]`.
    fn for_each_block(&self, images: &[f32], buffer: &mut Buffer, mut visit: impl FnMut(Range<usize>, &[f32])) {
        let (size, pixels, taps) = (self.input.numbers(), self.output.pixels(), self.taps());
        let batch = images.len() / size;
        if self.covers_image() {
            return visit(0..batch, images);
        }
        let block = (PIXELS / pixels).max(1);
        for start in (0..batch).step_by(block) {
            let end = (start + block).min(batch);
            let patches = buffer.of((end - start) * pixels * taps);
            let images = images[start * size..end * size].chunks_exact(size);
            for (image, patches) in images.zip(patches.chunks_exact_mut(pixels * taps)) {
                self.gather(image, patches);
            }
            visit(start * pixels..end * pixels, patches);
        }
    }

    /// `out[pixels, out] = patches·transposed`, where `transposed` are the weights `[taps, out]`.
    fn multiply(&self, out: &mut [f32], patches: &[f32], transposed: &[f32]) {
        let (outputs, taps) = (self.output.channels, self.taps());
        let pixels = patches.len() / taps;
        let (out_shape, shape) = (Shape::dense(pixels, outputs), Shape::dense(pixels, taps));
        matmul(
            out,
            out_shape,
            patches,
            shape,
            transposed,
            Shape::dense(taps, outputs),
            SET,
        );
    }

    /// `weights[out, taps] += derivativesᵀ·patches`, over some pixels.
    fn add_products(&self, weights: &mut [f32], derivatives: &[f32], pixels: Range<usize>, patches: &[f32]) {
        let (outputs, taps) = (self.output.channels, self.taps());
        let derivatives = &derivatives[pixels.start * outputs..pixels.end * outputs];
        let of_derivatives = Shape::dense(pixels.len(), outputs).t();
        let (shape, of_patches) = (Shape::dense(outputs, taps), Shape::dense(pixels.len(), taps));
        matmul(weights, shape, derivatives, of_derivatives, patches, of_patches, ADD);
    }

    /// Sets `images`, which are 0, to the derivatives with respect to the input, given those with respect to the output.
    fn multiply_transposed(&self, images: &mut [f32], derivatives: &[f32], weights: &[f32], buffer: &mut Buffer) {
        let (outputs, taps, pixels) = (self.output.channels, self.taps(), self.output.pixels());
        let (size, shape) = (self.input.numbers(), Shape::dense(outputs, taps));
        let batch = images.len() / size;
        if self.covers_image() {
            let (out_shape, of_derivatives) = (Shape::dense(batch, taps), Shape::dense(batch, outputs));
            return matmul(images, out_shape, derivatives, of_derivatives, weights, shape, SET);
        }
        let block = (PIXELS / pixels).max(1);
        for start in (0..batch).step_by(block) {
            let end = (start + block).min(batch);
            let rows = (end - start) * pixels;
            let patches = buffer.of(rows * taps);
            let own = &derivatives[start * pixels * outputs..end * pixels * outputs];
            let (out_shape, of_derivatives) = (Shape::dense(rows, taps), Shape::dense(rows, outputs));
            matmul(patches, out_shape, own, of_derivatives, weights, shape, SET);
            let images = images[start * size..end * size].chunks_exact_mut(size);
            for (image, patches) in images.zip(patches.chunks_exact(pixels * taps)) {
                self.scatter(patches, image);
            }
        }
    }
}

/// Adds the bias to each row and applies the activation.
#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma", "aarch64+neon"))]
fn bias_and_activation(rows: &mut [f32], bias: &[f32], slope: f32) {
    for row in rows.chunks_exact_mut(bias.len()) {
        for (value, bias) in row.iter_mut().zip(bias) {
            let sum = *value + bias;
            *value = if sum > 0.0 { sum } else { slope * sum };
        }
    }
}

/// Multiplies by the derivative of the activation, given its values.
#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma", "aarch64+neon"))]
fn activation_slopes(derivatives: &mut [f32], values: &[f32], slope: f32) {
    for (derivative, value) in derivatives.iter_mut().zip(values) {
        *derivative *= if *value > 0.0 { 1.0 } else { slope };
    }
}

/// Adds `factor·bias` to each row and multiplies by the derivative of the activation, given its values elsewhere.
#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma", "aarch64+neon"))]
fn scaled_bias_and_slopes(rows: &mut [f32], bias: &[f32], factor: f32, values: &[f32], slope: f32) {
    let rows = rows.chunks_exact_mut(bias.len()).zip(values.chunks_exact(bias.len()));
    for (row, values) in rows {
        for ((number, bias), value) in row.iter_mut().zip(bias).zip(values) {
            *number = (*number + factor * bias) * if *value > 0.0 { 1.0 } else { slope };
        }
    }
}

/// `x = a·x + b·y`.
#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma", "aarch64+neon"))]
fn combine(x: &mut [f32], a: f32, y: &[f32], b: f32) {
    for (x, y) in x.iter_mut().zip(y) {
        *x = a * *x + b * y;
    }
}

/// Adds all rows to `sum`.
fn add_rows(sum: &mut [f32], rows: &[f32]) {
    add_scaled_rows(sum, rows, 1.0);
}

/// Adds `factor` times the sum of all rows to `sum`.
#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma", "aarch64+neon"))]
fn add_scaled_rows(sum: &mut [f32], rows: &[f32], factor: f32) {
    for row in rows.chunks_exact(sum.len()) {
        for (sum, row) in sum.iter_mut().zip(row) {
            *sum += factor * row;
        }
    }
}

/// Multiplies each row by its own factor.
fn scale_rows(rows: &mut [f32], factors: &[f32]) {
    let width = rows.len() / factors.len().max(1);
    for (row, factor) in rows.chunks_exact_mut(width.max(1)).zip(factors) {
        row.iter_mut().for_each(|value| *value *= factor);
    }
}
