//! The one pass over the lake: footers in, data files out, everything noteworthy written down.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use calve_base::{Location, Progress, Stage};
use calve_lake::footer::{FooterError, read_footers};
use calve_lake::{Lake, LakeEntry, LakeFile};
use calve_parquet::{Finding, FindingCode};
use calve_storage::Storage;
use calve_table::{FileSet, ManifestRoller, WrittenManifests};
use futures::{Stream, StreamExt};
use iceberg::spec::{DataFile, Struct};
use parquet::file::metadata::ParquetMetaData;

use super::blueprint::Blueprint;
use super::judge::{Judge, Prepared, Refusal, Verdict};
use super::observer::{Judged, Observer};
use super::report::{Capped, Drifted, Refused, SeenFinding, SkippedFile};
use super::{Choice, DuplicateFiles, OnRefused, Selection};
use crate::Result;

/// What the pass has found so far.
#[derive(Debug)]
pub(super) struct Survey {
    pub(super) judge: Judge,
    pub(super) skipped: Capped<SkippedFile>,
    pub(super) refused: Capped<Refused>,
    pub(super) drifted: Capped<Drifted>,
    pub(super) findings: BTreeMap<(FindingCode, String), SeenFinding>,
    pub(super) files_count: u64,
    pub(super) records_count: u64,
    pub(super) size_bytes: u64,
    /// The partitions seen.
    partitions: HashSet<Struct>,
    /// What happens to the pass when a file is refused.
    on_refused: OnRefused,
    /// Who chooses the files, where not all are wanted.
    selection: Option<Arc<dyn Selection>>,
    /// Who wants to hear of each file.
    observer: Option<Arc<dyn Observer>>,
}

/// Where the data files go.
#[derive(Debug)]
pub(super) enum Sink {
    /// Nowhere: only the plan is wanted.
    Discard,
    /// Into manifests, once the first file has shown what the table looks like.
    Pending {
        /// Where they are written.
        storage: Storage,
        /// What the table will look like.
        blueprint: Box<Blueprint>,
        /// The snapshot they are for.
        snapshot_id: i64,
    },
    /// Into these manifests.
    Manifests(ManifestRoller),
}

/// What the listing passed over, shared with the stream that lists.
#[derive(Debug, Default)]
struct Listing {
    skipped: Capped<SkippedFile>,
    duplicates: Capped<String>,
    seen: FileSet,
    error: Option<calve_lake::Error>,
}

/// Which files are let through.
struct Gate {
    existing: FileSet,
    duplicates: DuplicateFiles,
    selection: Option<Arc<dyn Selection>>,
    observer: Option<Arc<dyn Observer>>,
}

/// What the listing tells when the pass is over.
#[derive(Debug)]
pub(super) struct Listed {
    /// Files that are in the table already, or twice in the lake.
    pub(super) duplicates: Capped<String>,
    /// All files that were let through.
    pub(super) seen: FileSet,
}

impl Sink {
    /// Takes one file. `judge` knows the schema so far.
    async fn take(&mut self, judge: &mut Judge, spec_id: i32, file: DataFile) -> Result<()> {
        if let Self::Pending {
            storage,
            blueprint,
            snapshot_id,
        } = self
        {
            let metadata = blueprint.metadata(judge.union())?;
            *self = Self::Manifests(ManifestRoller::new(storage, &metadata, *snapshot_id)?);
        }
        if let Self::Manifests(roller) = self {
            if let Some(schema) = judge.take_grown_schema()? {
                roller.set_schema(schema).await?;
            }
            roller.add_with_spec(spec_id, file).await?;
        }
        Ok(())
    }

    /// Ends the manifests; nothing where no file came.
    pub(super) async fn finish(self) -> Result<Option<(i64, WrittenManifests)>> {
        match self {
            Self::Manifests(roller) => {
                let snapshot_id = roller.snapshot_id();
                Ok(Some((snapshot_id, roller.finish().await?)))
            }
            Self::Discard | Self::Pending { .. } => Ok(None),
        }
    }

