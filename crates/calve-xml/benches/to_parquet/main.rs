//! How fast documents of three shapes are read, inferred and converted, beside the bare event loop of
//! quick-xml and beside xml2arrow, all in the same run. Prints the tables of `BENCHMARKS.md`.
//!
//! `cargo bench -p calve-xml --bench to_parquet -- [MEGABYTES] [--rounds N] [--peers] [--stage NAME] [SHAPE...]`
#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]
#![allow(clippy::print_stdout, reason = "a bench prints what it measured")]

mod checksum;
mod measure;
mod peers;
mod shape;

use std::hint::black_box;
use std::sync::Arc;

use calve_testkit::xml::SHAPES;
use rayon::{ThreadPool, ThreadPoolBuilder};

use measure::{Table, measure};
use shape::Shape;

/// The rows of the tables.
const QUICK: &str = "quick-xml, bare event loop";
const LEXER: &str = "calve, bare event loop";
const SNAPPY: &str = "snappy alone, of the document itself";
const INFER: &str = "calve, inference";
const ARROW: &str = "calve, to Arrow";
const PARQUET: &str = "calve, to Parquet";
const ONE: &str = "calve, to Parquet, one thread, by the clock";
const TWO: &str = "calve, to Parquet, two threads, by the clock";
const BOTH: &str = "two conversions of one thread each, side by side, by the clock";
const TWO_CPU: &str = "calve, to Parquet, two threads";
const PEER_ARROW: &str = "xml2arrow, `parse`, to Arrow";
const PEER: &str = "xml2arrow, `parse`, to Parquet";
const PEER_BATCHES: &str = "xml2arrow, `parse_batches`, to Parquet";

/// What is asked for on the command line.
struct Arguments {
    bytes: usize,
    rounds: usize,
    with_peers: bool,
    only: Vec<String>,
    /// The only things that are measured, where some are named: for a profiler.
    stages: Vec<String>,
}

impl Arguments {
    fn parse() -> Self {
        let mut parsed = Self {
            bytes: 64_000_000,
            rounds: 5,
            with_peers: false,
            only: Vec::new(),
            stages: Vec::new(),
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                // Cargo says so to every bench.
                "--bench" => {}
                "--peers" => parsed.with_peers = true,
                "--stage" => parsed.stages.extend(arguments.next()),
                "--rounds" => parsed.rounds = arguments.next().unwrap().parse().unwrap(),
                shape if shape.parse::<usize>().is_err() => parsed.only.push(argument),
                megabytes => parsed.bytes = megabytes.parse::<usize>().unwrap() * 1_000_000,
            }
        }
        parsed
    }
}

fn main() {
    let arguments = Arguments::parse();
    let wanted =
        |name: &str| arguments.only.is_empty() || arguments.only.iter().any(|it| it == name);
    let shapes: Vec<Shape> = SHAPES
        .into_iter()
        .filter(|shape| wanted(shape.name))
        .map(|shape| Shape::new(shape.name, shape.row_tag, shape.text(arguments.bytes, 7)))
        .collect();
    let peers = arguments.with_peers.then(peers::Peer::prepare);
    // Beside the calling thread.
    let another = Arc::new(ThreadPoolBuilder::new().num_threads(1).build().unwrap());
    let mut table = Table::new(shapes.iter().map(|shape| shape.name).collect());
    // Everything takes its turn in every round, so that a change of the machine's mood meets all alike.
    for round in 0..arguments.rounds {
        for shape in &shapes {
            run(shape, &another, &arguments.stages, &mut table);
            if let Some(peers) = &peers {
                let spent = peers.to_parquet(shape, round == 0);
                table.add(PEER_ARROW, shape, spent.arrow);
                table.add(PEER, shape, spent.whole);
                table.add(PEER_BATCHES, shape, spent.batches);
            }
        }
    }
    table.print(&[
        ("to Parquet / quick-xml", 0.45, PARQUET, &[QUICK]),
        ("inference / quick-xml", 0.7, INFER, &[QUICK]),
        (
            "to Parquet / xml2arrow",
            1.7,
            PARQUET,
            &[PEER, PEER_BATCHES],
        ),
        ("to Arrow / xml2arrow", 1.7, ARROW, &[PEER_ARROW]),
        ("two threads / one, by the clock", 1.7, TWO, &[ONE]),
        (
            "two conversions side by side / one, by the clock",
            2.0,
            BOTH,
            &[ONE],
        ),
    ]);
}

fn run(shape: &Shape, another: &Arc<ThreadPool>, wanted: &[String], table: &mut Table) {
    let text = &*shape.text;
    let mut stages: [(&'static str, &mut dyn FnMut()); 8] = [
        (QUICK, &mut || _ = black_box(shape::quick_xml_events(text))),
        (LEXER, &mut || _ = black_box(shape::lexer_events(text))),
        (SNAPPY, &mut || _ = black_box(shape::snappy(text))),
        (INFER, &mut || _ = black_box(shape.infer())),
        (ARROW, &mut || {
            shape.to_arrow(shape.options(), |batch| _ = black_box(batch));
        }),
        (PARQUET, &mut || _ = shape.to_parquet(None)),
        (BOTH, &mut || {
            std::thread::scope(|threads| {
                threads.spawn(|| shape.to_parquet(None));
                shape.to_parquet(None);
            });
        }),
        (TWO_CPU, &mut || _ = shape.to_parquet(Some(another))),
    ];
    for (name, run) in &mut stages {
        if !wanted.is_empty() && !wanted.iter().any(|it| it == name) {
            continue;
        }
        let spent = measure(&mut *run);
        if *name == BOTH {
            table.add(BOTH, shape, spent.clock / 2);
            continue;
        }
        table.add(name, shape, spent.processor);
        match *name {
            PARQUET => table.add(ONE, shape, spent.clock),
            TWO_CPU => table.add(TWO, shape, spent.clock),
            _ => {}
        }
    }
}
