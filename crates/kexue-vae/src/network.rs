//! Feed-forward networks on a flat vector: dense layers, convolutions and transposed convolutions, forward and backward.

use crate::kernels::{tanh, tanh_backward};
use kexue_nn::kernels::{ADD, Linear, SET, Shape, add, linear, matmul};
use kexue_optim::{Place, Role, Slots};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// The function after a hidden layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// None.
    Linear,
    /// The hyperbolic tangent.
    #[default]
    Tanh,
    /// `max(x, 0)`.
    Relu,
}

impl Activation {
    fn forward(self, x: &mut [f32]) {
        match self {
            Self::Linear => {}
            Self::Tanh => tanh(x),
            Self::Relu => x.iter_mut().for_each(|x| *x = x.max(0.0)),
        }
    }

    /// Multiplies `dy` by the derivative, given the values.
    fn backward(self, dy: &mut [f32], y: &[f32]) {
        match self {
            Self::Linear => {}
            Self::Tanh => tanh_backward(dy, y),
            Self::Relu => dy.iter_mut().zip(y).for_each(|(dy, &y)| {
                if y == 0.0 {
                    *dy = 0.0;
                }
            }),
        }
    }
}

/// The size of an image `[channels, height, width]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageSize {
    /// 1 for grey, 3 for colour.
    pub channels: usize,
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
}

impl ImageSize {
    /// Number of values of an image.
    pub fn numbers(&self) -> usize {
        self.channels * self.height * self.width
    }
}

/// Side of the kernels. They have stride 2 and padding 1, so each side of the image is halved.
const KERNEL: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Dense,
    /// A convolution from a large image to one with half the sides.
    Convolution {
        large: ImageSize,
        small: ImageSize,
    },
    /// The transposed convolution, from the small to the large image.
    Transposed {
        large: ImageSize,
        small: ImageSize,
    },
}

#[derive(Clone, Debug, PartialEq)]
struct Layer {
    kind: Kind,
    inputs: usize,
    outputs: usize,
    activation: Activation,
    weight: Range<usize>,
    bias: Range<usize>,
}

/// A layer of a network before it has parameters.
#[derive(Clone, Debug)]
pub(crate) enum Part {
    Dense(usize),
    /// A dense layer whose output is an image.
    DenseImage(ImageSize),
    /// A convolution; channels of the small image.
    Convolution(usize),
    /// A transposed convolution; channels of the large image.
    Transposed(usize),
}

/// A sequence of layers. The parameters are ranges of a model's flat vector.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Network {
    layers: Vec<Layer>,
}

/// The values of a network's layers, and memory for its backward pass.
#[derive(Clone, Debug, Default)]
pub(crate) struct NetworkTape {
    values: Vec<Vec<f32>>,
    derivative: Vec<f32>,
    columns: Vec<f32>,
}

impl NetworkTape {
    /// The output of the network, `[rows, outputs]`.
    pub fn output(&self) -> &[f32] {
        self.values.last().map_or(&[], |values| values)
    }

    /// The output, to be changed or taken.
    pub fn output_mut(&mut self) -> &mut Vec<f32> {
        if self.values.is_empty() {
            self.values.push(Vec::new());
        }
        self.values.last_mut().expect("a layer was added")
    }
}

/// Sets the length of a buffer. Its content is unspecified.
pub(crate) fn resize(buffer: &mut Vec<f32>, length: usize) -> &mut [f32] {
    buffer.resize(length, 0.0);
    buffer
}

