//! Pictures of samples, and of the critic if the data are points of the plane.

use crate::data::Data;
use crate::lipschitz::scores_and_gradients;
use crate::network::Space;
use crate::normalizer::Normalizer;
use crate::players::GanModel;
use kexue_grad::norm_per_sample;
use kexue_images::{ImageError, Images, Shape, grid_png};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensorError};

/// Side of a picture of the plane, in pixels.
const SIDE: usize = 240;
/// Number of images in a grid, and in each of its rows.
const IMAGES: usize = 64;
const COLUMNS: usize = 8;

/// PNG files with captions: a grid of samples, or the plane with samples, D̂ and the norm of its gradient. Empty for points in other dimensions.
///
/// # Errors
/// If a picture cannot be encoded.
pub fn picture(
    data: &Data,
    model: &GanModel,
    normalizer: &dyn Normalizer,
    samples: &[f32],
) -> Result<Vec<(Vec<u8>, String)>, ImageError> {
    match data.space() {
        Space::Images(shape) => {
            let count = IMAGES.min(samples.len() / shape.size());
            let grid = grid_png(&images(shape, &samples[..count * shape.size()]), COLUMNS)?;
            Ok(vec![(grid, format!("{count} samples"))])
        }
        Space::Points(2) => plane(data, model, normalizer, samples),
        Space::Points(_) => Ok(Vec::new()),
    }
}

/// Converts numbers within −1 and 1 to images.
pub fn images(shape: Shape, values: &[f32]) -> Images {
    let pixels = values
        .iter()
        .map(|value| ((value + 1.0) * 127.5).round().clamp(0.0, 255.0) as u8);
    Images::new(shape, pixels.collect(), None)
}

/// A safetensors file with the pixels of images, the tensor `images`, `[images, channels, height, width]`, bytes: what other programs read.
///
/// # Errors
/// If the file would be too large to be indexed.
pub fn pixels_file(images: &Images) -> Result<Vec<u8>, SafeTensorError> {
    let Shape {
        channels,
        height,
        width,
    } = images.shape();
    let shape = vec![images.len(), channels, height, width];
    safetensors::serialize([("images", TensorView::new(Dtype::U8, shape, images.pixels())?)], None)
}

fn plane(
    data: &Data,
    model: &GanModel,
    normalizer: &dyn Normalizer,
    samples: &[f32],
) -> Result<Vec<(Vec<u8>, String)>, ImageError> {
    let some = data.take(0..data.len().min(1000));
    let reach = 1.3 * some.iter().fold(0f32, |most, x| most.max(x.abs())).max(1e-6);
    let coordinate = |place: usize| ((place as f32 + 0.5) / SIDE as f32 * 2.0 - 1.0) * reach;
    let points = (0..SIDE * SIDE).flat_map(|place| [coordinate(place % SIDE), -coordinate(place / SIDE)]);
    let points = model.tensor(points.collect(), 2);
    let (scores, gradients) = scores_and_gradients(normalizer, model.critic(), points);
    let scores: Vec<f32> = scores.into_data_as::<f32>().try_to_vec().expect("just converted");
    let norms = norm_per_sample(gradients).into_data_as::<f32>();
    let norms: Vec<f32> = norms.try_to_vec().expect("just converted");
    let dots = |points: &[f32], colour: [u8; 3], pixels: &mut [[u8; 3]]| {
        for point in points.chunks(2) {
            let place = |x: f32| ((x / reach + 1.0) / 2.0 * SIDE as f32).floor();
            let (column, row) = (place(point[0]), place(-point[1]));
            if (0.0..SIDE as f32).contains(&column) && (0.0..SIDE as f32).contains(&row) {
                pixels[row as usize * SIDE + column as usize] = colour;
            }
        }
    };
    let mut scatter = vec![[255; 3]; SIDE * SIDE];
    dots(&some, [170, 170, 170], &mut scatter);
    dots(samples, [200, 40, 40], &mut scatter);
    let largest = |values: &[f32]| values.iter().fold(0f32, |most, x| most.max(x.abs())).max(1e-30);
    let (top, steepest) = (largest(&scores), largest(&norms));
    // Red above 0, blue below, white at 0.
    let coloured = |share: f32| -> [u8; 3] {
        let fade = (255.0 * (1.0 - share.abs().min(1.0))) as u8;
        if share >= 0.0 {
            [255, fade, fade]
        } else {
            [fade, fade, 255]
        }
    };
    let heights: Vec<[u8; 3]> = scores.iter().map(|score| coloured(score / top)).collect();
    let steepness: Vec<[u8; 3]> = norms
        .iter()
        .map(|norm| [255 - (255.0 * norm / steepest) as u8; 3])
        .collect();
    let png = |pixels: Vec<[u8; 3]>| {
        let planes = (0..3).flat_map(|channel| pixels.iter().map(move |pixel| pixel[channel]));
        let shape = Shape {
            channels: 3,
            height: SIDE,
            width: SIDE,
        };
        grid_png(&Images::new(shape, planes.collect(), None), 1)
    };
    Ok(vec![
        (
            png(scatter)?,
            format!("Samples (red) on data (grey), within ±{reach:.1}"),
        ),
        (
            png(heights)?,
            format!("D̂: white 0, red up to {top:.2}, blue down to −{top:.2}"),
        ),
        (
            png(steepness)?,
            format!("Norm of the gradient of D̂: white 0, black {steepest:.2}"),
        ),
    ])
}
