//! Readers that are Python packages.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use calve_base::Properties;

use super::DEFAULT_READER_TIMEOUT;

/// The interpreter that is started unless told otherwise.
const DEFAULT_PYTHON: &str = "python3";

/// Which properties of a catalog tell how its files are read. A catalog's address, which may hold a password, is none.
const FILE_PROPERTIES: &[&str] = &["s3.", "client.", "gcs.", "adls.", "hf.", "py-io-impl"];

/// The region of the catalog, which is the files' where nothing else is said.
const CATALOG_REGION: &str = "glue.region";

/// What is not shown, whatever a reader says.
const SECRETS: &[&str] = &["secret", "token", "password", "access-key", "credential"];

/// Shorter texts than this would blank out words.
const SHORTEST_SECRET: usize = 4;

/// A Python package that reads Iceberg tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PythonPackage {
    /// `PyIceberg`, with `PyArrow`.
    PyIceberg,
    /// `DuckDB`, with its Iceberg extension.
    DuckDb,
}

/// Reads the table in a process of Python.
#[derive(Clone)]
pub struct PythonReader {
    pub(super) package: PythonPackage,
    pub(super) python: PathBuf,
    pub(super) properties: Properties,
    pub(super) timeout: Duration,
}

impl PythonPackage {
    /// Its name on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PyIceberg => "pyiceberg",
            Self::DuckDb => "duckdb",
        }
    }

    /// What pip is to install for it.
    pub(crate) fn requirement(self) -> &'static str {
        match self {
            Self::PyIceberg => "pyiceberg[pyarrow]",
            Self::DuckDb => "duckdb pyarrow",
        }
    }
}

impl PythonReader {
    /// Reads with the `python3` of the path. `properties` are the catalog's: of them, those that tell how
    /// files are opened are handed over, on standard input.
    pub fn new(package: PythonPackage, properties: &Properties) -> Self {
        let is_wanted = |name: &str| {
            name == CATALOG_REGION || FILE_PROPERTIES.iter().any(|it| name.starts_with(it))
        };
        let properties = properties.iter().filter(|(name, _)| is_wanted(name));
        Self {
            package,
            python: DEFAULT_PYTHON.into(),
            properties: properties
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
            timeout: DEFAULT_READER_TIMEOUT,
        }
    }

    /// Sets the interpreter.
    #[must_use]
    pub fn with_python(mut self, python: impl Into<PathBuf>) -> Self {
        self.python = python.into();
        self
    }

    /// Sets how long one pass over the table may take.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Takes secrets out of what a reader said.
    pub(super) fn redact(&self, text: &str) -> String {
        let is_secret = |name: &str| SECRETS.iter().any(|secret| name.contains(secret));
        let secrets = self
            .properties
            .iter()
            .filter(|(name, value)| is_secret(name) && value.len() >= SHORTEST_SECRET);
        secrets.fold(text.to_owned(), |text, (_, value)| {
            text.replace(value.as_str(), "***")
        })
    }
}

impl fmt::Debug for PythonReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PythonReader")
            .field("package", &self.package)
            .field("python", &self.python)
            .field("properties", &self.properties.keys())
            .field("timeout", &self.timeout)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::{PythonPackage, PythonReader};

    #[test]
    fn secrets_go_nowhere_but_to_the_reader() {
        let properties = [
            ("uri", "postgresql://me:word@host/db"),
            ("s3.endpoint", "http://here"),
            ("s3.secret-access-key", "very-secret"),
            ("client.session-token", "a-token"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let reader = PythonReader::new(PythonPackage::DuckDb, &properties.into());
        let handed: Vec<_> = reader.properties.keys().map(String::as_str).collect();
        assert_eq!(
            handed,
            [
                "client.session-token",
                "s3.endpoint",
                "s3.secret-access-key"
            ]
        );
        assert!(!format!("{reader:?}").contains("very-secret"));
        assert_eq!(
            reader.redact("CREATE SECRET 'very-secret' of 'a-token' at http://here"),
            "CREATE SECRET '***' of '***' at http://here"
        );
    }
}
