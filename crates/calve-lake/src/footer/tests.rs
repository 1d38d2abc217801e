use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use calve_base::Failure;
use calve_storage::ObjectInfo;
use parquet::data_type::Int32Type;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaDataReader};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use proptest::prelude::*;

use super::*;

mod stores;

/// A store that remembers what was asked of it.
#[derive(Default)]
struct Memory {
    objects: BTreeMap<String, Bytes>,
    requests: Mutex<Vec<String>>,
    running: AtomicUsize,
    most_running: AtomicUsize,
}

impl Store for Arc<Memory> {
    fn read_range<'a>(
        &'a self,
        location: &'a Location,
        range: Range<u64>,
    ) -> BoxFuture<'a, calve_storage::Result<Bytes>> {
        async move {
            let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
            self.most_running.fetch_max(running, Ordering::SeqCst);
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            self.running.fetch_sub(1, Ordering::SeqCst);
            self.requests
                .lock()
                .unwrap()
                .push(format!("{} {range:?}", location.file_name()));
            let Some(object) = self.objects.get(location.as_str()) else {
                let location = location.clone();
                return Err(calve_storage::Error::NotFound { location });
            };
            let clip = |end: u64| usize::try_from(end).unwrap().min(object.len());
            Ok(object.slice(clip(range.start)..clip(range.end)))
        }
        .boxed()
    }

    fn head<'a>(
        &'a self,
        location: &'a Location,
    ) -> BoxFuture<'a, calve_storage::Result<Option<ObjectInfo>>> {
        let request = format!("{} head", location.file_name());
        self.requests.lock().unwrap().push(request);
        let info = self
            .objects
            .get(location.as_str())
            .map(|object| ObjectInfo {
                location: location.clone(),
                size: object.len() as u64,
                last_modified_ms: 0,
                etag: Some("now".to_owned()),
                storage_class: None,
            });
        async move { Ok(info) }.boxed()
    }
}

fn location(name: &str) -> Location {
    Location::parse(format!("s3://b/{name}")).unwrap()
}

fn lake_file(name: &str, size: u64) -> LakeFile {
    LakeFile {
        location: location(name),
        size,
        last_modified_ms: 0,
        etag: None,
        storage_class: None,
        partition: Arc::from([]),
    }
}

/// A file of some columns and row groups of three rows.
fn parquet(columns: usize, groups: usize) -> Bytes {
    let fields: Vec<String> = (0..columns)
        .map(|column| format!("required int32 column_{column};"))
        .collect();
    let fields = fields.join(" ");
    let schema = Arc::new(parse_message_type(&format!("message m {{ {fields}}}")).unwrap());
    let mut buffer = Vec::new();
    let properties = Arc::new(WriterProperties::builder().build());
    let mut writer = SerializedFileWriter::new(&mut buffer, schema, properties).unwrap();
    for _ in 0..groups {
        let mut group = writer.next_row_group().unwrap();
        while let Some(mut column) = group.next_column().unwrap() {
            let values = [1, 2, 3];
            column
                .typed::<Int32Type>()
                .write_batch(&values, None, None)
                .unwrap();
            column.close().unwrap();
        }
        group.close().unwrap();
    }
    writer.close().unwrap();
    buffer.into()
}

fn store(objects: &[(&str, Bytes)]) -> Arc<Memory> {
    let objects = objects
        .iter()
        .map(|(name, bytes)| (location(name).to_string(), bytes.clone()))
        .collect();
    Arc::new(Memory {
        objects,
        ..Memory::default()
    })
}

fn reader(store: &Arc<Memory>, tail_bytes: u64) -> FooterReader {
    FooterReader::of_store(
        Box::new(Arc::clone(store)),
        tail_bytes,
        DEFAULT_MAX_FOOTER_BYTES,
    )
}

/// The footer's part of a file.
fn footer_of(file: &Bytes) -> Bytes {
    let Some(Ending::Plain(length)) = Ending::of(file) else {
        panic!("not a plain footer");
    };
    let end = file.len() - ENDING;
    file.slice(end - usize::try_from(length).unwrap()..end)
}

