//! Sums, means, maxima and log-sum-exp.

use crate::Dual;
use burn::tensor::Tensor;

impl<const D: usize> Dual<D> {
    /// The sum of all elements.
    pub fn sum(self) -> Dual<1> {
        self.linear(Tensor::sum)
    }

    /// The mean of all elements.
    pub fn mean(self) -> Dual<1> {
        self.linear(Tensor::mean)
    }

    /// The sum along an axis, which keeps length 1.
    pub fn sum_dim(self, axis: usize) -> Self {
        self.linear(|tensor| tensor.sum_dim(axis))
    }

    /// The mean along an axis, which keeps length 1.
    pub fn mean_dim(self, axis: usize) -> Self {
        self.linear(|tensor| tensor.mean_dim(axis))
    }

    /// The maximum along an axis, which keeps length 1. If two elements are equal, the tangent is that of one of them.
    pub fn max_dim(self, axis: usize) -> Self {
        let (value, indices) = self.value.max_dim_with_indices(axis);
        Self {
            value,
            tangent: self.tangent.map(|tangent| tangent.gather(axis, indices)),
        }
    }

    /// `ln Σ eˣ` along an axis, which keeps length 1.
    pub fn logsumexp(self, axis: usize) -> Self {
        // The shift cancels out, so it can be held constant.
        let largest = Dual::constant(self.value.clone().detach().max_dim(axis));
        (self - largest.clone()).exp().sum_dim(axis).log() + largest
    }

    /// The sum over all axes but the first: one number per sample.
    pub fn sum_per_sample(self) -> Dual<1> {
        self.linear(sum_per_sample)
    }
}

/// The sum over all axes but the first: `[batch, …]` → `[batch]`.
pub(crate) fn sum_per_sample<const D: usize>(tensor: Tensor<D>) -> Tensor<1> {
    let batch = tensor.dims()[0];
    let width = tensor.dims()[1..].iter().product();
    tensor.reshape([batch, width]).sum_dim(1).reshape([batch])
}
