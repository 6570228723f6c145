//! Reading tensors by name from safetensors and PyTorch files, converted to single precision.

use crate::weights_error::WeightsError;
use half::f16;
use half::slice::HalfFloatSliceExt;
use safetensors::tensor::{Dtype, Metadata};
use std::collections::HashMap;
use std::io::{Read, Seek, SeekFrom};

/// Named tensors that are read one at a time.
pub(crate) trait Tensors {
    /// The names of all tensors.
    fn names(&self) -> Vec<String>;

    /// The shape of a tensor, and its type as the format names it.
    fn describe(&self, name: &str) -> Option<(&[usize], String)>;

    /// Reads the numbers of a tensor into `out`, which must have its size.
    fn read(&mut self, name: &str, out: &mut [f32]) -> Result<(), WeightsError>;
}

/// The number types in which weights can be stored.
#[derive(Clone, Copy)]
pub(crate) enum Float {
    F16,
    Bf16,
    F32,
    F64,
}

/// What the name of a tensor of eight bits is followed by in that of its steps: `[rows]`, 32 bits, the size of one step of each row.
pub(crate) const STEPS: &str = ".steps";

impl Float {
    pub fn of(dtype: Dtype) -> Option<Self> {
        match dtype {
            Dtype::F16 => Some(Self::F16),
            Dtype::BF16 => Some(Self::Bf16),
            Dtype::F32 => Some(Self::F32),
            Dtype::F64 => Some(Self::F64),
            _ => None,
        }
    }

