//! xml2arrow on the same document: its Python package, from `PyPI`, in an environment below the target
//! folder. Its tables are flat, and its values of fewer types: dates and timestamps stay text.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::checksum;
use super::shape::Shape;

/// Parses the document into batches, by either of the package's ways, and writes them as Parquet to
/// nowhere; prints the seconds of the processor, and sums over the columns where they are asked for.
const SCRIPT: &str = r"
import json, sys, time
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from xml2arrow import XmlToArrowParser

config, document, wants_sums = sys.argv[1:4]
parser = XmlToArrowParser(config)
text = open(document, 'rb').read()

start = time.process_time()
tables = parser.parse(text)
arrow = time.process_time() - start
for batch in tables.values():
    table = pa.Table.from_batches([pa.record_batch(batch)])
    pq.write_table(table, pa.MockOutputStream(), compression='snappy')
whole = time.process_time() - start

def total(values):
    if pa.types.is_string(values.type):
        values = pc.binary_length(values)
    elif pa.types.is_floating(values.type):
        values = pc.round(pc.multiply(values, 100.0))
    return int(pc.sum(pc.cast(values, pa.int64())).as_py() or 0)

sums = []
if wants_sums == 'sums':
    for name, batch in tables.items():
        batch = pa.record_batch(batch)
        for column in batch.schema.names:
            if not column.startswith('<'):
                values = batch.column(column)
                sums.append([name, column, len(values) - values.null_count, total(values)])
del tables

start = time.process_time()
writers = {}
for name, batch in parser.parse_batches(document):
    batch = pa.record_batch(batch)
    if name not in writers:
        writers[name] = pq.ParquetWriter(pa.MockOutputStream(), batch.schema, compression='snappy')
    writers[name].write_batch(batch, row_group_size=1 << 30)
for writer in writers.values():
    writer.close()
batches = time.process_time() - start
print(json.dumps({'arrow': arrow, 'whole': whole, 'batches': batches, 'sums': sums}))
";

/// A field: its path below the element of its row, its type, and the column here.
type Field = (&'static str, &'static str, &'static str);

/// A table: its name, the path of what holds its rows, its levels, the name of a row, its fields.
type Table = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static [Field],
);

// An element that is repeated is an error there but in a table of its own, and two tables cannot have the
// same element for a row and for what holds rows: `tag` of orders is left out.
const ORDERS: &[Table] = &[
    (
        "orders",
        "/orders",
        "order",
        "/order",
        &[
            ("/@id", "Int64", "_id"),
            ("/@status", "Utf8", "_status"),
            ("/date", "Utf8", "date"),
            ("/placed", "Utf8", "placed"),
            ("/customer/id", "Int64", "customer.id"),
            ("/customer/name", "Utf8", "customer.name"),
            ("/customer/city", "Utf8", "customer.city"),
            ("/gift", "Boolean", "gift"),
            ("/note", "Utf8", "note"),
        ],
    ),
    (
        "items",
        "/orders/order/items",
        "order, item",
        "/item",
        &[
            ("/@line", "Int64", "items.item._line"),
            ("/sku", "Utf8", "items.item.sku"),
            ("/quantity", "Int64", "items.item.quantity"),
            ("/price", "Float64", "items.item.price"),
            ("/discount", "Float64", "items.item.discount"),
        ],
    ),
];

const VEHICLES: &[Table] = &[(
    "rows",
    "/response/row",
    "row",
    "/row",
    &[
        ("/@_id", "Utf8", "__id"),
        ("/@_uuid", "Utf8", "__uuid"),
        ("/@_position", "Int64", "__position"),
        ("/vin_1_10", "Utf8", "vin_1_10"),
        ("/county", "Utf8", "county"),
        ("/city", "Utf8", "city"),
        ("/state", "Utf8", "state"),
        ("/zip_code", "Int64", "zip_code"),
        ("/model_year", "Int64", "model_year"),
        ("/make", "Utf8", "make"),
        ("/model", "Utf8", "model"),
        ("/ev_type", "Utf8", "ev_type"),
        ("/cafv_type", "Utf8", "cafv_type"),
        ("/electric_range", "Int64", "electric_range"),
        ("/base_msrp", "Int64", "base_msrp"),
        ("/legislative_district", "Int64", "legislative_district"),
        ("/dol_vehicle_id", "Int64", "dol_vehicle_id"),
        ("/geocoded_column", "Utf8", "geocoded_column"),
        ("/electric_utility", "Utf8", "electric_utility"),
        ("/_2020_census_tract", "Int64", "_2020_census_tract"),
    ],
)];

