//! The Iceberg write path: what `iceberg` lacks between a data file and a commit.

mod avro;
pub mod drop_table;
mod error;
mod file_set;
mod manifest;
mod manifests;
pub mod metadata_tables;
mod new_table;
mod partition;
mod properties;
pub mod register_table;
mod roller;
mod scan;
mod snapshot;
mod snapshot_lookup;
mod summary;
mod task;
mod totals;
mod transaction;

pub use avro::AvroError;
pub use drop_table::DropTable;
pub use error::{Error, Result};
pub use file_set::{Collisions, DEFAULT_MANIFEST_CONCURRENCY, FileSet};
pub use manifest::{Bounds, ContentFile, Counts, Entry};
pub use manifests::load_manifests;
pub use new_table::NewTable;
pub use properties::DEFAULT_MANIFEST_TARGET_BYTES;
pub use register_table::RegisterTable;
pub use roller::{ManifestRoller, WrittenManifests};
pub use scan::{DeleteFile, FileFilter, ManifestFilter, Scan, ScanFile};
pub use snapshot::{Append, Attempt, Produced, SnapshotProducer, new_snapshot_id};
pub use snapshot_lookup::SnapshotLookup;
pub use totals::FileTotals;
pub use transaction::{MetadataChange, Report, Revalidation, Transaction};
