//! Directional derivatives, and quantities computed from them: norms of gradients, Hessian-vector products, penalties.
//!
//! Burn differentiates once, by reverse mode. Here, a first reverse pass computes the gradient as a constant. A forward pass then computes the
//! product of the gradient and a constant direction as a tangent. The tangent is an ordinary tensor, so calling `backward` on it gives the exact
//! derivative of the gradient.

use crate::reduction::sum_per_sample;
use crate::{Dual, ForwardDual};
use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Element, Tensor};
use kexue_burn::Layout;

/// A gradient shorter than this counts as 0 and has no direction.
pub(crate) const SHORTEST: f64 = 1e-30;

/// Initialises parameters that are initialised lazily.
struct Draw;

impl ModuleVisitor for Draw {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        parameter.val();
    }
}

/// The output of a network and its derivative along a direction of the input: a Jacobian-vector product.
///
/// ```
/// use burn::nn::{Linear, LinearConfig};
/// use burn::tensor::{Device, Tensor};
/// use kexue_grad::jvp;
///
/// let device = Device::flex();
/// let layer = LinearConfig::new(3, 2).init(&device);
/// let x = Tensor::<2>::ones([1, 3], &device);
/// let output = jvp::<Linear, 2, 2>(&layer, x.clone(), x * 2.0);
/// assert_eq!(output.tangent.unwrap().dims(), [1, 2]);
/// ```
pub fn jvp<N: ForwardDual<I, O>, const I: usize, const O: usize>(
    network: &N,
    input: Tensor<I>,
    direction: Tensor<I>,
) -> Dual<O> {
    network.forward_dual(None, Dual::new(input, direction))
}

/// The gradient of each sample's score with respect to its input: `[batch, …]`, as a constant.
///
/// `score` turns the network's output into one number per sample. Samples must not depend on each other (no batch norm).
///
/// # Panics
/// If the input is not on a device with autodiff.
pub fn input_gradient<N: ForwardDual<I, O>, const I: usize, const O: usize>(
    network: &N,
    input: Tensor<I>,
    score: impl Fn(Dual<O>) -> Dual<1>,
) -> Tensor<I> {
    scores_and_input_gradient(network, input, score).1
}

/// The scores of the samples, `[batch]`, and the gradient of each with respect to its input. Both are constants, computed in one forward and one
/// backward pass.
///
/// # Panics
/// If the input is not on a device with autodiff.
pub fn scores_and_input_gradient<N: ForwardDual<I, O>, const I: usize, const O: usize>(
    network: &N,
    input: Tensor<I>,
    score: impl Fn(Dual<O>) -> Dual<1>,
) -> (Tensor<1>, Tensor<I>) {
    // Gradients of the parameters would only cost time here. A clone shares parameters that are not initialised yet, and whether they require gradients.
    network.visit(&mut Draw);
    let frozen = network.clone().no_grad();
    let scores = |input| Some(score(frozen.forward_dual(None, Dual::constant(input))).value);
    gradient_of_scores(input, scores).expect("the scores are computed")
}

/// The scores and their gradient with respect to the input, as constants. `None` if there are no scores.
///
/// # Panics
/// If the input is not on a device with autodiff.
pub(crate) fn gradient_of_scores<const I: usize>(
    input: Tensor<I>,
    scores: impl FnOnce(Tensor<I>) -> Option<Tensor<1>>,
) -> Option<(Tensor<1>, Tensor<I>)> {
    assert!(
        input.is_autodiff(),
        "the input is on a device without autodiff; create it on `device.autodiff()`"
    );
    let input = input.detach().require_grad();
    let scores = scores(input.clone())?;
    let total = scores.clone().sum();
    let gradient = total.is_tracked().then(|| input.grad(&total.backward())).flatten();
    let gradient = gradient.map_or_else(|| input.zeros_like().detach(), Tensor::from_inner);
    Some((scores.detach(), gradient))
}

/// The length of each sample's vector, `[batch]`.
pub fn norm_per_sample<const D: usize>(vectors: Tensor<D>) -> Tensor<1> {
    sum_per_sample(vectors.square()).sqrt()
}

