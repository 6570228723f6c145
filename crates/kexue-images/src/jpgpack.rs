//! Packs of JPEG files with labels: for each image a byte with its class, its length in two bytes (little-endian), and the file.

use crate::decode::decode;
use crate::{ImageError, Images};
use rayon::prelude::*;
use std::path::Path;

/// Whether the bytes begin like a pack: a record whose file begins as JPEG files do.
pub(crate) fn is_pack(bytes: &[u8]) -> bool {
    bytes.get(3..6) == Some(&[0xff, 0xd8, 0xff])
}

/// The images of a pack.
pub(crate) fn images(path: &Path, mut bytes: &[u8]) -> Result<Images, ImageError> {
    let (mut labels, mut files) = (Vec::new(), Vec::new());
    while !bytes.is_empty() {
        let record = bytes.split_first_chunk::<3>().and_then(|([label, low, high], rest)| {
            let (file, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes([*low, *high])))?;
            Some((*label, file, rest))
        });
        let (label, file, rest) = record.ok_or_else(|| {
            let problem = format!(
                "is a pack of JPEG files that ends within record {}: it is cut off; download it again",
                files.len() + 1
            );
            ImageError::content(path, problem)
        })?;
        labels.push(label);
        files.push(file);
        bytes = rest;
    }
    let decoded = files.into_par_iter().enumerate().map(|(number, file)| {
        decode(file).map_err(|problem| ImageError::content(path, format!("record {}: {problem}", number + 1)))
    });
    // Reports the first problem in the order of the images, not the first one that a thread finds.
    let decoded: Vec<_> = decoded.collect();
    let decoded: Vec<_> = decoded.into_iter().collect::<Result<_, _>>()?;
    let shape = decoded[0].0;
    if let Some(number) = decoded.iter().position(|(other, _)| *other != shape) {
        let problem = format!(
            "record {} is {}, but the first is {shape}: all images must have one size",
            number + 1,
            decoded[number].0
        );
        return Err(ImageError::content(path, problem));
    }
    let pixels = decoded.into_iter().flat_map(|(_, pixels)| pixels).collect();
    Ok(Images::new(shape, pixels, Some(labels)))
}
