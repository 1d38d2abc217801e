//! Reads a side as hashes of rows.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::{ExecutionPlanProperties, execute_stream_partitioned};
use datafusion::prelude::SessionContext;
use futures::TryStreamExt;
use tokio::task::JoinSet;

use crate::canonical::Ticks;
use crate::hash::{Factor, hash_cells_into, row_hash};
use crate::side::{Side, named, plain};

/// A column that both sides have.
#[derive(Debug, Clone)]
pub(crate) struct RowColumn {
    /// As reports call it.
    pub(crate) name: String,
    /// How finely its times are told apart.
    pub(crate) ticks: Ticks,
    /// Whether it is a partition key: these are equal when they look equal to people.
    pub(crate) is_key: bool,
    /// Whether rows are found together that share its value.
    pub(crate) joins: bool,
}

/// Makes hashes of rows out of the columns of a side, in the order that both sides share.
#[derive(Debug, Clone)]
pub(crate) struct RowHasher {
    pub(crate) columns: Arc<[RowColumn]>,
}

/// The hashes of the rows of a batch.
#[derive(Debug, Default)]
pub(crate) struct RowHashes {
    /// Of whole rows.
    pub(crate) rows: Vec<u128>,
    /// Of the columns that rows are found by; the rows' own where there are none.
    pub(crate) joins: Vec<u128>,
    cells: Vec<u128>,
}

impl RowHasher {
    pub(crate) fn has_joins(&self) -> bool {
        self.columns.iter().any(|column| column.joins)
    }

    /// Hashes the rows of a batch.
    pub(crate) fn hash(&self, batch: &RecordBatch, out: &mut RowHashes) -> Result<()> {
        let rows = batch.num_rows();
        for sums in [&mut out.rows, &mut out.joins] {
            sums.clear();
            sums.resize(rows, 0);
        }
        for (index, (column, array)) in self.columns.iter().zip(batch.columns()).enumerate() {
            column.hash(array, &mut out.cells)?;
            let factor = Factor::of(index);
            for (row, cell) in out.rows.iter_mut().zip(&out.cells) {
                factor.add(row, *cell);
            }
            if column.joins {
                for (join, cell) in out.joins.iter_mut().zip(&out.cells) {
                    factor.add(join, *cell);
                }
            }
        }
        for sum in out.rows.iter_mut().chain(&mut out.joins) {
            *sum = row_hash(*sum);
        }
        if !self.has_joins() {
            out.joins.clone_from(&out.rows);
        }
        Ok(())
    }

    /// Reads a side, a task for each part of its plan, and hands each batch with its hashes to
    /// `visit`, which keeps what it wants in a state of its task. Returns the states.
    pub(crate) async fn visit<S: Default + Send + 'static>(
        &self,
        context: &SessionContext,
        side: &Side,
        spelled: &[String],
        filters: Vec<Expr>,
        visit: impl Fn(&mut S, &RecordBatch, &RowHashes) -> Result<()> + Clone + Send + 'static,
    ) -> Result<Vec<S>> {
        let rows = side.rows(context, filters)?;
        let names = spelled.iter().enumerate();
        let names = names.map(|(index, name)| named(name).alias(format!("column {index}")));
        let rows = rows.select(names.collect::<Vec<_>>())?;
        let task = Arc::new(rows.task_ctx());
        let plan = rows.create_physical_plan().await?;
        let mut states = Vec::with_capacity(plan.output_partitioning().partition_count());
        let mut tasks = JoinSet::new();
        for stream in execute_stream_partitioned(Arc::clone(&plan), task)? {
            tasks.spawn(self.clone().visit_part(stream, visit.clone()));
        }
        let work = async {
            while let Some(state) = tasks.join_next().await {
                let state = state.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error)));
                states.push(state??);
            }
            Ok::<_, DataFusionError>(())
        };
        side.with_progress_of(&plan, work).await?;
        Ok(states)
    }

    async fn visit_part<S: Default>(
        self,
        mut stream: SendableRecordBatchStream,
        visit: impl Fn(&mut S, &RecordBatch, &RowHashes) -> Result<()>,
    ) -> Result<S> {
        let (mut state, mut hashes) = (S::default(), RowHashes::default());
        while let Some(batch) = stream.try_next().await? {
            self.hash(&batch, &mut hashes)?;
            visit(&mut state, &batch, &hashes)?;
        }
        Ok(state)
    }
}

impl RowColumn {
    /// Hashes the cells of the column.
    pub(crate) fn hash(&self, array: &ArrayRef, out: &mut Vec<u128>) -> Result<()> {
        if self.is_key {
            hash_cells_into(&as_texts(array)?, self.ticks, out)
        } else {
            hash_cells_into(array, self.ticks, out)
        }
    }
}

/// The values as people write them.
pub(super) fn as_texts(array: &ArrayRef) -> Result<ArrayRef> {
    let array = plain(array)?;
    let formatter = ArrayFormatter::try_new(&array, &FormatOptions::default())?;
    let texts = (0..array.len()).map(|row| {
        let text = || formatter.value(row).try_to_string();
        array.is_valid(row).then(text).transpose()
    });
    Ok(Arc::new(
        texts.collect::<Result<StringArray, arrow::error::ArrowError>>()?,
    ))
}
