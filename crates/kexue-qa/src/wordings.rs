//! Wordings to exclude from generated questions, such as those that a model is tested on.

use crate::templates::SUBJECT;
use crate::{Error, Result};
use std::collections::BTreeSet;
use std::io::BufRead;
use std::path::Path;

/// A set of wordings. Comparison ignores case, spaces and punctuation.
#[derive(Clone, Debug, Default)]
pub struct Wordings(BTreeSet<String>);

impl Wordings {
    /// No wordings.
    pub const fn none() -> Self {
        Self(BTreeSet::new())
    }

    /// Adds the wordings of a file: the last field of each line, with `{S}` for the subject. Lines that begin with `#` are comments.
    ///
    /// # Errors
    /// If the file cannot be read, or a wording has no `{S}`.
    pub fn read(&mut self, path: &Path) -> Result<()> {
        for (index, line) in kexue_kg::open_text(path)?.lines().enumerate() {
            let problem = |problem: String| Error::Line {
                path: path.to_path_buf(),
                line: index + 1,
                problem,
            };
            let line = line.map_err(|error| problem(kexue_kg::unreadable(&error)))?;
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let wording = line.rsplit('\t').next().unwrap_or(&line);
            if !wording.contains("{S}") {
                return Err(problem(
                    "the wording (the last field of the line) has no {S}, which stands for the subject".to_owned(),
                ));
            }
            self.0.insert(normal(&wording.replace("{S}", &SUBJECT.to_string())));
        }
        Ok(())
    }

    /// Whether a wording, with [`SUBJECT`] for the subject, is one of these.
    pub(crate) fn contains(&self, wording: &str) -> bool {
        !self.0.is_empty() && self.0.contains(&normal(wording))
    }
}

/// A text in lower case, without spaces and punctuation.
fn normal(text: &str) -> String {
    let kept = text.chars().filter(|c| c.is_alphanumeric() || *c == SUBJECT);
    kept.flat_map(char::to_lowercase).collect()
}
