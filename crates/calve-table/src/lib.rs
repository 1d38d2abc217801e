//! The Iceberg write path: what `iceberg` lacks between a data file and a commit.
//!
//! ```text
//! RecordBatch ──DataFileWriter──▶ DataFile
//! DataFile ──ManifestRoller──▶ manifests ──Append──▶ snapshot ──Transaction──▶ Catalog::commit
//! Table ──FileSet──▶ what is there already      Table ──Scan──▶ what to read, and what of it is deleted
//! Table ──metadata_tables──▶ files, entries, snapshots, history, manifests, partitions, refs, …
//! ```
//!
//! * A [`ManifestRoller`] takes files while they are still being found, and writes manifests of the
//!   table's target size beside them. In memory is one open manifest a partition spec.
//! * A [`SnapshotProducer`] says what a new snapshot consists of, given the table as it is. [`Append`]
//!   is one. It is asked again when another writer commits first, and never redoes data work.
//!   [`ReplaceFiles`] is another: it removes files, and may add some in the same snapshot;
//!   [`ReplaceManifests`] lists the same files in other manifests.
//! * A [`Transaction`] is one commit: changes of metadata and at most one snapshot, of an existing
//!   table or of one that is made by it. It retries, checks again, and cleans up after itself.
//! * A [`FileSet`] finds duplicates in time that grows with the files on both sides, at 16 bytes each.
//! * A [`Scan`] lists the live data files of a snapshot with the deletes that apply to each.
//! * [`metadata_tables`] show a table's own story in Iceberg's columns.
//!
//! Manifests are read and written by Avro code of this crate, field by field after their ids:
//! `apache-avro` builds a tree of values for each entry, and `iceberg`'s types on top of it drop what
//! they do not know (bounds of dropped columns, the difference between an empty map and none).
//!
//! The crate reads no Parquet but the footers of what it wrote, and plans nothing.

mod avro;
mod data_file;
pub mod drop_table;
mod error;
mod evolve_schema;
mod field_metadata;
mod file_set;
mod leftovers;
mod live_files;
mod manifest;
mod manifests;
pub mod metadata_tables;
mod new_table;
mod partition;
mod partition_by;
mod position_deletes;
mod properties;
mod references;
pub mod register_table;
mod replace;
mod replace_manifests;
mod roller;
mod row_lineage;
mod scan;
mod snapshot;
mod snapshot_lookup;
mod sort_by;
mod summary;
mod task;
mod totals;
mod transaction;

pub use avro::AvroError;
pub use data_file::{
    DEFAULT_OPEN_FILES, DEFAULT_TARGET_FILE_BYTES, DEFAULT_WRITE_MEMORY_BYTES, DataError,
    DataFileWriter, NotCopied, RowGroupWriter,
};
pub use drop_table::DropTable;
pub use error::{Error, Result};
pub use evolve_schema::{SchemaChange, evolve_schema, schema_of_rows};
pub use field_metadata::FieldMetadata;
pub use file_set::{Collisions, DEFAULT_MANIFEST_CONCURRENCY, FileSet};
pub use leftovers::Leftovers;
pub use live_files::{
    TableFolders, file_key, live_files, owns_files, statistics_files, table_folders,
};
pub use manifest::{Bounds, ContentFile, Counts, Entry};
pub use manifests::load_manifests;
pub use new_table::NewTable;
pub use partition::value_types as partition_value_types;
pub use partition_by::{PartitionBy, PartitionByError, spelling};
pub use position_deletes::{DeletedPositions, PositionDeleteWriter};
pub use properties::{DEFAULT_MANIFEST_TARGET_BYTES, manifest_target_bytes};
pub use references::{check_references, references};
pub use register_table::RegisterTable;
pub use replace::{NewDeletes, ReplaceFiles};
pub use replace_manifests::{ManifestGroup, ManifestSelection, ReplaceManifests};
pub use roller::{ManifestRoller, WrittenManifests};
pub use row_lineage::{
    LAST_UPDATED_COLUMN, LAST_UPDATED_FIELD_ID, ROW_ID_COLUMN, ROW_ID_FIELD_ID, with_row_lineage,
};
pub use scan::{DeleteFile, DeleteKey, FileFilter, ManifestFilter, Scan, ScanFile};
pub use snapshot::{Append, Attempt, Produced, SnapshotProducer, new_snapshot_id};
pub use snapshot_lookup::SnapshotLookup;
pub use sort_by::{SortBy, SortByError, SortByField};
pub use totals::FileTotals;
pub use transaction::{MetadataChange, Report, Revalidation, Transaction};
