//! How fast manifests are written, searched for duplicates, and read for planning: files a second.
#![allow(clippy::unwrap_used, reason = "a bench may fail")]

use std::hint::black_box;
use std::sync::Arc;

use calve_base::{Location, Properties, TableIdent};
use calve_catalog::{Catalog, Table};
use calve_table::metadata_tables::{MetadataScan, MetadataTable};
use calve_table::{Append, FileSet, ManifestRoller, NewTable, Scan, Transaction, new_snapshot_id};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use futures::TryStreamExt;
use iceberg::spec::{
    DataContentType, DataFile, DataFileBuilder, DataFileFormat, Datum, FormatVersion, Literal,
    NestedField, PartitionSpec, PrimitiveType, Schema, SortOrder, Struct, TableMetadata, Transform,
    Type,
};
use tempfile::TempDir;
use tokio::runtime::Runtime;

const FILES: u32 = 100_000;
const ELEMENTS: [&str; 5] = ["PRCP", "SNOW", "TAVG", "TMAX", "TMIN"];

fn schema() -> Schema {
    let columns = [
        ("id", PrimitiveType::String),
        ("date", PrimitiveType::String),
        ("data_value", PrimitiveType::Long),
        ("m_flag", PrimitiveType::String),
        ("q_flag", PrimitiveType::String),
        ("s_flag", PrimitiveType::String),
        ("obs_time", PrimitiveType::String),
        ("year", PrimitiveType::Int),
        ("element", PrimitiveType::String),
    ];
    let fields = (1..).zip(columns).map(|(id, (name, primitive))| {
        Arc::new(NestedField::optional(id, name, Type::Primitive(primitive)))
    });
    Schema::builder().with_fields(fields).build().unwrap()
}

/// A file as a lake in the shape of NOAA's GHCN has.
fn file(index: u32) -> DataFile {
    let year = 1763 + i32::try_from(index % 260).unwrap();
    let element = ELEMENTS[index as usize % ELEMENTS.len()];
    let name = format!("{:08x}", index.wrapping_mul(2_654_435_761));
    let columns = 1..=7;
    let texts = [1, 2, 4, 5, 6, 7];
    let bounds = |suffix: &str| {
        let of_texts = texts.map(|id| (id, Datum::string(format!("{name}{suffix}{id}"))));
        of_texts
            .into_iter()
            .chain([(3, Datum::long(i64::from(index)))])
            .collect()
    };
    DataFileBuilder::default()
        .content(DataContentType::Data)
        .file_path(format!(
            "s3://noaa-ghcn-pds/parquet/by_year/YEAR={year}/ELEMENT={element}/{name}.snappy.parquet"
        ))
        .file_format(DataFileFormat::Parquet)
        .partition(Struct::from_iter([
            Some(Literal::int(year)),
            Some(Literal::string(element)),
        ]))
        .record_count(1000 + u64::from(index))
        .file_size_in_bytes(100_000 + u64::from(index))
        .column_sizes(
            columns
                .clone()
                .map(|id| (id, u64::from(index) + 9))
                .collect(),
        )
        .value_counts(
            columns
                .clone()
                .map(|id| (id, u64::from(index) + 1000))
                .collect(),
        )
        .null_value_counts(columns.map(|id| (id, u64::from(index % 7))).collect())
        .lower_bounds(bounds("a"))
        .upper_bounds(bounds("z"))
        .split_offsets(Some(vec![4]))
        .build()
        .unwrap()
}

struct World {
    catalog: Arc<dyn Catalog>,
    new: NewTable,
    metadata: TableMetadata,
    _folder: TempDir,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let warehouse = folder.path().to_str().unwrap().to_owned();
        let properties = Properties::from([
            ("type".to_owned(), "memory".to_owned()),
            ("warehouse".to_owned(), warehouse.clone()),
        ]);
        let schema = schema();
        let spec = PartitionSpec::builder(schema.clone())
            .add_partition_field("year", "year", Transform::Identity)
            .unwrap()
            .add_partition_field("element", "element", Transform::Identity)
            .unwrap()
            .build()
            .unwrap();
        let new = NewTable {
            uuid: uuid::Uuid::from_u128(7),
            location: Location::parse(format!("{warehouse}/db/t")).unwrap(),
            schema,
            partition_spec: spec,
            sort_order: SortOrder::unsorted_order(),
            properties: Properties::new(),
            format_version: FormatVersion::V2,
            created_ms: 1_000,
        };
        Self {
            catalog: calve_catalog::open("bench", properties).await.unwrap(),
            metadata: new.clone().into_metadata().unwrap(),
            new,
            _folder: folder,
        }
    }

    async fn roll(&self, files: Vec<DataFile>) -> Append {
        let id = new_snapshot_id();
        let mut roller = ManifestRoller::new(self.catalog.storage(), &self.metadata, id).unwrap();
        for file in files {
            roller.add(file).await.unwrap();
        }
        Append::new(id, roller.finish().await.unwrap())
    }

    async fn table(&self) -> Table {
        let append = self.roll((0..FILES).map(file).collect()).await;
        let (catalog, ident) = (Arc::clone(&self.catalog), TableIdent::new("db", "t"));
        let created = Transaction::create(catalog, ident, self.new.clone());
        created.with_snapshot(append).await.unwrap().table
    }
}

fn manifests(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let world = runtime.block_on(World::new());
    let table = runtime.block_on(world.table());
    let mut group = criterion.benchmark_group("manifests");
    group
        .sample_size(10)
        .throughput(Throughput::Elements(FILES.into()));
    let files: Vec<DataFile> = (0..FILES).map(file).collect();
    group.bench_function("roll", |bencher| {
        bencher.to_async(&runtime).iter_batched(
            || files.clone(),
            |files| world.roll(files),
            criterion::BatchSize::LargeInput,
        );
    });
    group.bench_function("file_set", |bencher| {
        bencher.to_async(&runtime).iter(|| async {
            let set = FileSet::of_table(&table, 2).await.unwrap();
            assert_eq!(set.len(), FILES as usize);
        });
    });
    group.bench_function("scan", |bencher| {
        bencher.to_async(&runtime).iter(|| async {
            let files = Scan::new(table.clone()).plan().await.unwrap();
            black_box(
                files
                    .try_fold(0, |sum, _| async move { Ok(sum + 1) })
                    .await
                    .unwrap(),
            )
        });
    });
    group.bench_function("files_table", |bencher| {
        bencher.to_async(&runtime).iter(|| async {
            let scan = MetadataScan::new(MetadataTable::Files, table.clone());
            let rows = scan.stream().await.unwrap();
            let rows = rows.try_fold(0, |sum, batch| async move { Ok(sum + batch.num_rows()) });
            assert_eq!(rows.await.unwrap(), FILES as usize);
        });
    });
    group.finish();
}

criterion_group!(benches, manifests);
criterion_main!(benches);
