//! ChildTuning for Burn: a network of Burn's own layers is trained with masked gradients by one more line in its chain.

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};
use kexue_burn::{ChainOptimizer, Layout};
use kexue_optim::{Adam, AdamConfig, BitMask, Chain, ChildTuning};

#[derive(Module, Debug)]
struct Perceptron {
    up: Linear,
    down: Linear,
}

impl Perceptron {
    const PARAMETERS: usize = 2 * 16 + 16 + 16 + 1;

    /// A network whose weights are the same every time.
    fn new(device: &Device) -> Self {
        let model = Self {
            up: LinearConfig::new(2, 16).init(device),
            down: LinearConfig::new(16, 1).init(device),
        };
        let layout = Layout::of(&model).unwrap();
        let values: Vec<f32> = (0..Self::PARAMETERS).map(|at| (at as f32 * 1.7).sin() * 0.5).collect();
        layout.write_parameters(model, &values)
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.down.forward(self.up.forward(x).tanh())
    }
}

/// Points and their products.
fn data(device: &Device) -> (Tensor<2>, Tensor<2>) {
    let points: Vec<[f32; 2]> = (0..64)
        .map(|at| [(at as f32 * 0.9).sin(), (at as f32 * 2.3).cos()])
        .collect();
    let products: Vec<[f32; 1]> = points.iter().map(|[a, b]| [a * b]).collect();
    let flat = |rows: Vec<f32>, width: usize| Tensor::<1>::from_floats(&rows[..], device).reshape([64, width]);
    (flat(points.concat(), 2), flat(products.concat(), 1))
}

/// The parameters before and after, and the losses.
fn train(chain: Chain, steps: usize) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let device = Device::flex().autodiff();
    let (x, y) = data(&device);
    let mut model = Perceptron::new(&device);
    let layout = Layout::of(&model).unwrap();
    let before: Vec<f32> = layout.read_parameters(&model);
    let mut optimizer = ChainOptimizer::new(chain, &model).unwrap();
    let mut losses = Vec::new();
    for _ in 0..steps {
        let loss = (model.forward(x.clone()) - y.clone()).square().mean();
        losses.push(loss.clone().into_scalar::<f32>());
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        model = optimizer.step(0.01, model, gradients);
    }
    (before, layout.read_parameters(&model), losses)
}

fn adam() -> Adam {
    Adam::new(AdamConfig::default(), Perceptron::PARAMETERS)
}

#[test]
fn a_burn_network_learns_with_masked_gradients_by_one_more_line() {
    let (_, plain, losses) = train(Chain::new().then(adam()), 400);
    assert!(losses[399] < losses[0] / 20.0, "{} {}", losses[0], losses[399]);
    let chain = Chain::new()
        .then(ChildTuning::task_free(0.3, 7)) // the line
        .then(adam());
    let (_, masked, losses) = train(chain, 400);
    assert!(losses[399] < losses[0] / 20.0, "{} {}", losses[0], losses[399]);
    assert_ne!(masked, plain);
    let (_, all, _) = train(Chain::new().then(ChildTuning::task_free(1.0, 7)).then(adam()), 400);
    assert_eq!(all, plain, "p = 1 is no mask");
}

#[test]
fn a_fixed_mask_leaves_the_other_parameters_of_the_network_where_they_are() {
    let mask = BitMask::from_fn(Perceptron::PARAMETERS, |at| at % 4 == 0);
    let (before, after, _) = train(
        Chain::new().then(ChildTuning::task_driven(mask.clone())).then(adam()),
        5,
    );
    for (at, (before, after)) in before.iter().zip(&after).enumerate() {
        assert_eq!(before != after, mask.keeps(at), "{at}");
    }
}
