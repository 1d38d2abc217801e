//! Rows into one folder for each value of some columns, as Hive lays out partitions.
//!
//! Rows come in any order, and a file takes some memory while it is open. So rows wait by partition,
//! as batches, until all that wait are more than a limit; then the largest of them go to their files.
//! When more files would be open than are allowed, the one that was written to the longest time ago is
//! closed, and its partition gets another file when it comes up again.

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;

use arrow::array::{Array, AsArray, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{DataType, FieldRef, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::cast::with_zone;
use crate::schema::types::UTC;
use crate::{Error, Result};

use super::file::OpenFile;
use super::{Codec, DEFAULT_ROW_GROUP_BYTES, DEFAULT_ROW_GROUP_ROWS, Layout, WrittenFile};

/// The most files that are open at one time.
pub const DEFAULT_OPEN_FILES: usize = 64;

/// How many bytes of rows wait in memory, and how many of row groups that are being filled.
pub const DEFAULT_WAITING_BYTES: usize = 64 * 1024 * 1024;

/// How timestamps are written in the names of folders, as Hive and Spark do.
const TIMESTAMP: &str = "%Y-%m-%d %H:%M:%S%.f";

/// The values of a partition's columns as text; none is null.
pub type PartitionValues = Vec<Option<String>>;

/// A file of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionFile {
    /// The values that its rows have in the partition columns.
    pub values: PartitionValues,
    /// The file; numbers begin with 0 in each partition.
    pub file: WrittenFile,
}

/// What was written.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Partitioned {
    /// The files, by their partitions' values and then in the order of their rows.
    pub files: Vec<PartitionFile>,
    /// Rows with an empty string in a partition column. In Hive's layout it is null.
    pub empty_values: u64,
}

/// Opens the file of a partition and a number.
pub type OpenPartitionFn =
    dyn FnMut(&[Option<String>], usize) -> std::io::Result<Box<dyn Write + Send>> + Send;

/// Writes record batches to Parquet files, apart by the values of some columns, which are not in the
/// files then.
pub struct PartitionedSink {
    schema: SchemaRef,
    /// Where the partition columns are.
    columns: Vec<usize>,
    /// Where the others are.
    kept: Vec<usize>,
    open: Box<OpenPartitionFn>,
    layout: Layout,
    pool: Option<Arc<rayon::ThreadPool>>,
    most_open: usize,
    most_waiting: usize,
    partitions: Vec<Partition>,
    by_key: HashMap<Vec<u8>, usize>,
    waiting_bytes: usize,
    /// Counts writes, to know which file was written to last.
    clock: u64,
    empty_values: u64,
}

struct Partition {
    values: PartitionValues,
    waiting: Vec<RecordBatch>,
    waiting_bytes: usize,
    file: Option<OpenFile>,
    used: u64,
    written: Vec<WrittenFile>,
}

impl std::fmt::Debug for PartitionedSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PartitionedSink")
            .field("layout", &self.layout)
            .field("partitions", &self.partitions.len())
            .finish_non_exhaustive()
    }
}

