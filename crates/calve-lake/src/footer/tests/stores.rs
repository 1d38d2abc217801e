//! Footers of files on real stores: the local file system, and an S3 server with faults.

use std::time::{Duration, Instant};

use calve_testkit::s3::{Fault, Operation, Rule, S3Server, When};

use super::*;

/// Files on a server, and how a listing tells of them.
fn lake(server: &S3Server, files: usize) -> Vec<LakeFile> {
    let file = parquet(3, 2);
    (0..files)
        .map(|number| {
            let key = format!("lake/k={}%2F/f{number:04}.parquet", number % 3);
            server.put("bucket", &key, &file);
            LakeFile {
                location: Location::parse(format!("s3://bucket/{key}")).unwrap(),
                ..lake_file("f", file.len() as u64)
            }
        })
        .collect()
}

async fn read(
    server: &S3Server,
    files: Vec<LakeFile>,
    concurrency: usize,
) -> Vec<(LakeFile, Result<Arc<ParquetMetaData>>)> {
    let storage = Storage::new(server.properties());
    read_footers(&storage, futures::stream::iter(files), concurrency)
        .collect()
        .await
}

/// What comes of one file when requests suffer these faults.
async fn read_with(rules: Vec<Rule>) -> Result<Arc<ParquetMetaData>> {
    let server = S3Server::with_buckets(&["bucket"]);
    let files = lake(&server, 1);
    for rule in rules {
        server.add_rule(rule);
    }
    let mut properties = server.properties();
    for (name, value) in [
        ("s3.retry.num-retries", "2"),
        ("s3.retry.min-wait-ms", "1"),
        ("s3.retry.max-wait-ms", "5"),
    ] {
        properties.insert(name.to_owned(), value.to_owned());
    }
    let reader = FooterReader::new(Storage::new(properties));
    reader.read(&files[0]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_request_a_file() {
    let server = S3Server::with_buckets(&["bucket"]);
    let files = lake(&server, 100);
    server.set_latency(Duration::from_millis(20));
    let start = Instant::now();
    let footers = read(&server, files.clone(), 25).await;
    let elapsed = start.elapsed();
    assert_eq!(footers.len(), 100);
    for ((file, footer), listed) in footers.iter().zip(&files) {
        assert_eq!(file, listed);
        assert_eq!(footer.as_ref().unwrap().file_metadata().num_rows(), 6);
    }
    assert_eq!(server.count(Operation::Get), 100);
    assert_eq!(server.requests().len(), 100, "{:?}", server.requests());
    assert!(server.most_concurrent() <= 25);
    // A hundred requests in a row would take two seconds.
    assert!(elapsed < Duration::from_secs(1), "{elapsed:?}");
}

#[tokio::test]
async fn local_files() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = parquet(3, 2);
    let files: Vec<LakeFile> = ["k=a%2Fb", "k=ü"]
        .iter()
        .map(|name| {
            let path = folder.path().join(name);
            fs_err::create_dir_all(&path).unwrap();
            let path = path.join("f.parquet");
            fs_err::write(&path, &bytes).unwrap();
            LakeFile {
                location: Location::parse(path.to_str().unwrap()).unwrap(),
                ..lake_file("f", bytes.len() as u64)
            }
        })
        .collect();
    let storage = Storage::new(calve_base::Properties::new());
    let footers: Vec<_> = read_footers(&storage, futures::stream::iter(files.clone()), 2)
        .collect()
        .await;
    for (_, footer) in &footers {
        assert_eq!(footer.as_ref().unwrap().num_row_groups(), 2);
    }
    fs_err::write(files[0].location.key(), &bytes[..20]).unwrap();
    fs_err::remove_file(files[1].location.key()).unwrap();
    let reader = FooterReader::new(storage);
    let changed = reader.read(&files[0]).await.unwrap_err();
    assert!(changed.to_string().ends_with(&format!(
        "changed while it was read: it had {} bytes when listed, has 20 now",
        bytes.len()
    )));
    let gone = reader.read(&files[1]).await.unwrap_err();
    assert_eq!(gone.code(), "gone");
    assert_eq!(gone.location(), Some(&files[1].location));
}

#[tokio::test]
async fn passing_faults_are_waited_out() {
    for fault in [
        Fault::SlowDown,
        Fault::Reset,
        Fault::Status(500, "InternalError"),
    ] {
        let rule = Rule::new(fault.clone(), When::First(2));
        assert!(read_with(vec![rule]).await.is_ok(), "{fault:?}");
    }
}

#[tokio::test]
async fn lasting_faults_are_the_stores() {
    let check = async |fault: Fault, retryable: bool| {
        let error = read_with(vec![Rule::new(fault.clone(), When::Always)])
            .await
            .unwrap_err();
        assert_eq!(error.code(), "storage", "{fault:?}: {error}");
        assert!(!error.is_about_the_file());
        assert_eq!(error.is_retryable(), retryable, "{fault:?}: {error}");
        assert!(
            error
                .to_string()
                .contains("s3://bucket/lake/k=0%2F/f0000.parquet")
        );
        assert!(error.hint().is_some(), "{fault:?}");
    };
    check(Fault::SlowDown, true).await;
    check(Fault::Reset, true).await;
    check(Fault::Status(403, "AccessDenied"), false).await;
}

#[tokio::test]
async fn files_that_change_meanwhile() {
    let server = S3Server::with_buckets(&["bucket"]);
    let mut files = lake(&server, 3);
    files[0].size += 10;
    files[1].size -= 10;
    files[2].location = Location::parse("s3://bucket/none").unwrap();
    let codes: Vec<_> = read(&server, files, 3)
        .await
        .into_iter()
        .map(|(_, footer)| footer.unwrap_err().code())
        .collect();
    assert_eq!(codes, ["changed", "changed", "gone"]);
}

#[tokio::test]
async fn dropping_the_stream_stops_the_requests() {
    let server = S3Server::with_buckets(&["bucket"]);
    let files = lake(&server, 50);
    server.set_latency(Duration::from_millis(50));
    let storage = Storage::new(server.properties());
    let mut footers = Box::pin(read_footers(&storage, futures::stream::iter(files), 4));
    assert!(footers.next().await.is_some());
    drop(footers);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(server.requests().len() <= 8, "{}", server.requests().len());
}
