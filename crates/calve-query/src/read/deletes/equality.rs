//! Rows deleted by their values.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::compute::{and, filter_record_batch};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::row::{OwnedRow, RowConverter, SortField};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::projection::{ProjectionExpr, ProjectionExprs};
use datafusion::physical_plan::metrics::Count;
use futures::TryStreamExt;
use parquet::arrow::ParquetRecordBatchStreamBuilder;

use super::{DeleteFile, Kind};
use crate::Error;
use crate::read::columns::{Origin, has_field_ids};
use crate::read::source::{ScanTable, in_file};

/// The keys that one delete file deletes. NULL equals NULL here (spec, "Equality Delete Files").
#[derive(Debug)]
pub(crate) struct DeletedKeys {
    rows: HashSet<OwnedRow>,
    converter: RowConverter,
    /// Gives the memory back when the last query is done with the keys.
    _memory: MemoryReservation,
}

/// The equality deletes of one data file, ready to be applied to its batches.
#[derive(Debug)]
pub(crate) struct EqualityFilter {
    /// The columns that the query itself reads come first.
    width: usize,
    output: SchemaRef,
    deletes: Vec<(Vec<usize>, Arc<DeletedKeys>)>,
}

impl EqualityFilter {
    /// Reads the equality deletes that apply to a data file, and adds the columns that they compare
    /// to what is read of it. `None` where there are none.
    pub(crate) async fn prepare(
        table: &ScanTable,
        pool: &Arc<dyn MemoryPool>,
        deletes: &[Arc<DeleteFile>],
        projection: &ProjectionExprs,
        output: &SchemaRef,
    ) -> Result<Option<(Self, ProjectionExprs)>> {
        let columns = &table.columns;
        let width = output.fields().len();
        let mut exprs: Vec<ProjectionExpr> = projection.iter().cloned().collect();
        let mut filters = Vec::new();
        for delete in deletes {
            let Kind::Equality { field_ids, read } = &delete.kind else {
                continue;
            };
            let names = columns.top_level_names(field_ids)?;
            let keys = read
                .get_or_try_init(|| read_keys(table, pool, delete, &names))
                .await
                .map_err(|error| in_file(&delete.location, error))?;
            let mut indices = Vec::with_capacity(names.len());
            for name in &names {
                let column = Column::new(name, columns.arrow().index_of(name)?);
                indices.push(exprs.len());
                // Two columns of one name would be hard to tell apart.
                let alias = format!("{name}\u{1}{}", exprs.len());
                exprs.push(ProjectionExpr::new(Arc::new(column), alias));
            }
            filters.push((indices, Arc::clone(keys)));
        }
        if filters.is_empty() {
            return Ok(None);
        }
        let filter = Self {
            width,
            output: Arc::clone(output),
            deletes: filters,
        };
        Ok(Some((filter, ProjectionExprs::new(exprs))))
    }

    /// The rows of a batch that are not deleted, without the columns that were added.
    pub(crate) fn apply(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let mut keep: Option<BooleanArray> = None;
        for (indices, keys) in &self.deletes {
            let columns: Vec<ArrayRef> = indices
                .iter()
                .map(|index| Arc::clone(batch.column(*index)))
                .collect();
            let rows = keys.converter.convert_columns(&columns)?;
            let here: BooleanArray = rows
                .iter()
                .map(|row| Some(!keys.rows.contains(&row.owned())))
                .collect();
            keep = Some(match keep {
                Some(before) => and(&before, &here)?,
                None => here,
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let own = RecordBatch::try_new_with_options(
            Arc::clone(&self.output),
            batch.columns()[..self.width].to_vec(),
            &options,
        )?;
        match keep {
            Some(keep) => Ok(filter_record_batch(&own, &keep)?),
            None => Ok(own),
        }
    }
}

async fn read_keys(
    table: &ScanTable,
    pool: &Arc<dyn MemoryPool>,
    delete: &DeleteFile,
    names: &[String],
) -> Result<Arc<DeletedKeys>> {
    let columns = &table.columns;
    let reader = table
        .open((&delete.location, delete.size), Count::new())
        .await?;
    let builder = ParquetRecordBatchStreamBuilder::new(reader).await?;
    let file = Arc::clone(builder.schema());
    let has_ids = has_field_ids(file.fields());
    let origins = names
        .iter()
        .map(|name| columns.resolve(name, &file, has_ids))
        .collect::<crate::Result<Vec<_>>>()?;
    let fields = names
        .iter()
        .map(|name| {
            Ok(SortField::new(
                columns.arrow().field_with_name(name)?.data_type().clone(),
            ))
        })
        .collect::<Result<Vec<_>>>()?;
    let converter = RowConverter::new(fields)?;
    let mut rows = HashSet::new();
    let memory = MemoryConsumer::new("equality deletes").register(pool);
    let mut batches = builder.build()?;
    while let Some(batch) = batches.try_next().await? {
        let keys = key_columns(&origins, &batch, &file)?;
        let converted = converter.convert_columns(&keys)?;
        for row in &converted {
            // The bytes, and about what a hash table's slot and an allocation add to them.
            memory.try_grow(row.as_ref().len() + 96)?;
            rows.insert(row.owned());
        }
    }
    Ok(Arc::new(DeletedKeys {
        rows,
        converter,
        _memory: memory,
    }))
}

fn key_columns(origins: &[Origin], batch: &RecordBatch, file: &Schema) -> Result<Vec<ArrayRef>> {
    origins
        .iter()
        .map(|origin| match origin {
            Origin::Column(index, conversion) => {
                conversion.apply(batch.column(*index)).map_err(|error| {
                    Error::Column {
                        column: file.field(*index).name().clone(),
                        problem: error.to_string(),
                    }
                    .into()
                })
            }
            // Every row would be compared with a value that the file does not give.
            Origin::Constant(_) => Err(DataFusionError::Execution(
                "an equality delete file lacks a field that it compares".to_owned(),
            )),
        })
        .collect()
}
