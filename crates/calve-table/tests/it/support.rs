//! A table in a temporary folder.

use std::sync::Arc;

use calve_base::{Clock, Location, Properties, TableIdent};
use calve_catalog::{Catalog, Table};
use calve_storage::Storage;
use calve_table::{Append, ManifestRoller, NewTable, Report, Transaction, WrittenManifests};
use calve_testkit::s3::S3Server;
use futures::TryStreamExt;
use iceberg::spec::{
    DataContentType, DataFile, DataFileBuilder, DataFileFormat, Datum, FormatVersion, Literal,
    Manifest, ManifestEntryRef, NestedField, PartitionSpec, PrimitiveType, Schema, SortOrder,
    Struct, Transform, Type,
};
use tempfile::TempDir;
use uuid::Uuid;

/// A clock that stands still.
#[derive(Debug)]
pub(crate) struct Still(pub(crate) i64);

impl Clock for Still {
    fn now_ms(&self) -> i64 {
        self.0
    }
}

/// An in-memory catalog over a temporary folder.
pub(crate) struct World {
    pub(crate) catalog: Arc<dyn Catalog>,
    pub(crate) folder: TempDir,
    warehouse: String,
}

pub(crate) fn ident() -> TableIdent {
    TableIdent::new("db", "t")
}

impl World {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let warehouse = folder.path().to_str().unwrap().to_owned();
        Self::open(folder, warehouse, Properties::new()).await
    }

    /// A world whose files all lie on an S3 server, in the bucket `lake`.
    pub(crate) async fn on_s3(server: &S3Server) -> Self {
        let mut properties = server.properties();
        for (name, value) in [
            ("num-retries", "3"),
            ("min-wait-ms", "1"),
            ("max-wait-ms", "5"),
        ] {
            properties.insert(format!("s3.retry.{name}"), value.to_owned());
        }
        let folder = tempfile::tempdir().unwrap();
        Self::open(folder, "s3://lake/warehouse".to_owned(), properties).await
    }

    async fn open(folder: TempDir, warehouse: String, mut properties: Properties) -> Self {
        properties.insert("type".to_owned(), "memory".to_owned());
        properties.insert("warehouse".to_owned(), warehouse.clone());
        let catalog = calve_catalog::open("test", properties).await.unwrap();
        Self {
            catalog,
            folder,
            warehouse,
        }
    }

    pub(crate) fn storage(&self) -> &Storage {
        self.catalog.storage()
    }

    pub(crate) fn location(&self) -> Location {
        Location::parse(format!("{}/db/t", self.warehouse)).unwrap()
    }

    /// A table of `id long, name string, day date, part int`, partitioned by `part` and `day`.
    pub(crate) fn new_table(&self, version: FormatVersion) -> NewTable {
        let schema = schema();
        let spec = PartitionSpec::builder(schema.clone())
            .add_partition_field("part", "part", Transform::Identity)
            .unwrap()
            .add_partition_field("day", "day", Transform::Identity)
            .unwrap()
            .build()
            .unwrap();
        NewTable {
            uuid: Uuid::from_u128(7),
            location: self.location(),
            schema,
            partition_spec: spec,
            sort_order: SortOrder::unsorted_order(),
            properties: Properties::from([
                ("commit.retry.min-wait-ms".to_owned(), "1".to_owned()),
                ("commit.retry.max-wait-ms".to_owned(), "2".to_owned()),
            ]),
            format_version: version,
            created_ms: 1_000,
        }
    }

    /// Creates the table with one file a partition value.
    pub(crate) async fn create(&self, version: FormatVersion, parts: &[Option<i32>]) -> Report {
        let new = self.new_table(version);
        let files = parts.iter().enumerate();
        let files = files.map(|(index, part)| file(&self.location(), &format!("a{index}"), *part));
        let (snapshot_id, written) = self
            .write(&new.clone().into_metadata().unwrap(), files)
            .await;
        Transaction::create(Arc::clone(&self.catalog), ident(), new)
            .with_snapshot(Append::new(snapshot_id, written))
            .with_clock(Arc::new(Still(2_000)))
            .await
            .unwrap()
    }

    pub(crate) async fn write(
        &self,
        metadata: &iceberg::spec::TableMetadata,
        files: impl IntoIterator<Item = DataFile>,
    ) -> (i64, WrittenManifests) {
        let snapshot_id = calve_table::new_snapshot_id();
        let mut roller = ManifestRoller::new(self.storage(), metadata, snapshot_id).unwrap();
        for file in files {
            roller.add(file).await.unwrap();
        }
        (snapshot_id, roller.finish().await.unwrap())
    }

    /// Appends some files the plain way.
    pub(crate) async fn append(&self, names: &[&str]) -> Report {
        let table = self.catalog.load_table(&ident()).await.unwrap();
        append(&self.catalog, table, names).await.await.unwrap()
    }

    /// The names of all metadata files.
    pub(crate) async fn metadata_files(&self) -> Vec<String> {
        let folder = self.location().join("metadata");
        let files: Vec<_> = self.storage().list(&folder).try_collect().await.unwrap();
        let names = files
            .iter()
            .map(|file| file.location.file_name().to_owned());
        names.collect()
    }

    /// The names of all data files.
    pub(crate) async fn data_files(&self) -> Vec<String> {
        let folder = self.location().join("data");
        let files: Vec<_> = self.storage().list(&folder).try_collect().await.unwrap();
        let names = files
            .iter()
            .map(|file| file.location.file_name().to_owned());
        names.collect()
    }

    /// The entries of the current snapshot, as `iceberg` reads them.
    pub(crate) async fn entries(&self, table: &Table) -> Vec<ManifestEntryRef> {
        let snapshot = table.metadata().current_snapshot().unwrap();
        let manifests = calve_table::load_manifests(self.storage(), snapshot)
            .await
            .unwrap();
        let file_io = self.storage().file_io();
        let mut entries = Vec::new();
        for manifest in manifests {
            let read: Manifest = manifest.load_manifest(&file_io).await.unwrap();
            entries.extend(read.entries().iter().cloned());
        }
        entries
    }

    pub(crate) async fn paths(&self, table: &Table) -> Vec<String> {
        let entries = self.entries(table).await;
        let names = entries
            .iter()
            .map(|entry| entry.file_path().rsplit('/').next().unwrap());
        let mut names: Vec<String> = names.map(ToOwned::to_owned).collect();
        names.sort();
        names
    }
}

