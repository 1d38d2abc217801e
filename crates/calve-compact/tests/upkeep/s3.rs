//! The same upkeep where the files are in S3.

use std::sync::Arc;

use calve_compact::{RemoveOrphans, RewriteManifests};
use calve_testkit::s3::Operation;
use iceberg::spec::FormatVersion;

use crate::world::{Still, World, ident};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

#[tokio::test]
async fn manifests_snapshots_and_orphans() {
    let world = World::on_s3(FormatVersion::V2).await;
    let names: Vec<String> = (0..30).map(|number| format!("f{number:02}")).collect();
    for names in names.chunks(5) {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        world.append(&names).await;
    }
    let removed: Vec<&str> = names[..20].iter().map(String::as_str).collect();
    world.replace(&removed, &["all"]).await;
    let manifests = RewriteManifests::new(Arc::clone(&world.catalog), ident());
    assert!(manifests.await.unwrap().rewritten_manifests_count > 1);
    let rows = world.rows().await;
    let last = world
        .table()
        .await
        .metadata()
        .current_snapshot_id()
        .unwrap();

    let server = world.server.as_ref().unwrap();
    server.forget_requests();
    let report = world.expire().await.unwrap();
    assert_eq!(report.deleted_data_files_count, 20);
    assert_eq!(report.expired_snapshot_ids.len(), 7);
    // All kinds of files go by one request.
    assert_eq!(server.count(Operation::Delete), 1);
    assert_eq!(world.rows().await, [(last, rows[&last].clone())].into());
    world.check_clean().await;

    for name in ["data/left-1", "data/left-2"] {
        let location = world.location().join(name);
        world.storage().write(&location, "x".into()).await.unwrap();
    }
    let clock = Arc::new(Still(world.now_ms() + 10 * DAY_MS));
    let orphans = RemoveOrphans::new(Arc::clone(&world.catalog), ident()).with_clock(clock);
    let report = orphans.await.unwrap();
    assert_eq!((report.deleted_files_count, report.failed.len()), (2, 0));
    world.check_clean().await;
    assert_eq!(world.rows().await[&last], rows[&last]);
}
