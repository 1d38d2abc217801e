//! Commits on a store that fails: an append lands exactly once, or fails and says how.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use calve_base::{Failure, Location};
use calve_catalog::{Catalog, Table};
use calve_table::Error;
use calve_testkit::s3::{Fault, Operation, Rule, S3Server, When};
use futures::TryStreamExt;
use iceberg::spec::FormatVersion;

use crate::faulty::{Fault as CommitFault, Faulty};
use crate::support::{World, append, ident};

/// How an append must end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// In the table, once.
    Landed,
    /// With an error that may pass, the table as before.
    FailedForNow,
    /// With an error that will not pass, the table as before.
    Failed,
}

fn rule(fault: Fault, when: When, operation: Operation, key: &str) -> Rule {
    Rule::new(fault, when).for_operation(operation).for_key(key)
}

/// Every file that the table's metadata refers to, all snapshots and old metadata files included.
async fn referenced(table: &Table) -> BTreeSet<String> {
    let mut files = BTreeSet::from([table.metadata_location().to_string()]);
    let log = table.metadata().metadata_log().iter();
    files.extend(log.map(|entry| entry.metadata_file.clone()));
    for snapshot in table.metadata().snapshots() {
        files.insert(snapshot.manifest_list().to_owned());
        let manifests = calve_table::load_manifests(table.storage(), snapshot);
        let manifests = manifests.await.unwrap().into_iter();
        files.extend(manifests.map(|manifest| manifest.manifest_path));
    }
    files
}

async fn stored(world: &World) -> BTreeSet<String> {
    let folder = world.location().join("metadata");
    let files: Vec<_> = world.storage().list(&folder).try_collect().await.unwrap();
    let locations = files.iter().map(|file| file.location.to_string());
    locations.collect()
}

/// Appends under faults, and checks the ending and what must hold whatever the ending is.
async fn check(name: &str, rules: Vec<Rule>, expected: Ending) {
    let server = S3Server::with_buckets(&["lake"]);
    let world = World::on_s3(&server).await;
    let base = world.create(FormatVersion::V2, &[Some(1)]).await.table;
    let before = referenced(&base).await;
    server.forget_requests();
    for rule in rules {
        server.add_rule(rule);
    }
    let ended = try_append(&world.catalog, base.clone()).await;
    let struck = server.requests();
    let struck = struck.iter().filter(|request| request.fault.is_some());
    assert!(struck.count() > 0, "{name}: no fault struck");
    server.clear_rules();

    let now = world.catalog.load_table(&ident()).await.unwrap();
    let ending = match &ended {
        Ok(()) => Ending::Landed,
        Err(error) if error.is_retryable() => Ending::FailedForNow,
        Err(_) => Ending::Failed,
    };
    assert_eq!(ending, expected, "{name}: {ended:?}");
    let (files, snapshots) = match ending {
        Ending::Landed => (&["a0", "ours"][..], 2),
        _ => (&["a0"][..], 1),
    };
    assert_eq!(world.paths(&now).await, files, "{name}");
    assert_eq!(now.metadata().history().len(), snapshots, "{name}");
    if ending != Ending::Landed {
        assert_eq!(now.metadata(), base.metadata(), "{name}");
    }
    let (referenced, stored) = (referenced(&now).await, stored(&world).await);
    assert!(referenced.is_superset(&before), "{name}");
    assert!(stored.is_superset(&referenced), "{name}: a file is gone");
    for request in server.requests() {
        let is_data = request.key.contains("/data/");
        assert!(!is_data, "{name}: {request:?} is for a data file");
    }
    // And the table is as good as ever.
    world.append(&["later"]).await;
}

/// The whole of an append: its manifest is written under the faults, too.
async fn try_append(catalog: &Arc<dyn Catalog>, table: Table) -> Result<(), Error> {
    let id = calve_table::new_snapshot_id();
    let location = Location::parse(table.metadata().location()).unwrap();
    let mut roller = calve_table::ManifestRoller::new(table.storage(), table.metadata(), id)?;
    roller
        .add(crate::support::file(&location, "ours", Some(1)))
        .await?;
    let written = roller.finish().await?;
    calve_table::Transaction::new(Arc::clone(catalog), table)
        .with_snapshot(calve_table::Append::new(id, written))
        .await
        .map(|_| ())
}

