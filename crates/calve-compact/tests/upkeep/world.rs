//! A table of small files that are what they say: the content of a data file is its name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use calve_base::{Clock, Location, Properties, SystemClock, TableIdent};
use calve_catalog::{Catalog, Table};
use calve_compact::ExpireSnapshots;
use calve_storage::Storage;
use calve_table::{
    Append, ManifestRoller, MetadataChange, NewTable, ReplaceFiles, Transaction, new_snapshot_id,
    references,
};
use calve_testkit::s3::S3Server;
use futures::TryStreamExt;
use iceberg::spec::{
    DataContentType, DataFile, DataFileBuilder, DataFileFormat, FormatVersion, Literal,
    ManifestList, NestedField, PartitionSpec, PrimitiveType, Schema, SnapshotReference,
    SnapshotRetention, SortOrder, Struct, Transform, Type,
};
use tempfile::TempDir;

/// A clock that stands still.
#[derive(Debug)]
pub(crate) struct Still(pub(crate) i64);

impl Clock for Still {
    fn now_ms(&self) -> i64 {
        self.0
    }
}

/// An in-memory catalog over a temporary folder, with the table `db.t`.
pub(crate) struct World {
    pub(crate) catalog: Arc<dyn Catalog>,
    _folder: TempDir,
    /// Where the files are, if not in the folder.
    pub(crate) server: Option<S3Server>,
    warehouse: String,
    /// The time of the next commit: each is a little later than the one before.
    time_ms: AtomicI64,
}

pub(crate) fn ident() -> TableIdent {
    TableIdent::new("db", "t")
}

impl World {
    /// An empty table of `id long, part int`, partitioned by `part`.
    pub(crate) async fn new(version: FormatVersion) -> Self {
        Self::with_properties(version, &[]).await
    }

    pub(crate) async fn with_properties(
        version: FormatVersion,
        properties: &[(&str, &str)],
    ) -> Self {
        let world = Self::empty(None).await;
        world.create(&ident(), version, properties).await;
        world
    }

    /// The same, all files in S3.
    pub(crate) async fn on_s3(version: FormatVersion) -> Self {
        let server = S3Server::with_buckets(&["lake"]);
        let world = Self::empty(Some(server)).await;
        world.create(&ident(), version, &[]).await;
        world
    }

    async fn empty(server: Option<S3Server>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let warehouse = match server {
            Some(_) => "s3://lake/warehouse".to_owned(),
            None => folder.path().to_str().unwrap().to_owned(),
        };
        let mut settings = server
            .as_ref()
            .map_or_else(Properties::new, S3Server::properties);
        settings.insert("type".to_owned(), "memory".to_owned());
        settings.insert("warehouse".to_owned(), warehouse.clone());
        Self {
            catalog: calve_catalog::open("test", settings).await.unwrap(),
            _folder: folder,
            server,
            warehouse,
            time_ms: AtomicI64::new(SystemClock.now_ms()),
        }
    }

    pub(crate) async fn create(
        &self,
        ident: &TableIdent,
        version: FormatVersion,
        properties: &[(&str, &str)],
    ) {
        let location = self.catalog.default_location(ident).await.unwrap();
        self.create_at(ident, version, properties, location).await;
    }

