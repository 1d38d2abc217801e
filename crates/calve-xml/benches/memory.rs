//! The most memory that a conversion to Parquet has at a time, by the size of its document. Each
//! measurement is a process of its own, whose document is made while it is read.
//!
//! `cargo bench -p calve-xml --bench memory -- [MEGABYTES...]`
#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]
#![allow(clippy::print_stdout, reason = "a bench prints what it measured")]

use std::fmt::Write as _;
use std::io::{Cursor, Read, Write};
use std::process::Command;
use std::sync::Arc;

use calve_testkit::xml::{SHAPES, Shape};
use calve_xml::convert::Convert;
use calve_xml::infer::InferSchema;
use calve_xml::write::{Codec, ParquetSink};
use calve_xml::{Input, XmlOptions};

/// What a child process is told by.
const CHILD: &str = "--child";

/// What may be used, in megabytes, beside the largest row: a part for all, and one for each thread.
const LIMIT: (usize, usize) = (64, 32);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [child, shape, megabytes, threads, row] = &arguments[..]
        && child == CHILD
    {
        let shape = SHAPES.into_iter().find(|it| it.name == shape).unwrap();
        let [megabytes, threads, row] = [megabytes, threads, row].map(|it| it.parse().unwrap());
        convert(shape, megabytes, threads, row);
        return;
    }
    let mut sizes: Vec<usize> = arguments.iter().filter_map(|it| it.parse().ok()).collect();
    if sizes.is_empty() {
        sizes = vec![50, 500];
    }
    println!(
        "| shape | threads | largest row, MB | limit, MB | {} |",
        heads(&sizes)
    );
    println!("|---|--:|--:|--:|{}", "--:|".repeat(sizes.len()));
    for shape in SHAPES {
        for threads in [1, 2] {
            for row in [0, 32] {
                let limit = LIMIT.0 + LIMIT.1 * threads + row;
                let mut line = format!("| {} | {threads} | {row} | {limit} |", shape.name);
                for size in &sizes {
                    let numbers = [*size, threads, row].map(|number| number.to_string());
                    let _ = write!(line, " {} |", child(shape.name, &numbers));
                }
                println!("{line}");
            }
        }
    }
}

fn heads(sizes: &[usize]) -> String {
    let heads: Vec<String> = sizes
        .iter()
        .map(|size| format!("peak at {size} MB"))
        .collect();
    heads.join(" | ")
}

/// What a child process says.
fn child(shape: &str, numbers: &[String]) -> String {
    let program = std::env::current_exe().unwrap();
    let output = Command::new(program)
        .args([CHILD, shape])
        .args(numbers)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Converts a document on so many threads and prints the most megabytes that the process had.
fn convert(shape: &'static Shape, megabytes: u64, threads: u64, row_megabytes: u64) {
    let sample = shape.text(200_000, 1);
    let options = XmlOptions::new(shape.row_tag);
    let inferred = InferSchema::new(options.clone())
        .run([Ok(Input::new("sample", Cursor::new(sample)))])
        .unwrap();
    let convert = Convert::new(&inferred.schema, options).unwrap();
    let pool = (threads > 1).then(|| {
        let others = usize::try_from(threads - 1).unwrap();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(others).build();
        Arc::new(pool.unwrap())
    });
    let open = |_| -> std::io::Result<Box<dyn Write + Send>> { Ok(Box::new(std::io::sink())) };
    let mut sink = ParquetSink::new(Arc::clone(convert.schema()), open)
        .with_codec(Codec::Snappy)
        .with_pool(pool.clone());
    let document = shape.stream(megabytes * 1_000_000, 7);
    let mut inputs = vec![Ok(Input::new("document", document))];
    if row_megabytes > 0 {
        // The text of a leaf, with some of the entropy that texts have.
        let (before, after) = large_row(shape);
        let text = Noise {
            left: row_megabytes * 1_000_000,
            state: 1,
        };
        let row = Cursor::new(before).chain(text).chain(Cursor::new(after));
        inputs.push(Ok(Input::new("large row", row)));
    }
    let report = convert
        .run_by_document(inputs, pool.as_deref(), |_, batch| sink.write(batch))
        .unwrap();
    assert_eq!(report.corrupt_rows, 0);
    sink.finish().unwrap();
    let status = fs_err::read_to_string("/proc/self/status").unwrap();
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    let kibibytes: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    println!("{}", kibibytes * 1024 / 1_000_000);
}

/// What stands before and after the text of a large row.
fn large_row(shape: &Shape) -> (&'static str, &'static str) {
    match shape.name {
        "orders" => ("<orders><order id=\"1\"><note>", "</note></order></orders>"),
        "ev" => (
            "<response><row><row><model>",
            "</model></row></row></response>",
        ),
        _ => (
            "<articles><article id=\"1\"><abstract>",
            "</abstract></article></articles>",
        ),
    }
}

/// Letters that hardly compress.
struct Noise {
    left: u64,
    state: u64,
}

impl Read for Noise {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = usize::try_from(self.left).unwrap().min(buffer.len());
        for byte in &mut buffer[..count] {
            self.state = self
                .state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            *byte = b'0' + u8::try_from(self.state >> 60).unwrap() % 10;
        }
        self.left -= count as u64;
        Ok(count)
    }
}