/// The three files that an append writes.
const WRITTEN: [&str; 3] = ["-m0.avro", "/snap-", ".metadata.json"];

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_is_waited_out() {
    let faults = [
        Fault::SlowDown,
        Fault::Reset,
        Fault::Status(500, "InternalError"),
        // The answer is lost, the object is there.
        Fault::ResetAfter,
        Fault::ErrorAfter,
        Fault::Latency(Duration::from_millis(20)),
    ];
    for fault in faults {
        let rules = WRITTEN.map(|key| rule(fault.clone(), When::First(2), Operation::Put, key));
        check(&format!("{fault:?}"), rules.into(), Ending::Landed).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_are_repeated() {
    for fault in [Fault::SlowDown, Fault::Reset, Fault::Truncate(10)] {
        let rules = vec![rule(
            fault.clone(),
            When::First(1),
            Operation::Get,
            "/snap-",
        )];
        check(&format!("{fault:?}"), rules, Ending::Landed).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_pass_is_an_error() {
    for key in WRITTEN {
        for (fault, ending) in [
            (Fault::SlowDown, Ending::FailedForNow),
            (Fault::Reset, Ending::FailedForNow),
            (Fault::ErrorAfter, Ending::FailedForNow),
            (Fault::Status(403, "AccessDenied"), Ending::Failed),
        ] {
            let name = format!("{key} {fault:?}");
            let rules = vec![rule(fault, When::Always, Operation::Put, key)];
            check(&name, rules, ending).await;
        }
    }
    let rules = vec![rule(
        Fault::SlowDown,
        When::Always,
        Operation::Get,
        "/snap-",
    )];
    check("the parent's list", rules, Ending::FailedForNow).await;
}

/// A commit that lost its race deletes its list; that this fails does not undo the commit.
#[tokio::test(flavor = "multi_thread")]
async fn files_that_cannot_be_deleted_stay() {
    let server = S3Server::with_buckets(&["lake"]);
    let world = World::on_s3(&server).await;
    let base = world.create(FormatVersion::V2, &[Some(1)]).await.table;
    let another = CommitFault::Before(Box::new(|catalog| {
        Box::pin(async move {
            let table = catalog.load_table(&ident()).await.unwrap();
            append(&catalog, table, &["x"]).await.await.unwrap();
        })
    }));
    let faulty: Arc<dyn Catalog> = Faulty::new(&world.catalog, [another]);
    server.add_rule(
        Rule::new(Fault::Status(403, "AccessDenied"), When::Always)
            .for_operation(Operation::Delete),
    );
    let report = append(&faulty, base, &["ours"]).await.await.unwrap();
    assert_eq!(report.attempts, 2);
    assert_eq!(world.paths(&report.table).await, ["a0", "ours", "x"]);
    let (referenced, stored) = (referenced(&report.table).await, stored(&world).await);
    assert!(stored.is_superset(&referenced), "a file is gone");
    assert!(stored.len() > referenced.len(), "nothing was left over");
}

/// A commit whose answer is lost is found by reading the table again, on a store that is slow to say so.
#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_outcome_is_settled_through_faults() {
    let server = S3Server::with_buckets(&["lake"]);
    let world = World::on_s3(&server).await;
    let base = world.create(FormatVersion::V2, &[Some(1)]).await.table;
    server.add_rule(rule(
        Fault::SlowDown,
        When::First(2),
        Operation::Get,
        ".metadata.json",
    ));
    let faulty: Arc<dyn Catalog> = Faulty::new(&world.catalog, [CommitFault::LandsUnknown]);
    let report = append(&faulty, base, &["ours"]).await.await.unwrap();
    assert_eq!(world.paths(&report.table).await, ["a0", "ours"]);
    assert_eq!(report.table.metadata().history().len(), 2);
    assert_eq!(stored(&world).await, referenced(&report.table).await);
}
