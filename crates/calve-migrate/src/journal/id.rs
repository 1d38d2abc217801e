//! Names of migrations.

use std::fmt;
use std::str::FromStr;

use calve_base::{Clock, TableIdent};
use chrono::{DateTime, NaiveDateTime};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// How the start of a migration is written in its id.
const TIME: &str = "%Y%m%dT%H%M%SZ";
/// How many hexadecimal digits tell migrations of one second apart.
const DIGITS: usize = 8;

/// What kind of migration it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Operation {
    /// The rows were written anew into a table.
    Ctas,
    /// A trial table over the same files.
    Snapshot,
    /// The catalog's entry itself became an Iceberg table.
    Migrate,
    /// A table was kept in step with its source.
    Sync,
    /// A table took the name of another.
    Swap,
}

impl Operation {
    const ALL: [Self; 5] = [
        Self::Ctas,
        Self::Snapshot,
        Self::Migrate,
        Self::Sync,
        Self::Swap,
    ];

    /// Its name, as the command is called.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ctas => "ctas",
            Self::Snapshot => "snapshot",
            Self::Migrate => "migrate",
            Self::Sync => "sync",
            Self::Swap => "swap",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The name of a migration: `<operation>-<namespace>.<table>-<yyyymmddThhmmssZ>-<8 hex digits>`.
///
/// It names the table, so that `rollback ID` finds the journal without a registry of all migrations.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MigrationId {
    operation: Operation,
    table: TableIdent,
    started: NaiveDateTime,
    suffix: u32,
}

/// Why a text is no id of a migration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is no id of a migration: expected <operation>-<db>.<table>-<yyyymmddThhmmssZ>-<8 hex digits>"
)]
pub struct MigrationIdError {
    text: String,
}

impl MigrationId {
    /// Makes an id for a migration that begins now.
    pub fn new(operation: Operation, table: TableIdent, clock: &dyn Clock) -> Self {
        let seconds = clock.now_ms().div_euclid(1000);
        Self {
            operation,
            table,
            started: DateTime::from_timestamp(seconds, 0)
                .unwrap_or_default()
                .naive_utc(),
            suffix: Uuid::new_v4().as_fields().0,
        }
    }

    /// What kind of migration it is.
    pub fn operation(&self) -> Operation {
        self.operation
    }

    /// The table that it is about, and in whose folder its journal lies.
    pub fn table(&self) -> &TableIdent {
        &self.table
    }

    /// When it began, in milliseconds since the epoch, to the second.
    pub fn started_ms(&self) -> i64 {
        self.started.and_utc().timestamp_millis()
    }

    /// The id as the name of one folder, whatever characters the table's name has.
    pub(super) fn folder_name(&self) -> String {
        self.to_string().replace('%', "%25").replace('/', "%2F")
    }
}

impl fmt::Display for MigrationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let started = self.started.format(TIME);
        let Self {
            operation,
            table,
            suffix,
            ..
        } = self;
        write!(f, "{operation}-{table}-{started}-{suffix:08x}")
    }
}

impl FromStr for MigrationId {
    type Err = MigrationIdError;

    fn from_str(text: &str) -> Result<Self, MigrationIdError> {
        // From the right, since names of tables may hold hyphens.
        let parse = || {
            let (rest, suffix) = text.rsplit_once('-')?;
            let (rest, started) = rest.rsplit_once('-')?;
            let digits = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
            if suffix.len() != DIGITS || !suffix.bytes().all(digits) {
                return None;
            }
            let operation = Operation::ALL.into_iter().find(|operation| {
                rest.strip_prefix(operation.as_str())
                    .is_some_and(|rest| rest.starts_with('-'))
            })?;
            let table = &rest[operation.as_str().len() + 1..];
            Some(Self {
                operation,
                table: table.parse().ok()?,
                started: NaiveDateTime::parse_from_str(started, TIME).ok()?,
                suffix: u32::from_str_radix(suffix, 16).ok()?,
            })
        };
        parse().ok_or_else(|| MigrationIdError {
            text: text.to_owned(),
        })
    }
}

impl Serialize for MigrationId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MigrationId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct At(i64);

    impl Clock for At {
        fn now_ms(&self) -> i64 {
            self.0
        }
    }

    #[test]
    fn ids_are_read_as_they_are_printed() {
        for (operation, table) in [
            (Operation::Ctas, "noaa.ghcn"),
            (Operation::Migrate, "a.b-c.d-20240101T000000Z-00000000"),
            (Operation::Swap, "db.t%/x"),
        ] {
            let table: TableIdent = table.parse().unwrap();
            let id = MigrationId::new(operation, table.clone(), &At(1_700_000_000_123));
            let text = id.to_string();
            assert!(
                text.starts_with(&format!("{operation}-{table}-20231114T221320Z-")),
                "{text}"
            );
            assert_eq!(text.parse::<MigrationId>().unwrap(), id);
            assert_eq!(id.started_ms(), 1_700_000_000_000);
            assert!(!id.folder_name().contains('/'));
        }
    }

    #[track_caller]
    fn check_refused(text: &str) {
        let error = text.parse::<MigrationId>().unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("`{text}` is no id of a migration")),
            "{error}"
        );
    }

    #[test]
    fn other_texts_are_refused() {
        check_refused("");
        check_refused("ctas-db.t-20240101T000000Z-123");
        check_refused("ctas-db.t-20240101T000000Z-0000000G");
        check_refused("ctas-db.t-20241301T000000Z-00000000");
        check_refused("ctas-t-20240101T000000Z-00000000");
        check_refused("copy-db.t-20240101T000000Z-00000000");
        check_refused("ctasdb.t-20240101T000000Z-00000000");
    }
}