    pub(crate) async fn create_at(
        &self,
        ident: &TableIdent,
        version: FormatVersion,
        properties: &[(&str, &str)],
        location: Location,
    ) {
        let optional = |id, name: &str, primitive| {
            Arc::new(NestedField::optional(id, name, Type::Primitive(primitive)))
        };
        let schema = Schema::builder()
            .with_fields([
                optional(1, "id", PrimitiveType::Long),
                optional(2, "part", PrimitiveType::Int),
            ])
            .build()
            .unwrap();
        let spec = PartitionSpec::builder(schema.clone())
            .add_partition_field("part", "part", Transform::Identity)
            .unwrap()
            .build()
            .unwrap();
        let mut all = Properties::from([
            ("commit.retry.min-wait-ms".to_owned(), "1".to_owned()),
            ("commit.retry.max-wait-ms".to_owned(), "2".to_owned()),
        ]);
        for (name, value) in properties {
            all.insert((*name).to_owned(), (*value).to_owned());
        }
        let new = NewTable {
            uuid: uuid::Uuid::new_v4(),
            location,
            schema,
            partition_spec: spec,
            sort_order: SortOrder::unsorted_order(),
            properties: all,
            format_version: version,
            created_ms: 1_000,
        };
        Transaction::create(Arc::clone(&self.catalog), ident.clone(), new)
            .await
            .unwrap();
    }

    pub(crate) fn storage(&self) -> &Storage {
        self.catalog.storage()
    }

    pub(crate) fn location(&self) -> Location {
        Location::parse(format!("{}/db/t", self.warehouse)).unwrap()
    }

    pub(crate) fn clock(&self) -> Arc<Still> {
        Arc::new(Still(self.time_ms.fetch_add(10, Ordering::SeqCst)))
    }

    /// A time after all commits so far.
    pub(crate) fn now_ms(&self) -> i64 {
        let time_ms = self.time_ms.load(Ordering::SeqCst);
        time_ms.max(SystemClock.now_ms()) + 1
    }

    pub(crate) async fn table(&self) -> Table {
        self.catalog.load_table(&ident()).await.unwrap()
    }

    /// Writes a data file, and describes it.
    pub(crate) async fn file(&self, name: &str, part: i32) -> DataFile {
        self.file_of(DataContentType::Data, name, part).await
    }

    pub(crate) async fn file_of(
        &self,
        content: DataContentType,
        name: &str,
        part: i32,
    ) -> DataFile {
        let location = self.location().join(&format!("data/{name}"));
        let bytes = name.to_owned().into_bytes();
        self.storage().write(&location, bytes.into()).await.unwrap();
        let mut builder = DataFileBuilder::default();
        builder
            .content(content)
            .file_path(location.to_string())
            .file_format(DataFileFormat::Parquet)
            .partition(Struct::from_iter([Some(Literal::int(part))]))
            .record_count(1)
            .file_size_in_bytes(name.len() as u64);
        if content == DataContentType::EqualityDeletes {
            builder.equality_ids(Some(vec![1]));
        }
        builder.build().unwrap()
    }

    /// Appends files to a branch. Returns the snapshot's id.
    pub(crate) async fn append_to(&self, branch: &str, files: Vec<DataFile>) -> i64 {
        let table = self.table().await;
        let snapshot_id = new_snapshot_id();
        let mut roller =
            ManifestRoller::new(self.storage(), table.metadata(), snapshot_id).unwrap();
        for file in files {
            roller.add(file).await.unwrap();
        }
        let written = roller.finish().await.unwrap();
        let parent = table.metadata().current_snapshot_id();
        let has_branch = table.metadata().snapshot_for_ref(branch).is_some();
        if let (false, Some(parent)) = (has_branch, parent) {
            self.branch(branch, parent).await;
        }
        let report = Transaction::new(Arc::clone(&self.catalog), self.table().await)
            .with_snapshot(Append::new(snapshot_id, written))
            .with_branch(branch)
            .with_clock(self.clock())
            .await
            .unwrap();
        report.snapshot_id.unwrap()
    }

    /// Appends files that lie anywhere to a table.
    pub(crate) async fn append_paths(&self, ident: &TableIdent, paths: &[String]) {
        let table = self.catalog.load_table(ident).await.unwrap();
        let snapshot_id = new_snapshot_id();
        let mut roller =
            ManifestRoller::new(self.storage(), table.metadata(), snapshot_id).unwrap();
        for path in paths {
            roller.add(data_file(path, 1, 1)).await.unwrap();
        }
        let written = roller.finish().await.unwrap();
        Transaction::new(Arc::clone(&self.catalog), table)
            .with_snapshot(Append::new(snapshot_id, written))
            .await
            .unwrap();
    }