impl Network {
    /// Creates a network with an image as input or, if there is none, `inputs` numbers. The last part has no activation. Slots are named `name.0.weight`, as
    /// in PyTorch's `Sequential`. Matrices are `[out, in]`, kernels `[small channels, large channels, 4, 4]`.
    pub fn new(
        slots: &mut Slots,
        name: &str,
        (inputs, image): (usize, Option<ImageSize>),
        parts: &[Part],
        activation: Activation,
    ) -> Self {
        let (mut layers, mut from, mut size) = (Vec::new(), inputs, image);
        for (at, part) in parts.iter().enumerate() {
            let scaled = |size: Option<ImageSize>, channels: usize, larger: bool| {
                let size = size.expect("checked by the configuration");
                let scale = |side: usize| if larger { 2 * side } else { side / 2 };
                ImageSize {
                    channels,
                    height: scale(size.height),
                    width: scale(size.width),
                }
            };
            let (kind, shape, outputs, biases) = match *part {
                Part::Dense(outputs) => (Kind::Dense, vec![outputs, from], outputs, outputs),
                Part::DenseImage(image) => {
                    size = Some(image);
                    let outputs = image.numbers();
                    (Kind::Dense, vec![outputs, from], outputs, outputs)
                }
                Part::Convolution(channels) => {
                    let (large, small) = (
                        size.expect("checked by the configuration"),
                        scaled(size, channels, false),
                    );
                    size = Some(small);
                    let shape = vec![channels, large.channels, KERNEL, KERNEL];
                    (Kind::Convolution { large, small }, shape, small.numbers(), channels)
                }
                Part::Transposed(channels) => {
                    let (small, large) = (
                        size.expect("checked by the configuration"),
                        scaled(size, channels, true),
                    );
                    size = Some(large);
                    let shape = vec![small.channels, channels, KERNEL, KERNEL];
                    (Kind::Transposed { large, small }, shape, large.numbers(), channels)
                }
            };
            let last = at + 1 == parts.len();
            layers.push(Layer {
                kind,
                inputs: from,
                outputs,
                activation: if last { Activation::Linear } else { activation },
                weight: slots.add(format!("{name}.{at}.weight"), Role::Weight, Place::Unspecified, &shape),
                bias: slots.add(format!("{name}.{at}.bias"), Role::Bias, Place::Unspecified, &[biases]),
            });
            from = outputs;
        }
        Self { layers }
    }

    /// Number of values of all layers for each row.
    pub fn numbers(&self) -> usize {
        self.layers.iter().map(|layer| layer.outputs).sum()
    }

    /// The last layer's bias.
    pub fn last_bias(&self) -> Range<usize> {
        self.layers.last().map_or(0..0, |layer| layer.bias.clone())
    }

    /// Draws the weights uniformly with variance `2/(in + out)` (Glorot & Bengio, 2010); biases are 0.
    pub fn initialise(&self, values: &mut [f32], generator: &mut ChaCha8Rng) {
        for layer in &self.layers {
            let (fan_in, fan_out) = match layer.kind {
                Kind::Dense => (layer.inputs, layer.outputs),
                // Each value of the large image is multiplied by a quarter of the kernel.
                Kind::Convolution { large, small } => (large.channels * 16, small.channels * 4),
                Kind::Transposed { large, small } => (small.channels * 4, large.channels * 16),
            };
            let bound = (6.0 / (fan_in + fan_out) as f32).sqrt();
            for weight in &mut values[layer.weight.clone()] {
                *weight = generator.random_range(-bound..bound);
            }
            values[layer.bias.clone()].fill(0.0);
        }
    }

