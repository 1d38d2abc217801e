//! Reading data files as rows of a table.

mod adapter;
mod ahead;
mod columns;
mod containers;
mod deletes;
mod direct;
mod lineage;
mod prune;
mod reader;
mod remap;
pub(crate) mod scalar;
mod scan;
mod source;

pub(crate) use adapter::Constants;
pub use ahead::ReadAhead;
pub(crate) use columns::TableColumns;
pub(crate) use containers::{FileContainer, ManifestContainer};
pub(crate) use deletes::{DeleteFile, positions_in};
pub(crate) use prune::{Container, Filters, Range, support};
pub(crate) use scan::{Wanted, plan};
pub(crate) use source::{ScanFile, ScanTable, in_file};
