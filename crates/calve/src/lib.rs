//! The facade of calve: the operations, and the exact crates that they are built on.

pub use calve_base as base;
pub use calve_catalog as catalog;
pub use calve_lake as lake;
pub use calve_migrate as migrate;
pub use calve_parquet as footer;
pub use calve_query as query;
pub use calve_storage as storage;
pub use calve_table as table;

pub use calve_migrate::AddFiles;
pub use calve_query::Session;
pub use calve_table::{DropTable, RegisterTable};

pub use arrow;
pub use datafusion;
pub use iceberg;
pub use object_store;
pub use parquet;
