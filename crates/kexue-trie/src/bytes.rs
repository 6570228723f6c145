//! Shared, immutable bytes: mapped from a file, owned, or part of the program.

use memmap2::{Mmap, MmapMut};
use std::fs::File;
use std::io::{Error, ErrorKind, Read};
use std::ops::Range;
use std::sync::Arc;

#[derive(Clone, Debug)]
enum Source {
    Static(&'static [u8]),
    Owned(Arc<Vec<u8>>),
    Mapped(Arc<Mmap>),
}

/// Fewer bytes than these fit a few pages anyway.
const LARGE: usize = 4 << 20;

/// A range of immutable bytes that is cheap to clone and to slice.
#[derive(Clone, Debug)]
pub struct Bytes {
    source: Source,
    start: usize,
    end: usize,
}

impl Bytes {
    /// Maps a file into memory.
    ///
    /// The file must not be changed or shortened in place while it is mapped; index files never are, they appear by rename.
    ///
    /// # Errors
    /// If the system cannot map the file.
    #[allow(unsafe_code)]
    pub fn map(file: &File) -> std::io::Result<Self> {
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            let problem = "is a folder or a pipe; expected a file that can be mapped into memory";
            return Err(Error::new(ErrorKind::InvalidInput, problem));
        }
        if metadata.len() == 0 {
            return Ok(Self::from(Vec::new()));
        }
        // SAFETY: a slice of the mapping is sound as long as nobody changes or shortens the file in place, which no check of ours can see to:
        // it is the caller's to keep, and what writes index files keeps it, as they appear by rename. Where another program breaks it, bytes
        // change under a reader, which checks what it reads each time it reads it, or a page that is gone ends the program with SIGBUS.
        let map = unsafe { Mmap::map(file)? };
        // A walk goes all over the file: fewer, larger pages make it faster, and the first opening too. Where the system has none, so be it.
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::HugePage);
        Ok(Self {
            start: 0,
            end: map.len(),
            source: Source::Mapped(Arc::new(map)),
        })
    }

    /// The bytes.
    #[inline(always)]
    pub fn as_slice(&self) -> &[u8] {
        let all: &[u8] = match &self.source {
            Source::Static(bytes) => bytes,
            Source::Owned(bytes) => bytes,
            Source::Mapped(map) => map,
        };
        all.get(self.start..self.end).unwrap_or_default()
    }

    /// Reads a file into memory of the process's own, in large pages where the system has them.
    ///
    /// What walks all over the bytes then looks fewer addresses up than in a mapped file, but processes do not share the memory.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn load(file: &mut File) -> std::io::Result<Self> {
        let length = usize::try_from(file.metadata()?.len()).map_err(Error::other)?;
        Self::in_large_pages(length, |bytes| file.read_exact(bytes))
    }

    /// Moves bytes to large pages, where there are enough of them for that to matter.
    pub(crate) fn owned(bytes: Vec<u8>) -> Self {
        if bytes.len() <= LARGE {
            return bytes.into();
        }
        let moved = Self::in_large_pages(bytes.len(), |to| {
            to.copy_from_slice(&bytes);
            Ok(())
        });
        moved.unwrap_or_else(|_| bytes.into())
    }

    fn in_large_pages(length: usize, fill: impl FnOnce(&mut [u8]) -> std::io::Result<()>) -> std::io::Result<Self> {
        if length <= LARGE {
            let mut bytes = vec![0; length];
            fill(&mut bytes)?;
            return Ok(bytes.into());
        }
        let mut map = MmapMut::map_anon(length)?;
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::HugePage);
        fill(&mut map)?;
        Ok(Self {
            start: 0,
            end: length,
            source: Source::Mapped(Arc::new(map.make_read_only()?)),
        })
    }

    /// The number of bytes.
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A part of these bytes, `None` where the range is not inside.
    pub fn slice(&self, range: Range<usize>) -> Option<Self> {
        if range.start > range.end || range.end > self.len() {
            return None;
        }
        Some(Self {
            source: self.source.clone(),
            start: self.start + range.start,
            end: self.start + range.end,
        })
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self {
            start: 0,
            end: bytes.len(),
            source: Source::Owned(Arc::new(bytes)),
        }
    }
}

impl From<&'static [u8]> for Bytes {
    fn from(bytes: &'static [u8]) -> Self {
        Self {
            source: Source::Static(bytes),
            start: 0,
            end: bytes.len(),
        }
    }
}

impl std::ops::Deref for Bytes {
    type Target = [u8];

    #[inline(always)]
    fn deref(&self) -> &[u8] {
        self.as_slice()
    }
}

/// The little-endian word at byte `at`, `None` beyond the end.
#[inline(always)]
pub(crate) fn word(bytes: &[u8], at: usize) -> Option<u64> {
    let end = at.checked_add(8)?;
    Some(u64::from_le_bytes(bytes.get(at..end)?.try_into().ok()?))
}

/// Asks for the line of memory where element `at` begins, where there is one: what needs it later waits less.
#[inline(always)]
#[allow(unsafe_code)]
pub(crate) fn prefetch<T>(slice: &[T], at: usize) {
    #[cfg(target_arch = "x86_64")]
    if let Some(element) = slice.get(at) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint; it reads nothing that the program sees and cannot fault, and the address is one of a slice.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(element).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (slice, at);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn bytes_are_the_same_wherever_they_are() {
        for length in [0, 5, LARGE + 5] {
            let bytes: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(&bytes).unwrap();
            let mut opened = File::open(file.path()).unwrap();
            assert_eq!(Bytes::map(&opened).unwrap().as_slice(), bytes);
            assert_eq!(Bytes::load(&mut opened).unwrap().as_slice(), bytes);
            assert_eq!(Bytes::owned(bytes.clone()).as_slice(), bytes);
        }
    }
}
