//! Initial distributions that Burn lacks: truncated normal, and DeepNorm's scaling of branches.

use crate::convention::pytorch;
use burn::module::{Module, ModuleMapper, Param, ParamId};
use burn::tensor::{Device, Distribution as Uniform, Int, Shape, Tensor, TensorData};
use kexue_nn::{Distribution, NormPlacement};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Draws Burn parameters from the distributions of [`kexue_nn::Distribution`], truncated normal among them.
///
/// The methods are those of Burn's [`Initializer`](burn::nn::Initializer), and `Device::seed` makes the draws reproducible in the same way.
/// A truncated normal specifies which standard deviation it means: BERT's 0.02 is *nominal*, before truncation, so its weights have 0.0176
/// (article 8747).
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn::module::Param;
/// use kexue_burn::DrawParameters;
/// use kexue_nn::{Distribution, StdConvention};
///
/// let device = Device::flex();
/// let bert = Distribution::TruncatedNormal { std: 0.02, means: StdConvention::Nominal };
/// let weight: Param<Tensor<2>> = bert.init([512, 512], &device);
/// let largest = weight.val().abs().max().into_scalar::<f32>();
/// assert!(largest <= 0.04);
///
/// // Or for all matrices, embeddings and kernels of a module; biases and norms stay as they are.
/// let layer = burn::nn::LinearConfig::new(512, 512).init(&device);
/// let layer = bert.redraw(layer);
/// assert!(layer.weight.val().abs().max().into_scalar::<f32>() <= 0.04);
/// ```
pub trait DrawParameters: Clone {
    /// A parameter of this shape, drawn when it is first used. For distributions that need no fan.
    fn init<const D: usize, S: Into<Shape>>(&self, shape: S, device: &Device) -> Param<Tensor<D>> {
        self.init_with(shape, None, None, device)
    }

    /// A parameter of this shape, drawn when it is first used.
    ///
    /// # Panics
    /// When drawn, if the distribution depends on a fan that is not given.
    fn init_with<const D: usize, S: Into<Shape>>(
        &self,
        shape: S,
        fan_in: Option<usize>,
        fan_out: Option<usize>,
        device: &Device,
    ) -> Param<Tensor<D>>;

    /// Redraws every matrix, embedding and kernel of a module.
    fn redraw<M: Module>(&self, module: M) -> M;
}

impl DrawParameters for Distribution {
    fn init_with<const D: usize, S: Into<Shape>>(
        &self,
        shape: S,
        fan_in: Option<usize>,
        fan_out: Option<usize>,
        device: &Device,
    ) -> Param<Tensor<D>> {
        let (distribution, shape) = (*self, shape.into());
        let drawn = shape.clone();
        let init = move |device: &Device, require_grad: bool| {
            let fans = fan_in
                .zip(fan_out)
                .or_else(|| (!needs_fans(distribution)).then_some((1, 1)));
            let (fan_in, fan_out) = fans.unwrap_or_else(|| panic!("{distribution:?} needs fan_in and fan_out"));
            let tensor = draw(distribution, distribution.effective_std(fan_in, fan_out), drawn, device);
            if require_grad { tensor.require_grad() } else { tensor }
        };
        Param::uninitialized(ParamId::new(), init, device.clone(), true, shape)
    }

    fn redraw<M: Module>(&self, module: M) -> M {
        redraw(module, |_| Some((*self, 1.0)))
    }
}

/// DeepNorm's initialisation (arXiv 2203.00555): a distribution for all matrices, times β for those inside the branches (value, output and
/// feed-forward matrices).
///
/// The other half of DeepNorm is the architecture: the residual stream is multiplied by [`residual_scale`](Self::residual_scale) before
/// each addition, and a norm follows.
///
/// ```
/// use burn::nn::transformer::TransformerEncoderConfig;
/// use burn::tensor::Device;
/// use kexue_burn::DeepNormInitializer;
///
/// let device = Device::flex();
/// let encoder = TransformerEncoderConfig::new(64, 256, 4, 8).init(&device);
/// let encoder = DeepNormInitializer::new(8).redraw(encoder);
/// let std = |weight: burn::tensor::Tensor<2>| weight.var(0).mean().sqrt().into_scalar::<f32>();
/// let attention = &encoder.layers[0].mha;
/// let ratio = std(attention.value.weight.val()) / std(attention.query.weight.val());
/// assert!((ratio / (8.0f32 * 8.0).powf(-0.25) - 1.0).abs() < 0.1, "β = (8N)^−¼");
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DeepNormInitializer {
    layers: usize,
    placement: NormPlacement,
    weights: Distribution,
}

impl DeepNormInitializer {
    /// Xavier and the published constants, for an encoder with this number of layers (each an attention and a feed-forward branch).
    pub fn new(layers: usize) -> Self {
        Self {
            layers,
            placement: NormPlacement::DeepNorm,
            weights: Distribution::Xavier,
        }
    }