const ARTICLES: &[Table] = &[
    (
        "articles",
        "/articles",
        "article",
        "/article",
        &[
            ("/@id", "Int64", "_id"),
            ("/title", "Utf8", "title"),
            ("/published", "Utf8", "published"),
            ("/abstract", "Utf8", "abstract"),
        ],
    ),
    (
        "authors",
        "/articles/article/authors",
        "article, author",
        "/author",
        &[("", "Utf8", "authors.author")],
    ),
    (
        "keywords",
        "/articles/article/keywords",
        "article, keyword",
        "/keyword",
        &[("", "Utf8", "keywords.keyword")],
    ),
];

fn tables(shape: &Shape) -> &'static [Table] {
    match shape.name {
        "orders" => ORDERS,
        "ev" => VEHICLES,
        _ => ARTICLES,
    }
}

/// The tables in the package's own configuration. Columns are called as they are here.
fn configuration(tables: &[Table]) -> String {
    let mut text = String::from("tables:\n");
    for (name, path, levels, row, fields) in tables {
        let _ = write!(
            text,
            "  - name: {name}\n    xml_path: {path}\n    levels: [{levels}]\n    fields:\n"
        );
        for (below, data_type, column) in *fields {
            let _ = write!(
                text,
                "      - name: {column}\n        xml_path: {path}{row}{below}\n        data_type: {data_type}\n        nullable: true\n"
            );
        }
    }
    text
}

/// The package, ready to run.
pub(crate) struct Peer {
    folder: PathBuf,
    python: PathBuf,
    /// The documents that are written already.
    written: RefCell<HashMap<&'static str, PathBuf>>,
}

/// Time of the processor.
pub(crate) struct Spent {
    /// `parse` alone.
    pub(crate) arrow: Duration,
    /// `parse`, and writing.
    pub(crate) whole: Duration,
    /// `parse_batches`, and writing.
    pub(crate) batches: Duration,
}

/// What the script prints.
#[derive(serde::Deserialize)]
struct Printed {
    arrow: f64,
    whole: f64,
    batches: f64,
    sums: Vec<(String, String, usize, i64)>,
}

impl Peer {
    /// Installs the package where it is not yet.
    pub(crate) fn prepare() -> Self {
        let program = std::env::current_exe().unwrap();
        let target = program
            .ancestors()
            .find(|folder| folder.join("CACHEDIR.TAG").is_file());
        let folder = target.unwrap_or(Path::new("target")).join("bench-peers");
        let environment = folder.join("environment");
        let python = environment.join("bin/python");
        if !python.is_file() {
            let make = ["-m", "venv"];
            let made = Command::new("python3")
                .args(make)
                .arg(&environment)
                .status();
            assert!(made.unwrap().success(), "python3 makes no environment");
            let packages = [
                "-m",
                "pip",
                "install",
                "--quiet",
                "xml2arrow==0.19.0",
                "pyarrow",
            ];
            let installed = Command::new(&python).args(packages).status();
            assert!(
                installed.unwrap().success(),
                "xml2arrow cannot be installed"
            );
        }
        Self {
            folder,
            python,
            written: RefCell::default(),
        }
    }

    /// The time of the processor that `parse` and `parse_batches` need with the writing of what they give.
    pub(crate) fn to_parquet(&self, shape: &Shape, compare: bool) -> Spent {
        let configuration_file = self.folder.join(format!("{}.yaml", shape.name));
        let mut written = self.written.borrow_mut();
        let document = written.entry(shape.name).or_insert_with(|| {
            let document = self.folder.join(format!("{}.xml", shape.name));
            fs_err::write(&document, &*shape.text).unwrap();
            fs_err::write(&configuration_file, configuration(tables(shape))).unwrap();
            document
        });
        let output = Command::new(&self.python)
            .args(["-c", SCRIPT])
            .args([&configuration_file, &*document])
            .arg(if compare { "sums" } else { "" })
            .output()
            .unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "xml2arrow: {complaint}");
        let printed: Printed = serde_json::from_slice(&output.stdout).unwrap();
        if compare {
            assert_same(shape, &printed.sums);
        }
        Spent {
            arrow: Duration::from_secs_f64(printed.arrow),
            whole: Duration::from_secs_f64(printed.whole),
            batches: Duration::from_secs_f64(printed.batches),
        }
    }
}

/// Both must have found the same values.
fn assert_same(shape: &Shape, sums: &[(String, String, usize, i64)]) {
    // With `trim_text` the package drops the white space around references, too, so that it is left out,
    // and white space around values is kept here for once.
    let mut options = shape.options();
    options.ignore_surrounding_spaces = false;
    let mut batches = Vec::new();
    shape.to_arrow(options, |batch| batches.push(batch));
    let fields: usize = tables(shape).iter().map(|(.., fields)| fields.len()).sum();
    assert_eq!(sums.len(), fields, "{}", shape.name);
    for (table, column, count, sum) in sums {
        let ours = checksum::of(&batches, column);
        assert_eq!(ours, (*count, *sum), "{} {table}.{column}", shape.name);
    }
}
