//! The schema that rows are read by.

use std::path::Path;

use anyhow::Context as _;
use calve::arrow::datatypes::{DataType, Field, Fields, Schema, TimeUnit};
use calve::xml::infer::Inferred;
use calve::xml::schema::evolve::{Drift, Evolve, OnDrift};
use calve::xml::schema::glue_json::to_glue_json;
use calve::xml::schema::spark_json::to_spark_json;
use calve::xml::schema::xsd::{ColumnOptions, RowValidator, SchemaRequest, Xsd};
use calve::xml::schema::{has_choice, parse_schema};

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

/// Decides by which schema rows are read. `contract` is that of the table, where there is one;
/// `infer` reads the documents.
///
/// # Errors
/// When a schema cannot be read, or the data must fit it and does not.
pub(super) fn decide(
    settings: &XmlConvertSettings,
    table: Option<Schema>,
    infer: impl FnOnce() -> calve::xml::Result<Inferred>,
) -> anyhow::Result<RowSchema> {
    let (contract, validator) = contract(settings, table)?;
    let is_given = settings.schema != SchemaSettings::Inferred;
    check_choices(settings, contract.as_ref())?;
    let plain = |schema, notes| RowSchema {
        schema,
        table: None,
        drift: Vec::new(),
        notes,
        validator: None,
    };
    let texts = |inferred: &Inferred| -> Vec<String> {
        inferred.notes.iter().map(ToString::to_string).collect()
    };
    match (contract, settings.on_drift) {
        (None, _) => {
            let inferred = infer()?;
            let notes = texts(&inferred);
            Ok(plain(inferred.schema, notes))
        }
        // Without a word about drift, a given schema says which columns are wanted; and where what does
        // not fit is kept, nothing needs to be known of it beforehand.
        (Some(schema), on_drift)
            if on_drift == Some(OnDrift::Rescue) || (on_drift.is_none() && is_given) =>
        {
            Ok(RowSchema {
                validator,
                ..plain(schema, Vec::new())
            })
        }
        (Some(contract), on_drift) => {
            let inferred = infer()?;
            let observed = match &settings.xml.choices {
                Some(choices) => choices.plan(&inferred.schema)?,
                None => inferred.schema.clone(),
            };
            let evolution = Evolve::new(on_drift.unwrap_or(OnDrift::Widen))
                .with_value_tag(settings.xml.options.value_tag.clone())
                .plan(&contract, &observed)?;
            // Choices are read as they are, and become what the contract says after that.
            let (schema, table) = match settings.xml.choices {
                Some(_) => (inferred.schema.clone(), Some(evolution.schema)),
                None => (evolution.schema, None),
            };
            Ok(RowSchema {
                schema,
                table,
                drift: evolution.drift,
                notes: texts(&inferred),
                validator,
            })
        }
    }
}

/// The schema that the data is held against, and what rows are validated against.
fn contract(
    settings: &XmlConvertSettings,
    table: Option<Schema>,
) -> anyhow::Result<(Option<Schema>, Option<RowValidator>)> {
    Ok(match &settings.schema {
        SchemaSettings::Inferred => (table, None),
        SchemaSettings::File(file) => {
            let schema = parse_schema(&fs_err::read_to_string(file)?);
            (
                Some(schema.with_context(|| file.display().to_string())?),
                None,
            )
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
fn check_choices(settings: &XmlConvertSettings, contract: Option<&Schema>) -> anyhow::Result<()> {
    let is_given = settings.schema != SchemaSettings::Inferred;
    let mut fields = contract.into_iter().flat_map(Schema::fields);
    let has_choices = fields.any(|field| has_choice(field));
    match (&settings.xml.choices, settings.on_drift) {
        (None, _) if has_choices => anyhow::bail!(
            "the schema has columns of several types: say with --resolve-choice what they become"
        ),
        (Some(_), Some(_)) if is_given => anyhow::bail!(
            "--resolve-choice makes columns of several types by the data, which a given schema does not \
             have: leave out --schema or --on-drift"
        ),
        (Some(_), Some(OnDrift::Rescue)) => anyhow::bail!(
            "with --on-drift rescue the types stand, and there is nothing to choose: leave out \
             --resolve-choice"
        ),
        _ => Ok(()),
    }
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

/// A table's columns as rows of XML have them: without field ids, instants in UTC.
pub(super) fn of_table(schema: &Schema) -> Schema {
    Schema::new(plain_fields(schema.fields()))
}

fn plain_fields(fields: &Fields) -> Fields {
    fields.iter().map(|field| plain_field(field)).collect()
}

fn plain_field(field: &Field) -> Field {
    let data_type = match field.data_type() {
        DataType::Struct(fields) => DataType::Struct(plain_fields(fields)),
        DataType::List(element) => DataType::List(plain_field(element).into()),
        DataType::Map(entries, sorted) => DataType::Map(plain_field(entries).into(), *sorted),
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => {
            DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
        }
        other => other.clone(),
    };
    Field::new(field.name(), data_type, field.is_nullable())
}

/// Reads an XML Schema, and what it includes from the folders around it.
fn read_xsd(file: &Path) -> anyhow::Result<Xsd> {
    let text = fs_err::read_to_string(file)?;
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
