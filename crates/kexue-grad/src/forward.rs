//! Networks that carry tangents forward.

use crate::Dual;
use burn::module::{Module, Param};
use burn::nn::activation::{Elu, Gelu, LeakyRelu, Relu, Sigmoid, Softplus, Tanh};
use burn::nn::attention::MultiHeadAttention;
use burn::nn::conv::{Conv1d, Conv2d, ConvTranspose1d, ConvTranspose2d};
use burn::nn::interpolate::Interpolate2d;
use burn::nn::pool::{AdaptiveAvgPool2d, AvgPool2d, MaxPool2d};
use burn::nn::{Dropout, Embedding, GroupNorm, LayerNorm, Linear, PaddingConfig2d, RmsNorm};
use burn::tensor::ops::MaxPoolOptions;
use burn::tensor::{Int, Tensor};
use kexue_burn::ScaledAttention;

/// A network whose forward pass carries tangents. This is the only trait that a network must implement.
///
/// The tangents of the parameters are given as a second network of the same type. Pass each layer its own part of it:
///
/// ```
/// use burn::module::Module;
/// use burn::nn::{Linear, LinearConfig};
/// use burn::tensor::{Device, Tensor};
/// use kexue_grad::{Dual, ForwardDual};
///
/// #[derive(Module, Debug)]
/// struct Critic {
///     hidden: Linear,
///     score: Linear,
/// }
///
/// impl ForwardDual<2, 2> for Critic {
///     fn forward_dual(&self, tangent: Option<&Self>, x: Dual<2>) -> Dual<2> {
///         let x = self.hidden.forward_dual(tangent.map(|t| &t.hidden), x).leaky_relu(0.1);
///         self.score.forward_dual(tangent.map(|t| &t.score), x)
///     }
/// }
///
/// // Without tangents, it is the ordinary forward pass at the same cost.
/// let device = Device::flex();
/// let critic = Critic {
///     hidden: LinearConfig::new(3, 8).init(&device),
///     score: LinearConfig::new(8, 1).init(&device),
/// };
/// let scores = critic.forward(Tensor::ones([5, 3], &device));
/// assert_eq!(scores.dims(), [5, 1]);
/// ```
///
/// For a chain of layers, [`forward_dual!`](crate::forward_dual!) generates the implementation.
pub trait ForwardDual<const I: usize, const O: usize>: Module {
    /// The output and its tangent.
    fn forward_dual(&self, tangent: Option<&Self>, input: Dual<I>) -> Dual<O>;

    /// The output without a tangent.
    fn forward(&self, input: Tensor<I>) -> Tensor<O> {
        self.forward_dual(None, Dual::constant(input)).value
    }
}

/// Implements [`ForwardDual`] for a chain of layers (`.field`) and operations of [`Dual`](crate::Dual).
///
/// ```
/// use burn::module::Module;
/// use burn::nn::conv::{Conv2d, Conv2dConfig};
/// use burn::nn::{Linear, LinearConfig};
/// use burn::tensor::{Device, Tensor};
/// use kexue_grad::{ForwardDual, forward_dual};
///
/// #[derive(Module, Debug)]
/// struct Critic {
///     conv: Conv2d,
///     score: Linear,
/// }
///
/// forward_dual!(Critic, 4 => 2: .conv, leaky_relu(0.1), flatten(1, 3), .score);
///
/// let device = Device::flex();
/// let critic = Critic {
///     conv: Conv2dConfig::new([3, 4], [4, 4]).with_stride([2, 2]).init(&device),
///     score: LinearConfig::new(4 * 3 * 3, 1).init(&device),
/// };
/// assert_eq!(critic.forward(Tensor::ones([2, 3, 8, 8], &device)).dims(), [2, 1]);
/// ```
#[macro_export]
macro_rules! forward_dual {
    ($network:ty, $input:literal => $output:literal : $($steps:tt)+) => {
        impl $crate::ForwardDual<$input, $output> for $network {
            fn forward_dual(&self, tangent: Option<&Self>, input: $crate::Dual<$input>) -> $crate::Dual<$output> {
                $crate::forward_dual!(@steps self, tangent, input, $($steps)+)
            }
        }
    };
    (@steps $self:ident, $tangent:ident, $x:expr $(,)?) => { $x };
    (@steps $self:ident, $tangent:ident, $x:expr, . $field:ident $(, $($rest:tt)*)?) => {{
        let x = $crate::ForwardDual::forward_dual(&$self.$field, $tangent.map(|tangent| &tangent.$field), $x);
        $crate::forward_dual!(@steps $self, $tangent, x, $($($rest)*)?)
    }};
    (@steps $self:ident, $tangent:ident, $x:expr, $operation:ident ($($argument:expr),*) $(, $($rest:tt)*)?) => {{
        let x = $x.$operation($($argument),*);
        $crate::forward_dual!(@steps $self, $tangent, x, $($($rest)*)?)
    }};
}

