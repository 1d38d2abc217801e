use calve_base::Location;
use calve_lake::{Lake, LakeEntry, LakeOptions, Source};
use calve_storage::Storage;
use calve_testkit::lakes;
use calve_testkit::s3::{Fault, Operation, Rule, S3Server, When};
use futures::TryStreamExt;

use crate::support::{With, lines};

fn lake(server: &S3Server, path: &str) -> (Storage, Source) {
    let storage = Storage::new(server.properties());
    let location = Location::parse(format!("s3a://bucket/{path}")).unwrap();
    (storage, Source::Location(location))
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_are_read_alike_on_s3_and_on_disk() {
    let server = S3Server::with_buckets(&["bucket"]);
    let root = server.root().join("bucket");
    lakes::hard_partitions(&root.join("text"));
    lakes::ghcn(&root.join("ghcn"), 300, 5, 1);
    lakes::noise(&root.join("ghcn"));
    for path in ["text", "ghcn", "ghcn/"] {
        let (storage, source) = lake(&server, path);
        let on_s3 = lines(&storage, source, With::default()).await;
        let local = Location::parse(root.join(path).to_str().unwrap()).unwrap();
        let on_disk = lines(&storage, Source::Location(local), With::default()).await;
        assert!(on_s3.len() > 20, "{on_s3:?}");
        assert_eq!(on_s3, on_disk);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_lists_only_the_prefixes_that_match() {
    let server = S3Server::with_buckets(&["bucket"]);
    lakes::ghcn(&server.root().join("bucket/lake"), 400, 1, 1);
    let (storage, source) = lake(&server, "lake");
    server.forget_requests();
    let with = With {
        filter: vec![("element", "TMAX"), ("year", "2023")],
        ..With::default()
    };
    let found = lines(&storage, source, with).await;
    assert_eq!(found[0], "[YEAR: int, ELEMENT: string] 1 partitions");
    assert_eq!(found.len(), 5);
    let mut listed: Vec<String> = server
        .requests()
        .into_iter()
        .filter(|request| request.operation == Operation::List)
        .map(|request| request.key)
        .collect();
    listed.sort_unstable();
    listed.dedup();
    assert_eq!(
        listed,
        ["lake/", "lake/YEAR=2023/", "lake/YEAR=2023/ELEMENT=TMAX/"]
    );
    assert_eq!(server.count(Operation::Get), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn folder_markers_are_no_data() {
    let server = S3Server::with_buckets(&["bucket"]);
    server.put("bucket", "lake/a=1/f", "x");
    server.put("bucket", "lake/a=1_$folder$", "");
    server.put("bucket", "lake_$folder$", "");
    let (storage, source) = lake(&server, "lake");
    assert_eq!(
        lines(&storage, source, With::default()).await,
        [
            "[a: int] 1 partitions",
            "a=1/f [1]",
            "- a=1_$folder$: marker"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_s3_refuses_is_named() {
    let server = S3Server::with_buckets(&["bucket"]);
    server.put("bucket", "lake/a=1/f", "x");
    let (storage, source) = lake(&server, "none");
    let found = lines(&storage, source, With::default()).await;
    assert_eq!(found, ["error: s3a://bucket/none: no such file or folder"]);
    server.add_rule(
        Rule::new(Fault::Status(403, "AccessDenied"), When::Always).for_operation(Operation::List),
    );
    let (storage, source) = lake(&server, "lake");
    let error = Lake::open(&storage, source, LakeOptions::default())
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            calve_lake::Error::Storage(calve_storage::Error::AccessDenied { .. })
        ),
        "{error:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_that_fails_midway_ends_with_its_error() {
    let server = S3Server::with_buckets(&["bucket"]);
    lakes::ghcn(&server.root().join("bucket/lake"), 40, 1, 1);
    let (storage, source) = lake(&server, "lake");
    let lake = Lake::open(&storage, source, LakeOptions::default())
        .await
        .unwrap();
    server.add_rule(
        Rule::new(Fault::Status(403, "AccessDenied"), When::Always)
            .for_operation(Operation::List)
            .for_key("YEAR=2023/"),
    );
    let result: Result<Vec<LakeEntry>, _> = lake.files().try_collect().await;
    assert!(result.is_err());
}

#[test]
fn futures_can_move_between_threads() {
    fn sent<T: Send>(_: T) {}
    let storage = Storage::new(calve_base::Properties::new());
    let source = Source::Location(Location::parse("/none").unwrap());
    sent(Lake::open(&storage, source, LakeOptions::default()));
}
