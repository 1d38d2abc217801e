use std::fmt;
use std::str::FromStr;

/// Where a file, a folder or a table lies: an absolute address, kept exactly as given.
///
/// Object keys and file names are never percent-decoded or re-encoded: the text after the bucket is
/// the key, byte for byte, because Hive escapes partition values with `%` itself
/// (`k=a%2Fb` is the literal name of a folder).
///
/// ```
/// use calve_base::Location;
/// let a: Location = "s3a://b/lake/k=1/f.parquet".parse().unwrap();
/// assert_eq!(a.as_str(), "s3a://b/lake/k=1/f.parquet");
/// assert_eq!(a.canonical(), "s3://b/lake/k=1/f.parquet");
/// assert_eq!(a.key(), "lake/k=1/f.parquet");
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Location {
    text: String,
    scheme: Scheme,
    /// Where the bucket begins in `text`; equal to `key_start` where there is none.
    bucket_start: usize,
    /// Where the key begins in `text`: after the bucket's slash, or at a local path's first slash.
    key_start: usize,
}

/// Which kind of store a [`Location`] names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    /// The local file system: a plain absolute path or `file://`.
    File,
    /// Amazon S3 or a server that speaks its protocol: `s3://`, `s3a://`, `s3n://`.
    S3,
    /// The process's own memory: `memory://`.
    Memory,
}

/// Why a text is no location.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LocationError {
    /// The scheme is none that calve reads.
    #[error(
        "`{text}`: unknown scheme `{scheme}`: expected s3://, s3a://, s3n://, file:// or a path"
    )]
    UnknownScheme {
        /// The whole text.
        text: String,
        /// What stands before `://`.
        scheme: String,
    },
    /// An object store's address lacks its bucket.
    #[error("`{text}` names no bucket")]
    NoBucket {
        /// The whole text.
        text: String,
    },
    /// A local path is relative, or `file://` names another host.
    #[error("`{text}` is not an absolute path")]
    NotAbsolute {
        /// The whole text.
        text: String,
    },
}

impl Location {
    /// Reads an absolute address. A relative path is an error: resolve it first, see
    /// [`Location::from_user`].
    ///
    /// # Errors
    /// When the scheme is unknown, the bucket is missing, or a local path is relative.
    pub fn parse(text: impl Into<String>) -> Result<Self, LocationError> {
        let text = text.into();
        let Some((scheme, rest)) = text.split_once("://") else {
            return if let Some(path) = text.strip_prefix("file:") {
                // Java's `Path.toUri` and Hadoop print `file:/path`.
                let key_start = text.len() - path.len();
                Self::local(text, key_start)
            } else {
                Self::local(text, 0)
            };
        };
        let rest_start = text.len() - rest.len();
        match scheme {
            "file" => {
                let host_end = rest.find('/').unwrap_or(rest.len());
                if !matches!(&rest[..host_end], "" | "localhost") {
                    return Err(LocationError::NotAbsolute { text });
                }
                Self::local(text, rest_start + host_end)
            }
            "s3" | "s3a" | "s3n" => {
                let bucket_length = rest.find('/').unwrap_or(rest.len());
                if bucket_length == 0 {
                    return Err(LocationError::NoBucket { text });
                }
                let key_start = (rest_start + bucket_length + 1).min(text.len());
                Ok(Self {
                    text,
                    scheme: Scheme::S3,
                    bucket_start: rest_start,
                    key_start,
                })
            }
            "memory" => {
                let key_start = rest_start + (rest.len() - rest.trim_start_matches('/').len());
                Ok(Self {
                    text,
                    scheme: Scheme::Memory,
                    bucket_start: key_start,
                    key_start,
                })
            }
            other => {
                let scheme = other.to_owned();
                Err(LocationError::UnknownScheme { text, scheme })
            }
        }
    }

