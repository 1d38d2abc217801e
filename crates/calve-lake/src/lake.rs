use std::sync::Arc;

use calve_base::{Location, Progress, Scheme};
use calve_catalog::HiveColumn;
use calve_storage::Storage;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};

use crate::filter::PartitionFilter;
use crate::folder::{FolderReader, Layout};
use crate::folders::{Entries, Survey, Surveyed};
use crate::tree::Tree;
use crate::{Error, LakeEntry, LakeOptions, PartitionKey, Result, Source, Totals, Warning};

/// What is counted while a lake is opened.
const STAGE: &str = "objects listed";

/// A lake whose partition keys are known and whose files can be streamed.
#[derive(Debug, Clone)]
pub struct Lake {
    storage: Storage,
    root: Location,
    keys: Arc<[PartitionKey]>,
    totals: Totals,
    warnings: Vec<Warning>,
    columns: Option<Vec<HiveColumn>>,
    filter: Arc<PartitionFilter>,
    options: Arc<LakeOptions>,
}

impl Lake {
    /// Lists the source once: checks its folders, learns its partition keys and their types, counts.
    ///
    /// # Errors
    /// When the source is missing, has no data files, or is no lake that one table can read.
    pub async fn open(storage: &Storage, source: Source, options: LakeOptions) -> Result<Self> {
        let filter = PartitionFilter::new(&options.partition_filter)?;
        match source {
            Source::Location(root) => Self::open_folders(storage, root, filter, options).await,
            Source::HiveTable { .. } => unimplemented!(),
        }
    }

    /// The partition keys, in the order of the folders of the first file, or of the metastore.
    pub fn partition_keys(&self) -> &[PartitionKey] {
        &self.keys
    }

    /// How much there is.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// What its reader should know.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// The data columns as the metastore has them; `None` for a source of folders.
    pub fn hive_columns(&self) -> Option<&[HiveColumn]> {
        self.columns.as_deref()
    }

    /// The source's folder or file; of a metastore's table, the table's location.
    pub fn root(&self) -> &Location {
        &self.root
    }

    /// The storage that the files lie in.
    pub fn storage(&self) -> &Storage {
        &self.storage
    }

    /// Lists again and streams what there is, in the order of the keys, or of the metastore's
    /// partitions. The order is the same each time. The stream ends with its first error.
    pub fn files(&self) -> BoxStream<'static, Result<LakeEntry>> {
        let reader = self.options.reader(&self.root, Layout::Partitioned);
        let tree = self.options.tree(&self.storage, &self.root, &self.filter);
        let (filter, keys) = (Arc::clone(&self.filter), Arc::clone(&self.keys));
        let entries = Entries::new(reader, self.root.clone(), filter, keys);
        until_error(entries.of(tree.list()))
    }

    async fn open_folders(
        storage: &Storage,
        root: Location,
        mut filter: PartitionFilter,
        options: LakeOptions,
    ) -> Result<Self> {
        let fixed_types = options.partition_types.iter();
        filter
            .set_types(fixed_types.map(|(name, primitive_type)| (name.as_str(), primitive_type)))?;
        let mut filter = Arc::new(filter);
        let mut surveyed = survey(storage, &root, &filter, &options).await?;
        let types = surveyed.keys.iter();
        let mut typed = filter.as_ref().clone();
        typed.set_types(types.map(|key| (key.name.as_str(), &key.primitive_type)))?;
        filter = Arc::new(typed);
        if surveyed.perhaps {
            // Now that the types are known, values that were let through may not match after all.
            surveyed = Surveyed {
                keys: surveyed.keys,
                ..survey(storage, &root, &filter, &options).await?
            };
        }
        Ok(Self {
            storage: storage.clone(),
            root,
            keys: surveyed.keys.into(),
            totals: surveyed.totals,
            warnings: Vec::new(),
            columns: None,
            filter,
            options: Arc::new(options),
        })
    }
}

/// The first pass over a lake of folders.
async fn survey(
    storage: &Storage,
    root: &Location,
    filter: &Arc<PartitionFilter>,
    options: &LakeOptions,
) -> Result<Surveyed> {
    let reader = options.reader(root, Layout::Partitioned);
    let fixed_types = options.partition_types.clone();
    let mut survey = Survey::new(reader, root.clone(), Arc::clone(filter), fixed_types);
    let mut listing = options.tree(storage, root, filter).list();
    let counter = Counter::start(options.progress.as_ref());
    while let Some(found) = listing.try_next().await? {
        survey.absorb(found)?;
        counter.advance();
    }
    drop(counter);
    match survey.finish() {
        Err(Error::Missing { location }) if is_local_folder(storage, root).await? => {
            Err(Error::Empty {
                location,
                skipped_count: 0,
            })
        }
        surveyed => surveyed,
    }
}

/// Whether there is such a folder, though nothing lies in it. Object stores have no such folders.
async fn is_local_folder(storage: &Storage, location: &Location) -> Result<bool> {
    if location.scheme() != Scheme::File {
        return Ok(false);
    }
    let Some(parent) = location.parent() else {
        return Ok(true);
    };
    let (folders, _) = storage.list_folder(&parent).await?;
    Ok(folders
        .iter()
        .any(|folder| folder.file_name() == location.file_name()))
}

impl LakeOptions {
    fn reader(&self, root: &Location, layout: Layout) -> FolderReader {
        FolderReader::new(
            root.clone(),
            layout,
            self.recursive,
            self.allow_table_formats,
        )
    }

    fn tree(&self, storage: &Storage, root: &Location, filter: &Arc<PartitionFilter>) -> Tree {
        Tree {
            storage: storage.clone(),
            root: root.clone(),
            filter: Arc::clone(filter),
            recursive: self.recursive,
            concurrency: self.concurrency.max(1),
        }
    }
}

/// Reports a stage that ends when this is dropped.
struct Counter<'a>(&'a dyn Progress);

impl<'a> Counter<'a> {
    fn start(progress: &'a dyn Progress) -> Self {
        progress.started(STAGE, None);
        Self(progress)
    }

    fn advance(&self) {
        self.0.advanced(STAGE, 1);
    }
}

impl Drop for Counter<'_> {
    fn drop(&mut self) {
        self.0.finished(STAGE);
    }
}

fn until_error<T: Send + 'static>(
    stream: BoxStream<'static, Result<T>>,
) -> BoxStream<'static, Result<T>> {
    stream
        .scan(false, |failed, item| {
            let next = (!*failed).then_some(item);
            *failed = matches!(next, Some(Err(_)));
            std::future::ready(next)
        })
        .boxed()
}