    /// Appends one file a name to `main`.
    pub(crate) async fn append(&self, names: &[&str]) -> i64 {
        let mut files = Vec::new();
        for name in names {
            files.push(self.file(name, 1).await);
        }
        self.append_to("main", files).await
    }

    /// Removes files from `main` and adds others.
    pub(crate) async fn replace(&self, removed: &[&str], added: &[&str]) -> i64 {
        let table = self.table().await;
        let snapshot_id = new_snapshot_id();
        let mut roller =
            ManifestRoller::new(self.storage(), table.metadata(), snapshot_id).unwrap();
        for name in added {
            roller.add(self.file(name, 1).await).await.unwrap();
        }
        let written = roller.finish().await.unwrap();
        let data = self.location().join("data");
        let removed = removed.iter().map(|name| data.join(name)).collect();
        let report = Transaction::new(Arc::clone(&self.catalog), table)
            .with_snapshot(ReplaceFiles::new(snapshot_id, removed, written))
            .with_clock(self.clock())
            .await
            .unwrap();
        report.snapshot_id.unwrap()
    }

    pub(crate) async fn change(&self, change: MetadataChange) {
        Transaction::new(Arc::clone(&self.catalog), self.table().await)
            .with_metadata_change(change)
            .await
            .unwrap();
    }

    pub(crate) async fn set_ref(&self, name: &str, id: i64, retention: SnapshotRetention) {
        set_ref(&self.catalog, name, id, retention).await;
    }

    pub(crate) async fn branch(&self, name: &str, id: i64) {
        let retention = SnapshotRetention::branch(None, None, None);
        self.set_ref(name, id, retention).await;
    }

    pub(crate) async fn tag(&self, name: &str, id: i64) {
        let max_ref_age_ms = None;
        self.set_ref(name, id, SnapshotRetention::Tag { max_ref_age_ms })
            .await;
    }

    pub(crate) async fn remove_ref(&self, name: &str) {
        let name = name.to_owned();
        self.change(Arc::new(move |_, builder| Ok(builder.remove_ref(&name))))
            .await;
    }

    pub(crate) async fn set_property(&self, name: &str, value: &str) {
        let properties = [(name.to_owned(), value.to_owned())];
        Transaction::new(Arc::clone(&self.catalog), self.table().await)
            .with_properties(properties.into())
            .await
            .unwrap();
    }

    /// An expiry of all that may go.
    pub(crate) fn expire(&self) -> ExpireSnapshots {
        self.expire_in(&self.catalog)
    }

    pub(crate) fn expire_in(&self, catalog: &Arc<dyn Catalog>) -> ExpireSnapshots {
        ExpireSnapshots::new(Arc::clone(catalog), ident())
            .with_older_than_ms(self.now_ms())
            .with_clock(Arc::new(Still(self.now_ms())))
    }

    /// All files below the table's folder, by their names there.
    pub(crate) async fn on_disk(&self) -> BTreeSet<String> {
        let listed = self.storage().list(&self.location());
        let files: Vec<_> = listed.try_collect().await.unwrap();
        let files = files.iter().map(|file| self.name(file.location.as_str()));
        files.collect()
    }

    /// A file's name below the table's folder.
    pub(crate) fn name(&self, path: &str) -> String {
        let folder = format!("{}/", self.location());
        path.strip_prefix(folder.as_str())
            .unwrap_or(path)
            .to_owned()
    }

