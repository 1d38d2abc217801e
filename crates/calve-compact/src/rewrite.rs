//! One group of files, read and written anew.

use std::sync::Arc;

use arrow::array::RecordBatch;
use calve_base::Progress;
use calve_catalog::Table;
use calve_query::{IcebergTable, Session};
use calve_table::DataFileWriter;
use datafusion::catalog::TableProvider;
use datafusion::execution::SessionStateBuilder;
use datafusion::physical_plan::execute_stream;
use futures::StreamExt;
use iceberg::spec::DataFile;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::options::RewriteOptions;
use crate::plan::FileGroup;
use crate::{Error, Result};

/// The stage that is reported.
pub(crate) const STAGE: &str = "rows rewritten";

/// How many batches may wait between reading and writing.
const QUEUE_BATCHES: usize = 4;

/// What all groups of a run need.
pub(crate) struct Rewriter {
    pub(crate) table: Table,
    pub(crate) provider: IcebergTable,
    pub(crate) session: Session,
    pub(crate) options: RewriteOptions,
    /// How much memory the row groups of one group of files may take.
    pub(crate) write_bytes: usize,
    pub(crate) progress: Arc<dyn Progress>,
}

impl Rewriter {
    /// Reads the files in their order, without the rows that are deleted, and writes them as files of the
    /// wanted size. Files are read while others are written.
    ///
    /// # Errors
    /// When a file cannot be read, the store fails, or rows are missing. Nothing is left then.
    pub(crate) async fn rewrite(&self, group: &FileGroup) -> Result<Vec<DataFile>> {
        let storage = self.table.storage();
        let metadata = self.table.metadata();
        let is_split = group.spec_id != metadata.default_partition_spec_id();
        let largest = self.options.write_max_file_size();
        let target = if is_split {
            self.options.target_file_size_bytes
        } else {
            largest
        };
        let mut writer = DataFileWriter::new(storage, metadata)?
            .with_memory_bytes(self.write_bytes)
            .with_target_bytes(target);
        let copied = self.copy(group, is_split, &mut writer).await;
        let read = match copied {
            Ok(read) => read,
            Err(error) => {
                writer.discard().await;
                return Err(error);
            }
        };
        let files = writer.finish().await?;
        let written: u64 = files.iter().map(DataFile::record_count).sum();
        let is_whole = group.deletes_count > 0 || read == group.rows;
        if read != written || read > group.rows || !is_whole {
            let locations = files
                .iter()
                .map(|file| calve_base::Location::parse(file.file_path()))
                .collect::<Result<Vec<_>, _>>()?;
            crate::error::delete_quietly(storage, &locations).await;
            return Err(Error::Rows {
                table: self.table.ident().to_string(),
                read,
                written,
                expected: group.rows,
            });
        }
        Ok(files)
    }

    /// Gives the number of rows that were read.
    async fn copy(
        &self,
        group: &FileGroup,
        is_split: bool,
        writer: &mut DataFileWriter,
    ) -> Result<u64> {
        let (batches, mut arrived) = mpsc::channel(QUEUE_BATCHES);
        // Ends with this function, whatever its outcome.
        let mut reader = JoinSet::new();
        let mut rows = self.rows(group).await?;
        reader.spawn(async move {
            while let Some(batch) = rows.next().await {
                if batches.send(batch).await.is_err() {
                    break;
                }
            }
        });
        let mut sizes = Sizes::new(&self.options, group);
        let mut read = 0;
        while let Some(batch) = arrived.recv().await {
            let batch = batch.map_err(calve_query::Error::from)?;
            read += batch.num_rows() as u64;
            if is_split {
                writer.write(&batch).await?;
            } else {
                sizes.write(&batch, writer).await?;
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

    async fn rows(
        &self,
        group: &FileGroup,
    ) -> Result<datafusion::execution::SendableRecordBatchStream> {
        let wrong = calve_query::Error::from;
        let state = self.session.context().state();
        let config = state.config().clone().with_target_partitions(1);
        let state = SessionStateBuilder::new_from_existing(state)
            .with_config(config)
            .build();
        let files = self.provider.files_of(&state, &group.files)?;
        let plan = files.scan(&state, None, &[], None).await.map_err(wrong)?;
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
}

impl<'a> Sizes<'a> {
    fn new(options: &'a RewriteOptions, group: &FileGroup) -> Self {
        Self {
            options,
            left: group.rows,
            rows: 0,
            wanted: group
                .rows
                .div_ceil(group.expected_output_files.max(1))
                .max(1),
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
