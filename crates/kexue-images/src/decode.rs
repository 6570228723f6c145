//! PNG and JPEG files as bytes of pixels.

use crate::Shape;
use image::{DynamicImage, ImageReader, Limits};
use std::io::Cursor;

/// Maximum width and height. It bounds the memory that a damaged header can ask for; images for training are smaller.
const LARGEST: u32 = 4096;

/// Decodes an image into its size and its bytes, channel by channel. Grey images have one channel, all others three.
pub(crate) fn decode(bytes: &[u8]) -> Result<(Shape, Vec<u8>), String> {
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|error| error.to_string())?;
    if reader.format().is_none() {
        return Err("is neither PNG nor JPEG".to_owned());
    }
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(LARGEST), Some(LARGEST));
    reader.limits(limits);
    let image = reader.decode().map_err(|error| error.to_string())?;
    let grey = matches!(
        image,
        DynamicImage::ImageLuma8(_)
            | DynamicImage::ImageLuma16(_)
            | DynamicImage::ImageLumaA8(_)
            | DynamicImage::ImageLumaA16(_)
    );
    let (width, height) = (image.width() as usize, image.height() as usize);
    if width == 0 || height == 0 {
        return Err("has no pixels".to_owned());
    }
    let shape = Shape {
        channels: if grey { 1 } else { 3 },
        height,
        width,
    };
    if grey {
        return Ok((shape, image.into_luma8().into_raw()));
    }
    let interleaved = image.into_rgb8().into_raw();
    let planes = (0..3).flat_map(|channel| interleaved.iter().skip(channel).step_by(3).copied());
    Ok((shape, planes.collect()))
}
