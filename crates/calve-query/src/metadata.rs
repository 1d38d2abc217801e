//! Metadata tables as DataFusion tables: `db.t.files`, `db.t.snapshots`, ….

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use calve_catalog::Table;
use calve_table::metadata_tables::{MetadataScan, MetadataTable};
use datafusion::catalog::streaming::StreamingTable;
use datafusion::catalog::{Session, TableProvider};
use datafusion::datasource::TableType;
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use futures::{StreamExt, TryStreamExt};
use iceberg::spec::SnapshotRef;

use crate::Error;

/// A metadata table of one table. It is read when it is queried, and no column that is not asked for.
#[derive(Debug)]
pub(crate) struct MetadataProvider {
    kind: MetadataTable,
    table: Table,
    snapshot: Option<SnapshotRef>,
    schema: SchemaRef,
}

impl MetadataProvider {
    /// A metadata table of a table's current snapshot, or of another one.
    pub(crate) fn new(kind: MetadataTable, table: Table, snapshot: Option<SnapshotRef>) -> Self {
        Self {
            schema: kind.schema(table.metadata()),
            kind,
            table,
            snapshot,
        }
    }
}

#[async_trait]
impl TableProvider for MetadataProvider {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let mut scan = MetadataScan::new(self.kind, self.table.clone());
        if let Some(snapshot) = &self.snapshot {
            scan = scan.with_snapshot(SnapshotRef::clone(snapshot));
        }
        if let Some(projection) = projection {
            scan = scan.with_projection(projection.clone());
        }
        let rows = Arc::new(Rows {
            schema: scan.schema().map_err(Error::from)?,
            scan,
        });
        let schema = Arc::clone(&rows.schema);
        StreamingTable::try_new(schema, vec![rows])?
            .scan(session, None, &[], limit)
            .await
    }
}

/// The rows of a metadata table.
#[derive(Debug)]
struct Rows {
    scan: MetadataScan,
    schema: SchemaRef,
}

impl PartitionStream for Rows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let scan = self.scan.clone();
        let failed = |error| DataFusionError::from(Error::Snapshot(error));
        let batches = futures::stream::once(async move {
            let rows = scan.stream().await.map_err(failed)?;
            Ok::<_, DataFusionError>(rows.map_err(failed))
        });
        Box::pin(RecordBatchStreamAdapter::new(
            Arc::clone(&self.schema),
            batches.try_flatten().boxed(),
        ))
    }
}