/// Implements [`ForwardDual`] for a layer with a bias that is linear in its input and in its weight.
macro_rules! affine_layer {
    ($($layer:ty: $rank:literal),+) => {
        $(impl ForwardDual<$rank, $rank> for $layer {
            fn forward_dual(&self, tangent: Option<&Self>, input: Dual<$rank>) -> Dual<$rank> {
                let along_input = input.tangent.map(|direction| {
                    let mut without_bias = self.clone();
                    without_bias.bias = None;
                    without_bias.forward(direction)
                });
                let along_parameters = tangent.map(|tangent| tangent.forward(input.value.clone()));
                Dual {
                    value: self.forward(input.value),
                    tangent: crate::dual::sum(along_input, along_parameters),
                }
            }
        })+
    };
}

affine_layer!(Conv1d: 3, ConvTranspose1d: 3, Conv2d: 4, ConvTranspose2d: 4);

fn parameter<const D: usize>(value: &Param<Tensor<D>>, tangent: Option<&Param<Tensor<D>>>) -> Dual<D> {
    Dual {
        value: value.val(),
        tangent: tangent.map(Param::val),
    }
}

/// An optional parameter, and the tangent of the layer that has it.
fn optional<L, const D: usize>(
    layer: &L,
    tangent: Option<&L>,
    field: impl Fn(&L) -> &Option<Param<Tensor<D>>>,
) -> Option<Dual<D>> {
    let value = field(layer).as_ref()?;
    Some(parameter(value, tangent.and_then(|tangent| field(tangent).as_ref())))
}

impl<const D: usize> ForwardDual<D, D> for Linear {
    fn forward_dual(&self, tangent: Option<&Self>, input: Dual<D>) -> Dual<D> {
        let weight = parameter(&self.weight, tangent.map(|tangent| &tangent.weight));
        input.affine(weight, optional(self, tangent, |layer| &layer.bias))
    }
}

impl<const D: usize> ForwardDual<D, D> for LayerNorm {
    fn forward_dual(&self, tangent: Option<&Self>, input: Dual<D>) -> Dual<D> {
        if input.tangent.is_none() && tangent.is_none() {
            return Dual::constant(self.forward(input.value));
        }
        let gamma = parameter(&self.gamma, tangent.map(|tangent| &tangent.gamma));
        let beta = optional(self, tangent, |layer| &layer.beta);
        input.layer_norm(gamma, beta, epsilon_of(self))
    }
}

/// The ε of a layer norm, which is private in Burn. It is recovered from the output for a vector with a known, small variance.
fn epsilon_of(norm: &LayerNorm) -> f64 {
    let gamma = norm.gamma.val().detach();
    let width = gamma.dims()[0];
    if width < 2 {
        return 1e-5; // the norm is 0 for any ε
    }
    let mut probe = norm.clone();
    probe.gamma = Param::from_tensor(gamma.ones_like());
    probe.beta = None;
    let size = 1e-4;
    let mut input = vec![0.0; width];
    (input[0], input[1]) = (size, -size);
    let data = burn::tensor::TensorData::new(input, [1, width]);
    let output: f64 = probe
        .forward(Tensor::<2>::from_data(data, (&gamma.device(), gamma.dtype())))
        .slice([0..1, 0..1])
        .into_scalar();
    ((size / output).powi(2) - 2.0 * size * size / width as f64).max(0.0)
}

impl<const D: usize> ForwardDual<D, D> for RmsNorm {
    fn forward_dual(&self, tangent: Option<&Self>, input: Dual<D>) -> Dual<D> {
        let gamma = parameter(&self.gamma, tangent.map(|tangent| &tangent.gamma));
        input.rms_norm(gamma, self.epsilon)
    }
}

impl<const D: usize> ForwardDual<D, D> for GroupNorm {
    fn forward_dual(&self, tangent: Option<&Self>, input: Dual<D>) -> Dual<D> {
        let gamma = optional(self, tangent, |layer| &layer.gamma);
        let beta = optional(self, tangent, |layer| &layer.beta);
        input.group_norm(self.num_groups, gamma, beta, self.epsilon)
    }
}

/// Looks up rows of an embedding; the tangent is that of the table.
pub fn embed(embedding: &Embedding, tangent: Option<&Embedding>, tokens: Tensor<2, Int>) -> Dual<3> {
    Dual {
        tangent: tangent.map(|tangent| tangent.forward(tokens.clone())),
        value: embedding.forward(tokens),
    }
}

