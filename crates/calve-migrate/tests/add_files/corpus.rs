//! Real files, written by nobody here: each is added and read back as it is, or refused with a reason.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use calve_migrate::OnUnsafe;
use calve_testkit::{python, shared_data};
use serde_json::Value;

use crate::support::{Home, add};

/// Reads each file directly with `PyArrow`, and each table with `PyIceberg` and `DuckDB`, all in one process.
const COMPARE: &str = r#"
import json, sys
import pyarrow.parquet as pq
sys.path.insert(0, sys.argv[2])
from read_table import describe, read_with_duckdb, read_with_pyiceberg

found = {}
for file, metadata in json.load(open(sys.argv[1])).items():
    counts = {}
    if "large_string_map" in file:
        continue  # two texts of 1 GiB each: a minute of decoding that proves nothing more
    try:
        with open(file, "rb") as opened:
            counts["file"] = pq.read_table(opened).num_rows
    except Exception as error:
        counts["file"] = f"error: {str(error)[:200]}"
    for reader in ["pyiceberg", "duckdb"]:
        try:
            if reader == "pyiceberg":
                rows = read_with_pyiceberg(None, metadata, {}, None, None, None)
            else:
                rows = read_with_duckdb(metadata, {}, None, None, None)
            counts[reader] = rows.num_rows
        except Exception as error:
            counts[reader] = f"error: {str(error)[:200]}"
    found[file] = counts
print(json.dumps(found))
"#;

fn parquet_files(folder: &Path, files: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = fs_err::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            parquet_files(&path, files);
        } else if fs_err::metadata(&path).unwrap().len() >= 12 {
            let bytes = fs_err::read(&path).unwrap();
            if bytes.starts_with(b"PAR1") || bytes.starts_with(b"PARE") {
                files.push(path);
            }
        }
    }
}

/// No file of the corpus makes us panic or hang, and none is refused without a reason; what is added
/// has as many rows for foreign readers as the file itself, wherever they can read the file at all.
#[tokio::test(flavor = "multi_thread")]
async fn every_real_file_is_added_or_refused() {
    let Some(data) = shared_data() else {
        eprintln!("skipped: the shared data is not here");
        return;
    };
    let mut files = Vec::new();
    parquet_files(&data.join("parquet"), &mut files);
    assert!(files.len() > 300, "only {} files", files.len());
    let home = Home::new().await;
    let mut added = BTreeMap::new();
    let mut refused: BTreeMap<String, u64> = BTreeMap::new();
    for (index, file) in files.iter().enumerate() {
        let operation = add(
            &home.catalog,
            file.to_str().unwrap(),
            &format!("corpus.t{index}"),
        );
        match operation.with_on_unsafe(OnUnsafe::Allow).await {
            Ok(report) if report.snapshot_id.is_some() => {
                let location = report.metadata_location.unwrap().to_string();
                added.insert(file.to_str().unwrap().to_owned(), location);
            }
            Ok(report) => {
                let plan = &report.plan;
                assert!(
                    plan.refused_count + plan.skipped_count > 0,
                    "{}",
                    file.display()
                );
                for refused_file in &plan.refused {
                    *refused.entry(refused_file.reason.clone()).or_default() += 1;
                }
            }
            Err(error) => panic!("{}: {error}", file.display()),
        }
    }
    eprintln!("{} added, refused: {refused:#?}", added.len());
    assert!(added.len() > 150, "only {} files were added", added.len());
    check_readers(&home, &added);
}

fn check_readers(home: &Home, added: &BTreeMap<String, String>) {
    let list = home.folder.path().join("added.json");
    fs_err::write(&list, serde_json::to_string(added).unwrap()).unwrap();
    let scripts = python::scripts();
    let found = python::run(
        COMPARE,
        &[list.to_str().unwrap(), scripts.to_str().unwrap()],
    );
    let mut wrong = Vec::new();
    let mut agreeing = 0;
    for (file, counts) in found.as_object().unwrap() {
        let Some(rows) = counts["file"].as_u64() else {
            continue;
        };
        let tables = ["pyiceberg", "duckdb"].map(|reader| &counts[reader]);
        let differs = |count: &&Value| count.as_u64().is_some_and(|count| count != rows);
        let nobody = tables.iter().all(|count| count.is_string());
        if tables.iter().any(differs) || nobody {
            wrong.push(format!("{file}: {counts}"));
        } else {
            agreeing += 1;
        }
    }
    assert!(agreeing > 150, "only {agreeing} are read alike by others");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
