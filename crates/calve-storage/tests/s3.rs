//! What goes wrong on S3, and what becomes of it.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::time::Duration;

use bytes::Bytes;
use calve_base::{Failure, Location, Properties};
use calve_storage::{Error, PART_BYTES, Storage};
use calve_testkit::s3::{Fault, Operation, Rule, S3Options, S3Server, When};
use futures::TryStreamExt;

fn at(text: &str) -> Location {
    text.parse().unwrap()
}

/// A client of a server, with more properties.
fn storage(server: &S3Server, more: &[(&str, &str)]) -> Storage {
    let mut properties: Properties = server.properties();
    properties.insert("s3.retry.min-wait-ms".to_owned(), "1".to_owned());
    properties.insert("s3.retry.max-wait-ms".to_owned(), "5".to_owned());
    for (name, value) in more {
        properties.insert((*name).to_owned(), (*value).to_owned());
    }
    Storage::new(properties)
}

fn server() -> S3Server {
    let server = S3Server::with_buckets(&["bucket"]);
    server.put("bucket", "lake/f", "0123456789");
    server
}

async fn keys(storage: &Storage, prefix: &str) -> Vec<String> {
    let listed: Vec<_> = storage.list(&at(prefix)).try_collect().await.unwrap();
    listed
        .iter()
        .map(|info| info.location.to_string())
        .collect()
}

/// Does everything once, and counts the requests of one kind.
#[track_caller]
fn check_repeated(fault: &Fault, count: u64, operation: Operation, expected: usize) {
    let server = server();
    let storage = storage(&server, &[]);
    server.add_rule(Rule::new(fault.clone(), When::First(count)).for_operation(operation));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let file = at("s3://bucket/lake/f");
        assert_eq!(storage.read(&file).await.unwrap(), "0123456789");
        assert_eq!(storage.head(&file).await.unwrap().unwrap().size, 10);
        assert_eq!(keys(&storage, "s3://bucket/lake").await, [file.as_str()]);
        let new = at("s3://bucket/new");
        let content = Bytes::from_static(b"new");
        storage.write_new(&new, content).await.unwrap();
        storage.delete(&new).await.unwrap();
        assert_eq!(storage.head(&new).await.unwrap(), None);
    });
    assert_eq!(server.count(operation), expected, "{fault:?} {operation:?}");
}

#[test]
fn requests_are_repeated() {
    check_repeated(&Fault::SlowDown, 0, Operation::Get, 1);
    for (operation, usually) in [
        (Operation::Get, 1),
        (Operation::Head, 2),
        (Operation::List, 1),
        (Operation::Put, 1),
        (Operation::Delete, 1),
    ] {
        check_repeated(&Fault::SlowDown, 3, operation, usually + 3);
        check_repeated(
            &Fault::Status(429, "TooManyRequests"),
            1,
            operation,
            usually + 1,
        );
        check_repeated(
            &Fault::Status(500, "InternalError"),
            2,
            operation,
            usually + 2,
        );
        check_repeated(&Fault::Reset, 2, operation, usually + 2);
        check_repeated(&Fault::ResetAfter, 1, operation, usually + 1);
        check_repeated(&Fault::ErrorAfter, 1, operation, usually + 1);
    }
    for operation in [Operation::Get, Operation::List] {
        // Of an object, only the rest is asked for again.
        check_repeated(&Fault::Truncate(4), 2, operation, 3);
    }
}

