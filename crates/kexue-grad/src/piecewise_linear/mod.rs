//! Networks that are linear between their kinks, with gradients of `‖∇ₓf‖` at the cost of those of f.

mod extension;
mod layer;
mod passes;

use crate::Activation;
use crate::derivative::gradient_of_scores;
use burn::backend::Dispatch;
use burn::nn::conv::Conv2d;
use burn::nn::{Linear, PaddingConfig2d};
use burn::tensor::{DType, Device, Tensor};
use extension::{PiecewiseLinearOps, Request};
use layer::{Image, Layer};
use passes::Chain;
use std::sync::Arc;

/// A chain of convolutions and dense layers with ReLU or leaky ReLU between them, and one score per sample: the common critic.
///
/// Between its kinks such a network is affine. Then `∂‖∇ₓf‖/∂θ` needs one forward pass and one product per weight beyond `∇ₓf` itself, where
/// [`scores_and_grad_norms`](crate::scores_and_grad_norms) and double backpropagation need three passes or more. The results are the same.
///
/// It computes on the CPU in single precision, by one operation with its own passes. Adding a layer returns `None` where this form does not apply; then
/// use the general functions.
///
/// ```
/// use burn::tensor::{Device, Distribution, Tensor};
/// use kexue_grad::{Activation, Dual, Mlp, PiecewiseLinear, grad_norm};
///
/// let device = Device::flex().autodiff();
/// let critic = Mlp::new(&[3, 16, 16, 1], Activation::LeakyRelu, &device);
/// let chain = PiecewiseLinear::new([3, 1, 1], Activation::LeakyRelu).unwrap();
/// let chain = critic.layers().iter().try_fold(chain, PiecewiseLinear::dense).unwrap();
///
/// let x = Tensor::<2>::random([8, 3], Distribution::Default, &device);
/// let (_scores, norms) = chain.scores_and_grad_norms(x.clone()).unwrap();
/// let same = grad_norm(&critic, x, Dual::<2>::sum_per_sample);
/// assert!((norms - same).abs().max().into_scalar::<f32>() < 1e-6);
/// ```
#[derive(Clone, Debug)]
pub struct PiecewiseLinear {
    chain: Chain,
    parameters: Vec<Parameter>,
    image: Image,
}

/// A parameter as the layer has it, so that every call starts from it: Burn forgets what was computed from a parameter once a loss is differentiated.
#[derive(Clone, Debug)]
enum Parameter {
    Convolution(Tensor<4>),
    Dense(Tensor<2>),
    Bias(Tensor<1>),
}

impl Parameter {
    fn flat(&self) -> Tensor<1> {
        match self {
            Self::Convolution(weight) => weight.clone().flatten(0, 3),
            Self::Dense(weight) => weight.clone().flatten(0, 1),
            Self::Bias(bias) => bias.clone(),
        }
    }

    fn detached(&self) -> Self {
        match self {
            Self::Convolution(weight) => Self::Convolution(weight.clone().detach()),
            Self::Dense(weight) => Self::Dense(weight.clone().detach()),
            Self::Bias(bias) => Self::Bias(bias.clone().detach()),
        }
    }

    fn is_supported(&self) -> bool {
        match self {
            Self::Convolution(weight) => is_supported(weight),
            Self::Dense(weight) => is_supported(weight),
            Self::Bias(bias) => is_supported(bias),
        }
    }
}

impl PiecewiseLinear {
    /// A network without layers for images `[channels, height, width]`; for vectors, these are `[size, 1, 1]`. `None` if the activation is not linear
    /// between kinks.
    pub fn new(image: [usize; 3], activation: Activation) -> Option<Self> {
        let slope = activation
            .is_piecewise_linear()
            .then(|| activation.derivative(-1.0) as f32)?;
        let [channels, height, width] = image;
        Some(Self {
            chain: Chain {
                layers: Vec::new(),
                slope,
            },
            parameters: Vec::new(),
            image: Image {
                channels,
                height,
                width,
            },
        })
    }

