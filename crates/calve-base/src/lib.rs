//! The shared vocabulary of calve: where things are ([`Location`]), what tables are called
//! ([`TableIdent`]), how work reports itself ([`Progress`]), how failures speak ([`Failure`]),
//! and how people write sizes and durations ([`units`]).
//!
//! This crate does no I/O and knows no table format. Every other crate may depend on it.

mod clock;
mod failure;
mod ident;
mod location;
mod progress;
pub mod units;

pub use clock::{Clock, SystemClock};
pub use failure::Failure;
pub use ident::{IdentError, TableIdent};
pub use location::{Location, LocationError, Scheme};
pub use progress::{NoProgress, Progress, Stage};

/// Settings by Iceberg's property names (`type`, `uri`, `s3.endpoint`, …).
///
/// Ordered, so that whatever is printed or written from them is deterministic.
pub type Properties = std::collections::BTreeMap<String, String>;
