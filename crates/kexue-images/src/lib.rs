//! Sets of images of one size: reads the formats in which they are published, and writes grids of them.
//!
//! Read `images.rs` first ([`Images`], the common representation), then `read.rs`. [`read_images`] recognises a format by its content, not by the file
//! name: MNIST's idx files, packs of JPEG files with labels, and folders of PNG and JPEG files. Files may be compressed with gzip or Zstandard.
//!
//! ```
//! use kexue_images::{Images, grid_png, read_images};
//!
//! // An idx file: magic, number, height, width, then one byte a pixel.
//! # let folder = tempfile::tempdir()?;
//! let path = folder.path().join("images-idx3-ubyte");
//! let header = [[0, 0, 8, 3], [0, 0, 0, 2], [0, 0, 0, 4], [0, 0, 0, 4]].concat();
//! std::fs::write(&path, [header, vec![128; 2 * 16]].concat())?;
//!
//! let images: Images = read_images(&path)?;
//! assert_eq!((images.len(), images.shape().channels, images.shape().height), (2, 1, 4));
//! assert_eq!(images.get(1), [128; 16]);
//! assert!(grid_png(&images, 2)?.starts_with(b"\x89PNG"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod bytes;
mod decode;
mod error;
mod folder;
mod grid;
mod idx;
mod images;
mod jpgpack;
mod read;

pub use bytes::read_bytes;
pub use error::ImageError;
pub use folder::image_files;
pub use grid::grid_png;
pub use idx::read_labels;
pub use images::{Images, Shape};
pub use read::read_images;
