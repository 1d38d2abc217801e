//! Removal of delete files that apply to no data file any more (`remove_dangling_deletes` of Spark).
//!
//! A rewrite takes the deletes along that concern only files that it replaces. Those of a whole partition stay,
//! since other files may need them, until this finds that none does: by sequence numbers, partitions and paths,
//! without a delete file being read.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use calve_base::TableIdent;
use calve_catalog::Catalog;
use calve_table::{DeleteKey, ReplaceFiles, Scan, Transaction, WrittenManifests, new_snapshot_id};
use futures::TryStreamExt;
use iceberg::spec::Operation;

use crate::Result;

/// What was removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Removed {
    pub(crate) delete_files: u64,
    /// The snapshot, if there was anything to remove.
    pub(crate) snapshot_id: Option<i64>,
}

/// Removes the delete files of a branch's head that apply to nothing.
///
/// A data file that is committed later with an old sequence number is one that a rewrite made of older files,
/// which are in the table until then. Whatever applies to it applies to those, too, and is not removed.
pub(crate) async fn remove_dangling_deletes(
    catalog: &Arc<dyn Catalog>,
    table: &TableIdent,
    branch: &str,
    summary: &BTreeMap<String, String>,
) -> Result<Removed> {
    let table = catalog.load_table(table).await?;
    let Some(snapshot) = table.metadata().snapshot_for_ref(branch).cloned() else {
        return Ok(Removed::default());
    };
    let scan = Scan::new(table.clone()).with_snapshot(Arc::clone(&snapshot));
    let all = scan.delete_files().await?;
    let mut dangling: HashSet<DeleteKey> = all.iter().map(calve_table::DeleteFile::key).collect();
    if dangling.is_empty() {
        return Ok(Removed::default());
    }
    let mut files = scan.plan().await?;
    while let Some(file) = files.try_next().await? {
        for delete in &file.deletes {
            dangling.remove(&delete.key());
        }
    }
    if dangling.is_empty() {
        return Ok(Removed::default());
    }
    let delete_files = dangling.len() as u64;
    let removal = ReplaceFiles::new(new_snapshot_id(), Vec::new(), WrittenManifests::default())
        .with_operation(Operation::Replace)
        .with_removed_deletes(dangling)
        .with_base(snapshot.snapshot_id(), table.metadata().format_version());
    let mut transaction = Transaction::new(Arc::clone(catalog), table)
        .with_branch(branch)
        .with_snapshot(removal);
    for (name, value) in summary {
        transaction = transaction.with_summary(name, value);
    }
    Ok(Removed {
        delete_files,
        snapshot_id: transaction.await?.snapshot_id,
    })
}
