//! The laws, each on a namespace of its own.

use std::collections::HashMap;
use std::sync::Arc;

use calve_base::{Failure, Location, Properties, TableIdent};
use calve_catalog::{Catalog, Error, Table};
use futures::future::join_all;
use iceberg::spec::{
    FormatVersion, NestedField, PrimitiveType, Schema, SortOrder, TableMetadataBuildResult,
    TableMetadataBuilder, Type, UnboundPartitionSpec,
};

use crate::subject::Subject;

pub(crate) async fn check(subject: &Subject) {
    let catalog = subject.catalog.as_ref();
    creating_makes_the_namespace(catalog).await;
    names_are_listed_in_order(catalog).await;
    taken_names_are_refused(catalog).await;
    missing_things_are_named(catalog).await;
    a_commit_moves_the_pointer(catalog).await;
    a_stale_base_conflicts(catalog).await;
    registering_shares_the_metadata_file(catalog).await;
    dropping_leaves_the_files(catalog).await;
    metadata_files_follow_the_properties(catalog).await;
    old_metadata_files_are_deleted_when_asked(catalog).await;
    namespaces_can_have_a_location(catalog).await;
    racing_committers_lose_nothing(subject).await;
    racing_creators_have_one_winner(subject).await;
}

async fn creating_makes_the_namespace(catalog: &dyn Catalog) {
    let ident = ident("made.t");
    let table = create(catalog, &ident).await;
    assert!(namespaces(catalog).await.contains(&vec!["made".to_owned()]));
    let loaded = catalog.load_table(&ident).await.unwrap();
    assert_eq!(loaded.metadata(), table.metadata());
    assert_eq!(loaded.metadata_location(), table.metadata_location());
    assert_eq!(loaded.ident(), &ident);
    let name = table.metadata_location().file_name();
    assert!(
        name.starts_with("00000-") && name.ends_with(".metadata.json"),
        "{name}"
    );
}

async fn names_are_listed_in_order(catalog: &dyn Catalog) {
    for name in ["list_b.t2", "list_b.t1", "list_a.t3"] {
        create(catalog, &ident(name)).await;
    }
    let in_one = catalog
        .list_tables(Some(&["list_b".to_owned()]))
        .await
        .unwrap();
    assert_eq!(in_one, [ident("list_b.t1"), ident("list_b.t2")]);
    let all = catalog.list_tables(None).await.unwrap();
    assert!(all.is_sorted());
    for name in ["list_a.t3", "list_b.t1", "list_b.t2"] {
        assert!(all.contains(&ident(name)), "{name}");
    }
    assert!(namespaces(catalog).await.is_sorted());
    let empty = vec!["list_empty".to_owned()];
    catalog
        .create_namespace(&empty, &Properties::new())
        .await
        .unwrap();
    assert_eq!(catalog.list_tables(Some(&empty)).await.unwrap(), []);
}

async fn taken_names_are_refused(catalog: &dyn Catalog) {
    let ident = ident("taken.t");
    let table = create(catalog, &ident).await;
    let namespace = ident.namespace();
    let error = catalog
        .create_namespace(namespace, &Properties::new())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::NamespaceExists { .. }), "{error}");
    let again = new_table(catalog, &ident).await;
    let error = catalog.commit(&ident, None, again).await.unwrap_err();
    assert!(matches!(error, Error::TableExists { .. }), "{error}");
    assert_eq!(
        error.to_string(),
        "table taken.t already exists in catalog test"
    );
    assert!(error.hint().is_some() && !error.is_retryable());
    let error = catalog
        .register_table(&ident, table.metadata_location())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::TableExists { .. }), "{error}");
    assert_eq!(
        catalog.load_table(&ident).await.unwrap().metadata(),
        table.metadata()
    );
}

async fn missing_things_are_named(catalog: &dyn Catalog) {
    let missing = ident("missing.t");
    let error = catalog.load_table(&missing).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "table missing.t not found in catalog test"
    );
    let error = catalog.drop_table(&missing).await.unwrap_err();
    assert!(matches!(error, Error::TableNotFound { .. }), "{error}");
    let error = catalog
        .list_tables(Some(missing.namespace()))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "namespace missing not found in catalog test"
    );

    let table = create(catalog, &ident("missing.gone")).await;
    catalog.drop_table(table.ident()).await.unwrap();
    let error = set(catalog, &table, "k", "v").await.unwrap_err();
    assert!(matches!(error, Error::TableNotFound { .. }), "{error}");
    assert_eq!(metadata_files(&table).await, 1);
}

async fn a_commit_moves_the_pointer(catalog: &dyn Catalog) {
    let first = create(catalog, &ident("commit.t")).await;
    let second = set(catalog, &first, "k", "1").await.unwrap();
    let third = set(catalog, &second, "k", "2").await.unwrap();
    let loaded = catalog.load_table(first.ident()).await.unwrap();
    assert_eq!(loaded.metadata_location(), third.metadata_location());
    assert_eq!(loaded.metadata(), third.metadata());
    assert_eq!(loaded.metadata().properties()["k"], "2");
    let log: Vec<_> = loaded
        .metadata()
        .metadata_log()
        .iter()
        .map(|entry| entry.metadata_file.as_str())
        .collect();
    assert_eq!(
        log,
        [
            first.metadata_location().as_str(),
            second.metadata_location().as_str()
        ]
    );
    assert!(third.metadata_location().file_name().starts_with("00002-"));
}

