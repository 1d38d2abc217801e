use std::collections::BTreeMap;
use std::fmt::Write as _;

use calve::base::{Location, TableIdent, units};
use calve::catalog::Table;
use calve::footer::type_text;
use calve::iceberg::spec::{
    PartitionSpec, Schema, SchemaRef, Snapshot, SortOrder, TableMetadata, Transform,
};
use calve::migrate::journal::{Journal, Migration};
use serde::Serialize;

use super::Context;
use crate::flags::ShowFlags;
use crate::printer::Render;
use crate::settings::Settings;
use crate::status::ExitStatus;
use crate::text_table::{TextTable, pairs};

/// What is known of a table without reading its files.
#[derive(Debug, Serialize)]
struct Description {
    table: TableIdent,
    catalog: String,
    location: String,
    metadata_location: String,
    uuid: String,
    format_version: u8,
    schema: SchemaRef,
    partition_spec: Vec<PartitionField>,
    sort_order: Vec<SortField>,
    properties: BTreeMap<String, String>,
    current_snapshot: Option<SnapshotDescription>,
    counts: Counts,
}

/// One field of a partition spec or sort order, by the names people know.
#[derive(Debug, Serialize)]
struct PartitionField {
    name: String,
    source: String,
    transform: Transform,
}

/// One field of a sort order.
#[derive(Debug, Serialize)]
struct SortField {
    source: String,
    transform: Transform,
    direction: String,
    null_order: String,
}

/// One snapshot.
#[derive(Debug, Serialize)]
struct SnapshotDescription {
    snapshot_id: i64,
    parent_snapshot_id: Option<i64>,
    sequence_number: i64,
    timestamp_ms: i64,
    operation: String,
    manifest_list: String,
    summary: BTreeMap<String, String>,
}

/// How much there is. What the current snapshot does not tell is null.
#[derive(Debug, Serialize)]
struct Counts {
    snapshots: usize,
    data_files: Option<u64>,
    delete_files: Option<u64>,
    records: Option<u64>,
    bytes: Option<u64>,
}

/// The migrations of a table, the oldest first.
#[derive(Debug, Serialize)]
struct Migrations {
    migrations: Vec<Migration>,
}

impl Render for Migrations {
    fn render(&self, text: &mut String) {
        let columns = ["migration", "state", "source"].map(|name| (name.to_owned(), false));
        let rows: Vec<Vec<String>> = self
            .migrations
            .iter()
            .map(|migration| {
                let state = migration.state.as_str().to_owned();
                vec![migration.id.to_string(), state, migration.source.clone()]
            })
            .collect();
        let mut table = TextTable::new(columns);
        table.settle(&rows);
        table.header(text);
        for row in &rows {
            table.row(row, text);
        }
    }
}

/// Shows one table.
pub(crate) async fn show(context: &Context, flags: ShowFlags) -> anyhow::Result<ExitStatus> {
    let ident = Settings::table(&flags.table)?;
    let catalog = context.open_catalog().await?;
    let table = catalog.load_table(&ident).await?;
    if flags.migrations {
        let location = Location::parse(table.metadata().location())?;
        let migrations = Journal::list(catalog.storage(), &location).await?;
        context.printer.print(&Migrations { migrations })?;
        return Ok(ExitStatus::Done);
    }
    context.printer.print(&describe(catalog.name(), &table))?;
    Ok(ExitStatus::Done)
}

fn describe(catalog: &str, table: &Table) -> Description {
    let metadata = table.metadata();
    let schema = metadata.current_schema();
    Description {
        table: table.ident().clone(),
        catalog: catalog.to_owned(),
        location: metadata.location().to_owned(),
        metadata_location: table.metadata_location().to_string(),
        uuid: metadata.uuid().to_string(),
        format_version: metadata.format_version() as u8,
        schema: SchemaRef::clone(schema),
        partition_spec: partition_fields(metadata.default_partition_spec(), schema),
        sort_order: sort_fields(metadata.default_sort_order(), schema),
        properties: metadata.properties().clone().into_iter().collect(),
        current_snapshot: metadata.current_snapshot().map(|it| describe_snapshot(it)),
        counts: counts(metadata),
    }
}

fn partition_fields(spec: &PartitionSpec, schema: &Schema) -> Vec<PartitionField> {
    spec.fields()
        .iter()
        .map(|field| PartitionField {
            name: field.name.clone(),
            source: column_name(schema, field.source_id),
            transform: field.transform,
        })
        .collect()
}

