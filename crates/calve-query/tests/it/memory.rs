//! What the list of a scan's files costs.

use std::sync::Arc;

use calve_table::{Append, ManifestRoller, Transaction};
use iceberg::spec::{
    DataContentType, DataFileBuilder, DataFileFormat, Datum, Literal, PrimitiveType, Struct,
    Transform,
};

use crate::lakehouse::{Lakehouse, optional, primitive};

const FILES: u64 = 100_000;

/// The bound that `ARCHITECTURE.md` states.
const BYTES_PER_FILE: u64 = 2_048;

/// The resident memory of this process, where the system says it.
fn resident_bytes() -> Option<u64> {
    let status = fs_err::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes * 1024)
}

/// Run it alone: `cargo test --workspace --test it -- --ignored --nocapture a_planned_file`.
#[tokio::test]
#[ignore = "measures the memory of the whole process"]
async fn a_planned_file_costs_little() {
    if resident_bytes().is_none() {
        eprintln!("skipped: this system does not say what a process holds");
        return;
    }
    let house = Lakehouse::new().await;
    let fields = vec![
        optional(1, "id", primitive(PrimitiveType::Long)),
        optional(2, "name", primitive(PrimitiveType::String)),
        optional(3, "day", primitive(PrimitiveType::Int)),
    ];
    let spec = [("day", "day", Transform::Identity)];
    let table = house.create("db.t", fields, &spec, None).await;
    let id = calve_table::new_snapshot_id();
    let mut roller = ManifestRoller::new(table.storage(), table.metadata(), id).unwrap();
    for number in 0..FILES {
        let day = i32::try_from(number / 100).unwrap();
        let path = format!(
            "s3://a-bucket-of-some-name/warehouse/lake/day={day}/part-{number:05}-6f1c2d3e-c000.snappy.parquet"
        );
        let file = DataFileBuilder::default()
            .content(DataContentType::Data)
            .file_path(path)
            .file_format(DataFileFormat::Parquet)
            .partition(Struct::from_iter([Some(Literal::int(day))]))
            .record_count(1000)
            .file_size_in_bytes(100_000)
            .value_counts([(1, 1000), (2, 1000)].into())
            .null_value_counts([(1, 0), (2, 0)].into())
            .lower_bounds([(1, Datum::long(1)), (2, Datum::string("aaaaaaaaaaaaaaaa"))].into())
            .upper_bounds([(1, Datum::long(9)), (2, Datum::string("zzzzzzzzzzzzzzzz"))].into())
            .build()
            .unwrap();
        roller.add(file).await.unwrap();
    }
    let written = roller.finish().await.unwrap();
    Transaction::new(Arc::clone(&house.catalog), table)
        .with_snapshot(Append::new(id, written))
        .await
        .unwrap();
    let frame = house.session.sql("SELECT sum(id) FROM db.t").await.unwrap();
    let before = resident_bytes().unwrap();
    let plan = frame.create_physical_plan().await.unwrap();
    let after = resident_bytes().unwrap();
    let bytes_per_file = after.saturating_sub(before) / FILES;
    eprintln!("{bytes_per_file} bytes for each of {FILES} files");
    assert!(bytes_per_file < BYTES_PER_FILE, "{bytes_per_file} bytes");
    drop(plan);
}
