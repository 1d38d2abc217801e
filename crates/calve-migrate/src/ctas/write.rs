//! One batch's rows, distributed, sorted and written.

use std::sync::Arc;

use calve_base::Progress;
use calve_storage::Storage;
use calve_table::DataFileWriter;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::common::spawn_buffered;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::{
    ExecutionPlan, ExecutionPlanProperties, Partitioning, execute_stream_partitioned,
};
use futures::StreamExt;
use iceberg::spec::{DataFile, TableMetadata};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::prepare::Preparation;
use crate::{Error, Result};

/// The stage that is reported.
pub(super) const STAGE: &str = "rows written";

/// Into how many parts rows are divided for each writer, at most. Partitions of a table have different sizes: the more
/// parts, the sooner the writers are done together.
const PARTS_A_WRITER: u64 = 4;

/// How many sorted batches of a part wait to be written: they are merged by another task, so that the last part has two
/// processors.
const BATCHES_AHEAD: usize = 2;

/// How much memory a part has at least to be sorted in.
const PART_BYTES: u64 = 128 * 1024 * 1024;

/// Where and how rows are written.
pub(super) struct Output<'a> {
    pub(super) storage: &'a Storage,
    pub(super) metadata: &'a TableMetadata,
    /// How many files are written at once, by one writer each.
    pub(super) writers: usize,
    /// How much memory all of them may take.
    pub(super) memory_bytes: usize,
    /// How much memory rows may take while they are sorted.
    pub(super) sort_bytes: u64,
    pub(super) progress: &'a Arc<dyn Progress>,
}

impl Output<'_> {
    /// Writes all rows of a query. All names of files have `name` in them.
    ///
    /// Rows of one partition of the table go to one writer, so that they make as few files as they can.
    ///
    /// # Errors
    /// When rows cannot be read, do not fit the table, or the store fails. What was written stays.
    pub(super) async fn write(
        &self,
        rows: Arc<dyn ExecutionPlan>,
        context: Arc<TaskContext>,
        preparation: &Arc<Preparation>,
        name: Uuid,
    ) -> Result<Vec<DataFile>> {
        let wrong = calve_query::Error::from;
        let prepared = Arc::new(preparation.of(rows));
        let plan = self.distribute(prepared, preparation).map_err(wrong)?;
        let streams = execute_stream_partitioned(plan, context).map_err(wrong)?;
        let is_clustered = preparation.partition_expr().is_some();
        let memory_bytes = self.memory_bytes / self.writers.max(1);
        let permits = Arc::new(Semaphore::new(self.writers.max(1)));
        let mut writers = JoinSet::new();
        for (number, rows) in streams.into_iter().enumerate() {
            let mut writer = DataFileWriter::new(self.storage, self.metadata)?
                .with_memory_bytes(memory_bytes)
                .with_name(format!("{number:02}-{name}"));
            if is_clustered {
                writer = writer.with_clustered_rows();
            }
            if preparation.is_sorted() {
                let order = self.metadata.default_sort_order().order_id;
                writer = writer.with_sort_order_id(i32::try_from(order).unwrap_or(0));
            }
            let (preparation, progress) = (Arc::clone(preparation), Arc::clone(self.progress));
            let permits = Arc::clone(&permits);
            let rows = spawn_buffered(rows, BATCHES_AHEAD);
            writers.spawn(drain(rows, writer, preparation, progress, permits));
        }
        let mut files = Vec::new();
        while let Some(written) = writers.join_next().await {
            match written {
                Ok(written) => files.extend(written?),
                Err(error) => match error.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    Err(_) => return Err(calve_table::Error::Stopped.into()),
                },
            }
        }
        files.sort_by(|left: &DataFile, right| left.file_path().cmp(right.file_path()));
        Ok(files)
    }

    /// Brings rows into the order in which they are written, in a few streams for each writer.
    fn distribute(
        &self,
        rows: Arc<dyn ExecutionPlan>,
        preparation: &Preparation,
    ) -> datafusion::error::Result<Arc<dyn ExecutionPlan>> {
        let writers = self.writers;
        let by_partition = preparation.partition_expr();
        let is_partitioned = by_partition.is_some();
        let count = rows.output_partitioning().partition_count();
        let rows: Arc<dyn ExecutionPlan> = if let Some(key) = by_partition
            && writers > 1
        {
            let least = writers as u64;
            let parts = (self.sort_bytes / PART_BYTES).clamp(least, least * PARTS_A_WRITER);
            let parts = usize::try_from(parts).unwrap_or(writers);
            let partitioning = Partitioning::Hash(vec![key], parts);
            Arc::new(RepartitionExec::try_new(rows, partitioning)?)
        } else if count < writers {
            Arc::new(RepartitionExec::try_new(
                rows,
                Partitioning::RoundRobinBatch(writers),
            )?)
        } else {
            rows
        };
        let Some(ordering) = preparation.ordering() else {
            return Ok(rows);
        };
        let sort = SortExec::new(ordering.clone(), rows).with_preserve_partitioning(true);
        let sorted: Arc<dyn ExecutionPlan> = Arc::new(sort);
        if is_partitioned || sorted.output_partitioning().partition_count() == 1 {
            return Ok(sorted);
        }
        // Without partitions, files whose ranges do not overlap need one order of all rows.
        Ok(Arc::new(SortPreservingMergeExec::new(ordering, sorted)))
    }
}

/// Writes one stream, once its first rows are there and a writer is free: then all that it was sorted from has been read,
/// so that nobody waits for it.
async fn drain(
    mut rows: SendableRecordBatchStream,
    mut writer: DataFileWriter,
    preparation: Arc<Preparation>,
    progress: Arc<dyn Progress>,
    permits: Arc<Semaphore>,
) -> Result<Vec<DataFile>> {
    let mut first = rows.next().await;
    let _permit = permits.acquire().await;
    while let Some(batch) = match first.take() {
        Some(first) => Some(first),
        None => rows.next().await,
    } {
        let batch = batch
            .and_then(|batch| preparation.strip(&batch))
            .map_err(|error| Error::from(calve_query::Error::from(error)))?;
        writer.write(&batch).await?;
        progress.advanced(STAGE, batch.num_rows() as u64);
    }
    Ok(writer.finish().await?)
}
