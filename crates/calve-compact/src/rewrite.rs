//! One group of files, read and written anew.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::RecordBatch;
use arrow::compute::BatchCoalescer;
use calve_base::{Location, Progress};
use calve_catalog::Table;
use calve_query::{IcebergTable, ReadAhead, Session};
use calve_table::{DataFileWriter, ScanFile};
use datafusion::catalog::TableProvider;
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, SessionStateBuilder};
use datafusion::physical_plan::execute_stream;
use futures::StreamExt;
use iceberg::spec::{DataFile, FormatVersion, PartitionSpecRef};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::error::delete_quietly;
use crate::options::RewriteOptions;
use crate::ordered_rows::OrderedRows;
use crate::plan::FileGroup;
use crate::strategy::RowOrder;
use crate::z_order::Lengths;
use crate::{Error, Result};

/// The stage that is reported.
pub(crate) const STAGE: &str = "rows rewritten";

/// How many batches may wait between reading and writing.
const QUEUE_BATCHES: usize = 4;

/// How many files one scan has, where rows stay in their order.
const SCANNED_FILES: usize = 2_000;

/// How many rows are written at a time: small files are put together first.
const BATCH_ROWS: usize = 8192;

/// What all groups of a run need.
pub(crate) struct Rewriter {
    pub(crate) table: Table,
    pub(crate) provider: IcebergTable,
    pub(crate) session: Session,
    pub(crate) options: RewriteOptions,
    /// The partition spec that new files are of.
    pub(crate) output_spec: PartitionSpecRef,
    /// In which order rows are written.
    pub(crate) order: RowOrder,
    /// How many parts of a group are sorted at once.
    pub(crate) sort_parts: usize,
    /// How small files are read.
    pub(crate) read_ahead: ReadAhead,
    /// How much memory the row groups of one group of files may take.
    pub(crate) write_bytes: usize,
    pub(crate) progress: Arc<dyn Progress>,
    /// Whether the run is over, and nothing more need be written.
    pub(crate) is_stopped: AtomicBool,
}

/// What became of a group.
#[derive(Debug)]
pub(crate) struct Rewritten {
    pub(crate) files: Vec<DataFile>,
    /// Whether row groups were copied as they are.
    pub(crate) are_copied: bool,
}

/// Files of known sizes.
#[derive(Debug, Clone, Copy)]
struct Known {
    /// How many.
    files: u64,
    /// How many rows they are of, together.
    rows: u64,
}

impl Rewriter {
    /// Ends what is being written as soon as may be.
    pub(crate) fn stop(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
    }

    /// Reads the files in their order, without the rows that are deleted, and writes them as files of the
    /// wanted size. Files are read while others are written.
    ///
    /// # Errors
    /// When a file cannot be read, the store fails, or rows are missing. Nothing is left then.
    pub(crate) async fn rewrite(&self, group: &FileGroup) -> Result<Rewritten> {
        if let Some(files) = self.copy_row_groups(group).await? {
            return Ok(Rewritten {
                files,
                are_copied: true,
            });
        }
        Ok(Rewritten {
            files: self.encode(group).await?,
            are_copied: false,
        })
    }

    async fn encode(&self, group: &FileGroup) -> Result<Vec<DataFile>> {
        let most = self.options.max_file_size_bytes;
        let fits = |files: &[DataFile]| files.iter().all(|file| file.file_size_in_bytes() <= most);
        let mut files = self.write(group, None).await?;
        let mut wanted = u64::MAX;
        loop {
            let bytes = files.iter().map(DataFile::file_size_in_bytes).sum();
            let expected = self.options.expected_output_files(bytes);
            let is_sound = files.len() as u64 <= expected && fits(&files);
            if self.splits(group) || is_sound || expected >= wanted {
                return Ok(files);
            }
            // While it is written, a small file seems larger or smaller than it comes out. Now it is known what the
            // rows take, and without another go the next run would put the files together, or take them apart. The
            // fewer they are, the less they take.
            wanted = expected;
            let known = Known {
                files: expected,
                rows: files.iter().map(DataFile::record_count).sum(),
            };
            let again = match self.write(group, Some(known)).await {
                Ok(again) => again,
                Err(error) => {
                    self.delete(&files).await?;
                    return Err(error);
                }
            };
            // Rows of very different sizes can make a file too large.
            if fits(&files) && !fits(&again) {
                self.delete(&again).await?;
                return Ok(files);
            }
            self.delete(&files).await?;
            files = again;
        }
    }

    /// Whether the rows of a group go to several partitions: its files are of other specs than the output.
    pub(crate) fn splits(&self, group: &FileGroup) -> bool {
        group.spec_id != self.output_spec.spec_id()
    }

