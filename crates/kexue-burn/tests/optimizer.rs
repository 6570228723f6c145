//! A chain as a Burn optimiser: equal to the chain on the flat vector, and resumed bit for bit.

use burn::nn::{Linear, LinearConfig};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Distribution, Tensor};
use kexue_burn::{ChainOptimizer, FlatModule};
use kexue_optim::{Adam, AdamConfig, Chain, ClipGlobalNorm, Parameters};

fn chain() -> Chain {
    Chain::new()
        .then(ClipGlobalNorm { max_norm: 0.5 })
        .then(Adam::new(AdamConfig::default(), 15))
}

fn loss(model: &Linear, x: &Tensor<2>) -> Tensor<1> {
    model.forward(x.clone()).tanh().square().sum()
}

fn step(optimizer: &mut ChainOptimizer, model: Linear, x: &Tensor<2>) -> Linear {
    let gradients = GradientsParams::from_grads(loss(&model, x).backward(), &model);
    optimizer.step(0.1, model, gradients)
}

#[test]
fn the_optimiser_is_the_chain_and_resumes() {
    let device = Device::flex().autodiff();
    device.seed(3);
    let x = Tensor::<2>::random([8, 4], Distribution::Normal(0.0, 1.0), &device);
    let mut model = LinearConfig::new(4, 3).init(&device);
    let mut flat = FlatModule::new(model.clone()).unwrap();
    let mut optimizer = ChainOptimizer::new(chain(), &model).unwrap();
    let mut plain = chain().then(kexue_optim::LearningRate(kexue_optim::Schedule::constant(0.1)));
    for number in 0..10 {
        model = step(&mut optimizer, model, &x);
        let mut gradient = flat.gradient(loss(flat.module(), &x).backward());
        plain.step(flat.values_mut(), &mut gradient, number);
        flat.changed();
    }
    assert_eq!(optimizer.steps(), 10);
    let values = FlatModule::new(model.clone()).unwrap().values().to_vec();
    assert_eq!(values, flat.values());

    let state = optimizer.save().unwrap();
    let mut resumed = ChainOptimizer::new(chain(), &model).unwrap();
    resumed.load(&state).unwrap();
    let (mut one, mut other) = (model.clone(), model.clone());
    for _ in 0..5 {
        one = step(&mut optimizer, one, &x);
        other = step(&mut resumed, other, &x);
    }
    assert_eq!(resumed.steps(), 15);
    let bits = |model: Linear| -> Vec<u32> {
        let values = FlatModule::new(model).unwrap().values().to_vec();
        values.into_iter().map(f32::to_bits).collect()
    };
    assert_eq!(bits(one), bits(other));

    // Of another chain, or cut off: refused, and nothing changes.
    let mut other = ChainOptimizer::new(Chain::new().then(ClipGlobalNorm { max_norm: 1.0 }), &model).unwrap();
    let state = other.save().unwrap();
    assert!(resumed.load(&state).is_err());
    assert!(resumed.load(&state[..10]).is_err());
    assert_eq!(resumed.steps(), 15);
}

#[test]
fn flat_modules_save_and_load_with_their_buffers() {
    use burn::nn::BatchNormConfig;
    let device = Device::flex().autodiff();
    let norm = BatchNormConfig::new(3).init(&device);
    norm.forward(Tensor::<2>::random([16, 3], Distribution::Normal(20.0, 3.0), &device));
    let saved = FlatModule::new(norm).unwrap().save(Default::default()).unwrap();
    let mut loaded = FlatModule::new(BatchNormConfig::new(3).init(&device)).unwrap();
    loaded.load(&saved).unwrap();
    assert_eq!(loaded.save(Default::default()).unwrap(), saved);
    let mean: Vec<f32> = loaded.module().running_mean.value().into_data().try_to_vec().unwrap();
    assert!(mean.iter().all(|mean| *mean > 0.0), "{mean:?}");
    let mut other = FlatModule::new(BatchNormConfig::new(4).init(&device)).unwrap();
    let error = other.load(&saved).unwrap_err().to_string();
    assert!(error.contains("`weight`") && error.contains("[4]"), "{error}");
}
