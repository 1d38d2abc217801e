//! Upkeep of tables: small files become large ones, and what was deleted goes for good.
//!
//! ```text
//! Scan ──plan──▶ groups of files ──rewrite──▶ new files ──ReplaceFiles──▶ one snapshot, or a few
//! ```
//!
//! * [`plan`](mod@plan) decides, by the formulas of Spark's `rewrite_data_files`, which files are worth
//!   rewriting and together with which others. It is a pure function of what manifests say.
//! * [`Compact`] carries a plan out: each group is read with its deletes applied, written anew at the
//!   table's target size, in the order that a [`Strategy`] says, and committed beside whatever other
//!   writers do.
//! * [`RewriteDeletes`] makes fewer and larger files of position deletes, or deletion vectors.
//!
//! The crate knows no lake: it reads and writes tables.

mod clean_up;
mod commit;
mod compact;
mod copy;
mod dangling;
mod error;
pub mod expire;
pub mod manifests;
pub mod options;
mod ordered_rows;
pub mod orphans;
mod pack;
pub mod plan;
mod rewrite;
pub mod rewrite_deletes;
mod strategy;
mod z_order;

pub use calve_table::{SortBy, SortByError};
pub use clean_up::{FileKind, UnreachableFile};
pub use compact::{Compact, Report};
pub use error::{Error, Result};
pub use expire::{CleanUpLevel, ExpireSnapshots};
pub use manifests::RewriteManifests;
pub use options::RewriteOptions;
pub use orphans::{PrefixMismatchMode, RemoveOrphans};
pub use plan::{FileGroup, LeftAlone, LeftFile, Plan};
pub use rewrite_deletes::RewriteDeletes;
pub use strategy::Strategy;
