//! Honest means of benchmark tables.

#![forbid(unsafe_code)]

pub mod error;
pub mod join;
pub mod mean;
pub(crate) mod number;
pub mod read;
pub mod scores;
pub mod table;

pub use error::{Error, Result};
pub use mean::Mean;
pub use scores::{Scores, Selection};
pub use table::{Claim, Direction, System, Table, Task};
