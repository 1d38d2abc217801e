//! Parquet files as Iceberg sees them: schemas, types that can and cannot be read in place, columns
//! resolved by field id or name mapping, footers turned into metrics.
//!
//! Pure functions over bytes and footers. This crate opens nothing and knows no catalog.

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
pub use union::{Drift, SchemaUnion};
