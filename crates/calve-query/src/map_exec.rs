//! An operator that changes batches one by one.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::internal_err;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning,
    PlanProperties,
};
use futures::StreamExt;

/// What becomes of a batch.
pub type BatchMap = Arc<dyn Fn(RecordBatch) -> Result<RecordBatch> + Send + Sync>;

/// Puts a function between an operator and those above it. The rows' order and partitions stay; what is known
/// of the columns does not, since they may be others.
pub struct MapExec {
    input: Arc<dyn ExecutionPlan>,
    schema: SchemaRef,
    map: BatchMap,
    properties: Arc<PlanProperties>,
}

impl fmt::Debug for MapExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapExec")
            .field("input", &self.input)
            .finish_non_exhaustive()
    }
}

impl MapExec {
    /// Applies a function, which gives batches of this schema, to those of `input`.
    pub fn new(input: Arc<dyn ExecutionPlan>, schema: SchemaRef, map: BatchMap) -> Self {
        // Expressions of a partitioning would mean other columns.
        let count = input.output_partitioning().partition_count();
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(count),
            input.pipeline_behavior(),
            input.boundedness(),
        );
        Self {
            input,
            schema,
            map,
            properties: Arc::new(properties),
        }
    }
}

impl DisplayAs for MapExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MapExec")
    }
}

impl ExecutionPlan for MapExec {
    fn name(&self) -> &'static str {
        "MapExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if let (Some(input), true) = (children.pop(), children.is_empty()) {
            let (schema, map) = (Arc::clone(&self.schema), Arc::clone(&self.map));
            return Ok(Arc::new(Self::new(input, schema, map)));
        }
        internal_err!("MapExec has one child")
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let rows = self.input.execute(partition, context)?;
        let map = Arc::clone(&self.map);
        let rows = rows.map(move |batch| map(batch?));
        let schema = Arc::clone(&self.schema);
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }
}
