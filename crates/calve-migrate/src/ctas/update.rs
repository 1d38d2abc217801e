//! A table that a rewrite made, beside its source as it is now: what is left to do.

use std::collections::{BTreeMap, HashMap, HashSet};

use calve_base::{Location, TableIdent};
use calve_catalog::Table;
use calve_lake::{Lake, LakeEntry, LakeFile, LakeOptions, Source};
use calve_query::LakeFormat;
use calve_table::{DEFAULT_MANIFEST_CONCURRENCY, Scan, file_key};
use futures::TryStreamExt;
use uuid::Uuid;

use super::resume::Earlier;
use super::source::{Opened, SourceFile, key_texts, lake_options, source_files};
use super::{Ctas, CtasSource};
use crate::journal::{Batch, MigrationState};
use crate::listing_sum::ListingSum;
use crate::sync::{OnChanged, OnDeleted};
use crate::{Error, Result};

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
        let batches = earlier.landed().filter(|batch| batch.whole_files);
        let batches: HashMap<Uuid, u64> = batches.map(|it| (it.writer, it.number)).collect();
        let has_parts = earlier.landed().any(|batch| !batch.whole_files);
        let mut files = HashMap::new();
        let mut are_told = !has_parts;
        for page in earlier.journal.sources().await? {
            let batch = batches.get(&page.writer).copied();
            if batch.is_none() && !(has_parts && page.writer.is_nil()) {
                continue;
            }
            are_told |= batch.is_none();
            for (name, version) in page.files {
                files.insert(name, Read { version, batch });
            }
        }
        if !are_told {
            let id = earlier.journal.id();
            let problem = format!("the journal of {id} does not tell which files were read");
            return Err(cannot(table, problem));
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
        let mut names = HashSet::with_capacity(files.len());
        for (place, file) in files.iter().enumerate() {
            if !names.insert(file_key(&file.name())) {
                let problem = format!("two partitions of its source have {}", file.location);
                return Err(cannot(&ctas.table, problem));
            }
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
    pub(super) fn notes(&self, ctas: &Ctas) -> impl Iterator<Item = String> {
        let mut flags = Vec::new();
        if ctas.options.on_changed == OnChanged::Keep && !self.changed.is_empty() {
            flags.push("--on-changed replace");
        }
        if ctas.options.on_deleted == OnDeleted::Keep && !self.missing.is_empty() {
            flags.push("--on-deleted remove");
        }
        let flags = flags.join(" and ");
        let note = move |files: &[String], settled: u64, what: &str| {
            let first = files.first()?;
            let count = files.len() as u64;
            let told = format!("{count} of the files that were copied {what}, such as {first}");
            Some(match count - settled {
                0 => format!("{told}: their batches are written anew"),
                left => format!(
                    "{told}: the table has the rows of {left} as they were; with {flags}, their batches are written anew"
                ),
            })
        };
        let changed = note(&self.changed, self.replaced_count, "have changed since");
        let missing = note(&self.missing, self.removed_count, "are gone");
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
    /// Finds out file by file what became of the source, which lists as `listing`. Nothing is opened.
    ///
    /// # Errors
    /// When the source cannot be listed, or what is asked for cannot be done.
    pub(super) async fn find(
        ctas: &Ctas,
        earlier: &Earlier,
        listing: Option<String>,
    ) -> Result<Self> {
        let (source, options, format) = lake(ctas)?;
        let listed_as = || self::listing(ctas, source, options);
        let options = lake_options(ctas, options, format);
        let lake = Box::pin(Lake::open(ctas.catalog.storage(), source.clone(), options)).await?;
        check_keys(ctas, earlier, &lake)?;
        let mut files: Vec<LakeFile> = Vec::new();
        let mut entries = lake.files();
        while let Some(entry) = entries.try_next().await? {
            if let LakeEntry::File(file) = entry {
                files.push(file);
            }
        }
        let listed = files.iter().map(|file| (file, None));
        let listed = source_files(lake.partition_keys(), listed);
        let read = ReadFiles::of(earlier, &ctas.table).await?;
        let since = Since::find(&listed, read, ctas)?;
        // It counts for what was compared only if it was so before and after.
        let is_steady = listing.is_some() && since.is_settled() && listed_as().await? == listing;
        let listing = listing.filter(|_| is_steady);
        let is_done =
            earlier.is_whole() && earlier.journal.migration().state != MigrationState::Running;
        if is_done && since.is_nothing() {
            return Ok(Self::InStep(Box::new(InStep { since, listing })));
        }
        let chosen: HashSet<usize> = since.chosen.iter().copied().collect();
        let mut places = 0..;
        files.retain(|_| places.next().is_some_and(|place| chosen.contains(&place)));
        Ok(Self::Behind(Box::new(Behind {
            sequence_number: check_live(ctas, earlier, &since).await?,
            since,
            listing,
            lake,
            format,
            files,
        })))
    }
}

/// The lake that a table is kept in step with.
fn lake(ctas: &Ctas) -> Result<(&Source, &LakeOptions, LakeFormat)> {
    match &ctas.source {
        CtasSource::Lake {
            source,
            options,
            format,
        } => Ok((source, options, *format)),
        CtasSource::Table { .. } => Err(cannot(&ctas.table, "its source is a table".to_owned())),
    }
}

/// What the lake lists as; nothing where that cannot be told by one listing of a folder.
///
/// # Errors
/// When the source is no lake, or cannot be listed.
pub(super) async fn listing_of(ctas: &Ctas) -> Result<Option<String>> {
    let (source, options, _) = lake(ctas)?;
    listing(ctas, source, options).await
}

/// Refuses a lake whose folders mean something else now: a key of numbers that has a text, for one, would be read as
/// what it was.
fn check_keys(ctas: &Ctas, earlier: &Earlier, lake: &Lake) -> Result<()> {
    let keys = key_texts(lake.partition_keys());
    match earlier.source_keys() {
        Some(before) if before != keys => {
            let name = |keys: &[String]| match keys {
                [] => "none".to_owned(),
                keys => keys.join(", "),
            };
            let (now, before) = (name(&keys), name(&before));
            let problem =
                format!("the partition keys of its source are {now} now, and were {before}");
            Err(cannot(&ctas.table, problem))
        }
        _ => Ok(()),
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

/// The files that a batch wrote.
pub(super) fn files_of(batch: &Batch) -> Result<Vec<Location>> {
    let files = batch.files.iter().map(Location::parse);
    let files: std::result::Result<Vec<Location>, _> = files.collect();
    Ok(files.map_err(calve_table::Error::from)?)
}