impl PartitionedSink {
    /// Starts with the default layout. `open` gives the writer of each file, as it comes to be needed.
    ///
    /// # Errors
    /// When a partition column is not there or has parts, or no other column is left.
    pub fn new(
        schema: &Schema,
        partition_by: &[String],
        open: impl FnMut(&[Option<String>], usize) -> std::io::Result<Box<dyn Write + Send>>
        + Send
        + 'static,
    ) -> Result<Self> {
        let mut columns = Vec::with_capacity(partition_by.len());
        for name in partition_by {
            let fail = |problem: &str| Error::Column {
                column: name.clone(),
                problem: problem.to_owned(),
            };
            let at = schema.fields().iter().position(|it| it.name() == name);
            let at = at.ok_or_else(|| fail("there is no such column to partition by"))?;
            if schema.field(at).data_type().is_nested() {
                return Err(fail("has parts, and only values are names of folders"));
            }
            if columns.contains(&at) {
                return Err(fail("is a partition column already"));
            }
            columns.push(at);
        }
        let kept: Vec<usize> = (0..schema.fields().len())
            .filter(|at| !columns.contains(at))
            .collect();
        if kept.is_empty() {
            return Err(Error::Column {
                column: partition_by.join(", "),
                problem: "no column is left for the files".to_owned(),
            });
        }
        let fields: Vec<FieldRef> = kept
            .iter()
            .map(|at| Arc::clone(&schema.fields()[*at]))
            .collect();
        Ok(Self {
            schema: Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone())),
            columns,
            kept,
            open: Box::new(open),
            layout: Layout {
                codec: Codec::default(),
                row_group_rows: DEFAULT_ROW_GROUP_ROWS,
                row_group_bytes: DEFAULT_ROW_GROUP_BYTES,
                file_bytes: None,
            },
            pool: None,
            most_open: DEFAULT_OPEN_FILES,
            most_waiting: DEFAULT_WAITING_BYTES,
            partitions: Vec::new(),
            by_key: HashMap::new(),
            waiting_bytes: 0,
            clock: 0,
            empty_values: 0,
        })
    }

    /// Sets how pages are compressed.
    #[must_use]
    pub fn with_codec(mut self, codec: Codec) -> Self {
        self.layout.codec = codec;
        self
    }

    /// Sets the size at which a row group is closed, in bytes as encoded.
    #[must_use]
    pub fn with_row_group_bytes(mut self, bytes: usize) -> Self {
        self.layout.row_group_bytes = bytes;
        self
    }

    /// Sets the size at which a file is closed and the next one of its partition begins.
    #[must_use]
    pub fn with_file_bytes(mut self, bytes: u64) -> Self {
        self.layout.file_bytes = Some(bytes);
        self
    }

    /// Sets the most files that are open at one time; at least one.
    #[must_use]
    pub fn with_open_files(mut self, files: usize) -> Self {
        self.most_open = files.max(1);
        self
    }

    /// Sets how many bytes of rows wait in memory, and how many of row groups.
    #[must_use]
    pub fn with_waiting_bytes(mut self, bytes: usize) -> Self {
        self.most_waiting = bytes;
        self
    }

    /// Sets the threads that help to encode columns whenever they have nothing else to do. Default: none do.
    #[must_use]
    pub fn with_pool(mut self, pool: impl Into<Option<Arc<rayon::ThreadPool>>>) -> Self {
        self.pool = pool.into();
        self
    }

    /// The schema of the files.
    pub fn file_schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Takes the rows of a batch.
    ///
    /// # Errors
    /// When a file cannot be opened or written.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let failed = |source| Error::Array {
            column: "*".to_owned(),
            source,
        };
        let groups = self.groups(batch).map_err(failed)?;
        let rows = batch.project(&self.kept).map_err(failed)?;
        let is_whole = groups.len() == 1;
        for (partition, indices) in groups {
            let part = if is_whole {
                rows.clone()
            } else {
                take_record_batch(&rows, &UInt32Array::from(indices)).map_err(failed)?
            };
            let bytes = part.get_array_memory_size();
            self.waiting_bytes += bytes;
            let partition = &mut self.partitions[partition];
            partition.waiting_bytes += bytes;
            partition.waiting.push(part);
        }
        if self.waiting_bytes > self.most_waiting {
            self.make_room()?;
        }
        Ok(())
    }

    /// Writes what waits, and closes all files.
    ///
    /// # Errors
    /// When a file cannot be opened or written.
    pub fn finish(mut self) -> Result<Partitioned> {
        let mut order: Vec<usize> = (0..self.partitions.len()).collect();
        order.sort_by(|a, b| self.partitions[*a].values.cmp(&self.partitions[*b].values));
        let mut files = Vec::new();
        for at in order {
            self.flush(at)?;
            self.close(at)?;
            let partition = &mut self.partitions[at];
            let values = std::mem::take(&mut partition.values);
            files.extend(partition.written.drain(..).map(|file| PartitionFile {
                values: values.clone(),
                file,
            }));
        }
        Ok(Partitioned {
            files,
            empty_values: self.empty_values,
        })
    }

    /// The rows of each partition, partitions in the order in which they come up.
    fn groups(&mut self, batch: &RecordBatch) -> Result<Vec<(usize, Vec<u32>)>, ArrowError> {
        let options = FormatOptions::new()
            .with_timestamp_format(Some(TIMESTAMP))
            .with_timestamp_tz_format(Some(TIMESTAMP));
        let columns: Vec<_> = self
            .columns
            .iter()
            .map(|at| with_zone(batch.column(*at), UTC, "+00:00"))
            .collect();
        let texts = columns
            .iter()
            .map(|column| Text::new(column.as_ref(), &options))
            .collect::<Result<Vec<_>, _>>()?;
        let mut groups: Vec<(usize, Vec<u32>)> = Vec::new();
        let mut group_of: HashMap<usize, usize> = HashMap::new();
        let (mut key, mut text) = (Vec::new(), String::new());
        for (row, number) in (0..batch.num_rows()).zip(0_u32..) {
            key.clear();
            let mut has_empty = false;
            for column in &texts {
                let value = column.value(row, &mut text)?;
                has_empty |= value == Some("");
                push_key(&mut key, value.filter(|value| !value.is_empty()));
            }
            self.empty_values += u64::from(has_empty);
            let partition = match self.by_key.get(&key) {
                Some(partition) => *partition,
                None => self.add(&key, &texts, row)?,
            };
            let group = *group_of.entry(partition).or_insert_with(|| {
                groups.push((partition, Vec::new()));
                groups.len() - 1
            });
            groups[group].1.push(number);
        }
        Ok(groups)
    }

    fn add(&mut self, key: &[u8], texts: &[Text<'_>], row: usize) -> Result<usize, ArrowError> {
        let mut text = String::new();
        let values = texts
            .iter()
            .map(|column| {
                let value = column.value(row, &mut text)?;
                Ok(value.filter(|it| !it.is_empty()).map(ToOwned::to_owned))
            })
            .collect::<Result<PartitionValues, ArrowError>>()?;
        self.by_key.insert(key.to_vec(), self.partitions.len());
        self.partitions.push(Partition {
            values,
            waiting: Vec::new(),
            waiting_bytes: 0,
            file: None,
            used: 0,
            written: Vec::new(),
        });
        Ok(self.partitions.len() - 1)
    }

    /// Writes the largest of what waits, until half of it is gone.
    fn make_room(&mut self) -> Result<()> {
        let mut order: Vec<usize> = (0..self.partitions.len()).collect();
        order.sort_by_key(|at| std::cmp::Reverse(self.partitions[*at].waiting_bytes));
        for at in order {
            if self.waiting_bytes <= self.most_waiting / 2 {
                break;
            }
            self.flush(at)?;
            self.close_row_groups()?;
        }
        Ok(())
    }

    /// Writes what waits of one partition.
    fn flush(&mut self, at: usize) -> Result<()> {
        let waiting = std::mem::take(&mut self.partitions[at].waiting);
        self.waiting_bytes -= std::mem::take(&mut self.partitions[at].waiting_bytes);
        if waiting.is_empty() {
            return Ok(());
        }
        let rows = concat_batches(&self.schema, &waiting).map_err(|source| Error::Array {
            column: "*".to_owned(),
            source,
        })?;
        drop(waiting);
        let mut start = 0;
        while start < rows.num_rows() {
            let mut file = match self.partitions[at].file.take() {
                Some(file) => file,
                None => self.open_file(at, &rows)?,
            };
            let count = file.room().min(rows.num_rows() - start);
            file.write(rows.slice(start, count), self.pool.as_deref())?;
            start += count;
            self.clock += 1;
            let is_full = self
                .layout
                .file_bytes
                .is_some_and(|most| file.bytes() >= most);
            let partition = &mut self.partitions[at];
            partition.used = self.clock;
            partition.file = Some(file);
            if is_full {
                self.close(at)?;
            }
        }
        Ok(())
    }

    fn open_file(&mut self, at: usize, first: &RecordBatch) -> Result<OpenFile> {
        let open = || {
            self.partitions
                .iter()
                .enumerate()
                .filter(|(_, it)| it.file.is_some())
        };
        if open().count() >= self.most_open
            && let Some((oldest, _)) = open().min_by_key(|(_, it)| it.used)
        {
            self.close(oldest)?;
        }
        let partition = &self.partitions[at];
        let number = partition.written.len();
        let writer = (self.open)(&partition.values, number)
            .map_err(|source| Error::OpenOutput { number, source })?;
        OpenFile::new(number, writer, &self.schema, first, self.layout)
    }

    fn close(&mut self, at: usize) -> Result<()> {
        if let Some(file) = self.partitions[at].file.take() {
            let written = file.close(self.pool.as_deref())?;
            self.partitions[at].written.push(written);
        }
        Ok(())
    }

    /// Closes the largest row groups while all of them together are too large.
    fn close_row_groups(&mut self) -> Result<()> {
        let files = self.partitions.iter_mut().filter_map(|it| it.file.as_mut());
        let mut files: Vec<&mut OpenFile> = files.collect();
        let mut bytes: usize = files.iter().map(|file| file.waiting()).sum();
        files.sort_by_cached_key(|file| std::cmp::Reverse(file.waiting()));
        for file in files {
            if bytes <= self.most_waiting {
                break;
            }
            bytes -= file.waiting();
            file.close_row_group(self.pool.as_deref())?;
        }
        Ok(())
    }
}

