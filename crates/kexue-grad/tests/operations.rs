//! Compares the tangent of every operation, and the derivative of the tangent by reverse mode, with central differences in double precision.
//!
//! All arguments of an operation, including weights, are slices of one vector, so that a direction covers all of them at once.

mod common;

use burn::nn::attention::MultiHeadAttentionConfig;
use burn::nn::conv::{Conv1dConfig, Conv2dConfig, ConvTranspose1dConfig, ConvTranspose2dConfig};
use burn::nn::pool::{AdaptiveAvgPool2dConfig, AvgPool2dConfig, MaxPool2dConfig};
use burn::nn::{
    EmbeddingConfig, GroupNormConfig, LayerNormConfig, LinearConfig, PaddingConfig1d, PaddingConfig2d, RmsNormConfig,
};
use burn::tensor::ops::{
    AvgPoolOptions, ConvOptions, ConvTransposeOptions, InterpolateMode, InterpolateOptions, MaxPoolOptions,
};
use burn::tensor::{Bool, Device, Int, Tensor, TensorData, s};
use common::{assert_close, double, numbers, tensor, uniform};
use kexue_burn::{Layout, ScaledAttentionConfig};
use kexue_grad::{Dual, ForwardDual, SingularVectors, embed};

/// Largest difference from central differences, relative to the largest number.
const BOUND: f64 = 1e-6;
const STEP: f64 = 1e-5;

/// Takes arguments from a vector.
struct Arguments(Dual<1>, usize);

impl Arguments {
    fn next<const D: usize>(&mut self, dims: [usize; D]) -> Dual<D> {
        let length: usize = dims.iter().product();
        let start = self.1;
        self.1 += length;
        self.0.clone().slice([s![start..start + length]]).reshape(dims)
    }

    /// The rest, which must have this shape.
    fn all<const D: usize>(mut self, dims: [usize; D]) -> Dual<D> {
        self.next(dims)
    }
}

fn flat<const D: usize>(dual: Dual<D>) -> Dual<1> {
    let count = dual.dims().iter().product();
    dual.reshape([count])
}

/// Checks an operation of `count` numbers around `centre`.
fn check_around(name: &str, count: usize, centre: f64, operation: impl Fn(Arguments) -> Dual<1>) {
    let device = Device::flex().autodiff();
    let x: Vec<f64> = uniform(1, count).into_iter().map(|u| centre + u).collect();
    let (along, second) = (uniform(2, count), uniform(3, count));
    let moved =
        |direction: &[f64], step: f64| -> Vec<f64> { x.iter().zip(direction).map(|(x, d)| x + step * d).collect() };
    let vector = |values: &[f64]| tensor(values.to_vec(), [count], &device);
    let apply = |x: Tensor<1>, tangent: Option<Tensor<1>>| operation(Arguments(Dual::with(x, tangent), 0));

    let plain = apply(vector(&x), None);
    assert!(plain.tangent.is_none(), "{name}: a constant has a tangent");
    let dual = apply(vector(&x), Some(vector(&along)));
    assert_close(
        &format!("{name}, value"),
        &numbers(dual.value.clone()),
        &numbers(plain.value),
        1e-12,
    );
    let value_at = |step: f64| numbers(apply(vector(&moved(&along, step)), None).value);
    let difference: Vec<f64> = value_at(STEP)
        .iter()
        .zip(value_at(-STEP))
        .map(|(a, b)| (a - b) / (2.0 * STEP))
        .collect();
    assert_close(
        &format!("{name}, tangent"),
        &numbers(dual.tangent_or_zeros()),
        &difference,
        BOUND,
    );

    // One number from the tangents, weighted by numbers of the hash.
    let outputs = difference.len();
    let weights = uniform(4, outputs);
    let reading = |x: Tensor<1>| {
        let tangent = apply(x, Some(vector(&along))).tangent_or_zeros();
        (tangent * tensor(weights.clone(), [outputs], &device)).sum()
    };
    let leaf = vector(&x).require_grad();
    let total = reading(leaf.clone());
    let gradient = if total.is_tracked() {
        leaf.grad(&total.backward()).map_or(vec![0.0; count], numbers)
    } else {
        vec![0.0; count]
    };
    let product: f64 = gradient.iter().zip(&second).map(|(g, d)| g * d).sum();
    let reading_at = |step: f64| numbers(reading(vector(&moved(&second, step))))[0];
    let difference = (reading_at(STEP) - reading_at(-STEP)) / (2.0 * STEP);
    let size = gradient
        .iter()
        .zip(&second)
        .map(|(g, d)| (g * d).abs())
        .sum::<f64>()
        .max(1e-3);
    assert!(
        (product - difference).abs() <= BOUND * size,
        "{name}, derivative of the tangent: {product}, not {difference}"
    );
}

