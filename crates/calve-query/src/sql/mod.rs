//! What calve adds to SQL: versions of tables, metadata tables, lakes by location, and names in any case.

mod spelling;
mod tables;
mod timestamps;
mod version;

pub(crate) use spelling::{Spellings, respell};
pub(crate) use tables::{TableName, replace_tables, table_names};
pub(crate) use timestamps::count_microseconds;
pub(crate) use version::{Version, snapshot_at, take_versions};
