//! [`PiecewiseLinear`] against the general functions in double precision.

mod common;

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{Linear, LinearConfig, PaddingConfig2d};
use burn::optim::GradientsParams;
use burn::tensor::{DType, Device, Tensor};
use common::{assert_close, double, numbers, tensor, uniform};
use kexue_burn::Layout;
use kexue_grad::{Activation, Dual, ForwardDual, PiecewiseLinear, scores_and_grad_norms, scores_and_input_gradient};

/// Convolutions, then dense layers.
#[derive(Module, Debug)]
struct Network {
    convolutions: Vec<Conv2d>,
    dense: Vec<Linear>,
    #[module(skip)]
    image: [usize; 3],
    #[module(skip)]
    activation: Activation,
}

impl ForwardDual<2, 2> for Network {
    fn forward_dual(&self, _: Option<&Self>, input: Dual<2>) -> Dual<2> {
        let [channels, height, width] = self.image;
        let batch = input.dims()[0];
        let mut x = input.reshape([batch, channels, height, width]);
        for layer in &self.convolutions {
            x = layer.forward_dual(None, x).activate(self.activation);
        }
        let mut x = x.flatten(1, 3);
        for (at, layer) in self.dense.iter().enumerate() {
            x = layer.forward_dual(None, x);
            if at + 1 < self.dense.len() {
                x = x.activate(self.activation);
            }
        }
        x
    }
}

impl Network {
    fn chain(&self) -> Option<PiecewiseLinear> {
        let chain = PiecewiseLinear::new(self.image, self.activation)?;
        let chain = self.convolutions.iter().try_fold(chain, PiecewiseLinear::convolution)?;
        self.dense.iter().try_fold(chain, PiecewiseLinear::dense)
    }
}

/// Channels of the output, kernel, stride, padding.
type Convolution = (usize, [usize; 2], [usize; 2], [usize; 2]);

/// A network with weights that depend on its shape only.
fn network(image: [usize; 3], convolutions: &[Convolution], hidden: &[usize], activation: Activation) -> Network {
    let device = Device::flex().autodiff();
    let [mut channels, mut height, mut width] = image;
    let convolutions: Vec<Conv2d> = convolutions
        .iter()
        .map(|&(outputs, kernel, stride, padding)| {
            let layer = Conv2dConfig::new([channels, outputs], kernel)
                .with_stride(stride)
                .with_padding(PaddingConfig2d::Explicit(
                    padding[0], padding[1], padding[0], padding[1],
                ))
                .init(&device);
            channels = outputs;
            height = (height + 2 * padding[0] - kernel[0]) / stride[0] + 1;
            width = (width + 2 * padding[1] - kernel[1]) / stride[1] + 1;
            layer
        })
        .collect();
    let widths = [&[channels * height * width], hidden, &[1]].concat();
    let dense = widths
        .windows(2)
        .map(|pair| LinearConfig::new(pair[0], pair[1]).init(&device));
    let network = Network {
        convolutions,
        dense: dense.collect(),
        image,
        activation,
    };
    let layout = Layout::of(&network).unwrap();
    let values: Vec<f32> = uniform(3, layout.parameter_count())
        .iter()
        .map(|v| *v as f32 * 0.4)
        .collect();
    layout.write_parameters(network, &values)
}

fn cases() -> Vec<Network> {
    use Activation::{Identity, LeakyRelu, Relu};
    let halving: Convolution = (6, [4, 4], [2, 2], [1, 1]);
    vec![
        network([3, 8, 8], &[halving, (8, [4, 4], [2, 2], [1, 1])], &[], LeakyRelu),
        network([3, 8, 8], &[halving], &[7], Relu),
        network(
            [1, 7, 5],
            &[(4, [3, 3], [1, 1], [1, 1]), (5, [3, 2], [2, 1], [0, 0])],
            &[],
            LeakyRelu,
        ),
        network([2, 9, 6], &[(3, [5, 3], [3, 2], [2, 1])], &[], LeakyRelu),
        // A kernel that is wider than the image without its padding, and one that covers the image.
        network(
            [2, 3, 2],
            &[(4, [4, 4], [1, 1], [2, 2]), (5, [4, 3], [1, 1], [0, 0])],
            &[],
            Relu,
        ),
        // A stride beyond the kernel.
        network([2, 8, 8], &[(4, [2, 2], [3, 3], [0, 0])], &[3], LeakyRelu),
        network([5, 1, 1], &[], &[16, 8], LeakyRelu),
        network([5, 1, 1], &[], &[], Relu),
        network([2, 6, 6], &[(3, [3, 3], [1, 1], [1, 1])], &[4], Identity),
    ]
}

fn samples(network: &Network, count: usize) -> Vec<f64> {
    // What single precision can represent.
    let size: usize = network.image.iter().product();
    uniform(5, count * size).iter().map(|v| f64::from(*v as f32)).collect()
}

fn batch(network: &Network, values: &[f64], dtype: DType) -> Tensor<2> {
    let size: usize = network.image.iter().product();
    let dims = [values.len() / size, size];
    tensor(values.to_vec(), dims, &Device::flex().autodiff()).cast(dtype)
}

/// A loss that depends on scores and norms in different ways, sample by sample.
fn loss(scores: Tensor<1>, norms: Tensor<1>) -> Tensor<1> {
    (scores.clone() / (norms.clone() + scores.abs() + 0.1) + (norms.clone() - 1.0).square() * 0.3).sum()
}

