//! Which types can be read right in place.

use iceberg::spec::FormatVersion;

/// How strictly types are judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypePolicy {
    /// The table's format version (nanoseconds need 3).
    pub format_version: FormatVersion,
    /// What INT96 columns are: instants (`timestamptz`, Spark) or wall-clock times (`timestamp`, Hive, Impala).
    /// Where a target table or Glue says which, that wins.
    pub int96_is_instant: bool,
    /// Whether BYTE_ARRAY columns without an annotation are text (old Hive and Impala), by column name;
    /// filled from the target table's or Glue's types. `None`: they are binary.
    pub text_columns: Vec<String>,
}

/// One thing the policy has to say about one column of a file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Which rule it is.
    pub code: FindingCode,
    /// The path of the column, its names joined by dots; empty for the whole file.
    pub column: String,
    /// What is wrong, for people.
    pub message: String,
}

/// How bad a [`Finding`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing; added in place.
    Note,
    /// Some readers get it wrong: refused, unless `--on-unsafe allow`.
    Unsafe,
    /// Cannot be read right in place: refused always; the way out is `ctas`.
    Refused,
}

/// Which rule of the policy a [`Finding`] comes from; the JSON report prints it in snake case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FindingCode {
    /// TIMESTAMP or TIME in milliseconds.
    Milliseconds,
}

impl Default for TypePolicy {
    fn default() -> Self {
        Self {
            format_version: FormatVersion::V2,
            int96_is_instant: true,
            text_columns: Vec::new(),
        }
    }
}
