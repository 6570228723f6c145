//! Averages of benchmark tables over equal columns (article 8783): ranks by any mean, rank flips, votes, and a check of printed averages.
//!
//! Start with [`read::read_paths`], which reads files into a [`Table`], or with [`Table::from_scores`]. [`Table::select`] turns a table into
//! [`Scores`], which have no missing cells. Everything that ranks takes [`Scores`], so no mean is ever taken over unequal columns.
//!
//! ```
//! use kexue_rank::check::{Formula, Options, check};
//! use kexue_rank::{Columns, Mean, Selection, read};
//!
//! let file = "Model,A,B,C,Average\nx,90,50,70,70\ny,60,64,80,68\nz,60,71,-,65.5\n";
//! let table = read::read_bytes("table.csv", file.as_bytes(), &read::Options::default())?;
//! assert!(table.select(&Selection::default()).is_err()); // C of z is missing
//!
//! let common = Selection { columns: Columns::Common, ..Selection::default() };
//! let scores = table.select(&common)?;
//! assert_eq!(scores.ranks(&scores.means(Mean::ARITHMETIC)?), [1, 3, 2]);
//!
//! let found = check(&table, &Options::default())?;
//! assert_eq!(found.claims[0].rules[0].formula, Formula::Mean(Mean::ARITHMETIC));
//! assert!(found.findings[0].contains("different columns")); // z is averaged over A and B only
//! # Ok::<(), kexue_rank::Error>(())
//! ```
//!
//! - [`read`], [`join`]: reading files of common formats into a [`Table`], with missing cells; guesses are noted
//! - [`scores`]: choosing and weighting rows and columns
//! - [`Mean`], [`ranking`]: power means, the median, and ranks
//! - [`flips`], [`swap`]: which systems change places when the exponent changes, at which exponents, and which never do
//! - [`resample`]: the bootstrap over tasks, and leaving out one task
//! - [`vote`]: the voting rules of *Vote'n'Rank*
//! - [`check`](mod@check): which rule reproduces a printed average
//! - [`present`], [`report`], [`picture`]: results as text, Markdown, JSON and a page with charts
//! - [`Error::message`], [`advice`]: messages whose advice names settings, by their fields or as the caller likes
//!
//! Only the bootstrap is random, and it is a function of its seed.

#![forbid(unsafe_code)]

pub mod advice;
mod area;
mod cell;
pub mod check;
mod disagreement;
mod doubt;
pub mod error;
pub mod flips;
pub mod join;
mod markup;
pub mod mean;
mod missing;
pub(crate) mod number;
pub mod picture;
mod power_sum;
pub mod present;
pub mod ranking;
pub mod read;
pub mod report;
pub mod resample;
pub mod scores;
mod subsets;
pub mod swap;
pub mod table;
pub mod vote;

pub use error::{Error, Result};
pub use mean::Mean;
pub use scores::{Columns, Scores, Selection};
pub use table::{Claim, Direction, System, Table, Task};

#[cfg(doctest)]
#[doc = include_str!("../docs/rank.md")]
struct Page;
