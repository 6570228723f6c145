//! The first bytes of input files: byte order marks and Git LFS pointers.
//!
//! They are in this crate because every reader of texts and weights needs them.

use std::io::{BufRead, Chain, Cursor, Error, ErrorKind, Read, Result};
use std::path::Path;

/// The first bytes of every Git LFS pointer (<https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md>).
const POINTER: &[u8] = b"version https://git-lfs.github.com/spec/v1";
/// U+FEFF in UTF-8, which some editors write at the start of a text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A message if a file that starts with these bytes is a Git LFS pointer. Readers check this before they report a file as damaged, because a clone
/// without Git LFS has such small text files in place of large ones.
pub fn git_lfs_problem(beginning: &[u8]) -> Option<&'static str> {
    beginning
        .starts_with(POINTER)
        .then_some("this is a Git LFS pointer, not the file itself; fetch the file with `git lfs pull`, or download it")
}

/// The text of a reader, without a byte order mark.
///
/// # Errors
/// If the first bytes cannot be read, or are those of a Git LFS pointer.
pub fn text_input<R: BufRead>(mut reader: R) -> Result<Chain<Cursor<Vec<u8>>, R>> {
    // A pipe may give fewer bytes at first.
    let mut beginning = Vec::new();
    reader.by_ref().take(POINTER.len() as u64).read_to_end(&mut beginning)?;
    if let Some(problem) = git_lfs_problem(&beginning) {
        return Err(Error::new(ErrorKind::Unsupported, problem));
    }
    if beginning.starts_with(BYTE_ORDER_MARK) {
        beginning.drain(..BYTE_ORDER_MARK.len());
    }
    Ok(Cursor::new(beginning).chain(reader))
}

/// The text of a file, without a byte order mark.
///
/// # Errors
/// If the file cannot be read, is not UTF-8, or is a Git LFS pointer.
pub fn read_text(path: &Path) -> Result<String> {
    let mut text = String::new();
    text_input(std::io::BufReader::new(std::fs::File::open(path)?))?.read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &[u8] = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";

    #[test]
    fn pointers_are_recognised() {
        assert!(git_lfs_problem(WHOLE).is_some_and(|problem| problem.contains("git lfs pull")));
        for other in [&b""[..], b"version https://git-lfs", b"PK\x03\x04"] {
            assert_eq!(git_lfs_problem(other), None);
        }
        assert!(text_input(WHOLE).is_err_and(|error| error.to_string().starts_with("this is a Git LFS pointer")));
    }

    #[test]
    fn a_byte_order_mark_is_no_character_at_the_beginning_alone() {
        let read = |bytes: &[u8]| {
            let mut text = String::new();
            text_input(bytes)
                .and_then(|mut input| input.read_to_string(&mut text))
                .map(|_| text)
        };
        assert_eq!(read(b"\xef\xbb\xbfab\xef\xbb\xbf").unwrap(), "ab\u{feff}");
        for text in ["", "a", "甲", "甲乙丙丁戊己庚辛壬癸甲乙丙丁戊己庚辛壬癸\n"] {
            assert_eq!(read(text.as_bytes()).unwrap(), text);
        }
        assert!(read(b"\xef\xbb\xbf\xff").is_err());
        let lines: Vec<String> = text_input(&b"\xef\xbb\xbfa\nb"[..])
            .unwrap()
            .lines()
            .map(Result::unwrap)
            .collect();
        assert_eq!(lines, ["a", "b"]);
    }
}
