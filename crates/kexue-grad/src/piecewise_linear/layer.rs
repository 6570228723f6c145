//! The geometry of a layer: which pixels a kernel covers, and in which order its weights are stored.
//!
//! Inside the passes, images are `[height, width, channels]`, so that the pixels under one row of a kernel are contiguous, and weights are
//! `[out, height, width, in]`, in the same order as the pixels under a kernel. A dense layer is a convolution whose kernel is as large as its image.

use kexue_burn::transpose;
use multiversion::multiversion;

/// The size of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Image {
    pub channels: usize,
    pub height: usize,
    pub width: usize,
}

impl Image {
    /// Number of values.
    pub fn numbers(self) -> usize {
        self.channels * self.pixels()
    }

    /// Number of pixels.
    pub fn pixels(self) -> usize {
        self.height * self.width
    }

    /// Copies `[channels, height, width]` to `[height, width, channels]`.
    pub fn channels_last(self, image: &[f32], out: &mut [f32]) {
        transpose(image, self.channels, self.pixels(), out);
    }

    /// The inverse of [`channels_last`](Self::channels_last).
    pub fn channels_first(self, image: &[f32], out: &mut [f32]) {
        transpose(image, self.pixels(), self.channels, out);
    }
}

/// A convolution with a bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layer {
    pub input: Image,
    pub output: Image,
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    pub padding: [usize; 2],
    /// Whether the parameter is that of a Burn `Linear`, `[in, out]`, rather than of a convolution, `[out, in, height, width]`.
    pub dense: bool,
}

impl Layer {
    /// Number of weights of an output channel.
    pub fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1] * self.input.channels
    }

    /// Number of weights.
    pub fn weights(&self) -> usize {
        self.taps() * self.output.channels
    }

    /// Number of weights and biases.
    pub fn parameters(&self) -> usize {
        self.weights() + self.output.channels
    }

    /// Whether the pixels under the kernel are the image as it is, so that they need not be copied.
    pub fn covers_image(&self) -> bool {
        self.kernel == [self.input.height, self.input.width] && self.padding == [0, 0] && self.output.pixels() == 1
    }

    /// Calls `visit` for each weight with its index in our order and in that of the parameter.
    #[inline(always)]
    fn weight_order(&self, mut visit: impl FnMut(usize, usize)) {
        let (taps, channels, outputs) = (
            self.kernel[0] * self.kernel[1],
            self.input.channels,
            self.output.channels,
        );
        let (of_output, of_channel, of_tap) = match self.dense {
            true => (1, taps * outputs, outputs),
            false => (channels * taps, taps, 1),
        };
        let mut at = 0;
        for output in 0..outputs {
            for tap in 0..taps {
                for channel in 0..channels {
                    visit(at, output * of_output + channel * of_channel + tap * of_tap);
                    at += 1;
                }
            }
        }
    }

    /// The weights in our order, as they are and transposed, `[taps, out]`. Each product is faster with one of them.
    pub fn ordered_weights(&self, parameter: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let (mut weights, mut transposed) = (vec![0.0; self.weights()], vec![0.0; self.weights()]);
        self.weight_order(|ours, theirs| weights[ours] = parameter[theirs]);
        transpose(&weights, self.output.channels, self.taps(), &mut transposed);
        (weights, transposed)
    }

    /// Adds weights in our order to those in the order of the parameter.
    pub fn add_weights(&self, weights: &[f32], parameter: &mut [f32]) {
        self.weight_order(|ours, theirs| parameter[theirs] += weights[ours]);
    }

    /// For one row of a kernel: the range of its numbers that lie within the image, and where they start there. `None` if the row is outside.
    #[inline(always)]
    fn row_under_kernel(&self, pixel: [usize; 2], row: usize) -> Option<(usize, usize, usize)> {
        let y = (pixel[0] * self.stride[0] + row).checked_sub(self.padding[0])?;
        if y >= self.input.height {
            return None;
        }
        let left = pixel[1] * self.stride[1];
        let first = self.padding[1].saturating_sub(left).min(self.kernel[1]);
        let last = (self.input.width + self.padding[1])
            .saturating_sub(left)
            .min(self.kernel[1]);
        if first >= last {
            return None;
        }
        let channels = self.input.channels;
        let start = (y * self.input.width + left + first - self.padding[1]) * channels;
        Some((first * channels, last * channels, start))
    }

    /// Copies the numbers under the kernel at each pixel of the output, `[pixels, taps]`; 0 outside of the image.
    pub fn gather(&self, image: &[f32], patches: &mut [f32]) {
        let width = self.kernel[1] * self.input.channels;
        for (at, patch) in patches.chunks_exact_mut(self.taps()).enumerate() {
            let pixel = [at / self.output.width, at % self.output.width];
            for (row, patch) in patch.chunks_exact_mut(width).enumerate() {
                match self.row_under_kernel(pixel, row) {
                    Some((first, last, start)) => {
                        patch[..first].fill(0.0);
                        patch[first..last].copy_from_slice(&image[start..start + last - first]);
                        patch[last..].fill(0.0);
                    }
                    None => patch.fill(0.0),
                }
            }
        }
    }

    /// The transpose of [`gather`](Self::gather), which adds to the image.
    pub fn scatter(&self, patches: &[f32], image: &mut [f32]) {
        scatter(self, patches, image);
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma", "aarch64+neon"))]
fn scatter(layer: &Layer, patches: &[f32], image: &mut [f32]) {
    let width = layer.kernel[1] * layer.input.channels;
    for (at, patch) in patches.chunks_exact(layer.taps()).enumerate() {
        let pixel = [at / layer.output.width, at % layer.output.width];
        for (row, patch) in patch.chunks_exact(width).enumerate() {
            if let Some((first, last, start)) = layer.row_under_kernel(pixel, row) {
                let under = &mut image[start..start + last - first];
                for (image, patch) in under.iter_mut().zip(&patch[first..last]) {
                    *image += patch;
                }
            }
        }
    }
}