    /// Deletes what was written.
    pub(super) async fn discard(self) {
        if let Self::Manifests(roller) = self {
            roller.discard().await;
        }
    }
}

impl Survey {
    pub(super) fn new(
        judge: Judge,
        on_refused: OnRefused,
        selection: Option<Arc<dyn Selection>>,
        observer: Option<Arc<dyn Observer>>,
    ) -> Self {
        Self {
            judge,
            skipped: Capped::default(),
            refused: Capped::default(),
            drifted: Capped::default(),
            findings: BTreeMap::new(),
            files_count: 0,
            records_count: 0,
            size_bytes: 0,
            partitions: HashSet::new(),
            on_refused,
            selection,
            observer,
        }
    }

    /// Number of partitions that got files.
    pub(super) fn partitions_count(&self) -> u64 {
        self.partitions.len() as u64
    }

    /// Reads every footer of the lake, in the lake's order, and sends what fits to `sink`.
    pub(super) async fn run(
        &mut self,
        lake: &Lake,
        existing: FileSet,
        duplicates: DuplicateFiles,
        concurrency: usize,
        progress: &dyn Progress,
        sink: &mut Sink,
    ) -> Result<Listed> {
        let listing = Arc::new(Mutex::new(Listing::default()));
        let gate = Gate {
            existing,
            duplicates,
            selection: self.selection.clone(),
            observer: self.observer.clone(),
        };
        let files = new_files(lake, gate, Arc::clone(&listing));
        let mut footers = Box::pin(read_footers(lake.storage(), files, concurrency));
        let stage = Stage::start(progress, "footers read", Some(lake.totals().files));
        while let Some((file, footer)) = footers.next().await {
            stage.advance(1);
            match footer {
                Ok(footer) => self.take(&file, &footer, sink).await?,
                Err(error) if !error.is_about_the_file() => return Err(error.into()),
                Err(error) => self.cannot_read(&file, &error),
            }
        }
        drop((stage, footers));
        let mut listing = lock(&listing);
        if let Some(error) = listing.error.take() {
            return Err(error.into());
        }
        self.skipped.append(std::mem::take(&mut listing.skipped));
        Ok(Listed {
            duplicates: std::mem::take(&mut listing.duplicates),
            seen: std::mem::take(&mut listing.seen),
        })
    }

    /// Takes one file in: judged, counted, and sent to the sink.
    async fn take(
        &mut self,
        file: &LakeFile,
        footer: &ParquetMetaData,
        sink: &mut Sink,
    ) -> Result<()> {
        let (verdict, schema, own) = self.judge.judge(file, footer);
        self.tell(file, Some((footer, &schema)), &own, &verdict);
        for finding in schema.schema.findings.iter().chain(&own) {
            self.note(finding, &file.location);
        }
        match verdict {
            Verdict::Refused(refusals) => {
                for refusal in refusals {
                    self.refuse(&file.location, refusal);
                }
            }
            Verdict::NoRows => {
                let reason = "no_rows".to_owned();
                self.skipped.push(SkippedFile {
                    file: file.location.clone(),
                    reason,
                });
            }
            Verdict::Fits(data_file) => {
                if !schema.drift.is_empty() {
                    let drift = schema.drift.to_vec();
                    self.drifted.push(Drifted {
                        file: file.location.clone(),
                        drift,
                    });
                }
                self.files_count += 1;
                self.records_count += data_file.record_count();
                self.size_bytes += data_file.file_size_in_bytes();
                if !self.partitions.contains(data_file.partition()) {
                    self.partitions.insert(data_file.partition().clone());
                }
                let hopeless = self.refused.count > 0 && self.on_refused == OnRefused::Fail;
                if !hopeless {
                    let spec_id = self.judge.spec_id();
                    sink.take(&mut self.judge, spec_id, *data_file).await?;
                }
            }
        }
        Ok(())
    }

