//! Work that runs elsewhere: submitted, watched, cancelled, and what it cost.
//!
//! Each engine is a cargo feature:
//!
//! - `athena` (on by default): `Athena` runs SQL in Amazon Athena, and hands over the rows that it answers.
//!
//! This crate decides nothing about what runs.

#[cfg(feature = "athena")]
mod athena;
mod error;

#[cfg(feature = "athena")]
pub use athena::{Athena, AthenaOptions, AthenaResult, DEFAULT_QUERY_TIMEOUT};
pub use error::{Cause, Error, Result};
