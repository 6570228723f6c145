//! Compares derivatives of gradients with PyTorch's double backward (`benches/peers/grad/goldens.py`), in double precision.

mod common;

use burn::module::Module;
use burn::nn::attention::{MultiHeadAttention, MultiHeadAttentionConfig};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{GroupNorm, GroupNormConfig, LayerNorm, LayerNormConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};
use common::{assert_close, double, numbers, tensor, uniform};
use kexue_burn::Layout;
use kexue_grad::{
    Dual, ForwardDual, NormPenalty, forward_dual, grad_norm, hvp, input_gradient_penalty, parameter_gradient_penalty,
    parameter_gradient_penalty_per_sample,
};
use serde_json::Value;

/// Streams of the hash.
const INPUT: u64 = 1000;
const DIRECTION: u64 = 2000;

/// Largest difference, relative to the largest number.
const BOUND: f64 = 1e-7;

#[derive(Module, Debug)]
struct Perceptron {
    first: Linear,
    second: Linear,
    score: Linear,
}

forward_dual!(Perceptron, 2 => 2: .first, tanh(), .second, gelu(), .score);

#[derive(Module, Debug)]
struct Convolutions {
    first: Conv2d,
    groups: GroupNorm,
    second: Conv2d,
    score: Linear,
}

forward_dual!(Convolutions, 4 => 2: .first, leaky_relu(0.1), .groups, .second, silu(), flatten(1, 3), .score);

#[derive(Module, Debug)]
struct Attention {
    norm: LayerNorm,
    attention: MultiHeadAttention,
    score: Linear,
}

impl ForwardDual<3, 2> for Attention {
    fn forward_dual(&self, tangent: Option<&Self>, x: Dual<3>) -> Dual<2> {
        let normed = self.norm.forward_dual(tangent.map(|t| &t.norm), x.clone());
        let context = self.attention.forward_dual(tangent.map(|t| &t.attention), normed);
        let pooled = (x + context).mean_dim(1).squeeze_dim(1);
        self.score.forward_dual(tangent.map(|t| &t.score), pooled)
    }
}

fn check<N: ForwardDual<I, 2>, const I: usize>(name: &str, network: N, dims: [usize; I], device: &Device) {
    let golden: Value = serde_json::from_str(include_str!("pytorch.json")).unwrap();
    let golden = &golden[name];
    let figures = |what: &str| -> Vec<f64> {
        match &golden[what] {
            Value::Array(values) => values.iter().map(|value| value.as_f64().unwrap()).collect(),
            value => vec![value.as_f64().unwrap()],
        }
    };
    let layout = Layout::of(&network).unwrap();
    let theirs = golden["parameters"].as_array().unwrap();
    assert_eq!(layout.parameters().len(), theirs.len());
    let mut weights = Vec::new();
    for (stream, (slot, theirs)) in layout.parameters().iter().zip(theirs).enumerate() {
        let name = theirs[0].as_str().unwrap();
        assert!(slot.name.ends_with(name), "{} is not {name}", slot.name);
        weights.extend(uniform(stream as u64, slot.range.len()));
    }
    let network = layout.write_parameters(double(network), &weights);
    let x = tensor(uniform(INPUT, dims.iter().product()), dims, device);
    let by_parameters = |of: Tensor<1>| -> Vec<f64> {
        let gradients = GradientsParams::from_grads(of.backward(), &network);
        layout.gradients(&network, &gradients)
    };
    let compare = |what: &str, ours: Tensor<1>| {
        assert_close(&format!("{name} {what}"), &numbers(ours.clone()), &figures(what), BOUND);
        let what = format!("{what}_by_parameters");
        assert_close(
            &format!("{name} {what}"),
            &by_parameters(ours.sum()),
            &figures(&what),
            BOUND,
        );
    };

    let score = Dual::<2>::sum_per_sample;
    compare("norms", grad_norm(&network, x.clone(), score));
    let two_sided = NormPenalty::TwoSided { target: 1.0 };
    compare(
        "two_sided",
        input_gradient_penalty(&network, x.clone(), score, two_sided),
    );
    let target = golden["one_sided_target"].as_f64().unwrap();
    let one_sided = NormPenalty::OneSided { target };
    compare(
        "one_sided",
        input_gradient_penalty(&network, x.clone(), score, one_sided),
    );

    let loss_of = |x: Tensor<I>, network: &N, tangent: Option<&N>| {
        let scores = network.forward_dual(tangent, Dual::constant(x));
        (scores.clone() + scores.square()).mean()
    };
    let loss = |network: &N, tangent: Option<&N>| loss_of(x.clone(), network, tangent);
    let direction = uniform(DIRECTION, layout.parameter_count());
    let product = hvp(&network, &layout, &direction, loss);
    assert_close(&format!("{name} hvp"), &product, &figures("hvp"), BOUND);
    compare("parameter_penalty", parameter_gradient_penalty(&network, &layout, loss));
    let sample =
        |number: usize, network: &N, tangent: Option<&N>| loss_of(x.clone().narrow(0, number, 1), network, tangent);
    compare(
        "parameter_penalty_per_sample",
        parameter_gradient_penalty_per_sample(&network, &layout, dims[0], sample),
    );
}

#[test]
fn perceptron() {
    let device = Device::flex().autodiff();
    let network = Perceptron {
        first: LinearConfig::new(5, 8).init(&device),
        second: LinearConfig::new(8, 8).init(&device),
        score: LinearConfig::new(8, 1).init(&device),
    };
    check("Perceptron", network, [4, 5], &device);
}

#[test]
fn convolutions() {
    let device = Device::flex().autodiff();
    let network = Convolutions {
        first: Conv2dConfig::new([2, 4], [3, 3])
            .with_stride([2, 2])
            .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
            .init(&device),
        groups: GroupNormConfig::new(2, 4).init(&device),
        second: Conv2dConfig::new([4, 3], [3, 3]).init(&device),
        score: LinearConfig::new(12, 1).init(&device),
    };
    check("Convolutions", network, [3, 2, 8, 8], &device);
}

#[test]
fn attention() {
    let device = Device::flex().autodiff();
    let network = Attention {
        norm: LayerNormConfig::new(8).init(&device),
        attention: MultiHeadAttentionConfig::new(8, 2).with_dropout(0.0).init(&device),
        score: LinearConfig::new(8, 1).init(&device),
    };
    check("Attention", network, [2, 5, 8], &device);
}