    /// Whether rows carry row ids, which stay.
    pub(crate) fn has_lineage(&self) -> bool {
        self.table.metadata().format_version() >= FormatVersion::V3
    }

    fn writer(&self, target_bytes: u64) -> Result<DataFileWriter> {
        let metadata = self.table.metadata();
        let spec = Arc::clone(&self.output_spec);
        let mut writer = DataFileWriter::with_spec(self.table.storage(), metadata, spec)?
            .with_memory_bytes(self.write_bytes)
            .with_target_bytes(target_bytes);
        if self.has_lineage() {
            writer = writer.with_row_lineage()?;
        }
        match &self.order {
            RowOrder::AsTheyAre => return Ok(writer),
            RowOrder::Sorted(order) if order.order_id != 0 => {
                let id = i32::try_from(order.order_id).unwrap_or(0);
                writer = writer.with_sort_order_id(id);
            }
            RowOrder::Sorted(_) | RowOrder::ZOrder(_) => {}
        }
        Ok(writer.with_clustered_rows())
    }

    /// `into` is what files there are to be, if that is known for sure.
    async fn write(&self, group: &FileGroup, into: Option<Known>) -> Result<Vec<DataFile>> {
        let is_split = self.splits(group);
        let target = match into {
            // Rows end the files.
            Some(_) => u64::MAX,
            None if is_split => self.options.target_file_size_bytes,
            None => self.options.write_max_file_size(),
        };
        let mut writer = self.writer(target)?;
        let sizes = (!is_split).then(|| Sizes::new(&self.options, group, into));
        let copied = self.copy(group, sizes, &mut writer).await;
        let read = match copied {
            Ok(read) => read,
            Err(error) => {
                writer.discard().await;
                return Err(error);
            }
        };
        if let Err(error) = writer.end_all().await {
            writer.discard().await;
            return Err(error.into());
        }
        let files = writer.finish().await?;
        let written: u64 = files.iter().map(DataFile::record_count).sum();
        let is_whole = group.deletes_count > 0 || read == group.rows;
        if read != written || read > group.rows || !is_whole {
            self.delete(&files).await?;
            return Err(self.wrong_rows(group, read, written));
        }
        Ok(files)
    }

    pub(crate) fn wrong_rows(&self, group: &FileGroup, read: u64, written: u64) -> Error {
        Error::Rows {
            table: self.table.ident().to_string(),
            read,
            written,
            expected: group.rows,
        }
    }

    /// Gives the number of rows that were read.
    async fn copy(
        &self,
        group: &FileGroup,
        mut sizes: Option<Sizes<'_>>,
        writer: &mut DataFileWriter,
    ) -> Result<u64> {
        let files_at_once = match self.order {
            // What a scan needs for each of its files would grow with the group.
            RowOrder::AsTheyAre => SCANNED_FILES,
            RowOrder::Sorted(_) | RowOrder::ZOrder(_) => group.files.len().max(1),
        };
        let mut read = 0;
        for files in group.files.chunks(files_at_once) {
            let rows = self.rows(group, files).await?;
            read = self
                .copy_rows(group, (rows, read), &mut sizes, writer)
                .await?;
        }
        Ok(read)
    }

