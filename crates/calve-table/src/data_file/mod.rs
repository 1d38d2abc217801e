//! Writing data files: record batches become Parquet by the table's schema, spec and properties.
//!
//! A [`DataFileWriter`] takes batches of any partition, in any order. It keeps one file open a
//! partition, ends it at the table's target size, and describes it for a manifest by its own footer.
//! Memory is bounded: when the row groups under way together grow too large, the largest is written.

mod conform;
mod file;
mod nan_counts;
mod parquet;
mod paths;
mod row_groups;
mod schema;
mod split;

use std::collections::HashMap;
use std::sync::Arc;

use ::parquet::file::metadata::ParquetMetaData;
use ::parquet::file::properties::WriterProperties;
use ::parquet::schema::types::SchemaDescriptor;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef as ArrowSchemaRef;
use calve_base::Location;
use calve_parquet::{
    ColumnMapping, FileSchema, MetricsConfig, MetricsMode, TypePolicy, file_metrics, resolve,
};
use calve_storage::{PART_BYTES, Storage};
use iceberg::arrow::schema_to_arrow_schema;
use iceberg::spec::{
    DataContentType, DataFile, DataFileBuilder, DataFileFormat, PartitionSpecRef, SchemaRef,
    Struct, TableMetadata,
};
use uuid::Uuid;

use self::conform::conform;
use self::file::Memory;
pub(crate) use self::file::ParquetFile;
use self::nan_counts::NanColumns;
pub use self::parquet::DEFAULT_TARGET_FILE_BYTES;
use self::parquet::target_file_bytes;
pub(crate) use self::parquet::writer_properties;
pub(crate) use self::paths::{Paths, data_folder};
pub use self::row_groups::{NotCopied, RowGroupWriter};
use self::schema::parquet_schema;
use self::split::Splitter;
use crate::row_lineage::{LAST_UPDATED_FIELD_ID, ROW_ID_FIELD_ID, with_row_lineage};
use crate::{Error, Result};

/// How much memory row groups under way may take together, unless said otherwise.
pub const DEFAULT_WRITE_MEMORY_BYTES: usize = 512 * 1024 * 1024;

/// How many files may be open at once, unless said otherwise. Beyond, the largest is ended.
pub const DEFAULT_OPEN_FILES: usize = 512;

/// Why rows cannot be written into a table.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The rows have a column that the table lacks.
    #[error("column `{column}`: the table has no such column")]
    ExtraColumn {
        /// The column, dotted.
        column: String,
    },
    /// The rows lack a column that must not be null.
    #[error("column `{column}`: the table requires it, and it is missing")]
    MissingColumn {
        /// The column, dotted.
        column: String,
    },
    /// A column that must not be null is.
    #[error("column `{column}`: the table requires it, and it is null in some rows")]
    NullInRequired {
        /// The column, dotted.
        column: String,
    },
    /// A column's type cannot become the table's without loss.
    #[error("column `{column}`: {found} cannot be written as {expected}")]
    Type {
        /// The column, dotted.
        column: String,
        /// Its type.
        found: arrow::datatypes::DataType,
        /// The table's.
        expected: arrow::datatypes::DataType,
    },
    /// A column's type is not the table's, nor can the table's be widened to it.
    #[error("column `{column}`: {found} cannot be written into {expected}")]
    Mismatch {
        /// The column, dotted.
        column: String,
        /// The type of the rows, by Iceberg's names.
        found: String,
        /// The table's.
        expected: String,
    },
    /// A value does not fit the table's type.
    #[error("column `{column}`: {source}")]
    Value {
        /// The column, dotted.
        column: String,
        /// What does not fit.
        #[source]
        source: arrow::error::ArrowError,
    },
    /// The partition of a row cannot be told.
    #[error("the rows' partitions cannot be told: {source}")]
    Partition {
        /// Why not.
        #[source]
        source: iceberg::Error,
    },
    /// The rows cannot be put together.
    #[error(transparent)]
    Arrow {
        /// Why not.
        source: arrow::error::ArrowError,
    },
    /// A table property has a value that it cannot have.
    #[error("table property {name}={value} means nothing")]
    Property {
        /// The property.
        name: String,
        /// Its value.
        value: String,
    },
}

