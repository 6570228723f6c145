//! A tensor and its derivative along one direction.

use burn::tensor::Tensor;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// A tensor and its tangent: its derivative along a direction of the inputs or parameters.
///
/// Both are ordinary Burn tensors, so everything computed from a `Dual` can be differentiated once more by reverse mode, value and tangent alike.
/// This gives derivatives of gradients. `None` stands for a tangent of 0 and costs nothing.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use kexue_grad::Dual;
///
/// // x³ at 2, along 1: value 8, tangent 3·2² = 12; the derivative of the tangent by reverse mode: 6·2 = 12.
/// let device = Device::flex().autodiff();
/// let x = Tensor::<1>::from_floats([2.0], &device).require_grad();
/// let cube = Dual::new(x.clone(), Tensor::from_floats([1.0], &device)).powi(3);
/// let tangent = cube.tangent.unwrap();
/// assert_eq!(tangent.clone().into_scalar::<f32>(), 12.0);
/// assert_eq!(x.grad(&tangent.backward()).unwrap().into_scalar::<f32>(), 12.0);
/// ```
#[derive(Clone, Debug)]
pub struct Dual<const D: usize> {
    /// The tensor.
    pub value: Tensor<D>,
    /// Its derivative along the direction, of the same shape; `None` for 0.
    pub tangent: Option<Tensor<D>>,
}

/// The sum of two tangents.
pub(crate) fn sum<const D: usize>(a: Option<Tensor<D>>, b: Option<Tensor<D>>) -> Option<Tensor<D>> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a + b),
        (a, b) => a.or(b),
    }
}

impl<const D: usize> Dual<D> {
    /// Creates a tensor with a tangent of the same shape.
    ///
    /// # Panics
    /// If the shapes differ.
    pub fn new(value: Tensor<D>, tangent: Tensor<D>) -> Self {
        assert_eq!(
            value.dims(),
            tangent.dims(),
            "value and tangent must have the same shape"
        );
        Self {
            value,
            tangent: Some(tangent),
        }
    }

    /// A tensor that does not change along the direction.
    pub fn constant(value: Tensor<D>) -> Self {
        Self { value, tangent: None }
    }

    /// A tensor whose tangent may be 0.
    pub fn with(value: Tensor<D>, tangent: Option<Tensor<D>>) -> Self {
        match tangent {
            Some(tangent) => Self::new(value, tangent),
            None => Self::constant(value),
        }
    }

    /// Shape of the tensor.
    pub fn dims(&self) -> [usize; D] {
        self.value.dims()
    }

    /// The tangent, with zeros for `None`.
    pub fn tangent_or_zeros(&self) -> Tensor<D> {
        self.tangent.clone().unwrap_or_else(|| self.value.zeros_like())
    }

    /// The same value without a tangent: PyTorch's `detach`, for tangents. Reverse mode still differentiates the value.
    pub fn without_tangent(self) -> Self {
        Self::constant(self.value)
    }

    /// Applies a linear function to value and tangent.
    pub fn linear<const E: usize>(self, function: impl Fn(Tensor<D>) -> Tensor<E>) -> Dual<E> {
        Dual {
            tangent: self.tangent.map(&function),
            value: function(self.value),
        }
    }

    /// Applies a function to each element. The second function gives its derivative from the argument and the value.
    ///
    /// The derivative must consist of differentiable operations, or second derivatives are lost.
    pub fn elementwise(
        self,
        function: impl FnOnce(Tensor<D>) -> Tensor<D>,
        derivative: impl FnOnce(Tensor<D>, Tensor<D>) -> Tensor<D>,
    ) -> Self {
        let value = function(self.value.clone());
        Self {
            tangent: self
                .tangent
                .map(|tangent| tangent * derivative(self.value, value.clone())),
            value,
        }
    }

    /// Applies a function that is linear in each of two tensors, such as a matrix product or a convolution.
    pub fn bilinear<const E: usize, const F: usize>(
        self,
        other: Dual<E>,
        function: impl Fn(Tensor<D>, Tensor<E>) -> Tensor<F>,
    ) -> Dual<F> {
        let left = self.tangent.map(|tangent| function(tangent, other.value.clone()));
        let right = other.tangent.map(|tangent| function(self.value.clone(), tangent));
        Dual {
            value: function(self.value, other.value),
            tangent: sum(left, right),
        }
    }
}

impl<const D: usize> From<Tensor<D>> for Dual<D> {
    fn from(value: Tensor<D>) -> Self {
        Self::constant(value)
    }
}

