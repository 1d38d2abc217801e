//! Bytes of data files, from whatever store each lies in.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use calve_base::Location;
use calve_lake::LakeFile;
use calve_lake::footer::{FooterError, FooterReader};
use calve_storage::Storage;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::physical_plan::metrics::{Count, ExecutionPlanMetricsSet};
use futures::future::{BoxFuture, ready};
use futures::{FutureExt, TryFutureExt};
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::{AsyncFileReader, ParquetObjectReader};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;

/// Makes readers of one file.
#[derive(Debug)]
pub(crate) struct FileReaderFactory {
    reader: StoreReader,
}

impl FileReaderFactory {
    pub(crate) fn new(reader: StoreReader) -> Self {
        Self { reader }
    }
}

impl ParquetFileReaderFactory for FileReaderFactory {
    fn create_reader(
        &self,
        _partition_index: usize,
        _file: PartitionedFile,
        _metadata_size_hint: Option<usize>,
        _metrics: &ExecutionPlanMetricsSet,
    ) -> datafusion::error::Result<Box<dyn AsyncFileReader + Send>> {
        Ok(Box::new(self.reader.clone()))
    }
}

/// Reads one file of any store, and remembers its footer.
#[derive(Clone)]
pub(crate) struct StoreReader {
    inner: ParquetObjectReader,
    footers: FooterReader,
    file: Arc<LakeFile>,
    footer: Option<Arc<ParquetMetaData>>,
    /// The whole file, where it was read at once.
    bytes: Option<Bytes>,
    bytes_scanned: Count,
}

impl StoreReader {
    /// Opens a file of a known size.
    pub(crate) async fn open(
        storage: &Storage,
        footers: &FooterReader,
        (location, size): (&Location, u64),
        bytes_scanned: Count,
    ) -> calve_storage::Result<Self> {
        let (store, path) = storage.open(location).await?;
        Ok(Self {
            inner: ParquetObjectReader::new(store, path).with_file_size(size),
            footers: footers.clone(),
            file: Arc::new(lake_file(location.clone(), size)),
            footer: None,
            bytes: None,
            bytes_scanned,
        })
    }

    /// Takes everything from the file's bytes, which are at hand.
    pub(crate) fn with_bytes(mut self, bytes: Option<Bytes>) -> Self {
        self.bytes = bytes;
        self
    }

    /// The file's bytes, where they are at hand.
    pub(crate) fn bytes(&self) -> Option<&Bytes> {
        self.bytes.as_ref()
    }

    /// The file's footer, read at most once. The lake's reader of footers trusts none of them.
    pub(crate) async fn footer(&mut self) -> Result<Arc<ParquetMetaData>, FooterError> {
        if let Some(footer) = &self.footer {
            return Ok(Arc::clone(footer));
        }
        let footer = match &self.bytes {
            Some(bytes) => self.footers.read_in(&self.file, bytes).await?,
            None => self.footers.read(&self.file).await?,
        };
        self.footer = Some(Arc::clone(&footer));
        Ok(footer)
    }
}

impl fmt::Debug for StoreReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreReader").finish_non_exhaustive()
    }
}

impl AsyncFileReader for StoreReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes, ParquetError>> {
        self.bytes_scanned.add(length(&range));
        match &self.bytes {
            Some(bytes) => ready(part(bytes, &range)).boxed(),
            None => self.inner.get_bytes(range),
        }
    }

    fn get_byte_ranges(
        &mut self,
        ranges: Vec<Range<u64>>,
    ) -> BoxFuture<'_, Result<Vec<Bytes>, ParquetError>> {
        self.bytes_scanned.add(ranges.iter().map(length).sum());
        match &self.bytes {
            Some(bytes) => ready(ranges.iter().map(|range| part(bytes, range)).collect()).boxed(),
            None => self.inner.get_byte_ranges(ranges),
        }
    }

    fn get_metadata<'a>(
        &'a mut self,
        _options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>, ParquetError>> {
        // Page indexes are asked for separately, once it is known that they are of use.
        self.footer()
            .map_err(|error| ParquetError::External(Box::new(error)))
            .boxed()
    }
}

/// A part of a file's bytes. Footers may lie about where columns end.
fn part(bytes: &Bytes, range: &Range<u64>) -> Result<Bytes, ParquetError> {
    let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX);
    let (start, end) = (at(range.start), at(range.end));
    if start > end || end > bytes.len() {
        let length = bytes.len();
        return Err(ParquetError::EOF(format!(
            "bytes {start} to {end} of a file of {length} bytes"
        )));
    }
    Ok(bytes.slice(start..end))
}

/// A file of which no more than its place and size are known.
pub(super) fn lake_file(location: Location, size: u64) -> LakeFile {
    LakeFile {
        location,
        size,
        last_modified_ms: 0,
        etag: None,
        storage_class: None,
        partition: Arc::new([]),
    }
}

fn length(range: &Range<u64>) -> usize {
    usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX)
}
