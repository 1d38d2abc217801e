//! Real files, written by nobody here: under the default policy each is added, or refused with the
//! reason that is to be expected; what is added is read back equal by value to the file itself.

#![expect(clippy::print_stderr, reason = "a skipped test says so")]

mod verdicts;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use calve::base::{Location, TableIdent};
use calve::catalog::Catalog;
use calve::lake::Source;
use calve::migrate::{AddFiles, Report};
use calve::parquet::arrow::ArrowWriter;
use calve::query::{LakeFormat, Session, SessionOptions};
use calve::verify::{Verify, VerifySource};
use calve_testkit::{python, shared_data};
use futures::StreamExt;
use serde_json::{Value, json};

use verdicts::{Added, NoRows, Refused, VERDICTS, verdict};

/// Two texts of 1 GiB each: minutes of decoding that prove nothing more.
const TOO_LARGE: &str = "parquet-testing/data/large_string_map.brotli.parquet";

/// Files that are added but not read here: the footer of one counts four thousand million rows and it has one; the
/// others are damaged so that readers find other garbage each time.
const UNREAD: &[&str] = &[
    TOO_LARGE,
    "impala/testdata/bad_parquet_data/dict-encoded-out-of-bounds.parq",
    "impala/testdata/bad_parquet_data/plain-encoded-out-of-bounds.parq",
    "impala/testdata/data/huge_num_rows.parquet",
];

/// Larger files are compared by the foreign readers only; in bytes.
const LARGEST_PROVEN: u64 = 128 << 10;

/// Files with sound footers whose pages calve cannot read, because they are damaged or made to do harm (the
/// decoder of `parquet-rs` reads neither `nation.dict-malformed` nor `alltypes_empty_pages`, though
/// others do). Reading them is an error that names the file.
const UNREADABLE: &[&str] = &[
    "duckdb/data/parquet-testing/afl/1.parquet",
    "duckdb/data/parquet-testing/afl/2.parquet",
    "duckdb/data/parquet-testing/afl/3.parquet",
    "duckdb/data/parquet-testing/afl/4.parquet",
    "duckdb/data/parquet-testing/afl/5.parquet",
    "duckdb/data/parquet-testing/afl/6.parquet",
    "duckdb/data/parquet-testing/afl/7.parquet",
    "duckdb/data/parquet-testing/afl/8.parquet",
    "duckdb/data/parquet-testing/arrow/nation.dict-malformed.parquet",
    "duckdb/data/parquet-testing/broken-arrow.parquet",
    "duckdb/data/parquet-testing/broken/internal_6129.parquet",
    "duckdb/data/parquet-testing/broken/issue22325_datapage_v2_neg_compressed_bytes.parquet",
    "duckdb/data/parquet-testing/broken/issue22325_datapage_v2_negative_def_levels.parquet",
    "duckdb/data/parquet-testing/broken/issue22325_datapage_v2_zero_compressed_size.parquet",
    "duckdb/data/parquet-testing/internal_6129.parquet",
    "duckdb/data/parquet-testing/invalid.parquet",
    "duckdb/data/parquet-testing/invalid_utf8_dba.parquet",
    "duckdb/data/parquet-testing/invalid_utf8_dictionary.parquet",
    "duckdb/data/parquet-testing/invalid_utf8_dlba.parquet",
    "duckdb/data/parquet-testing/rle_malicious_bitwidth.parquet",
    "impala/testdata/bad_parquet_data/dict-encoded-negative-len.parq",
    "impala/testdata/bad_parquet_data/plain-encoded-negative-len.parq",
    "impala/testdata/data/alltypes_empty_pages.parquet",
    "impala/testdata/data/bad_compressed_dict_page_size.parquet",
    "impala/testdata/data/bad_compressed_size.parquet",
    "impala/testdata/data/bad_rle_literal_count.parquet",
    "impala/testdata/data/bad_rle_repeat_count.parquet",
    "impala/testdata/data/num_values_def_levels_mismatch.parquet",
    "impala/testdata/data/repeated_values.parquet",
    "parquet-testing/bad_data/ARROW-GH-45185.parquet",
    "parquet-testing/bad_data/ARROW-GH-47662.parquet",
    "parquet-testing/data/nation.dict-malformed.parquet",
];

