//! Matrix products, convolutions and attention.

use crate::Dual;
use burn::tensor::module;
use burn::tensor::ops::{ConvOptions, ConvTransposeOptions};
use burn::tensor::{Bool, Tensor};

impl<const D: usize> Dual<D> {
    /// The matrix product over the last two axes.
    pub fn matmul(self, other: Self) -> Self {
        self.bilinear(other, Tensor::matmul)
    }

    /// `x·W + b` with `W` of shape `[in, out]`, as in Burn.
    pub fn affine(self, weight: Dual<2>, bias: Option<Dual<1>>) -> Self {
        let product = self.bilinear(weight, |x, weight| module::linear(x, weight, None));
        match bias {
            Some(bias) => product + bias.unsqueeze(),
            None => product,
        }
    }
}

impl Dual<4> {
    /// Two-dimensional convolution of `[batch, in, height, width]` with a kernel `[out, in/groups, height, width]`.
    pub fn conv2d(self, weight: Dual<4>, bias: Option<Dual<1>>, options: ConvOptions<2>) -> Self {
        let product = self.bilinear(weight, |x, weight| module::conv2d(x, weight, None, options.clone()));
        product.add_channels(bias)
    }

    /// Two-dimensional transposed convolution with a kernel `[in, out/groups, height, width]`.
    pub fn conv_transpose2d(self, weight: Dual<4>, bias: Option<Dual<1>>, options: ConvTransposeOptions<2>) -> Self {
        let product = self.bilinear(weight, |x, weight| {
            module::conv_transpose2d(x, weight, None, options.clone())
        });
        product.add_channels(bias)
    }

    fn add_channels(self, bias: Option<Dual<1>>) -> Self {
        match bias {
            Some(bias) => {
                let channels = bias.dims()[0];
                self + bias.reshape([1, channels, 1, 1])
            }
            None => self,
        }
    }

    /// Attention `softmax(q·kᵀ)·v` of tensors `[batch, heads, seq, head_dim]`. The queries must already be scaled. The mask has the shape
    /// `[batch, heads, queries, keys]` or broadcasts to it; `true` hides a key.
    pub fn attention(self, key: Self, value: Self, hidden: Option<Tensor<4, Bool>>) -> Self {
        let mut scores = self.matmul(key.transpose());
        if let Some(hidden) = hidden {
            // Finite, so that the softmax of a query that sees no key is defined.
            let hidden = hidden.expand(scores.dims());
            scores = scores.mask_fill(hidden, -1e9);
        }
        scores.softmax(3).matmul(value)
    }
}

impl Dual<3> {
    /// One-dimensional convolution of `[batch, in, length]` with a kernel `[out, in/groups, length]`.
    pub fn conv1d(self, weight: Dual<3>, bias: Option<Dual<1>>, options: ConvOptions<1>) -> Self {
        let product = self.bilinear(weight, |x, weight| module::conv1d(x, weight, None, options.clone()));
        match bias {
            Some(bias) => {
                let channels = bias.dims()[0];
                product + bias.reshape([1, channels, 1])
            }
            None => product,
        }
    }
}
