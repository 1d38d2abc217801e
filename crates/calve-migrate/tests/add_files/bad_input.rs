//! What cannot be added: it is named, and the table stays as it was.

use std::path::Path;

use calve_migrate::OnRefused;
use calve_testkit::lakes::{self, Drift};
use calve_testkit::shared_data;

use crate::support::{Home, counts, refused_for};

/// Adds a lake of six good files and one bad one, to a missing table and to an existing one.
#[track_caller]
fn check(spoil: impl Fn(&Path), reason: &str) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let home = Home::new().await;
        lakes::ghcn(&home.lake(), 6, 10, 1);
        let bad = home.lake().join("YEAR=2099/ELEMENT=TMAX/bad.parquet");
        fs_err::create_dir_all(bad.parent().unwrap()).unwrap();
        spoil(&bad);
        let refused = home.add("db.t").await.unwrap();
        assert_eq!(refused_for(&refused), [reason]);
        assert_eq!(refused.plan.refused_count, 1);
        assert_eq!(refused.plan.refused[0].file.as_str(), bad.to_str().unwrap());
        assert!(refused.plan.refused[0].message.len() > 10);
        assert_eq!(
            (refused.snapshot_id, refused.metadata_location),
            (None, None)
        );
        assert!(home.table("db.t").await.is_none());
        assert!(
            home.warehouse_files().is_empty(),
            "something was left behind"
        );
        let rest = home
            .add("db.t")
            .with_on_refused(OnRefused::Skip)
            .await
            .unwrap();
        assert_eq!((counts(&rest).0, rest.plan.refused_count), (6, 1));
    });
}

#[test]
fn text_in_place_of_parquet() {
    check(
        |path| fs_err::write(path, "this is no Parquet file, but long enough").unwrap(),
        "not_parquet",
    );
}

#[test]
fn a_file_that_ends_early() {
    check(
        |path| {
            let rows = lakes::from_json(schema(), &[serde_json::json!({"ID": "x"})]);
            let bytes = lakes::parquet_bytes(&rows);
            fs_err::write(path, &bytes[..bytes.len() / 2]).unwrap();
        },
        "truncated_footer",
    );
}

#[test]
fn a_footer_longer_than_its_file() {
    check(
        |path| {
            let rows = lakes::from_json(schema(), &[serde_json::json!({"ID": "x"})]);
            let mut bytes = lakes::parquet_bytes(&rows);
            let at = bytes.len() - 8;
            bytes[at..at + 4].copy_from_slice(&1_000_000_u32.to_le_bytes());
            fs_err::write(path, &bytes).unwrap();
        },
        "truncated_footer",
    );
}

#[test]
fn another_type() {
    check(
        |path| {
            let field =
                arrow::datatypes::Field::new("DATA_VALUE", arrow::datatypes::DataType::Utf8, true);
            let schema = std::sync::Arc::new(arrow::datatypes::Schema::new(vec![field]));
            let rows = lakes::from_json(schema, &[serde_json::json!({"DATA_VALUE": "x"})]);
            lakes::write_parquet(path, &rows);
        },
        "type_conflict",
    );
}

#[test]
fn an_encrypted_file() {
    let Some(data) = shared_data() else {
        eprintln!("skipped: no shared data");
        return;
    };
    for name in [
        "encrypt_columns_and_footer",
        "encrypt_columns_plaintext_footer",
    ] {
        let file = data.join(format!(
            "parquet/parquet-testing/data/{name}.parquet.encrypted"
        ));
        let copy = |path: &Path| {
            fs_err::copy(&file, path).unwrap();
        };
        check(copy, "encrypted");
    }
}

fn schema() -> arrow::datatypes::SchemaRef {
    let field = arrow::datatypes::Field::new("ID", arrow::datatypes::DataType::Utf8, true);
    std::sync::Arc::new(arrow::datatypes::Schema::new(vec![field]))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_not_there() {
    let home = Home::new().await;
    let missing = home.add("db.t").await.unwrap_err().to_string();
    assert!(missing.contains("lake"), "{missing}");
    fs_err::create_dir_all(home.lake()).unwrap();
    let empty = home.add("db.t").await.unwrap_err().to_string();
    assert!(empty.contains("lake"), "{empty}");
    assert_ne!(missing, empty);
    assert!(home.table("db.t").await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_contradict_each_other() {
    let home = Home::new().await;
    lakes::drift(&home.lake(), Drift::Conflicting);
    let report = home.add("db.t").await.unwrap();
    assert_eq!(refused_for(&report), ["type_conflict"]);
    assert_eq!(report.plan.refused_count, 1);
    assert!(report.plan.refused[0].column.is_some());
}
