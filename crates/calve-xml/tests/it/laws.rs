//! What holds for all documents.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Fields, Schema};
use arrow::record_batch::RecordBatch;
use calve_xml::convert::Convert;
use calve_xml::infer::InferSchema;
use calve_xml::mapping::{self, Mapping};
use calve_xml::resolve_choice::{self, ResolveChoice};
use calve_xml::schema::evolve::{Drift, Evolve, OnDrift};
use calve_xml::schema::{text_where_null_if, typed_where_null};
use calve_xml::{Error, Result, XmlOptions};
use proptest::prelude::*;

use super::input;

/// An element of a document that is made up.
#[derive(Debug, Clone)]
enum Piece {
    Text(&'static str),
    Element(&'static str, Option<&'static str>, Vec<Self>),
}

impl Piece {
    fn write(&self, text: &mut String) {
        match self {
            Self::Text(piece) => text.push_str(piece),
            Self::Element(name, attribute, children) => {
                let _ = write!(text, "<{name}");
                if let Some(value) = attribute {
                    let _ = write!(text, " k='{value}'");
                }
                text.push('>');
                for child in children {
                    child.write(text);
                }
                let _ = write!(text, "</{name}>");
            }
        }
    }
}

fn value() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "",
        " ",
        "1",
        "-7",
        "1.5",
        "true",
        "2020-01-01",
        "2020-01-01T00:00:00Z",
        "12:00:00",
        "x",
        "007",
        "&lt;",
        "<![CDATA[<row>]]>",
        "<!-- <row> -->",
        "99999999999999999999",
    ])
}

fn piece() -> impl Strategy<Value = Piece> {
    let names = || prop::sample::select(vec!["a", "b", "c", "A", "n:a", "row"]);
    let text = value().prop_map(Piece::Text);
    text.prop_recursive(4, 24, 4, move |inner| {
        (
            names(),
            prop::option::of(value().prop_filter("no markup", |value| !value.contains("<!"))),
            prop::collection::vec(inner, 0..4),
        )
            .prop_map(|(name, attribute, children)| Piece::Element(name, attribute, children))
    })
}

/// Rows, some of them malformed.
fn row() -> impl Strategy<Value = String> {
    let sound = prop::collection::vec(piece(), 0..4).prop_map(|pieces| {
        let mut text = String::new();
        Piece::Element("row", None, pieces).write(&mut text);
        text
    });
    prop_oneof![9 => sound, 1 => Just("<row><a>1</b></row>".to_owned())]
}

fn document(rows: &[String]) -> String {
    format!(
        "<?xml version='1.0'?>\n<rows xmlns:n='urn:n'>\n{}\n</rows>",
        rows.join("\n")
    )
}

fn batches(
    convert: Convert,
    text: &str,
    pool: Option<&rayon::ThreadPool>,
) -> Result<(RecordBatch, u64)> {
    let schema = Arc::clone(convert.schema());
    let mut batches = Vec::new();
    let consume = |batch| {
        batches.push(batch);
        Ok(())
    };
    let inputs = [Ok(input(text))];
    let report = match pool {
        Some(pool) => convert.run_on(inputs, pool, consume)?,
        None => convert.run(inputs, consume)?,
    };
    assert_eq!(
        report.rows + report.dropped_rows,
        report.reading.rows + report.reading.rejected_rows
    );
    Ok((
        concat_batches(&schema, &batches).unwrap(),
        report.corrupt_rows,
    ))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// The schema depends neither on the order of rows, nor on threads and segments; all rows come out,
    /// and the ones that are well-formed fit the schema that was inferred from them.
    #[test]
    fn schema_and_rows_are_the_same_however_they_are_read(
        rows in prop::collection::vec(row(), 0..12),
        segment_bytes in 1..400_usize,
        threads in 1..4_usize,
        rotation in 0..12_usize,
    ) {
        let options = XmlOptions::new("row");
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let text = document(&rows);
        let infer = InferSchema::new(options.clone());
        let inferred = infer.run([Ok(input(text.as_str()))]).unwrap();
        let cut = infer.clone().with_segment_bytes(segment_bytes);
        let again = cut.run_on([Ok(input(text.as_str()))], &pool).unwrap();
        prop_assert_eq!(&again.schema, &inferred.schema);
        prop_assert_eq!(&again.notes, &inferred.notes);
        prop_assert_eq!(again.rows, inferred.rows);

        let mut rotated = rows.clone();
        rotated.rotate_left(rotation % rows.len().max(1));
        rotated.reverse();
        let turned = infer.run([Ok(input(document(&rotated)))]).unwrap();
        prop_assert_eq!(&turned.schema, &inferred.schema);

        let serial = Convert::new(&inferred.schema, options.clone()).unwrap();
        let (serial, corrupt) = batches(serial, &text, None).unwrap();
        let malformed = rows.iter().filter(|row| row.contains("</b></row>") && row.starts_with("<row><a>1</b>")).count();
        prop_assert_eq!(serial.num_rows(), rows.len());
        prop_assert_eq!(corrupt, malformed as u64);
        let parallel = Convert::new(&inferred.schema, options).unwrap().with_segment_bytes(segment_bytes);
        let (parallel, _) = batches(parallel, &text, Some(&pool)).unwrap();
        prop_assert_eq!(parallel, serial);
    }
}