#[tokio::test]
async fn requests_are_given_up_at_some_time() {
    let server = server();
    let storage = storage(&server, &[("s3.retry.num-retries", "2")]);
    server.add_rule(Rule::new(Fault::SlowDown, When::Always));
    let file = at("s3://bucket/lake/f");
    let list = || async { storage.list(&file).try_collect::<Vec<_>>().await };
    for error in [
        storage.read(&file).await.unwrap_err(),
        storage.delete(&file).await.unwrap_err(),
        list().await.unwrap_err(),
    ] {
        let code = match &error {
            Error::Unavailable { code, .. } => code.as_deref(),
            other => panic!("{other:?}"),
        };
        assert_eq!(code, Some("SlowDown"));
        assert!(error.is_retryable());
        assert_eq!(
            error.to_string(),
            "s3://bucket/lake/f: the store is busy or failing (SlowDown)"
        );
    }
    for operation in [Operation::Get, Operation::Delete, Operation::List] {
        assert_eq!(server.count(operation), 3, "{operation:?}");
    }
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_known_as_ones_own() {
    let server = server();
    let storage = storage(&server, &[]);
    for (number, fault) in [Fault::ResetAfter, Fault::ErrorAfter]
        .into_iter()
        .enumerate()
    {
        server.add_rule(Rule::new(fault, When::First(1)).for_operation(Operation::Put));
        let new = at(&format!("s3://bucket/new-{number}"));
        let content = Bytes::from_static(b"mine");
        storage.write_new(&new, content.clone()).await.unwrap();
        let again = storage.write_new(&new, content).await.unwrap_err();
        assert!(matches!(again, Error::AlreadyExists { .. }));
        server.clear_rules();
    }
}

#[tokio::test]
async fn a_conflict_that_left_nothing_is_tried_again() {
    let server = server();
    let storage = storage(&server, &[]);
    let conflict = Fault::Status(409, "ConditionalRequestConflict");
    server.add_rule(Rule::new(conflict, When::First(2)).for_operation(Operation::Put));
    let new = at("s3://bucket/new");
    let content = Bytes::from_static(b"1");
    storage.write_new(&new, content).await.unwrap();
    assert_eq!(server.count(Operation::Put), 3);
}

#[track_caller]
fn check_refused(error: &Error, code: Option<&str>, hint: &str) {
    match error {
        Error::AccessDenied { code: found, .. } => assert_eq!(found.as_deref(), code),
        other => panic!("{other:?}"),
    }
    assert!(!error.is_retryable());
    assert_eq!(error.hint().as_deref(), Some(hint));
}

#[tokio::test]
async fn who_may_not_is_told_so() {
    let server = server();
    let file = at("s3://bucket/lake/f");
    let keys_hint = "check s3.access-key-id and s3.secret-access-key, or the AWS profile";
    let other_hint =
        "check that these credentials may do this, or set s3.anonymous=true for a public bucket";
    let wrong = storage(&server, &[("s3.secret-access-key", "wrong")]);
    check_refused(
        &wrong.read(&file).await.unwrap_err(),
        Some("SignatureDoesNotMatch"),
        keys_hint,
    );
    let listed = wrong.list(&file).try_collect::<Vec<_>>().await;
    check_refused(
        &listed.unwrap_err(),
        Some("SignatureDoesNotMatch"),
        keys_hint,
    );
    // An answer to HEAD has no body that could say more.
    check_refused(&wrong.head(&file).await.unwrap_err(), None, other_hint);
    let anonymous = storage(&server, &[("s3.anonymous", "true")]);
    check_refused(
        &anonymous.read(&file).await.unwrap_err(),
        Some("AccessDenied"),
        other_hint,
    );
    server.add_rule(Rule::new(Fault::Status(400, "ExpiredToken"), When::Always));
    check_refused(
        &storage(&server, &[]).read(&file).await.unwrap_err(),
        Some("ExpiredToken"),
        "renew the credentials: their session has ended",
    );
}

#[tokio::test]
async fn anonymous_requests_are_not_signed() {
    let server = S3Server::start(S3Options {
        anonymous: true,
        ..S3Options::default()
    });
    server.put("bucket", "f", "public");
    let properties = [
        ("s3.endpoint", server.endpoint()),
        ("s3.anonymous", "true".to_owned()),
    ];
    let properties = properties.map(|(name, value)| (name.to_owned(), value));
    let storage = Storage::new(Properties::from(properties));
    assert_eq!(keys(&storage, "s3://bucket").await, ["s3://bucket/f"]);
    let file = at("s3://bucket/f");
    assert_eq!(storage.read(&file).await.unwrap(), "public");
    let new = at("s3://bucket/new");
    storage.write(&new, Bytes::from_static(b"1")).await.unwrap();
    storage.delete(&new).await.unwrap();
}

#[tokio::test]
async fn a_bucket_that_is_not_there() {
    let server = server();
    let storage = storage(&server, &[]);
    let file = at("s3a://other/f");
    for error in [
        storage.read(&file).await.unwrap_err(),
        storage.write(&file, Bytes::new()).await.unwrap_err(),
        storage.list_folder(&file).await.unwrap_err(),
    ] {
        assert!(matches!(error, Error::NoSuchBucket { .. }), "{error:?}");
        assert_eq!(
            error.to_string(),
            "s3a://other/f: there is no bucket `other`"
        );
    }
}

#[tokio::test]
async fn nothing_is_left_of_an_upload_that_failed() {
    let server = server();
    let storage = storage(&server, &[("s3.retry.num-retries", "1")]);
    let large = Bytes::from(vec![7; PART_BYTES * 3]);
    let refused = Fault::Status(403, "AccessDenied");
    server.add_rule(Rule::new(refused, When::Every(3)).for_operation(Operation::Multipart));
    let error = storage.write(&at("s3://bucket/large"), large.clone()).await;
    let error = error.unwrap_err();
    assert!(matches!(error, Error::AccessDenied { .. }), "{error:?}");
    server.clear_rules();
    let mut dropped = storage.writer(&at("s3://bucket/dropped")).await.unwrap();
    dropped.put(large).await.unwrap();
    drop(dropped);
    // The server keeps parts as hidden files beside its buckets.
    let parts = || {
        let entries = fs_err::read_dir(server.root()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with(".upload")).count()
    };
    for _ in 0..100 {
        if parts() == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{} files of parts are left", parts());
}

#[tokio::test]
async fn another_region() {
    let server = server();
    let storage = storage(&server, &[]);
    for fault in [
        Fault::Status(301, "PermanentRedirect"),
        Fault::Status(400, "AuthorizationHeaderMalformed"),
    ] {
        server.clear_rules();
        server.add_rule(Rule::new(fault, When::Always));
        for error in [
            storage.read(&at("s3://bucket/f")).await.unwrap_err(),
            storage.list_folder(&at("s3://bucket")).await.unwrap_err(),
        ] {
            let is_right = matches!(&error, Error::WrongRegion { used, .. } if used == "us-east-1");
            assert!(is_right, "{error:?}");
            assert_eq!(
                error.hint().as_deref(),
                Some("set s3.region to the bucket's region")
            );
        }
    }
}

#[tokio::test]
async fn nobody_answers() {
    let server = server();
    let file = at("s3://bucket/lake/f");
    let gone = storage(
        &server,
        &[
            ("s3.endpoint", "http://127.0.0.1:1"),
            ("s3.retry.num-retries", "1"),
        ],
    );
    let listed = gone.list(&file).try_collect::<Vec<_>>().await;
    for error in [gone.read(&file).await.unwrap_err(), listed.unwrap_err()] {
        assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
        assert!(error.is_retryable());
    }
    server.set_latency(Duration::from_secs(5));
    let slow = storage(
        &server,
        &[("s3.request-timeout", "0.1"), ("s3.retry.num-retries", "1")],
    );
    let listed = slow.list(&file).try_collect::<Vec<_>>().await;
    for error in [slow.read(&file).await.unwrap_err(), listed.unwrap_err()] {
        assert!(matches!(error, Error::Timeout { .. }), "{error:?}");
    }
    assert_eq!(server.count(Operation::Get), 2);
    assert_eq!(server.count(Operation::List), 2);
}

#[tokio::test]
async fn addresses_that_cannot_be() {
    let server = server();
    let good = storage(&server, &[]);
    let error = good.read(&at("s3://my {bucket}/f")).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "s3://my {bucket}/f: `my {bucket}` is no name of a bucket"
    );
    let error = good.read(&at("s3://bucket/a/../f")).await.unwrap_err();
    assert!(matches!(error, Error::UnsupportedKey { .. }), "{error:?}");
    let bad = storage(&server, &[("s3.endpoint", "http://not a host")]);
    let error = bad.read(&at("s3://bucket/f")).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "property s3.endpoint is `http://not a host`, expected the URL of a server"
    );
}

