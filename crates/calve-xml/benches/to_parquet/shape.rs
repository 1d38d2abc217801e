//! The documents, and what is done with them.

use std::hint::black_box;
use std::io::{Cursor, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::datatypes::Schema;
use arrow::record_batch::RecordBatch;
use calve_xml::convert::Convert;
use calve_xml::infer::InferSchema;
use calve_xml::lexer::{Event, Lexer};
use calve_xml::write::{Codec, ParquetSink};
use calve_xml::{Input, XmlOptions};
use rayon::ThreadPool;

/// The size of the pages that the writer makes.
const PAGE_BYTES: usize = 128 * 1024;

/// A document of one shape.
pub(crate) struct Shape {
    /// What the reference calls it.
    pub(crate) name: &'static str,
    /// The document.
    pub(crate) text: Arc<str>,
    row_tag: &'static str,
    /// The schema that is given to conversions.
    schema: Schema,
}

/// Gives the document without copying it beforehand.
struct Shared(Arc<str>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// Counts what is written to it.
struct Count(Arc<AtomicU64>);

impl Write for Count {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Shape {
    pub(crate) fn new(name: &'static str, row_tag: &'static str, text: String) -> Self {
        let mut shape = Self {
            name,
            text: text.into(),
            row_tag,
            schema: Schema::empty(),
        };
        shape.schema = shape.infer();
        shape
    }

    pub(crate) fn options(&self) -> XmlOptions {
        XmlOptions::new(self.row_tag)
    }

    fn input(&self) -> Input {
        Input::new(self.name, Cursor::new(Shared(Arc::clone(&self.text))))
    }

    pub(crate) fn infer(&self) -> Schema {
        let infer = InferSchema::new(self.options());
        let inferred = infer.run([Ok(self.input())]).unwrap();
        assert!(inferred.notes.is_empty(), "{:?}", inferred.notes);
        inferred.schema
    }

    pub(crate) fn to_arrow(&self, options: XmlOptions, mut consume: impl FnMut(RecordBatch)) {
        let convert = Convert::new(&self.schema, options).unwrap();
        let report = convert
            .run([Ok(self.input())], |batch| {
                consume(batch);
                Ok(())
            })
            .unwrap();
        assert_eq!((report.corrupt_rows, report.unknown.len()), (0, 0));
    }

    /// Gives the size of the Parquet file.
    pub(crate) fn to_parquet(&self, pool: Option<&Arc<ThreadPool>>) -> u64 {
        let convert = Convert::new(&self.schema, self.options()).unwrap();
        let bytes = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&bytes);
        let open = move |_| -> std::io::Result<Box<dyn Write + Send>> {
            Ok(Box::new(Count(Arc::clone(&count))))
        };
        let schema = Arc::clone(convert.schema());
        let mut sink = ParquetSink::new(schema, open)
            .with_codec(Codec::Snappy)
            .with_pool(pool.cloned());
        let pool = pool.map(|pool| &**pool);
        convert
            .run_by_document([Ok(self.input())], pool, |_, batch| sink.write(batch))
            .unwrap();
        sink.finish().unwrap();
        bytes.load(Ordering::Relaxed)
    }
}

pub(crate) fn quick_xml_events(text: &str) -> u64 {
    let mut reader = quick_xml::Reader::from_str(text);
    let mut events = 0;
    loop {
        match reader.read_event().unwrap() {
            quick_xml::events::Event::Eof => return events,
            event => {
                black_box(&event);
                events += 1;
            }
        }
    }
}

/// Compresses all of the text, as if it were pages.
pub(crate) fn snappy(text: &str) -> usize {
    let mut encoder = snap::raw::Encoder::new();
    let mut page = vec![0; snap::raw::max_compress_len(PAGE_BYTES)];
    let pages = text.as_bytes().chunks(PAGE_BYTES);
    pages
        .map(|it| encoder.compress(it, &mut page).unwrap())
        .sum()
}

pub(crate) fn lexer_events(text: &str) -> u64 {
    let mut lexer = Lexer::new(text);
    let mut events = 0;
    loop {
        match lexer.next_event().unwrap() {
            Event::Eof => return events,
            event => {
                black_box(&event);
                events += 1;
            }
        }
    }
}