/// Writes record batches into new data files of a table.
///
/// Dropping it before [`DataFileWriter::finish`] leaves the files that were already ended; give them
/// up by [`DataFileWriter::discard`].
#[derive(Debug)]
pub struct DataFileWriter {
    storage: Storage,
    shape: Shape,
    paths: Paths,
    splitter: Option<Splitter>,
    open: HashMap<Struct, OpenFile>,
    done: Vec<DataFile>,
    memory_bytes: usize,
    open_files: usize,
    target_bytes: u64,
    clustered: bool,
}

/// What all files of the writer have in common.
#[derive(Debug)]
struct Shape {
    arrow: ArrowSchemaRef,
    schema: SchemaRef,
    spec: PartitionSpecRef,
    sort_order_id: Option<i32>,
    properties: WriterProperties,
    metrics: MetricsConfig,
    nan_columns: NanColumns,
    policy: TypePolicy,
    /// How the files' columns are the table's: told by the first footer.
    mapping: Option<ColumnMapping>,
}

/// A file that is being written.
#[derive(Debug)]
struct OpenFile {
    parquet: ParquetFile,
    /// Of each of the columns that have such values.
    nan_counts: Vec<u64>,
}

impl DataFileWriter {
    /// Writes into a table, by its current schema, default spec and properties.
    ///
    /// # Errors
    /// When a property has a value that it cannot have, or the spec's columns are gone.
    pub fn new(storage: &Storage, metadata: &TableMetadata) -> Result<Self> {
        let spec = PartitionSpecRef::clone(metadata.default_partition_spec());
        Self::with_spec(storage, metadata, spec)
    }

    /// As [`DataFileWriter::new`], by any partition spec of the table.
    ///
    /// # Errors
    /// As [`DataFileWriter::new`].
    pub fn with_spec(
        storage: &Storage,
        metadata: &TableMetadata,
        spec: PartitionSpecRef,
    ) -> Result<Self> {
        let schema = SchemaRef::clone(metadata.current_schema());
        let splitter = if spec.is_unpartitioned() {
            None
        } else {
            Some(Splitter::new(&spec, &schema)?)
        };
        let properties = metadata.properties();
        let metrics = MetricsConfig::new(properties, &schema);
        let metrics = metrics.map_err(|source| Error::Metrics { source })?;
        let arrow: ArrowSchemaRef = Arc::new(schema_to_arrow_schema(&schema)?);
        Ok(Self {
            storage: storage.clone(),
            paths: Paths::new(metadata, &spec, Uuid::new_v4().to_string())?,
            splitter,
            open: HashMap::new(),
            done: Vec::new(),
            memory_bytes: DEFAULT_WRITE_MEMORY_BYTES,
            open_files: DEFAULT_OPEN_FILES,
            target_bytes: target_file_bytes(properties)?,
            clustered: false,
            shape: Shape {
                properties: writer_properties(properties, &schema)?,
                nan_columns: NanColumns::new(arrow.fields(), &metrics),
                arrow,
                metrics,
                policy: TypePolicy::for_table(&schema, metadata.format_version()),
                mapping: None,
                schema,
                spec,
                sort_order_id: None,
            },
        })
    }

    /// Bounds the memory of row groups under way and of what waits to be uploaded. Default: [`DEFAULT_WRITE_MEMORY_BYTES`].
    #[must_use]
    pub fn with_memory_bytes(mut self, memory_bytes: usize) -> Self {
        self.memory_bytes = memory_bytes;
        self
    }

    /// Bounds how many files are open at once. Default: [`DEFAULT_OPEN_FILES`].
    #[must_use]
    pub fn with_open_files(mut self, open_files: usize) -> Self {
        self.open_files = open_files.max(1);
        self
    }

    /// Ends files at this size instead of the table's `write.target-file-size-bytes`.
    #[must_use]
    pub fn with_target_bytes(mut self, target_bytes: u64) -> Self {
        self.target_bytes = target_bytes.max(1);
        self
    }

