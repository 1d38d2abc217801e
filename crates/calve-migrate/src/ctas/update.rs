//! A table that a rewrite made, beside its source as it is now: what is left to do.

use std::collections::{BTreeMap, HashMap, HashSet};

use calve_base::{Location, TableIdent};
use calve_catalog::Table;
use calve_lake::{Lake, LakeEntry, LakeFile, LakeOptions, Source};
use calve_query::LakeFormat;
use calve_table::{DEFAULT_MANIFEST_CONCURRENCY, Scan, file_key};
use futures::TryStreamExt;
use serde::{Deserialize, Serialize};

use super::resume::Earlier;
use super::source::{Opened, SourceFile, lake_options, source_files};
use super::{Ctas, CtasSource};
use crate::journal::{Batch, Journal, MigrationState};
use crate::listing_sum::ListingSum;
use crate::sync::{OnChanged, OnDeleted};
use crate::{Error, Result};

/// What the names of the documents begin with that tell the files which were read in parts.
const PAGES: &str = "sources-";
/// How many files one of these documents tells.
const PAGE_FILES: usize = 10_000;

/// One page of the files that were read in parts.
#[derive(Debug, Serialize, Deserialize)]
struct Page {
    files: Vec<(String, String)>,
}

/// Writes down which files were read, where batches had parts of them.
pub(super) async fn write_pages(journal: &Journal, files: &[SourceFile]) -> Result<()> {
    for (number, files) in files.chunks(PAGE_FILES).enumerate() {
        let files = files.iter().map(|file| (file.name(), file.version()));
        let page = Page {
            files: files.collect(),
        };
        journal.put(&format!("{PAGES}{number}.json"), &page).await?;
    }
    Ok(())
}

/// A file that was read before.
#[derive(Debug)]
struct Read {
    version: String,
    /// The batch that has all of its rows.
    batch: Option<u64>,
}

/// The files that committed batches read, by name.
#[derive(Debug, Default)]
struct ReadFiles(HashMap<String, Read>);

impl ReadFiles {
    /// # Errors
    /// [`Error::CannotUpdate`] where the journal does not tell.
    async fn of(earlier: &Earlier, table: &TableIdent) -> Result<Self> {
        let mut files = HashMap::new();
        let mut is_told = true;
        for batch in earlier.landed() {
            is_told &= !batch.sources.is_empty() || batch.replaces.is_some();
            for (name, version) in &batch.sources {
                let (version, batch) = (version.clone(), Some(batch.number));
                files.insert(name.clone(), Read { version, batch });
            }
        }
        if !is_told {
            let pages: Vec<Page> = earlier.journal.documents(PAGES).await?;
            if pages.is_empty() {
                let id = earlier.journal.id();
                return Err(cannot(
                    table,
                    format!("the journal of {id} does not tell which files were read"),
                ));
            }
            for (name, version) in pages.into_iter().flat_map(|page| page.files) {
                let batch = None;
                files.entry(name).or_insert(Read { version, batch });
            }
        }
        Ok(Self(files))
    }
}

fn cannot(table: &TableIdent, problem: String) -> Error {
    let table = table.clone();
    Error::CannotUpdate { table, problem }
}

/// What became of the source.
#[derive(Debug, Default)]
pub(super) struct Since {
    pub(super) changed: Vec<String>,
    pub(super) missing: Vec<String>,
    /// How many of those that changed are read again.
    pub(super) replaced_count: u64,
    /// How many of those that are missing leave the table.
    pub(super) removed_count: u64,
    /// Which of the listed files are read, in order.
    chosen: Vec<usize>,
    /// Those that are new, as places among the chosen.
    pub(super) new: Vec<usize>,
    /// The batches that are done anew, each with what there is of its files among the chosen.
    pub(super) redone: BTreeMap<u64, Vec<usize>>,
}

