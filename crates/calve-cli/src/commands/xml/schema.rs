//! The schema that rows are read by.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use anyhow::Context as _;
use calve::arrow::datatypes::{DataType, Fields, Schema};
use calve::xml::FieldPath;
use calve::xml::convert::Report;
use calve::xml::infer::{Inferred, Note, renamed};
use calve::xml::options::Mode;
use calve::xml::schema::evolve::{Drift, Evolve, OnDrift, differs_by_case};
use calve::xml::schema::glue_json::to_glue_json;
use calve::xml::schema::spark_json::to_spark_json;
use calve::xml::schema::xsd::{ColumnOptions, RowValidator, SchemaRequest, Xsd};
use calve::xml::schema::{has_choice, parse_schema};

use super::columns::columns_of;
use super::shape;
use crate::failure::Refusal;
use crate::settings::{SchemaSettings, XmlConvertSettings};
use crate::status::ExitStatus;
use crate::text_table::counted;

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
    pub(super) fn plain(schema: Schema, notes: Vec<String>) -> Self {
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
    if let Some(given) = &given {
        check_names(given.fields(), &FieldPath::root())?;
        let clash = table.as_ref().filter(|_| settings.mapping.is_none());
        if let Some((column, other)) = clash.and_then(|table| differs_by_case(given, table)) {
            anyhow::bail!(
                "the schema has a column `{column}`, and the table has `{other}`, which engines do not tell apart: \
                 give them one name"
            );
        }
    }
    let rows = match (given, table, settings.on_drift) {
        (None, None, _) => {
            let inferred = survey.infer()?;
            check_columns(&inferred)?;
            let notes = inferred.notes.iter().map(ToString::to_string).collect();
            let schema = match shape::mapping(settings, false)? {
                Some(mapping) => mapping.with_text(&inferred.schema),
                None => inferred.schema,
            };
            RowSchema::plain(schema, notes)
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
                columns_of(settings, &table, on_drift, survey)?
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
    check_malformed(settings, &inferred, contract, on_drift)?;
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
    let notes = notes(&inferred, &evolution.schema, contract);
    Ok(RowSchema {
        drift: evolution.drift,
        ..RowSchema::plain(evolution.schema, notes)
    })
}

pub(super) fn evolve(settings: &XmlConvertSettings, on_drift: OnDrift) -> Evolve {
    Evolve::new(on_drift).with_value_tag(settings.xml.options.value_tag.clone())
}

/// What the user should know, where columns are called as `schema` says, which has grown from `contract`.
pub(super) fn notes(inferred: &Inferred, schema: &Schema, contract: &Schema) -> Vec<String> {
    let is_renamed = |note: &&Note| matches!(note, Note::Renamed { .. });
    let others = inferred.notes.iter().filter(|note| !is_renamed(note));
    let before = renamed(contract);
    let new = renamed(schema);
    let new = new.iter().filter(|note| !before.contains(note));
    others.chain(new).map(ToString::to_string).collect()
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

/// Checks that no two columns have names that engines do not tell apart.
fn check_names(fields: &Fields, path: &FieldPath) -> anyhow::Result<()> {
    let mut names = HashMap::new();
    for field in fields {
        if let Some(other) = names.insert(field.name().to_lowercase(), field.name()) {
            anyhow::bail!(
                "the schema has columns `{}` and `{}`, which engines do not tell apart: give one of them another name",
                path.field(other),
                path.field(field.name()),
            );
        }
        let mut inner = field.data_type();
        while let DataType::List(element) = inner {
            inner = element.data_type();
        }
        if let DataType::Struct(children) = inner {
            check_names(children, &path.field(field.name()))?;
        }
    }
    Ok(())
}

/// Checks that rows have a column at all: without one, nobody could count them.
fn check_columns(inferred: &Inferred) -> anyhow::Result<()> {
    if inferred.rows == 0 || !inferred.schema.fields().is_empty() {
        return Ok(());
    }
    Err(Refusal {
        message: format!(
            "{} found, with nothing in them that could be a column",
            counted(inferred.rows, "row")
        ),
        hint: "leave out --exclude-attributes, choose another element by --row-tag, or give a --schema"
            .to_owned(),
        status: ExitStatus::Problem,
    }
    .into())
}

/// Checks that malformed rows have a place, where no column may be added for them.
pub(super) fn check_malformed(
    settings: &XmlConvertSettings,
    inferred: &Inferred,
    contract: &Schema,
    on_drift: OnDrift,
) -> anyhow::Result<()> {
    let options = &settings.xml.options;
    let column = &options.corrupt_record_column;
    let rows = inferred.reading.rejected_rows;
    let has_place = options.mode != Mode::Permissive || contract.field_with_name(column).is_ok();
    if rows == 0 || on_drift != OnDrift::Fail || has_place {
        return Ok(());
    }
    Err(Refusal {
        message: format!(
            "{} malformed, and there is no column `{column}` for their text",
            counted(rows, "row")
        ),
        hint:
            "let the column be added (--on-drift widen), or drop such rows (--mode dropmalformed); \
               --mode failfast tells the place of the first one"
                .to_owned(),
        status: ExitStatus::Problem,
    }
    .into())
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
