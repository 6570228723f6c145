//! What every program of Kexue needs to write its results.
//!
//! Start with [`check_output`], which is called before the work starts, and [`write_file`], which writes the result. [`NewFile`] is the
//! same for results that are streamed.
//!
//! ```
//! use kexue_output::{check_output, write_file};
//!
//! # let folder = tempfile::tempdir()?;
//! let (input, report) = (folder.path().join("scores.csv"), folder.path().join("report.html"));
//! check_output(&report, [&input])?;
//! // … hours of work …
//! write_file(&report, b"<!doctype html>")?;
//! assert_eq!(std::fs::read(&report)?, b"<!doctype html>");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod check;
mod error;
mod lfs;
mod lock;
mod new_file;
mod path;
mod place;

pub use check::{check_folder, check_output};
pub use error::OutputError;
pub use lfs::git_lfs_problem;
pub use lock::Lock;
pub use new_file::{NewFile, write_file};
pub use path::{folder_of, real_path};