/// The gradients with respect to the points and the parameters.
fn gradients(network: &Network, points: &Tensor<2>, loss: &Tensor<1>) -> (Vec<f64>, Vec<f64>) {
    let gradients = loss.backward();
    let of_points = points.grad(&gradients).map_or_else(Vec::new, numbers);
    let layout = Layout::of(network).unwrap();
    let of_parameters = layout.gradients(network, &GradientsParams::from_grads(gradients, network));
    (of_points, of_parameters)
}

#[test]
fn scores_norms_and_their_gradients_are_those_of_the_general_functions() {
    // Below, at and above the sizes of the parts into which a batch is divided.
    for count in [1, 5, 8, 37] {
        for (number, network) in cases().into_iter().enumerate() {
            let what = |of: &str| format!("{of} of network {number}, {count} samples");
            let values = samples(&network, count);
            let exact = double(network.clone());
            let points = batch(&exact, &values, DType::F64).require_grad();
            let (scores, norms) = scores_and_grad_norms(&exact, points.clone(), Dual::<2>::sum_per_sample);
            let exact_loss = loss(scores.clone(), norms.clone());

            let own_points = batch(&network, &values, DType::F32).require_grad();
            let chain = network.chain().unwrap();
            let (own_scores, own_norms) = chain.scores_and_grad_norms(own_points.clone()).unwrap();
            let own_loss = loss(own_scores.clone(), own_norms.clone());
            assert_close(&what("scores"), &numbers(own_scores), &numbers(scores.clone()), 1e-5);
            assert_close(&what("norms"), &numbers(own_norms), &numbers(norms), 1e-5);
            let own = gradients(&network, &own_points, &own_loss);
            let theirs = gradients(&exact, &points, &exact_loss);
            assert_close(&what("input's gradient"), &own.0, &theirs.0, 2e-5);
            assert_close(&what("gradient"), &own.1, &theirs.1, 2e-5);

            // Scores alone, through another pass.
            let alone = |scores: Tensor<1>| (scores.clone() * 1.3 + scores.square()).sum();
            let own_points = batch(&network, &values, DType::F32).require_grad();
            let own_loss = alone(chain.scores(own_points.clone()).unwrap());
            let points = batch(&exact, &values, DType::F64).require_grad();
            let exact_loss = alone(exact.forward(points.clone()).reshape([count]));
            let own = gradients(&network, &own_points, &own_loss);
            let theirs = gradients(&exact, &points, &exact_loss);
            assert_close(&what("input's gradient of scores"), &own.0, &theirs.0, 2e-5);
            assert_close(&what("gradient of scores"), &own.1, &theirs.1, 2e-5);

            let input = batch(&network, &values, DType::F32);
            let (own_scores, own) = chain.scores_and_input_gradient(input).unwrap();
            let input = batch(&exact, &values, DType::F64);
            let (_, theirs) = scores_and_input_gradient(&exact, input, Dual::<2>::sum_per_sample);
            assert_close(&what("constant scores"), &numbers(own_scores), &numbers(scores), 1e-5);
            assert_close(&what("constant gradient"), &numbers(own), &numbers(theirs), 1e-5);
        }
    }
}

#[test]
fn gradients_do_not_depend_on_the_number_of_threads() {
    let network = &cases()[0];
    let compute = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let points = batch(network, &samples(network, 37), DType::F32);
            let (scores, norms) = network.chain().unwrap().scores_and_grad_norms(points.clone()).unwrap();
            gradients(network, &points, &loss(scores, norms)).1
        })
    };
    assert_eq!(compute(1), compute(3));
}

#[test]
fn networks_of_another_form_are_refused() {
    use Activation::{LeakyRelu, Tanh};
    assert!(PiecewiseLinear::new([1, 2, 2], Tanh).is_none());
    let device = Device::flex();
    let image = || PiecewiseLinear::new([2, 4, 4], LeakyRelu).unwrap();
    let usual = Conv2dConfig::new([2, 4], [3, 3]);
    assert!(image().convolution(&usual.init(&device)).is_some());
    let others = [
        usual.clone().with_groups(2),
        usual.clone().with_dilation([2, 2]),
        usual.clone().with_bias(false),
        usual.clone().with_padding(PaddingConfig2d::Explicit(1, 0, 0, 0)),
        Conv2dConfig::new([3, 4], [3, 3]),
        Conv2dConfig::new([2, 4], [5, 5]),
    ];
    for other in others {
        assert!(image().convolution(&other.init(&device)).is_none(), "{other:?}");
    }
    assert!(image().dense(&LinearConfig::new(32, 1).init(&device)).is_some());
    assert!(image().dense(&LinearConfig::new(31, 1).init(&device)).is_none());
    assert!(
        image()
            .dense(&LinearConfig::new(32, 1).with_bias(false).init(&device))
            .is_none()
    );
    assert!(image().dense(&double(LinearConfig::new(32, 1).init(&device))).is_none());

    let two = image().dense(&LinearConfig::new(32, 2).init(&device)).unwrap();
    assert!(two.scores(Tensor::ones([3, 32], &device)).is_none());
    let one = image().dense(&LinearConfig::new(32, 1).init(&device)).unwrap();
    assert!(one.scores(Tensor::ones([3, 32], &device)).is_some());
    assert!(one.scores(Tensor::ones([3, 31], &device)).is_none());
    assert!(one.scores(Tensor::ones([3, 32], (&device, DType::F64))).is_none());
    assert!(image().scores(Tensor::ones([3, 32], &device)).is_none());
}
