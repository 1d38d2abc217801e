//! `ctas --format orc`: lakes as `PyArrow` writes them, compared with what `PyArrow` reads of them.

use calve_testkit::moto::Moto;
use calve_testkit::python;
use calve_testkit::s3::S3Server;
use serde_json::json;

use crate::glue::{create_entry, read_with_pyiceberg, sandbox_with_keys};
use crate::support::Sandbox;

/// What each script begins with.
const PRELUDE: &str = r#"
import datetime, decimal, json, os, sys
import pyarrow as pa, pyarrow.orc as orc
from read_table import canonical_column, read_with_duckdb
lake = sys.argv[1]
def write(name, table, **options):
    os.makedirs(os.path.dirname(f"{lake}/{name}"), exist_ok=True)
    orc.write_table(table, f"{lake}/{name}", **options)
def canonical(table):
    columns = [canonical_column(column) for column in table.columns]
    return sorted((list(row) for row in zip(*columns)), key=json.dumps)
"#;

/// Two partitions, whose files differ in columns and types, in several stripes.
const WRITE: &str = r#"
def table(rows, start, wide):
    some = lambda value: [None if i % 11 == 3 else value(i) for i in range(start, start + rows)]
    whole = pa.int64() if wide else pa.int32()
    inner = [("a", whole), ("b", pa.list_(pa.string()))] + ([("c", pa.bool_())] if wide else [])
    columns = {
        "id": pa.array(range(start, start + rows), whole),
        "small": pa.array(some(lambda i: i % 30000), pa.int16() if wide else pa.int32()),
        "name": pa.array(some(lambda i: "n" + str(i % 50))),
        "text": pa.array(some(lambda i: "täxt " + str(i * i))),
        "amount": pa.array(some(lambda i: decimal.Decimal(i * 1009 - 10**6).scaleb(-2)), pa.decimal128(20 if wide else 12, 2)),
        "day": pa.array(some(lambda i: datetime.date(1500, 1, 1) + datetime.timedelta(days=i * 9))),
        "at": pa.array(some(lambda i: (i - rows // 2) * 10**12 + i), pa.timestamp("us")),
        "seen": pa.array(some(lambda i: (i - rows // 2) * 10**11 + i), pa.timestamp("us", "UTC")),
        "flag": pa.array(some(lambda i: i % 3 == 0)),
        "x": pa.array(some(lambda i: i / 7), pa.float64()),
        "y": pa.array(some(lambda i: i / 8), pa.float64() if wide else pa.float32()),
        "bin": pa.array(some(lambda i: bytes([i % 256]) * (i % 9))),
        "tags": pa.array(some(lambda i: [None if k == 1 else f"t{k}" for k in range(i % 4)])),
        "attributes": pa.array(some(lambda i: [(f"k{k}", None if k == 1 else i) for k in range(i % 3)]), pa.map_(pa.string(), pa.int64())),
        "s": pa.array(some(lambda i: {"a": i, "b": ["x"] * (i % 3), "c": None if i % 2 else True}), pa.struct(inner)),
        "items": pa.array(some(lambda i: [{"a": i, "b": None, "c": False}] * (i % 2)), pa.list_(pa.struct(inner))),
    }
    if wide:
        columns["extra"] = pa.array(some(lambda i: i))
    return pa.table(columns)
options = dict(compression=sys.argv[2], stripe_size=16 * 1024, batch_size=500)
write("year=2023/000000_0", table(6000, 0, False), **options)
write("year=2024/000000_0", table(5000, 6000, True), **options)
print(json.dumps(orc.ORCFile(f"{lake}/year=2023/000000_0").nstripes))
"#;

/// Compares the lake as `PyArrow` reads it with the table as DuckDB does.
const COMPARE: &str = r#"
files = [(orc.read_table(f"{lake}/year={year}/000000_0"), year) for year in (2023, 2024)]
tables = [table.append_column("year", pa.array([year] * table.num_rows, pa.int32())) for table, year in files]
theirs = pa.concat_tables(tables, promote_options="permissive")
ours = read_with_duckdb(sys.argv[2], {}, None, None, None).select(theirs.column_names)
theirs, ours = canonical(theirs), canonical(ours)
first = next(([a, b] for a, b in zip(theirs, ours) if a != b), None)
print(json.dumps({"rows": len(theirs), "equal": theirs == ours, "first": first}, default=str))
"#;

fn script(body: &str) -> String {
    format!("{PRELUDE}{body}")
}

/// Runs `ctas` that must fail without a panic; gives what it said.
#[track_caller]
fn refused(sandbox: &Sandbox, lake: &str, table: &str) -> String {
    let told = sandbox.run(&["ctas", lake, "--format", "orc", "--table", table]);
    assert!(told.starts_with("exit 2"), "{told}");
    assert!(!told.contains("panicked"), "{told}");
    assert!(!sandbox.run(&["tables"]).contains(table), "{told}");
    told
}

#[track_caller]
fn check_codec(codec: &str) {
    let sandbox = Sandbox::new();
    let lake = sandbox.path().join("lake").display().to_string();
    let stripes = python::run(&script(WRITE), &[&lake, codec]);
    assert!(stripes.as_u64().unwrap() > 1, "{codec}: {stripes}");
    let report = sandbox.json(&[
        "ctas",
        "lake",
        "--format",
        "orc",
        "--table",
        "a.orc",
        "--partition-by",
        "year",
        "--batch-by",
        "rows=6000",
    ]);
    assert_eq!(report["source_records_count"], json!(11_000), "{codec}");
    assert_eq!(report["added_records_count"], json!(11_000), "{codec}");
    assert_eq!(report["batches"], json!(2), "{codec}");
    let columns = report["columns"].as_array().unwrap();
    for expected in [
        "id: long",
        "small: int",
        "amount: decimal(20, 2)",
        "at: timestamp",
        "seen: timestamptz",
        "y: double",
        "extra: long",
    ] {
        assert!(
            columns.contains(&json!(expected)),
            "{expected}: {columns:?}"
        );
    }
    // The table is compared with the files, and with fewer of them.
    let verify = |source: &str, code: i32| {
        let (found, proof) = sandbox.json_with_code(&[
            "verify", source, "--format", "orc", "--table", "a.orc", "--level", "rows",
        ]);
        assert_eq!(found, code, "{codec}: {proof:#}");
        assert_eq!(proof["equal"], json!(code == 0), "{codec}: {proof:#}");
        proof
    };
    assert_eq!(verify("lake", 0)["rows_source"], json!(11_000));
    let proof = verify("lake/year=2023", 1);
    assert_eq!(
        (&proof["rows_source"], &proof["rows_table"]),
        (&json!(6_000), &json!(11_000))
    );

    let metadata = report["metadata_location"].as_str().unwrap();
    let proof = python::run(&script(COMPARE), &[&lake, metadata]);
    assert_eq!(proof["rows"], json!(11_000), "{codec}");
    assert_eq!(proof["equal"], json!(true), "{codec}: {:#}", proof["first"]);
}

#[test]
fn lakes_of_orc_are_rewritten() {
    for codec in ["uncompressed", "zlib", "snappy", "lz4", "zstd"] {
        check_codec(codec);
    }
}

#[test]
fn columns_and_rows_are_chosen() {
    let sandbox = Sandbox::new();
    let lake = sandbox.path().join("lake").display().to_string();
    python::run(&script(WRITE), &[&lake, "zstd"]);
    let report = sandbox.json(&[
        "ctas",
        "lake",
        "--format",
        "orc",
        "--table",
        "a.some",
        "--select",
        "s.a AS a, year, upper(name) AS name",
        "--where",
        "id >= 3000 AND year < 2024",
    ]);
    assert_eq!(report["added_records_count"], json!(3000));
    let found = sandbox.json(&[
        "sql",
        "SELECT count(*) AS n, count(a) AS a, min(name) AS m FROM a.some",
    ]);
    assert_eq!(found, json!([{"n": 3000, "a": 2727, "m": "N0"}]));
    // Format version 3 keeps nanoseconds.
    let nanos = sandbox.json(&[
        "ctas",
        "lake",
        "--format",
        "orc",
        "--table",
        "a.nanos",
        "--select",
        "at",
        "--format-version",
        "3",
    ]);
    assert_eq!(nanos["columns"], json!(["at: timestamp_ns"]));
}

/// A file that is cut off or damaged is an error with its name, and no table is left.
#[test]
fn damaged_files_are_named() {
    let sandbox = Sandbox::new();
    let lake = sandbox.path().join("lake").display().to_string();
    python::run(&script(WRITE), &[&lake, "zlib"]);
    let whole = fs_err::read(sandbox.path().join("lake/year=2023/000000_0")).unwrap();
    let good = fs_err::read(sandbox.path().join("lake/year=2024/000000_0")).unwrap();
    sandbox.write("cut/a.orc", &good);
    for (at, end) in [whole.len() - 1, whole.len() / 2, 200, 3]
        .into_iter()
        .enumerate()
    {
        sandbox.write("cut/b.orc", &whole[..end]);
        let told = refused(&sandbox, "cut", &format!("a.cut{at}"));
        assert!(told.contains("cut/b.orc: it is "), "{told}");
    }
    // Bytes in the midst of the file: of streams, and of stripes' footers.
    for at in 1..12 {
        let mut damaged = whole.clone();
        let place = whole.len() * at / 12;
        for byte in &mut damaged[place..place + 40] {
            *byte ^= 0x55;
        }
        sandbox.write("cut/b.orc", &damaged);
        let told = refused(&sandbox, "cut", &format!("a.damaged{at}"));
        assert!(told.contains("cut/b.orc: "), "{told}");
    }
    sandbox.write("text/a.orc", b"no ORC at all");
    let told = refused(&sandbox, "text", "a.text");
    assert!(told.contains("text/a.orc: it is no ORC file"), "{told}");
}

#[test]
fn what_no_table_holds_is_named() {
    let sandbox = Sandbox::new();
    let lake = sandbox.path().join("lake").display().to_string();
    let body = r#"
union = pa.UnionArray.from_sparse(pa.array([0, 1], pa.int8()), [pa.array([1, 2]), pa.array(["a", "b"])])
write("union/a.orc", pa.table({"u": pa.StructArray.from_arrays([union], ["v"])}))
numbers = pa.array([1, 2], pa.int64())
names = ["operation", "originalTransaction", "bucket", "rowId", "currentTransaction"]
row = pa.StructArray.from_arrays([numbers], ["id"])
write("acid/bucket_00000", pa.table([numbers] * 5 + [row], names=names + ["row"]))
write("drift/a.orc", pa.table({"id": numbers}))
write("drift/b.orc", pa.table({"id": ["x", "y"]}))
write("nanos/a.orc", pa.table({"at": pa.array([1], pa.timestamp("ns"))}))
write("empty/a.orc", pa.table({"id": pa.array([], pa.int64())}))
print("true")
"#;
    python::run(&script(body), &[&lake]);
    for (folder, expected) in [
        ("union", "union/a.orc: column `u.v`: it is a union"),
        (
            "acid",
            "acid/bucket_00000: it belongs to a transactional (ACID) table",
        ),
        (
            "drift",
            "drift/b.orc: column `id` is Utf8, and in other files Int64",
        ),
        (
            "nanos",
            "nanos/a.orc: column `at`: 1 ns has digits beyond the microsecond",
        ),
    ] {
        let table = format!("a.{folder}");
        let told = refused(&sandbox, &format!("lake/{folder}"), &table);
        assert!(told.contains(expected), "{told}");
    }
    let truncated = sandbox.json(&[
        "ctas",
        "lake/nanos",
        "--format",
        "orc",
        "--table",
        "a.nanos",
        "--truncate-nanoseconds",
    ]);
    assert_eq!(truncated["columns"], json!(["at: timestamp"]));
    let empty = sandbox.json(&[
        "ctas",
        "lake/empty",
        "--format",
        "orc",
        "--table",
        "a.empty",
    ]);
    assert_eq!(empty["columns"], json!(["id: long"]));
    assert_eq!(empty["added_records_count"], json!(0));
    // What adds files where they lie says what to do instead.
    let told = sandbox.run(&["add-files", "lake/drift", "--table", "a.drift"]);
    assert!(told.contains("ctas --format orc"), "{told}");
}

/// An entry of Glue over ORC: partitions where they lie, and names for a file of Hive 1, which has none.
#[test]
fn an_entry_of_glue_is_rewritten() {
    let (server, moto) = (S3Server::with_buckets(&["lake"]), Moto::start());
    let lake = server.root().join("lake").display().to_string();
    let body = r#"
names = pa.array(["a", "b"])
write("days/day=2024-01-01/000000_0", pa.table({"id": pa.array([1, 2], pa.int32()), "name": names}))
write("elsewhere/000000_0", pa.table({"_col0": pa.array([3, 4], pa.int64()), "_col1": names}))
print("true")
"#;
    python::run(&script(body), &[&lake]);
    let orc = "org.apache.hadoop.hive.ql.io.orc";
    let storage = |location: &str| {
        json!({
            "Columns": [{"Name": "id", "Type": "bigint"}, {"Name": "name", "Type": "string"}],
            "Location": location,
            "InputFormat": format!("{orc}.OrcInputFormat"),
            "OutputFormat": format!("{orc}.OrcOutputFormat"),
            "SerdeInfo": {"SerializationLibrary": format!("{orc}.OrcSerde")},
        })
    };
    let database = "of_orc";
    let input = json!({"DatabaseInput": {"Name": database}});
    moto.glue("CreateDatabase", &input);
    let entry = json!({"StorageDescriptor": storage("s3://lake/days/"), "Parameters": {}});
    create_entry(moto, database, "days", &entry);
    let partitions = [
        ("2024-01-01", "s3://lake/days/day=2024-01-01"),
        ("2024-01-02", "s3://lake/elsewhere"),
    ]
    .map(|(day, location)| json!({"Values": [day], "StorageDescriptor": storage(location)}));
    moto.glue(
        "BatchCreatePartition",
        &json!({"DatabaseName": database, "TableName": "days", "PartitionInputList": partitions}),
    );
    let sandbox = sandbox_with_keys(&server, moto);
    let add = sandbox.run(&["add-files", "glue:of_orc.days", "--table", "of_orc.t"]);
    let hint = "hint: rewrite it with `calve ctas glue:of_orc.days --format orc`";
    assert!(add.contains(hint), "{add}");
    let report = sandbox.json(&[
        "ctas",
        "glue:of_orc.days",
        "--format",
        "orc",
        "--table",
        "of_orc.t",
    ]);
    let columns = ["id: long", "name: string", "day: date"];
    assert_eq!(report["columns"], json!(columns));
    assert_eq!(report["added_records_count"], json!(4));
    let found = read_with_pyiceberg(&server, moto, "of_orc.t");
    let expected = json!([
        [1, "a", "2024-01-01"],
        [2, "b", "2024-01-01"],
        [3, "a", "2024-01-02"],
        [4, "b", "2024-01-02"],
    ]);
    assert_eq!(found["rows"], expected);
    let other = sandbox.run(&[
        "ctas",
        "glue:of_orc.days",
        "--format",
        "avro",
        "--table",
        "of_orc.u",
    ]);
    assert!(
        other.contains("of_orc.days is of format ORC, not a Hive-style Avro table"),
        "{other}"
    );
}
