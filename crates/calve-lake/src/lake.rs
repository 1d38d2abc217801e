use std::sync::Arc;

use calve_base::{Location, Progress, Scheme, Stage};
use calve_catalog::HiveColumn;
use calve_storage::Storage;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use iceberg::spec::PrimitiveType;

use crate::filter::PartitionFilter;
use crate::folder::{FolderReader, Layout};
use crate::folders::{Entries, Survey, Surveyed, Values};
use crate::metastore::{HiveSource, Reader};
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
    filter: Arc<PartitionFilter>,
    options: Arc<LakeOptions>,
    metastore: Option<Arc<HiveSource>>,
}

impl Lake {
    /// Lists the source once: checks its folders, learns its partition keys and their types, counts.
    ///
    /// A folder without data files is an error, and so is a filter that leaves none of them. A table
    /// of a metastore may be empty.
    ///
    /// # Errors
    /// When the source is missing, has no data files, or is no lake that one table can read.
    pub async fn open(storage: &Storage, source: Source, options: LakeOptions) -> Result<Self> {
        let filter = PartitionFilter::new(&options.partition_filter)?;
        let options = Arc::new(options);
        match source {
            Source::Location(root) => {
                Box::pin(Self::open_folders(storage, root, filter, options)).await
            }
            Source::HiveTable { metastore, ident } => {
                let source = HiveSource::load(metastore, &ident, &options).await?;
                Self::open_table(storage, source, filter, options).await
            }
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
        let table = self.metastore.as_ref()?.table();
        Some(&table.columns)
    }

    /// The source's folder or file; of a metastore's table, the table's location.
    pub fn root(&self) -> &Location {
        &self.root
    }

    /// Who hears how far the reading of the lake is.
    pub fn progress(&self) -> &Arc<dyn Progress> {
        &self.options.progress
    }

    /// The storage that the files lie in.
    pub fn storage(&self) -> &Storage {
        &self.storage
    }

    /// Lists again and streams what there is, in the order of the keys, or of the metastore's
    /// partitions. The order is the same each time. The stream ends with its first error.
    pub fn files(&self) -> BoxStream<'static, Result<LakeEntry>> {
        until_error(match &self.metastore {
            Some(source) => self.table_reader(source).entries(),
            None => self.folder_entries(),
        })
    }

    fn folder_entries(&self) -> BoxStream<'static, Result<LakeEntry>> {
        let reader = self.options.reader(&self.root, Layout::Partitioned);
        let tree = self.options.tree(&self.storage, &self.root, &self.filter);
        let (filter, keys) = (Arc::clone(&self.filter), Arc::clone(&self.keys));
        Entries::new(reader, self.root.clone(), filter, keys).of(tree.list())
    }

    async fn open_folders(
        storage: &Storage,
        root: Location,
        mut filter: PartitionFilter,
        options: Arc<LakeOptions>,
    ) -> Result<Self> {
        let fixed_types = options.fixed_types();
        let fixed_types = fixed_types.iter();
        filter
            .set_types(fixed_types.map(|(name, primitive_type)| (name.as_str(), primitive_type)))?;
        let mut surveyed =
            Box::pin(survey(storage, &root, &Arc::new(filter.clone()), &options)).await?;
        options.check_types(&root, &surveyed.keys)?;
        filter.set_types(types(&surveyed.keys))?;
        let filter = Arc::new(filter);
        if surveyed.perhaps {
            // Now that the types are known, values that were let through may not match after all.
            surveyed = Surveyed {
                keys: surveyed.keys,
                ..Box::pin(survey(storage, &root, &filter, &options)).await?
            };
        }
        Ok(Self {
            storage: storage.clone(),
            root,
            keys: surveyed.keys.into(),
            totals: surveyed.totals,
            warnings: Vec::new(),
            filter,
            options,
            metastore: None,
        })
    }

    async fn open_table(
        storage: &Storage,
        source: HiveSource,
        mut filter: PartitionFilter,
        options: Arc<LakeOptions>,
    ) -> Result<Self> {
        if let Some(key) = filter.unknown_key(source.keys()) {
            return Err(source.unknown_key(key));
        }
        options.check_types(source.location(), source.keys())?;
        filter.set_types(types(source.keys()))?;
        let mut lake = Self {
            storage: storage.clone(),
            root: source.location().clone(),
            keys: Arc::clone(source.keys()),
            totals: Totals::default(),
            warnings: source.warnings().to_vec(),
            filter: Arc::new(filter),
            options,
            metastore: Some(Arc::new(source)),
        };
        lake.count().await?;
        let is_unregistered = lake.totals == Totals::default()
            && lake.filter.len() == 0
            && lake
                .metastore
                .as_ref()
                .is_some_and(|source| source.has_registered_partitions());
        if is_unregistered && storage.list(&lake.root).try_next().await?.is_some() {
            let location = lake.root.clone();
            lake.warnings.push(Warning::NoPartitions { location });
        }
        Ok(lake)
    }

    /// The first pass over a table's partitions.
    async fn count(&mut self) -> Result<()> {
        let stage = Stage::start(self.options.progress.as_ref(), STAGE, None);
        let mut totals = Totals::default();
        let mut last: Option<Values> = None;
        let mut entries = self.files();
        while let Some(entry) = entries.try_next().await? {
            stage.advance(1);
            match entry {
                LakeEntry::Skipped(_) => totals.skipped += 1,
                LakeEntry::File(file) => {
                    totals.files += 1;
                    totals.bytes += file.size;
                    let is_new = last.as_ref().is_none_or(|last| *last != file.partition);
                    totals.partitions += u64::from(is_new && !file.partition.is_empty());
                    last = Some(file.partition);
                }
            }
        }
        drop(stage);
        self.totals = totals;
        Ok(())
    }

    fn table_reader(&self, source: &Arc<HiveSource>) -> Reader {
        Reader {
            source: Arc::clone(source),
            storage: self.storage.clone(),
            filter: Arc::clone(&self.filter),
            options: Arc::clone(&self.options),
        }
    }
}

fn types(keys: &[PartitionKey]) -> impl Iterator<Item = (&str, &PrimitiveType)> {
    keys.iter()
        .map(|key| (key.name.as_str(), &key.primitive_type))
}

/// The first pass over a lake of folders.
async fn survey(
    storage: &Storage,
    root: &Location,
    filter: &Arc<PartitionFilter>,
    options: &LakeOptions,
) -> Result<Surveyed> {
    let reader = options.reader(root, Layout::Partitioned);
    let fixed_types = options.fixed_types();
    let mut survey = Survey::new(reader, root.clone(), Arc::clone(filter), fixed_types);
    let mut listing = options.tree(storage, root, filter).list();
    let stage = Stage::start(options.progress.as_ref(), STAGE, None);
    while let Some(found) = listing.try_next().await? {
        survey.absorb(found)?;
        stage.advance(1);
    }
    drop(stage);
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
