//! Recognises files that are not indexes.

use crate::error::KgError;
use crate::remedy::Remedy;
use kexue_output::git_lfs_problem;
use std::path::Path;

/// The number of bytes at the start of a file that are examined.
const BEGINNING: usize = 4096;

/// An error that says what a file is instead of an index.
pub(crate) fn not_an_index(path: &Path, bytes: &[u8]) -> KgError {
    let beginning = &bytes[..bytes.len().min(BEGINNING)];
    let file = path.display().to_string();
    if let Some(problem) = git_lfs_problem(beginning) {
        let problem = problem.into();
        return KgError::Input { file, problem };
    }
    KgError::Setting {
        file,
        problem: format!("this is {}, not an index", kind(beginning)),
        remedy: Remedy::Build,
    }
}

fn kind(beginning: &[u8]) -> &'static str {
    match beginning {
        [] => return "an empty file",
        [0x1f, 0x8b, ..] => return "a file packed with gzip",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => return "a file packed with Zstandard",
        [b'P', b'A', b'R', b'1', ..] => return "a file of Apache Parquet",
        _ => {}
    }
    // The last character may be cut off.
    let text = match std::str::from_utf8(beginning) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&beginning[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return "something else",
    };
    let line = text.trim_start_matches('\u{feff}').lines().next().unwrap_or_default();
    if text.contains(|character: char| character.is_control() && !character.is_whitespace()) {
        "something else"
    } else if line.matches('\t').count() == 2 {
        "text with three fields a line: triples"
    } else if line.starts_with(['{', '[']) {
        "JSON"
    } else if line.starts_with('<') && line.trim_end().ends_with('.') {
        "N-Triples"
    } else {
        "text"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named() {
        for (bytes, expected) in [
            (&b""[..], "an empty file"),
            (b"\x1f\x8b\x08\0", "a file packed with gzip"),
            (b"PAR1\0\0", "a file of Apache Parquet"),
            ("甲\t乙\t丙\n丁".as_bytes(), "text with three fields a line: triples"),
            (
                &"\u{feff}甲\t乙\t丙\n丁".as_bytes()[..14],
                "text with three fields a line: triples",
            ),
            (b"{\"subject\": 1}", "JSON"),
            (b"<s> <p> \"o\" .\n", "N-Triples"),
            (b"a,b,c\n", "text"),
            (b"\0\x01\x02\xff", "something else"),
        ] {
            assert_eq!(kind(bytes), expected);
        }
        let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n";
        let error = not_an_index(Path::new("my.idx"), pointer).to_string();
        assert!(error.starts_with("my.idx: this is a Git LFS pointer"), "{error}");
    }
}