    /// Copies more rows, after so many.
    async fn copy_rows(
        &self,
        group: &FileGroup,
        (mut rows, mut read): (SendableRecordBatchStream, u64),
        sizes: &mut Option<Sizes<'_>>,
        writer: &mut DataFileWriter,
    ) -> Result<u64> {
        let (batches, mut arrived) = mpsc::channel(QUEUE_BATCHES);
        // Ends with this function, whatever its outcome.
        let mut reader = JoinSet::new();
        reader.spawn(async move {
            let mut whole = BatchCoalescer::new(rows.schema(), BATCH_ROWS)
                .with_biggest_coalesce_batch_size(Some(BATCH_ROWS / 2));
            while let Some(batch) = rows.next().await {
                let pushed = batch.and_then(|batch| Ok(whole.push_batch(batch)?));
                if let Err(error) = pushed {
                    // Nobody waits for more after an error.
                    let _ = batches.send(Err(error)).await;
                    return;
                }
                while let Some(batch) = whole.next_completed_batch() {
                    if batches.send(Ok(batch)).await.is_err() {
                        return;
                    }
                }
            }
            let rest = whole.finish_buffered_batch().map_err(DataFusionError::from);
            if let Some(rest) = rest.map(|()| whole.next_completed_batch()).transpose() {
                let _ = batches.send(rest).await;
            }
        });
        while let Some(batch) = arrived.recv().await {
            let batch = batch.map_err(calve_query::Error::from)?;
            read += batch.num_rows() as u64;
            if self.is_stopped.load(Ordering::Relaxed) {
                return Err(Error::Stopped);
            }
            if read > group.rows {
                return Err(self.wrong_rows(group, read, read));
            }
            match sizes {
                Some(sizes) => sizes.write(&batch, writer).await?,
                None => writer.write(&batch).await?,
            }
            self.progress.advanced(STAGE, batch.num_rows() as u64);
        }
        match reader.join_next().await {
            Some(Err(error)) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(Error::Stopped),
            },
            _ => Ok(read),
        }
    }

    /// Deletes files that are not to be committed.
    pub(crate) async fn delete(&self, files: &[DataFile]) -> Result<()> {
        let locations = files.iter().map(|file| Location::parse(file.file_path()));
        let locations = locations.collect::<Result<Vec<_>, _>>()?;
        delete_quietly(self.table.storage(), &locations).await;
        Ok(())
    }

    async fn rows(
        &self,
        group: &FileGroup,
        files: &[ScanFile],
    ) -> Result<SendableRecordBatchStream> {
        let wrong = calve_query::Error::from;
        let state = self.session.context().state();
        let parts = match self.order {
            RowOrder::AsTheyAre => 1,
            RowOrder::Sorted(_) | RowOrder::ZOrder(_) => self.sort_parts,
        };
        let config = state.config().clone().with_target_partitions(parts);
        let state = SessionStateBuilder::new_from_existing(state)
            .with_config(config)
            .build();
        let files = self.provider.files_of(&state, files)?;
        let files = files.with_read_ahead(self.read_ahead);
        let mut plan = files.scan(&state, None, &[], None).await.map_err(wrong)?;
        let lengths = Lengths {
            variable: self.options.var_length_contribution,
            most: self.options.max_output_size,
        };
        let schema = self.table.metadata().current_schema();
        let spec = self.splits(group).then_some(&*self.output_spec);
        let spec = spec.filter(|spec| !spec.is_unpartitioned());
        let ordered = OrderedRows::new(&self.order, schema, &plan.schema(), spec, lengths);
        if let Some(ordered) = ordered.map_err(calve_table::Error::from)? {
            plan = ordered.sort(plan);
        }
        Ok(execute_stream(plan, state.task_ctx()).map_err(wrong)?)
    }
}

/// Ends files so that all of them come out at about the same size, by what their rows turn out to take.
struct Sizes<'a> {
    options: &'a RewriteOptions,
    /// Rows that are still to come, at most.
    left: u64,
    /// Rows of the open file.
    rows: u64,
    /// Rows that the open file is to have.
    wanted: u64,
    /// Whether that is known for sure.
    is_known: bool,
}

impl<'a> Sizes<'a> {
    fn new(options: &'a RewriteOptions, group: &FileGroup, into: Option<Known>) -> Self {
        let known = into.unwrap_or(Known {
            files: group.expected_output_files,
            rows: group.rows,
        });
        Self {
            options,
            left: known.rows,
            rows: 0,
            wanted: known.rows.div_ceil(known.files.max(1)).max(1),
            is_known: into.is_some(),
        }
    }

    async fn write(&mut self, batch: &RecordBatch, writer: &mut DataFileWriter) -> Result<()> {
        let mut at = 0;
        while at < batch.num_rows() {
            let room = usize::try_from(self.wanted - self.rows).unwrap_or(usize::MAX);
            let rows = room.min(batch.num_rows() - at);
            writer.write(&batch.slice(at, rows)).await?;
            at += rows;
            self.rows += rows as u64;
            self.left = self.left.saturating_sub(rows as u64);
            if self.rows >= self.wanted {
                self.decide(writer).await?;
            } else if writer.open_bytes() == 0 {
                // The writer has ended it, because it was as large as a file may be.
                self.rows = 0;
            }
        }
        Ok(())
    }

    /// Ends the open file, or lets it grow, because its rows take less than was expected.
    async fn decide(&mut self, writer: &mut DataFileWriter) -> Result<()> {
        if self.is_known {
            self.rows = 0;
            return Ok(writer.end_all().await?);
        }
        let bytes = writer.open_bytes() as u64;
        let all = self.rows + self.left;
        let all_bytes = u128::from(bytes) * u128::from(all) / u128::from(self.rows.max(1));
        let all_bytes = u64::try_from(all_bytes).unwrap_or(u64::MAX);
        let wanted = all.div_ceil(self.options.expected_output_files(all_bytes));
        // A tenth more or less is not worth another look.
        if self.left > 0 && bytes > 0 && wanted > self.rows + self.rows / 10 {
            self.wanted = wanted;
            return Ok(());
        }
        writer.end_all().await?;
        let left_bytes = all_bytes.saturating_sub(bytes);
        let files = self.options.expected_output_files(left_bytes);
        self.wanted = self.left.div_ceil(files).max(1);
        self.rows = 0;
        Ok(())
    }
}