/// Tables that DuckDB 1.5.5 cannot read, though it reads the file: without field ids it finds what is in a map only
/// where the group around key and value is named `key_value`, and old files have `map`. A name mapping has no
/// place for that name. It ends in an error, not in wrong rows.
const DUCKDB_EXCEPTIONS: &[&str] = &[
    "duckdb/data/parquet-testing/arrow/nonnullable.impala.parquet",
    "duckdb/data/parquet-testing/arrow/nullable.impala.parquet",
    "duckdb/data/parquet-testing/map.parquet",
    "impala/testdata/ComplexTypesTbl/nonnullable.parq",
    "impala/testdata/ComplexTypesTbl/nullable.parq",
    "impala/testdata/data/create_table_like_parquet_test.parquet",
    "impala/testdata/data/iceberg_test/iceberg_migrated_complex_test/000000_0",
    "parquet-testing/data/nonnullable.impala.parquet",
    "parquet-testing/data/nullable.impala.parquet",
];

/// Files that DuckDB reads otherwise than calve, with INT96 values outside of the years that
/// nanoseconds reach: DuckDB wraps.
const CALVE_EXCEPTIONS: &[&str] = &[
    "impala/testdata/data/dateless_timestamps.parq",
    "parquet-testing/data/int96_from_spark.parquet",
];

/// Files that `PyArrow` cannot read, or whose INT96 values outside of the years that nanoseconds reach wrap in
/// PyIceberg.
const PYICEBERG_EXCEPTIONS: &[&str] = &[
    "duckdb/data/parquet-testing/broken/internal_6129.parquet",
    "duckdb/data/parquet-testing/bug4903.parquet",
    "duckdb/data/parquet-testing/decimal/byte_array_decimal_empty_value.parquet",
    "duckdb/data/parquet-testing/internal_6129.parquet",
    "duckdb/data/parquet-testing/parquet_column_num_values_mismatch.parquet",
    "duckdb/data/parquet-testing/rle_malicious_bitwidth.parquet",
    "impala/testdata/data/bad_compressed_dict_page_size.parquet",
    "impala/testdata/data/bad_compressed_size.parquet",
    "impala/testdata/data/create_table_like_parquet_test.parquet",
    "impala/testdata/data/dateless_timestamps.parq",
    "impala/testdata/data/iceberg_test/iceberg_migrated_complex_test/000000_0",
    "impala/testdata/data/num_values_def_levels_mismatch.parquet",
    "impala/testdata/data/out_of_range_time_of_day.parquet",
    "impala/testdata/data/out_of_range_timestamp.parquet",
    "impala/testdata/data/out_of_range_timestamp2_hive_211.parquet",
    "impala/testdata/data/out_of_range_timestamp_hive_211.parquet",
    "parquet-testing/bad_data/ARROW-GH-45185.parquet",
    "parquet-testing/data/int96_from_spark.parquet",
];

/// A catalog of tables in a folder of its own.
struct Home {
    folder: tempfile::TempDir,
    catalog: Arc<dyn Catalog>,
}

impl Home {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display();
        let properties = [
            ("uri".to_owned(), format!("sqlite:///{path}/calve.db")),
            ("warehouse".to_owned(), format!("{path}/warehouse")),
        ];
        let catalog = calve::catalog::open("default", properties.into())
            .await
            .unwrap();
        Self { folder, catalog }
    }
}

/// All Parquet files of the corpus, by their paths below it; nothing where the corpus is not here.
fn corpus() -> Option<(PathBuf, Vec<String>)> {
    let Some(data) = shared_data() else {
        eprintln!("skipped: the shared data is not here");
        return None;
    };
    let root = data.join("parquet").canonicalize().unwrap();
    let mut files = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs_err::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if is_parquet(&path) {
                let name = path.strip_prefix(&root).unwrap();
                files.push(name.to_str().unwrap().to_owned());
            }
        }
    }
    files.sort();
    assert!(files.len() > 500, "only {} files", files.len());
    Some((root, files))
}

