//! Addresses as they are compared: by path, and apart from that by scheme and authority.
//!
//! A table may be written as `s3a://bucket/…` and listed as `s3://bucket/…`. Such a file is no orphan: which schemes
//! and authorities are the same is known or told, and where it is neither, that is a question and no answer.

use std::borrow::Cow;
use std::collections::BTreeMap;

use xxhash_rust::xxh3::xxh3_128;

/// Schemes and authorities that are taken as one another, each by the one that stands for all.
#[derive(Debug, Clone)]
pub(super) struct Equalities {
    schemes: BTreeMap<String, String>,
    authorities: BTreeMap<String, String>,
}

impl Default for Equalities {
    fn default() -> Self {
        let s3 = |scheme: &str| (scheme.to_owned(), "s3".to_owned());
        Self {
            schemes: BTreeMap::from([s3("s3a"), s3("s3n")]),
            authorities: BTreeMap::new(),
        }
    }
}

impl Equalities {
    /// Takes schemes as another one.
    pub(super) fn add_scheme(&mut self, scheme: &str, like: &str) {
        let pair = (scheme.to_lowercase(), like.to_lowercase());
        self.schemes.extend([pair]);
    }

    /// Takes an authority as another one.
    pub(super) fn add_authority(&mut self, authority: &str, like: &str) {
        let pair = (authority.to_lowercase(), like.to_lowercase());
        self.authorities.extend([pair]);
    }
}

/// A scheme and an authority, such as `s3` and `bucket`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Prefix {
    scheme: String,
    authority: String,
}

impl Prefix {
    /// Whether a file that the table names with this prefix may be one that is listed with another. What the
    /// table leaves open fits everything.
    pub(super) fn fits(&self, listed: &Self) -> bool {
        (self.scheme.is_empty() || self.scheme == listed.scheme)
            && (self.authority.is_empty() || self.authority == listed.authority)
    }
}

impl std::fmt::Display for Prefix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority)
    }
}

/// Takes an address apart: its prefix, and a hash of its path. Repeated slashes count as one, since writers put them
/// in and leave them out.
pub(super) fn split(text: &str, equal: &Equalities) -> (Prefix, u128) {
    let (scheme, authority, path) = match text.split_once("://") {
        Some((scheme, rest)) => {
            let slash = rest.find('/').unwrap_or(rest.len());
            (scheme, &rest[..slash], &rest[slash..])
        }
        None => ("file", "", text.strip_prefix("file:").unwrap_or(text)),
    };
    let same = |names: &BTreeMap<String, String>, name: &str| {
        let name = name.to_lowercase();
        names.get(&name).cloned().unwrap_or(name)
    };
    let scheme = same(&equal.schemes, scheme);
    let authority = match (scheme.as_str(), authority) {
        ("file", "localhost") => "",
        // Memory has none: what stands there is part of the path.
        _ => authority,
    };
    let prefix = Prefix {
        authority: same(&equal.authorities, authority),
        scheme,
    };
    (prefix, xxh3_128(plain(path).as_bytes()))
}

fn plain(path: &str) -> Cow<'_, str> {
    if path.starts_with('/') && !path.contains("//") {
        return Cow::Borrowed(path);
    }
    let mut plain = String::with_capacity(path.len() + 1);
    for part in path.split('/').filter(|part| !part.is_empty()) {
        plain.push('/');
        plain.push_str(part);
    }
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a file that the table names so is the one that is listed so: by path, and by prefix.
    #[track_caller]
    fn check(named: &str, listed: &str, expected: (bool, bool)) {
        let mut equal = Equalities::default();
        equal.add_scheme("HDFS", "viewfs");
        equal.add_authority("old", "new");
        let (named, listed) = (split(named, &equal), split(listed, &equal));
        assert_eq!((named.1 == listed.1, named.0.fits(&listed.0)), expected);
    }

    #[test]
    fn spellings() {
        check("s3://b/k", "s3://b/k", (true, true));
        check("s3a://b/k", "s3n://b/k", (true, true));
        check("S3://b/k", "s3://b/k", (true, true));
        check("s3://b//a///k", "s3://b/a/k", (true, true));
        check("s3://b/k", "s3://c/k", (true, false));
        check("gs://b/k", "s3://b/k", (true, false));
        check("s3://b/k", "s3://b/K", (false, true));
        check("s3://b/a%2Fk", "s3://b/a/k", (false, true));
        check("/a/k", "file:///a/k", (true, true));
        check("file:/a/k", "file://localhost/a/k", (true, true));
        check("hdfs://old/k", "viewfs://new/k", (true, true));
        // What the table leaves open fits; what the listing leaves open is a question.
        check("hdfs:///k", "hdfs://node/k", (true, true));
        check("hdfs://node/k", "hdfs:///k", (true, false));
    }
}