    /// The constants of another DeepNorm: those re-derived for an optimiser in article 8978.
    ///
    /// # Panics
    /// If the placement is not one of the DeepNorms.
    pub fn with_placement(mut self, placement: NormPlacement) -> Self {
        assert!(placement.is_deep_norm(), "{placement:?} is not one of the DeepNorms");
        self.placement = placement;
        self
    }

    /// Uses a distribution other than Xavier's.
    pub fn with_weights(mut self, weights: Distribution) -> Self {
        self.weights = weights;
        self
    }

    /// α, the factor of the residual stream before a branch is added.
    pub fn residual_scale(&self) -> f64 {
        self.placement.residual_scale(self.layers)
    }

    /// β, the factor of the matrices inside the branches.
    pub fn branch_weight_scale(&self) -> f64 {
        self.placement.branch_weight_scale(self.layers)
    }

    /// The same module with its matrices drawn anew, those inside branches found by the names that Burn's Transformer gives them: `value`,
    /// `output`, `linear_inner`, `linear_outer`. Embeddings, biases and norms stay as they are.
    pub fn redraw<M: Module>(&self, module: M) -> M {
        self.redraw_where(module, |name| {
            name.split('.')
                .any(|part| matches!(part, "value" | "output" | "linear_inner" | "linear_outer"))
        })
    }

    /// The same, with the matrices inside branches found by their names (`layers.0.mha.value.weight`).
    pub fn redraw_where<M: Module>(&self, module: M, inside_branch: impl Fn(&str) -> bool) -> M {
        let beta = self.branch_weight_scale();
        redraw(module, |weight| {
            let scale = if inside_branch(weight.name) { beta } else { 1.0 };
            (weight.layer != "Embedding").then_some((self.weights, scale))
        })
    }
}

fn needs_fans(distribution: Distribution) -> bool {
    match distribution {
        Distribution::TruncatedNormal { .. } | Distribution::Normal { .. } => false,
        Distribution::Xavier | Distribution::LeCun | Distribution::Kaiming => true,
    }
}

/// A tensor of this distribution and effective deviation, drawn on the host from a seed that the device's generator gives.
fn draw<const D: usize>(distribution: Distribution, std: f64, shape: Shape, device: &Device) -> Tensor<D> {
    let words: Tensor<1, Int> = Tensor::random([4], Uniform::Uniform(0.0, 65536.0), device);
    let words: Vec<i64> = words.into_data_as::<i64>().try_into_vec().expect("just converted");
    let seed = words.iter().fold(0, |seed, word| seed << 16 | *word as u64);
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    let values: Vec<f32> = (0..shape.num_elements())
        .map(|_| (f64::from(distribution.draw(&mut generator)) * std) as f32)
        .collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// A matrix, embedding or kernel of a module.
struct Weight<'a> {
    name: &'a str,
    /// The type of the layer: `Linear`.
    layer: &'a str,
}

/// Draws every tensor of rank 2 or more anew whose distribution, and what to multiply it by, is given.
fn redraw<M: Module>(module: M, choose: impl Fn(Weight<'_>) -> Option<(Distribution, f64)>) -> M {
    module.map(&mut Redraw {
        choose,
        path: Vec::new(),
    })
}

struct Redraw<F> {
    choose: F,
    path: Vec<(String, String)>,
}

impl<F: Fn(Weight<'_>) -> Option<(Distribution, f64)>> ModuleMapper for Redraw<F> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.push((name.to_owned(), container.to_owned()));
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let shape = parameter.lazy_shape();
        if D < 2 {
            return parameter;
        }
        let name: Vec<&str> = self.path.iter().map(|(name, _)| name.as_str()).collect();
        let layer = self.path.last().map_or("", |(_, container)| container.as_str());
        let transposed = pytorch(layer, name.last().copied().unwrap_or("")).transposed;
        let weight = Weight {
            name: &name.join("."),
            layer: layer.trim_start_matches("Struct:"),
        };
        let Some((distribution, scale)) = (self.choose)(weight) else {
            return parameter;
        };
        // As PyTorch counts them: `[out, in, kernel…]`.
        let dims = shape.dims::<D>();
        let kernel: usize = dims[2..].iter().product();
        let (fan_in, fan_out) = if transposed {
            (dims[0], dims[1])
        } else {
            (dims[1] * kernel, dims[0] * kernel)
        };
        let std = distribution.effective_std(fan_in, fan_out) * scale;
        let (device, require_grad) = (parameter.lazy_device(), parameter.is_require_grad());
        let tensor = draw(distribution, std, shape, &device);
        parameter.map(|_| tensor.set_require_grad(require_grad))
    }
}