    /// Gives the files this name behind their number, instead of a random id. No two writers of a table
    /// may have the same; [`crate::Leftovers`] finds what a writer left by a part of it.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.paths.set_writer(name.into());
        self
    }

    /// Says that all rows of a partition come one after the other: a file is ended as soon as rows of
    /// another partition come.
    #[must_use]
    pub fn with_clustered_rows(mut self) -> Self {
        self.clustered = true;
        self
    }

    /// Notes on every file that its rows are sorted by this order of the table's.
    #[must_use]
    pub fn with_sort_order_id(mut self, sort_order_id: i32) -> Self {
        self.shape.sort_order_id = Some(sort_order_id);
        self
    }

    /// Writes the columns of row lineage, too: rows carry them as [`crate::ROW_ID_COLUMN`] and
    /// [`crate::LAST_UPDATED_COLUMN`]. Manifests have no metrics of them: where they are null, the values that readers
    /// see come from elsewhere.
    ///
    /// # Errors
    /// When the table has a column of one of their names.
    pub fn with_row_lineage(mut self) -> Result<Self> {
        let shape = &mut self.shape;
        shape.schema = Arc::new(with_row_lineage(&shape.schema)?);
        shape.arrow = Arc::new(schema_to_arrow_schema(&shape.schema)?);
        for id in [ROW_ID_FIELD_ID, LAST_UPDATED_FIELD_ID] {
            shape.metrics.set_mode(id, MetricsMode::None);
        }
        Ok(self)
    }

    /// The schema that batches are brought into, with field ids.
    pub fn arrow_schema(&self) -> &ArrowSchemaRef {
        &self.shape.arrow
    }

    /// Writes rows. Columns go by name; missing ones that the table does not require are null.
    ///
    /// # Errors
    /// When the rows do not fit the table, or the store fails. The writer is of no use then.
    pub async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let batch = conform(batch, &self.shape.arrow)?;
        let parts = match &mut self.splitter {
            Some(splitter) => splitter.split(&batch)?,
            None => vec![(Struct::empty(), batch)],
        };
        for (partition, rows) in parts {
            self.write_part(partition, &rows).await?;
        }
        Ok(())
    }

    /// What the open files have taken so far, in bytes: about, for rows that are not yet encoded.
    pub fn open_bytes(&self) -> usize {
        self.open.values().map(|file| file.parquet.bytes()).sum()
    }

    /// What the open files take in memory, in bytes: row groups under way, and what waits to be uploaded. At most what
    /// [`DataFileWriter::with_memory_bytes`] says, and one part of an upload ([`PART_BYTES`]), between calls.
    pub fn memory_in_use(&self) -> usize {
        let memory = self.open.values().map(|file| file.parquet.memory());
        memory.map(|memory| memory.row_group + memory.held).sum()
    }

    /// Takes the descriptions of the files that were ended since the last call.
    pub fn take_ended(&mut self) -> Vec<DataFile> {
        std::mem::take(&mut self.done)
    }

    /// Ends all files and describes those that [`DataFileWriter::take_ended`] has not given yet.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn finish(mut self) -> Result<Vec<DataFile>> {
        self.end_all().await?;
        Ok(self.done)
    }

    /// Ends all files that are open. Rows that come later go into new ones.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn end_all(&mut self) -> Result<()> {
        let mut open: Vec<(Struct, OpenFile)> = self.open.drain().collect();
        let path = |file: &OpenFile| file.parquet.location.as_str().to_owned();
        open.sort_by_cached_key(|(_, file)| path(file));
        for (partition, file) in open {
            self.end(partition, file).await?;
        }
        Ok(())
    }

    /// Gives up: deletes the files that were ended and not taken, and drops those under way.
    pub async fn discard(self) {
        drop(self.open);
        delete_all(&self.storage, &self.done).await;
    }

    async fn write_part(&mut self, partition: Struct, rows: &RecordBatch) -> Result<()> {
        if !self.open.contains_key(&partition) {
            if self.clustered {
                self.end_all().await?;
            }
            if self.open.len() >= self.open_files {
                self.end_largest(ParquetFile::bytes).await?;
            }
            let file = self.begin(&partition).await?;
            self.open.insert(partition.clone(), file);
        }
        let file = self.open.get_mut(&partition).expect("it was opened above");
        self.shape.nan_columns.count(rows, &mut file.nan_counts);
        file.parquet.write(rows).await?;
        if file.parquet.bytes() as u64 >= self.target_bytes {
            let file = self.open.remove(&partition).expect("it was opened above");
            self.end(partition, file).await?;
        }
        self.bound_memory().await
    }

    /// Writes the largest row groups under way until all fit. Small ones only move to what waits to be uploaded: where
    /// that is too much, files are ended.
    async fn bound_memory(&mut self) -> Result<()> {
        loop {
            let mut all = Memory::default();
            for file in self.open.values() {
                let memory = file.parquet.memory();
                all.row_group += memory.row_group;
                all.largest_column = all.largest_column.max(memory.largest_column);
                all.held += memory.held;
            }
            // A part is what any upload takes.
            let held = all.held.saturating_sub(PART_BYTES);
            if all.row_group + all.largest_column + held <= self.memory_bytes {
                return Ok(());
            }
            if held > self.memory_bytes / 2 {
                self.end_largest(|file| file.memory().held).await?;
                continue;
            }
            let files = self.open.values_mut().map(|file| &mut file.parquet);
            match files.max_by_key(|file| file.memory().row_group) {
                Some(largest) if largest.has_rows() => largest.end_row_group().await?,
                _ => return Ok(()),
            }
        }
    }

    async fn end_largest(&mut self, size: impl Fn(&ParquetFile) -> usize) -> Result<()> {
        let files = self.open.iter();
        let largest = files.max_by_key(|(_, file)| size(&file.parquet));
        if let Some(partition) = largest.map(|(partition, _)| partition.clone())
            && let Some(file) = self.open.remove(&partition)
        {
            self.end(partition, file).await?;
        }
        Ok(())
    }

    async fn begin(&mut self, partition: &Struct) -> Result<OpenFile> {
        let location = self.paths.next(partition);
        let columns = self.shape.columns().map_err(|source| Error::Parquet {
            location: location.clone(),
            source,
        })?;
        let arrow = ArrowSchemaRef::clone(&self.shape.arrow);
        let properties = self.shape.properties.clone();
        let parquet =
            ParquetFile::begin(&self.storage, location, arrow, Some(columns), properties).await?;
        Ok(OpenFile {
            parquet,
            nan_counts: self.shape.nan_columns.zeros(),
        })
    }

    async fn end(&mut self, partition: Struct, mut file: OpenFile) -> Result<()> {
        let footer = file.parquet.finish().await?;
        let (location, size) = (&file.parquet.location, file.parquet.bytes_written());
        let mut described = self.shape.describe(location, &footer, size, partition)?;
        described.nan_value_counts(self.shape.nan_columns.by_id(&file.nan_counts));
        self.done.push(built(location, &described)?);
        Ok(())
    }
}

