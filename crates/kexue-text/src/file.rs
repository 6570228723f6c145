//! The vocabulary as a readable file: a header, then one character a line.
//!
//! ```text
//! kexue-vocabulary 1 keep-case
//! 的
//! \u{20}
//! ```
//!
//! Special tokens and bytes are the same in every vocabulary and are not listed. White space, control characters and the backslash are
//! written `\u{hex}`, so that no editor changes them.

use crate::Vocabulary;
use kexue_output::{OutputError, read_text, write_file};
use std::path::{Path, PathBuf};
use thiserror::Error;

const MAGIC: &str = "kexue-vocabulary 1";

/// Why a vocabulary could not be read.
#[derive(Debug, Error)]
pub enum VocabularyError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's message.
        source: std::io::Error,
    },
    /// A line is not in the format.
    #[error("vocabulary, line {line}: {problem}")]
    Line {
        /// Line number, from 1.
        line: usize,
        /// What was found, what was expected.
        problem: String,
    },
    /// [`VocabularyError::Line`] in a named file.
    #[error("{path}:{line}: {problem}")]
    File {
        /// The file.
        path: PathBuf,
        /// Line number, from 1.
        line: usize,
        /// What was found, what was expected.
        problem: String,
    },
    /// The vocabulary cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
}

fn escaped(character: char) -> bool {
    character.is_whitespace() || character.is_control() || character == '\\'
}

impl Vocabulary {
    /// The vocabulary as text, in the file's format.
    pub fn to_text(&self) -> String {
        let case = if self.folds_case() { "fold-case" } else { "keep-case" };
        let mut text = format!("{MAGIC} {case}\n");
        for &character in self.characters() {
            if escaped(character) {
                text.push_str(&format!("\\u{{{:x}}}\n", character as u32));
            } else {
                text.push(character);
                text.push('\n');
            }
        }
        text
    }

    /// Reads a vocabulary from text in the file's format.
    ///
    /// # Errors
    /// If the text is not in the format. The error names the line, what was found and what was expected.
    pub fn from_text(text: &str) -> Result<Self, VocabularyError> {
        let problem = |line: usize, problem: String| VocabularyError::Line { line, problem };
        let mut lines = text.lines();
        let header = lines.next().unwrap_or_default();
        let fold_case = match header.strip_prefix(MAGIC).map(str::trim) {
            Some("fold-case") => true,
            Some("keep-case") => false,
            _ => {
                return Err(problem(
                    1,
                    format!("expected `{MAGIC} keep-case` or `{MAGIC} fold-case`, found `{header}`"),
                ));
            }
        };
        let mut characters = Vec::new();
        for (index, line) in lines.enumerate() {
            let character = parse_character(line).ok_or_else(|| {
                problem(
                    index + 2,
                    format!("expected one character or `\\u{{hex}}`, found `{line}`"),
                )
            })?;
            characters.push(character);
        }
        let vocabulary = Self::new(characters.iter().copied(), fold_case);
        if vocabulary.characters().len() != characters.len() {
            let index = characters
                .iter()
                .zip(vocabulary.characters())
                .position(|(read, kept)| read != kept)
                .unwrap_or(vocabulary.characters().len());
            return Err(problem(
                index + 2,
                format!(
                    "`{}` occurs a second time, or is a capital letter in a vocabulary that folds case; remove the line",
                    characters[index].escape_debug()
                ),
            ));
        }
        Ok(vocabulary)
    }

    /// Writes the vocabulary to a file.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), VocabularyError> {
        Ok(write_file(path, self.to_text().as_bytes())?)
    }

    /// Reads a vocabulary file.
    ///
    /// # Errors
    /// If the file cannot be read or is not in the format. The error names the line.
    pub fn load(path: &Path) -> Result<Self, VocabularyError> {
        let text = read_text(path).map_err(|source| VocabularyError::Io {
            path: path.to_path_buf(),
            source,
        })?;
        Self::from_text(&text).map_err(|error| match error {
            VocabularyError::Line { line, problem } => VocabularyError::File {
                path: path.to_path_buf(),
                line,
                problem,
            },
            other => other,
        })
    }
}

fn parse_character(line: &str) -> Option<char> {
    if let Some(hexadecimal) = line.strip_prefix("\\u{") {
        let code = u32::from_str_radix(hexadecimal.strip_suffix('}')?, 16).ok()?;
        return char::from_u32(code);
    }
    let mut characters = line.chars();
    let character = characters.next()?;
    (characters.next().is_none() && !escaped(character)).then_some(character)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn problem(text: &str) -> String {
        Vocabulary::from_text(text).unwrap_err().to_string()
    }

    #[test]
    fn says_which_line_is_wrong() {
        assert_eq!(
            problem("vocab\n"),
            "vocabulary, line 1: expected `kexue-vocabulary 1 keep-case` or `kexue-vocabulary 1 fold-case`, found `vocab`"
        );
        assert_eq!(
            problem("kexue-vocabulary 1 keep-case\na\nbc\n"),
            "vocabulary, line 3: expected one character or `\\u{hex}`, found `bc`"
        );
        assert!(problem("kexue-vocabulary 1 keep-case\na\nb\na\n").contains("line 4: `a` occurs a second time"));
        assert!(problem("kexue-vocabulary 1 fold-case\na\nB\nc\n").contains("line 3: `B`"));
        assert!(problem("kexue-vocabulary 1 keep-case\n\\u{d800}\n").contains("line 2"));
    }

    #[test]
    fn names_a_missing_file() {
        let error = Vocabulary::load(Path::new("no/such/vocab.txt")).unwrap_err();
        assert!(error.to_string().starts_with("no/such/vocab.txt: "));
    }

    proptest! {
        #[test]
        fn text_round_trip(characters in any::<String>(), fold_case: bool) {
            let vocabulary = Vocabulary::new(characters.chars(), fold_case);
            let read = Vocabulary::from_text(&vocabulary.to_text()).unwrap();
            prop_assert_eq!(read.characters(), vocabulary.characters());
            prop_assert_eq!(read.folds_case(), fold_case);
        }

        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = Vocabulary::from_text(&text);
            let _ = Vocabulary::from_text(&format!("{MAGIC} fold-case\n{text}"));
        }
    }
}
