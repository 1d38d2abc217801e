//! A table that several writers change, each by what it saw of it, beside a model of the rows that it is to have.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use calve_base::Location;
use calve_catalog::{Catalog, Table};
use calve_compact::Compact;
use calve_migrate::Ingest;
use calve_query::{Session, SessionOptions, table_provider};
use calve_table::{
    Append, DataFileWriter, DeleteFile, DeleteKey, Entry, Error, ManifestRoller, PartitionBy,
    PositionDeleteWriter, ReplaceFiles, Scan, ScanFile, Transaction, new_snapshot_id,
};
use futures::{StreamExt, TryStreamExt, stream};
use iceberg::spec::{
    DataContentType, DataFile, DataFileBuilder, DataFileFormat, FormatVersion, Literal,
    ManifestStatus, Operation, Struct,
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use roaring::RoaringTreemap;

use crate::{Home, ident};

/// How many partitions a partitioned table has.
const PARTITIONS: i64 = 3;

/// A table with columns `id`, which no two rows share, `k`, and `p`, which it may be partitioned by.
pub(crate) struct World {
    _home: Home,
    pub(crate) catalog: Arc<dyn Catalog>,
    folder: PathBuf,
    partitioned: bool,
    next_id: AtomicI64,
    next_file: AtomicI64,
    /// The table as it was after each change.
    views: Mutex<Vec<Table>>,
    /// The rows that are to be there: `k` and `p` by `id`.
    model: Mutex<BTreeMap<i64, (i64, i64)>>,
}

/// What a writer does.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    /// Adds so many rows in a commit of their own.
    Append(usize),
    /// Deletes rows by their positions: those whose `id` has this rest when it is divided by that number, as
    /// they were so many changes ago; in a delete file for each data file, or for all of a partition; by deletion
    /// vectors in a table of format version 3.
    Positions {
        rest: i64,
        of: i64,
        age: usize,
        by_file: bool,
    },
    /// Deletes rows by this value of `k`.
    Equality(i64),
}

fn column(name: &str, id: i32, of: DataType) -> Field {
    let id = [("PARQUET:field_id".to_owned(), id.to_string())];
    Field::new(name, of, true).with_metadata(id.into())
}

