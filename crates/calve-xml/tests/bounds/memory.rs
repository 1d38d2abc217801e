//! Memory does not grow with the document.

use std::io::{Cursor, Read};
use std::sync::Arc;

use calve_testkit::xml::{SHAPES, Shape};
use calve_xml::convert::{Convert, Report};
use calve_xml::infer::InferSchema;
use calve_xml::write::{Codec, ParquetSink};
use calve_xml::{Input, XmlOptions};

use super::peak;

/// Segments and row groups, in bytes: small ones, so that small documents have many.
const SEGMENT: usize = 32 * 1024;
const ROW_GROUP: usize = 128 * 1024;

fn to_parquet(shape: &'static Shape, document: impl Read + Send + 'static) -> Report {
    let options = XmlOptions::new(shape.row_tag);
    let sample = Input::new("sample", Cursor::new(shape.text(100_000, 1)));
    let schema = InferSchema::new(options.clone())
        .run([Ok(sample)])
        .unwrap()
        .schema;
    let convert = Convert::new(&schema, options)
        .unwrap()
        .with_segment_bytes(SEGMENT);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build();
    let pool = Arc::new(pool.unwrap());
    let mut sink = ParquetSink::new(Arc::clone(convert.schema()), |_| {
        Ok(Box::new(std::io::sink()))
    })
    .with_codec(Codec::Snappy)
    .with_row_group_bytes(ROW_GROUP)
    .with_pool(Arc::clone(&pool));
    let input = Input::new("document", document);
    let report = convert.run_on([Ok(input)], &pool, |batch| sink.write(batch));
    sink.finish().unwrap();
    report.unwrap()
}

#[test]
fn a_document_eight_times_as_large_takes_no_more_memory() {
    for shape in SHAPES {
        let (small, _) = peak(|| to_parquet(shape, shape.stream(1_000_000, 7)));
        let (large, report) = peak(|| to_parquet(shape, shape.stream(8_000_000, 7)));
        assert!(report.rows > 1000 && report.corrupt_rows == 0, "{report:?}");
        println!("{}: {small} bytes, {large} bytes", shape.name);
        // What is kept of each row group, for the file's footer, is all that adds up.
        assert!(
            large < small + small / 2,
            "{}: {small}, {large}",
            shape.name
        );
        assert!(large < 12_000_000, "{}: {large}", shape.name);
    }
}

#[test]
fn inference_takes_no_more_memory_for_a_larger_document() {
    let infer = |shape: &'static Shape, bytes| {
        let input = Input::new("document", shape.stream(bytes, 7));
        let infer = InferSchema::new(XmlOptions::new(shape.row_tag)).with_segment_bytes(SEGMENT);
        infer.run([Ok(input)]).unwrap().rows
    };
    for shape in SHAPES {
        let (small, _) = peak(|| infer(shape, 500_000));
        let (large, _) = peak(|| infer(shape, 4_000_000));
        assert!(
            large < small + small / 4,
            "{}: {small}, {large}",
            shape.name
        );
    }
}

#[test]
fn a_large_row_takes_a_small_multiple_of_its_size() {
    const ROW: usize = 8_000_000;
    let shape = SHAPES[0];
    let before = Cursor::new("<orders><order id=\"1\"><note>");
    let text = std::io::repeat(b'x').take(ROW as u64);
    let after = Cursor::new("</note></order><order id=\"2\"/></orders>");
    let document = before.chain(text).chain(after);
    let (most, report) = peak(|| to_parquet(shape, document));
    assert_eq!((report.rows, report.corrupt_rows), (2, 0));
    println!("{most} bytes");
    // Buffers have room to grow, which is allocated but never touched.
    assert!(most < 10 * ROW, "{most}");
}
