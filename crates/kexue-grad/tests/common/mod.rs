//! Helpers of the tests: numbers from a hash, and modules in double precision.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{DType, Device, Tensor, TensorData};

/// `count` numbers within −1 and 1: SplitMix64's finisher applied to a counter.
pub fn uniform(stream: u64, count: usize) -> Vec<f64> {
    (0..count as u64)
        .map(|i| {
            let mut z = ((stream << 32) + i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            z ^= z >> 31;
            (z >> 44) as f64 / f64::from(1 << 19) - 1.0
        })
        .collect()
}

/// A tensor in double precision.
pub fn tensor<const D: usize>(values: Vec<f64>, dims: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, dims), (device, DType::F64))
}

/// The numbers of a tensor.
pub fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data_as::<f64>().try_to_vec().unwrap()
}

struct Double;

impl ModuleMapper for Double {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let trained = parameter.is_require_grad();
        parameter.map(|tensor| tensor.cast(DType::F64).detach().set_require_grad(trained))
    }
}

/// The module in double precision.
pub fn double<M: Module>(module: M) -> M {
    module.map(&mut Double)
}

/// Fails unless the numbers agree, relative to the largest.
#[track_caller]
pub fn assert_close(what: &str, ours: &[f64], theirs: &[f64], relative: f64) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    let largest = theirs.iter().fold(1e-9, |most: f64, v| most.max(v.abs()));
    for (i, (a, b)) in ours.iter().zip(theirs).enumerate() {
        assert!((a - b).abs() <= relative * largest, "{what}, number {i}: {a}, not {b}");
    }
}
