//! What every store promises, asked of local files, memory and S3 alike.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use bytes::Bytes;
use calve_base::{Location, Properties};
use calve_storage::{Error, PART_BYTES, Storage};
use calve_testkit::s3::S3Server;
use futures::TryStreamExt;

/// A store and an empty folder in it.
struct Place {
    name: &'static str,
    storage: Storage,
    folder: Location,
    _server: Option<S3Server>,
    _temporary: Option<tempfile::TempDir>,
}

impl Place {
    fn at(&self, key: &str) -> Location {
        format!("{}/{key}", self.folder).parse().unwrap()
    }

    async fn put(&self, keys: &[&str]) {
        for key in keys {
            let bytes = Bytes::copy_from_slice(key.as_bytes());
            self.storage.write(&self.at(key), bytes).await.unwrap();
        }
    }

    /// The keys below a location, without the folder.
    async fn keys(&self, prefix: &Location) -> Vec<String> {
        let listed: Vec<_> = self.storage.list(prefix).try_collect().await.unwrap();
        let parallel = self.storage.list_parallel(prefix, 4);
        let parallel: Vec<_> = parallel.try_collect().await.unwrap();
        assert_eq!(listed, parallel, "{}", self.name);
        listed
            .iter()
            .map(|info| self.relative(&info.location))
            .collect()
    }

    fn relative(&self, location: &Location) -> String {
        let folder = format!("{}/", self.folder);
        location
            .as_str()
            .strip_prefix(&folder)
            .unwrap_or_else(|| panic!("{location} is not spelled like {folder}"))
            .to_owned()
    }
}

fn places() -> Vec<Place> {
    let mut places = Vec::new();
    for spelling in ["", "file://"] {
        let temporary = tempfile::tempdir().unwrap();
        places.push(Place {
            name: "local",
            storage: Storage::new(Properties::new()),
            folder: format!("{spelling}{}/lake", temporary.path().display())
                .parse()
                .unwrap(),
            _server: None,
            _temporary: Some(temporary),
        });
    }
    places.push(Place {
        name: "memory",
        storage: Storage::new(Properties::new()),
        folder: "memory:///lake".parse().unwrap(),
        _server: None,
        _temporary: None,
    });
    for scheme in ["s3", "s3a"] {
        let server = S3Server::with_buckets(&["bucket"]);
        places.push(Place {
            name: "s3",
            storage: Storage::new(server.properties()),
            folder: format!("{scheme}://bucket/lake").parse().unwrap(),
            _server: Some(server),
            _temporary: None,
        });
    }
    places
}

#[tokio::test]
async fn listing_is_deep_and_in_the_order_of_keys() {
    for place in places() {
        let keys = [
            "_SUCCESS",
            "a.b",
            "a/.hidden",
            "a/x=1/2.parquet",
            "a/x=1/y/1",
            "a/x=10/1",
            "a0",
            "b",
        ];
        let mut shuffled = keys;
        shuffled.reverse();
        place.put(&shuffled).await;
        assert_eq!(place.keys(&place.folder).await, keys, "{}", place.name);
        let slash = format!("{}/", place.folder).parse().unwrap();
        assert_eq!(place.keys(&slash).await, keys, "{}", place.name);
        assert_eq!(
            place.keys(&place.at("a/x=1")).await,
            ["a/x=1/2.parquet", "a/x=1/y/1"],
            "{}: `x=10` is another folder",
            place.name
        );
        assert_eq!(place.keys(&place.at("b")).await, ["b"], "one object");
        assert_eq!(place.keys(&place.at("none")).await, [""; 0]);
    }
}

#[tokio::test]
async fn a_folder_is_listed_without_what_lies_deeper() {
    for place in places() {
        place
            .put(&["a/x=2/1", "a/x=1/1/2", "a/z", "a/b", "c"])
            .await;
        let (folders, objects) = place.storage.list_folder(&place.at("a")).await.unwrap();
        let relative = |location: &Location| place.relative(location);
        let folders: Vec<_> = folders.iter().map(relative).collect();
        assert_eq!(folders, ["a/x=1/", "a/x=2/"], "{}", place.name);
        let objects: Vec<_> = objects.iter().map(|o| relative(&o.location)).collect();
        assert_eq!(objects, ["a/b", "a/z"], "{}", place.name);
    }
}

