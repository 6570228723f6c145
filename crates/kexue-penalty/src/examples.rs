//! Labelled examples: images with an idx file of labels, packs of JPEG, CSV, or random numbers.

use kexue_images::{ImageError, read_bytes, read_images, read_labels};
use kexue_nn::Distribution;
use kexue_train::generator;
use rand::Rng;
use std::hash::{Hash, Hasher};
use std::path::Path;
use thiserror::Error;

/// Why examples cannot be read.
#[derive(Debug, Error)]
pub enum ExamplesError {
    /// Error of images.
    #[error(transparent)]
    Images(#[from] ImageError),
    /// Any other error, which names the file.
    #[error("{0}")]
    Content(String),
}

/// Inputs `[examples, size]`, with a class for each example.
#[derive(Clone, Debug, PartialEq)]
pub struct Examples {
    size: usize,
    inputs: Vec<f32>,
    classes: Vec<usize>,
    /// Number of classes.
    count: usize,
}

impl Hash for Examples {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.inputs.iter().for_each(|input| hasher.write_u32(input.to_bits()));
        self.classes.hash(hasher);
    }
}

/// Purpose of the random stream ([`generator`]): random examples.
const RANDOM: u64 = 0x0072_616e_646f;

impl Examples {
    /// Draws standard normal inputs with random classes.
    pub fn random(examples: usize, size: usize, classes: usize, seed: u64) -> Self {
        let mut random = generator(seed, RANDOM, 0);
        let normal = Distribution::Normal { std: 1.0 };
        Self {
            size,
            inputs: (0..examples * size).map(|_| normal.draw(&mut random)).collect(),
            classes: (0..examples).map(|_| random.random_range(0..classes)).collect(),
            count: classes,
        }
    }

    /// Reads a CSV file without a header (one example per line, with the class as a whole number in the last column), or images. An idx file of images needs
    /// its file of labels. Pixels are scaled to numbers within 0 and 1.
    ///
    /// # Errors
    /// If a file cannot be read. The error names the file, and the line if there is one.
    pub fn read(path: &Path, labels: Option<&Path>) -> Result<Self, ExamplesError> {
        let stem = path.with_extension("");
        let is_csv = |path: &Path| path.extension().is_some_and(|extension| extension == "csv");
        if is_csv(path) || is_csv(&stem) {
            return Self::read_csv(path);
        }
        let mut images = read_images(path)?;
        if let Some(path) = labels {
            let labels = read_labels(path)?;
            if labels.len() != images.len() {
                let problem = format!(
                    "{}: has {} labels for {} images",
                    path.display(),
                    labels.len(),
                    images.len()
                );
                return Err(ExamplesError::Content(problem));
            }
            images = images.with_labels(labels);
        }
        let labels = images.labels().ok_or_else(|| {
            let problem = "contains no labels; name the file of its labels (train-labels-idx1-ubyte)";
            ExamplesError::Content(format!("{}: {problem}", path.display()))
        })?;
        let classes: Vec<usize> = labels.iter().map(|label| usize::from(*label)).collect();
        Ok(Self {
            size: images.shape().size(),
            inputs: images.pixels().iter().map(|pixel| f32::from(*pixel) / 255.0).collect(),
            count: classes.iter().max().map_or(1, |most| most + 1),
            classes,
        })
    }

    fn read_csv(path: &Path) -> Result<Self, ExamplesError> {
        let bytes = read_bytes(path)?;
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(&bytes[..]);
        let (mut size, mut inputs, mut classes) = (0, Vec::new(), Vec::new());
        for (number, record) in reader.records().enumerate() {
            let at = |problem: String| ExamplesError::Content(format!("{}:{}: {problem}", path.display(), number + 1));
            let record = record.map_err(|error| at(error.to_string()))?;
            let last = record.len().saturating_sub(1);
            if last == 0 {
                return Err(at("expected numbers, and the class in the last column".to_owned()));
            }
            for (column, field) in record.iter().enumerate() {
                let field = field.trim();
                if column == last {
                    let class = field.parse().ok().filter(|class: &usize| *class < 1 << 16);
                    let expected = "is not a class, a whole number from 0 to 65535";
                    classes.push(class.ok_or_else(|| at(format!("column {}: `{field}` {expected}", column + 1)))?);
                } else {
                    let value = field.parse().ok().filter(|value: &f32| value.is_finite());
                    inputs.push(value.ok_or_else(|| at(format!("column {}: `{field}` is not a number", column + 1)))?);
                }
            }
            size = last;
        }
        let count = classes.iter().max().map(|most| most + 1);
        let count = count.ok_or_else(|| ExamplesError::Content(format!("{}: holds no example", path.display())))?;
        Ok(Self {
            size,
            inputs,
            classes,
            count,
        })
    }

    /// Size of an input.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Number of classes: one more than the largest class.
    pub fn classes(&self) -> usize {
        self.count
    }

    /// Number of examples.
    pub fn len(&self) -> usize {
        self.classes.len()
    }

    /// Whether there are no examples.
    pub fn is_empty(&self) -> bool {
        self.classes.is_empty()
    }

    /// The first `examples` examples, or all if there are fewer.
    pub fn first(mut self, examples: usize) -> Self {
        self.inputs.truncate(examples * self.size);
        self.classes.truncate(examples);
        self
    }

    /// The input of an example.
    pub fn input(&self, example: usize) -> &[f32] {
        &self.inputs[example * self.size..(example + 1) * self.size]
    }

    /// The class of an example.
    pub fn class(&self, example: usize) -> usize {
        self.classes[example]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_is_read_and_bad_lines_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Examples::read(&path, None)
        };
        let examples = read("0.5,1,2\n-1,2e-1,0\n").unwrap();
        assert_eq!((examples.len(), examples.size(), examples.classes()), (2, 2, 3));
        assert_eq!((examples.input(1), examples.class(0)), (&[-1.0, 0.2][..], 2));
        for (text, problem) in [
            ("1,x,0\n", "a.csv:1: column 2: `x` is not a number"),
            ("1,2,0\n1,2,1.5\n", "a.csv:2: column 3: `1.5` is not a class"),
            ("1\n", "a.csv:1: expected numbers"),
            ("1,2,0\n1,0\n", "a.csv:2:"),
            ("", "holds no example"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
        }
    }
}
