//! The table that rows are written into, as it will be.

use calve_base::{Location, Properties};
use calve_table::NewTable;
use iceberg::spec::{Schema, SortOrder, TableMetadata};
use uuid::Uuid;

use super::Ctas;
use crate::{Error, Result};

/// The codec of data files, and the one that is meant where none is said.
const CODEC: (&str, &str) = ("write.parquet.compression-codec", "zstd");

/// The property that names the migration which made a table.
pub(crate) const MIGRATION_ID: &str = "calve.migration-id";
/// The property that names the run which is at work on it: another run finds its own no more.
pub(super) const RUN_ID: &str = "calve.migration-run-id";

/// The property that names the snapshot of the last batch that was committed: the journal may not know of it, and the
/// snapshot may have expired.
pub(super) const LAST_SNAPSHOT_ID: &str = "calve.migration-snapshot-id";

/// Where the table lies or will lie.
pub(super) async fn location(ctas: &Ctas) -> Result<Location> {
    match &ctas.options.location {
        Some(location) => Ok(location.clone()),
        None => Ok(ctas.catalog.default_location(&ctas.table).await?),
    }
}

/// Refuses a table inside of its source, or around it: its files would be taken for the source's.
pub(super) fn check_apart(location: &Location, source: Option<&Location>) -> Result<()> {
    match source {
        Some(source) if source.contains(location) || location.contains(source) => {
            Err(Error::Overlap {
                location: location.clone(),
                source_location: source.clone(),
            })
        }
        _ => Ok(()),
    }
}

/// The table that is created.
pub(super) fn new_table(ctas: &Ctas, location: Location, schema: Schema) -> Result<NewTable> {
    let options = &ctas.options;
    let wrong = |source| Error::Iceberg {
        table: ctas.table.clone(),
        source,
    };
    let spec = options.partition_by.spelled_as(&schema).spec(&schema);
    let order = options.sort_by.spelled_as(&schema).order(&schema);
    let mut properties: Properties = options.properties.clone();
    let (codec, default) = CODEC;
    properties
        .entry(codec.to_owned())
        .or_insert_with(|| default.to_owned());
    Ok(NewTable {
        uuid: Uuid::new_v4(),
        location,
        partition_spec: spec.map_err(wrong)?,
        sort_order: order.map_err(wrong)?,
        schema,
        properties,
        format_version: options.format_version,
        created_ms: ctas.clock.now_ms(),
    })
}

/// The columns, partition fields and sort fields of a table, for people.
pub(super) fn describe(metadata: &TableMetadata) -> (Vec<String>, Vec<String>, Vec<String>) {
    let schema = metadata.current_schema();
    let name = |id| schema.name_by_field_id(id).unwrap_or("?");
    let fields = schema.as_struct().fields().iter();
    let columns = fields.map(|field| {
        let of = calve_parquet::type_text(&field.field_type);
        format!("{}: {of}", field.name)
    });
    let partitions = metadata.default_partition_spec().fields().iter();
    let partitions = partitions.map(|field| {
        format!(
            "{}: {}({})",
            field.name,
            field.transform,
            name(field.source_id)
        )
    });
    let order: &SortOrder = metadata.default_sort_order();
    let sorted = order.fields.iter().map(|field| {
        let (transform, column) = (field.transform, name(field.source_id));
        format!(
            "{transform}({column}) {} {}",
            field.direction, field.null_order
        )
    });
    (columns.collect(), partitions.collect(), sorted.collect())
}