async fn a_stale_base_conflicts(catalog: &dyn Catalog) {
    let stale = create(catalog, &ident("stale.t")).await;
    let current = set(catalog, &stale, "winner", "yes").await.unwrap();
    let error = set(catalog, &stale, "loser", "yes").await.unwrap_err();
    assert!(matches!(error, Error::CommitConflict { .. }), "{error}");
    let loaded = catalog.load_table(stale.ident()).await.unwrap();
    assert_eq!(loaded.metadata(), current.metadata());
    // The loser's metadata file is gone.
    assert_eq!(metadata_files(&stale).await, 2);
}

async fn registering_shares_the_metadata_file(catalog: &dyn Catalog) {
    let table = create(catalog, &ident("register.t")).await;
    let copy = ident("register_there.copy");
    catalog
        .register_table(&copy, table.metadata_location())
        .await
        .unwrap();
    let loaded = catalog.load_table(&copy).await.unwrap();
    assert_eq!(loaded.metadata(), table.metadata());
    assert_eq!(loaded.metadata_location(), table.metadata_location());

    let folder = table.metadata_location().parent().unwrap();
    let other = ident("register.other");
    let nothing = folder.join("nothing.metadata.json");
    let error = catalog.register_table(&other, &nothing).await.unwrap_err();
    assert!(matches!(error, Error::Storage(_)), "{error}");
    let broken = folder.join("broken.metadata.json");
    catalog
        .storage()
        .write(&broken, "{\"format-version\": 2}".into())
        .await
        .unwrap();
    let error = catalog.register_table(&other, &broken).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("{broken}: not usable as Iceberg table metadata")
    );
    let error = catalog.load_table(&other).await.unwrap_err();
    assert!(matches!(error, Error::TableNotFound { .. }), "{error}");
}

async fn dropping_leaves_the_files(catalog: &dyn Catalog) {
    let table = create(catalog, &ident("dropped.t")).await;
    catalog.drop_table(table.ident()).await.unwrap();
    let error = catalog.load_table(table.ident()).await.unwrap_err();
    assert!(matches!(error, Error::TableNotFound { .. }), "{error}");
    assert_eq!(metadata_files(&table).await, 1);
    catalog
        .register_table(table.ident(), table.metadata_location())
        .await
        .unwrap();
}

async fn metadata_files_follow_the_properties(catalog: &dyn Catalog) {
    let ident = ident("places.t");
    let elsewhere = catalog
        .default_location(&ident)
        .await
        .unwrap()
        .join("elsewhere");
    let properties = HashMap::from([
        ("write.metadata.path".to_owned(), elsewhere.to_string()),
        (
            "write.metadata.compression-codec".to_owned(),
            "gzip".to_owned(),
        ),
    ]);
    let build = build(catalog, &ident, properties).await;
    let table = catalog.commit(&ident, None, build).await.unwrap();
    assert!(elsewhere.contains(table.metadata_location()));
    assert!(
        table
            .metadata_location()
            .as_str()
            .ends_with(".gz.metadata.json")
    );
    let bytes = catalog
        .storage()
        .read(table.metadata_location())
        .await
        .unwrap();
    assert_eq!(bytes[..2], [0x1f, 0x8b]);
    let loaded = catalog.load_table(&ident).await.unwrap();
    assert_eq!(loaded.metadata(), table.metadata());
    let next = set(catalog, &loaded, "write.metadata.compression-codec", "none")
        .await
        .unwrap();
    assert!(next.metadata_location().file_name().starts_with("00001-"));
    assert!(!next.metadata_location().as_str().contains(".gz."));
    let error = set(catalog, &next, "write.metadata.compression-codec", "lz4")
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Metadata { .. }), "{error}");
}

async fn old_metadata_files_are_deleted_when_asked(catalog: &dyn Catalog) {
    let mut table = create(catalog, &ident("expiry.t")).await;
    table = set(catalog, &table, "write.metadata.previous-versions-max", "2")
        .await
        .unwrap();
    for number in ["1", "2", "3"] {
        table = set(catalog, &table, "k", number).await.unwrap();
    }
    assert_eq!(table.metadata().metadata_log().len(), 2);
    assert_eq!(metadata_files(&table).await, 5);
    table = set(
        catalog,
        &table,
        "write.metadata.delete-after-commit.enabled",
        "true",
    )
    .await
    .unwrap();
    // One fell out of the log with this commit and is gone; those before it were not its business.
    assert_eq!(metadata_files(&table).await, 5);
    set(catalog, &table, "k", "4").await.unwrap();
    assert_eq!(metadata_files(&table).await, 5);
}