fn batch(fields: Vec<Field>, columns: Vec<ArrayRef>) -> RecordBatch {
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

impl World {
    pub(crate) async fn new(version: FormatVersion, partitioned: bool) -> Self {
        let home = Home::new().await;
        let world = Self {
            catalog: Arc::clone(&home.catalog),
            folder: home.folder.path().join("deletes"),
            _home: home,
            partitioned,
            next_id: AtomicI64::new(0),
            next_file: AtomicI64::new(0),
            views: Mutex::default(),
            model: Mutex::default(),
        };
        let rows = world.rows(1);
        let schema = rows.schema();
        let rows = stream::iter([Ok(rows)]).boxed();
        let mut ingest = Ingest::new(Arc::clone(&world.catalog), ident(), schema, rows)
            .with_format_version(version);
        if partitioned {
            ingest = ingest.with_partition_by(PartitionBy::parse("p").unwrap());
        }
        ingest.await.unwrap();
        world.remember().await;
        world
    }

    /// New rows, which the model has from now on.
    fn rows(&self, count: usize) -> RecordBatch {
        let count = i64::try_from(count).unwrap();
        let first = self.next_id.fetch_add(count, Ordering::Relaxed);
        let ids: Vec<i64> = (first..first + count).collect();
        let of = |id: i64| (id * 7 % 11, id * 5 % PARTITIONS);
        let mut model = self.model.lock().unwrap();
        model.extend(ids.iter().map(|id| (*id, of(*id))));
        calve_testkit::lakes::batch(vec![
            ("id", Arc::new(Int64Array::from(ids.clone())) as _),
            (
                "k",
                Arc::new(Int64Array::from_iter_values(ids.iter().map(|id| of(*id).0))) as _,
            ),
            (
                "p",
                Arc::new(Int64Array::from_iter_values(ids.iter().map(|id| of(*id).1))) as _,
            ),
        ])
    }

    pub(crate) async fn table(&self) -> Table {
        self.catalog.load_table(&ident()).await.unwrap()
    }

    async fn remember(&self) {
        let table = self.table().await;
        self.views.lock().unwrap().push(table);
    }

    pub(crate) fn compact(&self) -> Compact {
        crate::compact(&self.catalog)
    }

    /// Makes a change, or finds that it cannot be made any more.
    pub(crate) async fn change(&self, change: &Change) {
        match change {
            Change::Append(count) => self.append(*count).await,
            Change::Positions {
                rest,
                of,
                age,
                by_file,
            } => {
                let view = {
                    let views = self.views.lock().unwrap();
                    views[views.len() - 1 - (*age).min(views.len() - 1)].clone()
                };
                let wants = |id| id % of == *rest;
                if view.metadata().format_version() >= FormatVersion::V3 {
                    self.delete_by_vectors(view, wants).await;
                } else {
                    self.delete_positions(view, wants, *by_file).await;
                }
            }
            Change::Equality(key) => self.delete_key(*key).await,
        }
        self.remember().await;
    }

    async fn append(&self, count: usize) {
        let table = self.table().await;
        let rows = self.rows(count);
        let mut writer = DataFileWriter::new(table.storage(), table.metadata()).unwrap();
        writer.write(&rows).await.unwrap();
        let files = writer.finish().await.unwrap();
        self.commit(table, files, &BTreeSet::new()).await.unwrap();
    }

    /// Commits files beside what is there. Refused where a file that is relied on is gone.
    async fn commit(
        &self,
        table: Table,
        files: Vec<DataFile>,
        relied_on: &BTreeSet<String>,
    ) -> Result<(), Error> {
        let snapshot_id = new_snapshot_id();
        let mut roller = ManifestRoller::new(table.storage(), table.metadata(), snapshot_id)?;
        for file in files {
            roller.add(file).await?;
        }
        let append = Append::new(snapshot_id, roller.finish().await?);
        let relied_on = Arc::new(relied_on.clone());
        Transaction::new(Arc::clone(&self.catalog), table)
            .with_snapshot(append)
            .with_revalidation(Arc::new(move |_, now| {
                let mut missing = relied_on.as_ref().clone();
                Box::pin(async move {
                    let mut files = Scan::new(now).plan().await?;
                    while let Some(file) = files.try_next().await? {
                        missing.remove(&file.file.path);
                    }
                    if missing.is_empty() {
                        return Ok(());
                    }
                    Err(Error::FilesGone {
                        count: missing.len() as u64,
                        first: missing.into_iter().collect(),
                    })
                })
            }))
            .await?;
        Ok(())
    }

    fn delete_file(&self, rows: &RecordBatch, partition: Struct) -> DataFileBuilder {
        let number = self.next_file.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.join(format!("{number:04}.parquet"));
        calve_testkit::lakes::write_parquet(&path, rows);
        let location = Location::parse(path.to_str().unwrap()).unwrap();
        let mut builder = DataFileBuilder::default();
        builder
            .file_path(location.canonical())
            .file_format(DataFileFormat::Parquet)
            .record_count(rows.num_rows() as u64)
            .file_size_in_bytes(fs_err::metadata(&path).unwrap().len())
            .partition(partition)
            .partition_spec_id(0);
        builder
    }

    async fn delete_positions(&self, view: Table, wants: impl Fn(i64) -> bool, by_file: bool) {
        let mut by_partition: BTreeMap<String, (Struct, Vec<(String, i64)>)> = BTreeMap::new();
        let mut deleted = BTreeSet::new();
        let mut relied_on = BTreeSet::new();
        let mut files = Scan::new(view.clone()).plan().await.unwrap();
        while let Some(file) = files.try_next().await.unwrap() {
            let path = file.file.path.clone();
            for (position, id) in ids(&path).into_iter().enumerate() {
                if !wants(id) {
                    continue;
                }
                deleted.insert(id);
                relied_on.insert(path.clone());
                let key = if by_file {
                    path.clone()
                } else {
                    format!("{:?}", file.file.partition)
                };
                let lot = by_partition.entry(key);
                let (_, lot) = lot.or_insert((file.file.partition.clone(), Vec::new()));
                lot.push((path.clone(), i64::try_from(position).unwrap()));
            }
        }
        if by_partition.is_empty() {
            return;
        }
        let mut made = Vec::new();
        for (_, (partition, mut lot)) in by_partition {
            lot.sort();
            let only = by_file.then(|| lot[0].0.clone());
            let (paths, positions): (Vec<String>, Vec<i64>) = lot.into_iter().unzip();
            let fields = vec![
                column("file_path", 2_147_483_546, DataType::Utf8),
                column("pos", 2_147_483_545, DataType::Int64),
            ];
            let columns: Vec<ArrayRef> = vec![
                Arc::new(StringArray::from(paths)),
                Arc::new(Int64Array::from(positions)),
            ];
            let mut builder = self.delete_file(&batch(fields, columns), partition);
            builder
                .content(DataContentType::PositionDeletes)
                .referenced_data_file(only);
            made.push(builder.build().unwrap());
        }
        match self.commit(view, made, &relied_on).await {
            Ok(()) => {
                let mut model = self.model.lock().unwrap();
                model.retain(|id, _| !deleted.contains(id));
            }
            // Somebody else has rewritten the files: nothing is changed.
            Err(Error::FilesGone { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// Puts vectors of all that is deleted in the place of those that data files have.
    async fn delete_by_vectors(&self, view: Table, wants: impl Fn(i64) -> bool) {
        let provider = table_provider(&view).unwrap();
        let metadata = view.metadata();
        let snapshot_id = new_snapshot_id();
        let mut roller = ManifestRoller::new(view.storage(), metadata, snapshot_id).unwrap();
        let spec = metadata.default_partition_spec();
        let mut writer = PositionDeleteWriter::new(view.storage(), metadata, spec).unwrap();
        let mut deleted = BTreeSet::new();
        // What each data file is seen to have.
        let mut seen: HashMap<String, HashSet<DeleteKey>> = HashMap::new();
        let mut files = Scan::new(view.clone()).plan().await.unwrap();
        while let Some(file) = files.try_next().await.unwrap() {
            let path = file.file.path.clone();
            let mut positions = RoaringTreemap::new();
            for (position, id) in (0_u64..).zip(ids(&path)) {
                if wants(id) {
                    deleted.insert(id);
                    positions.insert(position);
                }
            }
            if positions.is_empty() {
                continue;
            }
            for vector in vectors(&file) {
                for (_, old) in provider.deleted_positions(vector).await.unwrap() {
                    positions |= old;
                }
            }
            seen.insert(path.clone(), vectors(&file).map(|it| it.key()).collect());
            let partition = &file.file.partition;
            let made = writer.write_vectors(partition, &[(path, positions)]).await;
            for file in made.unwrap() {
                let entry = Entry {
                    status: ManifestStatus::Added,
                    snapshot_id: Some(snapshot_id),
                    sequence_number: None,
                    file_sequence_number: None,
                    file,
                };
                roller.add_entry(spec.spec_id(), entry).await.unwrap();
            }
        }
        if seen.is_empty() {
            return;
        }
        let replaced: Vec<DeleteKey> = seen.values().flatten().cloned().collect();
        let manifests = roller.finish().await.unwrap();
        let replace = ReplaceFiles::new(snapshot_id, Vec::new(), manifests)
            .with_operation(Operation::Overwrite)
            .with_removed_deletes(replaced);
        let committed = Transaction::new(Arc::clone(&self.catalog), view)
            .with_snapshot(replace)
            .with_revalidation(Arc::new(move |_, now| {
                Box::pin(check_vectors(now, seen.clone()))
            }))
            .await;
        match committed {
            Ok(_) => {
                let mut model = self.model.lock().unwrap();
                model.retain(|id, _| !deleted.contains(id));
            }
            // Somebody else has rewritten the files or deleted rows of them: nothing is changed.
            Err(Error::FilesGone { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }

    async fn delete_key(&self, key: i64) {
        let table = self.table().await;
        let partitions: Vec<Struct> = if self.partitioned {
            let parts = 0..PARTITIONS;
            parts
                .map(|p| Struct::from_iter([Some(Literal::long(p))]))
                .collect()
        } else {
            vec![Struct::empty()]
        };
        let schema = table.metadata().current_schema();
        let id = schema.field_id_by_name("k").unwrap();
        let rows = batch(
            vec![column("k", id, DataType::Int64)],
            vec![Arc::new(Int64Array::from(vec![key]))],
        );
        let files = partitions.into_iter().map(|partition| {
            self.delete_file(&rows, partition)
                .content(DataContentType::EqualityDeletes)
                .equality_ids(Some(vec![id]))
                .build()
                .unwrap()
        });
        let files = files.collect();
        self.commit(table, files, &BTreeSet::new()).await.unwrap();
        self.model.lock().unwrap().retain(|_, row| row.0 != key);
    }

    /// The table has the rows that it is to have, each once.
    pub(crate) async fn check(&self, what: &str) {
        let session = Session::new(Arc::clone(&self.catalog), SessionOptions::default()).unwrap();
        let query = "SELECT id, k, p FROM db.t ORDER BY id";
        let batches = session.sql(query).await.unwrap().collect().await.unwrap();
        let mut found = Vec::new();
        for batch in batches {
            let [ids, keys, parts] =
                [0, 1, 2].map(|at| batch.column(at).as_primitive::<Int64Type>().clone());
            found.extend(
                (0..batch.num_rows())
                    .map(|row| (ids.value(row), (keys.value(row), parts.value(row)))),
            );
        }
        let expected: Vec<_> = {
            let model = self.model.lock().unwrap();
            model.iter().map(|(id, row)| (*id, *row)).collect()
        };
        assert_eq!(found, expected, "{what}");
    }

    /// How many rows the table is to have.
    pub(crate) fn len(&self) -> usize {
        self.model.lock().unwrap().len()
    }

    /// How many delete files the table has.
    pub(crate) async fn delete_files(&self) -> usize {
        let scan = Scan::new(self.table().await);
        scan.delete_files().await.unwrap().len()
    }
}

fn vectors(file: &ScanFile) -> impl Iterator<Item = &Arc<DeleteFile>> {
    let deletes = file.deletes.iter();
    deletes.filter(|delete| delete.file.is_deletion_vector())
}

/// Refuses vectors of data files that have others than were seen, or are gone.
async fn check_vectors(
    now: Table,
    mut seen: HashMap<String, HashSet<DeleteKey>>,
) -> Result<(), Error> {
    let mut files = Scan::new(now).plan().await?;
    while let Some(file) = files.try_next().await? {
        let vectors: HashSet<DeleteKey> = vectors(&file).map(|it| it.key()).collect();
        if seen.get(&file.file.path) == Some(&vectors) {
            seen.remove(&file.file.path);
        }
    }
    if seen.is_empty() {
        return Ok(());
    }
    Err(Error::FilesGone {
        count: seen.len() as u64,
        first: seen.into_keys().collect(),
    })
}

/// The ids of the rows of a data file, deleted ones included.
fn ids(path: &str) -> Vec<i64> {
    let file = fs_err::File::open(path.trim_start_matches("file://")).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file.into_file()).unwrap();
    let mut ids = Vec::new();
    for batch in reader.build().unwrap() {
        let batch = batch.unwrap();
        let column = batch.column_by_name("id").unwrap();
        ids.extend(column.as_primitive::<Int64Type>().iter().flatten());
    }
    ids
}
