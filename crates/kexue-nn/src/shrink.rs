//! Files of weights with fewer bits.
//!
//! With eight bits, each row of a matrix is rounded to 255 steps of its own size, which a tensor beside it holds ([`STEPS`]). All that reads weights
//! here reads such files.

use crate::tensors::{Float, STEPS};
use crate::weights::write_views;
use crate::weights_error::WeightsError;
use kexue_output::git_lfs_problem;
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, View};
use std::borrow::Cow;
use std::path::Path;

/// How many bits a number gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FewerBits {
    /// Sixteen: all numbers, three significant digits.
    Sixteen,
    /// Eight: the numbers of matrices. Biases and norms stay as they are.
    Eight,
}

/// The largest step of a row.
const MOST: f32 = 127.0;

/// A tensor to be written. It is converted when its turn comes, so that memory holds one converted tensor at a time.
enum Small<'a> {
    AsItIs(TensorView<'a>),
    Sixteen(TensorView<'a>, Float),
    /// The steps of a matrix.
    Eight(TensorView<'a>, Float),
    /// The sizes of the steps of its rows.
    Steps(TensorView<'a>, Float),
}

impl View for Small<'_> {
    fn dtype(&self) -> Dtype {
        match self {
            Self::AsItIs(tensor) => tensor.dtype(),
            Self::Sixteen(..) => Dtype::F16,
            Self::Eight(..) => Dtype::I8,
            Self::Steps(..) => Dtype::F32,
        }
    }

    fn shape(&self) -> &[usize] {
        match self {
            Self::AsItIs(tensor) | Self::Sixteen(tensor, _) | Self::Eight(tensor, _) => tensor.shape(),
            Self::Steps(tensor, _) => &tensor.shape()[..1],
        }
    }

    fn data(&self) -> Cow<'_, [u8]> {
        match self {
            Self::AsItIs(tensor) => tensor.data().into(),
            Self::Sixteen(tensor, float) => {
                let numbers = numbers(tensor, *float);
                numbers
                    .iter()
                    .flat_map(|&x| half::f16::from_f32(x).to_le_bytes())
                    .collect()
            }
            Self::Eight(tensor, float) => {
                let mut numbers = numbers(tensor, *float);
                for row in rows(tensor, &mut numbers) {
                    let step = step(row);
                    let inverse = if step > 0.0 { 1.0 / step } else { 0.0 };
                    row.iter_mut()
                        .for_each(|x| *x = (*x * inverse).round().clamp(-MOST, MOST));
                }
                numbers.iter().map(|&x| x as i8 as u8).collect()
            }
            Self::Steps(tensor, float) => {
                let mut numbers = numbers(tensor, *float);
                rows(tensor, &mut numbers)
                    .flat_map(|row| step(row).to_le_bytes())
                    .collect()
            }
        }
    }

    fn data_len(&self) -> usize {
        match self {
            Self::AsItIs(tensor) => tensor.data().len(),
            _ => self.shape().iter().product::<usize>() * self.dtype().bitsize() / 8,
        }
    }
}

fn numbers(tensor: &TensorView<'_>, float: Float) -> Vec<f32> {
    let mut numbers = vec![0.0; tensor.data().len() / float.size()];
    float.widen(tensor.data(), &mut numbers);
    numbers
}

fn rows<'n>(tensor: &TensorView<'_>, numbers: &'n mut [f32]) -> impl Iterator<Item = &'n mut [f32]> {
    numbers.chunks_mut(tensor.shape().get(1).copied().unwrap_or(1).max(1))
}

/// The size of a row's steps.
fn step(row: &[f32]) -> f32 {
    row.iter().fold(0.0, |most: f32, x| most.max(x.abs())) / MOST
}

/// Writes the weights of a safetensors file with fewer bits, atomically. What is no floating-point number stays as it is.
///
/// # Errors
/// If the file cannot be read or written, holds numbers of eight bits already, or numbers that fewer bits cannot stand for: infinite ones, or beyond
/// 65,504 with sixteen bits.
pub fn shrink(from: &Path, to: &Path, bits: FewerBits) -> Result<(), WeightsError> {
    let unreadable = |error: &dyn std::fmt::Display| WeightsError::Format(error.to_string());
    let bytes = std::fs::read(from).map_err(|error| unreadable(&error))?;
    if let Some(problem) = git_lfs_problem(&bytes) {
        return Err(WeightsError::Format(problem.to_owned()));
    }
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|error| unreadable(&error))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|error| unreadable(&error))?;
    let most = match bits {
        FewerBits::Sixteen => half::f16::MAX.to_f32(),
        FewerBits::Eight => f32::MAX,
    };
    let mut small = Vec::new();
    for (name, tensor) in file.tensors() {
        if tensor.dtype() == Dtype::I8 {
            return Err(WeightsError::Format(format!(
                "tensor `{name}` is of eight bits already"
            )));
        }
        let Some(float) = Float::of(tensor.dtype()) else {
            small.push((name, Small::AsItIs(tensor)));
            continue;
        };
        // Not so for NaN either.
        let fits = |x: &f32| x.abs() <= most;
        if let Some(number) = numbers(&tensor, float).into_iter().find(|x| !fits(x)) {
            return Err(WeightsError::Format(format!(
                "tensor `{name}` holds {number}, which fewer bits cannot stand for"
            )));
        }
        match bits {
            FewerBits::Sixteen => small.push((name, Small::Sixteen(tensor, float))),
            FewerBits::Eight if tensor.shape().len() == 2 => {
                small.push((format!("{name}{STEPS}"), Small::Steps(tensor.clone(), float)));
                small.push((name, Small::Eight(tensor, float)));
            }
            FewerBits::Eight => small.push((name, Small::AsItIs(tensor))),
        }
    }
    write_views(to, small, header.metadata().clone())
}
