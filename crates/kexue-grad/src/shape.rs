//! Operations that move elements without changing them.

use crate::Dual;
use burn::tensor::{Bool, Int, Slice, Tensor};

impl<const D: usize> Dual<D> {
    /// The same elements in another shape.
    pub fn reshape<const E: usize>(self, dims: [usize; E]) -> Dual<E> {
        self.linear(|tensor| tensor.reshape(dims))
    }

    /// Merges the axes from `start` to `end`, inclusive.
    pub fn flatten<const E: usize>(self, start: usize, end: usize) -> Dual<E> {
        self.linear(|tensor| tensor.flatten(start, end))
    }

    /// Exchanges two axes.
    pub fn swap_dims(self, first: usize, second: usize) -> Self {
        self.linear(|tensor| tensor.swap_dims(first, second))
    }

    /// Exchanges the last two axes.
    pub fn transpose(self) -> Self {
        self.linear(Tensor::transpose)
    }

    /// Reorders the axes.
    pub fn permute(self, axes: [isize; D]) -> Self {
        self.linear(|tensor| tensor.permute(axes))
    }

    /// Adds axes of length 1 in front.
    pub fn unsqueeze<const E: usize>(self) -> Dual<E> {
        self.linear(Tensor::unsqueeze)
    }

    /// Adds an axis of length 1.
    pub fn unsqueeze_dim<const E: usize>(self, axis: usize) -> Dual<E> {
        self.linear(|tensor| tensor.unsqueeze_dim(axis))
    }

    /// Removes an axis of length 1.
    pub fn squeeze_dim<const E: usize>(self, axis: usize) -> Dual<E> {
        self.linear(|tensor| tensor.squeeze_dim(axis))
    }

    /// Repeats along axes of length 1.
    pub fn expand<const E: usize>(self, dims: [usize; E]) -> Dual<E> {
        self.linear(|tensor| tensor.expand(dims))
    }

    /// A part of the tensor, with one range per axis.
    pub fn slice<const R: usize>(self, ranges: [Slice; R]) -> Self {
        self.linear(|tensor| tensor.slice(ranges))
    }

    /// Slices along an axis, by index.
    pub fn select(self, axis: usize, indices: Tensor<1, Int>) -> Self {
        self.linear(|tensor| tensor.select(axis, indices.clone()))
    }

    /// Elements along an axis, by index.
    pub fn gather(self, axis: usize, indices: Tensor<D, Int>) -> Self {
        self.linear(|tensor| tensor.gather(axis, indices.clone()))
    }

    /// Replaces elements by a constant where the mask is true.
    pub fn mask_fill(self, mask: Tensor<D, Bool>, value: f64) -> Self {
        Self {
            value: self.value.mask_fill(mask.clone(), value),
            tangent: self.tangent.map(|tangent| tangent.mask_fill(mask, 0.0)),
        }
    }

    /// Concatenates tensors along an axis.
    pub fn cat(parts: Vec<Self>, axis: usize) -> Self {
        let tangent = parts.iter().any(|part| part.tangent.is_some()).then(|| {
            let tangents = parts.iter().map(Self::tangent_or_zeros).collect();
            Tensor::cat(tangents, axis)
        });
        let values = parts.into_iter().map(|part| part.value).collect();
        Self {
            value: Tensor::cat(values, axis),
            tangent,
        }
    }
}
