//! What an entry says, in Glue's words, and what differs from an entry that is there.

use std::collections::BTreeMap;

use calve_base::{Location, TableIdent};
use calve_catalog::{
    ColumnRecord, EntryRecord, HiveColumn, PartitionRecord, SerdeRecord, StorageRecord, TableRecord,
};
use serde::Serialize;

use crate::{Error, Result};

const EXTERNAL_TABLE: &str = "EXTERNAL_TABLE";
const CLASSIFICATION: &str = "classification";
const PARQUET_INPUT: &str = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat";
const PARQUET_OUTPUT: &str = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat";
const PARQUET_SERDE: &str = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe";
const TEXT_INPUT: &str = "org.apache.hadoop.mapred.TextInputFormat";
const TEXT_OUTPUT: &str = "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat";
/// The parameter that names the element of a row, as Glue's readers of XML look for it, and as its
/// classifiers call it.
pub const ROW_TAG: &str = "rowTag";
const XML_ROW_TAG: &str = "xmlRowTag";

/// What the files of a table are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HiveFormat {
    /// Parquet.
    Parquet,
    /// XML, whose rows are the elements of this name.
    Xml {
        /// The row tag.
        row_tag: String,
    },
}

/// An entry that is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HiveEntry {
    /// The folder that the files are in.
    pub location: Location,
    /// What the files are.
    pub format: HiveFormat,
    /// The columns of the files.
    pub columns: Vec<HiveColumn>,
    /// The columns whose values are in the names of folders.
    pub partition_keys: Vec<HiveColumn>,
}

/// A partition that is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionFolder {
    /// Its values as text, in the order of the keys; `__HIVE_DEFAULT_PARTITION__` is null.
    pub values: Vec<String>,
    /// The folder that its files are in.
    pub location: Location,
}

/// A column, as reports tell of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its Hive type.
    #[serde(rename = "type")]
    pub hive_type: String,
}

/// One way in which an entry changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "change")]
#[non_exhaustive]
pub enum EntryChange {
    /// A column is new.
    ColumnAdded {
        /// Its name.
        column: String,
        /// Its Hive type.
        to: String,
    },
    /// A column gets another type.
    ColumnChanged {
        /// Its name.
        column: String,
        /// Its type so far.
        from: String,
        /// Its type from now on.
        to: String,
    },
    /// No file has the column.
    ColumnRemoved {
        /// Its name.
        column: String,
    },
    /// Something else of the entry.
    Other {
        /// What.
        what: String,
    },
}

impl std::fmt::Display for EntryChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::ColumnAdded { column, to } => write!(f, "column `{column}` ({to}) is new"),
            Self::ColumnChanged { column, from, to } => {
                write!(f, "column `{column}` is {to}, {from} before")
            }
            Self::ColumnRemoved { column } => write!(f, "column `{column}` is gone"),
            Self::Other { what } => f.write_str(what),
        }
    }
}

