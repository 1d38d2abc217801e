//! Rows that become the columns of a table only after choices were resolved and columns mapped.

use std::collections::BTreeMap;
use std::sync::Arc;

use calve::arrow::array::RecordBatch;
use calve::arrow::datatypes::Schema;
use calve::xml::convert::Report;
use calve::xml::infer::Inferred;
use calve::xml::mapping::{self, Mapping};
use calve::xml::schema::ddl::type_to_ddl;
use calve::xml::schema::evolve::{Drift, Evolve, OnDrift, called_like, differs_by_case};
use calve::xml::schema::{text_where_null_if, typed_where_null};

use super::schema::{RowSchema, Survey, check_malformed, evolve, notes};
use super::shape;
use crate::settings::XmlConvertSettings;

/// Decides by which schema the rows are read, and what the columns of the table are then.
///
/// # Errors
/// When the columns do not fit the table.
pub(super) fn columns_of(
    settings: &XmlConvertSettings,
    table: &Schema,
    on_drift: OnDrift,
    survey: &impl Survey,
) -> anyhow::Result<RowSchema> {
    let inferred = survey.infer()?;
    check_malformed(settings, &inferred, table, on_drift)?;
    let mapping = shape::mapping(settings, true)?;
    let evolve = evolve(settings, on_drift).with_adds_null(true);
    let read = read_by(settings, &inferred, table, &evolve, mapping.as_ref());
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
    let mut columns = shaped(&read, &mut report)?;
    if mapping.is_some() {
        columns = called_like(&columns, table);
    } else if let Some((column, other)) = differs_by_case(&columns, table) {
        anyhow::bail!(
            "--resolve-choice makes a column `{column}`, and the table has `{other}`, which engines do not tell apart: \
             take another action, or rename the table's"
        );
    }
    let evolution = evolve.with_by_name(true).plan(table, &columns)?;
    let last = Mapping::to_schema(&evolution.schema);
    let read = text_where_null_if(&read, |read| {
        let columns = shaped(read, &mut mapping::Report::default());
        columns.and_then(|columns| last.plan(&columns)).is_ok()
    });
    let mut notes = notes(&inferred, &evolution.schema, table);
    let missing = |it: &String| format!("no row has `{it}`: what is mapped from it is null");
    notes.extend(report.missing.iter().map(missing));
    Ok(RowSchema {
        table: Some(evolution.schema),
        drift: evolution.drift,
        ..RowSchema::plain(read, notes)
    })
}

/// The schema by which rows are read.
fn read_by(
    settings: &XmlConvertSettings,
    inferred: &Inferred,
    table: &Schema,
    evolve: &Evolve,
    mapping: Option<&Mapping>,
) -> Schema {
    let mut read = inferred.observed.clone();
    // A mapping gives columns other names and types; without one, they are the table's.
    read = match mapping {
        Some(mapping) => mapping.with_text(&read),
        None => evolve.aligned(&read, table),
    };
    if let Some(choices) = &settings.xml.choices {
        read = choices.with_known(&read, table, evolve);
    }
    match mapping {
        Some(_) => read,
        None => typed_where_null(&read, table),
    }
}

/// What the rows had that their columns do not hold, once all of them were read: nothing must be written of them then. Into
/// a table whose columns they only became, no value may be lost on the way; with `--on-drift fail`, none at all, and
/// nothing that no column takes.
///
/// # Errors
/// When there is something.
pub(super) fn check_values(
    settings: &XmlConvertSettings,
    rows: &RowSchema,
    report: &Report,
    nulled: &BTreeMap<String, u64>,
) -> calve::xml::Result<()> {
    let must_fit = settings.on_drift == Some(OnDrift::Fail);
    let mut drift = Vec::new();
    if let Some(table) = &rows.table {
        let text = |column: &str| match table.field_with_name(column) {
            Ok(field) => type_to_ddl(field.data_type()).unwrap_or_default(),
            Err(_) => String::new(),
        };
        drift.extend(nulled.iter().map(|(column, count)| Drift::Values {
            column: column.clone(),
            contract: text(column.trim_matches('`')),
            count: *count,
            first: None,
        }));
    }
    if must_fit || rows.table.is_some() {
        drift.extend(report.misfits.iter().map(|(column, misfit)| Drift::Values {
            column: column.clone(),
            contract: misfit.expected.clone(),
            count: misfit.count,
            first: Some(format!("`{}` in {}", misfit.first_text, misfit.first_place)),
        }));
    }
    if must_fit {
        drift.extend(report.unknown.iter().map(|(column, count)| Drift::Added {
            column: column.clone(),
            data_type: format!("{count} times, in no column"),
        }));
    }
    if drift.is_empty() {
        return Ok(());
    }
    Err(calve::xml::Error::Drift {
        drift,
        may_widen: false,
    })
}
