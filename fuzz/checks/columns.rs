//! A schema is inferred from any document, its rows become columns of that schema and a Parquet file, and
//! no row is lost.

use std::io::Cursor;
use std::sync::Arc;

use calve_xml::convert::Convert;
use calve_xml::infer::InferSchema;
use calve_xml::options::Namespaces;
use calve_xml::write::ParquetSink;
use calve_xml::{Input, XmlOptions};

/// Options by the bits of a byte.
fn options(bits: u8) -> XmlOptions {
    let mut options = XmlOptions::new("row");
    options.namespaces = match bits & 3 {
        0 => Namespaces::Strip,
        1 => Namespaces::Expand,
        _ => Namespaces::Keep,
    };
    options.exclude_attributes = bits & 4 != 0;
    options.ignore_surrounding_spaces = bits & 8 != 0;
    options.treat_empty_values_as_nulls = bits & 16 != 0;
    options
}

/// Infers a schema of a document and converts the document by it.
pub fn check(bits: u8, document: &[u8]) {
    let options = options(bits);
    let input = || Input::new("document", Cursor::new(document.to_vec()));
    let infer = InferSchema::new(options.clone())
        .with_prefers_decimal(bits & 32 != 0)
        .with_keeps_leading_zeros(bits & 64 != 0);
    let Ok(inferred) = infer.run([Ok(input())]) else {
        return;
    };
    if inferred.schema.fields().is_empty() {
        return;
    }
    let segment_bytes = if bits & 128 == 0 { 1 << 20 } else { 100 };
    let convert = Convert::new(&inferred.schema, options)
        .expect("what was inferred can be converted by")
        .with_segment_bytes(segment_bytes);
    let schema = Arc::clone(convert.schema());
    let mut sink = ParquetSink::new(schema, |_| Ok(Box::new(std::io::sink())));
    let mut rows = 0;
    let report = convert.run([Ok(input())], |batch| {
        rows += batch.num_rows() as u64;
        sink.write(batch)
    });
    let report = report.expect("a document that was read once can be read again");
    sink.finish().expect("a file can be ended");
    assert_eq!(rows, report.rows);
    assert_eq!(rows, inferred.rows + inferred.reading.rejected_rows);
}
