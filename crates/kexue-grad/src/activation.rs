//! Activation functions, softmax and its logarithm.
//!
//! ReLU and leaky ReLU have a kink at 0, where their derivative is that of the negative side, as in PyTorch. ELU's first derivative is continuous
//! only for α = 1, and its second always jumps at 0. All others are infinitely differentiable.

use crate::{Activation, Dual};
use burn::tensor::Tensor;
use burn::tensor::activation;
use std::f64::consts::{FRAC_1_SQRT_2, PI};

/// `x` where the argument is positive, `slope·x` elsewhere.
fn halves<const D: usize>(tangent: Tensor<D>, argument: Tensor<D>, slope: f64) -> Tensor<D> {
    let negative = argument.lower_equal_elem(0.0);
    if slope == 0.0 {
        tangent.mask_fill(negative, 0.0)
    } else {
        tangent.clone().mask_where(negative, tangent * slope)
    }
}

impl<const D: usize> Dual<D> {
    /// Applies an activation.
    pub fn activate(self, activation: Activation) -> Self {
        match activation {
            Activation::Identity => self,
            Activation::Relu => self.relu(),
            Activation::LeakyRelu => self.leaky_relu(0.1),
            Activation::Gelu => self.gelu_tanh(),
            Activation::Silu => self.silu(),
            Activation::Tanh => self.tanh(),
            Activation::Sigmoid => self.sigmoid(),
            Activation::Softplus => self.softplus(),
            Activation::Elu => self.elu(1.0),
        }
    }

    /// `max(0, x)`.
    pub fn relu(self) -> Self {
        let tangent = self.tangent.map(|tangent| halves(tangent, self.value.clone(), 0.0));
        Self {
            value: activation::relu(self.value),
            tangent,
        }
    }

    /// `x` above 0, `slope·x` below.
    pub fn leaky_relu(self, slope: f64) -> Self {
        let tangent = self.tangent.map(|tangent| halves(tangent, self.value.clone(), slope));
        Self {
            // Burn's own implementation uses the derivative of the other side at the kink.
            value: halves(self.value.clone(), self.value, slope),
            tangent,
        }
    }

    /// `x·Φ(x)` (arXiv 1606.08415), the exact form.
    pub fn gelu(self) -> Self {
        self.elementwise(activation::gelu, |x, _| {
            let density = (x.clone().square() * -0.5).exp() * (2.0 * PI).sqrt().recip();
            let distribution = ((x.clone() * FRAC_1_SQRT_2).erf() + 1.0) * 0.5;
            distribution + x * density
        })
    }

    /// The approximation `x/2·(1 + tanh(√(2/π)·(x + 0.044715·x³)))`.
    pub fn gelu_tanh(self) -> Self {
        let inner = (self.clone() + self.clone().powi(3) * 0.044715) * (2.0 / PI).sqrt();
        self * 0.5 * (inner.tanh() + 1.0)
    }

    /// `x·σ(x)` (arXiv 1702.03118).
    pub fn silu(self) -> Self {
        self.elementwise(activation::silu, |x, y| {
            let sigmoid = activation::sigmoid(x);
            sigmoid.clone() + y.clone() - y * sigmoid
        })
    }

    /// The hyperbolic tangent.
    pub fn tanh(self) -> Self {
        self.elementwise(activation::tanh, |_, y| y.square().neg() + 1.0)
    }

    /// `σ(x) = 1/(1 + e⁻ˣ)`.
    pub fn sigmoid(self) -> Self {
        self.elementwise(activation::sigmoid, |_, y| y.clone() - y.square())
    }

    /// `ln σ(x)`.
    pub fn log_sigmoid(self) -> Self {
        self.elementwise(activation::log_sigmoid, |x, _| activation::sigmoid(x.neg()))
    }

    /// `ln(1 + eˣ)`.
    pub fn softplus(self) -> Self {
        -(-self).log_sigmoid()
    }

    /// `x` above 0, `α·(eˣ − 1)` below (arXiv 1511.07289).
    pub fn elu(self, alpha: f64) -> Self {
        self.elementwise(
            |x| activation::elu(x, alpha),
            |x, y| (y + alpha).mask_fill(x.greater_elem(0.0), 1.0),
        )
    }

    /// Softmax along an axis.
    pub fn softmax(self, axis: usize) -> Self {
        let value = activation::softmax(self.value, axis);
        let tangent = self.tangent.map(|tangent| {
            let mean = (value.clone() * tangent.clone()).sum_dim(axis);
            value.clone() * (tangent - mean)
        });
        Self { value, tangent }
    }

    /// The logarithm of softmax along an axis.
    pub fn log_softmax(self, axis: usize) -> Self {
        let value = activation::log_softmax(self.value, axis);
        let tangent = self.tangent.map(|tangent| {
            let mean = (value.clone().exp() * tangent.clone()).sum_dim(axis);
            tangent - mean
        });
        Self { value, tangent }
    }
}