/// Implements [`ForwardDual`] for a layer without parameters.
macro_rules! parameterless {
    ($($layer:ty: |$self:ident, $input:ident| $output:expr;)+) => {
        $(impl<const D: usize> ForwardDual<D, D> for $layer {
            fn forward_dual(&self, _: Option<&Self>, $input: Dual<D>) -> Dual<D> {
                let $self = self;
                $output
            }
        })+
    };
}

parameterless! {
    Relu: |_layer, input| input.relu();
    LeakyRelu: |layer, input| input.leaky_relu(layer.negative_slope);
    Gelu: |layer, input| if layer.approximate { input.gelu_tanh() } else { input.gelu() };
    Tanh: |_layer, input| input.tanh();
    Sigmoid: |_layer, input| input.sigmoid();
    Elu: |layer, input| input.elu(layer.alpha);
    Softplus: |layer, input| (input * layer.beta).softplus() / layer.beta;
    Dropout: |layer, input| {
        // The same elements of value and tangent are dropped.
        let kept = layer.forward(input.value.ones_like());
        input * Dual::constant(kept)
    };
}

impl ForwardDual<4, 4> for AvgPool2d {
    fn forward_dual(&self, _: Option<&Self>, input: Dual<4>) -> Dual<4> {
        input.linear(|tensor| self.forward(tensor))
    }
}

impl ForwardDual<4, 4> for AdaptiveAvgPool2d {
    fn forward_dual(&self, _: Option<&Self>, input: Dual<4>) -> Dual<4> {
        input.linear(|tensor| self.forward(tensor))
    }
}

impl ForwardDual<4, 4> for Interpolate2d {
    fn forward_dual(&self, _: Option<&Self>, input: Dual<4>) -> Dual<4> {
        input.linear(|tensor| self.forward(tensor))
    }
}

impl ForwardDual<4, 4> for MaxPool2d {
    fn forward_dual(&self, _: Option<&Self>, input: Dual<4>) -> Dual<4> {
        let [_, _, height, width] = input.dims();
        let same = |axis: usize, size: usize| {
            let windows = size.div_ceil(self.stride[axis]);
            let needed = (windows.saturating_sub(1) * self.stride[axis] + self.kernel_size[axis]).saturating_sub(size);
            (needed / 2, needed - needed / 2)
        };
        let padding = match &self.padding {
            PaddingConfig2d::Valid => [(0, 0); 2],
            PaddingConfig2d::Same => [same(0, height), same(1, width)],
            &PaddingConfig2d::Explicit(top, left, bottom, right) => [(top, bottom), (left, right)],
        };
        input.max_pool2d(
            MaxPoolOptions::new(self.kernel_size)
                .with_stride(self.stride)
                .with_padding_pairs(padding)
                .with_dilation(self.dilation)
                .with_ceil_mode(self.ceil_mode),
        )
    }
}

/// Self-attention without masks, scaled by λ.
macro_rules! self_attention {
    ($self:ident, $tangent:ident, $input:ident, $scale:expr) => {{
        let [batch, seq, d_model] = $input.dims();
        let head_dim = d_model / $self.n_heads;
        let heads = |x: Dual<3>| x.reshape([batch, seq, $self.n_heads, head_dim]).swap_dims(1, 2);
        let query = heads($self.query.forward_dual($tangent.map(|t| &t.query), $input.clone()));
        let key = heads($self.key.forward_dual($tangent.map(|t| &t.key), $input.clone()));
        let value = heads($self.value.forward_dual($tangent.map(|t| &t.value), $input));
        let scores = (query * $scale(seq, head_dim)).matmul(key.transpose());
        let weights = $self.dropout.forward_dual(None, scores.softmax(3));
        let context = weights.matmul(value).swap_dims(1, 2).reshape([batch, seq, d_model]);
        $self.output.forward_dual($tangent.map(|t| &t.output), context)
    }};
}

impl ForwardDual<3, 3> for ScaledAttention {
    fn forward_dual(&self, tangent: Option<&Self>, input: Dual<3>) -> Dual<3> {
        self_attention!(self, tangent, input, |keys, head_dim| f64::from(
            self.scale.factor(keys, head_dim)
        ))
    }
}

/// Supports the ordinary softmax only, not the quiet one.
impl ForwardDual<3, 3> for MultiHeadAttention {
    fn forward_dual(&self, tangent: Option<&Self>, input: Dual<3>) -> Dual<3> {
        assert!(!self.quiet_softmax, "tangents of the quiet softmax are not supported");
        self_attention!(self, tangent, input, |_, head_dim: usize| (head_dim as f64)
            .sqrt()
            .recip())
    }
}