    /// All files that the table refers to, as `iceberg` itself reads its metadata.
    pub(crate) async fn reachable(&self) -> BTreeSet<String> {
        let table = self.table().await;
        let metadata = table.metadata();
        let mut found = BTreeSet::from([table.metadata_location().to_string()]);
        found.extend(
            metadata
                .metadata_log()
                .iter()
                .map(|it| it.metadata_file.clone()),
        );
        let statistics = calve_table::statistics_files(metadata);
        found.extend(statistics.into_iter().map(|(_, path)| path));
        for snapshot in metadata.snapshots() {
            found.insert(snapshot.manifest_list().to_owned());
            let live = self.live_paths(snapshot, &mut found).await;
            found.extend(live);
        }
        found.iter().map(|path| self.name(path)).collect()
    }

    async fn live_paths(
        &self,
        snapshot: &iceberg::spec::Snapshot,
        manifests: &mut BTreeSet<String>,
    ) -> Vec<String> {
        let list = Location::parse(snapshot.manifest_list()).unwrap();
        let bytes = self.storage().read(&list).await.unwrap();
        let version = self.table().await.metadata().format_version();
        let list = ManifestList::parse_with_version(&bytes, version).unwrap();
        let mut live = Vec::new();
        for manifest in list.entries() {
            manifests.insert(manifest.manifest_path.clone());
            let read = manifest.load_manifest(&self.storage().file_io()).await;
            for entry in read.unwrap().entries() {
                if entry.is_alive() {
                    live.push(entry.file_path().to_owned());
                }
            }
        }
        live
    }

    /// The contents of the live files of each snapshot: what reading it gives.
    pub(crate) async fn rows(&self) -> BTreeMap<i64, BTreeSet<String>> {
        let mut rows = BTreeMap::new();
        for snapshot in self.table().await.metadata().snapshots() {
            let mut of_snapshot = BTreeSet::new();
            for path in self.live_paths(snapshot, &mut BTreeSet::new()).await {
                let location = Location::parse(path).unwrap();
                let bytes = self.storage().read(&location).await.unwrap();
                of_snapshot.insert(String::from_utf8(bytes.to_vec()).unwrap());
            }
            rows.insert(snapshot.snapshot_id(), of_snapshot);
        }
        rows
    }

    /// The files of the table are those on disk, no more and no fewer.
    #[track_caller]
    pub(crate) fn check_clean(&self) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            let (disk, reachable) = (self.on_disk().await, self.reachable().await);
            let left: Vec<_> = disk.difference(&reachable).collect();
            let missing: Vec<_> = reachable.difference(&disk).collect();
            assert!(
                left.is_empty() && missing.is_empty(),
                "{caller}: left over: {left:#?}, missing: {missing:#?}"
            );
        }
    }

    pub(crate) async fn snapshot_ids(&self) -> BTreeSet<i64> {
        let table = self.table().await;
        let snapshots = table.metadata().snapshots();
        snapshots.map(|snapshot| snapshot.snapshot_id()).collect()
    }

    pub(crate) async fn ref_names(&self) -> Vec<String> {
        let table = self.table().await;
        let refs = references(table.metadata());
        refs.into_iter().map(|(name, _)| name).collect()
    }
}

/// Describes a data file.
pub(crate) fn data_file(path: &str, part: i32, bytes: u64) -> DataFile {
    DataFileBuilder::default()
        .content(DataContentType::Data)
        .file_path(path.to_owned())
        .file_format(DataFileFormat::Parquet)
        .partition(Struct::from_iter([Some(Literal::int(part))]))
        .record_count(1)
        .file_size_in_bytes(bytes)
        .build()
        .unwrap()
}

/// Points a branch or tag to a snapshot.
pub(crate) async fn set_ref(
    catalog: &Arc<dyn Catalog>,
    name: &str,
    id: i64,
    retention: SnapshotRetention,
) {
    let name = name.to_owned();
    let table = catalog.load_table(&ident()).await.unwrap();
    Transaction::new(Arc::clone(catalog), table)
        .with_metadata_change(Arc::new(move |_, builder| {
            let reference = SnapshotReference::new(id, retention.clone());
            Ok(builder.set_ref(&name, reference)?)
        }))
        .await
        .unwrap();
}