#[tokio::test]
async fn one_request_and_a_second_for_a_long_footer() {
    let file = parquet(20, 3);
    let size = file.len() as u64;
    let footer_bytes = footer_of(&file).len() as u64;
    for (tail_bytes, requests) in [
        (DEFAULT_TAIL_BYTES, vec![format!("f {:?}", 0..size)]),
        (
            footer_bytes + 8,
            vec![format!("f {:?}", size - footer_bytes - 8..size)],
        ),
        (
            100,
            vec![
                format!("f {:?}", size - 100..size),
                format!("f {:?}", size - footer_bytes - 8..size - 100),
            ],
        ),
    ] {
        let store = store(&[("f", file.clone())]);
        let reader = reader(&store, tail_bytes);
        let metadata = reader.read(&lake_file("f", size)).await.unwrap();
        assert_eq!(metadata.num_row_groups(), 3);
        assert_eq!(metadata.file_metadata().num_rows(), 9);
        assert_eq!(*store.requests.lock().unwrap(), requests);
    }
}

#[tokio::test]
async fn order_is_kept_and_concurrency_bounded() {
    let files: Vec<(String, Bytes)> = (0..40)
        .map(|number| (format!("f{number}"), parquet(1, 1 + number % 5)))
        .collect();
    let named: Vec<(&str, Bytes)> = files
        .iter()
        .map(|(name, bytes)| (name.as_str(), bytes.clone()))
        .collect();
    let store = store(&named);
    let listed: Vec<LakeFile> = files
        .iter()
        .map(|(name, bytes)| lake_file(name, bytes.len() as u64))
        .collect();
    let footers: Vec<_> = reader(&store, DEFAULT_TAIL_BYTES)
        .read_all(futures::stream::iter(listed.clone()), 7)
        .collect()
        .await;
    let read: Vec<LakeFile> = footers.iter().map(|(file, _)| file.clone()).collect();
    assert_eq!(read, listed);
    for (number, (_, footer)) in footers.iter().enumerate() {
        assert_eq!(footer.as_ref().unwrap().num_row_groups(), 1 + number % 5);
    }
    let most = store.most_running.load(Ordering::SeqCst);
    assert!((2..=7).contains(&most), "{most}");
    let schemas: Vec<_> = footers
        .iter()
        .map(|(_, footer)| footer.as_ref().unwrap().file_metadata().schema_descr_ptr())
        .collect();
    let shared = schemas
        .iter()
        .filter(|schema| Arc::ptr_eq(schema, &schemas[39]))
        .count();
    assert!(shared >= 30, "{shared} of 40 share their schema");
}

#[tokio::test]
async fn schemas_are_shared_by_their_bytes_only() {
    let (one, two) = (parquet(1, 1), parquet(2, 1));
    let sizes = [one.len() as u64, two.len() as u64];
    let store = store(&[("one", one), ("two", two)]);
    let reader = reader(&store, DEFAULT_TAIL_BYTES);
    for _ in 0..2 {
        for (name, columns) in [("one", 1), ("two", 2)] {
            let metadata = reader
                .read(&lake_file(name, sizes[columns - 1]))
                .await
                .unwrap();
            assert_eq!(
                metadata.file_metadata().schema_descr().num_columns(),
                columns
            );
            assert_eq!(metadata.row_group(0).num_columns(), columns);
        }
    }
}

#[track_caller]
fn check_error(file: Bytes, listed: u64, message: &str, code: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let store = store(&[("f", file)]);
    let reader = FooterReader::of_store(Box::new(store), 32, 10_000);
    let error = runtime
        .block_on(reader.read(&lake_file("f", listed)))
        .unwrap_err();
    assert_eq!(error.to_string(), message);
    assert_eq!(error.code(), code);
    assert!(!error.is_retryable());
    assert!(error.hint().is_some() || code == "footer_too_large");
}

