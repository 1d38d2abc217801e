//! Row groups of other files, put into new files as they are: their pages are copied, not decoded.
//!
//! That costs a small part of decoding and encoding, and is right only where encoding anew would give the same rows
//! in much the same way: same schema with the same field ids, the table's codec, row groups that are large already.
//! Small row groups stay small, and with them a scan stays slow.

use std::collections::{BTreeSet, VecDeque};
use std::io::Write;
use std::ops::Range;
use std::sync::Arc;

use ::parquet::arrow::add_encoded_arrow_schema_to_metadata;
use ::parquet::arrow::async_reader::MetadataFetch;
use ::parquet::basic::{ColumnOrder, Compression};
use ::parquet::errors::{ParquetError, Result as ParquetResult};
use ::parquet::file::metadata::{
    ColumnChunkMetaData, FileMetaData, PageIndexPolicy, ParquetColumnIndex, ParquetMetaData,
    ParquetMetaDataBuilder, ParquetMetaDataReader, ParquetMetaDataWriter, ParquetOffsetIndex,
    RowGroupMetaData,
};
use ::parquet::file::page_index::offset_index::OffsetIndexMetaData;
use ::parquet::file::properties::WriterPropertiesPtr;
use ::parquet::file::writer::TrackedWrite;
use ::parquet::schema::types::SchemaDescPtr;
use bytes::Bytes;
use calve_base::Location;
use calve_storage::{Storage, Writer};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, stream};
use iceberg::spec::{DataFile, PartitionSpecRef, Struct, TableMetadata};

use super::{DataFileWriter, Paths, Shape, built, delete_all};
use crate::manifest::{ContentFile, Counts};
use crate::{Error, Result};

/// What begins and ends a Parquet file.
const MAGIC: &[u8] = b"PAR1";

/// How much is read by one request, and how many requests are under way.
const PIECE_BYTES: usize = 8 * 1024 * 1024;
const PIECES_UNDER_WAY: usize = 4;

/// Why the row groups of a file are not copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NotCopied {
    /// Its columns are not those that the table's writer makes: others, in another order, of other types or field ids.
    Schema,
    /// It is compressed by another codec than the table's properties say.
    Codec,
    /// The order by which its bounds were found is not known.
    Bounds,
    /// It has values that are not a number, and how many of them are in which row group is not known.
    NotANumber,
}

/// Writes new data files of a table out of whole row groups of other files.
#[derive(Debug)]
pub struct RowGroupWriter {
    storage: Storage,
    shape: Shape,
    paths: Paths,
    columns: SchemaDescPtr,
    properties: WriterPropertiesPtr,
    open: Option<OpenCopy>,
    done: Vec<DataFile>,
}

/// A file that is being written.
struct OpenCopy {
    location: Location,
    partition: Struct,
    upload: Writer,
    /// How many bytes it has.
    size: u64,
    row_groups: Vec<RowGroupMetaData>,
    /// The page indexes of all row groups; none as soon as one lacks them.
    values: Option<ParquetColumnIndex>,
    pages: Option<ParquetOffsetIndex>,
    /// The columns that are known to have no value that is not a number; `None` before the first row group.
    numbers_only: Option<BTreeSet<i32>>,
}

impl std::fmt::Debug for OpenCopy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenCopy")
            .field("location", &self.location)
            .finish_non_exhaustive()
    }
}

impl RowGroupWriter {
    /// Writes into a table, by its current schema and properties and the given spec. `None` where the table's files
    /// have something that copied row groups may lack, which is bloom filters.
    ///
    /// # Errors
    /// When a property has a value that it cannot have, or the spec's columns are gone.
    pub fn new(
        storage: &Storage,
        metadata: &TableMetadata,
        spec: PartitionSpecRef,
    ) -> Result<Option<Self>> {
        let DataFileWriter { shape, paths, .. } =
            DataFileWriter::with_spec(storage, metadata, spec)?;
        let columns = SchemaDescPtr::new(shape.columns().map_err(iceberg::Error::from)?);
        let mut leaves = columns.columns().iter();
        if leaves.any(|leaf| {
            shape
                .properties
                .bloom_filter_properties(leaf.path())
                .is_some()
        }) {
            return Ok(None);
        }
        let mut properties = shape.properties.clone();
        add_encoded_arrow_schema_to_metadata(&shape.arrow, &mut properties);
        Ok(Some(Self {
            storage: storage.clone(),
            shape,
            paths,
            columns,
            properties: Arc::new(properties),
            open: None,
            done: Vec::new(),
        }))
    }

