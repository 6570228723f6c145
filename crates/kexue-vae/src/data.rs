//! Observations in memory, and reading them from files.

use crate::ImageSize;
use kexue_images::{image_files, read_bytes, read_images};
use kexue_train::TrainError;
use std::path::{Path, PathBuf};

/// The values of a data set.
#[derive(Clone, Debug, PartialEq)]
pub enum Numbers {
    /// Bytes of pixels, 0 for black.
    Bytes(Vec<u8>),
    /// Cells of a table.
    Reals(Vec<f32>),
}

/// Observations of one kind, `[observations, dimensions]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// Number of values of an observation; images are `[channels, height, width]`.
    pub dimensions: usize,
    /// The size of the images, if the observations are images.
    pub image: Option<ImageSize>,
    /// The columns of a table; empty for images.
    pub columns: Vec<String>,
    /// The values.
    pub numbers: Numbers,
    /// The source of each observation, for messages and results.
    names: Vec<Source>,
}

/// The observations of one file.
#[derive(Clone, Debug, PartialEq)]
struct Source {
    path: PathBuf,
    count: usize,
    parts: Parts,
}

#[derive(Clone, Debug, PartialEq)]
enum Parts {
    /// Numbered from 1.
    Numbered,
    /// The lines of a table.
    Lines(Vec<u64>),
    /// The files of a folder.
    Files(Vec<String>),
}

/// The size of images in the fixed binarisation of MNIST (Larochelle & Murray, 2011): 28 × 28 bits per image, with the most significant bit first.
const BITS: ImageSize = ImageSize {
    channels: 1,
    height: 28,
    width: 28,
};

impl Dataset {
    /// Reads one or more files of the same kind: idx files (MNIST), packs of JPEG files, folders of PNG or JPEG files, `.bits` files of 28 × 28 binary pixels,
    /// or tables (`.csv`, `.tsv`) of numbers. Files may be compressed with gzip or Zstandard.
    ///
    /// # Errors
    /// If a file cannot be read. The error names the file, and the line and column of a table's value that is not a finite number.
    pub fn read(paths: &[PathBuf]) -> Result<Self, TrainError> {
        let mut all: Option<Self> = None;
        for path in paths {
            let next = Self::read_one(path)?;
            match &mut all {
                None => all = Some(next),
                Some(all) => all.append(next)?,
            }
        }
        all.ok_or_else(|| TrainError::Setting {
            field: "data",
            problem: "there must be at least one file".to_owned(),
        })
    }

    fn read_one(path: &Path) -> Result<Self, TrainError> {
        match extension(path).as_str() {
            "csv" => read_table(path, b','),
            "tsv" => read_table(path, b'\t'),
            "bits" => read_bits(path),
            _ => read_pictures(path),
        }
    }

    /// Adds the observations of another file.
    fn append(&mut self, other: Self) -> Result<(), TrainError> {
        if let Some(difference) = self.difference(&other) {
            let problem = format!(
                "{difference} in {}; use files of one kind",
                self.names[0].path.display()
            );
            return Err(TrainError::file(&other.names[0].path, problem));
        }
        match (&mut self.numbers, other.numbers) {
            (Numbers::Bytes(all), Numbers::Bytes(more)) => all.extend(more),
            (Numbers::Reals(all), Numbers::Reals(more)) => all.extend(more),
            _ => {
                return Err(TrainError::file(
                    &other.names[0].path,
                    "holds data of a different kind; use files of one kind",
                ));
            }
        }
        self.names.extend(other.names);
        Ok(())
    }

    /// A description of the first difference to another data set, such as "holds a table of 3 columns, against a table of 4 columns".
    pub(crate) fn difference(&self, other: &Self) -> Option<String> {
        let what = |set: &Self| match set.image {
            Some(image) => format!(
                "images of {}×{}×{} (channels×height×width)",
                image.channels, image.height, image.width
            ),
            None => format!("a table of {} columns", set.dimensions),
        };
        if self.image != other.image || self.dimensions != other.dimensions {
            return Some(format!("holds {}, against {}", what(other), what(self)));
        }
        let columns = self
            .columns
            .iter()
            .zip(&other.columns)
            .find(|(own, other)| own != other);
        columns.map(|(own, other)| format!("has the column `{other}` instead of `{own}`"))
    }

    /// Number of observations.
    pub fn len(&self) -> usize {
        self.names.iter().map(|source| source.count).sum()
    }

    /// Whether there are no observations.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first `count` observations, or all if there are fewer.
    pub fn first(mut self, count: usize) -> Self {
        let mut left = count;
        for source in &mut self.names {
            source.count = source.count.min(left);
            left -= source.count;
        }
        let numbers = self.len() * self.dimensions;
        match &mut self.numbers {
            Numbers::Bytes(bytes) => bytes.truncate(numbers),
            Numbers::Reals(reals) => reals.truncate(numbers),
        }
        self
    }

