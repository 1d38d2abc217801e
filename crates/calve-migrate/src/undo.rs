//! What a change of a catalog's entries took away, and how it is put back.
//!
//! The entry is in the journal's `migration.json`; its partitions lie in pages beside it
//! (`partitions-00000.json`, …), so that neither document grows with the table.

use calve_base::{Clock, Location, TableIdent};
use calve_catalog::{EntryRecord, Error as CatalogError, Metastore, PartitionRecord, Table};
use futures::TryStreamExt;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use crate::journal::{Journal, Migration, MigrationState};
use crate::{Error, Result};

/// How many partitions one page of an undo record holds.
const PAGE: usize = 1_000;

/// How a change of a catalog's entry is undone.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Undo {
    /// The entry as it was; none in catalogs whose entries hold nothing but a pointer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) entry: Option<EntryRecord>,
    /// How many partitions it had, and in how many pages they are.
    #[serde(default)]
    pub(crate) partitions: Partitions,
    /// The entry's copy under another name, if one was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) backup: Option<TableIdent>,
    /// The metadata file that takes the entry's place, once it is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) staged: Option<Location>,
    /// How many snapshots the table had when it took the place of another.
    #[serde(default)]
    pub(crate) snapshots: u64,
    /// The entry that gave up its name, where a table took the place of another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) shadow: Option<Shadow>,
}

impl Undo {
    /// For a table that takes the name of another.
    pub(crate) fn of_names(backup: &TableIdent, new: &Table) -> Self {
        Self {
            backup: Some(backup.clone()),
            snapshots: new.metadata().snapshots().count() as u64,
            shadow: Some(Shadow {
                name: new.ident().clone(),
                entry: None,
            }),
            ..Self::default()
        }
    }

    /// The entry as it was.
    pub(crate) fn entry(&self) -> Result<&EntryRecord> {
        self.entry.as_ref().ok_or(Error::NoUndo { what: "entry" })
    }

    /// The entry that gave up its name.
    pub(crate) fn shadow(&self) -> Result<&Shadow> {
        self.shadow.as_ref().ok_or(Error::NoUndo { what: "name" })
    }

    /// What the journal says.
    pub(crate) fn read(journal: &Journal) -> Result<Self> {
        let undo = journal.migration().undo.clone();
        let wrong = |source| Error::JournalDocument {
            location: journal.folder().join("migration.json"),
            source,
        };
        serde_json::from_value(undo.unwrap_or_default()).map_err(wrong)
    }

    pub(crate) fn document(&self) -> serde_json::Value {
        serde_json::to_value(self).expect("texts, numbers and lists always make JSON")
    }

    /// Writes down how things stand.
    pub(crate) async fn write(
        &self,
        journal: &mut Journal,
        state: MigrationState,
        clock: &dyn Clock,
    ) -> Result<()> {
        let undo = self.document();
        let change = |migration: &mut Migration| {
            migration.undo = Some(undo);
            migration.state = state;
        };
        journal.update(clock, change).await
    }
}

/// An entry that gave up its name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Shadow {
    pub(crate) name: TableIdent,
    pub(crate) entry: Option<EntryRecord>,
}

/// The partitions of an entry, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Partitions {
    pub(crate) count: u64,
    pub(crate) pages: u64,
    /// The sum of their hashes: the same for the same partitions in any order. As two halves, since JSON has no
    /// larger numbers.
    digest: [u64; 2],
}

impl Partitions {
    fn add(&mut self, partition: &PartitionRecord) {
        let document = serde_json::to_vec(partition).unwrap_or_default();
        let hash = xxh3_128(&document);
        let sum = self.sum().wrapping_add(hash);
        #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
        let halves = [(sum >> 64) as u64, sum as u64];
        self.digest = halves;
        self.count += 1;
    }

    fn sum(self) -> u128 {
        u128::from(self.digest[0]) << 64 | u128::from(self.digest[1])
    }

    /// Whether both are the same partitions.
    pub(crate) fn same_as(self, other: Self) -> bool {
        (self.count, self.digest) == (other.count, other.digest)
    }
}

