//! `AddFiles` over small lakes, with every catalog and store behind the same calls.

#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;
use std::sync::Arc;

use calve_base::{Location, Properties};
use calve_catalog::Catalog;
use calve_lake::Source;
use calve_migrate::{AddFiles, Report};
use calve_testkit::{lakes, python};

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

    fn lake(&self) -> std::path::PathBuf {
        self.folder.path().join("lake")
    }

    fn add(&self, table: &str) -> AddFiles {
        add(&self.catalog, &self.lake(), table)
    }
}

fn add(catalog: &Arc<dyn Catalog>, lake: &Path, table: &str) -> AddFiles {
    let source = Source::Location(Location::parse(lake.to_str().unwrap()).unwrap());
    AddFiles::new(Arc::clone(catalog), source, table.parse().unwrap())
}

fn count(report: &Report, reader: &str) -> serde_json::Value {
    let location = report.metadata_location.as_ref().unwrap().to_string();
    python::run_file(
        "read_table.py",
        &["--reader", reader, "--metadata", &location],
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lake_becomes_a_table_that_others_read() {
    let home = Home::new().await;
    lakes::ghcn(&home.lake(), 24, 50, 1);
    let report = home.add("noaa.ghcn").await.unwrap();
    eprintln!("{}", serde_json::to_string_pretty(&report).unwrap());
    assert_eq!(report.plan.added_files_count, 24);
    assert_eq!(report.plan.added_records_count, 24 * 50);
    for reader in ["pyiceberg", "duckdb"] {
        assert_eq!(count(&report, reader)["count"], 24 * 50, "{reader}");
    }
}