    /// Why a file's row groups may not be copied; `None` where they may. `nan_counts` are those of its manifest entry.
    pub fn refusal(
        &self,
        footer: &ParquetMetaData,
        nan_counts: Option<&Counts>,
    ) -> Option<NotCopied> {
        if nan_counts.is_some_and(|counts| counts.iter().any(|(_, count)| *count > 0)) {
            return Some(NotCopied::NotANumber);
        }
        let file = footer.file_metadata();
        let (theirs, ours) = (
            file.schema_descr().root_schema(),
            self.columns.root_schema(),
        );
        // The root's own name means nothing.
        if theirs.get_fields() != ours.get_fields() {
            return Some(NotCopied::Schema);
        }
        let orders = file.column_orders();
        let is_ordered = orders.is_some_and(|orders| {
            let defined = |order: &ColumnOrder| matches!(order, ColumnOrder::TYPE_DEFINED_ORDER(_));
            orders.iter().all(defined)
        });
        let mut chunks = footer
            .row_groups()
            .iter()
            .flat_map(RowGroupMetaData::columns);
        chunks.find_map(|chunk| self.refusal_of(chunk, is_ordered))
    }

    fn refusal_of(&self, chunk: &ColumnChunkMetaData, is_ordered: bool) -> Option<NotCopied> {
        let wanted = self.properties.compression(chunk.column_path());
        if codec(chunk.compression()) != codec(wanted) {
            return Some(NotCopied::Codec);
        }
        let statistics = chunk.statistics()?;
        let is_known = is_ordered && !statistics.is_min_max_deprecated();
        (!is_known).then_some(NotCopied::Bounds)
    }

    /// Puts row groups of a file behind those of the file that is open, or begins one. All rows of a file are of one
    /// partition. `file` is the source's manifest entry.
    ///
    /// # Errors
    /// When the file cannot be read or is malformed, or the store fails. The writer is of no use then.
    pub async fn append(
        &mut self,
        file: &ContentFile,
        footer: &ParquetMetaData,
        row_groups: Range<usize>,
    ) -> Result<()> {
        let source = &Location::parse(&file.path)?;
        let malformed = |error| Error::Parquet {
            location: source.clone(),
            source: error,
        };
        let footer = with_page_index(&self.storage, source, footer).await;
        let footer = footer.map_err(malformed)?;
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.begin(&file.partition).await?,
        };
        open.note_numbers(file.nan_value_counts.as_ref());
        for index in row_groups {
            let runs = runs(footer.row_group(index), open.size);
            let runs = runs.map_err(malformed)?;
            for run in &runs {
                open.copy(&self.storage, source, run).await?;
            }
            open.add(&footer, index, &runs, &self.columns)
                .map_err(malformed)?;
        }
        self.open = Some(open);
        Ok(())
    }

    /// Ends the file that is open. Row groups that come later go into a new one.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn end(&mut self) -> Result<()> {
        let Some(mut open) = self.open.take() else {
            return Ok(());
        };
        let footer = self.footer(&mut open).map_err(|source| Error::Parquet {
            location: open.location.clone(),
            source,
        });
        let (footer, bytes) = footer?;
        open.put(bytes).await?;
        open.upload.finish().await?;
        let mut described =
            self.shape
                .describe(&open.location, &footer, open.size, open.partition)?;
        let mut counts = self
            .shape
            .nan_columns
            .by_id(&self.shape.nan_columns.zeros());
        let known = open.numbers_only.unwrap_or_default();
        counts.retain(|column, _| known.contains(column));
        described.nan_value_counts(counts);
        self.done.push(built(&open.location, &described)?);
        Ok(())
    }

    /// Ends the file that is open and describes all.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn finish(&mut self) -> Result<Vec<DataFile>> {
        self.end().await?;
        Ok(std::mem::take(&mut self.done))
    }

    /// Gives up: deletes the files that were ended, and drops the one under way.
    pub async fn discard(self) {
        drop(self.open);
        delete_all(&self.storage, &self.done).await;
    }

    async fn begin(&mut self, partition: &Struct) -> Result<OpenCopy> {
        let location = self.paths.next(partition);
        let mut open = OpenCopy {
            upload: self.storage.writer(&location).await?,
            location,
            partition: partition.clone(),
            size: 0,
            row_groups: Vec::new(),
            values: Some(Vec::new()),
            pages: Some(Vec::new()),
            numbers_only: None,
        };
        open.put(Bytes::from_static(MAGIC)).await?;
        Ok(open)
    }

    /// The footer of the file that is open, with the bytes that end it.
    fn footer(&self, open: &mut OpenCopy) -> ParquetResult<(ParquetMetaData, Bytes)> {
        let row_groups = std::mem::take(&mut open.row_groups);
        let orders = self.columns.columns().iter().map(|leaf| {
            let (logical, converted) = (leaf.logical_type_ref(), leaf.converted_type());
            let order = ColumnOrder::sort_order_for_type(logical, converted, leaf.physical_type());
            ColumnOrder::TYPE_DEFINED_ORDER(order)
        });
        let file = FileMetaData::new(
            self.properties.writer_version().as_num(),
            row_groups.iter().map(RowGroupMetaData::num_rows).sum(),
            Some(self.properties.created_by().to_owned()),
            self.properties.key_value_metadata().cloned(),
            SchemaDescPtr::clone(&self.columns),
            Some(orders.collect()),
        );
        let footer = ParquetMetaDataBuilder::new(file)
            .set_row_groups(row_groups)
            .set_column_index(open.values.take())
            .set_offset_index(open.pages.take())
            .build();
        let mut end = Tail::from(open.size);
        let mut counted = TrackedWrite::new(&mut end);
        // What the metadata say of their own places is counted from the file's beginning.
        let nothing = vec![0; 1 << 20];
        let mut left = usize::try_from(open.size).unwrap_or(usize::MAX);
        while left > 0 {
            left -= counted.write(&nothing[..left.min(nothing.len())])?;
        }
        ParquetMetaDataWriter::new_with_tracked(counted, &footer).finish()?;
        Ok((footer, end.bytes.into()))
    }
}

