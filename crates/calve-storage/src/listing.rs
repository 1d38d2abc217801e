//! Spellings of listed locations.

use calve_base::{Location, Scheme};

use crate::ObjectInfo;
use crate::error::Result;

/// The text that the keys below a folder begin with: the folder's key with one slash at its end.
/// A key that ends with a slash is taken as it is, since `a/` and `a//` are two folders on S3.
pub(crate) fn folder_key(folder: &Location) -> String {
    let key = folder.key();
    if key.is_empty() || key.ends_with('/') {
        key.to_owned()
    } else {
        format!("{key}/")
    }
}

/// The location of another key in the same bucket or file system, in the same spelling.
pub(crate) fn with_key(like: &Location, key: &str) -> Result<Location> {
    let before = &like.as_str()[..like.as_str().len() - like.key().len()];
    let slash = if like.scheme() == Scheme::S3 && !before.ends_with('/') {
        "/"
    } else {
        ""
    };
    Ok(Location::parse(format!("{before}{slash}{key}"))?)
}

/// What a store tells of an object, at a location.
pub(crate) fn info(location: Location, meta: &object_store::ObjectMeta) -> ObjectInfo {
    ObjectInfo {
        location,
        size: meta.size,
        last_modified_ms: meta.last_modified.timestamp_millis(),
        etag: meta.e_tag.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(like: &str, key: &str, folder: &str, location: &str) {
        let like: Location = like.parse().unwrap();
        assert_eq!(folder_key(&like), folder);
        assert_eq!(with_key(&like, key).unwrap().as_str(), location);
    }

    #[test]
    fn spellings_are_kept() {
        check("s3://b", "k", "", "s3://b/k");
        check("s3a://b/a", "a//k", "a/", "s3a://b/a//k");
        check("s3n://b/a//", "k", "a//", "s3n://b/k");
        check("file:///a", "/a/k", "/a/", "file:///a/k");
        check("file:/a/", "/a/k", "/a/", "file:/a/k");
        check("/a", "/k", "/a/", "/k");
        check("memory:///a", "a/k", "a/", "memory:///a/k");
    }
}
