//! Folders of PNG and JPEG files.

use crate::decode::decode;
use crate::{ImageError, Images, read_bytes};
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// Lists the PNG and JPEG files of a folder, sorted by name, in the order in which [`read_images`](crate::read_images) reads them. Other files are
/// ignored.
///
/// # Errors
/// If the folder cannot be read, or has no such file.
pub fn image_files(folder: &Path) -> Result<Vec<PathBuf>, ImageError> {
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(ImageError::io(folder))? {
        let path = entry.map_err(ImageError::io(folder))?.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if extension.is_some_and(|extension| ["png", "jpg", "jpeg"].contains(&extension.to_lowercase().as_str())) {
            paths.push(path);
        }
    }
    paths.sort();
    match paths.is_empty() {
        true => Err(ImageError::content(folder, "holds no .png, .jpg or .jpeg file")),
        false => Ok(paths),
    }
}

/// The images of a folder.
pub(crate) fn images(folder: &Path) -> Result<Images, ImageError> {
    let paths = image_files(folder)?;
    let decoded = paths.par_iter().map(|path| {
        let bytes = read_bytes(path)?;
        decode(&bytes).map_err(|problem| ImageError::content(path, problem))
    });
    // Reports the first problem in the order of the images, not the first one that a thread finds.
    let decoded: Vec<_> = decoded.collect();
    let decoded: Vec<_> = decoded.into_iter().collect::<Result<_, _>>()?;
    let shape = decoded[0].0;
    if let Some(number) = decoded.iter().position(|(other, _)| *other != shape) {
        let problem = format!(
            "is {}, but {} is {shape} (channels×height×width): all images must have one size; resize or remove it",
            decoded[number].0,
            paths[0].display()
        );
        return Err(ImageError::content(&paths[number], problem));
    }
    let pixels = decoded.into_iter().flat_map(|(_, pixels)| pixels).collect();
    Ok(Images::new(shape, pixels, None))
}
