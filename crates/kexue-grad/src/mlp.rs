//! A multilayer perceptron on Burn.

use crate::{Activation, Dual, ForwardDual};
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

/// A multilayer perceptron `[batch, in]` → `[batch, out]`, with an activation after every layer but the last.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use kexue_grad::{Activation, ForwardDual, Mlp};
///
/// let device = Device::flex();
/// let mlp = Mlp::new(&[3, 16, 16, 1], Activation::LeakyRelu, &device);
/// assert_eq!(mlp.forward(Tensor::<2>::ones([5, 3], &device)).dims(), [5, 1]);
/// ```
#[derive(Module, Debug)]
pub struct Mlp {
    layers: Vec<Linear>,
    #[module(skip)]
    activation: Activation,
}

impl Mlp {
    /// Creates a network with these widths, including those of input and output.
    ///
    /// # Panics
    /// If there are fewer than two widths.
    pub fn new(widths: &[usize], activation: Activation, device: &Device) -> Self {
        assert!(widths.len() >= 2, "an MLP needs the widths of its input and output");
        let layer = |pair: &[usize]| LinearConfig::new(pair[0], pair[1]).init(device);
        Self {
            layers: widths.windows(2).map(layer).collect(),
            activation,
        }
    }

    /// The linear layers, from input to output.
    pub fn layers(&self) -> &[Linear] {
        &self.layers
    }

    /// The activation after every layer but the last.
    pub fn activation(&self) -> Activation {
        self.activation
    }
}

impl Mlp {
    /// The output of the last hidden layer after its activation, `[batch, width]`, which a classifier uses as features.
    pub fn features(&self, input: Tensor<2>) -> Tensor<2> {
        let hidden = self.layers.iter().take(self.layers.len() - 1);
        let output = hidden.fold(Dual::constant(input), |x, layer| {
            layer.forward_dual(None, x).activate(self.activation)
        });
        output.value
    }
}

impl ForwardDual<2, 2> for Mlp {
    fn forward_dual(&self, tangent: Option<&Self>, input: Dual<2>) -> Dual<2> {
        let last = self.layers.len() - 1;
        self.layers.iter().enumerate().fold(input, |x, (number, layer)| {
            let x = layer.forward_dual(tangent.map(|tangent| &tangent.layers[number]), x);
            if number == last { x } else { x.activate(self.activation) }
        })
    }
}
