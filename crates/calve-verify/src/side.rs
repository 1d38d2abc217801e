//! One side of a comparison: its rows, grouped by partition.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use arrow::util::display::array_value_to_string;
use calve_base::{NoProgress, Progress};
use datafusion::catalog::TableProvider;
use datafusion::common::Column as ColumnName;
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::logical_expr::{AggregateUDF, Expr, lit};
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::{DataFrame, SessionContext};
use datafusion::scalar::ScalarValue;
use futures::TryStreamExt;

use crate::aggregate::{Depth, Look, ProfileFunction};
use crate::partition::Value;
use crate::profile::Profiles;
use crate::rows_read::with_rows_read;
use crate::{Error, Result};

/// What Hive writes in place of a null.
const HIVE_NULL: &str = "__HIVE_DEFAULT_PARTITION__";

/// One of the two tables.
#[derive(Clone)]
pub(crate) struct Side {
    /// What messages call it.
    pub(crate) name: String,
    pub(crate) provider: Arc<dyn TableProvider>,
    /// The columns to group by, as this side spells them.
    pub(crate) keys: Vec<String>,
    /// Who hears how many rows have been read.
    progress: Arc<dyn Progress>,
    /// What the rows read are called.
    stage: &'static str,
}

/// A partition of a side.
#[derive(Debug, Default)]
pub(crate) struct Group {
    pub(crate) rows: u64,
    profiles: Option<Box<[u8]>>,
}

/// The partitions of a side, in order.
pub(crate) type Groups = BTreeMap<Vec<Value>, Group>;

impl Side {
    /// Finds this side's spelling of the keys.
    pub(crate) fn new(
        name: &str,
        provider: Arc<dyn TableProvider>,
        keys: &[String],
    ) -> Result<Self> {
        let mut side = Self {
            name: name.to_owned(),
            provider,
            keys: Vec::new(),
            progress: Arc::new(NoProgress),
            stage: "rows read",
        };
        side.keys = keys
            .iter()
            .map(|key| side.column(key).map(|(name, _)| name))
            .collect::<Result<_>>()?;
        Ok(side)
    }

    /// Says who hears how many rows have been read, and what they are called there.
    pub(crate) fn with_progress(
        mut self,
        progress: &Arc<dyn Progress>,
        stage: &'static str,
    ) -> Self {
        self.progress = Arc::clone(progress);
        self.stage = stage;
        self
    }

    /// This side's spelling of a column, and its type.
    pub(crate) fn column(&self, name: &str) -> Result<(String, DataType)> {
        let schema = self.provider.schema();
        let fields = schema.fields();
        let exact = fields.iter().find(|field| field.name() == name);
        let lower = name.to_lowercase();
        exact
            .or_else(|| {
                fields
                    .iter()
                    .find(|field| field.name().to_lowercase() == lower)
            })
            .map(|field| (field.name().clone(), field.data_type().clone()))
            .ok_or_else(|| Error::NoSuchKey {
                side: self.name.clone(),
                column: name.to_owned(),
            })
    }

    /// Runs the one query over this side.
    pub(crate) async fn groups(
        &self,
        context: &SessionContext,
        filters: Vec<Expr>,
        columns: &[(String, Look)],
        depth: Depth,
    ) -> Result<Groups> {
        self.read(context, filters, columns, depth)
            .await
            .map_err(|source| self.cannot_read(source))
    }

    pub(crate) fn cannot_read(&self, source: DataFusionError) -> Error {
        Error::Read {
            side: self.name.clone(),
            source: source.into(),
        }
    }

    /// What rows must fulfil to have these values.
    ///
    /// # Errors
    /// When there is no such column, or a value is not of its type.
    pub(crate) fn filters(&self, filter: &[(String, String)]) -> Result<Vec<Expr>> {
        let filters = filter.iter();
        filters
            .map(|(key, value)| self.filter(key, value))
            .collect()
    }

    /// What rows must fulfil to be in one of these partitions; `None` where that cannot be said.
    pub(crate) fn in_partitions(&self, partitions: &[Vec<Value>]) -> Option<Expr> {
        let partition = |values: &Vec<Value>| -> Option<Expr> {
            let equal = self.keys.iter().zip(values).map(|(key, value)| {
                let (name, data_type) = self.column(key).ok()?;
                let Some(text) = &value.0 else {
                    return Some(named(&name).is_null());
                };
                let value = ScalarValue::try_from_string(text.clone(), &data_type).ok()?;
                Some(named(&name).eq(lit(value)))
            });
            equal.reduce(|all, next| Some(all?.and(next?)))?
        };
        let any = partitions.iter().map(partition);
        any.reduce(|any, next| Some(any?.or(next?)))?
    }

    /// The rows, as far as they fulfil the filters.
    pub(crate) fn rows(
        &self,
        context: &SessionContext,
        filters: Vec<Expr>,
    ) -> DataFusionResult<DataFrame> {
        let mut rows = context.read_table(Arc::clone(&self.provider))?;
        for filter in filters {
            rows = rows.filter(filter)?;
        }
        Ok(rows)
    }