/// An append of some files that is prepared but not committed.
pub(crate) async fn append(
    catalog: &Arc<dyn Catalog>,
    table: Table,
    names: &[&str],
) -> Transaction {
    let location = Location::parse(table.metadata().location()).unwrap();
    let id = calve_table::new_snapshot_id();
    let mut roller = ManifestRoller::new(table.storage(), table.metadata(), id).unwrap();
    for name in names {
        roller.add(file(&location, name, Some(1))).await.unwrap();
    }
    let written = roller.finish().await.unwrap();
    Transaction::new(Arc::clone(catalog), table)
        .with_snapshot(Append::new(id, written))
        .with_clock(Arc::new(Still(3_000)))
}

pub(crate) fn schema() -> Schema {
    let field = |id, name: &str, primitive| {
        Arc::new(NestedField::optional(id, name, Type::Primitive(primitive)))
    };
    Schema::builder()
        .with_fields([
            field(1, "id", PrimitiveType::Long),
            field(2, "name", PrimitiveType::String),
            field(3, "day", PrimitiveType::Date),
            field(4, "part", PrimitiveType::Int),
        ])
        .build()
        .unwrap()
}

/// A data file of ten rows and 100 bytes, with bounds.
pub(crate) fn file(table: &Location, name: &str, part: Option<i32>) -> DataFile {
    let partition = [part.map(Literal::int), Some(Literal::date(19_000))];
    file_in(table, name, Struct::from_iter(partition))
}

/// The same in any partition.
pub(crate) fn file_in(table: &Location, name: &str, partition: Struct) -> DataFile {
    DataFileBuilder::default()
        .content(DataContentType::Data)
        .file_path(format!("{table}/data/{name}"))
        .file_format(DataFileFormat::Parquet)
        .partition(partition)
        .record_count(10)
        .file_size_in_bytes(100)
        .column_sizes([(1, 60), (2, 40)].into())
        .value_counts([(1, 10), (2, 10)].into())
        .null_value_counts([(1, 0), (2, 3)].into())
        .lower_bounds([(1, Datum::long(-5)), (2, Datum::string("a"))].into())
        .upper_bounds(
            [
                (1, Datum::long(5_000_000_000_i64)),
                (2, Datum::string("zé")),
            ]
            .into(),
        )
        .split_offsets(Some(vec![4, 50]))
        .build()
        .unwrap()
}
