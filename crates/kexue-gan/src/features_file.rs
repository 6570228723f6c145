//! Features of images that another program computed, such as those of Inception.

use crate::data::DataError;
use crate::quality::Features;
use crate::table::read_numbers;
use kexue_images::read_bytes;
use safetensors::{Dtype, SafeTensors};
use std::path::Path;

/// Reads features `[samples, size]`: the only tensor of a safetensors file, with 32 or 64 bits; or a CSV file without a header, one sample per line. The
/// file may be .gz or .zst.
///
/// # Errors
/// If the file cannot be read, has no such tensor, or has numbers that are not finite, or too few samples.
pub fn read_features(path: &Path) -> Result<Features, DataError> {
    let problem = |problem: String| DataError::Points(format!("{}: {problem}", path.display()));
    let names = [path, &path.with_extension("")];
    let is = |extension: &str| {
        names
            .iter()
            .any(|path| path.extension().is_some_and(|found| found == extension))
    };
    let (values, size) = if is("csv") {
        read_numbers(path, "the features of a sample")?
    } else if is("safetensors") {
        read_tensor(&read_bytes(path)?).map_err(problem)?
    } else {
        return Err(problem(
            "has neither the extension .safetensors nor .csv; save the features with `safetensors.torch.save_file({\"features\": features}, \
             \"features.safetensors\")`"
                .to_owned(),
        ));
    };
    Features::new(values, size).map_err(|error| problem(error.to_string()))
}

/// The numbers of the only tensor, and the size of a row.
fn read_tensor(bytes: &[u8]) -> Result<(Vec<f64>, usize), String> {
    let file = SafeTensors::deserialize(bytes).map_err(|error| format!("is no safetensors file: {error}"))?;
    let tensors = file.tensors();
    let [(name, tensor)] = &tensors[..] else {
        return Err(format!(
            "has {} tensors; expected one, of shape [samples, features]",
            tensors.len()
        ));
    };
    let &[_, size @ 1..=usize::MAX] = tensor.shape() else {
        return Err(format!(
            "tensor `{name}` has the shape {:?}; expected [samples, features]",
            tensor.shape()
        ));
    };
    let values = match tensor.dtype() {
        Dtype::F32 => {
            let numbers = tensor.data().as_chunks().0.iter();
            numbers.map(|&number| f64::from(f32::from_le_bytes(number))).collect()
        }
        Dtype::F64 => {
            let numbers = tensor.data().as_chunks().0.iter();
            numbers.map(|&number| f64::from_le_bytes(number)).collect()
        }
        other => {
            return Err(format!(
                "tensor `{name}` is {other:?}; expected numbers of 32 or 64 bits: convert it with `.float()`"
            ));
        }
    };
    Ok((values, size))
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::tensor::TensorView;

    fn open(name: &str, bytes: &[u8]) -> Result<Features, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        read_features(&path).map_err(|error| error.to_string())
    }

    fn tensors(dtype: Dtype, shape: &[usize], bytes: &[u8], names: &[&str]) -> Vec<u8> {
        let view = || TensorView::new(dtype, shape.to_vec(), bytes).unwrap();
        safetensors::serialize(names.iter().map(|&name| (name, view())), None).unwrap()
    }

    #[test]
    fn all_formats_say_the_same() {
        let values: Vec<f64> = (0..12).map(|number| f64::from(number) / 4.0).collect();
        let single: Vec<u8> = values.iter().flat_map(|&value| (value as f32).to_le_bytes()).collect();
        let double: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let lines = values.chunks(2).map(|pair| format!("{},{}\n", pair[0], pair[1]));
        let expected = Features::new(values.clone(), 2).unwrap();
        for (name, bytes) in [
            ("a.safetensors", tensors(Dtype::F32, &[6, 2], &single, &["features"])),
            ("a.safetensors", tensors(Dtype::F64, &[6, 2], &double, &["x"])),
            ("a.csv", lines.collect::<String>().into_bytes()),
        ] {
            assert_eq!(open(name, &bytes), Ok(expected.clone()), "{name}");
        }
    }

    #[test]
    fn bad_files_are_named() {
        let zeros = [0; 96];
        let not_finite: Vec<u8> = std::iter::repeat_n(f32::NAN.to_le_bytes(), 12).flatten().collect();
        for (name, bytes, problem) in [
            (
                "a.npy",
                zeros.to_vec(),
                "a.npy: has neither the extension .safetensors nor .csv",
            ),
            (
                "a.safetensors",
                zeros[..20].to_vec(),
                "a.safetensors: is no safetensors file",
            ),
            (
                "a.safetensors",
                tensors(Dtype::F32, &[6, 4], &zeros, &["x", "y"]),
                "has 2 tensors; expected one",
            ),
            (
                "a.safetensors",
                tensors(Dtype::F32, &[24], &zeros, &["x"]),
                "`x` has the shape [24]; expected [samples, features]",
            ),
            (
                "a.safetensors",
                tensors(Dtype::F32, &[24, 0], &[], &["x"]),
                "has the shape [24, 0]",
            ),
            (
                "a.safetensors",
                tensors(Dtype::F16, &[6, 8], &zeros, &["x"]),
                "convert it with `.float()`",
            ),
            (
                "a.safetensors",
                tensors(Dtype::F32, &[3, 8], &zeros, &["x"]),
                "3 samples are too few",
            ),
            (
                "a.safetensors",
                tensors(Dtype::F32, &[6, 2], &not_finite, &["x"]),
                "not a finite number",
            ),
            (
                "a.csv",
                b"1,2\n3,x\n".to_vec(),
                "a.csv:2: column 2: `x` is not a number; expected the features of a sample",
            ),
            ("a.csv", Vec::new(), "0 samples are too few"),
        ] {
            let error = open(name, &bytes).unwrap_err();
            assert!(error.contains(problem), "{error} for {problem}");
        }
    }
}
