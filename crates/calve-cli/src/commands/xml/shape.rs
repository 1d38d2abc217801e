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
    mappings: Vec<Mapping>,
    schema: SchemaRef,
}

/// Values that became null on the way, by column.
#[derive(Debug, Default)]
pub(super) struct Nulled {
    choices: resolve_choice::Report,
    mapping: mapping::Report,
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
        let mut shape = Self {
            choices: settings.xml.choices.clone(),
            mappings: Vec::new(),
            schema: Arc::clone(read),
        };
        if let Some(choices) = &shape.choices {
            shape.schema = Arc::new(choices.plan(&shape.schema)?);
        }
        if let Some(mapping) = mapping(settings, rows.table.is_some())? {
            shape.push(mapping)?;
        }
        if let Some(table) = &rows.table {
            shape.push(Mapping::to_schema(table))?;
        }
        Ok(shape)
    }

    fn push(&mut self, mapping: Mapping) -> calve::xml::Result<()> {
        self.schema = Arc::new(mapping.plan(&self.schema)?);
        self.mappings.push(mapping);
        Ok(())
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
        for mapping in &self.mappings {
            batch = mapping.apply(&batch, &mut nulled.mapping)?;
        }
        Ok(batch)
    }
}

impl Nulled {
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
