//! Pooling and upsampling of `[batch, channels, height, width]`.

use crate::Dual;
use burn::tensor::module;
use burn::tensor::ops::{AvgPoolOptions, InterpolateOptions, MaxPoolOptions};

impl Dual<4> {
    /// The maximum of each window. If two elements are equal, the tangent is that of one of them.
    pub fn max_pool2d(self, options: MaxPoolOptions<2>) -> Self {
        let Some(tangent) = self.tangent else {
            return Self::constant(module::max_pool2d(self.value, options));
        };
        let [batch, channels, height, width] = tangent.dims();
        let (value, indices) = module::max_pool2d_with_indices(self.value, options);
        let pooled = value.dims();
        let windows = pooled[2] * pooled[3];
        let tangent = tangent
            .reshape([batch, channels, height * width])
            .gather(2, indices.reshape([batch, channels, windows]))
            .reshape(pooled);
        Self::new(value, tangent)
    }

    /// The mean of each window.
    pub fn avg_pool2d(self, options: AvgPoolOptions<2>) -> Self {
        self.linear(|tensor| module::avg_pool2d(tensor, options.clone()))
    }

    /// Average pooling to an output of this size.
    pub fn adaptive_avg_pool2d(self, size: [usize; 2]) -> Self {
        self.linear(|tensor| module::adaptive_avg_pool2d(tensor, size))
    }

    /// Resizes the image.
    pub fn interpolate(self, options: InterpolateOptions) -> Self {
        self.linear(|tensor| module::interpolate(tensor, options.clone()))
    }

    /// Nearest-neighbour upsampling: each pixel becomes a square of `factor × factor` pixels.
    pub fn upsample(self, factor: usize) -> Self {
        let [batch, channels, height, width] = self.dims();
        self.linear(|tensor| {
            tensor
                .reshape([batch, channels, height, 1, width, 1])
                .expand([batch, channels, height, factor, width, factor])
                .reshape([batch, channels, height * factor, width * factor])
        })
    }
}