#[test]
fn files_that_are_none() {
    let check = |file: &[u8], message: &str, code: &str| {
        check_error(
            Bytes::copy_from_slice(file),
            file.len() as u64,
            message,
            code,
        );
    };
    check(b"", "s3://b/f: empty file", "empty");
    check(b"PA", "s3://b/f: not a Parquet file", "not_parquet");
    check(
        b"year,value\n1,2\n and so on, for more than one tail of bytes",
        "s3://b/f: not a Parquet file",
        "not_parquet",
    );
    for (file, message) in [
        (
            "ORC and what follows",
            "s3://b/f: an ORC file, not a Parquet file; `calve ctas --format orc` rewrites such lakes",
        ),
        (
            "Obj\x01 and what follows",
            "s3://b/f: an Avro file, not a Parquet file; `calve ctas --format avro` rewrites such lakes",
        ),
    ] {
        check(file.as_bytes(), message, "not_parquet");
    }
    let cut_off = "s3://b/f: the Parquet footer is cut off";
    check(b"PAR1", cut_off, "truncated_footer");
    let file = parquet(3, 1);
    check(&file[..file.len() - 1], cut_off, "truncated_footer");
    check(&file[..file.len() / 2], cut_off, "truncated_footer");
    check(b"PAR1\xFF\xFF\xFF\xFFPAR1", cut_off, "truncated_footer");
    check(
        b"xxxx\x01\0\0\0PAR1",
        "s3://b/f: not a Parquet file",
        "not_parquet",
    );
    check(
        b"PARE1234567\x04\0\0\0PARE",
        "s3://b/f: the Parquet footer is encrypted (PARE)",
        "encrypted",
    );
    let large = [b"PAR1".as_slice(), &vec![0; 20_000], b"\x20\x4E\0\0PAR1"].concat();
    check(
        &large,
        "s3://b/f: the Parquet footer has 20000 bytes, more than 10000",
        "footer_too_large",
    );
}

#[test]
fn files_that_changed() {
    let file = parquet(3, 1);
    let size = file.len() as u64;
    check_error(
        file.slice(..100),
        size,
        &format!(
            "s3://b/f: changed while it was read: it had {size} bytes when listed, has 100 now"
        ),
        "changed",
    );
    check_error(
        file,
        size - 10,
        &format!(
            "s3://b/f: changed while it was read: it had {} bytes when listed, has {size} now",
            size - 10
        ),
        "changed",
    );
}

#[tokio::test]
async fn files_that_are_gone() {
    let gone = store(&[]);
    let error = reader(&gone, 32)
        .read(&lake_file("f", 10))
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "s3://b/f: deleted since it was listed");
    let replaced = store(&[("f", b"not Parquet any more".as_slice().into())]);
    let mut file = lake_file("f", 20);
    file.etag = Some("then".to_owned());
    let error = reader(&replaced, 32).read(&file).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "s3://b/f: changed while it was read: it has another entity tag than when listed"
    );
}

/// Decodes crafted bytes as a footer; the decoder must never panic.
fn decode(footer: &[u8]) -> Result<Arc<ParquetMetaData>> {
    let reader = reader(&store(&[]), 32);
    let decoded = reader.shared.decode(&lake_file("f", u64::MAX), footer);
    if let Err(FooterError::Malformed { problem, .. }) = &decoded {
        assert_ne!(problem, "the decoder panicked", "{footer:?}");
    }
    decoded
}

