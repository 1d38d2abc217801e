//! Metadata tables, by three and by four parts, now and as they were.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use calve_testkit::lakes::batch;
use iceberg::spec::{Literal, PrimitiveType, Struct, Transform};

use crate::lakehouse::{Lakehouse, optional, primitive};

fn ids(values: &[i64]) -> ArrayRef {
    Arc::new(Int64Array::from(values.to_vec()))
}

#[tokio::test]
async fn metadata_tables() {
    let house = Lakehouse::new().await;
    let fields = vec![
        optional(1, "id", primitive(PrimitiveType::Long)),
        optional(2, "year", primitive(PrimitiveType::Int)),
    ];
    let spec = [("year", "year", Transform::Identity)];
    let table = house.create("db.t", fields, &spec, None).await;
    house.check("SELECT count(*) FROM db.t.files", &["0"]).await;
    let file = |name: &str, year: i32, values: &[i64]| {
        house
            .write(
                &format!("{name}.parquet"),
                &batch(vec![("id", ids(values))]),
            )
            .partition(Struct::from_iter([Some(Literal::int(year))]))
            .build()
            .unwrap()
    };
    let table = house.append(&table, vec![file("a", 2023, &[1, 2])]).await;
    house.append(&table, vec![file("b", 2024, &[3])]).await;
    for (query, expected) in [
        (
            "SELECT sum(record_count) FROM lakehouse.db.t.files",
            &["3"][..],
        ),
        ("SELECT sum(files.record_count) FROM DB.T.FILES", &["3"]),
        (
            "SELECT sum(RECORD_COUNT) FROM db.t.data_files WHERE file_path LIKE '%parquet'",
            &["3"],
        ),
        (
            "SELECT record_count, f.partition.year FROM db.t.files AS f ORDER BY 1",
            &["1|2024", "2|2023"],
        ),
        (
            "SELECT snapshot_id, operation FROM db.t.snapshots ORDER BY 1",
            &["100|append", "200|append"],
        ),
        (
            "SELECT parent_id, is_current_ancestor FROM db.t.history ORDER BY snapshot_id",
            &["NULL|true", "100|true"],
        ),
        (
            "SELECT name, type, snapshot_id FROM db.t.refs",
            &["main|BRANCH|200"],
        ),
        (
            "SELECT added_data_files_count FROM db.t.manifests",
            &["1", "1"],
        ),
        (
            "SELECT p.partition.year, record_count FROM db.t.partitions p ORDER BY 1",
            &["2023|2", "2024|1"],
        ),
        (
            "SELECT status, e.data_file.record_count FROM db.t.entries e ORDER BY 2",
            &["1|1", "1|2"],
        ),
        ("SELECT count(*) FROM db.t.all_files", &["2"]),
        ("SELECT count(*) FROM db.t.metadata_log_entries", &["3"]),
        (
            "SELECT count(*) FROM db.t.files FOR VERSION AS OF 100",
            &["1"],
        ),
        (
            "SELECT count(*) FROM db.t JOIN db.t.snapshots s ON s.snapshot_id = 100",
            &["3"],
        ),
    ] {
        house.check(query, expected).await;
    }
    house
        .check_error("SELECT * FROM db.t.nothing", "nothing")
        .await;
    house
        .check_error("SELECT * FROM db.missing.files", "files")
        .await;
    house
        .check_error(
            "SELECT * FROM db.t.files FOR VERSION AS OF 7",
            "no snapshot 7",
        )
        .await;
}