    /// Computes the output `[rows, outputs]` for `x[rows, inputs]` in the tape.
    pub fn forward(&self, parameters: &[f32], x: &[f32], rows: usize, tape: &mut NetworkTape) {
        tape.values.resize(self.layers.len(), Vec::new());
        for (at, layer) in self.layers.iter().enumerate() {
            let (before, after) = tape.values.split_at_mut(at);
            let input = before.last().map_or(x, |values| &values[..]);
            let y = resize(&mut after[0], rows * layer.outputs);
            let (weight, bias) = (&parameters[layer.weight.clone()], &parameters[layer.bias.clone()]);
            match layer.kind {
                Kind::Dense => linear(
                    y,
                    input,
                    Linear {
                        weight,
                        bias,
                        factor: 1.0,
                    },
                    rows,
                ),
                Kind::Convolution { large, small } => {
                    for (x, y) in input.chunks_exact(layer.inputs).zip(y.chunks_exact_mut(layer.outputs)) {
                        let columns = gather(x, large, small, &mut tape.columns);
                        fill_channels(y, bias);
                        let (pixels, taps) = (small.height * small.width, large.channels * KERNEL * KERNEL);
                        let shape = Shape::dense(small.channels, pixels);
                        let weights = Shape::dense(small.channels, taps);
                        matmul(y, shape, weight, weights, columns, Shape::dense(taps, pixels), ADD);
                    }
                }
                Kind::Transposed { large, small } => {
                    let (pixels, taps) = (small.height * small.width, large.channels * KERNEL * KERNEL);
                    for (x, y) in input.chunks_exact(layer.inputs).zip(y.chunks_exact_mut(layer.outputs)) {
                        let columns = resize(&mut tape.columns, taps * pixels);
                        let weights = Shape::dense(small.channels, taps).t();
                        let from = Shape::dense(small.channels, pixels);
                        matmul(columns, Shape::dense(taps, pixels), weight, weights, x, from, SET);
                        fill_channels(y, bias);
                        scatter(columns, large, small, y);
                    }
                }
            }
            layer.activation.forward(y);
        }
    }

    /// Given the derivative with respect to the output, which is overwritten, adds the gradient of the parameters to `gradient` and sets the derivative with
    /// respect to x. Both are optional.
    pub fn backward(
        &self,
        parameters: &[f32],
        (x, rows): (&[f32], usize),
        tape: &mut NetworkTape,
        dy: &mut Vec<f32>,
        mut gradient: Option<&mut [f32]>,
        mut dx: Option<&mut Vec<f32>>,
    ) {
        for (at, layer) in self.layers.iter().enumerate().rev() {
            let input = match at {
                0 => x,
                _ => &tape.values[at - 1][..],
            };
            layer.activation.backward(dy, &tape.values[at]);
            let weight = &parameters[layer.weight.clone()];
            let before = match (&mut dx, at) {
                (Some(dx), 0) => Some(resize(dx, rows * layer.inputs)),
                (None, 0) => None,
                _ => Some(resize(&mut tape.derivative, rows * layer.inputs)),
            };
            // The bias of a layer directly follows its weight.
            let own = gradient
                .as_mut()
                .map(|gradient| gradient[layer.weight.start..layer.bias.end].split_at_mut(layer.weight.len()));
            layer.backward(weight, (input, rows), dy, own, before, &mut tape.columns);
            if at > 0 {
                std::mem::swap(dy, &mut tape.derivative);
            }
        }
    }
}