fn is_parquet(path: &Path) -> bool {
    const EXTENSIONS: [&str; 3] = ["parquet", "parq", "encrypted"];
    let extension = path.extension().and_then(|extension| extension.to_str());
    let bytes = fs_err::read(path).unwrap();
    let has_magic = bytes.starts_with(b"PAR1") || bytes.starts_with(b"PARE");
    !bytes.is_empty() && (has_magic || extension.is_some_and(|it| EXTENSIONS.contains(&it)))
}

fn source(file: &Path) -> Source {
    Source::Location(Location::parse(file.to_str().unwrap()).unwrap())
}

/// What a run made of its one file, in the words of the table of verdicts.
fn describe(report: &Report) -> String {
    let plan = &report.plan;
    let names = |names: BTreeSet<String>| names.into_iter().collect::<Vec<_>>();
    let findings = plan.findings.iter().map(|finding| {
        let code = serde_json::to_value(finding.code).unwrap();
        code.as_str().unwrap().to_owned()
    });
    let reasons = plan.refused.iter().map(|refused| refused.reason.clone());
    match (plan.refused_count, plan.skipped_count) {
        (0, 0) => format!("Added({:?})", names(findings.collect())),
        (0, _) => "NoRows".to_owned(),
        _ => format!("Refused({:?})", names(reasons.collect())),
    }
}