/// The columns that there are once a document was loaded, its rows, and what was new.
type Loaded = (Schema, Vec<RecordBatch>, Vec<Drift>);

/// Loads a document into the columns that earlier ones made, as a table has them: gives the columns from then on, and
/// the rows. Nothing where the document does not fit, whatever its columns become.
fn load(
    text: &str,
    table: Option<&Schema>,
    choices: Option<&ResolveChoice>,
) -> Result<Option<Loaded>> {
    let infer = InferSchema::new(XmlOptions::new("row"));
    let infer = match choices {
        Some(choices) => infer.with_choices(choices.choices()),
        None => infer,
    };
    let evolve = Evolve::new(OnDrift::Widen).with_adds_null(choices.is_some());
    let inferred = infer.run([Ok(input(text))])?;
    let mut read = match table {
        Some(_) => inferred.observed,
        None => inferred.schema,
    };
    if let (Some(choices), Some(table)) = (choices, table) {
        read = choices.with_known(&evolve.aligned(&read, table), table, &evolve);
        read = typed_where_null(&read, table);
    }
    let columns = match choices {
        Some(choices) => choices.plan(&read)?,
        None => read.clone(),
    };
    let evolved = match table {
        None => (columns, Vec::new()),
        Some(table) => match evolve.with_by_name(choices.is_some()).plan(table, &columns) {
            Ok(evolution) => (evolution.schema, evolution.drift),
            Err(Error::Drift { .. }) => return Ok(None),
            Err(error) => return Err(error),
        },
    };
    let (table, drift) = evolved;
    if choices.is_none() {
        read = table.clone();
    }
    let mapping = Mapping::to_schema(&table);
    let read = text_where_null_if(&read, |read| {
        let columns = choices.map_or_else(|| Ok(read.clone()), |it| it.plan(read));
        columns.and_then(|it| mapping.plan(&it)).is_ok()
    });
    let mut batches = Vec::new();
    let report = Convert::new(&read, XmlOptions::new("row"))?.run([Ok(input(text))], |batch| {
        let batch = match choices {
            Some(choices) => choices.resolve(&batch, &mut resolve_choice::Report::default())?,
            None => batch,
        };
        let mut report = mapping::Report::default();
        batches.push(mapping.apply(&batch, &mut report)?);
        assert!(report.nulled.is_empty(), "{report:?}");
        Ok(())
    })?;
    assert!(report.misfits.is_empty(), "{:?}", report.misfits);
    Ok(Some((table, batches, drift)))
}

/// No two columns of one struct have names that differ by case only.
fn check_names(fields: &Fields) {
    let mut names: Vec<String> = fields.iter().map(|it| it.name().to_lowercase()).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), fields.len(), "{fields:?}");
    for field in fields {
        match field.data_type() {
            DataType::Struct(children) => check_names(children),
            DataType::List(element) => check_names(&vec![Arc::clone(element)].into()),
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// What one run made of a document stands for the next one, and the same document, loaded again, changes
    /// nothing and gives the same rows.
    #[test]
    fn a_document_that_is_loaded_again_changes_nothing(
        documents in prop::collection::vec(prop::collection::vec(row(), 0..5), 1..4),
        action in prop::sample::select(vec![None, Some("make_cols"), Some("make_struct")]),
    ) {
        let choices = action.map(|it| ResolveChoice::parse(&[it]).unwrap());
        let mut table: Option<Schema> = None;
        for rows in &documents {
            let text = document(rows);
            // What is in a list cannot become several columns, and says so.
            let first = match load(&text, table.as_ref(), choices.as_ref()) {
                Err(Error::Column { .. }) if action == Some("make_cols") => continue,
                other => other.unwrap(),
            };
            let Some((schema, rows, _)) = first else {
                continue;
            };
            check_names(schema.fields());
            let again = load(&text, Some(&schema), choices.as_ref()).unwrap();
            let (same, same_rows, drift) = again.unwrap();
            prop_assert_eq!(drift, vec![]);
            prop_assert_eq!(&same, &schema);
            prop_assert_eq!(same_rows, rows);
            table = Some(schema);
        }
    }
}
