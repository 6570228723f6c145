//! Safe output: files that are written atomically, checks before the work starts, locks, and the HTML page of reports.
//!
//! Start with [`check_output`], which is called before the work starts, and [`write_file`], which writes the result. [`NewFile`] is the
//! same for results that are streamed, [`Lock`] keeps a second process out of a run's folder, and [`Page`] is the HTML of a report.
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
mod input;
mod lock;
mod new_file;
mod number;
mod page;
mod path;
mod place;
mod text_table;

pub use check::{check_folder, check_output};
pub use error::OutputError;
pub use input::{git_lfs_problem, read_text, text_input};
pub use lock::Lock;
pub use new_file::{NewFile, write_file};
pub use number::{mean_with_error, standard_error, with_error};
pub use page::{Page, escape_html, series_colour};
pub use path::{folder_of, real_path};
pub use text_table::text_table;