    pub fn size(self) -> usize {
        match self {
            Self::F16 | Self::Bf16 => 2,
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// Fills `out` from little-endian numbers.
    pub fn widen(self, bytes: &[u8], out: &mut [f32]) {
        fn each<const N: usize>(bytes: &[u8], out: &mut [f32], number: impl Fn([u8; N]) -> f32) {
            let (numbers, _) = bytes.as_chunks::<N>();
            out.iter_mut()
                .zip(numbers)
                .for_each(|(out, &bytes)| *out = number(bytes));
        }
        match self {
            // All at once, for which processors have instructions.
            Self::F16 => {
                let numbers = bytes.as_chunks().0.iter();
                let halves: Vec<f16> = numbers.map(|&bytes| f16::from_le_bytes(bytes)).collect();
                halves.convert_to_f32_slice(out);
            }
            Self::Bf16 => each(bytes, out, |bytes| half::bf16::from_le_bytes(bytes).to_f32()),
            Self::F32 => each(bytes, out, f32::from_le_bytes),
            Self::F64 => each(bytes, out, |bytes| f64::from_le_bytes(bytes) as f32),
        }
    }
}

fn not_floats(name: &str, found: impl std::fmt::Debug) -> WeightsError {
    WeightsError::Format(format!("tensor `{name}` is {found:?}, not floating-point numbers"))
}

/// The header of a safetensors file, and the file.
pub(crate) struct SafetensorsFile<R> {
    metadata: Metadata,
    /// Offset of the numbers.
    start: u64,
    file: R,
}

impl<R: Read + Seek> SafetensorsFile<R> {
    /// Reads the header, and checks that the file has the size that it declares.
    pub fn open(mut file: R) -> Result<Self, WeightsError> {
        let length = file.seek(SeekFrom::End(0)).map_err(unreadable)?;
        file.rewind().map_err(unreadable)?;
        let mut size = [0; 8];
        file.read_exact(&mut size).map_err(unreadable)?;
        let size = u64::from_le_bytes(size);
        let start = size.saturating_add(8);
        if start > length {
            return Err(WeightsError::Format(format!(
                "it declares a header of {size} bytes, but has {length} bytes"
            )));
        }
        let mut header = vec![0; size as usize];
        file.read_exact(&mut header).map_err(unreadable)?;
        let metadata: Metadata =
            serde_json::from_slice(&header).map_err(|error| WeightsError::Format(format!("header: {error}")))?;
        let expected = start.saturating_add(metadata.data_len() as u64);
        if expected != length {
            return Err(WeightsError::Format(format!(
                "it should have {expected} bytes but has {length}: it is cut off or damaged"
            )));
        }
        Ok(Self { metadata, start, file })
    }
}

fn unreadable(error: std::io::Error) -> WeightsError {
    WeightsError::Format(error.to_string())
}

impl<R: Read + Seek> SafetensorsFile<R> {
    /// Calls `widen` with the bytes of a tensor and what they fill, piece by piece, so that memory does not hold the numbers twice.
    fn read_pieces(
        &mut self,
        at: usize,
        size: usize,
        out: &mut [f32],
        mut widen: impl FnMut(&[u8], &mut [f32]),
    ) -> Result<(), WeightsError> {
        let at = SeekFrom::Start(self.start + at as u64);
        self.file.seek(at).map_err(unreadable)?;
        let mut buffer = vec![0; size * out.len().min(1 << 16)];
        for out in out.chunks_mut(1 << 16) {
            let bytes = &mut buffer[..size * out.len()];
            self.file.read_exact(bytes).map_err(unreadable)?;
            widen(bytes, out);
        }
        Ok(())
    }

    /// Multiplies the rows of a tensor of eight bits by the sizes of their steps.
    fn scale_rows(&mut self, name: &str, out: &mut [f32]) -> Result<(), WeightsError> {
        let rows = self
            .metadata
            .info(name)
            .and_then(|tensor| tensor.shape.first().copied());
        let rows = rows.unwrap_or_default();
        let steps = format!("{name}{STEPS}");
        match self.metadata.info(&steps) {
            Some(tensor) if tensor.shape == [rows] && tensor.dtype == Dtype::F32 => {}
            _ => {
                return Err(WeightsError::Format(format!(
                    "tensor `{name}` is of eight bits, but there is no `{steps}` of {rows} numbers of 32 bits"
                )));
            }
        }
        if rows == 0 {
            return Ok(());
        }
        let mut sizes = vec![0.0; rows];
        self.read(&steps, &mut sizes)?;
        let columns = out.len() / rows;
        for (row, step) in out.chunks_mut(columns.max(1)).zip(sizes) {
            row.iter_mut().for_each(|number| *number *= step);
        }
        Ok(())
    }
}

impl<R: Read + Seek> Tensors for SafetensorsFile<R> {
    fn names(&self) -> Vec<String> {
        let is_eight_bits = |name: &str| self.metadata.info(name).is_some_and(|tensor| tensor.dtype == Dtype::I8);
        let mut names = self.metadata.offset_keys();
        names.retain(|name| !name.strip_suffix(STEPS).is_some_and(is_eight_bits));
        names
    }

    fn describe(&self, name: &str) -> Option<(&[usize], String)> {
        let tensor = self.metadata.info(name)?;
        Some((&tensor.shape, format!("{:?}", tensor.dtype)))
    }

    fn read(&mut self, name: &str, out: &mut [f32]) -> Result<(), WeightsError> {
        let Some(tensor) = self.metadata.info(name) else {
            return Err(WeightsError::Format(format!("no tensor `{name}`")));
        };
        let (dtype, at) = (tensor.dtype, tensor.data_offsets.0);
        if dtype == Dtype::I8 {
            self.read_pieces(at, 1, out, |bytes, out| {
                let numbers = out.iter_mut().zip(bytes);
                numbers.for_each(|(out, &byte)| *out = f32::from(byte as i8));
            })?;
            return self.scale_rows(name, out);
        }
        let float = Float::of(dtype).ok_or_else(|| not_floats(name, dtype))?;
        self.read_pieces(at, float.size(), out, |bytes, out| float.widen(bytes, out))
    }
}

/// The tensors of a file written by `torch.save`. No code in the file is executed.
#[cfg(feature = "pytorch")]
pub(crate) struct PytorchFile(HashMap<String, pytorch_reader::Tensor>);

#[cfg(feature = "pytorch")]
impl PytorchFile {
    pub fn open(path: &std::path::Path) -> Result<Self, WeightsError> {
        let reader =
            pytorch_reader::PytorchReader::new(path).map_err(|error| WeightsError::Format(error.to_string()))?;
        let tensors = reader.into_tensors();
        // A view can have more elements than its storage, without bound.
        let length = std::fs::metadata(path).map_err(unreadable)?.len();
        match tensors.values().find(|tensor| tensor.byte_len() as u64 > length) {
            None => Ok(Self(tensors)),
            Some(tensor) => Err(WeightsError::Format(format!(
                "tensor `{}` of shape {:?} is larger than the file",
                tensor.name,
                tensor.shape()
            ))),
        }
    }
}

#[cfg(feature = "pytorch")]
impl Tensors for PytorchFile {
    fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    fn describe(&self, name: &str) -> Option<(&[usize], String)> {
        let tensor = self.0.get(name)?;
        Some((tensor.shape(), format!("{:?}", tensor.dtype())))
    }

    fn read(&mut self, name: &str, out: &mut [f32]) -> Result<(), WeightsError> {
        use pytorch_reader::DType;
        let Some(tensor) = self.0.get(name) else {
            return Err(WeightsError::Format(format!("no tensor `{name}`")));
        };
        let float = match tensor.dtype() {
            DType::F16 => Float::F16,
            DType::BF16 => Float::Bf16,
            DType::F32 => Float::F32,
            DType::F64 => Float::F64,
            other => return Err(not_floats(name, other)),
        };
        let bytes = tensor.read().map_err(unreadable)?;
        if bytes.len() != out.len() * float.size() {
            return Err(WeightsError::Format(format!(
                "tensor `{name}` has {} bytes instead of {}",
                bytes.len(),
                out.len() * float.size()
            )));
        }
        float.widen(&bytes, out);
        Ok(())
    }
}

/// Several files as one, with tensors under other names than in the files.
pub(crate) struct Renamed {
    files: Vec<Box<dyn Tensors>>,
    /// For each new name, the file and the name in it.
    names: HashMap<String, (usize, String)>,
}

impl Renamed {
    /// Renames each tensor with `rename`. Two tensors with the same name are an error.
    pub fn new(files: Vec<Box<dyn Tensors>>, rename: impl Fn(&str) -> String) -> Result<Self, WeightsError> {
        let mut names = HashMap::new();
        for (file, tensors) in files.iter().enumerate() {
            for name in tensors.names() {
                let new = rename(&name);
                if let Some((_, other)) = names.insert(new, (file, name.clone())) {
                    return Err(WeightsError::Format(format!(
                        "tensors `{other}` and `{name}` are the same parameter"
                    )));
                }
            }
        }
        Ok(Self { files, names })
    }

    /// Renames a tensor, if it exists.
    pub fn rename(&mut self, name: &str, new: &str) {
        if let Some(tensor) = self.names.remove(name) {
            self.names.insert(new.to_owned(), tensor);
        }
    }

    /// The file that contains a tensor.
    pub fn file_of(&self, name: &str) -> Option<usize> {
        self.names.get(name).map(|(file, _)| *file)
    }
}

impl Tensors for Renamed {
    fn names(&self) -> Vec<String> {
        self.names.keys().cloned().collect()
    }

    fn describe(&self, name: &str) -> Option<(&[usize], String)> {
        let (file, name) = self.names.get(name)?;
        self.files[*file].describe(name)
    }

    fn read(&mut self, name: &str, out: &mut [f32]) -> Result<(), WeightsError> {
        match self.names.get(name) {
            Some((file, name)) => self.files[*file].read(name, out),
            None => Err(WeightsError::Format(format!("no tensor `{name}`"))),
        }
    }
}
