//! What holds for all documents.

use std::fmt::Write as _;

use arrow::compute::concat_batches;
use arrow::record_batch::RecordBatch;
use calve_xml::convert::Convert;
use calve_xml::infer::InferSchema;
use calve_xml::{Result, XmlOptions};
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
    let schema = std::sync::Arc::clone(convert.schema());
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
