//! The schema that rows are read by.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use calve::arrow::array::RecordBatch;
use calve::arrow::datatypes::Schema;
use calve::xml::convert::Report;
use calve::xml::infer::Inferred;
use calve::xml::mapping::{self, Mapping};
use calve::xml::schema::evolve::{Drift, Evolve, OnDrift};
use calve::xml::schema::glue_json::to_glue_json;
use calve::xml::schema::spark_json::to_spark_json;
use calve::xml::schema::xsd::{ColumnOptions, RowValidator, SchemaRequest, Xsd};
use calve::xml::schema::{has_choice, parse_schema, text_where_null_if, typed_where_null};

use super::shape;
use crate::settings::{SchemaSettings, XmlConvertSettings};

/// The schema that rows are read by, and what it was made of.
#[derive(Debug)]
pub(super) struct RowSchema {
    pub(super) schema: Schema,
    /// The columns that the rows become, where that is a table whose types stand.
    pub(super) table: Option<Schema>,
    /// In what the data does not fit the contract.
    pub(super) drift: Vec<Drift>,
    /// What the user should know.
    pub(super) notes: Vec<String>,
    /// What rows are validated against.
    pub(super) validator: Option<RowValidator>,
}

impl RowSchema {
    fn plain(schema: Schema, notes: Vec<String>) -> Self {
        Self {
            schema,
            table: None,
            drift: Vec::new(),
            notes,
            validator: None,
        }
    }
}

/// Reads the documents before their rows are converted.
pub(super) trait Survey {
    /// Infers their schema.
    fn infer(&self) -> calve::xml::Result<Inferred>;

    /// Reads the rows by a schema, for what of them does not fit it.
    fn fit(&self, schema: &Schema) -> calve::xml::Result<Report>;
}

/// Decides by which schema rows are read. `table` is the schema of the table that they go into, where it is
/// there already.
///
/// # Errors
/// When a schema cannot be read, or the data must fit it and does not.
pub(super) fn decide(
    settings: &XmlConvertSettings,
    table: Option<Schema>,
    survey: &impl Survey,
) -> anyhow::Result<RowSchema> {
    let (given, validator) = given(settings)?;
    check_choices(settings, given.as_ref())?;
    let rows = match (given, table, settings.on_drift) {
        (None, None, _) => {
            let inferred = survey.infer()?;
            RowSchema::plain(inferred.schema.clone(), notes(&inferred))
        }
        // Without a word about drift, a given schema says which columns are wanted; and where what does
        // not fit is kept, nothing needs to be known of it beforehand.
        (Some(schema), _, None | Some(OnDrift::Rescue)) => RowSchema::plain(schema, Vec::new()),
        (None, Some(schema), Some(OnDrift::Rescue)) => {
            check_rescue(settings)?;
            RowSchema::plain(schema, Vec::new())
        }
        (Some(contract), _, Some(on_drift)) => read_by(settings, &contract, on_drift, survey)?,
        (None, Some(table), on_drift) => {
            let on_drift = on_drift.unwrap_or(OnDrift::Widen);
            if settings.xml.choices.is_some() || settings.mapping.is_some() {
                become_columns(settings, &table, on_drift, survey)?
            } else {
                read_by(settings, &table, on_drift, survey)?
            }
        }
    };
    Ok(RowSchema { validator, ..rows })
}

/// Rows that are read by the contract itself.
fn read_by(
    settings: &XmlConvertSettings,
    contract: &Schema,
    on_drift: OnDrift,
    survey: &impl Survey,
) -> anyhow::Result<RowSchema> {
    let evolve = evolve(settings, on_drift);
    let inferred = survey.infer()?;
    let mut evolution = evolve.plan(contract, &inferred.observed)?;
    let xml = &settings.xml;
    if !evolution.unproven.is_empty() || xml.is_sampled || xml.has_types {
        let report = survey.fit(&evolution.schema)?;
        // Where all rows were looked at, what no column takes is known already.
        let unknown = if xml.is_sampled {
            report.unknown
        } else {
            BTreeMap::new()
        };
        evolution = evolve.plan_values(evolution, &report.misfits, &unknown)?;
    }
    Ok(RowSchema {
        drift: evolution.drift,
        ..RowSchema::plain(evolution.schema, notes(&inferred))
    })
}

