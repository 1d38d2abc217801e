//! Answers from Glue that get lost.

use std::collections::HashMap;

use calve_base::Failure;
use calve_catalog::Error;
use calve_testkit::moto::{Loss, Moto, Proxy};
use tempfile::TempDir;

use crate::glue::open;
use crate::laws::{build, ident, metadata_files, set};

/// The table's own properties say how patiently an unclear answer is looked into.
fn impatient() -> HashMap<String, String> {
    HashMap::from([
        ("commit.status-check.num-retries".to_owned(), "3".to_owned()),
        ("commit.status-check.min-wait-ms".to_owned(), "5".to_owned()),
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn unclear_answers_to_updates_are_settled() {
    let folder = TempDir::new().unwrap();
    let proxy = Proxy::start(Moto::start());
    let catalog = open(&folder, &[("glue.endpoint", &proxy.endpoint())]).await;
    let name = ident("unclear.updates");
    let build = build(catalog.as_ref(), &name, impatient()).await;
    let mut table = catalog.commit(&name, None, build).await.unwrap();
    let cases: [(&[Loss], usize); 6] = [
        (&[Loss::Answer], 1),
        (&[Loss::Failure], 1),
        (&[Loss::Request], 2),
        (&[Loss::Throttled, Loss::Throttled], 3),
        (&[Loss::Request, Loss::Request, Loss::Answer], 3),
        (&[Loss::Throttled, Loss::Failure], 2),
    ];
    for (number, (losses, requests)) in cases.into_iter().enumerate() {
        proxy.lose("UpdateTable", losses);
        table = set(catalog.as_ref(), &table, "round", &number.to_string())
            .await
            .unwrap_or_else(|error| panic!("{losses:?}: {error}: {error:?}"));
        let loaded = catalog.load_table(&name).await.unwrap();
        assert_eq!(
            loaded.metadata_location(),
            table.metadata_location(),
            "{losses:?}"
        );
        let sent = proxy
            .seen()
            .iter()
            .filter(|seen| *seen == "UpdateTable")
            .count();
        assert_eq!(sent, requests, "{losses:?}");
        // Each commit wrote one metadata file, and none was taken away.
        assert_eq!(metadata_files(&table).await, number + 2, "{losses:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unclear_answers_to_creations_are_settled() {
    let folder = TempDir::new().unwrap();
    let proxy = Proxy::start(Moto::start());
    let catalog = open(&folder, &[("glue.endpoint", &proxy.endpoint())]).await;
    for (number, loss) in [Loss::Answer, Loss::Failure, Loss::Request, Loss::Throttled]
        .into_iter()
        .enumerate()
    {
        let name = ident(&format!("unclear_creations.t{number}"));
        let build = build(catalog.as_ref(), &name, impatient()).await;
        proxy.lose("CreateTable", &[loss]);
        let table = catalog.commit(&name, None, build).await.unwrap();
        let loaded = catalog.load_table(&name).await.unwrap();
        assert_eq!(
            loaded.metadata_location(),
            table.metadata_location(),
            "{loss:?}"
        );
    }
}

/// The commit takes place, its answer is lost, and before anybody looks another writer commits.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_found_in_the_history() {
    let folder = TempDir::new().unwrap();
    let proxy = Proxy::start(Moto::start());
    let catalog = open(&folder, &[("glue.endpoint", &proxy.endpoint())]).await;
    let other = open(&folder, &[]).await;
    let name = ident("unclear.history");
    let build = build(catalog.as_ref(), &name, impatient()).await;
    let table = catalog.commit(&name, None, build).await.unwrap();
    // GetTable is asked before the update, and then to look: the other writer comes in between.
    proxy.lose("UpdateTable", &[Loss::Answer]);
    let writer = name.clone();
    proxy.after_loss(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let current = other.load_table(&writer).await.unwrap();
            set(other.as_ref(), &current, "other", "yes").await.unwrap();
        });
    });
    let mine = set(catalog.as_ref(), &table, "mine", "yes").await.unwrap();
    let loaded = catalog.load_table(&name).await.unwrap();
    assert_ne!(loaded.metadata_location(), mine.metadata_location());
    let properties = loaded.metadata().properties();
    assert_eq!(
        (properties["mine"].as_str(), properties["other"].as_str()),
        ("yes", "yes")
    );
    assert_eq!(metadata_files(&table).await, 3);
}

/// The request is lost, and before anybody looks another writer commits: a conflict.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_request_can_end_in_a_conflict() {
    let folder = TempDir::new().unwrap();
    let proxy = Proxy::start(Moto::start());
    let catalog = open(&folder, &[("glue.endpoint", &proxy.endpoint())]).await;
    let other = open(&folder, &[]).await;
    let name = ident("unclear.conflict");
    let build = build(catalog.as_ref(), &name, impatient()).await;
    let table = catalog.commit(&name, None, build).await.unwrap();
    proxy.lose("UpdateTable", &[Loss::Request]);
    let base = table.clone();
    proxy.after_loss(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            set(other.as_ref(), &base, "other", "yes").await.unwrap();
        });
    });
    let error = set(catalog.as_ref(), &table, "mine", "yes")
        .await
        .unwrap_err();
    assert!(
        matches!(error, Error::CommitConflict { .. }),
        "{error}: {error:?}"
    );
    assert_eq!(metadata_files(&table).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stays_unclear_deletes_nothing() {
    let folder = TempDir::new().unwrap();
    let proxy = Proxy::start(Moto::start());
    let catalog = open(&folder, &[("glue.endpoint", &proxy.endpoint())]).await;
    let name = ident("unclear.forever");
    let build = build(catalog.as_ref(), &name, impatient()).await;
    let table = catalog.commit(&name, None, build).await.unwrap();
    proxy.lose("UpdateTable", &[Loss::Request; 10]);
    let error = set(catalog.as_ref(), &table, "k", "v").await.unwrap_err();
    let Error::CommitStateUnknown {
        metadata_location, ..
    } = &error
    else {
        panic!("{error}: {error:?}");
    };
    assert!(error.hint().is_some());
    assert!(catalog.storage().read(metadata_location).await.is_ok());
    assert_eq!(metadata_files(&table).await, 2);
}
