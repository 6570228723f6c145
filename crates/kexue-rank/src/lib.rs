//! Honest means of benchmark tables.

#![forbid(unsafe_code)]

mod area;
pub mod check;
pub mod error;
pub mod flips;
pub mod join;
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
pub use scores::{Scores, Selection};
pub use table::{Claim, Direction, System, Table, Task};