async fn namespaces_can_have_a_location(catalog: &dyn Catalog) {
    let home = catalog.default_location(&ident("plain.t")).await.unwrap();
    let place = home.parent().unwrap().join("somewhere");
    let namespace = vec!["placed".to_owned()];
    let properties = Properties::from([("location".to_owned(), place.to_string())]);
    catalog
        .create_namespace(&namespace, &properties)
        .await
        .unwrap();
    let location = catalog.default_location(&ident("placed.t")).await.unwrap();
    assert_eq!(location, place.join("t"));
}

/// Eight writers commit five times each, and try again from the new state on conflict.
async fn racing_committers_lose_nothing(subject: &Subject) {
    const WRITERS: usize = 8;
    const COMMITS: usize = 5;
    let ident = ident("race.t");
    create(subject.catalog.as_ref(), &ident).await;
    let writers = join_all((0..WRITERS).map(|_| subject.another())).await;
    let tasks = writers.into_iter().enumerate().map(|(writer, catalog)| {
        let ident = ident.clone();
        tokio::spawn(async move {
            let mut conflicts = 0;
            for number in 0..COMMITS {
                loop {
                    let table = catalog.load_table(&ident).await.unwrap();
                    let key = format!("writer-{writer}-{number}");
                    match set(catalog.as_ref(), &table, &key, "done").await {
                        Ok(_) => break,
                        Err(Error::CommitConflict { .. }) => conflicts += 1,
                        Err(error) => panic!("{error}: {error:?}"),
                    }
                }
            }
            conflicts
        })
    });
    let conflicts: usize = join_all(tasks).await.into_iter().map(Result::unwrap).sum();
    println!("{conflicts} conflicts");
    let table = subject.catalog.load_table(&ident).await.unwrap();
    let done = table
        .metadata()
        .properties()
        .keys()
        .filter(|key| key.starts_with("writer-"));
    assert_eq!(done.count(), WRITERS * COMMITS);
    assert_eq!(table.metadata().metadata_log().len(), WRITERS * COMMITS);
    // What lost a race left nothing behind.
    assert_eq!(metadata_files(&table).await, WRITERS * COMMITS + 1);
}

async fn racing_creators_have_one_winner(subject: &Subject) {
    let ident = ident("race_create.t");
    let creators = join_all((0..6).map(|_| subject.another())).await;
    let tasks = creators.into_iter().map(|catalog: Arc<dyn Catalog>| {
        let ident = ident.clone();
        tokio::spawn(async move {
            let build = new_table(catalog.as_ref(), &ident).await;
            catalog.commit(&ident, None, build).await
        })
    });
    let outcomes: Vec<_> = join_all(tasks)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    let winners: Vec<_> = outcomes
        .iter()
        .filter_map(|outcome| outcome.as_ref().ok())
        .collect();
    assert_eq!(winners.len(), 1, "{outcomes:?}");
    for error in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
        assert!(
            matches!(error, Error::TableExists { .. }),
            "{error}: {error:?}"
        );
    }
    let table = subject.catalog.load_table(&ident).await.unwrap();
    assert_eq!(table.metadata_location(), winners[0].metadata_location());
    assert_eq!(metadata_files(&table).await, 1);
}

pub(crate) fn ident(text: &str) -> TableIdent {
    text.parse().unwrap()
}

async fn namespaces(catalog: &dyn Catalog) -> Vec<Vec<String>> {
    catalog.list_namespaces().await.unwrap()
}

pub(crate) async fn create(catalog: &dyn Catalog, ident: &TableIdent) -> Table {
    let build = new_table(catalog, ident).await;
    catalog.commit(ident, None, build).await.unwrap()
}

async fn new_table(catalog: &dyn Catalog, ident: &TableIdent) -> TableMetadataBuildResult {
    build(catalog, ident, HashMap::new()).await
}

pub(crate) async fn build(
    catalog: &dyn Catalog,
    ident: &TableIdent,
    properties: HashMap<String, String>,
) -> TableMetadataBuildResult {
    let location = catalog.default_location(ident).await.unwrap();
    let long = Type::Primitive(PrimitiveType::Long);
    let schema = Schema::builder()
        .with_fields([Arc::new(NestedField::required(1, "id", long))])
        .build()
        .unwrap();
    TableMetadataBuilder::new(
        schema,
        UnboundPartitionSpec::default(),
        SortOrder::unsorted_order(),
        location.to_string(),
        FormatVersion::V2,
        properties,
    )
    .unwrap()
    .build()
    .unwrap()
}

pub(crate) async fn set(
    catalog: &dyn Catalog,
    base: &Table,
    key: &str,
    value: &str,
) -> calve_catalog::Result<Table> {
    let build = base
        .metadata()
        .clone()
        .into_builder(Some(base.metadata_location().to_string()))
        .set_properties(HashMap::from([(key.to_owned(), value.to_owned())]))
        .unwrap()
        .build()
        .unwrap();
    catalog.commit(base.ident(), Some(base), build).await
}

/// How many metadata files lie beside a table's current one.
pub(crate) async fn metadata_files(table: &Table) -> usize {
    let folder: Location = table.metadata_location().parent().unwrap();
    let (_, files) = table.storage().list_folder(&folder).await.unwrap();
    files
        .iter()
        .filter(|file| file.location.as_str().ends_with(".metadata.json"))
        .count()
}