    /// Reads what a user typed: as [`Location::parse`], with a relative path resolved against
    /// `working_directory` (an absolute path). `.` and `..` are resolved in local paths.
    ///
    /// # Errors
    /// As [`Location::parse`].
    pub fn from_user(text: &str, working_directory: &str) -> Result<Self, LocationError> {
        let location = if text.contains("://") || text.starts_with("file:") || text.starts_with('/')
        {
            Self::parse(text)?
        } else {
            Self::parse(format!(
                "{}/{text}",
                working_directory.trim_end_matches('/')
            ))?
        };
        if location.scheme != Scheme::File {
            return Ok(location);
        }
        let trailing = if location.key().ends_with('/') {
            "/"
        } else {
            ""
        };
        let mut parts: Vec<&str> = Vec::new();
        for part in location.key().split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    parts.pop();
                }
                part => parts.push(part),
            }
        }
        let prefix = &location.text[..location.key_start];
        Self::parse(format!("{prefix}/{}{trailing}", parts.join("/")))
    }

    fn local(text: String, key_start: usize) -> Result<Self, LocationError> {
        if !text[key_start..].starts_with('/') {
            return Err(LocationError::NotAbsolute { text });
        }
        Ok(Self {
            text,
            scheme: Scheme::File,
            bucket_start: key_start,
            key_start,
        })
    }

    /// The address as it was given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The kind of store.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The bucket of an S3 address; empty for others.
    pub fn bucket(&self) -> &str {
        if self.scheme == Scheme::S3 {
            self.text[self.bucket_start..self.key_start].trim_end_matches('/')
        } else {
            ""
        }
    }

    /// The object key (S3, memory; no leading slash) or the absolute path (local; leading slash).
    pub fn key(&self) -> &str {
        &self.text[self.key_start..]
    }

    /// The last component of the key.
    pub fn file_name(&self) -> &str {
        let key = self.key().trim_end_matches('/');
        key.rsplit('/').next().unwrap_or(key)
    }

    /// The form in which two addresses of one object are equal: `s3a` and `s3n` are `s3`,
    /// local files are plain paths, repeated slashes in a local path are one (in an S3 key they
    /// count), and a trailing slash is dropped.
    pub fn canonical(&self) -> String {
        match self.scheme {
            Scheme::S3 => format!("s3://{}/{}", self.bucket(), self.key())
                .trim_end_matches('/')
                .to_owned(),
            Scheme::Memory => format!("memory:///{}", self.key().trim_end_matches('/')),
            Scheme::File => {
                let mut path = String::with_capacity(self.key().len());
                for part in self.key().split('/').filter(|part| !part.is_empty()) {
                    path.push('/');
                    path.push_str(part);
                }
                if path.is_empty() {
                    "/".to_owned()
                } else {
                    path
                }
            }
        }
    }

    /// The address of `relative` below this one.
    #[must_use]
    pub fn join(&self, relative: &str) -> Self {
        let mut text = self.text.clone();
        if !text.ends_with('/') {
            text.push('/');
        }
        text.push_str(relative.trim_start_matches('/'));
        let key_start = if self.scheme == Scheme::S3 && self.key_start == self.text.len() {
            // The bucket stood alone, with or without its slash.
            self.text.trim_end_matches('/').len() + 1
        } else {
            self.key_start
        };
        Self {
            text,
            scheme: self.scheme,
            bucket_start: self.bucket_start,
            key_start,
        }
    }

    /// The folder this lies in, without a trailing slash; `None` at the top.
    pub fn parent(&self) -> Option<Self> {
        let trimmed = self.text.trim_end_matches('/');
        let slash = trimmed.rfind('/')?;
        let first = self.key_start + usize::from(self.scheme == Scheme::File);
        (slash >= first).then(|| Self {
            text: trimmed[..slash].to_owned(),
            ..self.clone()
        })
    }

    /// Whether `other` is this address or lies below it, by whole path components.
    pub fn contains(&self, other: &Self) -> bool {
        let (outer, inner) = (self.canonical(), other.canonical());
        inner
            .strip_prefix(outer.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || outer.ends_with('/'))
    }
}

