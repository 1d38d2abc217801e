//! What is taken out of a table's metadata, decided on each base that the commit is tried on.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use calve_base::TableIdent;
use calve_catalog::Table;
use calve_table::{check_references, load_manifests, owns_files, statistics_files};
use futures::{StreamExt, TryStreamExt, stream};
use iceberg::spec::{SnapshotRef, TableMetadata, TableMetadataBuilder};

use super::retention::{Expiry, Wanted, expiry};
use super::{CleanUpLevel, ExpireSnapshots};
use crate::{Error, Result};

/// What is taken out of a table's metadata.
#[derive(Debug, Clone, Default)]
pub(super) struct Decision {
    pub(super) expiry: Expiry,
    /// The statistics files of the snapshots.
    pub(super) statistics: Vec<(i64, String)>,
    pub(super) schema_ids: Vec<i32>,
    pub(super) spec_ids: Vec<i32>,
}

/// Decides, and remembers the last decision.
pub(super) struct Decider {
    table: TableIdent,
    wanted: Wanted,
    now_ms: i64,
    deletes_files: bool,
    cleans_metadata: bool,
    concurrency: usize,
    /// The partition specs of the manifests of each snapshot that was looked at.
    specs: Mutex<HashMap<i64, BTreeSet<i32>>>,
    decision: Mutex<Decision>,
}

impl Decider {
    pub(super) fn new(operation: &ExpireSnapshots) -> Self {
        Self {
            table: operation.table.clone(),
            wanted: operation.wanted.clone(),
            now_ms: operation.clock.now_ms(),
            deletes_files: operation.level != CleanUpLevel::None,
            cleans_metadata: operation.cleans_metadata,
            concurrency: operation.concurrency,
            specs: Mutex::default(),
            decision: Mutex::default(),
        }
    }

    /// Checks a base, and reads what a decision on it needs.
    pub(super) async fn look_at(&self, table: &Table) -> Result<()> {
        if self.deletes_files {
            check_owner(&self.table, table.metadata())?;
        }
        check_references(table).await?;
        if !self.cleans_metadata {
            return Ok(());
        }
        let known: HashSet<i64> = lock(&self.specs).keys().copied().collect();
        let snapshots = table.metadata().snapshots();
        let unknown: Vec<SnapshotRef> = snapshots
            .filter(|snapshot| !known.contains(&snapshot.snapshot_id()))
            .cloned()
            .collect();
        let storage = table.storage().clone();
        let mut read = stream::iter(unknown)
            .map(move |snapshot| {
                let storage = storage.clone();
                async move {
                    let manifests = load_manifests(&storage, &snapshot).await?;
                    let specs = manifests.iter().map(|manifest| manifest.partition_spec_id);
                    Ok::<_, Error>((snapshot.snapshot_id(), specs.collect()))
                }
            })
            .buffer_unordered(self.concurrency);
        while let Some((snapshot_id, specs)) = read.try_next().await? {
            lock(&self.specs).insert(snapshot_id, specs);
        }
        Ok(())
    }

    /// Decides what is taken out of a base that was looked at.
    pub(super) fn decide(&self, base: &TableMetadata) -> Result<Decision> {
        if self.deletes_files {
            check_owner(&self.table, base)?;
        }
        let expiry = expiry(base, &self.wanted, self.now_ms)?;
        let ids: HashSet<i64> = expiry.snapshot_ids().into_iter().collect();
        let statistics = statistics_files(base);
        let mut decision = Decision {
            expiry,
            statistics: statistics
                .into_iter()
                .filter(|(id, _)| ids.contains(id))
                .collect(),
            ..Decision::default()
        };
        if self.cleans_metadata {
            let remaining = base.snapshots();
            let remaining: Vec<_> = remaining
                .filter(|snapshot| !ids.contains(&snapshot.snapshot_id()))
                .collect();
            self.unused(base, &remaining, &mut decision);
        }
        Ok(decision)
    }

    /// Finds the specs that no manifest has, and the schemas that no snapshot has. A schema stays, too, where it
    /// alone tells the type of a column that a remaining spec partitions by.
    fn unused(&self, base: &TableMetadata, remaining: &[&SnapshotRef], decision: &mut Decision) {
        let known = lock(&self.specs);
        let mut specs = BTreeSet::from([base.default_partition_spec_id()]);
        for snapshot in remaining {
            match known.get(&snapshot.snapshot_id()) {
                Some(used) => specs.extend(used),
                None => return,
            }
        }
        let mut schemas = BTreeSet::from([base.current_schema_id()]);
        schemas.extend(remaining.iter().filter_map(|snapshot| snapshot.schema_id()));
        let remaining_specs = base
            .partition_specs_iter()
            .filter(|spec| specs.contains(&spec.spec_id()));
        for field in remaining_specs.flat_map(|spec| spec.fields()) {
            if base.current_schema().field_by_id(field.source_id).is_none() {
                let with_column = base
                    .schemas_iter()
                    .filter(|schema| schema.field_by_id(field.source_id).is_some());
                schemas.extend(with_column.map(|schema| schema.schema_id()).max());
            }
        }
        decision.spec_ids = base
            .partition_specs_iter()
            .map(|spec| spec.spec_id())
            .filter(|id| !specs.contains(id))
            .collect();
        decision.schema_ids = base
            .schemas_iter()
            .map(|schema| schema.schema_id())
            .filter(|id| !schemas.contains(id))
            .collect();
        decision.spec_ids.sort_unstable();
        decision.schema_ids.sort_unstable();
    }

    /// Makes the change to a base, and remembers it.
    pub(super) fn apply(
        &self,
        base: &TableMetadata,
        mut builder: TableMetadataBuilder,
    ) -> calve_table::Result<TableMetadataBuilder> {
        let decision = self.decide(base).map_err(calve_table::Error::rejected)?;
        for name in &decision.expiry.references {
            builder = builder.remove_ref(name);
        }
        for (id, _) in &decision.statistics {
            builder = builder
                .remove_statistics(*id)
                .remove_partition_statistics(*id);
        }
        builder = builder
            .remove_snapshots(&decision.expiry.snapshot_ids())
            .remove_partition_specs(&decision.spec_ids)?
            .remove_schemas(&decision.schema_ids)?;
        *lock(&self.decision) = decision;
        Ok(builder)
    }

    /// The last decision.
    pub(super) fn decided(&self) -> Decision {
        lock(&self.decision).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics in between two changes that belong together.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Refuses to delete files that the table does not own.
pub(super) fn check_owner(table: &TableIdent, metadata: &TableMetadata) -> Result<()> {
    if owns_files(metadata) {
        return Ok(());
    }
    Err(Error::NotOwner {
        table: table.clone(),
    })
}