    /// Adds a convolution. `None` if it has groups, dilation, no bias or different paddings on opposite sides, or does not fit the image.
    pub fn convolution(self, layer: &Conv2d) -> Option<Self> {
        let weight = layer.weight.val();
        let [outputs, inputs, height, width] = weight.dims();
        let padding = match layer.padding {
            PaddingConfig2d::Valid => [0, 0],
            PaddingConfig2d::Explicit(top, left, bottom, right) if (top, left) == (bottom, right) => [top, left],
            _ => return None,
        };
        if layer.groups != 1 || layer.dilation != [1, 1] || inputs != self.image.channels {
            return None;
        }
        let side = |size: usize, axis: usize| {
            let room = (size + 2 * padding[axis]).checked_sub([height, width][axis])?;
            Some(room / layer.stride[axis] + 1)
        };
        let output = Image {
            channels: outputs,
            height: side(self.image.height, 0)?,
            width: side(self.image.width, 1)?,
        };
        let added = Layer {
            input: self.image,
            output,
            kernel: [height, width],
            stride: layer.stride,
            padding,
            dense: false,
        };
        let bias = layer.bias.as_ref()?.val();
        self.with(added, Parameter::Convolution(weight), bias)
    }

    /// Adds a dense layer, whose input is the image as a vector, channel by channel. `None` if it has no bias or does not fit the image.
    pub fn dense(self, layer: &Linear) -> Option<Self> {
        let weight = layer.weight.val();
        let [inputs, outputs] = weight.dims();
        if inputs != self.image.numbers() {
            return None;
        }
        let added = Layer {
            input: self.image,
            output: Image {
                channels: outputs,
                height: 1,
                width: 1,
            },
            kernel: [self.image.height, self.image.width],
            stride: [1, 1],
            padding: [0, 0],
            dense: true,
        };
        let bias = layer.bias.as_ref()?.val();
        self.with(added, Parameter::Dense(weight), bias)
    }

    fn with(mut self, layer: Layer, weight: Parameter, bias: Tensor<1>) -> Option<Self> {
        let both = [weight, Parameter::Bias(bias)];
        if !both.iter().all(Parameter::is_supported) {
            return None;
        }
        self.image = layer.output;
        self.chain.layers.push(layer);
        self.parameters.extend(both);
        Some(self)
    }

    fn request(&self, input: Tensor<2>, norms: bool) -> Option<Tensor<1>> {
        let first = self.chain.layers.first()?;
        let fits = self.image.numbers() == 1 && first.input.numbers() == input.dims()[1];
        if !fits || !is_supported(&input) {
            return None;
        }
        let parameters = Tensor::cat(self.parameters.iter().map(Parameter::flat).collect(), 0);
        let request = Request {
            chain: Arc::new(self.chain.clone()),
            norms,
        };
        let output =
            <Dispatch as PiecewiseLinearOps>::scores(input.into_dispatch(), parameters.into_dispatch(), request);
        Some(Tensor::from_dispatch(output))
    }

    /// The scores of samples `[batch, size]`, `[batch]`. `None` if the network does not end with one number, or the samples are of another size, device or
    /// precision.
    pub fn scores(&self, input: Tensor<2>) -> Option<Tensor<1>> {
        self.request(input, false)
    }

    /// The scores and the norms of their gradients with respect to the samples, both `[batch]` and differentiable.
    ///
    /// As a function of a sample, a norm is constant between the kinks. `None` as for [`scores`](Self::scores).
    pub fn scores_and_grad_norms(&self, input: Tensor<2>) -> Option<(Tensor<1>, Tensor<1>)> {
        let batch = input.dims()[0];
        let both = self.request(input, true)?;
        Some((both.clone().narrow(0, 0, batch), both.narrow(0, batch, batch)))
    }

    /// The scores, `[batch]`, and the gradient of each with respect to its sample, `[batch, size]`, as constants. `None` as for [`scores`](Self::scores).
    ///
    /// # Panics
    /// If the samples are not on a device with autodiff.
    pub fn scores_and_input_gradient(&self, input: Tensor<2>) -> Option<(Tensor<1>, Tensor<2>)> {
        // Gradients of the parameters would only cost time here.
        let frozen = Self {
            parameters: self.parameters.iter().map(Parameter::detached).collect(),
            ..self.clone()
        };
        gradient_of_scores(input, |input| frozen.scores(input))
    }
}

fn is_supported<const D: usize>(tensor: &Tensor<D>) -> bool {
    tensor.dtype() == DType::F32 && tensor.device().without_autodiff() == Device::flex()
}