fn check(name: &str, count: usize, operation: impl Fn(Arguments) -> Dual<1>) {
    check_around(name, count, 0.0, operation);
}

/// Checks a function of each element.
fn check_elementwise(name: &str, centre: f64, function: impl Fn(Dual<2>) -> Dual<2>) {
    check_around(name, 12, centre, |arguments| flat(function(arguments.all([3, 4]))));
}

#[test]
fn arithmetic() {
    check("add", 10, |mut a| flat(a.next([2, 4]) + a.next([2, 1]) * 3.0));
    check("sub", 10, |mut a| flat(a.next([2, 1]) - a.next([2, 4])));
    check("mul", 12, |mut a| flat(a.next([2, 4]) * a.next([1, 4])));
    check_around("div", 12, 2.0, |mut a| flat(a.next([2, 4]) / a.next([1, 4])));
    check("scalars", 6, |a| flat(-(a.all([6]) * 2.0 + 1.0) / 3.0 - 0.5));
    check_elementwise("square", 0.0, Dual::square);
    check_elementwise("cube", 0.0, |x| x.powi(3));
    check_elementwise("powi 0", 0.0, |x| x.clone().powi(0) + x.powi(1));
    check_elementwise("powf", 2.0, |x| x.powf(1.7));
    check_elementwise("recip", 2.0, Dual::recip);
    check_elementwise("sqrt", 2.0, Dual::sqrt);
    check_elementwise("exp", 0.0, Dual::exp);
    check_elementwise("log", 2.0, Dual::log);
    check_elementwise("sin", 0.0, Dual::sin);
    check_elementwise("cos", 0.0, Dual::cos);
    check_elementwise("abs", 0.0, Dual::abs);
}

#[test]
fn activations() {
    for centre in [0.0, -3.0, 3.0] {
        check_elementwise("relu", centre, Dual::relu);
        check_elementwise("leaky relu", centre, |x| x.leaky_relu(0.1));
        check_elementwise("gelu", centre, Dual::gelu);
        check_elementwise("gelu by tanh", centre, Dual::gelu_tanh);
        check_elementwise("silu", centre, Dual::silu);
        check_elementwise("tanh", centre, Dual::tanh);
        check_elementwise("sigmoid", centre, Dual::sigmoid);
        check_elementwise("log sigmoid", centre, Dual::log_sigmoid);
        check_elementwise("softplus", centre, Dual::softplus);
        check_elementwise("elu", centre, |x| x.elu(1.3));
    }
    for axis in [0, 1] {
        check_elementwise("softmax", 0.0, |x| x.softmax(axis));
        check_elementwise("log softmax", 0.0, |x| x.log_softmax(axis));
    }
}

#[test]
fn shapes() {
    let indices = |dims: [usize; 1]| {
        Tensor::<1, Int>::from_data(TensorData::new(vec![1i64, 0, 1], dims), &Device::flex().autodiff())
    };
    let square = |x: Dual<3>| flat(x.square());
    check("reshape", 24, |a| square(a.all::<2>([6, 4]).reshape([2, 3, 4])));
    check("flatten", 24, |a| flat(a.all([2, 3, 4]).flatten::<2>(1, 2).square()));
    check("swap_dims", 24, |a| square(a.all([2, 3, 4]).swap_dims(0, 2)));
    check("transpose", 24, |a| square(a.all([2, 3, 4]).transpose()));
    check("permute", 24, |a| square(a.all([2, 3, 4]).permute([2, 0, 1])));
    check("unsqueeze", 12, |a| square(a.all([3, 4]).unsqueeze()));
    check("unsqueeze_dim", 12, |a| square(a.all([3, 4]).unsqueeze_dim(1)));
    check("squeeze_dim", 12, |a| {
        flat(a.all([3, 1, 4]).squeeze_dim::<2>(1).square())
    });
    check("expand", 12, |a| square(a.all([3, 1, 4]).expand([3, 2, 4])));
    check("slice", 12, |a| {
        flat(a.all([3, 4]).slice([s![1..3], s![0..2]]).square())
    });
    check("select", 12, |a| flat(a.all([3, 4]).select(0, indices([3])).square()));
    check("gather", 6, |a| {
        flat(a.all([3, 2]).gather(1, indices([3]).unsqueeze_dim(1)).square())
    });
    check("cat", 8, |mut a| {
        let constant = tensor(uniform(5, 4), [1, 4], &Device::flex().autodiff());
        let parts = vec![a.next([2, 4]), Dual::constant(constant)];
        flat(Dual::cat(parts, 0).square())
    });
    let mask = Tensor::<1, Bool>::from_data(
        TensorData::new(vec![true, false, false], [3]),
        &Device::flex().autodiff(),
    );
    check("mask_fill", 3, |a| {
        flat(a.all([3]).mask_fill(mask.clone(), -4.0).square())
    });
}