/// Deletes files that nobody knows of.
async fn delete_all(storage: &Storage, files: &[DataFile]) {
    for file in files {
        if let Ok(location) = Location::parse(file.file_path())
            && let Err(error) = storage.delete(&location).await
        {
            tracing::warn!(%location, %error, "a data file that is not needed could not be deleted");
        }
    }
}

impl Shape {
    /// A file's entry in a manifest.
    fn describe(
        &mut self,
        location: &Location,
        footer: &ParquetMetaData,
        size: u64,
        partition: Struct,
    ) -> Result<DataFileBuilder> {
        let wrong = |source| Error::Metrics { source };
        let mapping = match &mut self.mapping {
            Some(mapping) => mapping,
            none => {
                let file = FileSchema::from_footer(footer, &self.policy);
                none.insert(resolve(&file, &self.schema, None).map_err(wrong)?)
            }
        };
        let metrics = file_metrics(footer, mapping, &self.metrics).map_err(wrong)?;
        let mut builder = DataFileBuilder::default();
        if let Some(id) = self.sort_order_id {
            builder.sort_order_id(id);
        }
        builder
            .content(DataContentType::Data)
            .file_path(location.canonical())
            .file_format(DataFileFormat::Parquet)
            .file_size_in_bytes(size)
            .partition(partition)
            .partition_spec_id(self.spec.spec_id());
        metrics.describe(&mut builder);
        Ok(builder)
    }

    /// The columns of the files in Parquet.
    fn columns(&self) -> ::parquet::errors::Result<SchemaDescriptor> {
        parquet_schema(&self.arrow, &self.schema, &self.properties)
    }
}

fn built(location: &Location, file: &DataFileBuilder) -> Result<DataFile> {
    file.build().map_err(|error| {
        Error::Iceberg(iceberg::Error::new(
            iceberg::ErrorKind::DataInvalid,
            format!("{location}: {error}"),
        ))
    })
}
