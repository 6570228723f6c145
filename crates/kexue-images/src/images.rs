//! Images of one size in memory.

use std::fmt;

/// The size of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// 1 for grey, 3 for red, green and blue.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl Shape {
    /// Number of values of an image.
    pub fn size(self) -> usize {
        self.channels * self.height * self.width
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}×{}×{}", self.channels, self.height, self.width)
    }
}

/// Images of one size, `[images, channels, height, width]`, with one byte per value and 0 for black. Some formats include labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Images {
    shape: Shape,
    pixels: Vec<u8>,
    labels: Option<Vec<u8>>,
}

impl Images {
    /// Creates a set of images from their bytes.
    ///
    /// # Panics
    /// If the number of bytes is not a multiple of the size of an image, or there is not one label for each image.
    pub fn new(shape: Shape, pixels: Vec<u8>, labels: Option<Vec<u8>>) -> Self {
        assert!(
            shape.size() > 0 && pixels.len().is_multiple_of(shape.size()),
            "{} bytes of images {shape}",
            pixels.len()
        );
        let images = Self { shape, pixels, labels };
        assert!(
            images.labels.as_ref().is_none_or(|labels| labels.len() == images.len()),
            "a label for each image"
        );
        images
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.pixels.len() / self.shape.size()
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.pixels.is_empty()
    }

    /// The size of each image.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// One image, `[channels, height, width]`.
    ///
    /// # Panics
    /// If `index` is out of range.
    pub fn get(&self, index: usize) -> &[u8] {
        let size = self.shape.size();
        &self.pixels[index * size..(index + 1) * size]
    }

    /// The bytes of all images.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// The class of each image, if known.
    pub fn labels(&self) -> Option<&[u8]> {
        self.labels.as_deref()
    }

    /// The same images with these labels.
    ///
    /// # Panics
    /// If there is not one label for each image.
    pub fn with_labels(self, labels: Vec<u8>) -> Self {
        Self::new(self.shape, self.pixels, Some(labels))
    }

    /// The first `count` images, or all if there are fewer.
    pub fn first(&self, count: usize) -> Self {
        let count = count.min(self.len());
        Self {
            shape: self.shape,
            pixels: self.pixels[..count * self.shape.size()].to_vec(),
            labels: self.labels.as_ref().map(|labels| labels[..count].to_vec()),
        }
    }
}