impl OpenCopy {
    async fn put(&mut self, bytes: Bytes) -> Result<()> {
        self.size += bytes.len() as u64;
        Ok(self.upload.put(bytes).await?)
    }

    /// Copies a part of a file to the end of this one.
    async fn copy(&mut self, storage: &Storage, source: &Location, run: &Run) -> Result<()> {
        let pieces = (run.start..run.end).step_by(PIECE_BYTES);
        let pieces = pieces.map(|start| {
            let end = run.end.min(start + PIECE_BYTES as u64);
            storage.read_range(source, start..end)
        });
        let mut pieces = stream::iter(pieces).buffered(PIECES_UNDER_WAY);
        while let Some(piece) = pieces.next().await {
            self.put(piece?).await?;
        }
        Ok(())
    }

    /// Notes for which columns a source's manifest entry counts values that are not a number: it has none, else it
    /// would not be copied.
    fn note_numbers(&mut self, nan_counts: Option<&Counts>) {
        let counted = nan_counts.into_iter().flatten();
        let counted: BTreeSet<i32> = counted.map(|(column, _)| *column).collect();
        self.numbers_only = Some(match self.numbers_only.take() {
            None => counted,
            Some(known) => known.intersection(&counted).copied().collect(),
        });
    }

    /// Notes a row group whose bytes were copied.
    fn add(
        &mut self,
        footer: &ParquetMetaData,
        index: usize,
        runs: &[Run],
        columns: &SchemaDescPtr,
    ) -> ParquetResult<()> {
        let of = footer.row_group(index);
        let chunks = of.columns().iter().map(|chunk| {
            let moved = |offset| moved(runs, offset);
            let dictionary = chunk.dictionary_page_offset().map(moved).transpose()?;
            chunk
                .clone()
                .into_builder()
                .set_data_page_offset(moved(chunk.data_page_offset())?)
                .set_dictionary_page_offset(dictionary)
                .set_index_page_offset(None)
                .set_bloom_filter_offset(None)
                .set_bloom_filter_length(None)
                .set_column_index_offset(None)
                .set_column_index_length(None)
                .set_offset_index_offset(None)
                .set_offset_index_length(None)
                .build()
        });
        let chunks = chunks.collect::<ParquetResult<Vec<_>>>()?;
        let first = chunks.iter().map(|chunk| chunk.byte_range().0).min();
        let ordinal = i16::try_from(self.row_groups.len()).map_err(|_| {
            ParquetError::General("more row groups than a file may have".to_owned())
        })?;
        let row_group = RowGroupMetaData::builder(SchemaDescPtr::clone(columns))
            .set_num_rows(of.num_rows())
            .set_total_byte_size(of.total_byte_size())
            .set_file_offset(i64::try_from(first.unwrap_or(0)).unwrap_or(0))
            .set_ordinal(ordinal)
            .set_column_metadata(chunks)
            .build()?;
        self.row_groups.push(row_group);
        self.add_page_index(footer, index, runs)
    }

