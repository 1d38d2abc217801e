//! From rows as they were read to rows as they are written.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context as _;
use calve::arrow::array::RecordBatch;
use calve::arrow::datatypes::{Schema, SchemaRef};
use calve::xml::mapping::{self, Mapping};
use calve::xml::resolve_choice::{self, ResolveChoice};

use super::schema::RowSchema;
use crate::settings::XmlConvertSettings;

/// What is done to the columns of every batch.
#[derive(Debug)]
pub(super) struct Shape {
    choices: Option<ResolveChoice>,
    mapping: Option<Mapping>,
    /// Brings the columns into those of the table.
    table: Option<Mapping>,
    schema: SchemaRef,
}

/// Values that became null on the way, by column.
#[derive(Debug, Default)]
pub(super) struct Nulled {
    choices: resolve_choice::Report,
    mapping: mapping::Report,
    table: mapping::Report,
}

impl Shape {
    /// `read` is the schema of the batches that come.
    ///
    /// # Errors
    /// When a column that is named is not there, or cannot become what was asked for.
    pub(super) fn new(
        settings: &XmlConvertSettings,
        rows: &RowSchema,
        read: &SchemaRef,
    ) -> anyhow::Result<Self> {
        let mut schema = read.as_ref().clone();
        let choices = settings.xml.choices.clone();
        if let Some(choices) = &choices {
            schema = choices.plan(&schema)?;
        }
        let mapping = mapping(settings, rows.table.is_some())?;
        if let Some(mapping) = &mapping {
            schema = mapping.plan(&schema)?;
        }
        let table = rows.table.as_ref().map(Mapping::to_schema);
        if let Some(table) = &table {
            schema = table.plan(&schema)?;
        }
        Ok(Self {
            choices,
            mapping,
            table,
            schema: Arc::new(schema),
        })
    }

    /// The schema of the batches that go.
    pub(super) fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    pub(super) fn apply(
        &self,
        batch: RecordBatch,
        nulled: &mut Nulled,
    ) -> calve::xml::Result<RecordBatch> {
        let mut batch = batch;
        if let Some(choices) = &self.choices {
            batch = choices.resolve(&batch, &mut nulled.choices)?;
        }
        if let Some(mapping) = &self.mapping {
            batch = mapping.apply(&batch, &mut nulled.mapping)?;
        }
        if let Some(table) = &self.table {
            batch = table.apply(&batch, &mut nulled.table)?;
        }
        Ok(batch)
    }
}

impl Nulled {
    /// Those that the columns of the table do not hold.
    pub(super) fn in_table(&self) -> &BTreeMap<String, u64> {
        &self.table.nulled
    }

    pub(super) fn by_column(self) -> BTreeMap<String, u64> {
        let mut all = self.choices.nulled;
        for (column, count) in self.mapping.nulled {
            *all.entry(column).or_default() += count;
        }
        all
    }
}

/// The mapping that the user gave. Where the columns that it makes are there already, rows may lack what
/// some of them are made of.
///
/// # Errors
/// When it cannot be read.
pub(super) fn mapping(
    settings: &XmlConvertSettings,
    has_columns: bool,
) -> anyhow::Result<Option<Mapping>> {
    let Some(file) = &settings.mapping else {
        return Ok(None);
    };
    let text = fs_err::read_to_string(file).context("--mapping cannot be read")?;
    let mapping = Mapping::from_json(&text)
        .with_context(|| file.display().to_string())?
        .with_missing_as_null(has_columns);
    Ok(Some(match &settings.xml.options.rescued_data_column {
        Some(column) => mapping.with_kept(column),
        None => mapping,
    }))
}
