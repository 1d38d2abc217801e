//! SQL over everything that calve knows: Iceberg tables of a catalog, their metadata tables, and
//! Parquet lakes by location. A [DataFusion](datafusion) session with a memory pool and a spill folder.
//!
//! The table provider is calve's own, because migrated tables need it: their files carry no field ids,
//! so every column, at any depth, is found through the table's name mapping; partition values come
//! from the manifests; milliseconds, INT96 and narrower types are promoted. The way of a query:
//!
//! 1. [`Session::sql`] resolves versions, metadata tables and locations in the text,
//! 2. [`IcebergTable`] plans with manifests: partitions and column bounds leave out files,
//! 3. one opener per file reads it with DataFusion's Parquet reader, its columns remapped, its
//!    deleted rows left out.
//!
//! This crate changes no table.

mod catalog;
mod error;
pub mod json;
mod lake;
mod lake_format;
mod map_exec;
mod metadata;
mod plan;
mod read;
mod records;
mod session;
mod sort_keys;
mod sql;
mod table;
mod text;

pub use error::{Error, Result};
pub use lake::{
    CureCheck, Cures, Int96Zone, Int96ZoneError, LakeTable, Nanoseconds, cured_lake_files,
    cured_lake_provider, lake_provider,
};
pub use lake_format::{LakeFormat, provider_of};
pub use map_exec::{BatchMap, MapExec};
pub use read::ReadAhead;
pub use records::{OrcTimestamps, RecordFormat, RecordTable, is_decoding, record_provider};
pub use session::{Session, SessionOptions};
pub use sort_keys::{SortKeys, leaf, path};
pub use table::{IcebergTable, TableFiles, table_provider, table_provider_at};
pub use text::{TextFormat, TextTable, text_provider};
