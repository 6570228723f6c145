//! [`kexue_trie::Trie`] for Python: single prefixes as lists, batches as arrays.

use crate::errors::{KexueError, raise, raise_at};
use kexue_trie::{Batch, BeamState, Bytes, PrefixIndex, SequenceSorter, Token};
use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1, PyReadonlyArray2, PyReadwriteArray1, PyReadwriteArray2};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// Collects sequences for a trie.
#[pyclass(module = "kexue._kexue")]
pub(crate) struct Builder {
    sorter: Option<SequenceSorter>,
    count: u64,
}

#[pymethods]
impl Builder {
    /// With `memory`, in bytes, more than that waits in temporary files in `folder`.
    #[new]
    fn new(memory: Option<usize>, folder: Option<PathBuf>) -> Self {
        let sorter = SequenceSorter::new();
        let sorter = match memory {
            Some(memory) => sorter.spill_to(folder.unwrap_or_else(std::env::temp_dir), memory),
            None => sorter,
        };
        Self {
            sorter: Some(sorter),
            count: 0,
        }
    }

    /// Adds the sequences `tokens[offsets[i]..offsets[i + 1]]`; each ends before its first token `pad`.
    fn push(
        &mut self,
        py: Python<'_>,
        tokens: PyReadonlyArray1<'_, i64>,
        offsets: PyReadonlyArray1<'_, i64>,
        pad: Option<i64>,
    ) -> PyResult<()> {
        let (tokens, offsets) = (contiguous(tokens.as_slice())?, contiguous(offsets.as_slice())?);
        py.detach(|| {
            let ranges = offsets.array_windows::<2>().map(|&[start, end]| {
                let range = usize::try_from(start).ok()?..usize::try_from(end).ok()?;
                tokens.get(range)
            });
            self.add(ranges, pad)
        })
    }

    /// Adds the rows of a matrix; each ends before its first token `pad`.
    fn push_rows(&mut self, py: Python<'_>, rows: PyReadonlyArray2<'_, i64>, pad: Option<i64>) -> PyResult<()> {
        let width = rows.as_array().ncols();
        let count = rows.as_array().nrows();
        let tokens = contiguous(rows.as_slice())?;
        py.detach(|| self.add((0..count).map(|row| tokens.get(row * width..(row + 1) * width)), pad))
    }

    /// Makes the trie, in memory or as a file.
    fn finish(&mut self, py: Python<'_>, path: Option<PathBuf>, end: Option<u32>) -> PyResult<Trie> {
        let sorter = self.sorter.take().ok_or_else(used)?;
        py.detach(|| match path {
            Some(path) => {
                sorter.build(&path).map_err(|error| raise_at(&path, error))?;
                Trie::from_file(&path, end, false)
            }
            None => Trie::read(sorter.into_bytes().map_err(raise)?, end),
        })
    }
}

impl Builder {
    fn add<'a>(&mut self, sequences: impl Iterator<Item = Option<&'a [i64]>>, pad: Option<i64>) -> PyResult<()> {
        let sorter = self.sorter.as_mut().ok_or_else(used)?;
        let mut sequence: Vec<Token> = Vec::new();
        for tokens in sequences {
            let number = self.count;
            let tokens = tokens.ok_or_else(|| KexueError::new_err("offsets must rise within the tokens"))?;
            let kept = match pad {
                Some(pad) => tokens.iter().position(|&token| token == pad).unwrap_or(tokens.len()),
                None => tokens.len(),
            };
            sequence.clear();
            for &token in &tokens[..kept] {
                let token = Token::try_from(token).ok().filter(|&token| token < 1 << 24).ok_or_else(|| {
                    KexueError::new_err(format!(
                        "sequence {number} has the token {token}; expected 0 to 16777215. Give `pad` where rows are padded"
                    ))
                })?;
                sequence.push(token);
            }
            sorter.push(&sequence).map_err(|error| raise(error.into()))?;
            self.count += 1;
        }
        Ok(())
    }
}

fn used() -> PyErr {
    KexueError::new_err("the builder has made its trie; use a new one")
}

fn contiguous<T>(slice: Result<T, numpy::AsSliceError>) -> PyResult<T> {
    slice.map_err(|_| KexueError::new_err("an array is not contiguous; use numpy.ascontiguousarray"))
}

type FlatArrays<'py> = (
    Bound<'py, PyArray1<i32>>,
    Bound<'py, PyArray1<i64>>,
    Bound<'py, PyArray1<i64>>,
    Bound<'py, PyArray1<i32>>,
    Bound<'py, PyArray1<bool>>,
);

/// A set of token sequences, asked by prefix.
#[pyclass(frozen, module = "kexue._kexue")]
pub(crate) struct Trie {
    trie: kexue_trie::Trie,
    bytes: Bytes,
    end: Option<Token>,
}