#[tokio::test]
async fn unusual_keys_reach_the_server_as_they_are() {
    let server = server();
    let storage = storage(&server, &[("s3.retry.num-retries", "0")]);
    for key in ["lake//f", "/lake/f", "lake/f/", "tab\there", "\u{10FFFD}"] {
        let location = at(&format!("s3://bucket/{key}"));
        server.forget_requests();
        // The server keeps objects in files, so that it finds others or none for such keys; what
        // counts is what it was asked for, and that the signature was right.
        let _ = storage.write(&location, Bytes::from_static(b"x")).await;
        let head = storage.head(&location).await;
        assert!(!matches!(head, Err(Error::AccessDenied { .. })), "{head:?}");
        let deleted = storage.delete(&location).await;
        assert!(
            !matches!(deleted, Err(Error::AccessDenied { .. })),
            "{deleted:?}"
        );
        let asked: Vec<_> = server.requests();
        assert_eq!(asked.len(), 3, "{asked:?}");
        assert!(asked.iter().all(|request| request.key == key), "{asked:?}");
    }
}

#[tokio::test]
async fn one_request_reads_a_tail() {
    let server = server();
    let storage = storage(&server, &[]);
    let tail = storage.read_tail(&at("s3://bucket/lake/f"), 10, 4).await;
    assert_eq!(tail.unwrap(), "6789");
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].range.as_deref(), Some("bytes=6-9"));
}

