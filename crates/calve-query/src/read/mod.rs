//! Reading data files as rows of a table.

mod adapter;
mod columns;
mod containers;
mod deletes;
mod lineage;
mod prune;
mod reader;
mod remap;
pub(crate) mod scalar;
mod scan;
mod source;

pub(crate) use adapter::Constants;
pub(crate) use columns::TableColumns;
pub(crate) use containers::{FileContainer, ManifestContainer};
pub(crate) use deletes::{DeleteFile, positions_in};
pub(crate) use prune::{Container, Filters, Range, support};
pub(crate) use scan::{Wanted, plan};
pub(crate) use source::{ScanFile, ScanTable, in_file};
