//! The files that manifests keep alive, read for their paths alone.

use calve_base::Location;
use calve_storage::Storage;
use iceberg::spec::{DataContentType, TableMetadata};
use xxhash_rust::xxh3::xxh3_128;

use crate::data_file::data_folder;
use crate::manifest::read_paths;
use crate::properties::metadata_folder;
use crate::task::blocking;
use crate::{Error, Result};

/// The property that tells whether a table owns its files.
const GC_ENABLED: &str = "gc.enabled";

/// What `pick` makes of the path of each live file of one manifest, data and delete files alike.
///
/// Nothing else of the entries is decoded, and only what is picked is held.
///
/// # Errors
/// When the manifest cannot be read.
pub async fn live_files<T: Send + 'static>(
    storage: Storage,
    manifest_path: String,
    pick: impl Fn(&str, DataContentType) -> Option<T> + Send + 'static,
) -> Result<Vec<T>> {
    let location = Location::parse(manifest_path.as_str())?;
    let bytes = storage.read(&location).await?;
    blocking(move || {
        let mut picked = Vec::new();
        read_paths(bytes, |file, content| picked.extend(pick(file, content)))
            .map_err(Error::malformed(&manifest_path))?;
        Ok(picked)
    })
    .await
}

/// A hash of a file's canonical address: two spellings of one object (`s3a://` and `s3://`) have one. Texts
/// that are no address of ours are taken as they are. Two files with one hash of 128 bits do not happen.
pub fn file_key(path: &str) -> u128 {
    // The common case is canonical already.
    if path.starts_with("s3://") && !path.ends_with('/') {
        return xxh3_128(path.as_bytes());
    }
    match Location::parse(path) {
        Ok(location) => xxh3_128(location.canonical().as_bytes()),
        Err(_) => xxh3_128(path.as_bytes()),
    }
}

/// The statistics files of a table and its partitions, each with the snapshot that it describes.
pub fn statistics_files(metadata: &TableMetadata) -> Vec<(i64, String)> {
    let of_table = metadata
        .statistics_iter()
        .map(|file| (file.snapshot_id, file.statistics_path.clone()));
    let of_partitions = metadata
        .partition_statistics_iter()
        .map(|file| (file.snapshot_id, file.statistics_path.clone()));
    of_table.chain(of_partitions).collect()
}

/// Whether a table owns its files: clean-up may delete them. A table over files of a lake does not
/// (`gc.enabled=false`).
pub fn owns_files(metadata: &TableMetadata) -> bool {
    let property = metadata.properties().get(GC_ENABLED);
    property.is_none_or(|value| !value.trim().eq_ignore_ascii_case("false"))
}

/// The folders that a table writes into: its own, and those that its properties name for data and for metadata.
///
/// # Errors
/// When one of them is no location.
pub fn table_folders(metadata: &TableMetadata) -> Result<TableFolders> {
    Ok(TableFolders {
        location: Location::parse(metadata.location().trim_end_matches('/'))?,
        data: data_folder(metadata)?,
        metadata: metadata_folder(metadata)?,
    })
}

/// The folders that a table writes into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableFolders {
    /// The table's own.
    pub location: Location,
    /// Where its data files go.
    pub data: Location,
    /// Where its metadata files go.
    pub metadata: Location,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_file_are_one() {
        for (left, right, same) in [
            ("s3://b/k", "s3a://b/k", true),
            ("s3n://b/k", "s3a://b/k", true),
            ("/a//b", "file:///a/b", true),
            ("file:/a/b", "/a/b", true),
            ("s3://b/k%2F", "s3://b/k/", false),
            ("s3://b/K", "s3://b/k", false),
            ("s3://b//k", "s3://b/k", false),
            ("gs://b/k", "s3://b/k", false),
        ] {
            assert_eq!(file_key(left) == file_key(right), same, "{left} {right}");
        }
    }
}
