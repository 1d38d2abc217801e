//! `rewrite_manifests`: the files of a table listed in fewer manifests, those of near partitions together.
//!
//! No data file is read or changed; the snapshot has the rows of the one before.

mod layout;

use std::future::IntoFuture;
use std::sync::Arc;

use calve_base::TableIdent;
use calve_catalog::Catalog;
use calve_table::{
    ManifestSelection, ReplaceManifests, Transaction, load_manifests, manifest_target_bytes,
    new_snapshot_id,
};
use futures::future::BoxFuture;

pub use layout::{ManifestSet, RewriteReason};

use crate::Result;
use layout::{SORT_BY_SUMMARY, TARGET_SUMMARY, Wanted, choose};

/// What a rewrite did. The counts are called as Spark's.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// Manifests that are gone from the current snapshot.
    pub rewritten_manifests_count: u64,
    /// Manifests that took their place.
    pub added_manifests_count: u64,
    /// Files that are listed in them.
    pub processed_entries_count: u64,
    /// The snapshot that was committed; none where there was nothing to do.
    pub snapshot_id: Option<i64>,
}

/// What a rewrite would do.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Plan {
    /// The table.
    pub table: TableIdent,
    /// The snapshot whose manifests were looked at; none where the table is empty.
    pub snapshot_id: Option<i64>,
    /// The size that manifests should have, in bytes.
    pub target_size_bytes: u64,
    /// The manifests that are written anew, by kind.
    pub sets: Vec<ManifestSet>,
}

/// Rewrites the manifests of one table: those of one partition spec, at `commit.manifest.target-size-bytes`.
///
/// A second run right after finds nothing to do.
#[derive(Debug, Clone)]
#[must_use = "nothing is rewritten until this is awaited"]
pub struct RewriteManifests {
    catalog: Arc<dyn Catalog>,
    table: TableIdent,
    wanted: Wanted,
}

impl RewriteManifests {
    /// Starts with the current partition spec, and all of its fields.
    pub fn new(catalog: Arc<dyn Catalog>, table: TableIdent) -> Self {
        Self {
            catalog,
            table,
            wanted: Wanted::default(),
        }
    }

    /// Rewrites the manifests of another partition spec.
    pub fn with_spec_id(mut self, spec_id: i32) -> Self {
        self.wanted.spec_id = Some(spec_id);
        self
    }

    /// Brings files together by these partition fields, the first before the others, instead of by all.
    pub fn with_sort_by(mut self, fields: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.wanted.sort_by = fields.into_iter().map(Into::into).collect();
        self
    }

    /// Says which manifests would be written anew.
    ///
    /// # Errors
    /// When the table cannot be read, or has no such spec or field.
    pub async fn plan(&self) -> Result<Plan> {
        let table = self.catalog.load_table(&self.table).await?;
        let metadata = table.metadata();
        let snapshot = metadata.current_snapshot();
        let manifests = match snapshot {
            Some(snapshot) => load_manifests(table.storage(), snapshot).await?,
            None => Vec::new(),
        };
        Ok(Plan {
            table: self.table.clone(),
            snapshot_id: snapshot.map(|snapshot| snapshot.snapshot_id()),
            target_size_bytes: manifest_target_bytes(metadata) as u64,
            sets: choose(metadata, &manifests, &self.wanted)?,
        })
    }

    async fn run(self) -> Result<Report> {
        let table = self.catalog.load_table(&self.table).await?;
        let metadata = table.metadata();
        let target = manifest_target_bytes(metadata).to_string();
        let sort_by = self.wanted.sort_by_text(metadata)?;
        if metadata.current_snapshot().is_none() {
            return Ok(Report::default());
        }
        let wanted = self.wanted.clone();
        let selection: ManifestSelection = Arc::new(move |metadata, manifests| {
            let sets = choose(metadata, manifests, &wanted);
            let sets = sets.map_err(calve_table::Error::rejected)?;
            Ok(sets.into_iter().map(|set| set.group).collect())
        });
        let committed = Transaction::new(Arc::clone(&self.catalog), table)
            .with_snapshot(ReplaceManifests::new(new_snapshot_id(), selection))
            .with_summary(TARGET_SUMMARY, target)
            .with_summary(SORT_BY_SUMMARY, sort_by)
            .await;
        let report = match committed {
            Ok(report) => report,
            Err(calve_table::Error::NothingToReplace) => return Ok(Report::default()),
            Err(error) => return Err(error.into()),
        };
        let id = report.snapshot_id;
        let snapshot = id.and_then(|id| report.table.metadata().snapshot_by_id(id));
        let count = |name: &str| {
            let summary = &snapshot?.summary().additional_properties;
            summary.get(name)?.parse().ok()
        };
        let count = |name| count(name).unwrap_or_default();
        Ok(Report {
            rewritten_manifests_count: count("manifests-replaced"),
            added_manifests_count: count("manifests-created"),
            processed_entries_count: count("entries-processed"),
            snapshot_id: id,
        })
    }
}

impl IntoFuture for RewriteManifests {
    type Output = Result<Report>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}
