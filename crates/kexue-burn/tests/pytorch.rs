//! Names, layouts and gradients of Burn modules against PyTorch's (`benches/peers/burn/goldens.py`).

use burn::module::Module;
use burn::nn::activation::{PRelu, PReluConfig};
use burn::nn::conv::{Conv1d, Conv1dConfig, ConvTranspose1d, ConvTranspose1dConfig};
use burn::nn::{
    BatchNorm, BatchNormConfig, Embedding, EmbeddingConfig, GroupNorm, GroupNormConfig, LayerNorm, LayerNormConfig,
    Linear, LinearConfig, PaddingConfig1d, RmsNorm, RmsNormConfig,
};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Int, Tensor, TensorData};
use kexue_burn::Layout;
use serde_json::Value;

/// The stream of the hash for the weights of the loss.
const LOSS: u64 = 1000;

#[derive(Module, Debug)]
struct Everything {
    embedding: Embedding,
    norm: LayerNorm,
    layers: Vec<Linear>,
    rms: RmsNorm,
    conv: Conv1d,
    groups: GroupNorm,
    conv_transpose: ConvTranspose1d,
    batch_norm: BatchNorm,
    prelu: PRelu,
}

impl Everything {
    fn new(device: &Device) -> Self {
        Self {
            embedding: EmbeddingConfig::new(11, 6).init(device),
            norm: LayerNormConfig::new(6).init(device),
            layers: vec![
                LinearConfig::new(6, 10).init(device),
                LinearConfig::new(10, 6).with_bias(false).init(device),
            ],
            rms: RmsNormConfig::new(6).init(device),
            conv: Conv1dConfig::new(6, 4, 3)
                .with_padding(PaddingConfig1d::Explicit(1, 1))
                .init(device),
            groups: GroupNormConfig::new(2, 4).init(device),
            conv_transpose: ConvTranspose1dConfig::new([4, 6], 2).with_stride(2).init(device),
            batch_norm: BatchNormConfig::new(6).init(device),
            prelu: PReluConfig::new().init(device),
        }
    }

    fn forward(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
        let x = self.norm.forward(self.embedding.forward(tokens));
        let hidden = self.layers[0].forward(x.clone()).tanh();
        let x = x + self.layers[1].forward(hidden);
        let x = self.rms.forward(x).swap_dims(1, 2);
        let x = self.groups.forward(self.conv.forward(x));
        self.prelu
            .forward(self.batch_norm.forward(self.conv_transpose.forward(x)))
    }
}

/// `count` numbers within −1 and 1: the finisher of SplitMix64 over a counter.
fn uniform(stream: u64, count: usize) -> impl Iterator<Item = f32> {
    (0..count as u64).map(move |i| {
        let mut z = ((stream << 32) + i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        ((z >> 44) as f64 / f64::from(1 << 19) - 1.0) as f32
    })
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

#[track_caller]
fn assert_close(what: &str, ours: &[f32], theirs: &[f64]) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    let largest = theirs.iter().fold(0.0, |most: f64, v| most.max(v.abs()));
    for (ours, theirs) in ours.iter().zip(theirs) {
        let difference = (f64::from(*ours) - theirs).abs();
        // Where a gradient is 0 for everyone, as before a norm, rounding is all that is left.
        assert!(difference < 2e-5 * largest.max(1.0), "{what}: {ours}, not {theirs}");
    }
}

#[test]
fn names_shapes_gradients_and_buffers_are_pytorchs() {
    let golden: Value = serde_json::from_str(include_str!("pytorch.json")).unwrap();
    let device = Device::flex().autodiff();
    let model = Everything::new(&device);
    let layout = Layout::of(&model).unwrap();
    let theirs = golden["parameters"].as_array().unwrap();
    let mut values = Vec::new();
    for (stream, (slot, theirs)) in layout.parameters().iter().zip(theirs).enumerate() {
        assert_eq!(slot.name, theirs["name"].as_str().unwrap());
        let shape: Vec<usize> = numbers(&theirs["shape"]).into_iter().map(|n| n as usize).collect();
        assert_eq!(slot.shape, shape, "{}", slot.name);
        values.extend(uniform(stream as u64, slot.range.len()));
    }
    assert_eq!(layout.parameters().len(), theirs.len());

    let model = layout.write_parameters(model, &values);
    let tokens: Vec<i64> = golden["tokens"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(numbers)
        .map(|token| token as i64)
        .collect();
    let output = model.forward(Tensor::from_data(TensorData::new(tokens, [2, 5]), &device));
    let dims = output.dims();
    let weights = TensorData::new(uniform(LOSS, dims.iter().product()).collect(), dims);
    let loss = (output * Tensor::from_data(weights, &device)).sum();
    let difference = f64::from(loss.clone().into_scalar::<f32>()) - golden["loss"].as_f64().unwrap();
    assert!(difference.abs() < 1e-4, "loss differs by {difference}");

    let gradients = GradientsParams::from_grads(loss.backward(), &model);
    let gradients: Vec<f32> = layout.gradients(&model, &gradients);
    for (slot, theirs) in layout.parameters().iter().zip(theirs) {
        assert_close(
            &slot.name,
            &gradients[slot.range.clone()],
            &numbers(&theirs["gradient"]),
        );
    }
    // What one batch leaves in the running statistics is read without delay.
    let buffers: Vec<f32> = layout.read_buffers(&model);
    for slot in layout.buffers().iter() {
        let mut theirs = numbers(&golden["buffers"][&slot.name]);
        if slot.name.ends_with("running_var") {
            // PyTorch divides by one less than the 20 numbers of a channel, Burn by their number; both add a tenth to nine tenths of 1.
            theirs.iter_mut().for_each(|v| *v = 0.9 + (*v - 0.9) * 19.0 / 20.0);
        }
        assert_close(&slot.name, &buffers[slot.range.clone()], &theirs);
    }
    assert_eq!(layout.buffers().len(), 2);
}
