//! Training data: points or images.

use crate::network::Space;
use crate::table::read_numbers;
use crate::toys::Toy;
use kexue_images::{ImageError, Images, read_images};
use kexue_train::generator;
use rand_chacha::ChaCha8Rng;
use std::hash::{Hash, Hasher};
use std::path::Path;
use thiserror::Error;

/// Why data cannot be read.
#[derive(Debug, Error)]
pub enum DataError {
    /// Error of images.
    #[error(transparent)]
    Images(#[from] ImageError),
    /// Error of a table of points or of features.
    #[error("{0}")]
    Points(String),
}

/// Examples `[examples, size]`.
#[derive(Clone, Debug)]
pub struct Data {
    space: Space,
    toy: Option<Toy>,
    values: Vec<f32>,
}

/// Number of points that represent a toy distribution.
const TOY_POINTS: usize = 20_000;
/// Purpose of the random stream ([`generator`]): the points of a toy distribution.
const TOYS: u64 = 0x0074_6f79;

impl Hash for Data {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.values.iter().for_each(|value| hasher.write_u32(value.to_bits()));
    }
}

impl Data {
    /// Opens a toy by its name (`ring`, `grid`, `swiss-roll`), or a file: images in the formats of [`read_images`], or points as CSV.
    ///
    /// # Errors
    /// If the file cannot be read, or contains neither images nor points.
    pub fn open(name: &str) -> Result<Self, DataError> {
        if let Some(toy) = Toy::ALL.into_iter().find(|toy| toy.name() == name) {
            return Ok(Self::of_toy(toy));
        }
        let path = Path::new(name);
        let extension = path.with_extension("");
        let table = [path, &extension]
            .iter()
            .any(|path| path.extension().is_some_and(|extension| extension == "csv"));
        match table && !path.is_dir() {
            true => Self::read_points(path),
            false => Ok(Self::of_images(&read_images(path)?)),
        }
    }

    /// Points of a toy distribution, always the same ones.
    pub fn of_toy(toy: Toy) -> Self {
        let mut random = generator(0, TOYS, 0);
        let values = (0..TOY_POINTS).flat_map(|_| toy.draw(&mut random)).map(|x| x as f32);
        Self {
            space: Space::Points(2),
            toy: Some(toy),
            values: values.collect(),
        }
    }

    /// Images, with pixels scaled to numbers within −1 and 1.
    pub fn of_images(images: &Images) -> Self {
        Self {
            space: Space::Images(images.shape()),
            toy: None,
            values: images
                .pixels()
                .iter()
                .map(|&pixel| f32::from(pixel) / 127.5 - 1.0)
                .collect(),
        }
    }

    /// Reads points from a CSV file without a header: one point per line, with coordinates separated by commas.
    fn read_points(path: &Path) -> Result<Self, DataError> {
        let (values, size) = read_numbers(path, "the coordinates of a point")?;
        if values.is_empty() {
            return Err(DataError::Points(format!("{}: holds no point", path.display())));
        }
        Ok(Self {
            space: Space::Points(size),
            toy: None,
            values: values.into_iter().map(|value| value as f32).collect(),
        })
    }

    /// The space of the examples.
    pub fn space(&self) -> Space {
        self.space
    }

    /// The toy distribution of the examples, if they come from one.
    pub fn toy(&self) -> Option<Toy> {
        self.toy
    }

    /// Number of examples.
    pub fn len(&self) -> usize {
        self.values.len() / self.space.size()
    }

    /// Whether there are no examples.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Concatenates examples.
    pub fn take(&self, examples: impl IntoIterator<Item = usize>) -> Vec<f32> {
        let size = self.space.size();
        examples
            .into_iter()
            .flat_map(|example| &self.values[example * size..(example + 1) * size])
            .copied()
            .collect()
    }

    /// Draws `count` examples at random.
    pub fn draw(&self, count: usize, generator: &mut ChaCha8Rng) -> Vec<f32> {
        use rand::Rng;
        let all = self.len();
        let chosen: Vec<usize> = (0..count).map(|_| generator.random_range(0..all)).collect();
        self.take(chosen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_read_and_bad_ones_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("points.csv");
        let open = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Data::open(path.to_str().unwrap())
        };
        let data = open("1,2,3\n4,5e-1,6\n").unwrap();
        assert_eq!((data.space(), data.len()), (Space::Points(3), 2));
        assert_eq!(data.take([1, 0]), [4.0, 0.5, 6.0, 1.0, 2.0, 3.0]);
        for (text, problem) in [
            ("1,2\n3,x\n", "points.csv:2: column 2: `x` is not a number"),
            ("1,2\n3\n", "points.csv:2:"),
            ("1,NaN\n", "points.csv:1: column 2"),
            ("1,1e39\n", "points.csv:1: column 2: `1e39` is not a number"),
            ("", "holds no point"),
        ] {
            let error = open(text).unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
        }
        assert!(
            Data::open("no-such-thing")
                .unwrap_err()
                .to_string()
                .contains("no-such-thing")
        );
    }
}