#[tokio::test]
async fn names_survive_from_listing_to_reading() {
    let names = [
        "k=a%2Fb/f",
        "k=a%252Fb/f",
        "k=B B/f+g",
        "k=\"#%'*:=?{[]^}/f",
        "k=back\\slash/f",
        "k=~!@$&()_+,;<>|`/f",
        "k=Grüße/日本語.parquet",
        "k=e\u{301}/decomposed",
        "k=%/f%zz",
        "part#1",
        ".crc",
        "a/...",
    ];
    for place in places() {
        place.put(&names).await;
        let mut sorted = names;
        sorted.sort_unstable();
        assert_eq!(place.keys(&place.folder).await, sorted, "{}", place.name);
        let listed: Vec<_> = place
            .storage
            .list(&place.folder)
            .try_collect()
            .await
            .unwrap();
        for info in listed {
            let name = place.relative(&info.location);
            let read = place.storage.read(&info.location).await.unwrap();
            assert_eq!(read, name.as_bytes(), "{}", place.name);
            let head = place.storage.head(&info.location).await.unwrap().unwrap();
            assert_eq!((head.size, &head.location), (info.size, &info.location));
            let (store, path) = place.storage.open(&info.location).await.unwrap();
            let opened = object_store::ObjectStoreExt::get(&store, &path);
            assert_eq!(
                opened.await.unwrap().bytes().await.unwrap(),
                name.as_bytes()
            );
        }
    }
}

#[tokio::test]
async fn parts_are_read_exactly() {
    for place in places() {
        let (storage, at) = (&place.storage, place.at("f"));
        let content = Bytes::from_static(b"0123456789");
        storage.write(&at, content).await.unwrap();
        let range = async |range| storage.read_range(&at, range).await;
        assert_eq!(range(0..10).await.unwrap(), "0123456789");
        assert_eq!(range(3..5).await.unwrap(), "34");
        assert_eq!(range(5..5).await.unwrap(), "");
        for wrong in [8..11, 10..11, 20..30] {
            let error = range(wrong).await.unwrap_err();
            let is_right = matches!(error, Error::OutOfRange { .. });
            assert!(is_right, "{}: {error}", place.name);
        }
        let tail = async |bytes| storage.read_tail(&at, 10, bytes).await.unwrap();
        assert_eq!(tail(3).await, "789");
        assert_eq!(tail(99).await, "0123456789");
    }
}

#[tokio::test]
async fn only_the_first_creates() {
    for place in places() {
        let (storage, at) = (&place.storage, place.at("deep/er/f"));
        storage
            .write_new(&at, Bytes::from_static(b"1"))
            .await
            .unwrap();
        let again = storage.write_new(&at, Bytes::from_static(b"2")).await;
        let error = again.unwrap_err();
        let is_right = matches!(error, Error::AlreadyExists { .. });
        assert!(is_right, "{}: {error:?}", place.name);
        assert_eq!(storage.read(&at).await.unwrap(), "1");
        storage.write(&at, Bytes::from_static(b"3")).await.unwrap();
        assert_eq!(storage.read(&at).await.unwrap(), "3");
        let racing = place.at("raced");
        let winners = futures::future::join_all(
            (0..16).map(|n| storage.write_new(&racing, Bytes::from(vec![n; 100]))),
        )
        .await;
        let winners = winners.iter().filter(|result| result.is_ok()).count();
        assert_eq!(winners, 1, "{}", place.name);
        assert_eq!(place.keys(&place.folder).await, ["deep/er/f", "raced"]);
    }
}

