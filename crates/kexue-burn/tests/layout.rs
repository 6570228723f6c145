//! Flat vectors of modules: round trips, shared and frozen parameters, modules without a layout.

use burn::module::{Module, Param};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};
use kexue_burn::{Layout, LayoutError};

#[derive(Module, Debug)]
struct Twins {
    first: Linear,
    norm: BatchNorm,
    second: Linear,
}

fn twins(device: &Device) -> Twins {
    let first = LinearConfig::new(3, 3).init(device);
    // The same tensor, hence the same parameter.
    let _ = first.weight.val();
    Twins {
        second: Linear {
            weight: first.weight.clone(),
            bias: None,
        },
        norm: BatchNormConfig::new(3).init(device),
        first,
    }
}

fn loss(model: &Twins, device: &Device) -> Tensor<1> {
    let x = Tensor::<2>::from_floats([[1.0, -2.0, 0.5], [0.3, 0.1, -1.0]], device);
    model.second.forward(model.first.forward(x).tanh()).square().sum()
}

#[test]
fn writing_what_was_read_changes_nothing() {
    let device = Device::flex().autodiff();
    let model = twins(&device);
    let layout = Layout::of(&model).unwrap();
    let before = loss(&model, &device).into_scalar::<f32>();
    let values: Vec<f32> = layout.read_parameters(&model);
    let model = layout.write_parameters(model, &values);
    assert_eq!(layout.read_parameters::<_, f32>(&model), values);
    assert_eq!(loss(&model, &device).into_scalar::<f32>().to_bits(), before.to_bits());

    // Any vector comes back, and both kinds are apart.
    let values: Vec<f32> = (0..layout.parameter_count()).map(|i| i as f32 * 0.01).collect();
    let buffers: Vec<f32> = (0..layout.buffer_count()).map(|i| 5.0 + i as f32).collect();
    let model = layout.write_buffers(layout.write_parameters(model, &values), &buffers);
    assert_eq!(layout.read_parameters::<_, f32>(&model), values);
    assert_eq!(layout.read_buffers::<_, f32>(&model), buffers);
    assert_eq!(
        model.norm.running_mean.value().into_data().try_to_vec::<f32>().unwrap(),
        buffers[..3]
    );
    // PyTorch's [out, in] against Burn's [in, out].
    let weight: Vec<f32> = model.first.weight.val().into_data().try_to_vec().unwrap();
    assert_eq!(weight[1], values[3]);
}

#[test]
fn a_shared_parameter_has_one_slot_and_the_gradient_of_all_its_places() {
    let device = Device::flex().autodiff();
    let model = twins(&device);
    let layout = Layout::of(&model).unwrap();
    let names: Vec<&str> = layout.parameters().iter().map(|slot| slot.name.as_str()).collect();
    assert_eq!(names, ["first.weight", "first.bias", "norm.weight", "norm.bias"]);
    let values: Vec<f32> = layout.read_parameters(&model);
    let gradient = |model: &Twins| -> Vec<f32> {
        let gradients = GradientsParams::from_grads(loss(model, &device).backward(), model);
        layout.gradients(model, &gradients)
    };
    let before = gradient(&model);
    // Writing keeps the two places one parameter.
    let model = layout.write_parameters(model, &values);
    assert_eq!(gradient(&model), before);
    for (i, analytic) in before.iter().enumerate().take(9) {
        let at = |delta: f32| {
            let mut values = values.clone();
            values[i] += delta;
            let moved = layout.write_parameters(model.clone(), &values);
            f64::from(loss(&moved, &device).into_scalar::<f32>())
        };
        let numeric = (at(1e-2) - at(-1e-2)) / 2e-2;
        assert!(
            (numeric - f64::from(*analytic)).abs() < 2e-3 * numeric.abs().max(1.0),
            "{numeric} {analytic}"
        );
    }
    // Without a path to the loss: 0.
    assert_eq!(before[12..], [0.0; 6]);
}

#[test]
fn frozen_parameters_are_buffers() {
    let device = Device::flex().autodiff();
    let mut model = twins(&device);
    model.norm = model.norm.no_grad();
    let layout = Layout::of(&model).unwrap();
    let names: Vec<&str> = layout.buffers().iter().map(|slot| slot.name.as_str()).collect();
    assert_eq!(
        names,
        ["norm.weight", "norm.bias", "norm.running_mean", "norm.running_var"]
    );
    let values: Vec<f32> = layout.read_parameters(&model);
    let model = layout.write_parameters(model, &values);
    assert!(!model.norm.gamma.is_require_grad() && model.first.weight.is_require_grad());
}

#[test]
fn double_precision_is_kept() {
    let device = Device::flex().autodiff();
    let data = burn::tensor::TensorData::new(vec![1.0f64 + 1e-12, 2.0], [2]);
    let mut linear = LinearConfig::new(1, 2).init(&device);
    linear.bias = Some(Param::from_tensor(Tensor::from_data(
        data,
        (&device, burn::tensor::DType::F64),
    )));
    let layout = Layout::of(&linear).unwrap();
    let values: Vec<f64> = layout.read_parameters(&linear);
    assert_eq!(values[2], 1.0 + 1e-12);
    let linear = layout.write_parameters(linear, &values);
    assert_eq!(layout.read_parameters::<_, f64>(&linear), values);
}

#[derive(Module, Debug)]
struct Ambiguous {
    weight: Param<Tensor<1>>,
    r#gamma: Param<Tensor<1>>,
}

#[test]
fn modules_without_a_layout_are_refused() {
    let device = Device::flex();
    let error = Layout::of(&LinearConfig::new(2, 2).init(&device)).unwrap_err();
    assert_eq!(error, LayoutError::NothingToTrain { tensors: 2 });
    assert!(error.to_string().contains("Device::autodiff"));
    // Not a norm: Burn's own names stay apart.
    let device = device.autodiff();
    let model = Ambiguous {
        weight: Param::from_tensor(Tensor::ones([1], &device)),
        gamma: Param::from_tensor(Tensor::ones([1], &device)),
    };
    assert!(Layout::of(&model).is_ok());
}

#[test]
#[should_panic(expected = "shape")]
fn a_module_of_another_layout_is_refused() {
    let device = Device::flex().autodiff();
    let layout = Layout::of(&LinearConfig::new(2, 3).init(&device)).unwrap();
    let _: Vec<f32> = layout.read_parameters(&LinearConfig::new(3, 3).init(&device));
}