impl Since {
    fn find(files: &[SourceFile], read: ReadFiles, ctas: &Ctas) -> Result<Self> {
        let mut since = Self::default();
        let mut left = read.0;
        let mut seen: Vec<(usize, Option<Read>)> = Vec::with_capacity(files.len());
        // What is to be settled, by batch: how many files changed and are missing.
        let mut touched: BTreeMap<Option<u64>, (u64, u64)> = BTreeMap::new();
        for (place, file) in files.iter().enumerate() {
            let before = left.remove(&file.name());
            if let Some(before) = before.as_ref().filter(|it| it.version != file.version()) {
                touched.entry(before.batch).or_default().0 += 1;
                since.changed.push(file.name());
            }
            seen.push((place, before));
        }
        for (name, before) in left {
            touched.entry(before.batch).or_default().1 += 1;
            since.missing.push(name);
        }
        since.missing.sort_unstable();
        let replaces = ctas.options.on_changed == OnChanged::Replace;
        let removes = ctas.options.on_deleted == OnDeleted::Remove;
        for (batch, (changed, missing)) in touched {
            if (changed > 0 && !replaces) || (missing > 0 && !removes) {
                continue;
            }
            let Some(batch) = batch else {
                let problem = "each of its batches was read from parts of all files, so that no file's rows can be told \
                               from those of others";
                return Err(cannot(&ctas.table, problem.to_owned()));
            };
            since.redone.insert(batch, Vec::new());
            since.replaced_count += changed;
            since.removed_count += missing;
        }
        for (place, before) in seen {
            let places = match before {
                None => &mut since.new,
                Some(before) => {
                    let batch = before.batch.and_then(|batch| since.redone.get_mut(&batch));
                    let Some(places) = batch else { continue };
                    places
                }
            };
            places.push(since.chosen.len());
            since.chosen.push(place);
        }
        Ok(since)
    }

    /// Whether the table has what the source has once this is done.
    pub(super) fn is_settled(&self) -> bool {
        self.replaced_count == self.changed.len() as u64
            && self.removed_count == self.missing.len() as u64
    }

    fn is_nothing(&self) -> bool {
        self.chosen.is_empty() && self.redone.is_empty()
    }

    /// What people should know of it.
    pub(super) fn notes(&self) -> impl Iterator<Item = String> {
        let note = |files: &[String], settled: u64, what: &str, flag: &str| {
            let first = files.first()?;
            let count = files.len() as u64;
            let told = format!("{count} of the files that were copied {what}, such as {first}");
            Some(match count - settled {
                0 => format!("{told}: their batches are written anew"),
                left => format!(
                    "{told}: the table has the rows of {left} as they were; with {flag}, their batches are written anew"
                ),
            })
        };
        let replaced = (self.replaced_count, "--on-changed replace");
        let removed = (self.removed_count, "--on-deleted remove");
        let changed = note(&self.changed, replaced.0, "have changed since", replaced.1);
        let missing = note(&self.missing, removed.0, "are gone", removed.1);
        changed.into_iter().chain(missing)
    }
}

/// A table beside its source.
pub(super) enum Update {
    /// There is nothing to do.
    InStep(Box<InStep>),
    /// There is.
    Behind(Box<Behind>),
}

/// A table that has what its source has, as far as it is told to.
pub(super) struct InStep {
    pub(super) source: String,
    pub(super) since: Since,
    /// What the source lists as, where the journal does not know it yet.
    pub(super) listing: Option<String>,
}

/// A table that lacks something.
pub(super) struct Behind {
    pub(super) since: Since,
    /// What the source lists as, where the table is in step with that once all is done.
    pub(super) listing: Option<String>,
    pub(super) lake: Lake,
    pub(super) format: LakeFormat,
    /// The files that are read.
    pub(super) files: Vec<LakeFile>,
    /// The sequence number at which no row of a batch that is done anew was deleted.
    pub(super) sequence_number: i64,
}