/// Expands the tangent of a summand to the shape of the result.
fn broadcast<const D: usize>(tangent: Option<Tensor<D>>, dims: [usize; D]) -> Option<Tensor<D>> {
    tangent.map(|tangent| {
        if tangent.dims() == dims {
            tangent
        } else {
            tangent.expand(dims)
        }
    })
}

impl<const D: usize> Add for Dual<D> {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let value = self.value + other.value;
        let dims = value.dims();
        Self {
            value,
            tangent: sum(broadcast(self.tangent, dims), broadcast(other.tangent, dims)),
        }
    }
}

impl<const D: usize> Neg for Dual<D> {
    type Output = Self;

    fn neg(self) -> Self {
        self.linear(Tensor::neg)
    }
}

impl<const D: usize> Sub for Dual<D> {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        let value = self.value - other.value;
        let dims = value.dims();
        let (left, right) = (broadcast(self.tangent, dims), broadcast(other.tangent, dims));
        let tangent = match (left, right) {
            (Some(left), Some(right)) => Some(left - right),
            (left, right) => left.or(right.map(Tensor::neg)),
        };
        Self { value, tangent }
    }
}

impl<const D: usize> Mul for Dual<D> {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        self.bilinear(other, |a, b| a * b)
    }
}

impl<const D: usize> Div for Dual<D> {
    type Output = Self;

    #[allow(clippy::suspicious_arithmetic_impl)] // the quotient rule has a product
    fn div(self, other: Self) -> Self {
        let value = self.value / other.value.clone();
        let left = self.tangent.map(|tangent| tangent / other.value.clone());
        let right = other
            .tangent
            .map(|tangent| (value.clone() * tangent / other.value).neg());
        Self {
            value,
            tangent: sum(left, right),
        }
    }
}

impl<const D: usize> Add<f64> for Dual<D> {
    type Output = Self;

    fn add(self, scalar: f64) -> Self {
        Self {
            value: self.value + scalar,
            tangent: self.tangent,
        }
    }
}

impl<const D: usize> Sub<f64> for Dual<D> {
    type Output = Self;

    fn sub(self, scalar: f64) -> Self {
        self + -scalar
    }
}

impl<const D: usize> Mul<f64> for Dual<D> {
    type Output = Self;

    fn mul(self, scalar: f64) -> Self {
        self.linear(|tensor| tensor * scalar)
    }
}

impl<const D: usize> Div<f64> for Dual<D> {
    type Output = Self;

    fn div(self, scalar: f64) -> Self {
        self.linear(|tensor| tensor / scalar)
    }
}

impl<const D: usize> Dual<D> {
    /// `1/x`.
    pub fn recip(self) -> Self {
        self.elementwise(Tensor::recip, |_, y| y.square().neg())
    }

    /// `x²`.
    pub fn square(self) -> Self {
        self.elementwise(|x| x.square(), |x, _| x * 2.0)
    }

    /// `√x`. Its derivative is infinite at 0.
    pub fn sqrt(self) -> Self {
        self.elementwise(Tensor::sqrt, |_, y| y.recip() * 0.5)
    }

    /// `eˣ`.
    pub fn exp(self) -> Self {
        self.elementwise(Tensor::exp, |_, y| y)
    }

    /// The natural logarithm.
    pub fn log(self) -> Self {
        self.elementwise(Tensor::log, |x, _| x.recip())
    }

    /// The sine.
    pub fn sin(self) -> Self {
        self.elementwise(Tensor::sin, |x, _| x.cos())
    }

    /// The cosine.
    pub fn cos(self) -> Self {
        self.elementwise(Tensor::cos, |x, _| x.sin().neg())
    }

    /// `|x|`. The derivative at the kink, 0, is defined as 0.
    pub fn abs(self) -> Self {
        // The sign is a constant on each side of the kink.
        self.elementwise(Tensor::abs, |x, _| x.sign().detach())
    }

    /// `xⁿ` for a whole n.
    pub fn powi(self, exponent: i32) -> Self {
        match exponent {
            0 => Self::constant(self.value.ones_like()),
            1 => self,
            2 => self.square(),
            n => self.elementwise(|x| x.powi_scalar(n), |x, _| x.powi_scalar(n - 1) * f64::from(n)),
        }
    }

    /// `xᵖ` for x above 0.
    pub fn powf(self, exponent: f64) -> Self {
        self.elementwise(
            |x| x.powf_scalar(exponent),
            |x, _| x.powf_scalar(exponent - 1.0) * exponent,
        )
    }
}