impl FromStr for Location {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, LocationError> {
        Self::parse(text)
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Location({:?})", self.text)
    }
}

impl serde::Serialize for Location {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> serde::Deserialize<'de> for Location {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, bucket: &str, key: &str, canonical: &str) {
        let location = Location::parse(text).unwrap();
        assert_eq!(location.as_str(), text);
        assert_eq!(location.bucket(), bucket);
        assert_eq!(location.key(), key);
        assert_eq!(location.canonical(), canonical);
    }

    #[test]
    fn parts() {
        check(
            "s3://b/k/x=a%2Fb/f",
            "b",
            "k/x=a%2Fb/f",
            "s3://b/k/x=a%2Fb/f",
        );
        check("s3a://b", "b", "", "s3://b");
        check("s3n://b/", "b", "", "s3://b");
        check("s3://b//k/", "b", "/k/", "s3://b//k");
        check("/a//b/", "", "/a//b/", "/a/b");
        check("file:///a/b c", "", "/a/b c", "/a/b c");
        check("file:/a/b", "", "/a/b", "/a/b");
        check("file://localhost/a", "", "/a", "/a");
        check("memory://a/b", "", "a/b", "memory:///a/b");
        check("memory:///a/b", "", "a/b", "memory:///a/b");
    }

    #[test]
    fn joins_and_parents() {
        for (base, relative, joined) in [
            ("s3://b", "k", "s3://b/k"),
            ("s3://b/", "k", "s3://b/k"),
            ("s3://b/k", "l/m", "s3://b/k/l/m"),
            ("/a", "b", "/a/b"),
            ("file:///a/", "/b", "file:///a/b"),
        ] {
            let location = Location::parse(base).unwrap().join(relative);
            assert_eq!(location.as_str(), joined);
            assert_eq!(location, Location::parse(joined).unwrap());
        }
        let parent = |text: &str| {
            Location::parse(text)
                .unwrap()
                .parent()
                .map(|p| p.to_string())
        };
        assert_eq!(parent("s3://b/k/l").as_deref(), Some("s3://b/k"));
        assert_eq!(parent("s3://b/k"), None);
        assert_eq!(parent("/a/b").as_deref(), Some("/a"));
        assert_eq!(parent("/a"), None);
    }

    #[test]
    fn containment_is_by_component() {
        let contains = |a: &str, b: &str| {
            Location::parse(a)
                .unwrap()
                .contains(&Location::parse(b).unwrap())
        };
        assert!(contains("s3://b/lake", "s3a://b/lake/x"));
        assert!(contains("s3://b/lake/", "s3://b/lake"));
        assert!(contains("s3://b", "s3://b/x"));
        assert!(!contains("s3://b/lake", "s3://b/lake2/x"));
        assert!(!contains("s3://b/lake/x", "s3://b/lake"));
        assert!(contains("/", "/a"));
        assert!(contains("file:///a", "/a/b"));
    }

    #[test]
    fn what_users_type() {
        let typed = |text: &str| Location::from_user(text, "/home/u").unwrap().to_string();
        assert_eq!(typed("lake"), "/home/u/lake");
        assert_eq!(typed("./lake/../x/"), "/home/u/x/");
        assert_eq!(typed("file:///a/./b"), "file:///a/b");
        assert_eq!(typed("s3://b/../k"), "s3://b/../k");
    }

    #[test]
    fn errors() {
        for (text, message) in [
            (
                "gs://b/k",
                "`gs://b/k`: unknown scheme `gs`: expected s3://, s3a://, s3n://, file:// or a path",
            ),
            ("s3:///k", "`s3:///k` names no bucket"),
            ("lake", "`lake` is not an absolute path"),
            ("file://host/a", "`file://host/a` is not an absolute path"),
        ] {
            assert_eq!(Location::parse(text).unwrap_err().to_string(), message);
        }
    }
}