#[test]
fn reductions() {
    check("sum", 6, |a| a.all([2, 3]).square().sum());
    check("mean", 6, |a| a.all([2, 3]).square().mean());
    check("sum_dim", 6, |a| flat(a.all([2, 3]).square().sum_dim(1)));
    check("mean_dim", 6, |a| flat(a.all([2, 3]).square().mean_dim(0)));
    check("max_dim", 6, |a| flat(a.all([2, 3]).max_dim(1).square()));
    check("logsumexp", 6, |a| flat(a.all([2, 3]).logsumexp(1)));
    check("sum_per_sample", 12, |a| a.all([2, 3, 2]).square().sum_per_sample());
}

#[test]
fn products() {
    check("matmul", 26, |mut a| flat(a.next([2, 4]).matmul(a.next([4, 3]))));
    check("affine", 23, |mut a| {
        let (x, weight, bias) = (a.next([2, 4]), a.next([4, 3]), a.next([3]));
        flat(x.affine(weight, Some(bias)))
    });
    check("conv1d", 2 * 2 * 7 + 4 * 3 + 4, |mut a| {
        let (x, weight, bias) = (a.next([2, 2, 7]), a.next([4, 1, 3]), a.next([4]));
        flat(x.conv1d(weight, Some(bias), ConvOptions::new([2], [1], [1], 2)))
    });
    for (stride, dilation) in [(1, 1), (2, 1), (1, 2)] {
        check("conv2d", 2 * 3 * 36 + 2 * 3 * 9 + 2, |mut a| {
            let (x, weight, bias) = (a.next([2, 3, 6, 6]), a.next([2, 3, 3, 3]), a.next([2]));
            flat(x.conv2d(
                weight,
                Some(bias),
                ConvOptions::new([stride; 2], [1; 2], [dilation; 2], 1),
            ))
        });
        check("conv_transpose2d", 2 * 3 * 16 + 3 * 2 * 9 + 2, |mut a| {
            let (x, weight, bias) = (a.next([2, 3, 4, 4]), a.next([3, 2, 3, 3]), a.next([2]));
            let options = ConvTransposeOptions::new([stride; 2], [1; 2], [0; 2], [dilation; 2], 1);
            flat(x.conv_transpose2d(weight, Some(bias), options))
        });
    }
    let causal = Tensor::<2, Bool>::tril_mask([4, 4], 0, &Device::flex().autodiff()).unsqueeze::<4>();
    for hidden in [None, Some(causal)] {
        check("attention", 3 * 24, |mut a| {
            let dims = [1, 2, 4, 3];
            let (query, key, value) = (a.next(dims), a.next(dims), a.next(dims));
            flat(query.attention(key, value, hidden.clone()))
        });
    }
}

#[test]
fn pooling() {
    check("max_pool2d", 72, |a| {
        let options = MaxPoolOptions::new([3, 3]).with_stride([2, 2]).with_padding([1, 1]);
        flat(a.all([1, 2, 6, 6]).max_pool2d(options).square())
    });
    check("avg_pool2d", 72, |a| {
        let options = AvgPoolOptions::new([2, 2]).with_stride([2, 2]);
        flat(a.all([1, 2, 6, 6]).avg_pool2d(options).square())
    });
    check("adaptive_avg_pool2d", 72, |a| {
        flat(a.all([1, 2, 6, 6]).adaptive_avg_pool2d([3, 2]).square())
    });
    check("upsample", 18, |a| flat(a.all([1, 2, 3, 3]).upsample(2).square()));
    let options = InterpolateOptions::new(InterpolateMode::Nearest).with_output_size([6, 6]);
    check("interpolate", 18, |a| {
        flat(a.all([1, 2, 3, 3]).interpolate(options.clone()).square())
    });
    // Nearest-neighbour upsampling by a whole factor is the same operation.
    let device = Device::flex();
    let image = tensor(uniform(9, 18), [1, 2, 3, 3], &device);
    let ours = Dual::constant(image.clone()).upsample(2).value;
    let theirs = Dual::constant(image).interpolate(options).value;
    assert_eq!(numbers(ours), numbers(theirs));
}

