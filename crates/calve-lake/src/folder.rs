//! What the path of an object below a lake's root means.

use std::sync::Arc;

use calve_base::Location;
use calve_storage::ObjectInfo;

use crate::hive_path::{Component, folder_component, is_folder_marker, is_hidden_file, same_name};
use crate::{Error, Recursive, Result, SkipReason};

/// A folder that holds data files, with its partition values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Folder {
    pub(crate) location: Location,
    /// Keys and values in the order of the path, unescaped; `None` is null.
    pub(crate) pairs: Vec<(String, Option<String>)>,
}

/// What an object is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reading {
    /// A data file in this folder. All files of a folder in a row share it.
    File(Arc<Folder>),
    /// No data.
    Skip(SkipReason),
}

/// Which rules the folders below a root follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// `key=value` folders are partitions.
    Partitioned,
    /// The root is one partition (or all there is): no folder below is.
    Flat,
}

/// Reads the paths of objects below one root. Remembers the last folder, since objects come folder by
/// folder.
#[derive(Debug)]
pub(crate) struct FolderReader {
    root: Location,
    layout: Layout,
    recursive: Recursive,
    allow_table_formats: bool,
    last: Option<(String, Reading)>,
}

impl FolderReader {
    pub(crate) fn new(
        root: Location,
        layout: Layout,
        recursive: Recursive,
        allow_table_formats: bool,
    ) -> Self {
        Self {
            root,
            layout,
            recursive,
            allow_table_formats,
            last: None,
        }
    }

    /// Says what an object is.
    ///
    /// # Errors
    /// When its folders are no partitions, have a key twice or none, or belong to a table format.
    pub(crate) fn read(&mut self, object: &ObjectInfo) -> Result<Reading> {
        let relative = self.relative(&object.location);
        let (folder, name) = relative.rsplit_once('/').unwrap_or(("", relative));
        // What the user named is meant, whatever its name.
        let named = object.location == self.root;
        if !self.allow_table_formats {
            refuse_table_format(&object.location, folder, name)?;
        }
        if is_folder_marker(name) {
            return Ok(Reading::Skip(SkipReason::Marker));
        }
        if !named && (is_hidden_file(name) || is_hidden_folder(folder)) {
            return Ok(Reading::Skip(SkipReason::Hidden));
        }
        if object.size == 0 {
            return Ok(Reading::Skip(SkipReason::ZeroByte));
        }
        if let Some((last, reading)) = &self.last
            && last == folder
        {
            return Ok(reading.clone());
        }
        let reading = self.read_folder(&object.location, folder)?;
        self.last = Some((folder.to_owned(), reading.clone()));
        Ok(reading)
    }

    fn relative<'a>(&self, location: &'a Location) -> &'a str {
        let (root, key) = (self.root.key(), location.key());
        match key.strip_prefix(root) {
            Some("") => location.file_name(),
            Some(below) if root.is_empty() || root.ends_with('/') => below,
            Some(below) => below.strip_prefix('/').unwrap_or(below),
            None => key,
        }
    }

    fn read_folder(&self, file: &Location, relative: &str) -> Result<Reading> {
        let location = file.parent().unwrap_or_else(|| self.root.clone());
        let mut pairs: Vec<(String, Option<String>)> = Vec::new();
        for (end, component) in components(relative) {
            let here = || self.root.join(&relative[..end]);
            match folder_component(component) {
                Component::Pair(key, value) if self.layout == Layout::Partitioned => {
                    if pairs.iter().any(|(known, _)| same_name(known, &key)) {
                        return Err(Error::DuplicateKey {
                            folder: here(),
                            key,
                        });
                    }
                    pairs.push((key, value));
                }
                Component::EmptyKey if self.layout == Layout::Partitioned => {
                    return Err(Error::EmptyKey { folder: here() });
                }
                _ => match self.recursive {
                    Recursive::Fail => return Err(Error::SubFolder { folder: here() }),
                    Recursive::False => return Ok(Reading::Skip(SkipReason::SubFolder)),
                    Recursive::True => {}
                },
            }
        }
        Ok(Reading::File(Arc::new(Folder { location, pairs })))
    }
}

/// The folders of a path, each with where its name ends.
fn components(folder: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut start = 0;
    // The root itself has no components; splitting an empty text would give one.
    let folders = (!folder.is_empty()).then(|| folder.split('/'));
    folders.into_iter().flatten().map(move |component| {
        let end = start + component.len();
        start = end + 1;
        (end, component)
    })
}

fn is_hidden_folder(folder: &str) -> bool {
    components(folder).any(|(_, name)| folder_component(name) == Component::Hidden)
}