    fn add_page_index(
        &mut self,
        footer: &ParquetMetaData,
        index: usize,
        runs: &[Run],
    ) -> ParquetResult<()> {
        let values = footer.column_index().and_then(|of| of.get(index));
        match (&mut self.values, values) {
            (Some(all), Some(values)) => all.push(values.clone()),
            (all, _) => *all = None,
        }
        let pages = footer.offset_index().and_then(|of| of.get(index));
        match (&mut self.pages, pages) {
            (Some(all), Some(pages)) => {
                let pages = pages.iter().map(|pages| moved_pages(runs, pages.clone()));
                all.push(pages.collect::<ParquetResult<_>>()?);
            }
            (all, _) => *all = None,
        }
        Ok(())
    }
}

/// A codec without its level, which no file tells.
fn codec(compression: Compression) -> std::mem::Discriminant<Compression> {
    std::mem::discriminant(&compression)
}

/// A footer with the page indexes that it points to.
async fn with_page_index(
    storage: &Storage,
    source: &Location,
    footer: &ParquetMetaData,
) -> ParquetResult<ParquetMetaData> {
    let mut reader = ParquetMetaDataReader::new_with_metadata(footer.clone())
        .with_page_index_policy(PageIndexPolicy::Optional);
    reader.load_page_index(Ranges(storage, source)).await?;
    reader.finish()
}

/// Bytes that lie together in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Run {
    start: u64,
    end: u64,
    /// Where they begin in the new file.
    to: u64,
}

/// The runs of bytes that a row group's columns lie in, in their order, as they will lie from `to` on.
fn runs(row_group: &RowGroupMetaData, mut to: u64) -> ParquetResult<Vec<Run>> {
    let chunks = row_group.columns().iter();
    let mut ranges: Vec<(u64, u64)> = chunks.map(ColumnChunkMetaData::byte_range).collect();
    ranges.sort_unstable();
    let mut runs: VecDeque<Run> = VecDeque::new();
    for (start, length) in ranges {
        let wrong = |problem| {
            ParquetError::General(format!("the column of {length} bytes at {start} {problem}"))
        };
        let end = start.checked_add(length);
        let end = end.ok_or_else(|| wrong("has no end"))?;
        match runs.back_mut() {
            Some(last) if start < last.end => return Err(wrong("lies over another one")),
            Some(last) if start == last.end => last.end = end,
            _ => runs.push_back(Run { start, end, to }),
        }
        to += length;
    }
    Ok(runs.into())
}

/// Where an offset is in the new file.
fn moved(runs: &[Run], offset: i64) -> ParquetResult<i64> {
    let at = u64::try_from(offset).ok();
    let run = runs.iter().find_map(|run| {
        let at = at.filter(|at| (run.start..run.end).contains(at))?;
        i64::try_from(run.to + (at - run.start)).ok()
    });
    run.ok_or_else(|| {
        ParquetError::General(format!("offset {offset} is in no column of its row group"))
    })
}

fn moved_pages(runs: &[Run], mut pages: OffsetIndexMetaData) -> ParquetResult<OffsetIndexMetaData> {
    for page in &mut pages.page_locations {
        page.offset = moved(runs, page.offset)?;
    }
    Ok(pages)
}

/// Parts of a file.
struct Ranges<'a>(&'a Storage, &'a Location);

impl MetadataFetch for Ranges<'_> {
    fn fetch(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        let read = self.0.read_range(self.1, range);
        read.map(|bytes| bytes.map_err(|error| ParquetError::External(Box::new(error))))
            .boxed()
    }
}

/// The bytes that come after those which are there already.
struct Tail {
    skipped: u64,
    bytes: Vec<u8>,
}

impl Tail {
    fn from(skipped: u64) -> Self {
        Self {
            skipped,
            bytes: Vec::new(),
        }
    }
}

impl Write for Tail {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let skipped = self.skipped.min(bytes.len() as u64);
        self.skipped -= skipped;
        let skipped = usize::try_from(skipped).unwrap_or(bytes.len());
        self.bytes.extend_from_slice(&bytes[skipped..]);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