impl Trie {
    fn read(bytes: Bytes, end: Option<Token>) -> PyResult<Self> {
        let trie = kexue_trie::Trie::from_bytes(bytes.clone()).map_err(raise)?;
        Ok(Self { trie, bytes, end })
    }

    fn from_file(path: &Path, end: Option<Token>, load: bool) -> PyResult<Self> {
        let open = || {
            let mut file = std::fs::File::open(path)?;
            let bytes = if load {
                Bytes::load(&mut file)?
            } else {
                Bytes::map(&file)?
            };
            Ok((kexue_trie::Trie::from_bytes(bytes.clone())?, bytes))
        };
        let (trie, bytes) = open().map_err(|error| raise_at(path, error))?;
        Ok(Self { trie, bytes, end })
    }

    fn batch(&self) -> Batch<'_> {
        Batch::new(&self.trie, self.end)
    }
}

/// The rows of a matrix of states.
fn states(slice: &[i64]) -> &[BeamState] {
    slice.as_chunks().0
}

#[pymethods]
impl Trie {
    #[staticmethod]
    #[pyo3(name = "open")]
    fn py_open(py: Python<'_>, path: PathBuf, end: Option<u32>, load: bool) -> PyResult<Self> {
        py.detach(|| Self::from_file(&path, end, load))
    }

    #[staticmethod]
    fn from_bytes(bytes: &[u8], end: Option<u32>) -> PyResult<Self> {
        Self::read(bytes.to_vec().into(), end)
    }