impl HiveFormat {
    fn classification(&self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Xml { .. } => "xml",
        }
    }

    /// What an entry of this format has for its parameters.
    fn parameters(&self) -> BTreeMap<String, String> {
        let mut parameters: BTreeMap<String, String> = [
            ("EXTERNAL", "TRUE"),
            (CLASSIFICATION, self.classification()),
            ("compressionType", "none"),
            ("typeOfData", "file"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
        if let Self::Xml { row_tag } = self {
            for key in [ROW_TAG, XML_ROW_TAG] {
                parameters.insert(key.to_owned(), row_tag.clone());
            }
        }
        parameters
    }

    fn serde(&self) -> SerdeRecord {
        let (library, parameter) = match self {
            Self::Parquet => (Some(PARQUET_SERDE), ("serialization.format", "1")),
            Self::Xml { row_tag } => (None, (ROW_TAG, row_tag.as_str())),
        };
        SerdeRecord {
            name: None,
            serialization_library: library.map(ToOwned::to_owned),
            parameters: Some([(parameter.0.to_owned(), parameter.1.to_owned())].into()),
        }
    }

    fn classes(&self) -> (&'static str, &'static str) {
        match self {
            Self::Parquet => (PARQUET_INPUT, PARQUET_OUTPUT),
            Self::Xml { .. } => (TEXT_INPUT, TEXT_OUTPUT),
        }
    }
}

impl HiveEntry {
    /// The columns, as reports tell of them.
    pub(super) fn report_columns(columns: &[HiveColumn]) -> Vec<Column> {
        let column = |column: &HiveColumn| Column {
            name: column.name.clone(),
            hive_type: column.hive_type.clone(),
        };
        columns.iter().map(column).collect()
    }

    /// The entry over the one that is there, of which everything else stays.
    ///
    /// # Errors
    /// When what is there is another kind of table, lies elsewhere or has other partition keys.
    pub(super) fn record(
        &self,
        ident: &TableIdent,
        existing: Option<&EntryRecord>,
    ) -> Result<EntryRecord> {
        let (version_id, mut table) = match existing {
            Some(existing) => {
                self.check(ident, &existing.table_input)?;
                let existing = existing.clone();
                (existing.version_id, existing.table_input)
            }
            None => (None, TableRecord::default()),
        };
        ident.name().clone_into(&mut table.name);
        table.table_type = Some(EXTERNAL_TABLE.to_owned());
        let storage = table.storage_descriptor.take().unwrap_or_default();
        table.storage_descriptor = Some(self.storage(storage, &self.location));
        let keys = table.partition_keys.take().unwrap_or_default();
        table.partition_keys = Some(columns(&self.partition_keys, &keys));
        let parameters = table.parameters.get_or_insert_default();
        parameters.extend(self.format.parameters());
        Ok(EntryRecord {
            version_id,
            table_input: table,
        })
    }

    /// The partition of a folder.
    pub(super) fn partition(&self, folder: &PartitionFolder) -> PartitionRecord {
        PartitionRecord {
            values: folder.values.clone(),
            storage_descriptor: Some(self.storage(StorageRecord::default(), &folder.location)),
            parameters: Some(
                [(
                    CLASSIFICATION.to_owned(),
                    self.format.classification().to_owned(),
                )]
                .into(),
            ),
            ..PartitionRecord::default()
        }
    }

    fn storage(&self, existing: StorageRecord, location: &Location) -> StorageRecord {
        let (input, output) = self.format.classes();
        let known = existing.columns.unwrap_or_default();
        StorageRecord {
            columns: Some(columns(&self.columns, &known)),
            location: Some(as_folder(location.as_str())),
            input_format: Some(input.to_owned()),
            output_format: Some(output.to_owned()),
            serde_info: Some(self.format.serde()),
            number_of_buckets: -1,
            ..existing
        }
    }

    fn check(&self, ident: &TableIdent, table: &TableRecord) -> Result<()> {
        let differs = |problem: String| Error::EntryDiffers {
            table: ident.clone(),
            problem,
        };
        let parameter = |key: &str| {
            let parameters = table.parameters.as_ref();
            parameters.and_then(|all| all.get(key)).map(String::as_str)
        };
        if table
            .table_type
            .as_deref()
            .is_some_and(|kind| kind.contains("VIEW"))
        {
            return Err(differs("it is a view".to_owned()));
        }
        let is_iceberg = |kind: &str| kind.eq_ignore_ascii_case("iceberg");
        if parameter("table_type").is_some_and(is_iceberg) {
            return Err(differs("it is an Iceberg table".to_owned()));
        }
        let storage = table.storage_descriptor.as_ref();
        let is_parquet = storage
            .and_then(|it| it.input_format.as_deref())
            .is_some_and(|class| class.to_ascii_lowercase().contains("parquet"));
        let is_same = match parameter(CLASSIFICATION) {
            Some(found) => found.eq_ignore_ascii_case(self.format.classification()),
            None => is_parquet && self.format == HiveFormat::Parquet,
        };
        if !is_same {
            let found = parameter(CLASSIFICATION).unwrap_or("another format");
            let ours = self.format.classification();
            return Err(differs(format!("its files are {found}, not {ours}")));
        }
        let found = storage
            .and_then(|it| it.location.as_deref())
            .unwrap_or_default();
        if as_folder(found) != as_folder(self.location.as_str()) {
            return Err(differs(format!(
                "it lies in {found}, not in {}",
                self.location
            )));
        }
        let keys = table.partition_keys.as_deref().unwrap_or_default();
        let found: Vec<&str> = keys.iter().map(|key| key.name.as_str()).collect();
        let ours: Vec<&str> = self
            .partition_keys
            .iter()
            .map(|key| key.name.as_str())
            .collect();
        if found != ours {
            let named = |keys: &[&str]| match keys {
                [] => "nothing".to_owned(),
                keys => keys.join(", "),
            };
            let problem = format!(
                "it is partitioned by {}, not by {}",
                named(&found),
                named(&ours)
            );
            return Err(differs(problem));
        }
        Ok(())
    }
}

/// What differs between two entries of one table.
pub(super) fn changes(from: &TableRecord, to: &TableRecord) -> Vec<EntryChange> {
    let mut changes = Vec::new();
    let columns = |table: &TableRecord| -> Vec<ColumnRecord> {
        let storage = table.storage_descriptor.clone().unwrap_or_default();
        let keys = table.partition_keys.clone().unwrap_or_default();
        storage
            .columns
            .unwrap_or_default()
            .into_iter()
            .chain(keys)
            .collect()
    };
    let (before, after) = (columns(from), columns(to));
    let find = |columns: &[ColumnRecord], name: &str| -> Option<String> {
        let mut named = columns.iter().filter(|it| it.name == name);
        named
            .next()
            .map(|it| it.type_text.clone().unwrap_or_default())
    };
    for column in &after {
        let (name, to) = (
            column.name.clone(),
            column.type_text.clone().unwrap_or_default(),
        );
        match find(&before, &name) {
            None => changes.push(EntryChange::ColumnAdded { column: name, to }),
            Some(from) if from != to => changes.push(EntryChange::ColumnChanged {
                column: name,
                from,
                to,
            }),
            Some(_) => {}
        }
    }
    for column in &before {
        if find(&after, &column.name).is_none() {
            let column = column.name.clone();
            changes.push(EntryChange::ColumnRemoved { column });
        }
    }
    if changes.is_empty() && from != to {
        let what = "its format, parameters or the order of its columns".to_owned();
        changes.push(EntryChange::Other { what });
    }
    changes
}

/// Whether two partitions are the same, as far as an entry of this crate says it.
pub(super) fn fingerprint(partition: &PartitionRecord) -> String {
    let storage = partition.storage_descriptor.clone().unwrap_or_default();
    let columns = storage.columns.unwrap_or_default();
    let columns: Vec<String> = columns
        .iter()
        .map(|it| {
            format!(
                "{}:{}",
                it.name,
                it.type_text.as_deref().unwrap_or_default()
            )
        })
        .collect();
    let serde = storage.serde_info.unwrap_or_default();
    format!(
        "{}\n{}\n{}\n{}",
        as_folder(storage.location.as_deref().unwrap_or_default()),
        storage.input_format.unwrap_or_default(),
        serde.serialization_library.unwrap_or_default(),
        columns.join(",")
    )
}

/// Columns with the comments that those of the same name have.
fn columns(columns: &[HiveColumn], known: &[ColumnRecord]) -> Vec<ColumnRecord> {
    let column = |column: &HiveColumn| {
        let known = known.iter().find(|it| it.name == column.name);
        ColumnRecord {
            name: column.name.clone(),
            type_text: Some(column.hive_type.clone()),
            comment: column.comment.clone().or_else(|| known?.comment.clone()),
            parameters: known.and_then(|it| it.parameters.clone()),
        }
    };
    columns.iter().map(column).collect()
}

/// A location as crawlers write those of folders: with a slash at its end.
fn as_folder(location: &str) -> String {
    format!("{}/", location.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, hive_type: &str) -> HiveColumn {
        HiveColumn {
            name: name.to_owned(),
            hive_type: hive_type.to_owned(),
            comment: None,
        }
    }

    fn entry() -> HiveEntry {
        HiveEntry {
            location: Location::parse("s3://b/t").unwrap(),
            format: HiveFormat::Parquet,
            columns: vec![column("a", "int"), column("b", "string")],
            partition_keys: vec![column("day", "date")],
        }
    }

    fn ident() -> TableIdent {
        TableIdent::new("db", "t")
    }

    #[test]
    fn what_an_entry_says_besides_stays() {
        let mut existing = entry().record(&ident(), None).unwrap();
        let table = &mut existing.table_input;
        table.owner = Some("somebody".to_owned());
        let parameters = table.parameters.get_or_insert_default();
        parameters.insert("team".to_owned(), "lake".to_owned());
        let storage = table.storage_descriptor.as_mut().unwrap();
        storage.columns.as_mut().unwrap()[1].comment = Some("a name".to_owned());
        let again = entry().record(&ident(), Some(&existing)).unwrap();
        assert_eq!(again, existing);
        assert_eq!(changes(&existing.table_input, &again.table_input), []);

        let mut wider = entry();
        wider.columns = vec![
            column("b", "string"),
            column("a", "bigint"),
            column("c", "date"),
        ];
        let wider = wider.record(&ident(), Some(&existing)).unwrap();
        let found = changes(&existing.table_input, &wider.table_input);
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "column `a` is bigint, int before",
                "column `c` (date) is new"
            ]
        );
        let storage = wider.table_input.storage_descriptor.unwrap();
        assert_eq!(
            storage.columns.unwrap()[0].comment.as_deref(),
            Some("a name")
        );
        let mut fewer = entry();
        fewer.columns.pop();
        let fewer = fewer.record(&ident(), Some(&existing)).unwrap();
        let found = changes(&existing.table_input, &fewer.table_input);
        let gone = EntryChange::ColumnRemoved {
            column: "b".to_owned(),
        };
        assert_eq!(found, [gone]);
    }

    #[track_caller]
    fn check_refused(change: impl FnOnce(&mut TableRecord), expected: &str) {
        let mut existing = entry().record(&ident(), None).unwrap();
        change(&mut existing.table_input);
        let error = entry().record(&ident(), Some(&existing)).unwrap_err();
        let expected = format!("db.t is in the catalog already: {expected}");
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn other_tables_are_never_replaced() {
        let set = |key: &'static str, value: &'static str| {
            move |table: &mut TableRecord| {
                let parameters = table.parameters.get_or_insert_default();
                parameters.insert(key.to_owned(), value.to_owned());
            }
        };
        check_refused(set("table_type", "ICEBERG"), "it is an Iceberg table");
        check_refused(
            set("classification", "json"),
            "its files are json, not parquet",
        );
        check_refused(
            |table| table.table_type = Some("VIRTUAL_VIEW".to_owned()),
            "it is a view",
        );
        check_refused(
            |table| table.storage_descriptor = None,
            "it lies in , not in s3://b/t",
        );
        check_refused(
            |table| table.partition_keys = None,
            "it is partitioned by nothing, not by day",
        );
        let mut unnamed = entry().record(&ident(), None).unwrap();
        unnamed.table_input.parameters = None;
        assert!(entry().record(&ident(), Some(&unnamed)).is_ok());
    }
}
