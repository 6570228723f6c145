//! Normalisation of activations and weights.

use crate::Dual;
use burn::tensor::Tensor;

impl<const D: usize> Dual<D> {
    /// `(x − mean)/√(var + ε)` along an axis.
    pub fn standardize(self, axis: usize, epsilon: f64) -> Self {
        let mean = self.clone().mean_dim(axis);
        let centred = self - mean;
        let variance = centred.clone().square().mean_dim(axis);
        centred / (variance + epsilon).sqrt()
    }

    /// Layer norm over the last axis (arXiv 1607.06450).
    pub fn layer_norm(self, gamma: Dual<1>, beta: Option<Dual<1>>, epsilon: f64) -> Self {
        let scaled = self.standardize(D - 1, epsilon) * gamma.unsqueeze();
        match beta {
            Some(beta) => scaled + beta.unsqueeze(),
            None => scaled,
        }
    }

    /// `γ·x/√(mean x² + ε)` over the last axis (arXiv 1910.07467).
    pub fn rms_norm(self, gamma: Dual<1>, epsilon: f64) -> Self {
        let mean = self.clone().square().mean_dim(D - 1);
        self / (mean + epsilon).sqrt() * gamma.unsqueeze()
    }

    /// Group norm of `[batch, channels, …]` (arXiv 1803.08494).
    pub fn group_norm(self, groups: usize, gamma: Option<Dual<1>>, beta: Option<Dual<1>>, epsilon: f64) -> Self {
        let dims = self.dims();
        let (batch, channels) = (dims[0], dims[1]);
        let width = dims[1..].iter().product::<usize>() / groups;
        let normalised = self.reshape([batch, groups, width]).standardize(2, epsilon);
        let mut per_channel = [1; D];
        per_channel[1] = channels;
        let mut output = normalised.reshape(dims);
        if let Some(gamma) = gamma {
            output = output * gamma.reshape(per_channel);
        }
        if let Some(beta) = beta {
            output = output + beta.reshape(per_channel);
        }
        output
    }
}

/// The vectors of power iteration for the largest singular value of one matrix.
#[derive(Clone, Debug)]
pub struct SingularVectors {
    /// Left vector `[rows]`, of length 1.
    pub left: Tensor<1>,
    /// Right vector `[columns]`, of length 1.
    pub right: Tensor<1>,
}

impl SingularVectors {
    /// Vectors for a matrix, after `rounds` rounds of power iteration from a fixed start.
    pub fn of(matrix: Tensor<2>, rounds: usize) -> Self {
        let matrix = matrix.detach();
        let [rows, columns] = matrix.dims();
        // Not constant, so that it is unlikely to be orthogonal to the singular vectors of a structured matrix.
        let start = Tensor::<1, burn::tensor::Int>::arange(0..rows as i64, &matrix.device());
        let left = (start.float().cast(matrix.dtype()) * 1.7).cos() + 1.5;
        let vectors = Self {
            left: unit(left),
            right: matrix.clone().slice([0..1, 0..columns]).reshape([columns]),
        };
        vectors.iterate(matrix, rounds.max(1))
    }

    /// More rounds, for the same matrix or one that has changed little. One round per training step is usual (arXiv 1802.05957).
    pub fn iterate(self, matrix: Tensor<2>, rounds: usize) -> Self {
        let matrix = matrix.detach();
        let [rows, columns] = matrix.dims();
        let Self { mut left, mut right } = self;
        for _ in 0..rounds {
            right = unit(left.reshape([1, rows]).matmul(matrix.clone()).reshape([columns]));
            left = unit(
                matrix
                    .clone()
                    .matmul(right.clone().reshape([columns, 1]))
                    .reshape([rows]),
            );
        }
        Self { left, right }
    }
}

fn unit(vector: Tensor<1>) -> Tensor<1> {
    let length = vector.clone().square().sum().sqrt();
    vector / (length + 1e-12)
}

impl<const D: usize> Dual<D> {
    /// Divides a weight, viewed as a matrix `[first axis, all others]`, by its largest singular value (arXiv 1802.05957).
    ///
    /// The singular value is `uᵀWv` with u and v held constant, as in PyTorch. Its first derivatives are exact once the power iteration has converged;
    /// second derivatives lack the contribution of u and v.
    pub fn spectral_norm(self, vectors: &SingularVectors) -> Self {
        let dims = self.dims();
        let (rows, columns) = (dims[0], dims[1..].iter().product());
        let left = Dual::constant(vectors.left.clone().reshape([1, rows]));
        let right = Dual::constant(vectors.right.clone().reshape([columns, 1]));
        let sigma = left.matmul(self.clone().reshape([rows, columns])).matmul(right);
        self / sigma.reshape([1; D])
    }
}