    /// Whether any file has shown its columns.
    pub(super) fn has_schema(&self) -> bool {
        self.judge.has_schema()
    }

    /// Refuses a file whose footer cannot be read.
    fn cannot_read(&mut self, file: &LakeFile, error: &FooterError) {
        let refusal = Refusal {
            column: None,
            reason: error.code().to_owned(),
            message: error.to_string(),
            is_only_unsafe: false,
        };
        let verdict = Verdict::Refused(vec![refusal.clone()]);
        self.tell(file, None, &[], &verdict);
        self.refuse(&file.location, refusal);
    }

    fn tell(
        &self,
        file: &LakeFile,
        read: Option<(&ParquetMetaData, &Prepared)>,
        own: &[Finding],
        verdict: &Verdict,
    ) {
        if let Some(observer) = &self.observer {
            observer.judged(Judged {
                file,
                read,
                own,
                verdict,
            });
        }
    }

    fn refuse(&mut self, file: &Location, refusal: Refusal) {
        if let Some(selection) = &self.selection {
            selection.refused(file);
        }
        self.refused.push(Refused {
            file: file.clone(),
            column: refusal.column,
            reason: refusal.reason,
            message: refusal.message,
        });
    }

    fn note(&mut self, finding: &Finding, file: &Location) {
        self.findings
            .entry((finding.code, finding.column.clone()))
            .and_modify(|seen| seen.files_count += 1)
            .or_insert_with(|| SeenFinding {
                severity: finding.severity,
                code: finding.code,
                column: finding.column.clone(),
                message: finding.message.clone(),
                files_count: 1,
                example: file.clone(),
            });
    }
}

/// The lake's files without those that are passed over; what is passed over goes into `listing`.
///
/// Once a duplicate is found that ends the run, no further file is let through: the rest is only listed.
fn new_files(
    lake: &Lake,
    gate: Gate,
    listing: Arc<Mutex<Listing>>,
) -> impl Stream<Item = LakeFile> + Send + use<> {
    let Gate {
        existing,
        duplicates,
        selection,
        observer,
    } = gate;
    lake.files().filter_map(move |entry| {
        let mut listing = lock(&listing);
        let file = match entry {
            Ok(LakeEntry::File(file)) => file,
            Ok(LakeEntry::Skipped(skipped)) => {
                let reason = skipped.reason.as_str().to_owned();
                if let Some(observer) = &observer {
                    observer.skipped(&skipped.location, &reason);
                }
                listing.skipped.push(SkippedFile {
                    file: skipped.location,
                    reason,
                });
                return std::future::ready(None);
            }
            Err(error) => {
                listing.error.get_or_insert(error);
                return std::future::ready(None);
            }
        };
        let choice = selection
            .as_ref()
            .map_or(Choice::Add, |it| it.choose(&file));
        if choice != Choice::Add {
            // What is replaced is in the table, and no duplicate of what others add.
            return std::future::ready((choice == Choice::Replace).then_some(file));
        }
        // Two partitions of a metastore may share a folder: no file may come twice in one run either.
        let known = existing.contains(&file.location) || listing.seen.contains(&file.location);
        let passes = match (known, duplicates) {
            (false, _) => listing.duplicates.count == 0,
            (true, DuplicateFiles::Allow) => true,
            (true, DuplicateFiles::Skip) => {
                let reason = "already_in_table".to_owned();
                listing.skipped.push(SkippedFile {
                    file: file.location.clone(),
                    reason,
                });
                false
            }
            (true, DuplicateFiles::Fail) => {
                listing.duplicates.push(file.location.to_string());
                false
            }
        };
        if passes {
            listing.seen.insert(&file.location);
        }
        std::future::ready(passes.then_some(file))
    })
}

fn lock(listing: &Mutex<Listing>) -> MutexGuard<'_, Listing> {
    listing.lock().unwrap_or_else(PoisonError::into_inner)
}