impl Layer {
    fn backward(
        &self,
        weight: &[f32],
        (x, rows): (&[f32], usize),
        dy: &[f32],
        gradient: Option<(&mut [f32], &mut [f32])>,
        dx: Option<&mut [f32]>,
        buffer: &mut Vec<f32>,
    ) {
        match self.kind {
            Kind::Dense => {
                let (to, from) = (Shape::dense(rows, self.outputs), Shape::dense(rows, self.inputs));
                let weights = Shape::dense(self.outputs, self.inputs);
                if let Some(dx) = dx {
                    matmul(dx, from, dy, to, weight, weights, SET);
                }
                if let Some((dw, db)) = gradient {
                    matmul(dw, weights, dy, to.t(), x, from, ADD);
                    dy.chunks_exact(self.outputs).for_each(|dy| add(db, dy));
                }
            }
            Kind::Convolution { large, small } => {
                let (pixels, taps) = (small.height * small.width, large.channels * KERNEL * KERNEL);
                let (to, from) = (Shape::dense(small.channels, pixels), Shape::dense(taps, pixels));
                let weights = Shape::dense(small.channels, taps);
                if let Some((dw, db)) = gradient {
                    for (x, dy) in x.chunks_exact(self.inputs).zip(dy.chunks_exact(self.outputs)) {
                        let columns = gather(x, large, small, buffer);
                        matmul(dw, weights, dy, to, columns, from.t(), ADD);
                        add_channels(db, dy);
                    }
                }
                if let Some(dx) = dx {
                    dx.fill(0.0);
                    for (dx, dy) in dx.chunks_exact_mut(self.inputs).zip(dy.chunks_exact(self.outputs)) {
                        let columns = resize(buffer, taps * pixels);
                        matmul(columns, from, weight, weights.t(), dy, to, SET);
                        scatter(columns, large, small, dx);
                    }
                }
            }
            Kind::Transposed { large, small } => {
                let (pixels, taps) = (small.height * small.width, large.channels * KERNEL * KERNEL);
                let (of_x, columns_shape) = (Shape::dense(small.channels, pixels), Shape::dense(taps, pixels));
                let weights = Shape::dense(small.channels, taps);
                let (mut gradient, mut dx) = (gradient, dx);
                for (row, (x, dy)) in x
                    .chunks_exact(self.inputs)
                    .zip(dy.chunks_exact(self.outputs))
                    .enumerate()
                {
                    let columns = gather(dy, large, small, buffer);
                    if let Some((dw, db)) = &mut gradient {
                        matmul(dw, weights, x, of_x, columns, columns_shape.t(), ADD);
                        add_channels(db, dy);
                    }
                    if let Some(dx) = &mut dx {
                        let dx = &mut dx[row * self.inputs..][..self.inputs];
                        matmul(dx, of_x, weight, weights, columns, columns_shape, SET);
                    }
                }
            }
        }
    }
}

/// Sets each channel of an image to its bias.
fn fill_channels(image: &mut [f32], bias: &[f32]) {
    let pixels = image.len() / bias.len();
    for (channel, bias) in image.chunks_exact_mut(pixels).zip(bias) {
        channel.fill(*bias);
    }
}

/// Adds the sum of each channel of an image.
fn add_channels(sums: &mut [f32], image: &[f32]) {
    let pixels = image.len() / sums.len();
    for (sum, channel) in sums.iter_mut().zip(image.chunks_exact(pixels)) {
        *sum += channel.iter().sum::<f32>();
    }
}

/// Calls `visit` with the index in the columns `[channel, tap row, tap column]` × pixels of the small image, and the pixel of the large image under the tap.
#[inline(always)]
fn taps(large: ImageSize, small: ImageSize, mut visit: impl FnMut(usize, usize)) {
    let pixels = small.height * small.width;
    for channel in 0..large.channels {
        for tap_y in 0..KERNEL {
            for tap_x in 0..KERNEL {
                let row = ((channel * KERNEL + tap_y) * KERNEL + tap_x) * pixels;
                for y in 0..small.height {
                    // With a padding of 1, the first tap of the first pixel is outside.
                    let Some(from_y) = (2 * y + tap_y).checked_sub(1).filter(|at| *at < large.height) else {
                        continue;
                    };
                    for x in 0..small.width {
                        if let Some(from_x) = (2 * x + tap_x).checked_sub(1).filter(|at| *at < large.width) {
                            let from = (channel * large.height + from_y) * large.width + from_x;
                            visit(row + y * small.width + x, from);
                        }
                    }
                }
            }
        }
    }
}

/// The values of the large image under the taps of each pixel of the small one, `[taps, pixels]`.
fn gather<'a>(image: &[f32], large: ImageSize, small: ImageSize, columns: &'a mut Vec<f32>) -> &'a [f32] {
    columns.clear();
    columns.resize(large.channels * KERNEL * KERNEL * small.height * small.width, 0.0);
    taps(large, small, |column, pixel| columns[column] = image[pixel]);
    columns
}

/// The transpose of [`gather`], which adds to the image.
fn scatter(columns: &[f32], large: ImageSize, small: ImageSize, image: &mut [f32]) {
    taps(large, small, |column, pixel| image[pixel] += columns[column]);
}
