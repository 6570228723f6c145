//! Reading images of any supported format.

use crate::{ImageError, Images, folder, idx, jpgpack, read_bytes};
use std::path::Path;

/// Reads an idx file of images, a pack of JPEG files, or a folder of PNG and JPEG files. The format is recognised by the content, not by the name.
///
/// # Errors
/// If the file cannot be read, is of another kind or damaged, or the images differ in size.
pub fn read_images(path: &Path) -> Result<Images, ImageError> {
    if path.is_dir() {
        return folder::images(path);
    }
    let bytes = read_bytes(path)?;
    if bytes.starts_with(&idx::IMAGES) {
        return idx::images(path, &bytes);
    }
    if jpgpack::is_pack(&bytes) {
        return jpgpack::images(path, &bytes);
    }
    let what = if bytes.starts_with(&idx::LABELS) {
        "is an idx file of labels; expected an idx file of images (train-images-idx3-ubyte)"
    } else if bytes.starts_with(b"\x89PNG") || bytes.starts_with(&[0xff, 0xd8, 0xff]) {
        "is a single picture; name the folder of the pictures"
    } else {
        "holds no images that can be read: expected an idx file (MNIST), a pack of JPEG files, or a folder of .png and .jpg files"
    };
    Err(ImageError::content(path, what))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Shape, grid_png, read_labels};
    use std::io::Write;

    fn idx() -> Vec<u8> {
        let header = [[0, 0, 8, 3], [0, 0, 0, 3], [0, 0, 0, 2], [0, 0, 0, 5]].concat();
        [header, (0..30).collect()].concat()
    }

    #[test]
    fn idx_files_are_read_compressed_or_not_and_no_part_of_one_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("images");
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&idx()).unwrap();
        for bytes in [idx(), zstd::encode_all(&idx()[..], 1).unwrap(), gzip.finish().unwrap()] {
            std::fs::write(&path, &bytes).unwrap();
            let images = read_images(&path).unwrap();
            assert_eq!((images.len(), images.get(1)), (3, &(10..20).collect::<Vec<u8>>()[..]));
            for length in 0..bytes.len() {
                std::fs::write(&path, &bytes[..length]).unwrap();
                let error = read_images(&path).unwrap_err().to_string();
                assert!(error.contains("images: "), "{error}");
            }
        }
    }

    #[test]
    fn labels_and_images_are_told_from_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, [0, 0, 8, 1, 0, 0, 0, 2, 7, 1]).unwrap();
        assert_eq!(read_labels(&path).unwrap(), [7, 1]);
        assert!(
            read_images(&path)
                .unwrap_err()
                .to_string()
                .contains("of labels; expected an idx file of images")
        );
        std::fs::write(&path, idx()).unwrap();
        assert!(
            read_labels(&path)
                .unwrap_err()
                .to_string()
                .contains("of images; expected an idx file of labels")
        );
        std::fs::write(&path, "hello").unwrap();
        assert!(
            read_images(&path)
                .unwrap_err()
                .to_string()
                .contains("expected an idx file")
        );
    }

    #[test]
    fn a_written_grid_is_read_again_and_other_sizes_are_named() {
        let folder = tempfile::tempdir().unwrap();
        for channels in [1, 3] {
            let shape = Shape {
                channels,
                height: 4,
                width: 6,
            };
            let images = Images::new(shape, (0..shape.size()).map(|i| (i * 3) as u8).collect(), None);
            std::fs::write(folder.path().join("a.png"), grid_png(&images, 1).unwrap()).unwrap();
            assert_eq!(read_images(folder.path()).unwrap(), images);
        }
        let small = Images::new(
            Shape {
                channels: 3,
                height: 2,
                width: 2,
            },
            vec![0; 12],
            None,
        );
        std::fs::write(folder.path().join("b.png"), grid_png(&small, 1).unwrap()).unwrap();
        let error = read_images(folder.path()).unwrap_err().to_string();
        assert!(
            error.contains("b.png: is 3×2×2, but") && error.contains("a.png is 3×4×6"),
            "{error}"
        );
        std::fs::write(folder.path().join("b.png"), "no picture").unwrap();
        assert!(read_images(folder.path()).unwrap_err().to_string().contains("b.png"));
    }

    #[test]
    fn packs_are_read_and_no_part_of_one_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pack");
        let mut jpeg = Vec::new();
        let picture = image::RgbImage::from_pixel(8, 8, image::Rgb([200, 100, 50]));
        let encoder = image::codecs::jpeg::JpegEncoder::new(&mut jpeg);
        picture.write_with_encoder(encoder).unwrap();
        let length = u16::try_from(jpeg.len()).unwrap().to_le_bytes();
        let record = |label: u8| [&[label][..], &length, &jpeg].concat();
        let pack = [record(3), record(1)].concat();
        std::fs::write(&path, &pack).unwrap();
        let images = read_images(&path).unwrap();
        assert_eq!(images.labels(), Some(&[3, 1][..]));
        assert!(images.get(0)[..64].iter().all(|red| red.abs_diff(200) < 6));
        std::fs::write(&path, &pack[..pack.len() - 1]).unwrap();
        assert!(
            read_images(&path)
                .unwrap_err()
                .to_string()
                .contains("ends within record 2")
        );
    }
}