#[test]
fn norms() {
    check("layer norm", 24, |mut a| {
        let (x, gamma, beta) = (a.next([4, 4]), a.next([4]), a.next([4]));
        flat(x.layer_norm(gamma, Some(beta), 1e-5))
    });
    check("rms norm", 20, |mut a| {
        let (x, gamma) = (a.next([4, 4]), a.next([4]));
        flat(x.rms_norm(gamma, 1e-5))
    });
    check("group norm", 56, |mut a| {
        let (x, gamma, beta) = (a.next([2, 4, 3, 2]), a.next([4]), a.next([4]));
        flat(x.group_norm(2, Some(gamma), Some(beta), 1e-5))
    });
}

/// Singular vectors are held constant, as documented, and the largest singular value is then 1.
#[test]
fn spectral_norm() {
    let device = Device::flex().autodiff();
    let weight = tensor(uniform(7, 20), [4, 5], &device);
    let vectors = SingularVectors::of(weight.clone(), 200);
    check("spectral norm", 20, |a| flat(a.all([4, 5]).spectral_norm(&vectors)));
    let normalised = Dual::constant(weight).spectral_norm(&vectors).value;
    let values = numbers(normalised);
    let singular = faer::Mat::from_fn(4, 5, |row, column| values[row * 5 + column])
        .singular_values()
        .unwrap();
    assert!((singular[0] - 1.0).abs() < 1e-9, "{singular:?}");
}

/// Checks a Burn layer: its value against Burn's, and the tangents of input and parameters and their derivatives against differences.
fn check_layer<N: ForwardDual<I, O>, const I: usize, const O: usize>(
    name: &str,
    layer: N,
    dims: [usize; I],
    burn: impl Fn(&N, Tensor<I>) -> Tensor<O>,
) {
    let layer = double(layer);
    let device = Device::flex().autodiff();
    let inputs: usize = dims.iter().product();
    let values = numbers(layer.forward(tensor(uniform(1, inputs), dims, &device)));
    let theirs = numbers(burn(&layer, tensor(uniform(1, inputs), dims, &device)));
    assert_close(&format!("{name}, value"), &values, &theirs, 1e-6);
    check(name, inputs, |a| flat(layer.forward_dual(None, a.all(dims))));

    let Ok(layout) = Layout::of(&layer) else {
        return; // without parameters
    };
    let count = layout.parameter_count();
    let start: Vec<f64> = layout.read_parameters(&layer);
    let x = Dual::constant(tensor(uniform(1, inputs), dims, &device));
    let along = uniform(2, count);
    let at = |direction: &[f64], step: f64| {
        let values: Vec<f64> = start.iter().zip(direction).map(|(v, d)| v + step * d).collect();
        layout.write_parameters(layer.clone(), &values)
    };
    let tangent_layer = layout.write_parameters(layer.clone(), &along);
    let tangent = |layer: &N| layer.forward_dual(Some(&tangent_layer), x.clone()).tangent_or_zeros();
    let value_at = |step: f64| numbers(at(&along, step).forward_dual(None, x.clone()).value);
    let difference: Vec<f64> = value_at(STEP)
        .iter()
        .zip(value_at(-STEP))
        .map(|(a, b)| (a - b) / (2.0 * STEP))
        .collect();
    assert_close(
        &format!("{name}, parameters' tangent"),
        &numbers(tangent(&layer)),
        &difference,
        BOUND,
    );
    let product = kexue_grad::hvp(&layer, &layout, &along, |layer: &N, tangent| {
        layer.forward_dual(tangent, x.clone()).square().sum()
    });
    let gradient_at = |step: f64| -> Vec<f64> {
        kexue_grad::parameter_gradient(&at(&along, step), &layout, |layer: &N, tangent| {
            layer.forward_dual(tangent, x.clone()).square().sum()
        })
    };
    let difference: Vec<f64> = gradient_at(STEP)
        .iter()
        .zip(gradient_at(-STEP))
        .map(|(a, b)| (a - b) / (2.0 * STEP))
        .collect();
    assert_close(&format!("{name}, Hessian"), &product, &difference, 10.0 * BOUND);
}

