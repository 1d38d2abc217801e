//! Real documents, against an independent decoding of the same rows with lxml.

use std::path::{Path, PathBuf};

use arrow::datatypes::{DataType, Field, Fields};
use calve_testkit::{python, shared_data};
use calve_xml::convert::Convert;
use calve_xml::infer::InferSchema;
use calve_xml::options::Mode;
use calve_xml::schema::choice::XML_NAME;
use calve_xml::{Error, Input, XmlOptions};
use fs_err::File;
use serde_json::{Value, json};

use super::{convert, to_lines, with_offsets};

/// A real document, where it is at hand.
fn document(name: &str) -> Option<PathBuf> {
    let file = shared_data()?.join("xml/real").join(name);
    file.is_file().then_some(file)
}

/// A type as the comparing script wants it.
fn typed(data_type: &DataType) -> Value {
    match data_type {
        DataType::Utf8 => json!("string"),
        DataType::Int64 => json!("long"),
        DataType::Float64 => json!("double"),
        DataType::Boolean => json!("boolean"),
        DataType::Date32 => json!("date"),
        DataType::Timestamp(..) => json!("timestamp"),
        DataType::List(item) => json!({"list": typed(item.data_type())}),
        DataType::Struct(fields) => {
            json!({"struct": fields.iter().map(|field| column(field)).collect::<Vec<_>>()})
        }
        other => panic!("{other} was not expected"),
    }
}

fn column(field: &Field) -> Value {
    let xml_name = field.metadata().get(XML_NAME).unwrap_or(field.name());
    json!([field.name(), xml_name, typed(field.data_type())])
}

/// How many attributes and texts a row has: the values that are neither null nor empty.
fn values(row: &Value) -> usize {
    match row {
        Value::Object(fields) => fields.values().map(values).sum(),
        Value::Array(items) => items.iter().map(values).sum(),
        Value::String(text) => usize::from(!text.is_empty()),
        Value::Null => 0,
        Value::Bool(_) | Value::Number(_) => 1,
    }
}

/// All rows are decoded as lxml decodes them.
#[track_caller]
fn check(name: &str, row_tag: &str, expected_rows: usize) {
    let Some(path) = document(name) else {
        println!("skipped: {name} is not at hand");
        return;
    };
    let options = XmlOptions::new(row_tag);
    let input = Input::new(name, File::open(&path).unwrap());
    let inferred = InferSchema::new(options.clone()).run([Ok(input)]).unwrap();
    // Lines, not values: reading them as values would round numbers.
    let mut lines = String::new();
    let bytes = fs_err::read(&path).unwrap();
    let convert = Convert::new(&with_offsets(&inferred.schema), options.clone()).unwrap();
    let report = convert
        .run([Ok(super::input(bytes))], |batch| {
            lines.push_str(&to_lines(&batch));
            Ok(())
        })
        .unwrap();
    assert_eq!(
        (lines.lines().count(), inferred.rows),
        (expected_rows, expected_rows as u64),
        "{report:?}"
    );
    assert_eq!(
        (report.corrupt_rows, report.reading.faults),
        (0, 0),
        "{:?}",
        report.first_rejects
    );
    assert!(report.unknown.is_empty(), "{:?}", report.unknown);
    let answer = compare(&path, row_tag, inferred.schema.fields(), &lines);
    assert_eq!(answer["differences"], json!([]), "{name}");
    assert_eq!(answer["rows"], json!(expected_rows));
    // Raw XML holds many values, so that this can only be said where there is none.
    let has_raw_xml = inferred
        .notes
        .iter()
        .any(|note| note.to_string().contains("raw XML"));
    if !has_raw_xml {
        let rows = lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap());
        let found: usize = rows.map(|row: Value| values(&row)).sum();
        assert_eq!(answer["values"], json!(found), "{name}");
    }
}

fn compare(path: &Path, row_tag: &str, fields: &Fields, rows: &str) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let (schema, lines) = (
        folder.path().join("schema.json"),
        folder.path().join("rows.json"),
    );
    fs_err::write(
        &schema,
        typed(&DataType::Struct(fields.clone())).to_string(),
    )
    .unwrap();
    fs_err::write(&lines, rows).unwrap();
    let arguments = [
        path.to_str().unwrap(),
        row_tag,
        schema.to_str().unwrap(),
        lines.to_str().unwrap(),
    ];
    python::run_file("check_xml_rows.py", &arguments)
}

#[test]
fn real_documents_are_decoded_as_lxml_decodes_them() {
    check("blast_2900_blastp_001.xml", "Hit", 10);
    check("blast_2900_blastp_001.xml", "BlastOutput", 1);
    check("cldr_supplementalData.xml", "supplementalData", 1);
    check("cldr_supplementalData.xml", "territory", 257);
    check("gpx_korita-zbevnica.gpx", "trkpt", 871);
    check("gpx_korita-zbevnica.gpx", "gpx", 1);
    check("iso20022_pain001.xml", "Document", 1);
    check("isocodes_iso_639-3.xml", "iso_639_3_entry", 7910);
    check("nvd_nvdcve_0.xml", "entry", 176);
    check("osm_grid_all.osm", "node", 960);
    check("osm_grid_all.osm", "way", 259);
    check("phyloxml_o_tol.xml", "phylogeny", 1);
    check("pubmed_29768149.xml", "PubmedArticle", 1);
}

#[test]
fn a_document_that_is_not_well_formed_is_told_where() {
    let Some(path) = document("isocodes_iso_3166-2.xml") else {
        println!("skipped: the document is not at hand");
        return;
    };
    let mut options = XmlOptions::new("iso_3166_country");
    options.mode = Mode::FailFast;
    let infer = |options: &XmlOptions| {
        let input = Input::new("iso_3166-2", File::open(&path).unwrap());
        InferSchema::new(options.clone()).run([Ok(input)])
    };
    let error = infer(&options).unwrap_err();
    let Error::BadRow { place, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(place.line, 6747, "{error}");
    options.mode = Mode::DropMalformed;
    let inferred = infer(&options).unwrap();
    let (rows, report) =
        convert(&fs_err::read(&path).unwrap(), &inferred.schema, &options).unwrap();
    assert_eq!((rows.len(), report.dropped_rows), (198, 1), "{report:?}");
}
