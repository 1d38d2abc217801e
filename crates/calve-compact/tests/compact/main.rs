//! Compaction, as users of the crate see it: rows stay, files become few, others' commits survive.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod copies;
mod deletes;
// One file for all: what fails is the same.
#[allow(dead_code, reason = "not all of it is asked for here")]
#[path = "../../../calve-table/tests/it/faulty.rs"]
mod faulty;
mod lineage;
mod model;
mod races;
mod requests;
mod rewrites;
mod scenarios;
mod spark;
mod specs;
mod strategies;
mod world;

use std::path::PathBuf;
use std::sync::Arc;

use calve_base::{Location, Properties, TableIdent};
use calve_catalog::{Catalog, Table};
use calve_compact::{Compact, Report};
use calve_lake::Source;
use calve_migrate::AddFiles;
use calve_query::{Session, SessionOptions};
use calve_testkit::{lakes, python};
use datafusion::common::arrow::util::pretty::pretty_format_batches;

/// A SQLite catalog with a local warehouse.
struct Home {
    folder: tempfile::TempDir,
    catalog: Arc<dyn Catalog>,
}

impl Home {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display();
        let properties = Properties::from([
            ("uri".to_owned(), format!("sqlite:///{path}/calve.db")),
            ("warehouse".to_owned(), format!("{path}/warehouse")),
        ]);
        let catalog = calve_catalog::open("default", properties).await.unwrap();
        Self { folder, catalog }
    }

    /// Puts a lake of small files into `db.t`: weather in partitions of year and element.
    async fn weather(&self, files: usize, seed: u64) -> u64 {
        let lake = self.folder.path().join(format!("lake-{seed}"));
        let made = lakes::ghcn(&lake, files, 20, seed);
        self.add(lake).await;
        made.rows
    }

    async fn add(&self, lake: PathBuf) {
        add(&self.catalog, lake).await;
    }

    /// A small table that is partitioned by nothing, with so many files.
    async fn plain(&self, files: usize) -> u64 {
        self.numbers("plain", 0, files).await
    }

    /// As many files with other values, in a commit of their own.
    async fn plain_again(&self, files: usize) -> u64 {
        self.numbers("again", 1_000, files).await
    }

    async fn numbers(&self, folder: &str, from: i64, files: usize) -> u64 {
        let lake = self.folder.path().join(folder);
        for number in 0..files {
            let first = from + i64::try_from(number).unwrap() * 10;
            let values: Vec<i64> = (first..first + 10).collect();
            let rows = lakes::batch(vec![(
                "n",
                Arc::new(arrow::array::Int64Array::from(values)) as _,
            )]);
            lakes::write_parquet(&lake.join(format!("{number:03}.parquet")), &rows);
        }
        self.add(lake).await;
        files as u64 * 10
    }

    async fn table(&self) -> Table {
        self.catalog.load_table(&ident()).await.unwrap()
    }

    fn compact(&self) -> Compact {
        compact(&self.catalog)
    }

    async fn rows(&self, query: &str) -> Vec<String> {
        rows(&self.catalog, query).await
    }

    /// The data files of the warehouse that the table does not have.
    async fn orphans(&self) -> Vec<String> {
        let known = self.rows("SELECT file_path FROM db.t.all_data_files").await;
        let mut found = Vec::new();
        walk(&self.folder.path().join("warehouse"), &mut found);
        found.retain(|path| {
            path.extension().is_some_and(|it| it == "parquet")
                && !known.iter().any(|row| row.contains(path.to_str().unwrap()))
        });
        found
            .into_iter()
            .map(|path| path.display().to_string())
            .collect()
    }
}

fn walk(folder: &std::path::Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs_err::read_dir(folder) else {
        return;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, found);
        } else {
            found.push(path);
        }
    }
}

fn ident() -> TableIdent {
    "db.t".parse().unwrap()
}

async fn add(catalog: &Arc<dyn Catalog>, lake: PathBuf) {
    add_from(catalog, lake.to_str().unwrap()).await;
}

async fn add_from(catalog: &Arc<dyn Catalog>, lake: &str) {
    let source = Source::Location(Location::parse(lake).unwrap());
    AddFiles::new(Arc::clone(catalog), source, ident())
        .await
        .unwrap();
}

/// By sizes at which the tests' files are small.
fn compact(catalog: &Arc<dyn Catalog>) -> Compact {
    Compact::new(Arc::clone(catalog), ident()).with_option("min-input-files", "2")
}

/// The answer as lines of text, sorted.
async fn rows(catalog: &Arc<dyn Catalog>, query: &str) -> Vec<String> {
    let session = Session::new(Arc::clone(catalog), SessionOptions::default()).unwrap();
    let answer = session.sql(query).await.unwrap().collect().await.unwrap();
    let text = pretty_format_batches(&answer).unwrap().to_string();
    let mut lines: Vec<String> = text
        .lines()
        .skip(3)
        .filter(|line| line.starts_with('|'))
        .map(str::to_owned)
        .collect();
    lines.sort();
    lines
}

/// What DuckDB or PyIceberg finds in the table.
fn read(reader: &str, table: &Table) -> serde_json::Value {
    let metadata = table.metadata_location().as_str().to_owned();
    let arguments = ["--reader", reader, "--metadata", &metadata, "--rows"];
    python::run_file("read_table.py", &arguments)
}

/// The counts of a report: files that went and came, rows, files that failed.
fn counts(report: &Report) -> (u64, u64, u64, u64) {
    (
        report.rewritten_data_files_count,
        report.added_data_files_count,
        report.rows_count,
        report.failed_data_files_count,
    )
}

/// A second run right after the first plans nothing.
async fn check_fixed(compact: impl Fn() -> Compact) {
    let plan = compact().plan().await.unwrap();
    assert_eq!(plan.files_count(), 0, "{plan:#?}");
    let report = compact().await.unwrap();
    assert_eq!(report.snapshot_ids, [0_i64; 0]);
}