#[tokio::test]
async fn what_is_not_there() {
    for place in places() {
        let (storage, at) = (&place.storage, place.at("none"));
        assert_eq!(storage.head(&at).await.unwrap(), None);
        for error in [
            storage.read(&at).await.unwrap_err(),
            storage.read_range(&at, 0..1).await.unwrap_err(),
        ] {
            assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
            assert_eq!(error.to_string(), format!("{at}: not found"));
        }
        storage.delete(&at).await.unwrap();
        place.put(&["f", "g"]).await;
        storage.delete(&place.at("f")).await.unwrap();
        assert_eq!(place.keys(&place.folder).await, ["g"], "{}", place.name);
        place.put(&["h", "i = %41 é&<.txt", "k/l"]).await;
        let many = ["g", "none", "h", "i = %41 é&<.txt", "k/l"].map(|name| place.at(name));
        let deleted = storage.delete_all(&many, 2).await;
        assert!(deleted.iter().all(Result::is_ok), "{deleted:?}");
        assert_eq!(deleted.len(), many.len());
        assert_eq!(place.keys(&place.folder).await, [""; 0], "{}", place.name);
    }
}

#[tokio::test]
async fn large_objects_are_written_in_parts() {
    let size = PART_BYTES * 2 + 12_345;
    let content: Bytes = (0..=250).cycle().take(size).collect::<Vec<u8>>().into();
    for place in places() {
        let storage = &place.storage;
        let whole = place.at("whole");
        storage.write(&whole, content.clone()).await.unwrap();
        let pieces = place.at("pieces");
        let mut writer = storage.writer(&pieces).await.unwrap();
        for start in (0..size).step_by(1_000_000) {
            let piece = content.slice(start..size.min(start + 1_000_000));
            writer.put(piece).await.unwrap();
        }
        assert_eq!(
            storage.head(&pieces).await.unwrap(),
            None,
            "not visible yet"
        );
        writer.finish().await.unwrap();
        assert!(writer.put(Bytes::new()).await.is_err(), "it has ended");
        for at in [whole, pieces] {
            assert!(
                storage.read(&at).await.unwrap() == content,
                "{}",
                place.name
            );
        }
        let mut given_up = storage.writer(&place.at("given-up")).await.unwrap();
        given_up.put(content.slice(..PART_BYTES * 2)).await.unwrap();
        given_up.abort().await;
        assert_eq!(place.keys(&place.folder).await, ["pieces", "whole"]);
    }
}

#[tokio::test]
async fn a_folder_is_opened_without_its_slash() {
    for place in places() {
        place.put(&["a/f"]).await;
        let (_, with) = place.storage.open(&place.at("a/")).await.unwrap();
        let (store, without) = place.storage.open(&place.at("a")).await.unwrap();
        assert_eq!(with, without, "{}", place.name);
        let listed: Vec<_> = store.list(Some(&with)).try_collect().await.unwrap();
        let (_, file) = place.storage.open(&place.at("a/f")).await.unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].location, file);
    }
}

#[tokio::test]
async fn iceberg_io_is_the_same_store() {
    for place in places() {
        let file_io = place.storage.file_io();
        let at = place.at("metadata/v1 %2F.json");
        let output = file_io.new_output(at.as_str()).unwrap();
        output.write(Bytes::from_static(b"{}")).await.unwrap();
        assert_eq!(place.storage.read(&at).await.unwrap(), "{}");
        let input = file_io.new_input(at.as_str()).unwrap();
        assert_eq!(input.metadata().await.unwrap().size, 2);
        let reader = input.reader().await.unwrap();
        assert_eq!(reader.read(1..2).await.unwrap(), "}");
        let other = place.at("metadata/m.avro");
        let output = file_io.new_output(other.as_str()).unwrap();
        let mut writer = output.writer().await.unwrap();
        writer.write(Bytes::from_static(b"Obj")).await.unwrap();
        writer.close().await.unwrap();
        assert!(writer.close().await.is_err());
        assert!(file_io.exists(other.as_str()).await.unwrap());
        file_io.delete(other.as_str()).await.unwrap();
        assert!(!file_io.exists(other.as_str()).await.unwrap());
        file_io
            .delete_prefix(place.at("metadata").as_str())
            .await
            .unwrap();
        assert_eq!(place.keys(&place.folder).await, [""; 0], "{}", place.name);
    }
}