    fn to_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.bytes)
    }

    /// The same trie with another end token.
    fn with_end(&self, end: Option<u32>) -> Self {
        Self {
            trie: self.trie.clone(),
            bytes: self.bytes.clone(),
            end,
        }
    }

    /// The trie's nodes as flat arrays: labels, children, tails, tokens of tails, and whether a sequence ends at each.
    fn flatten<'py>(&self, py: Python<'py>) -> PyResult<FlatArrays<'py>> {
        let flat = py.detach(|| self.trie.flatten()).map_err(raise)?;
        Ok((
            flat.labels.into_pyarray(py),
            flat.children.into_pyarray(py),
            flat.tails.into_pyarray(py),
            flat.tail_tokens.into_pyarray(py),
            flat.ends.into_pyarray(py),
        ))
    }

    /// Checks every checksum.
    fn verify(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| kexue_trie::Container::open(self.bytes.clone())?.verify())
            .map_err(raise)
    }

    fn __len__(&self) -> usize {
        self.trie.len() as usize
    }

    #[getter]
    fn nbytes(&self) -> usize {
        self.bytes.len()
    }

    #[getter]
    fn nodes(&self) -> u64 {
        self.trie.nodes()
    }

    fn allowed(&self, prefix: Vec<i64>) -> PyResult<Vec<i64>> {
        let batch = self.batch();
        let state = self.find_one(&prefix)?;
        let mut tokens = vec![0; batch.listed(&[state]).map_err(raise)?];
        let count = batch.lists(&[state], &mut [0; 2], &mut tokens).map_err(raise)?;
        tokens.truncate(count);
        Ok(tokens)
    }

    fn key(&self, sequence: Vec<i64>) -> PyResult<Option<i64>> {
        let mut key = [-1];
        self.batch()
            .keys(&[self.find_one(&sequence)?], &mut key)
            .map_err(raise)?;
        Ok((key[0] >= 0).then_some(key[0]))
    }

    fn count(&self, prefix: Vec<i64>) -> PyResult<i64> {
        let mut count = [0];
        self.batch()
            .counts(&[self.find_one(&prefix)?], &mut count)
            .map_err(raise)?;
        Ok(count[0])
    }

    /// At most `limit` of the sequences that begin with `prefix` and come after the first `skip`, whole, in order.
    fn completions(&self, py: Python<'_>, prefix: Vec<i64>, skip: usize, limit: usize) -> PyResult<Vec<Vec<i64>>> {
        py.detach(|| {
            let Some(tokens) = tokens_of(&prefix) else {
                return Ok(Vec::new());
            };
            let mut found = Vec::new();
            let mut passed = 0;
            if let Some(at) = self.trie.find(&tokens)?.filter(|_| limit > 0) {
                self.trie.completions(at, &mut |rest, _| {
                    passed += 1;
                    if passed > skip {
                        found.push(
                            prefix
                                .iter()
                                .copied()
                                .chain(rest.iter().map(|&token| token.into()))
                                .collect(),
                        );
                    }
                    match found.len() < limit {
                        true => ControlFlow::Continue(()),
                        false => ControlFlow::Break(()),
                    }
                })?;
            }
            Ok(found)
        })
        .map_err(raise)
    }

    /// Writes the root's state to each row.
    fn root(&self, mut out: PyReadwriteArray2<'_, i64>) -> PyResult<()> {
        let rows = contiguous(out.as_slice_mut())?;
        rows.as_chunks_mut().0.fill(self.batch().root());
        Ok(())
    }

    /// Writes the state after the tokens of each row.
    fn walk(
        &self,
        py: Python<'_>,
        tokens: PyReadonlyArray2<'_, i64>,
        mut out: PyReadwriteArray2<'_, i64>,
    ) -> PyResult<()> {
        let width = tokens.as_array().ncols();
        let (tokens, rows) = (contiguous(tokens.as_slice())?, contiguous(out.as_slice_mut())?);
        py.detach(|| {
            let batch = self.batch();
            for (row, state) in rows.as_chunks_mut().0.iter_mut().enumerate() {
                *state = batch.walk(&tokens[row * width..(row + 1) * width])?;
            }
            Ok(())
        })
        .map_err(raise)
    }

    /// Moves each state behind its token.
    fn step(
        &self,
        py: Python<'_>,
        mut at: PyReadwriteArray2<'_, i64>,
        tokens: PyReadonlyArray1<'_, i64>,
    ) -> PyResult<()> {
        let (rows, tokens) = (contiguous(at.as_slice_mut())?, contiguous(tokens.as_slice())?);
        py.detach(|| self.batch().step(rows.as_chunks_mut().0, tokens))
            .map_err(raise)
    }

    /// Fills masks of 32 tokens a number, `[beams, words]`.
    fn fill_bits(
        &self,
        py: Python<'_>,
        at: PyReadonlyArray2<'_, i64>,
        mut out: PyReadwriteArray2<'_, i32>,
    ) -> PyResult<()> {
        let words = out.as_array().ncols();
        let (rows, masks) = (contiguous(at.as_slice())?, contiguous(out.as_slice_mut())?);
        py.detach(|| self.batch().fill_bits(states(rows), words, masks))
            .map_err(raise)
    }

    /// Fills masks of a byte a token, `[beams, vocabulary]`.
    fn fill_bytes(
        &self,
        py: Python<'_>,
        at: PyReadonlyArray2<'_, i64>,
        mut out: PyReadwriteArray2<'_, u8>,
    ) -> PyResult<()> {
        let vocabulary = out.as_array().ncols();
        let (rows, masks) = (contiguous(at.as_slice())?, contiguous(out.as_slice_mut())?);
        py.detach(|| self.batch().fill_bytes(states(rows), vocabulary, masks))
            .map_err(raise)
    }

    /// Room for so many tokens is enough for `lists`.
    fn listed(&self, at: PyReadonlyArray2<'_, i64>) -> PyResult<usize> {
        let rows = contiguous(at.as_slice())?;
        self.batch().listed(states(rows)).map_err(raise)
    }

    /// Writes the allowed tokens of all beams, and where those of each begin; returns their number.
    fn lists(
        &self,
        py: Python<'_>,
        at: PyReadonlyArray2<'_, i64>,
        mut offsets: PyReadwriteArray1<'_, i64>,
        mut tokens: PyReadwriteArray1<'_, i64>,
    ) -> PyResult<usize> {
        let rows = contiguous(at.as_slice())?;
        let (offsets, tokens) = (contiguous(offsets.as_slice_mut())?, contiguous(tokens.as_slice_mut())?);
        py.detach(|| self.batch().lists(states(rows), offsets, tokens))
            .map_err(raise)
    }

    /// Writes the key that ends at each state, or -1.
    fn keys(&self, py: Python<'_>, at: PyReadonlyArray2<'_, i64>, mut out: PyReadwriteArray1<'_, i64>) -> PyResult<()> {
        let (rows, keys) = (contiguous(at.as_slice())?, contiguous(out.as_slice_mut())?);
        py.detach(|| self.batch().keys(states(rows), keys)).map_err(raise)
    }

    /// Writes how many sequences begin as each state does.
    fn counts(
        &self,
        py: Python<'_>,
        at: PyReadonlyArray2<'_, i64>,
        mut out: PyReadwriteArray1<'_, i64>,
    ) -> PyResult<()> {
        let (rows, counts) = (contiguous(at.as_slice())?, contiguous(out.as_slice_mut())?);
        py.detach(|| self.batch().counts(states(rows), counts)).map_err(raise)
    }
}

impl Trie {
    fn find_one(&self, prefix: &[i64]) -> PyResult<BeamState> {
        self.batch().walk(prefix).map_err(raise)
    }
}

/// The tokens, none where one can be no token.
fn tokens_of(prefix: &[i64]) -> Option<Vec<Token>> {
    prefix.iter().map(|&token| Token::try_from(token).ok()).collect()
}
