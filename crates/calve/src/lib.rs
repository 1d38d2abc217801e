//! The facade of calve.
pub use calve_base as base;
pub use calve_catalog as catalog;
pub use calve_storage as storage;
pub use calve_table as table;
pub use iceberg;
pub use parquet;