#[test]
fn layers() {
    let d = &Device::flex().autodiff();
    check_layer("Linear", LinearConfig::new(4, 3).init(d), [2, 4], |l, x| l.forward(x));
    let padding = PaddingConfig1d::Explicit(1, 1);
    let conv1d = Conv1dConfig::new(2, 3, 3).with_padding(padding).init(d);
    check_layer("Conv1d", conv1d, [2, 2, 6], |l, x| l.forward(x));
    let conv2d = Conv2dConfig::new([2, 3], [3, 3])
        .with_stride([2, 2])
        .with_padding(PaddingConfig2d::Same);
    check_layer("Conv2d", conv2d.init(d), [2, 2, 6, 6], |l, x| l.forward(x));
    let transposed = ConvTranspose1dConfig::new([2, 3], 4).with_stride(2).init(d);
    check_layer("ConvTranspose1d", transposed, [2, 2, 5], |l, x| l.forward(x));
    let transposed = ConvTranspose2dConfig::new([2, 3], [4, 4])
        .with_stride([2, 2])
        .with_padding([1, 1]);
    check_layer("ConvTranspose2d", transposed.init(d), [1, 2, 3, 3], |l, x| l.forward(x));
    check_layer("LayerNorm", LayerNormConfig::new(5).init(d), [3, 5], |l, x| {
        l.forward(x)
    });
    // Burn computes this layer in single precision for any input.
    check_layer("RmsNorm", RmsNormConfig::new(5).init(d), [3, 5], |l, x| l.forward(x));
    check_layer("GroupNorm", GroupNormConfig::new(2, 4).init(d), [2, 4, 3], |l, x| {
        l.forward(x)
    });
    let attention = MultiHeadAttentionConfig::new(6, 2).with_dropout(0.0).init(d);
    check_layer("MultiHeadAttention", attention, [2, 3, 6], |l, x| {
        l.forward(burn::nn::attention::MhaInput::self_attn(x)).context
    });
    let attention = ScaledAttentionConfig::new(6, 2).with_dropout(0.0).init(d);
    check_layer("ScaledAttention", attention, [2, 3, 6], |l, x| {
        l.forward(kexue_burn::AttentionInput::self_attn(x)).context
    });
    let pool = MaxPool2dConfig::new([3, 3])
        .with_strides([2, 2])
        .with_padding(PaddingConfig2d::Same);
    check_layer("MaxPool2d", pool.init(), [1, 2, 6, 6], |l, x| l.forward(x));
    let pool = AvgPool2dConfig::new([2, 2]).with_strides([2, 2]);
    check_layer("AvgPool2d", pool.init(), [1, 2, 6, 6], |l, x| l.forward(x));
    let pool = AdaptiveAvgPool2dConfig::new([2, 2]).init();
    check_layer("AdaptiveAvgPool2d", pool, [1, 2, 6, 6], |l, x| l.forward(x));
}

#[test]
fn embeddings_carry_the_tangents_of_their_table() {
    let device = Device::flex().autodiff();
    let table = EmbeddingConfig::new(4, 3).init(&device);
    let tangent = EmbeddingConfig::new(4, 3).init(&device);
    let tokens = Tensor::<2, Int>::from_data(TensorData::new(vec![2i64, 0, 2], [1, 3]), &device);
    let embedded = embed(&table, Some(&tangent), tokens.clone());
    assert_eq!(
        numbers(embedded.tangent.unwrap()),
        numbers(tangent.forward(tokens.clone()))
    );
    assert!(embed(&table, None, tokens).tangent.is_none());
}

/// As documented, the derivative at a kink is that of the negative side.
#[test]
fn at_their_kinks_functions_have_the_derivative_of_the_negative_side() {
    let device = Device::flex().autodiff();
    let at_zero = |function: fn(Dual<1>) -> Dual<1>| {
        let x = Dual::new(tensor(vec![0.0], [1], &device), tensor(vec![1.0], [1], &device));
        numbers(function(x).tangent_or_zeros())[0]
    };
    assert_eq!(at_zero(Dual::relu), 0.0);
    assert_eq!(at_zero(|x| x.leaky_relu(0.1)), 0.1);
    assert_eq!(at_zero(|x| x.elu(0.7)), 0.7);
    assert_eq!(at_zero(Dual::abs), 0.0);
}
