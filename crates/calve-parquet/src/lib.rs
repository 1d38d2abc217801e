//! Parquet files as Iceberg sees them: schemas, types that can and cannot be read in place, columns
//! resolved by field id or name mapping, footers turned into metrics.
//!
//! Pure functions over bytes and footers. This crate opens nothing and knows no catalog.
//!
//! A file's way into a table: [`SchemaCache`] turns its footer into a [`FileSchema`] under a
//! [`TypePolicy`] (once per distinct schema), whose [`Finding`]s say what cannot be read right in place;
//! [`SchemaUnion`] absorbs it, growing the schema of a new table or checking it against an existing one,
//! and gives the [`ColumnMapping`]; with that, [`file_metrics`] turns the footer's statistics into
//! bounds in the table's types. The union's [`NameMapping`] goes into the table, so that readers find the
//! columns of files without field ids under every spelling that was seen.
//!
//! Types are read from the *Parquet* schema, not from Arrow's reading of it: Arrow has no UUID, cannot say
//! how a list is shaped, and fails on what only has to be refused.

mod error;
mod hive_type;
mod metrics;
mod metrics_config;
mod name_mapping;
mod policy;
mod resolve;
mod schema;
mod types;
mod union;

pub use error::{Error, Result};
pub use hive_type::{HiveColumn, HiveField, HiveType};
pub use metrics::{
    FileMetrics, PartitionUnknown, PartitionValue, constant_value, file_metrics, partition_value,
};
pub use metrics_config::{
    DEFAULT_METRICS_MAX_COLUMNS, DEFAULT_METRICS_MODE, METRICS_COLUMN_PREFIX,
    METRICS_DEFAULT_PROPERTY, METRICS_MAX_COLUMNS_PROPERTY, MetricsConfig, MetricsMode,
};
pub use name_mapping::{MappedField, NAME_MAPPING_PROPERTY, NameMapping};
pub use policy::{Finding, FindingCode, Severity, TypePolicy};
pub use resolve::{ColumnMapping, FieldMapping, LeafMapping, UnprovenField, resolve, resolve_with};
pub use schema::{
    FileField, FileSchema, FileType, IdCoverage, Physical, SchemaCache, file_findings,
    writes_int96_instants,
};
pub use types::type_text;
pub use union::{Drift, SchemaUnion};