#[tokio::test]
async fn many_objects_are_listed_page_by_page_or_side_by_side() {
    let server = server();
    let put = |key: &str| server.put("bucket", key, "");
    for folder in 0..12 {
        for file in 0..200 {
            put(&format!("many/k={folder}/{file}"));
        }
    }
    for key in [
        "many/0",
        "many/k=1.5/f",
        "many/k=1-/f",
        "many/k=10x",
        "many/z",
    ] {
        put(key);
    }
    let storage = storage(&server, &[]);
    let many = at("s3://bucket/many");
    let listed: Vec<_> = storage.list(&many).try_collect().await.unwrap();
    assert_eq!(listed.len(), 2405);
    assert!(listed.is_sorted_by(|a, b| a.location < b.location));
    assert_eq!(server.count(Operation::List), 3, "1,000 to a page");
    server.forget_requests();
    server.set_latency(Duration::from_millis(50));
    let parallel: Vec<_> = storage.list_parallel(&many, 8).try_collect().await.unwrap();
    assert!(parallel == listed, "{} of {}", parallel.len(), listed.len());
    let requests = server.count(Operation::List);
    // The root and its 14 folders are looked at, then there are 15 parts.
    assert!(requests <= 1 + 14 + 15, "{requests}");
    assert!(server.most_concurrent() > 4, "{}", server.most_concurrent());
    let mut stream = storage.list_parallel(&many, 8);
    stream.try_next().await.unwrap();
    drop(stream);
}

#[tokio::test]
async fn many_small_folders_take_few_requests() {
    let server = server();
    for folder in 0..1050 {
        server.put("bucket", &format!("many/k={folder}/f"), "");
    }
    let storage = storage(&server, &[]);
    let many = at("s3://bucket/many");
    let listed: Vec<_> = storage.list(&many).try_collect().await.unwrap();
    server.forget_requests();
    let parallel = storage.list_parallel(&many, 2);
    let parallel: Vec<_> = parallel.try_collect().await.unwrap();
    assert!(parallel == listed, "{} of {}", parallel.len(), listed.len());
    let requests = server.count(Operation::List);
    assert!(
        requests <= 20,
        "{requests} for 2 pages of folders and 16 parts"
    );
}

#[tokio::test]
async fn settings_that_make_no_sense_are_named_when_first_used() {
    let properties = [("s3.request-timeout".to_owned(), "soon".to_owned())];
    let storage = Storage::new(Properties::from(properties));
    let error = storage.read(&at("s3://bucket/f")).await.unwrap_err();
    assert_eq!(
        error.hint().as_deref(),
        Some("set s3.request-timeout to a number of seconds above 0")
    );
    let secret = [("s3.secret-access-key".to_owned(), "hush".to_owned())];
    let printed = format!("{:?}", Storage::new(Properties::from(secret)).file_io());
    assert!(!printed.contains("hush"), "{printed}");
}

/// Objects are deleted by few requests, and one by one where the server does not do that.
#[tokio::test]
async fn many_objects_are_deleted_at_once() {
    let server = server();
    let storage = storage(&server, &[("s3.retry.num-retries", "0")]);
    let objects: Vec<String> = (0..1_200)
        .map(|number| format!("many/{number:04}"))
        .collect();
    let locations: Vec<Location> = objects
        .iter()
        .map(|key| at(&format!("s3://bucket/{key}")))
        .collect();
    for refuses in [false, true] {
        for key in &objects {
            server.put("bucket", key, "x");
        }
        server.forget_requests();
        if refuses {
            let fault = Fault::Status(501, "NotImplemented");
            server.add_rule(Rule::new(fault, When::First(2)).for_operation(Operation::Delete));
        }
        let deleted = storage.delete_all(&locations, 8).await;
        assert_eq!(deleted.len(), objects.len());
        assert!(deleted.iter().all(Result::is_ok), "{deleted:?}");
        let singly = if refuses { objects.len() } else { 0 };
        assert_eq!(server.count(Operation::Delete), 2 + singly);
        assert_eq!(keys(&storage, "s3://bucket/many").await, [""; 0]);
    }
    server.add_rule(Rule::new(Fault::Status(403, "AccessDenied"), When::Always));
    let deleted = storage.delete_all(&locations[..3], 8).await;
    assert!(
        deleted
            .iter()
            .all(|it| matches!(it, Err(Error::AccessDenied { .. }))),
        "{deleted:?}"
    );
}
