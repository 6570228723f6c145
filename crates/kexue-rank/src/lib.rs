//! Honest means of benchmark tables (article 8783): a mean over unequal columns is an error.
//!
//! - [`read`], [`join`]: files of any common form become a [`Table`], missing cells and all; what was guessed is said
//! - [`Table::select`] with a [`Selection`]: which rows and columns, and how they weigh; [`Scores`] have no missing cell
//! - [`Mean`], [`ranking`]: power means, the median, and ranks
//! - [`flips`], [`swap`]: which systems change places when the exponent changes, at which exponents, and which never do
//! - [`resample`]: the bootstrap over tasks, and leaving one out
//! - [`vote`]: the voting rules of *Vote'n'Rank*
//! - [`check`]: which mean over which columns reproduces a printed average
//! - [`present`], [`report`], [`picture`]: results as text, Markdown, JSON and a page with charts
//!
//! Nothing here is random but the bootstrap, which is a function of its seed.

#![forbid(unsafe_code)]

mod area;
mod cell;
pub mod check;
pub mod error;
pub mod flips;
pub mod join;
mod markup;
pub mod mean;
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
#[doc = include_str!("../../../docs/rank.md")]
struct Page;