impl Update {
    /// Finds out what became of the source: first whether it lists as it did when the table was last in step, then file
    /// by file. Nothing is opened.
    ///
    /// # Errors
    /// When the source cannot be listed, or what is asked for cannot be done.
    pub(super) async fn find(ctas: &Ctas, earlier: &Earlier) -> Result<Self> {
        let CtasSource::Lake {
            source,
            options,
            format,
        } = &ctas.source
        else {
            let problem = "its source is a table".to_owned();
            return Err(cannot(&ctas.table, problem));
        };
        let listing = listing(ctas, source, options).await?;
        let journal = earlier.journal.migration();
        let is_done = earlier.is_whole() && journal.state != MigrationState::Running;
        if is_done && listing.is_some() && listing == journal.listing {
            return Ok(Self::InStep(Box::new(InStep {
                source: source.to_string(),
                since: Since::default(),
                listing: None,
            })));
        }
        let options = lake_options(ctas, options, *format);
        let lake = Box::pin(Lake::open(ctas.catalog.storage(), source.clone(), options)).await?;
        let mut files: Vec<LakeFile> = Vec::new();
        let mut entries = lake.files();
        while let Some(entry) = entries.try_next().await? {
            if let LakeEntry::File(file) = entry {
                files.push(file);
            }
        }
        let listed = source_files(files.iter().map(|file| (file, None)));
        let read = ReadFiles::of(earlier, &ctas.table).await?;
        let since = Since::find(&listed, read, ctas)?;
        let listing = listing.filter(|_| since.is_settled());
        if is_done && since.is_nothing() {
            return Ok(Self::InStep(Box::new(InStep {
                source: source.to_string(),
                since,
                listing,
            })));
        }
        let chosen: HashSet<usize> = since.chosen.iter().copied().collect();
        let mut places = 0..;
        files.retain(|_| places.next().is_some_and(|place| chosen.contains(&place)));
        Ok(Self::Behind(Box::new(Behind {
            sequence_number: check_live(ctas, earlier, &since).await?,
            since,
            listing,
            lake,
            format: *format,
            files,
        })))
    }
}

impl Behind {
    /// Opens the files that are read.
    pub(super) async fn open(
        &self,
        ctas: &Ctas,
        earlier: &Earlier,
        session: &calve_query::Session,
    ) -> Result<Opened> {
        let known = earlier.source_schema();
        let files = self.files.clone();
        Opened::of_files(ctas, session, &self.lake, self.format, (files, known)).await
    }
}

/// What the source lists as; nothing where that cannot be told by one listing of a folder.
async fn listing(ctas: &Ctas, source: &Source, options: &LakeOptions) -> Result<Option<String>> {
    let Source::Location(root) = source else {
        return Ok(None);
    };
    if !options.partition_filter.is_empty() {
        return Ok(None);
    }
    ListingSum::of(ctas.catalog.storage(), root).await.map(Some)
}

/// Looks whether the files of batches that are done anew are in the table, all their rows among them.
async fn check_live(ctas: &Ctas, earlier: &Earlier, since: &Since) -> Result<i64> {
    let Some(table) = &earlier.table else {
        return Ok(0);
    };
    let redone = earlier
        .landed()
        .filter(|batch| since.redone.contains_key(&batch.number));
    let mut left: HashMap<u128, u64> = HashMap::new();
    for batch in redone {
        left.extend(
            batch
                .files
                .iter()
                .map(|file| (file_key(file), batch.number)),
        );
    }
    if !left.is_empty() {
        let refused = |batch: u64, what: &str| {
            let problem = format!(
                "the files that batch {batch} read have changed or are gone, and {what}, so that its rows cannot be told \
                 from others"
            );
            Err(cannot(&ctas.table, problem))
        };
        let scan = Scan::new(Table::clone(table)).with_concurrency(DEFAULT_MANIFEST_CONCURRENCY);
        let mut files = scan.plan().await?;
        while let Some(file) = files.try_next().await? {
            let batch = left.remove(&file_key(&file.file.path));
            if let (Some(batch), false) = (batch, file.deletes.is_empty()) {
                return refused(batch, "rows of it were deleted from the table");
            }
        }
        if let Some(batch) = left.values().min() {
            return refused(*batch, "the files that it wrote were rewritten");
        }
    }
    Ok(table.metadata().last_sequence_number())
}

/// The files that the batches of a table wrote which are done anew.
pub(super) fn removed_files(batch: &Batch) -> Result<Vec<Location>> {
    let files = batch.files.iter().map(Location::parse);
    let files: std::result::Result<Vec<Location>, _> = files.collect();
    Ok(files.map_err(calve_table::Error::from)?)
}
