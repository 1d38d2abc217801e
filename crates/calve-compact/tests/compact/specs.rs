//! Partition specs that changed, branches, and deletes that apply to nothing any more.

use std::sync::Arc;

use calve_compact::Strategy;
use calve_table::{PartitionBy, Transaction};
use iceberg::spec::{SnapshotReference, SnapshotRetention, TableMetadata, UnboundPartitionSpec};

use crate::{Home, check_fixed};

/// Gives the table another spec, which becomes the current one.
async fn set_spec(home: &Home, fields: &'static str) {
    Transaction::new(Arc::clone(&home.catalog), home.table().await)
        .with_metadata_change(Arc::new(move |metadata: &TableMetadata, builder| {
            let spec = if fields.is_empty() {
                UnboundPartitionSpec::builder().build()
            } else {
                let by = PartitionBy::parse(fields).unwrap();
                by.spec(metadata.current_schema()).unwrap().into_unbound()
            };
            Ok(builder.add_default_partition_spec(spec)?)
        }))
        .await
        .unwrap();
}

async fn specs(home: &Home) -> Vec<String> {
    home.rows("SELECT spec_id, count(*) AS c FROM db.t.files GROUP BY spec_id")
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_an_old_spec_go_together() {
    let home = Home::new().await;
    home.weather(40, 1).await;
    let before = home.rows("SELECT * FROM db.t").await;
    set_spec(&home, "").await;
    let plan = home.compact().plan().await.unwrap();
    assert_eq!(plan.groups.len(), 1);
    let report = home.compact().await.unwrap();
    assert_eq!(report.added_data_files_count, 1);
    assert_eq!(specs(&home).await, ["| 1       | 1 |"]);
    assert_eq!(home.rows("SELECT * FROM db.t").await, before);
    check_fixed(|| home.compact()).await;

    // And apart again, sorted within each partition.
    set_spec(&home, "ELEMENT").await;
    let elements = home
        .rows("SELECT DISTINCT \"ELEMENT\" FROM db.t")
        .await
        .len();
    let sort = home
        .compact()
        .with_strategy(Strategy::parse("DATE desc, ID").unwrap())
        .with_option("rewrite-all", "true");
    let report = sort.await.unwrap();
    assert_eq!(report.added_data_files_count, elements as u64);
    assert_eq!(specs(&home).await, [format!("| 2       | {elements} |")]);
    assert_eq!(home.rows("SELECT * FROM db.t").await, before);
    check_fixed(|| home.compact()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_output_can_be_of_another_spec() {
    let home = Home::new().await;
    home.weather(40, 1).await;
    let before = home.rows("SELECT * FROM db.t").await;
    set_spec(&home, "ELEMENT").await;
    let wrong = home
        .compact()
        .with_option("output-spec-id", "5")
        .plan()
        .await;
    assert!(
        wrong
            .unwrap_err()
            .to_string()
            .contains("no such partition spec")
    );
    for (strategy, id) in [
        (Strategy::BinPack, "1"),
        (Strategy::parse("ID").unwrap(), "0"),
        (Strategy::parse("zorder(ID, DATE)").unwrap(), "1"),
    ] {
        let compact = || {
            home.compact()
                .with_strategy(strategy.clone())
                .with_option("output-spec-id", id)
        };
        compact().await.unwrap();
        let found = specs(&home).await;
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with(&format!("| {id} ")), "{found:?}");
        assert_eq!(home.rows("SELECT * FROM db.t").await, before);
        check_fixed(compact).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_branch_is_compacted_alone() {
    let home = Home::new().await;
    home.plain(4).await;
    Transaction::new(Arc::clone(&home.catalog), home.table().await)
        .with_metadata_change(Arc::new(|metadata: &TableMetadata, builder| {
            let id = metadata.current_snapshot().unwrap().snapshot_id();
            let branch = SnapshotRetention::branch(None, None, None);
            Ok(builder.set_ref("dev", SnapshotReference::new(id, branch))?)
        }))
        .await
        .unwrap();
    home.plain_again(3).await;
    let main = home.table().await.metadata().current_snapshot_id();
    let dev = || {
        home.compact()
            .with_branch("dev")
            .with_snapshot_property("why", "a test")
    };
    let report = dev().await.unwrap();
    assert_eq!(
        (
            report.rewritten_data_files_count,
            report.added_data_files_count
        ),
        (4, 1)
    );
    let table = home.table().await;
    assert_eq!(table.metadata().current_snapshot_id(), main);
    let head = table.metadata().snapshot_for_ref("dev").unwrap();
    assert_eq!(Some(&head.snapshot_id()), report.snapshot_ids.first());
    assert_eq!(head.summary().additional_properties["why"], "a test");
    let rows = "SELECT count(*) AS c, sum(n) AS s FROM db.t FOR VERSION AS OF 'dev'";
    assert_eq!(home.rows(rows).await, ["| 40 | 780 |"]);
    assert_eq!(
        home.rows("SELECT count(*) AS c FROM db.t").await,
        ["| 70 |"]
    );
    check_fixed(dev).await;
    let none = home.compact().with_branch("none").plan().await;
    assert!(
        none.unwrap_err()
            .to_string()
            .contains("has no branch `none`")
    );
}