    /// The source of an observation: `data.csv:12`, `folder/cat.png`, `images-idx3-ubyte#3` (from 1).
    pub fn name(&self, mut index: usize) -> String {
        for source in &self.names {
            if index < source.count {
                let path = source.path.display();
                return match &source.parts {
                    Parts::Numbered => format!("{path}#{}", index + 1),
                    Parts::Lines(lines) => format!("{path}:{}", lines[index]),
                    Parts::Files(files) => format!("{path}/{}", files[index]),
                };
            }
            index -= source.count;
        }
        String::new()
    }

    /// An observation as bytes, if the values are bytes.
    pub fn bytes(&self, index: usize) -> Option<&[u8]> {
        match &self.numbers {
            Numbers::Bytes(bytes) => Some(&bytes[index * self.dimensions..][..self.dimensions]),
            Numbers::Reals(_) => None,
        }
    }

    /// A value of an observation.
    pub(crate) fn value(&self, index: usize, dimension: usize) -> f32 {
        match &self.numbers {
            Numbers::Bytes(bytes) => f32::from(bytes[index * self.dimensions + dimension]),
            Numbers::Reals(reals) => reals[index * self.dimensions + dimension],
        }
    }

    /// The name of a dimension in messages, such as "column 3 (`height`)".
    pub(crate) fn dimension_name(&self, dimension: usize) -> String {
        match self.columns.get(dimension) {
            Some(column) => format!("column {} (`{column}`)", dimension + 1),
            None => format!("number {}", dimension + 1),
        }
    }
}

/// The extension in lower case, ignoring that of a compressed file.
fn extension(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let name = name
        .strip_suffix(".zst")
        .or_else(|| name.strip_suffix(".gz"))
        .unwrap_or(&name);
    name.rsplit_once('.')
        .map_or(String::new(), |(_, extension)| extension.to_owned())
}

fn bytes_of(path: &Path) -> Result<Vec<u8>, TrainError> {
    read_bytes(path).map_err(TrainError::task)
}

fn read_pictures(path: &Path) -> Result<Dataset, TrainError> {
    let images = read_images(path).map_err(TrainError::task)?;
    let shape = images.shape();
    let parts = match path.is_dir() {
        false => Parts::Numbered,
        true => {
            let files = image_files(path).map_err(TrainError::task)?;
            let name = |file: &PathBuf| file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            Parts::Files(files.iter().map(name).collect())
        }
    };
    Ok(Dataset {
        dimensions: shape.size(),
        image: Some(ImageSize {
            channels: shape.channels,
            height: shape.height,
            width: shape.width,
        }),
        columns: Vec::new(),
        names: vec![Source {
            path: path.to_path_buf(),
            count: images.len(),
            parts,
        }],
        numbers: Numbers::Bytes(images.pixels().to_vec()),
    })
}

fn read_bits(path: &Path) -> Result<Dataset, TrainError> {
    let bytes = bytes_of(path)?;
    let each = BITS.numbers() / 8;
    if bytes.is_empty() || !bytes.len().is_multiple_of(each) {
        let problem = format!(
            "has {} bytes, which is not a multiple of {each} bytes (28×28 bits): it is cut off, or of another kind",
            bytes.len()
        );
        return Err(TrainError::file(path, problem));
    }
    let pixels = bytes
        .iter()
        .flat_map(|byte| (0..8).map(move |bit| if byte >> (7 - bit) & 1 == 1 { 255 } else { 0 }));
    Ok(Dataset {
        dimensions: BITS.numbers(),
        image: Some(BITS),
        columns: Vec::new(),
        names: vec![Source {
            path: path.to_path_buf(),
            count: bytes.len() / each,
            parts: Parts::Numbered,
        }],
        numbers: Numbers::Bytes(pixels.collect()),
    })
}

