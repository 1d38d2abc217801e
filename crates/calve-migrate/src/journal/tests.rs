use calve_base::{Properties, SystemClock, TableIdent};
use serde_json::json;
use uuid::Uuid;

use super::*;

fn table() -> (Storage, Location) {
    let storage = Storage::new(Properties::new());
    (
        storage,
        Location::parse("memory:///warehouse/db/t").unwrap(),
    )
}

fn migration() -> Migration {
    let id = MigrationId::new(Operation::Ctas, TableIdent::new("db", "t"), &SystemClock);
    Migration::new(id, "s3://lake/x", &SystemClock).with_options(json!({"where": "a > 1"}))
}

#[tokio::test]
async fn a_journal_is_found_again() {
    let (storage, location) = table();
    assert_eq!(Journal::list(&storage, &location).await.unwrap(), []);
    let mut journal = Journal::create(&storage, &location, migration())
        .await
        .unwrap();
    let mut batch = Batch::new(2, "rows 10 to 20", Uuid::from_u128(7), 42);
    journal.record_batch(&batch).await.unwrap();
    journal
        .record_batch(&Batch::new(1, "rows 0 to 10", Uuid::from_u128(8), 41))
        .await
        .unwrap();
    batch.state = BatchState::Committed;
    batch.files = vec!["s3://b/x.parquet".to_owned()];
    journal.record_batch(&batch).await.unwrap();
    journal
        .update(&SystemClock, |it| it.state = MigrationState::Done)
        .await
        .unwrap();
    journal
        .put("undo-1.json", &json!({"page": 1}))
        .await
        .unwrap();

    let again = Journal::open(&storage, &location, journal.id())
        .await
        .unwrap();
    assert_eq!(again.migration(), journal.migration());
    assert_eq!(again.migration().state, MigrationState::Done);
    let batches = again.batches().await.unwrap();
    assert_eq!(batches.len(), 2);
    assert_eq!(batches[1], batch);
    let page: Option<serde_json::Value> = again.get("undo-1.json").await.unwrap();
    assert_eq!(page, Some(json!({"page": 1})));
    let none: Option<serde_json::Value> = again.get("undo-2.json").await.unwrap();
    assert_eq!(none, None);
    let listed = Journal::list(&storage, &location).await.unwrap();
    assert_eq!(listed, [journal.migration().clone()]);
    let sources: Vec<_> = (0..10_001)
        .map(|n| (format!("{n}"), "v".to_owned()))
        .collect();
    for batch in &batches {
        journal
            .record_sources(Some(batch), sources.clone())
            .await
            .unwrap();
    }
    assert_eq!(journal.sources().await.unwrap().len(), 4);
    // A run at the same time has its own record of a batch with that number.
    let other = Batch::new(2, "rows 10 to 20", Uuid::from_u128(9 << 96), 43);
    journal.record_batch(&other).await.unwrap();
    journal.forget_batch(&other).await.unwrap();
    assert_eq!(journal.batches().await.unwrap()[1], batch);
    journal.forget_batch(&batch).await.unwrap();
    assert_eq!(journal.batches().await.unwrap().len(), 1);
    let left = journal.sources().await.unwrap();
    assert_eq!(left.len(), 2);
    assert!(left.iter().all(|page| page.writer == batches[0].writer));
}

#[tokio::test]
async fn two_runs_do_not_write_one_journal() {
    let (storage, location) = table();
    let migration = migration();
    let mut first = Journal::create(&storage, &location, migration.clone())
        .await
        .unwrap();
    let error = Journal::create(&storage, &location, migration.clone())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::JournalExists { .. }), "{error}");
    let mut second = Journal::open(&storage, &location, &migration.id)
        .await
        .unwrap();
    first.update(&SystemClock, |_| {}).await.unwrap();
    let error = second.update(&SystemClock, |_| {}).await.unwrap_err();
    assert!(matches!(error, Error::JournalChanged { .. }), "{error}");
}

#[tokio::test]
async fn what_is_no_journal_is_an_error() {
    let (storage, location) = table();
    let migration = migration();
    let error = Journal::open(&storage, &location, &migration.id)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::JournalMissing { .. }), "{error}");
    let journal = Journal::create(&storage, &location, migration)
        .await
        .unwrap();
    let document = journal.folder().join(MIGRATION);
    for (text, expected) in [
        ("{", "migration.json: "),
        (r#"{"version": 2}"#, "is of version 2"),
        (r#"{"version": 1}"#, "missing field"),
    ] {
        storage.write(&document, text.into()).await.unwrap();
        let error = Journal::open(&storage, &location, journal.id())
            .await
            .unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}