fn page_name(number: u64) -> String {
    format!("partitions-{number:05}.json")
}

/// Counts an entry's partitions as they are now.
pub(crate) async fn count(metastore: &dyn Metastore, ident: &TableIdent) -> Result<Partitions> {
    let mut partitions = Partitions::default();
    let mut records = metastore.partition_records(ident);
    while let Some(record) = records.try_next().await? {
        partitions.add(&record);
    }
    Ok(partitions)
}

/// Writes an entry's partitions into the journal, page by page.
pub(crate) async fn save(
    metastore: &dyn Metastore,
    ident: &TableIdent,
    journal: &Journal,
) -> Result<Partitions> {
    let mut partitions = Partitions::default();
    let mut records = metastore.partition_records(ident);
    let mut page = Vec::new();
    loop {
        let record = records.try_next().await?;
        let is_last = record.is_none();
        page.extend(record.inspect(|record| partitions.add(record)));
        if page.len() == PAGE || is_last && !page.is_empty() {
            journal.put(&page_name(partitions.pages), &page).await?;
            partitions.pages += 1;
            page.clear();
        }
        if is_last {
            return Ok(partitions);
        }
    }
}

/// Enters the partitions of the journal's pages under a name. What is there as it should be stays untouched.
pub(crate) async fn put_partitions(
    metastore: &dyn Metastore,
    ident: &TableIdent,
    journal: &Journal,
    partitions: Partitions,
) -> Result<()> {
    if count(metastore, ident).await?.same_as(partitions) {
        return Ok(());
    }
    for number in 0..partitions.pages {
        let name = page_name(number);
        let page: Option<Vec<PartitionRecord>> = journal.get(&name).await?;
        let page = page.ok_or_else(|| Error::UndoIncomplete {
            id: journal.id().clone(),
            location: journal.folder().join(&name),
        })?;
        metastore.put_partitions(ident, &page).await?;
    }
    Ok(())
}

/// Takes the partitions of the journal's pages out of an entry that no longer uses them.
pub(crate) async fn delete_partitions(
    metastore: &dyn Metastore,
    ident: &TableIdent,
    journal: &Journal,
    partitions: Partitions,
) -> Result<()> {
    for number in 0..partitions.pages {
        let page: Option<Vec<PartitionRecord>> = journal.get(&page_name(number)).await?;
        let values = page.unwrap_or_default().into_iter();
        let values: Vec<Vec<String>> = values.map(|partition| partition.values).collect();
        metastore.delete_partitions(ident, &values).await?;
    }
    Ok(())
}

/// Copies the entry and its partitions under another name. A copy that an earlier run made is completed.
pub(crate) async fn back_up(
    metastore: &dyn Metastore,
    backup: &TableIdent,
    undo: &Undo,
    journal: &Journal,
) -> Result<()> {
    match metastore.create_entry(backup, undo.entry()?).await {
        Ok(()) => {}
        Err(CatalogError::TableExists { .. }) if is_copy(metastore, backup, undo).await? => {}
        Err(error) => return Err(error.into()),
    }
    put_partitions(metastore, backup, journal, undo.partitions).await
}

/// Takes the copy out again, unless somebody made something else of it.
pub(crate) async fn drop_backup(metastore: &dyn Metastore, undo: &Undo) -> Result<bool> {
    let Some(backup) = &undo.backup else {
        return Ok(false);
    };
    let is_ours = is_copy(metastore, backup, undo).await?;
    if is_ours {
        metastore.delete_entry(backup).await?;
    }
    Ok(is_ours)
}

async fn is_copy(metastore: &dyn Metastore, backup: &TableIdent, undo: &Undo) -> Result<bool> {
    let found = match metastore.load_entry(backup).await {
        Ok(found) => found.table_input,
        Err(CatalogError::TableNotFound { .. }) => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    let mut expected = undo.entry()?.table_input.clone();
    backup.name().clone_into(&mut expected.name);
    Ok(found == expected)
}