/// Adds every file to a table of its own, and compares each outcome with the table of verdicts.
async fn add_all(
    home: &Home,
    root: &Path,
    files: &[String],
) -> Vec<(String, TableIdent, Location)> {
    let mut added = Vec::new();
    let mut wrong = Vec::new();
    for (index, name) in files.iter().enumerate() {
        let table: TableIdent = format!("corpus.t{index}").parse().unwrap();
        let file = root.join(name);
        let operation = AddFiles::new(Arc::clone(&home.catalog), source(&file), table.clone());
        let report = match operation.await {
            Ok(report) => report,
            Err(error) => {
                wrong.push(format!("{name}: {error}"));
                continue;
            }
        };
        let expected = match verdict(name) {
            Added(findings) => format!("Added({findings:?})"),
            Refused(reasons) => format!("Refused({reasons:?})"),
            NoRows => "NoRows".to_owned(),
        };
        let found = describe(&report);
        if found != expected {
            wrong.push(format!("{name}: {found}, expected {expected}"));
        }
        let is_added = matches!(verdict(name), Added(_));
        assert_eq!(report.snapshot_id.is_some(), is_added, "{name}");
        if let Some(metadata) = report.metadata_location.filter(|_| is_added) {
            added.push((name.clone(), table, metadata));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    added
}

/// Writes the rows that calve finds in a table into a Parquet file.
async fn write_rows(session: &Session, table: &TableIdent, path: &Path) -> Result<(), String> {
    let text = |error: &dyn std::error::Error| error.to_string();
    let rows = session
        .sql(&format!("SELECT * FROM {table}"))
        .await
        .map_err(|error| text(&error))?;
    let mut batches = rows.execute_stream().await.map_err(|error| text(&error))?;
    let file = fs_err::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batches.schema(), None).unwrap();
    while let Some(batch) = batches.next().await {
        let batch = batch.map_err(|error| text(&error))?;
        writer.write(&batch).unwrap();
    }
    writer.close().unwrap();
    Ok(())
}

/// What calve itself finds: the rows by its own SQL, and the proof by its own comparison.
async fn read_all(
    home: &Home,
    root: &Path,
    added: &[(String, TableIdent, Location)],
) -> (Vec<Value>, Vec<String>) {
    let session = Session::new(Arc::clone(&home.catalog), SessionOptions::default()).unwrap();
    let (mut list, mut wrong) = (Vec::new(), Vec::new());
    for (name, table, metadata) in added {
        if UNREAD.contains(&name.as_str()) {
            continue;
        }
        let file = root.join(name);
        let rows = home.folder.path().join(format!("{table}.parquet"));
        let written = write_rows(&session, table, &rows).await;
        let is_unreadable = UNREADABLE.iter().any(|listed| listed == name);
        if written.is_err() != is_unreadable {
            wrong.push(format!("{name}: {written:?}"));
        }
        if fs_err::metadata(&file).unwrap().len() <= LARGEST_PROVEN {
            wrong.extend(prove(home, &file, table, is_unreadable).await);
        }
        list.push(json!({
            "file": file,
            "metadata": metadata.to_string(),
            "rows": written.is_ok().then_some(rows),
        }));
    }
    (list, wrong)
}

/// calve's own proof that source and table agree; or that reading the source fails, where its pages are damaged.
async fn prove(
    home: &Home,
    file: &Path,
    table: &TableIdent,
    is_unreadable: bool,
) -> Option<String> {
    let lake = VerifySource::Lake {
        source: source(file),
        options: Box::default(),
        format: LakeFormat::Parquet,
    };
    let proof = Verify::new(Arc::clone(&home.catalog), lake, table.clone()).await;
    match proof {
        Ok(proof) if proof.equal && !is_unreadable => None,
        Err(_) if is_unreadable => None,
        Ok(proof) => {
            let (name, differences) = (file.display(), proof.differences);
            Some(format!("{name}: equal {}, {differences:?}", proof.equal))
        }
        Err(error) => Some(format!("{}: {error}", file.display())),
    }
}

/// Holds one reader's findings against the exceptions. Returns how many files it found equal.
fn check_reader(
    reader: &str,
    found: &BTreeMap<String, &Value>,
    exceptions: &[&str],
    wrong: &mut Vec<String>,
) -> u64 {
    let mut equal = 0;
    for (name, verdicts) in found {
        // What a reader makes of damaged pages is not the same each time.
        let is_damaged = UNREADABLE.iter().any(|listed| listed == name);
        let Some(text) = verdicts[reader].as_str().filter(|_| !is_damaged) else {
            continue;
        };
        let is_readable = verdicts["direct"].is_number();
        let is_exception = exceptions.iter().any(|listed| listed == name);
        match (text, is_exception) {
            ("equal", false) => equal += 1,
            ("equal", true) => wrong.push(format!("{name}: {reader} finds it equal after all")),
            (_, true) => {}
            (text, false) if is_readable || !text.starts_with("error") => {
                wrong.push(format!("{name}: {reader}: {text}"));
            }
            _ => {}
        }
    }
    equal
}

#[tokio::test(flavor = "multi_thread")]
async fn every_real_file_is_added_and_read_back_equal_or_refused() {
    let Some((root, files)) = corpus() else {
        return;
    };
    for (folder, listed) in VERDICTS {
        for (name, _) in *listed {
            let path = format!("{folder}{name}");
            assert!(files.contains(&path), "{path} is not in the corpus");
        }
    }
    let home = Home::new().await;
    let added = add_all(&home, &root, &files).await;
    let (list, mut wrong) = read_all(&home, &root, &added).await;
    let path = home.folder.path().join("list.json");
    fs_err::write(&path, serde_json::to_string(&list).unwrap()).unwrap();
    let found = python::run_file("compare_files.py", &[path.to_str().unwrap()]);
    let found: BTreeMap<String, &Value> = found
        .as_object()
        .unwrap()
        .iter()
        .map(|(file, verdicts)| {
            let name = Path::new(file).strip_prefix(&root).unwrap();
            (name.to_str().unwrap().to_owned(), verdicts)
        })
        .collect();
    let by_duckdb = check_reader("duckdb", &found, DUCKDB_EXCEPTIONS, &mut wrong);
    let by_calve = check_reader("rows", &found, CALVE_EXCEPTIONS, &mut wrong);
    let by_pyiceberg = check_reader("pyiceberg", &found, PYICEBERG_EXCEPTIONS, &mut wrong);
    let (all, counts) = (added.len(), (by_duckdb, by_calve, by_pyiceberg));
    eprintln!("{all} added; equal for DuckDB, calve and PyIceberg: {counts:?}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(
        by_duckdb.min(by_calve).min(by_pyiceberg) > 250,
        "{counts:?}"
    );
}
