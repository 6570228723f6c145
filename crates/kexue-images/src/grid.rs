//! Images side by side as one PNG.

use crate::{ImageError, Images};
use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};

/// Encodes images as one PNG file, in rows of `columns` images without gaps. Unused places are black.
///
/// # Errors
/// If there are no images, or the picture cannot be encoded.
pub fn grid_png(images: &Images, columns: usize) -> Result<Vec<u8>, ImageError> {
    let shape = images.shape();
    let columns = columns.min(images.len());
    if columns == 0 {
        return Err(ImageError::Encode("it has no images".to_owned()));
    }
    let rows = images.len().div_ceil(columns);
    let (width, height) = (columns * shape.width, rows * shape.height);
    let mut pixels = vec![0; width * height * shape.channels];
    for index in 0..images.len() {
        let (top, left) = (index / columns * shape.height, index % columns * shape.width);
        for (channel, plane) in images.get(index).chunks(shape.height * shape.width).enumerate() {
            for (place, &value) in plane.iter().enumerate() {
                let (row, column) = (top + place / shape.width, left + place % shape.width);
                pixels[(row * width + column) * shape.channels + channel] = value;
            }
        }
    }
    let colour = if shape.channels == 1 {
        ExtendedColorType::L8
    } else {
        ExtendedColorType::Rgb8
    };
    let size =
        |number: usize| u32::try_from(number).map_err(|_| ImageError::Encode(format!("{number} pixels are too wide")));
    let mut png = Vec::new();
    PngEncoder::new(&mut png)
        .write_image(&pixels, size(width)?, size(height)?, colour)
        .map_err(|error| ImageError::Encode(error.to_string()))?;
    Ok(png)
}
