//! How fast text becomes events, beside quick-xml's loop over the same text, and rows are found in
//! whole documents.
#![allow(clippy::unwrap_used, reason = "a bench may fail")]

use std::io::Cursor;

use calve_testkit::xml;
use calve_xml::lexer::{Event, Lexer, StartTag};
use calve_xml::row_reader::{RowError, RowReader};
use calve_xml::{Input, Place, ReadRows, Result, XmlOptions};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// The size of each document.
const BYTES: usize = 16 * 1024 * 1024;

/// Counts the events of a text.
fn events(text: &str) -> u64 {
    let mut lexer = Lexer::new(text);
    let mut count = 0;
    while lexer.next_event().unwrap() != Event::Eof {
        count += 1;
    }
    count
}

/// Counts the events of a text as quick-xml cuts them.
fn quick_xml_events(text: &str) -> u64 {
    let mut reader = quick_xml::Reader::from_str(text);
    let mut count = 0;
    while reader.read_event().unwrap() != quick_xml::events::Event::Eof {
        count += 1;
    }
    count
}

/// Walks through rows and takes nothing.
struct Walk(u64);

impl RowReader for Walk {
    type Output = u64;

    fn read_row<'a>(
        &mut self,
        lexer: &mut Lexer<'a>,
        _: StartTag<'a>,
    ) -> std::result::Result<(), RowError> {
        lexer.skip_element()?;
        self.0 += 1;
        Ok(())
    }

    fn reject_row(&mut self, _: &str, _: &Place, error: RowError) -> Result<()> {
        panic!("{}", error.reason);
    }

    fn finish_segment(&mut self) -> Result<u64> {
        Ok(std::mem::take(&mut self.0))
    }
}

/// Counts the rows of a document.
fn rows(text: &'static str, row_tag: &str, pool: Option<&rayon::ThreadPool>) -> u64 {
    let options = XmlOptions::new(row_tag);
    let reading = ReadRows::new(&options).with_pool(pool);
    let input = Input::new("bench", Cursor::new(text));
    let mut rows = 0;
    let consume = |_, output| {
        rows += output;
        Ok(())
    };
    reading.run([Ok(input)], || Ok(Walk(0)), consume).unwrap();
    rows
}

fn benches(criterion: &mut Criterion) {
    // Beside the calling thread.
    let builder = rayon::ThreadPoolBuilder::new().num_threads(1);
    let pool = builder.build().unwrap();
    for (shape, row_tag, text) in [
        ("orders", "order", xml::orders(BYTES, 1)),
        ("ev", "response/row/row", xml::vehicles(BYTES, 1)),
        ("pub", "article", xml::articles(BYTES, 1)),
    ] {
        let text: &'static str = text.leak();
        let mut group = criterion.benchmark_group(shape);
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function("lexer", |bencher| bencher.iter(|| events(text)));
        group.bench_function("quick-xml", |bencher| {
            bencher.iter(|| quick_xml_events(text));
        });
        group.bench_function("rows", |bencher| bencher.iter(|| rows(text, row_tag, None)));
        group.bench_function("rows, 2 threads", |bencher| {
            bencher.iter(|| rows(text, row_tag, Some(&pool)));
        });
        group.finish();
    }
}

criterion_group! {
    name = lexer;
    config = Criterion::default().sample_size(10);
    targets = benches
}
criterion_main!(lexer);