/// `‖∇ₓf‖` of each sample, `[batch]`: differentiable with respect to the parameters and, if it requires gradients, the input.
///
/// ```
/// use burn::nn::{Linear, LinearConfig};
/// use burn::tensor::{Device, Distribution, Tensor};
/// use kexue_grad::{Dual, grad_norm};
///
/// // For a linear critic, the norm of the gradient is that of its weight, and its derivative is the direction of the weight.
/// let device = Device::flex().autodiff();
/// let critic = LinearConfig::new(3, 1).init(&device);
/// let x = Tensor::<2>::random([1, 3], Distribution::Default, &device);
/// let norm = grad_norm(&critic, x, Dual::<2>::sum_per_sample);
/// let weight = critic.weight.val();
/// let length = weight.clone().square().sum().sqrt().into_scalar::<f32>();
/// assert!((norm.clone().into_scalar::<f32>() - length).abs() < 1e-6);
/// let direction = weight.grad(&norm.backward()).unwrap();
/// assert!((direction * length - weight.inner()).abs().max().into_scalar::<f32>() < 1e-6);
/// ```
pub fn grad_norm<N: ForwardDual<I, O>, const I: usize, const O: usize>(
    network: &N,
    input: Tensor<I>,
    score: impl Fn(Dual<O>) -> Dual<1>,
) -> Tensor<1> {
    scores_and_grad_norms(network, input, score).1
}

/// The scores of the samples and the norms of their gradients, both `[batch]` and differentiable, in one forward pass.
pub fn scores_and_grad_norms<N: ForwardDual<I, O>, const I: usize, const O: usize>(
    network: &N,
    input: Tensor<I>,
    score: impl Fn(Dual<O>) -> Dual<1>,
) -> (Tensor<1>, Tensor<1>) {
    let gradient = input_gradient(network, input.clone(), &score);
    let batch = gradient.dims()[0];
    let mut per_sample = [1; I];
    per_sample[0] = batch;
    let length = norm_per_sample(gradient.clone()).reshape(per_sample);
    let direction = gradient / length.clamp_min(SHORTEST);
    let scores = score(network.forward_dual(None, Dual::new(input, direction)));
    let norms = scores.tangent_or_zeros();
    (scores.value, norms)
}

/// A penalty of the norm of a gradient.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NormPenalty {
    /// `‖g‖²`.
    Square,
    /// `(‖g‖ − target)²`, as in WGAN-GP with target 1 (arXiv 1704.00028).
    TwoSided {
        /// The norm that is not penalised.
        target: f64,
    },
    /// `max(0, ‖g‖ − target)²`.
    OneSided {
        /// The largest norm that is not penalised.
        target: f64,
    },
}

impl NormPenalty {
    /// The penalties of norms.
    pub fn of(self, norms: Tensor<1>) -> Tensor<1> {
        match self {
            Self::Square => norms.square(),
            Self::TwoSided { target } => (norms - target).square(),
            Self::OneSided { target } => burn::tensor::activation::relu(norms - target).square(),
        }
    }
}

/// The mean over the batch of a penalty of `‖∇ₓf‖`, `[1]`. Multiply it by a weight and add it to the loss.
///
/// ```
/// use burn::nn::{Linear, LinearConfig};
/// use burn::tensor::{Device, Distribution, Tensor};
/// use kexue_grad::{Dual, NormPenalty, input_gradient_penalty};
///
/// let device = Device::flex().autodiff();
/// let critic = LinearConfig::new(3, 1).init(&device);
/// let x = Tensor::<2>::random([8, 3], Distribution::Default, &device);
/// let penalty = input_gradient_penalty(&critic, x.clone(), Dual::<2>::sum_per_sample, NormPenalty::TwoSided { target: 1.0 });
/// let loss = critic.forward(x).mean() + penalty * 10.0;
/// let gradients = loss.backward();
/// assert!(critic.weight.val().grad(&gradients).is_some());
/// ```
pub fn input_gradient_penalty<N: ForwardDual<I, O>, const I: usize, const O: usize>(
    network: &N,
    input: Tensor<I>,
    score: impl Fn(Dual<O>) -> Dual<1>,
    penalty: NormPenalty,
) -> Tensor<1> {
    penalty.of(grad_norm(network, input, score)).mean()
}