fn sort_fields(order: &SortOrder, schema: &Schema) -> Vec<SortField> {
    order
        .fields
        .iter()
        .map(|field| SortField {
            source: column_name(schema, field.source_id),
            transform: field.transform,
            direction: field.direction.to_string(),
            null_order: field.null_order.to_string(),
        })
        .collect()
}

/// The name of a column, or its id where the current schema no longer has it.
fn column_name(schema: &Schema, id: i32) -> String {
    schema
        .name_by_field_id(id)
        .map_or_else(|| format!("#{id}"), ToOwned::to_owned)
}

fn describe_snapshot(snapshot: &Snapshot) -> SnapshotDescription {
    SnapshotDescription {
        snapshot_id: snapshot.snapshot_id(),
        parent_snapshot_id: snapshot.parent_snapshot_id(),
        sequence_number: snapshot.sequence_number(),
        timestamp_ms: snapshot.timestamp_ms(),
        operation: snapshot.summary().operation.as_str().to_owned(),
        manifest_list: snapshot.manifest_list().to_owned(),
        summary: snapshot
            .summary()
            .additional_properties
            .clone()
            .into_iter()
            .collect(),
    }
}

fn counts(metadata: &TableMetadata) -> Counts {
    let total = |name: &str| match metadata.current_snapshot() {
        Some(snapshot) => snapshot
            .summary()
            .additional_properties
            .get(name)
            .and_then(|text| text.parse().ok()),
        None => Some(0),
    };
    Counts {
        snapshots: metadata.snapshots().len(),
        data_files: total("total-data-files"),
        delete_files: total("total-delete-files"),
        records: total("total-records"),
        bytes: total("total-files-size"),
    }
}

impl Render for Description {
    fn render(&self, text: &mut String) {
        let number =
            |count: Option<u64>| count.map_or_else(|| "unknown".to_owned(), |it| it.to_string());
        let bytes = self.counts.bytes.map_or_else(
            || "unknown".to_owned(),
            |bytes| format!("{bytes} ({})", units::format_bytes(bytes)),
        );
        let snapshot = self.current_snapshot.as_ref().map_or_else(
            || "none".to_owned(),
            |it| format!("{} ({})", it.snapshot_id, it.operation),
        );
        let properties: Vec<String> = self
            .properties
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        pairs(
            &[
                ("table", self.table.to_string()),
                ("location", self.location.clone()),
                ("metadata", self.metadata_location.clone()),
                ("uuid", self.uuid.clone()),
                ("format version", self.format_version.to_string()),
                ("partitioned by", list(self.partition_spec.iter())),
                ("sorted by", list(self.sort_order.iter())),
                ("properties", or_none(properties.join("\n"))),
                ("snapshot", snapshot),
                ("snapshots", self.counts.snapshots.to_string()),
                ("data files", number(self.counts.data_files)),
                ("delete files", number(self.counts.delete_files)),
                ("records", number(self.counts.records)),
                ("bytes", bytes),
            ],
            text,
        );
        text.push('\n');
        columns(&self.schema, text);
    }
}

/// Writes the columns of a schema as a table.
fn columns(schema: &Schema, text: &mut String) {
    let rows: Vec<Vec<String>> = schema
        .as_struct()
        .fields()
        .iter()
        .map(|field| {
            vec![
                field.id.to_string(),
                field.name.clone(),
                type_text(&field.field_type),
                if field.required { "required" } else { "" }.to_owned(),
            ]
        })
        .collect();
    let mut table = TextTable::new([
        ("id".to_owned(), true),
        ("column".to_owned(), false),
        ("type".to_owned(), false),
        (String::new(), false),
    ]);
    table.settle(&rows);
    table.header(text);
    for row in &rows {
        table.row(row, text);
    }
}

impl std::fmt::Display for PartitionField {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.transform {
            Transform::Identity => f.write_str(&self.source),
            transform => write!(f, "{transform}({}) as {}", self.source, self.name),
        }
    }
}

impl std::fmt::Display for SortField {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.transform {
            Transform::Identity => f.write_str(&self.source)?,
            transform => write!(f, "{transform}({})", self.source)?,
        }
        write!(f, " {} nulls {}", self.direction, self.null_order)
    }
}

/// Joins what is there by commas.
fn list(fields: impl Iterator<Item = impl std::fmt::Display>) -> String {
    let mut text = String::new();
    for field in fields {
        let separator = if text.is_empty() { "" } else { ", " };
        let written = write!(text, "{separator}{field}");
        debug_assert!(written.is_ok(), "writing to a string does not fail");
    }
    or_none(text)
}

/// Says `none` where there is nothing.
fn or_none(text: String) -> String {
    if text.is_empty() {
        "none".to_owned()
    } else {
        text
    }
}