#[test]
fn schemas_that_are_no_tree() {
    // Version 1, then a schema of a root that says it has a child, and nothing more.
    let open = [0x15, 2, 0x19, 0x1C, 0x48, 1, b'm', 0x15, 2, 0, 0];
    assert_eq!(
        decode(&open).unwrap_err().to_string(),
        "s3://b/f: malformed Parquet footer: its schema is no tree of columns"
    );
    // A list of 2^31 - 1 schema elements.
    let huge = [0x15, 2, 0x19, 0xFC, 0xFF, 0xFF, 0xFF, 0xFF, 0x07];
    assert_eq!(
        decode(&huge).unwrap_err().to_string(),
        "s3://b/f: malformed Parquet footer: a list claims more elements than there are bytes"
    );
    // Two thousand groups in each other.
    let mut deep = vec![0x15, 2, 0x19, 0xFC, 0xD1, 0x0F];
    for _ in 0..2_000 {
        deep.extend([0x48, 1, b'm', 0x15, 2, 0]);
    }
    deep.extend([0x15, 2, 0x38, 1, b'x', 0, 0]);
    assert_eq!(
        decode(&deep).unwrap_err().to_string(),
        "s3://b/f: malformed Parquet footer: its columns lie more than 256 groups deep"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn damaged_footers_never_panic(
        columns in 1_usize..4,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<Option<prop::sample::Index>>(),
    ) {
        let mut footer = footer_of(&parquet(columns, 2)).to_vec();
        for (index, byte) in damage {
            let index = index.index(footer.len());
            footer[index] = byte;
        }
        if let Some(cut) = cut {
            footer.truncate(cut.index(footer.len()));
        }
        let _ = decode(&footer);
    }

    #[test]
    fn noise_never_panics(bytes in any::<Vec<u8>>()) {
        let _ = decode(&bytes);
    }
}

/// Every Parquet file at hand: read as the decoder alone reads it, or refused for a reason.
#[test]
fn corpus() {
    let Some(data) = calve_testkit::shared_data() else {
        println!("skipped: no shared data");
        return;
    };
    let mut files = Vec::new();
    let mut folders = vec![data.join("parquet")];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs_err::read_dir(&folder) else {
            continue;
        };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path);
            }
        }
    }
    let mut outcomes: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
    for path in files {
        let bytes = Bytes::from(fs_err::read(&path).unwrap());
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let Some(outcome) = corpus_file(&name, &bytes) else {
            continue;
        };
        outcomes.entry(outcome).or_default().push(name);
    }
    println!("{outcomes:#?}");
    assert!(outcomes["read"].len() > 100, "{}", outcomes["read"].len());
    for refused in ["encrypted", "malformed_footer", "truncated_footer"] {
        assert!(outcomes.contains_key(refused), "no file is {refused}");
    }
}

/// `None` for files that do not look like Parquet at all.
fn corpus_file(name: &str, bytes: &Bytes) -> Option<&'static str> {
    let ends = [".parquet", ".parq", ".parquet.encrypted"];
    let is_parquet = bytes.ends_with(MAGIC) || ends.iter().any(|end| name.ends_with(end));
    if !is_parquet {
        return None;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let store = store(&[("f", bytes.clone())]);
    let file = lake_file("f", bytes.len() as u64);
    let ours = runtime.block_on(reader(&store, 512).read(&file));
    Some(match ours {
        Ok(ours) => {
            let theirs = ParquetMetaDataReader::new()
                .parse_and_finish(bytes)
                .unwrap();
            assert_eq!(ours.file_metadata(), theirs.file_metadata(), "{name}");
            assert_eq!(ours.num_row_groups(), theirs.num_row_groups(), "{name}");
            for (ours, theirs) in ours.row_groups().iter().zip(theirs.row_groups()) {
                for (ours, theirs) in ours.columns().iter().zip(theirs.columns()) {
                    let text = |chunk: &ColumnChunkMetaData| format!("{:?}", chunk.statistics());
                    assert_eq!(text(ours), text(theirs), "{name}");
                    assert_eq!(ours.byte_range(), theirs.byte_range(), "{name}");
                }
            }
            "read"
        }
        Err(error) => {
            println!("{name}: {error}");
            if matches!(error, FooterError::Malformed { source: None, .. }) {
                // Nothing is refused that the decoder alone would have read to some use.
                let theirs = ParquetMetaDataReader::new().parse_and_finish(bytes);
                let useless =
                    theirs.map_or(true, |theirs| check_offsets(&theirs, file.size).is_err());
                assert!(useless, "{name}: only the decoder reads it");
            }
            error.code()
        }
    })
}