/// A loss and its derivative along a direction of the parameters, as value and tangent.
///
/// `loss` computes the loss from a network and the tangents of its parameters. The direction is in the order of the layout.
pub fn parameter_jvp<N: Module, E: Element>(
    network: &N,
    layout: &Layout,
    direction: &[E],
    loss: impl Fn(&N, Option<&N>) -> Dual<1>,
) -> Dual<1> {
    let tangent = layout.write_parameters(network.clone(), direction);
    // The direction is a constant. Buffers are not parameters, so their tangents are not used.
    loss(network, Some(&tangent.no_grad()))
}

/// The gradient of a loss with respect to the parameters, in the order of the layout.
pub fn parameter_gradient<N: Module, E: Element>(
    network: &N,
    layout: &Layout,
    loss: impl Fn(&N, Option<&N>) -> Dual<1>,
) -> Vec<E> {
    gradient_of(network, layout, loss(network, None).value)
}

/// The gradient of a network's result, in the order of its layout; 0 if the result does not depend on the parameters.
fn gradient_of<N: Module, E: Element>(network: &N, layout: &Layout, of: Tensor<1>) -> Vec<E> {
    if !of.is_tracked() {
        return vec![E::default(); layout.parameter_count()];
    }
    layout.gradients(network, &GradientsParams::from_grads(of.backward(), network))
}

/// The Hessian of a loss with respect to the parameters times a direction, `H·u`, in the order of the layout (Pearlmutter 1994).
///
/// ```
/// use burn::nn::{Linear, LinearConfig};
/// use burn::tensor::{Device, Tensor};
/// use kexue_burn::Layout;
/// use kexue_grad::{Dual, ForwardDual, hvp};
///
/// // L = ½·(w·x)² with x = (1, 2): H = xxᵀ.
/// let device = Device::flex().autodiff();
/// let line = LinearConfig::new(2, 1).with_bias(false).init(&device);
/// let layout = Layout::of(&line)?;
/// let x = Tensor::<2>::from_floats([[1.0, 2.0]], &device);
/// let loss = |line: &Linear, tangent: Option<&Linear>| {
///     line.forward_dual(tangent, Dual::constant(x.clone())).square().sum() * 0.5
/// };
/// assert_eq!(hvp(&line, &layout, &[1.0f32, 0.0], loss), [1.0, 2.0]);
/// # Ok::<(), kexue_burn::LayoutError>(())
/// ```
pub fn hvp<N: Module, E: Element>(
    network: &N,
    layout: &Layout,
    direction: &[E],
    loss: impl Fn(&N, Option<&N>) -> Dual<1>,
) -> Vec<E> {
    match parameter_jvp(network, layout, direction, loss).tangent {
        Some(tangent) => gradient_of(network, layout, tangent),
        None => vec![E::default(); layout.parameter_count()],
    }
}

/// `‖∇_θL‖²` of a loss, `[1]`, differentiable with respect to the parameters. Multiply it by a weight and add it to the loss.
///
/// For a batch, it is the penalty of the mean loss; for the mean of the samples' penalties, use [`parameter_gradient_penalty_per_sample`].
pub fn parameter_gradient_penalty<N: Module>(
    network: &N,
    layout: &Layout,
    loss: impl Fn(&N, Option<&N>) -> Dual<1>,
) -> Tensor<1> {
    // In double precision, whatever the network's precision is: the direction is only passed through.
    let gradient: Vec<f64> = parameter_gradient(network, layout, &loss);
    let length = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
    let direction: Vec<f64> = gradient.iter().map(|g| g / length.max(SHORTEST)).collect();
    let along = parameter_jvp(network, layout, &direction, loss);
    along.tangent_or_zeros().square()
}

/// The mean over the samples of `‖∇_θL‖²` of each sample's loss. It takes one pass per sample.
///
/// `loss` computes the loss of one sample, by index.
///
/// # Panics
/// If there are no samples.
pub fn parameter_gradient_penalty_per_sample<N: Module>(
    network: &N,
    layout: &Layout,
    samples: usize,
    loss: impl Fn(usize, &N, Option<&N>) -> Dual<1>,
) -> Tensor<1> {
    let penalties = (0..samples)
        .map(|sample| parameter_gradient_penalty(network, layout, |network, tangent| loss(sample, network, tangent)));
    Tensor::cat(penalties.collect(), 0).mean()
}