fn refuse_table_format(location: &Location, folder: &str, name: &str) -> Result<()> {
    let within = |wanted: &str| components(folder).any(|(_, name)| name == wanted);
    let format = if within("_delta_log") {
        "a Delta"
    } else if within(".hoodie") {
        "a Hudi"
    } else if name.ends_with(".metadata.json") && folder.rsplit('/').next() == Some("metadata") {
        "an Iceberg"
    } else {
        return Ok(());
    };
    let location = location.clone();
    Err(Error::TableFormat { location, format })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &str, size: u64, recursive: Recursive, layout: Layout) -> Result<Reading> {
        let root = Location::parse("s3://b/lake").unwrap();
        let object = ObjectInfo {
            location: Location::parse(format!("s3://b/lake/{path}")).unwrap(),
            size,
            last_modified_ms: 0,
            etag: None,
            storage_class: None,
        };
        FolderReader::new(root, layout, recursive, false).read(&object)
    }

    /// Expects pairs as `k=v k=v`, a skip reason, or an error.
    #[track_caller]
    fn check(path: &str, recursive: Recursive, expected: &str) {
        let found = match read(path, 1, recursive, Layout::Partitioned) {
            Ok(Reading::Skip(reason)) => reason.to_string(),
            Err(error) => error.to_string(),
            Ok(Reading::File(folder)) => {
                let pair = |(key, value): &(String, Option<String>)| {
                    format!("{key}={}", value.as_deref().unwrap_or("NULL"))
                };
                folder.pairs.iter().map(pair).collect::<Vec<_>>().join(" ")
            }
        };
        assert_eq!(found, expected, "{path}");
    }

    #[test]
    fn partitions() {
        let fail = Recursive::Fail;
        check("f.parquet", fail, "");
        check("000000_0", fail, "");
        check("a=1/b=x%2Fy/f", fail, "a=1 b=x/y");
        check("a=__HIVE_DEFAULT_PARTITION__/b=/f", fail, "a=NULL b=");
        check("_a=1/f", fail, "_a=1");
        check(
            "=1/f",
            fail,
            "s3://b/lake/=1: the partition folder has no key before `=`",
        );
        check(
            "x=1/x=2/f",
            fail,
            "s3://b/lake/x=1/x=2: partition key `x` comes twice",
        );
        check(
            "x=1/X=2/f",
            fail,
            "s3://b/lake/x=1/X=2: partition key `X` comes twice",
        );
        check(
            "ä=1/Ä=2/f",
            fail,
            "s3://b/lake/ä=1/Ä=2: partition key `Ä` comes twice",
        );
    }

    #[test]
    fn sub_folders() {
        check(
            "a=1/sub/f",
            Recursive::Fail,
            "s3://b/lake/a=1/sub: not a partition folder",
        );
        check("a=1/sub/f", Recursive::False, "sub_folder");
        check("a=1/sub/f", Recursive::True, "a=1");
        check("sub/a=1/f", Recursive::True, "a=1");
        check("sub//f", Recursive::True, "");
        check("a=1/sub/_SUCCESS", Recursive::Fail, "hidden");
        let flat = read("a=1/f", 1, Recursive::Fail, Layout::Flat);
        assert_eq!(
            flat.unwrap_err().to_string(),
            "s3://b/lake/a=1: not a partition folder"
        );
    }

    #[test]
    fn noise() {
        for noise in calve_testkit::lakes::NOISE {
            let size = u64::from(noise.parquet || noise.path.ends_with("crc"));
            let reading = read(noise.path, size, Recursive::Fail, Layout::Partitioned).unwrap();
            let Reading::Skip(reason) = reading else {
                panic!("{} is no data", noise.path)
            };
            assert_eq!(format!("{reason:?}"), format!("{:?}", noise.reason));
        }
        check("a=1/f._COPYING_", Recursive::Fail, "hidden");
        check("", Recursive::Fail, "marker");
        check("a=1/", Recursive::Fail, "marker");
    }

    #[test]
    fn table_formats() {
        let delta = "s3://b/lake/_delta_log/0.json: the files of a Delta table";
        check("_delta_log/0.json", Recursive::Fail, delta);
        let hudi = "s3://b/lake/.hoodie/x: the files of a Hudi table";
        check(".hoodie/x", Recursive::Fail, hudi);
        let iceberg = "s3://b/lake/metadata/0.metadata.json: the files of an Iceberg table";
        check("metadata/0.metadata.json", Recursive::Fail, iceberg);
    }

    #[test]
    fn a_named_file_is_data_whatever_its_name() {
        let root = Location::parse("/lake/a=1/_file").unwrap();
        let object = ObjectInfo {
            location: root.clone(),
            size: 1,
            last_modified_ms: 0,
            etag: None,
            storage_class: None,
        };
        let mut reader = FolderReader::new(root, Layout::Partitioned, Recursive::Fail, false);
        let Ok(Reading::File(folder)) = reader.read(&object) else {
            panic!("it is data")
        };
        assert_eq!(folder.pairs, []);
    }
}