    /// Runs a plan, and tells meanwhile how many rows it has read.
    pub(crate) async fn with_progress_of<T>(
        &self,
        plan: &Arc<dyn ExecutionPlan>,
        work: impl Future<Output = T>,
    ) -> T {
        with_rows_read(plan, self.progress.as_ref(), self.stage, work).await
    }

    /// Whether the value of a filter stands for null, in a column of this type.
    pub(crate) fn means_null(value: &str, data_type: &DataType) -> bool {
        let is_text = matches!(
            data_type,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
        );
        value == HIVE_NULL || (value == "null" && !is_text)
    }

    async fn read(
        &self,
        context: &SessionContext,
        filters: Vec<Expr>,
        columns: &[(String, Look)],
        depth: Depth,
    ) -> DataFusionResult<Groups> {
        let rows = self.rows(context, filters)?;
        let keys = self
            .keys
            .iter()
            .enumerate()
            .map(|(index, key)| named(key).alias(format!("key {index}")))
            .collect();
        let mut aggregates = vec![count(lit(1_i64)).alias("row count")];
        if !columns.is_empty() {
            let looks = columns.iter().map(|(_, look)| *look).collect();
            let function = AggregateUDF::new_from_impl(ProfileFunction::new(looks, depth));
            let columns = columns.iter().map(|(column, _)| named(column)).collect();
            aggregates.push(function.call(columns).alias("profile"));
        }
        let rows = rows.aggregate(keys, aggregates)?;
        let task = Arc::new(rows.task_ctx());
        let plan = rows.create_physical_plan().await?;
        let mut batches = execute_stream(Arc::clone(&plan), task)?;
        let mut groups = Groups::new();
        let read = async {
            while let Some(batch) = batches.try_next().await? {
                self.collect(&batch, &mut groups)?;
            }
            Ok::<_, DataFusionError>(())
        };
        self.with_progress_of(&plan, read).await?;
        if self.keys.is_empty() {
            // A table without rows is equal to another one.
            groups.retain(|_, group| group.rows > 0);
        }
        Ok(groups)
    }

    fn collect(&self, batch: &RecordBatch, groups: &mut Groups) -> DataFusionResult<()> {
        let (keys, rest) = batch.columns().split_at(self.keys.len());
        let keys = keys
            .iter()
            .map(plain)
            .collect::<DataFusionResult<Vec<_>>>()?;
        let [counts, profiles @ ..] = rest else {
            return Err(DataFusionError::Internal("no count of rows".to_owned()));
        };
        for row in 0..batch.num_rows() {
            let values = keys.iter().map(|key| value(key, row));
            let values = values.collect::<DataFusionResult<Vec<_>>>()?;
            let group = groups.entry(values).or_default();
            let count = counts.as_primitive::<Int64Type>().value(row);
            group.rows += u64::try_from(count).unwrap_or(0);
            if let Some(profiles) = profiles.first() {
                group.add(profiles.as_binary::<i32>().value(row))?;
            }
        }
        Ok(())
    }

    fn filter(&self, key: &str, value: &str) -> Result<Expr> {
        let (name, data_type) = self.column(key)?;
        let column = named(&name);
        if Self::means_null(value, &data_type) {
            return Ok(column.is_null());
        }
        let literal = ScalarValue::try_from_string(value.to_owned(), &data_type);
        let literal = literal.map_err(|source| Error::Filter {
            side: self.name.clone(),
            column: name,
            value: value.to_owned(),
            source,
        })?;
        Ok(column.eq(lit(literal)))
    }
}

impl Group {
    /// A partition of so many rows.
    pub(crate) fn new(rows: u64, profiles: &Profiles) -> Self {
        Self {
            rows,
            profiles: Some(profiles.to_bytes().into()),
        }
    }

    /// The profiles of its columns.
    pub(crate) fn profiles(&self) -> DataFusionResult<Profiles> {
        let bytes = self.profiles.as_deref();
        bytes.map_or_else(|| Ok(Profiles::default()), Profiles::from_bytes)
    }

    /// Values that look alike to people are one partition, though the query told them apart.
    fn add(&mut self, bytes: &[u8]) -> DataFusionResult<()> {
        self.profiles = Some(match &self.profiles {
            None => bytes.into(),
            Some(own) => {
                let mut merged = Profiles::from_bytes(own)?;
                merged.merge(Profiles::from_bytes(bytes)?);
                merged.to_bytes().into()
            }
        });
        Ok(())
    }
}

pub(crate) fn named(column: &str) -> Expr {
    Expr::Column(ColumnName::new_unqualified(column))
}

pub(crate) fn plain(array: &ArrayRef) -> DataFusionResult<ArrayRef> {
    Ok(match array.data_type() {
        DataType::Dictionary(_, values) => cast(array, values)?,
        _ => Arc::clone(array),
    })
}

fn value(array: &ArrayRef, row: usize) -> DataFusionResult<Value> {
    if array.is_null(row) {
        return Ok(Value(None));
    }
    Ok(Value(Some(array_value_to_string(array, row)?)))
}
