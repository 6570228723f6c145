//! MNIST's format: a magic number, the sizes in big-endian order, one byte per value.

use crate::{ImageError, Images, Shape, read_bytes};
use std::path::Path;

/// The magic number of a three-dimensional array of bytes.
pub(crate) const IMAGES: [u8; 4] = [0, 0, 8, 3];
/// The magic number of a one-dimensional array of bytes.
pub(crate) const LABELS: [u8; 4] = [0, 0, 8, 1];

/// The sizes, and the bytes after them.
fn sizes<'a, const N: usize>(path: &Path, bytes: &'a [u8]) -> Result<([usize; N], &'a [u8]), ImageError> {
    let mut rest = &bytes[4..];
    let mut sizes = [0; N];
    for size in &mut sizes {
        let (number, after) = rest
            .split_first_chunk::<4>()
            .ok_or_else(|| ImageError::content(path, "is an idx file that ends within its header"))?;
        *size = u32::from_be_bytes(*number) as usize;
        rest = after;
    }
    let whole = sizes
        .iter()
        .try_fold(1usize, |product, &size| product.checked_mul(size));
    if whole != Some(rest.len()) {
        let sizes = sizes.map(|size| size.to_string()).join("×");
        let problem = format!(
            "is an idx file whose header declares {sizes} bytes, but {} bytes follow: it is cut off or damaged; download it again",
            rest.len()
        );
        return Err(ImageError::content(path, problem));
    }
    Ok((sizes, rest))
}

/// Images, from the bytes of an idx file.
pub(crate) fn images(path: &Path, bytes: &[u8]) -> Result<Images, ImageError> {
    let ([_, height, width], pixels) = sizes::<3>(path, bytes)?;
    let shape = Shape {
        channels: 1,
        height,
        width,
    };
    if pixels.is_empty() {
        return Err(ImageError::content(path, "holds no image"));
    }
    Ok(Images::new(shape, pixels.to_vec(), None))
}

/// The labels of an idx file, such as `train-labels-idx1-ubyte`.
///
/// # Errors
/// If the file cannot be read, or is not an idx file of labels.
pub fn read_labels(path: &Path) -> Result<Vec<u8>, ImageError> {
    let bytes = read_bytes(path)?;
    if !bytes.starts_with(&LABELS) {
        let what = if bytes.starts_with(&IMAGES) {
            "is an idx file of images; expected an idx file of labels (train-labels-idx1-ubyte)"
        } else {
            "is not an idx file of labels, which begins with the bytes 0 0 8 1"
        };
        return Err(ImageError::content(path, what));
    }
    Ok(sizes::<1>(path, &bytes)?.1.to_vec())
}
