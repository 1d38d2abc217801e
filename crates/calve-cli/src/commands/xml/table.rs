//! Rows into a table.

use std::sync::Arc;

use calve::Ingest;
use calve::arrow::array::RecordBatch;
use calve::arrow::datatypes::SchemaRef;
use calve::catalog::Catalog;
use calve::migrate::ingest::{OnNewColumns, Report, StreamError};
use calve::xml::schema::choice::XML_NAME;
use calve::xml::schema::evolve::OnDrift;
use futures::StreamExt;
use tokio::sync::mpsc;

use crate::commands::Context;
use crate::settings::{XmlConvertSettings, XmlTarget};

/// How many batches wait to be written.
const BATCHES_WAITING: usize = 4;

/// The thread's end of the way into the table.
pub(super) type Batches = mpsc::Sender<Result<RecordBatch, StreamError>>;

/// Prepares the way into a table: what is sent is written, and committed once the sender is gone.
pub(super) fn ingest(
    context: &Context,
    catalog: &Arc<dyn Catalog>,
    settings: &XmlConvertSettings,
    schema: &SchemaRef,
) -> Option<(Ingest, Batches)> {
    let XmlTarget::Table {
        table,
        partition_by,
        location,
        properties,
    } = &settings.target
    else {
        return None;
    };
    let (batches, received) = mpsc::channel(BATCHES_WAITING);
    let rows = futures::stream::unfold(received, |mut received| async move {
        let batch = received.recv().await?;
        Some((batch, received))
    });
    let catalog = Arc::clone(catalog);
    let mut ingest = Ingest::new(catalog, table.clone(), Arc::clone(schema), rows.boxed())
        .with_partition_by(partition_by.clone())
        .with_properties(properties.clone())
        .with_on_new_columns(match settings.on_drift {
            Some(OnDrift::Fail) => OnNewColumns::Fail,
            _ => OnNewColumns::Evolve,
        })
        .with_kept_field_metadata(XML_NAME)
        .with_progress(Arc::new(context.bars.clone()));
    if let Some(location) = location {
        ingest = ingest.with_location(location.clone());
    }
    if let Some(bytes) = context.settings.memory_bytes {
        ingest = ingest.with_memory_bytes(usize::try_from(bytes).unwrap_or(usize::MAX));
    }
    Some((ingest, batches))
}

/// What the report of a table says for people.
pub(super) fn lines(report: &Report) -> Vec<(&'static str, String)> {
    let plan = &report.plan;
    let table = if plan.creates_table {
        format!("{} (new)", plan.table)
    } else {
        plan.table.to_string()
    };
    let snapshot = match report.snapshot_id {
        Some(id) => id.to_string(),
        None => "none: there were no rows".to_owned(),
    };
    let mut lines = vec![
        ("table", table),
        ("location", plan.table_location.to_string()),
        ("snapshot", snapshot),
    ];
    if !plan.schema_changes.is_empty() {
        lines.push(("schema", plan.schema_changes.join("\n")));
    }
    lines
}
