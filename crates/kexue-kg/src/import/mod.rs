//! Reading triples from files.

mod source;
pub use source::open_text;
mod tsv;

use crate::{GraphBuilder, KgError};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// How the triples are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `subject ⇥ relation ⇥ object`, nothing escaped.
    Tsv,
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "tsv" => Ok(Self::Tsv),
            _ => Err(format!("expected `tsv`, found `{text}`")),
        }
    }
}

/// How to read.
#[derive(Clone, Copy, Debug, Default)]
pub struct ImportOptions {
    /// The format; without one it is told from the file's name.
    pub format: Option<Format>,
    /// Whether to leave out and count what is not in the format, instead of stopping there.
    pub skip_bad: bool,
}

/// What was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// Triples read.
    pub read: u64,
    /// Lines that are not in the format, left out.
    pub skipped: u64,
    /// The first line left out, and why.
    pub first_skipped: Option<String>,
}

/// Is told how many bytes of the input (packed, where it is) were read since the last call.
pub type Progress<'a> = dyn Fn(u64) + Sync + 'a;

/// Reads the triples of files into a builder, in their order; `-` is standard input.
///
/// # Errors
/// When a file cannot be read, or names the first line that is not in the format.
pub fn import(
    paths: &[PathBuf],
    options: ImportOptions,
    builder: &mut GraphBuilder,
    progress: &Progress<'_>,
) -> Result<ImportReport, KgError> {
    let mut report = ImportReport::default();
    for path in paths {
        let mut sink = Sink {
            file: name(path),
            options,
            builder: &mut *builder,
            report: &mut report,
        };
        let source = source::open(path, progress)?;
        tsv::read(source, &mut sink).map_err(|error| error.at(path))?;
    }
    Ok(report)
}

fn name(path: &Path) -> String {
    if path == Path::new("-") {
        "<stdin>".into()
    } else {
        path.display().to_string()
    }
}

/// Takes what a reader finds.
struct Sink<'a> {
    file: String,
    options: ImportOptions,
    builder: &'a mut GraphBuilder,
    report: &'a mut ImportReport,
}

/// Why a reader stopped.
enum Stop {
    Io(std::io::Error),
    Graph(KgError),
}

impl Stop {
    fn at(self, path: &Path) -> KgError {
        match self {
            Self::Io(source) => KgError::Io {
                path: name(path).into(),
                source,
            },
            Self::Graph(error) => error,
        }
    }
}

impl Sink<'_> {
    fn triple(&mut self, line: u64, triple: Result<[&str; 3], String>) -> Result<(), Stop> {
        let triple = triple.and_then(|triple| {
            for (text, field) in triple.iter().zip(["subject", "relation", "object"]) {
                if text.is_empty() {
                    return Err(format!("the {field} is empty"));
                }
            }
            Ok(triple)
        });
        match triple {
            Ok([subject, relation, object]) => {
                self.report.read += 1;
                self.builder.add(subject, relation, object).map_err(Stop::Graph)
            }
            Err(problem) if self.options.skip_bad => {
                self.report.skipped += 1;
                self.report
                    .first_skipped
                    .get_or_insert_with(|| format!("{}:{line}: {problem}", self.file));
                Ok(())
            }
            Err(problem) => Err(Stop::Graph(KgError::Line {
                file: self.file.clone(),
                line,
                problem: format!("{problem}; correct the line, or leave such lines out with --skip-bad"),
            })),
        }
    }
}