/// Rows that become the columns of a table only after choices were resolved and columns mapped.
fn become_columns(
    settings: &XmlConvertSettings,
    table: &Schema,
    on_drift: OnDrift,
    survey: &impl Survey,
) -> anyhow::Result<RowSchema> {
    let inferred = survey.infer()?;
    let mut notes = notes(&inferred);
    let mut read = inferred.observed;
    let evolve = evolve(settings, on_drift).with_adds_null(true);
    // A mapping gives columns other names and types; without one, they are the table's.
    let is_table = settings.mapping.is_none();
    if is_table {
        read = evolve.aligned(&read, table);
    }
    if let Some(choices) = &settings.xml.choices {
        read = choices.with_known(&read, table);
    }
    if is_table {
        read = typed_where_null(&read, table);
    }
    let mapping = shape::mapping(settings, true)?;
    let shaped = |read: &Schema, report: &mut mapping::Report| -> calve::xml::Result<Schema> {
        let columns = match &settings.xml.choices {
            Some(choices) => choices.plan(read)?,
            None => read.clone(),
        };
        let Some(mapping) = &mapping else {
            return Ok(columns);
        };
        let empty = RecordBatch::new_empty(Arc::new(columns));
        let mapped = mapping.apply(&empty, report)?;
        Ok(mapped.schema().as_ref().clone())
    };
    let mut report = mapping::Report::default();
    let columns = shaped(&read, &mut report)?;
    let missing = |it: &String| format!("no row has `{it}`: what is mapped from it is null");
    notes.extend(report.missing.iter().map(missing));
    let evolution = evolve.plan(table, &columns)?;
    // Whether single values fit can only be told before they are cast.
    if on_drift == OnDrift::Fail && !evolution.unproven.is_empty() {
        return Err(calve::xml::Error::Drift {
            drift: evolution.unproven,
            may_widen: true,
        }
        .into());
    }
    let last = Mapping::to_schema(&evolution.schema);
    let read = text_where_null_if(&read, |read| {
        let columns = shaped(read, &mut mapping::Report::default());
        columns.and_then(|columns| last.plan(&columns)).is_ok()
    });
    Ok(RowSchema {
        table: Some(evolution.schema),
        drift: evolution.drift,
        ..RowSchema::plain(read, notes)
    })
}

fn evolve(settings: &XmlConvertSettings, on_drift: OnDrift) -> Evolve {
    Evolve::new(on_drift).with_value_tag(settings.xml.options.value_tag.clone())
}

fn notes(inferred: &Inferred) -> Vec<String> {
    inferred.notes.iter().map(ToString::to_string).collect()
}

/// The schema that the user gave, and what rows are validated against.
fn given(settings: &XmlConvertSettings) -> anyhow::Result<(Option<Schema>, Option<RowValidator>)> {
    Ok(match &settings.schema {
        SchemaSettings::Inferred => (None, None),
        SchemaSettings::File(file) => {
            let text = fs_err::read_to_string(file).context("--schema cannot be read")?;
            let schema = parse_schema(&text).with_context(|| file.display().to_string())?;
            (Some(schema), None)
        }
        SchemaSettings::Entry(schema) => (Some(schema.clone()), None),
        SchemaSettings::Xsd(file) => {
            let xsd = read_xsd(file)?;
            let row_tag = &settings.xml.options.row_tag;
            let schema = xsd.row_schema(row_tag, &ColumnOptions::from(&settings.xml.options))?;
            (Some(schema), Some(xsd.row_validator(row_tag)?))
        }
    })
}

/// Checks that what is to become of columns of several types can be said here, and is.
fn check_choices(settings: &XmlConvertSettings, given: Option<&Schema>) -> anyhow::Result<()> {
    let mut fields = given.into_iter().flat_map(Schema::fields);
    let has_choices = fields.any(|field| has_choice(field));
    match (&settings.xml.choices, settings.on_drift) {
        (None, _) if has_choices => anyhow::bail!(
            "the schema has columns of several types: say with --resolve-choice what they become"
        ),
        (Some(_), Some(OnDrift::Rescue)) => anyhow::bail!(
            "with --on-drift rescue the types stand, and there is nothing to choose: leave out \
             --resolve-choice"
        ),
        _ => Ok(()),
    }
}

/// Checks that rows can be read by a table's columns.
fn check_rescue(settings: &XmlConvertSettings) -> anyhow::Result<()> {
    if settings.mapping.is_some() {
        anyhow::bail!(
            "with --on-drift rescue rows are read by the columns of the table, which --mapping changes: \
             give the schema of the rows by --schema"
        );
    }
    Ok(())
}

/// Writes a schema as `--schema` reads it: as Spark's JSON, or Glue's where it has choices.
///
/// # Errors
/// When the file cannot be written.
pub(super) fn write_schema(file: &Path, schema: &Schema) -> anyhow::Result<()> {
    let json = if schema.fields().iter().any(|field| has_choice(field)) {
        to_glue_json(schema)?
    } else {
        to_spark_json(schema)?
    };
    let mut text = serde_json::to_string_pretty(&json)?;
    text.push('\n');
    Ok(fs_err::write(file, text)?)
}

/// Reads an XML Schema, and what it includes from the folders around it.
fn read_xsd(file: &Path) -> anyhow::Result<Xsd> {
    let text = fs_err::read_to_string(file).context("--xsd cannot be read")?;
    let mut load = |request: &SchemaRequest<'_>| {
        let Some(location) = request
            .location
            .filter(|location| !location.contains("://"))
        else {
            return Ok(None);
        };
        let folder = Path::new(request.base).parent().unwrap_or(Path::new(""));
        let path = folder.join(location);
        let text = fs_err::read_to_string(&path)?;
        Ok(Some((path.display().to_string(), text)))
    };
    Ok(Xsd::read(&file.display().to_string(), &text, &mut load)?)
}
