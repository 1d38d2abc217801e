use std::path::{Path, PathBuf};
use std::sync::Arc;

use calve_base::{Location, Properties, TableIdent};
use calve_catalog::{Catalog, Table};
use calve_lake::Source;
use calve_migrate::{AddFiles, Report};
use calve_testkit::python;
use serde_json::Value;

/// A SQLite catalog with a local warehouse, and room for a lake beside it.
pub(crate) struct Home {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) catalog: Arc<dyn Catalog>,
}

impl Home {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display();
        let properties = Properties::from([
            ("uri".to_owned(), format!("sqlite:///{path}/calve.db")),
            ("warehouse".to_owned(), format!("{path}/warehouse")),
        ]);
        let catalog = calve_catalog::open("default", properties).await.unwrap();
        Self { folder, catalog }
    }

    /// Where the lake lies.
    pub(crate) fn lake(&self) -> PathBuf {
        self.folder.path().join("lake")
    }

    /// Adds the lake to a table.
    pub(crate) fn add(&self, table: &str) -> AddFiles {
        add(&self.catalog, self.lake().to_str().unwrap(), table)
    }

    pub(crate) async fn table(&self, table: &str) -> Option<Table> {
        self.catalog
            .load_table(&table.parse::<TableIdent>().unwrap())
            .await
            .ok()
    }

    /// Every file below the warehouse, by its path there.
    pub(crate) fn warehouse_files(&self) -> Vec<String> {
        let warehouse = self.folder.path().join("warehouse");
        let mut files = Vec::new();
        walk(&warehouse, &mut files);
        files.sort();
        files
    }
}

fn walk(folder: &Path, files: &mut Vec<String>) {
    let Ok(entries) = fs_err::read_dir(folder) else {
        return;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, files);
        } else {
            files.push(path.display().to_string());
        }
    }
}

pub(crate) fn add(catalog: &Arc<dyn Catalog>, lake: &str, table: &str) -> AddFiles {
    let source = Source::Location(Location::parse(lake).unwrap());
    AddFiles::new(Arc::clone(catalog), source, table.parse().unwrap())
}

/// The counts of a report: files, rows, partitions.
pub(crate) fn counts(report: &Report) -> (u64, u64, u64) {
    let plan = &report.plan;
    (
        plan.added_files_count,
        plan.added_records_count,
        plan.changed_partition_count,
    )
}

/// What a foreign reader finds in the table that a run left.
pub(crate) fn read(reader: &str, report: &Report, more: &[&str]) -> Value {
    let location = report.metadata_location.as_ref().unwrap().to_string();
    let mut arguments = vec!["--reader", reader, "--metadata", &location];
    arguments.extend(more);
    python::run_file("read_table.py", &arguments)
}

/// The values of one column (in any case), in the order in which the reader sorts rows.
pub(crate) fn column(read: &Value, name: &str) -> Vec<Value> {
    let mut names = read["columns"].as_object().unwrap().keys();
    let index = names
        .position(|key| key.eq_ignore_ascii_case(name))
        .unwrap();
    read["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row[index].clone())
        .collect()
}

/// The reasons why files were refused, sorted and each once.
pub(crate) fn refused_for(report: &Report) -> Vec<&str> {
    let mut reasons: Vec<&str> = report
        .plan
        .refused
        .iter()
        .map(|refused| refused.reason.as_str())
        .collect();
    reasons.sort_unstable();
    reasons.dedup();
    reasons
}