fn read_table(path: &Path, delimiter: u8) -> Result<Dataset, TrainError> {
    let bytes = bytes_of(path)?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(bytes);
    let (mut columns, mut reals, mut lines) = (Vec::<String>::new(), Vec::new(), Vec::new());
    for (row, record) in reader.records().enumerate() {
        let record = record.map_err(|error| TrainError::file(path, error))?;
        let line = record.position().map_or(0, |position| {
            // The position of a record is before the empty lines that were skipped.
            let rest = &bytes[(position.byte() as usize).min(bytes.len())..];
            let passed = rest.iter().take_while(|byte| matches!(byte, b'\n' | b'\r'));
            position.line() + passed.filter(|byte| **byte == b'\n').count() as u64
        });
        if row == 0 {
            let is_header = record
                .iter()
                .any(|cell| !cell.is_empty() && cell.parse::<f32>().is_err());
            columns = match is_header {
                true => record.iter().map(str::to_owned).collect(),
                false => (1..=record.len()).map(|column| column.to_string()).collect(),
            };
            if is_header {
                continue;
            }
        }
        let at = |problem: String| TrainError::file(format!("{}:{line}", path.display()), problem);
        if record.len() != columns.len() {
            let problem = format!("has {} cells, but the first line has {}", record.len(), columns.len());
            return Err(at(problem));
        }
        for (column, cell) in record.iter().enumerate() {
            let name = format!("column {} (`{}`)", column + 1, columns[column]);
            match cell.parse::<f32>() {
                Ok(number) if number.is_finite() => reals.push(number),
                _ if cell.is_empty() => {
                    return Err(at(format!(
                        "{name} is empty; expected a number: fill it in, or remove the line"
                    )));
                }
                _ => {
                    return Err(at(format!(
                        "{name} is `{cell}`; expected a finite number: remove the column, or write its values as numbers"
                    )));
                }
            }
        }
        lines.push(line);
    }
    if lines.is_empty() {
        return Err(TrainError::file(path, "holds no line of numbers"));
    }
    Ok(Dataset {
        dimensions: columns.len(),
        image: None,
        columns,
        names: vec![Source {
            path: path.to_path_buf(),
            count: lines.len(),
            parts: Parts::Lines(lines),
        }],
        numbers: Numbers::Reals(reals),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, content: &[u8]) -> Result<Dataset, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        Dataset::read(&[path]).map_err(|error| error.to_string())
    }

    #[test]
    fn tables_have_a_header_or_none() {
        let with = read("t.csv", "a, b\n1, 2\n\n3,4e1\n".as_bytes()).unwrap();
        assert_eq!(
            (with.columns.clone(), with.len()),
            (vec!["a".to_owned(), "b".to_owned()], 2)
        );
        assert_eq!(with.numbers, Numbers::Reals(vec![1.0, 2.0, 3.0, 40.0]));
        assert!(with.name(1).ends_with("t.csv:4"), "{}", with.name(1));
        let without = read("t.tsv", b"1\t2\n3\t4\n").unwrap();
        assert_eq!((without.columns.len(), without.len()), (2, 2));
        assert_eq!(with.first(1).len(), 1);
    }

    #[test]
    fn bad_tables_are_named_by_line_and_column() {
        for (content, expected) in [
            ("a,b\n1,x\n", "t.csv:2: column 2 (`b`) is `x`"),
            ("a,b\n1,2\n3,\n", "t.csv:3: column 2 (`b`) is empty"),
            ("a,b\n1,2\n3\n", "t.csv:3: has 1 cells, but the first line has 2"),
            ("a,b\n1,NaN\n", "is `NaN`; expected a finite number"),
            ("a,b\n", "holds no line of numbers"),
            ("", "holds no line of numbers"),
        ] {
            let error = read("t.csv", content.as_bytes()).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn bits_are_unpacked_and_cut_files_refused() {
        let mut bytes = vec![0; 196];
        bytes[98] = 0b1010_0000;
        let set = read("x.bits", &bytes).unwrap();
        assert_eq!((set.len(), set.dimensions), (2, 784));
        assert_eq!(set.bytes(1).unwrap()[..4], [255, 0, 255, 0]);
        assert!(set.bytes(0).unwrap().iter().all(|&byte| byte == 0));
        let packed = zstd_of(&bytes);
        assert_eq!(read("x.bits.zst", &packed).unwrap().len(), 2);
        assert!(read("x.bits", &bytes[..100]).unwrap_err().contains("100 bytes"));
    }

    fn zstd_of(bytes: &[u8]) -> Vec<u8> {
        // A frame of one raw block: magic, header without a size of content, block header, content.
        let mut packed = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58];
        let header = (bytes.len() as u32) << 3 | 1;
        packed.extend_from_slice(&header.to_le_bytes()[..3]);
        packed.extend_from_slice(bytes);
        packed
    }

    #[test]
    fn files_of_one_kind_are_one_set_and_others_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, content: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            path
        };
        let (one, two) = (write("1.csv", "a,b\n1,2\n"), write("2.csv", "a,b\n3,4\n"));
        let both = Dataset::read(&[one.clone(), two]).unwrap();
        assert_eq!(both.len(), 2);
        assert!(both.name(1).ends_with("2.csv:2"));
        for other in ["a,c\n3,4\n", "a,b,c\n1,2,3\n"] {
            let error = Dataset::read(&[one.clone(), write("3.csv", other)])
                .unwrap_err()
                .to_string();
            assert!(error.contains("3.csv") && error.contains("1.csv"), "{error}");
        }
    }
}