/// The values of a column as text.
enum Text<'a> {
    String(&'a arrow::array::StringArray),
    Other(&'a dyn Array, ArrayFormatter<'a>),
}

impl<'a> Text<'a> {
    fn new(column: &'a dyn Array, options: &FormatOptions<'a>) -> Result<Self, ArrowError> {
        Ok(match column.data_type() {
            DataType::Utf8 => Self::String(column.as_string()),
            _ => Self::Other(column, ArrayFormatter::try_new(column, options)?),
        })
    }

    fn value<'t>(
        &'t self,
        row: usize,
        text: &'t mut String,
    ) -> Result<Option<&'t str>, ArrowError> {
        match self {
            Self::String(column) => Ok(column.is_valid(row).then(|| column.value(row))),
            Self::Other(column, _) if column.is_null(row) => Ok(None),
            Self::Other(_, formatter) => {
                text.clear();
                let written = formatter.value(row).write(text);
                written.map_err(|error| ArrowError::CastError(error.to_string()))?;
                Ok(Some(text))
            }
        }
    }
}

/// Appends a value in such a way that no two lists of values have one key.
fn push_key(key: &mut Vec<u8>, value: Option<&str>) {
    let length = value.map_or(u64::MAX, |value| value.len() as u64);
    key.extend_from_slice(&length.to_le_bytes());
    key.extend_from_slice(value.unwrap_or_default().as_bytes());
}

#[cfg(test)]
mod tests;
