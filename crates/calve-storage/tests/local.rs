//! What is particular to local files.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};

use bytes::Bytes;
use calve_base::{Failure, Location, Properties};
use calve_storage::{Error, Storage};
use futures::{StreamExt, TryStreamExt};

struct Lake {
    folder: tempfile::TempDir,
    storage: Storage,
}

impl Lake {
    fn new(files: &[&str]) -> Self {
        let lake = Self {
            folder: tempfile::tempdir().unwrap(),
            storage: Storage::new(Properties::new()),
        };
        for file in files {
            let path = lake.folder.path().join(file);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, file).unwrap();
        }
        lake
    }

    fn at(&self, name: &str) -> Location {
        format!("{}/{name}", self.folder.path().display())
            .parse()
            .unwrap()
    }

    fn link(&self, target: &str, name: &str) {
        symlink(target, self.folder.path().join(name)).unwrap();
    }

    async fn names(&self) -> Vec<String> {
        let start = self.at("").to_string();
        let listed = self.storage.list(&self.at(""));
        listed
            .map_ok(|info| info.location.as_str().replacen(&start, "", 1))
            .try_collect()
            .await
            .unwrap()
    }
}

#[tokio::test]
async fn links_are_followed() {
    let lake = Lake::new(&["real/x=1/f", "g"]);
    lake.link("../g", "real/to-file");
    lake.link("real/x=1", "to-folder");
    let names = ["g", "real/to-file", "real/x=1/f", "to-folder/f"];
    assert_eq!(lake.names().await, names);
    let read = lake.storage.read(&lake.at("to-folder/f")).await;
    assert_eq!(read.unwrap(), "real/x=1/f");
    let info = lake.storage.head(&lake.at("real/to-file")).await;
    assert_eq!(info.unwrap().unwrap().size, 1);
}

#[tokio::test]
async fn a_link_to_nowhere_is_listed_and_cannot_be_read() {
    let lake = Lake::new(&["f"]);
    lake.link("missing", "broken");
    assert_eq!(lake.names().await, ["broken", "f"]);
    let error = lake.storage.read(&lake.at("broken")).await.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
}

#[tokio::test]
async fn a_link_upwards_is_an_error_and_no_endless_walk() {
    let lake = Lake::new(&["a/b/f", "z"]);
    lake.link("../..", "a/b/up");
    let listed: Vec<_> = lake.storage.list(&lake.at("")).collect().await;
    let errors: Vec<_> = listed
        .iter()
        .filter_map(|info| info.as_ref().err())
        .collect();
    let expected = format!(
        "{}: the symbolic link leads to a folder above itself",
        lake.at("a/b/up/")
    );
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].to_string(), expected);
    assert_eq!(listed.len(), 3);
}

#[tokio::test]
async fn a_name_that_is_no_text_is_an_error() {
    let lake = Lake::new(&["f"]);
    let name = OsStr::from_bytes(b"caf\xe9");
    fs_err::write(lake.folder.path().join(name), "").unwrap();
    let error = lake
        .storage
        .list(&lake.at(""))
        .try_collect::<Vec<_>>()
        .await;
    let error = error.unwrap_err();
    assert!(matches!(error, Error::NotUnicode { .. }), "{error:?}");
    assert!(
        error
            .to_string()
            .ends_with("the name `caf\u{fffd}` is not UTF-8")
    );
}

#[tokio::test]
async fn names_with_control_characters_are_read() {
    let lake = Lake::new(&["line\nbreak", "tab\t\u{1}/f"]);
    assert_eq!(lake.names().await, ["line\nbreak", "tab\t\u{1}/f"]);
    for name in lake.names().await {
        let read = lake.storage.read(&lake.at(&name)).await.unwrap();
        assert_eq!(read, name);
    }
}

#[tokio::test]
async fn pipes_and_folders_are_no_objects() {
    let lake = Lake::new(&["folder/f"]);
    let pipe = lake.folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    if made.is_ok_and(|status| status.success()) {
        assert_eq!(lake.names().await, ["folder/f"]);
    }
    let folder = lake.at("folder");
    assert_eq!(lake.storage.head(&folder).await.unwrap(), None);
    let error = lake.storage.read(&folder).await.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
    let below = lake.at("folder/f/g");
    assert_eq!(lake.storage.head(&below).await.unwrap(), None);
    let error = lake.storage.read(&below).await.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
}

#[tokio::test]
async fn nothing_is_left_of_what_was_not_written() {
    let lake = Lake::new(&["f"]);
    let error = lake
        .storage
        .write_new(&lake.at("f"), Bytes::from_static(b"new"))
        .await;
    assert!(error.is_err());
    let mut writer = lake.storage.writer(&lake.at("g")).await.unwrap();
    let content = Bytes::from(vec![0; calve_storage::PART_BYTES + 1]);
    writer.put(content).await.unwrap();
    drop(writer);
    lake.storage
        .write(&lake.at("h"), Bytes::from_static(b"h"))
        .await
        .unwrap();
    // The part that was under way when the writer was dropped may still hold its file.
    for _ in 0..100 {
        if lake.names().await == ["f", "h"] {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("{:?}", lake.names().await);
}

#[tokio::test]
async fn what_may_not_be_read_is_named() {
    let lake = Lake::new(&["closed/f"]);
    let closed = lake.folder.path().join("closed");
    fs_err::set_permissions(&closed, std::fs::Permissions::from_mode(0o000)).unwrap();
    let listed = lake
        .storage
        .list(&lake.at(""))
        .try_collect::<Vec<_>>()
        .await;
    fs_err::set_permissions(&closed, std::fs::Permissions::from_mode(0o700)).unwrap();
    let Err(error) = listed else {
        eprintln!("skipped: this user may read everything");
        return;
    };
    assert_eq!(
        error.hint().as_deref(),
        Some("check the permissions of the file and of the folders above it")
    );
    assert!(error.to_string().contains("closed"), "{error}");
}
