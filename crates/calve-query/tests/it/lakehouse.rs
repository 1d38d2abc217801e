//! A catalog in memory, and tables made from whatever files a test writes.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use calve_base::{Location, Properties, TableIdent};
use calve_catalog::{Catalog, Table};
use calve_query::{Session, SessionOptions};
use calve_table::NewTable;
use iceberg::spec::{
    DataFile, DataFileBuilder, DataFileFormat, FormatVersion, ManifestFile, ManifestListWriter,
    ManifestWriterBuilder, NestedField, Operation, PartitionSpec, PrimitiveType, Schema, Snapshot,
    SortOrder, Summary, Type,
};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::file::properties::WriterProperties;
use tempfile::TempDir;

/// A table's fields, shortly.
pub(crate) fn optional(id: i32, name: &str, kind: impl Into<Type>) -> Arc<NestedField> {
    NestedField::optional(id, name, kind.into()).into()
}

/// A primitive type as a type.
pub(crate) fn primitive(kind: PrimitiveType) -> Type {
    Type::Primitive(kind)
}

pub(crate) struct Lakehouse {
    folder: TempDir,
    pub(crate) catalog: Arc<dyn Catalog>,
    pub(crate) session: Session,
}

impl Lakehouse {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let warehouse = folder.path().join("warehouse");
        let properties = Properties::from([
            ("type".to_owned(), "memory".to_owned()),
            (
                "warehouse".to_owned(),
                warehouse.to_str().unwrap().to_owned(),
            ),
        ]);
        let catalog = calve_catalog::open("lakehouse", properties).await.unwrap();
        let options = SessionOptions {
            concurrency: Some(2),
            working_directory: Some(folder.path().to_str().unwrap().to_owned()),
            ..SessionOptions::default()
        };
        let session = Session::new(Arc::clone(&catalog), options).unwrap();
        Self {
            folder,
            catalog,
            session,
        }
    }

    pub(crate) fn path(&self, relative: &str) -> String {
        self.folder
            .path()
            .join(relative)
            .to_str()
            .unwrap()
            .to_owned()
    }

    /// Writes a Parquet file as engines other than Arrow's do: without Arrow's schema in it.
    pub(crate) fn write(&self, relative: &str, batch: &RecordBatch) -> DataFileBuilder {
        let properties = WriterProperties::builder()
            .set_max_row_group_row_count(Some(2))
            .build();
        self.write_with(relative, batch, properties)
    }

    pub(crate) fn write_with(
        &self,
        relative: &str,
        batch: &RecordBatch,
        properties: WriterProperties,
    ) -> DataFileBuilder {
        let path = self.path(relative);
        fs_err::create_dir_all(std::path::Path::new(&path).parent().unwrap()).unwrap();
        let file = fs_err::File::create(&path).unwrap();
        let options = ArrowWriterOptions::new()
            .with_properties(properties)
            .with_skip_arrow_metadata(true);
        let mut writer = ArrowWriter::try_new_with_options(file, batch.schema(), options).unwrap();
        writer.write(batch).unwrap();
        writer.close().unwrap();
        let size = fs_err::metadata(&path).unwrap().len();
        let mut builder = DataFileBuilder::default();
        builder
            .content(iceberg::spec::DataContentType::Data)
            .file_path(path)
            .file_format(DataFileFormat::Parquet)
            .record_count(batch.num_rows() as u64)
            .file_size_in_bytes(size)
            .partition_spec_id(0);
        builder
    }

    /// Makes a table without snapshots.
    pub(crate) async fn create(
        &self,
        name: &str,
        fields: Vec<Arc<NestedField>>,
        partition_by: &[(&str, &str, iceberg::spec::Transform)],
        mapping: Option<&str>,
    ) -> Table {
        let schema = Schema::builder().with_fields(fields).build().unwrap();
        let mut spec = PartitionSpec::builder(schema.clone());
        for (column, field, transform) in partition_by {
            spec = spec
                .add_partition_field(*column, *field, *transform)
                .unwrap();
        }
        let mut properties = Properties::new();
        if let Some(mapping) = mapping {
            properties.insert("schema.name-mapping.default".to_owned(), mapping.to_owned());
        }
        let ident: TableIdent = name.parse().unwrap();
        let metadata = NewTable {
            uuid: uuid::Uuid::from_u128(1),
            location: self.catalog.default_location(&ident).await.unwrap(),
            partition_spec: spec.build().unwrap(),
            schema,
            sort_order: SortOrder::unsorted_order(),
            properties,
            format_version: FormatVersion::V2,
            created_ms: 0,
        }
        .into_metadata()
        .unwrap();
        let build = metadata.into_builder(None).build().unwrap();
        self.catalog.commit(&ident, None, build).await.unwrap()
    }

    /// Adds files in a new snapshot, each list of files in a manifest of its own.
    pub(crate) async fn append(&self, table: &Table, files: Vec<DataFile>) -> Table {
        self.commit(table, &[(files, false)]).await
    }

    /// Commits manifests of data files (`false`) and of delete files (`true`).
    pub(crate) async fn commit(&self, table: &Table, manifests: &[(Vec<DataFile>, bool)]) -> Table {
        let metadata = table.metadata();
        let sequence_number = metadata.last_sequence_number() + 1;
        let snapshot_id = sequence_number * 100;
        let io = table.storage().file_io();
        let folder = Location::parse(metadata.location())
            .unwrap()
            .join("metadata");
        let mut all: Vec<ManifestFile> = match metadata.current_snapshot() {
            Some(parent) => calve_query_manifests(table, parent).await,
            None => Vec::new(),
        };
        for (index, (files, deletes)) in manifests.iter().enumerate() {
            let path = folder.join(&format!("m{sequence_number}-{index}.avro"));
            let writer = ManifestWriterBuilder::new(
                io.new_output(path.as_str()).unwrap(),
                Some(snapshot_id),
                Arc::clone(metadata.current_schema()),
                metadata.default_partition_spec().as_ref().clone(),
            );
            let mut writer = if *deletes {
                writer.build_v2_deletes()
            } else {
                writer.build_v2_data()
            };
            for file in files {
                writer.add_file(file.clone(), sequence_number).unwrap();
            }
            all.push(writer.write_manifest_file().await.unwrap());
        }
        let list = folder.join(&format!("snap-{snapshot_id}.avro"));
        let mut writer = ManifestListWriter::v2(
            io.new_output(list.as_str())
                .unwrap()
                .writer()
                .await
                .unwrap(),
            snapshot_id,
            metadata.current_snapshot_id(),
            sequence_number,
        );
        writer.add_manifests(all.into_iter()).unwrap();
        writer.close().await.unwrap();
        let snapshot = Snapshot::builder()
            .with_snapshot_id(snapshot_id)
            .with_parent_snapshot_id(metadata.current_snapshot_id())
            .with_sequence_number(sequence_number)
            .with_timestamp_ms(metadata.last_updated_ms().max(sequence_number * 1000))
            .with_manifest_list(list.as_str())
            .with_summary(Summary {
                operation: Operation::Append,
                additional_properties: HashMap::new(),
            })
            .with_schema_id(metadata.current_schema_id())
            .build();
        let build = metadata
            .clone()
            .into_builder(Some(table.metadata_location().to_string()))
            .set_branch_snapshot(snapshot, "main")
            .unwrap()
            .build()
            .unwrap();
        self.catalog
            .commit(table.ident(), Some(table), build)
            .await
            .unwrap()
    }

    /// The rows of a query as text: columns joined by `|`, sorted unless the query sorts.
    pub(crate) async fn rows(&self, query: &str) -> Result<Vec<String>, calve_query::Error> {
        rows(&self.session, query).await
    }

    /// Asserts the rows of a query.
    #[track_caller]
    pub(crate) fn check(&self, query: &str, expected: &[&str]) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            match self.rows(query).await {
                Ok(rows) => assert_eq!(rows, expected, "{query}\n  at {caller}"),
                Err(error) => panic!("{query}: {error}\n  at {caller}"),
            }
        }
    }

    /// Asserts the error of a query.
    #[track_caller]
    pub(crate) fn check_error(&self, query: &str, expected: &str) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            match self.rows(query).await {
                Ok(rows) => panic!("{query} gave {rows:?}\n  at {caller}"),
                Err(error) => {
                    let text = error.to_string();
                    assert!(text.contains(expected), "{query}: {text}\n  at {caller}");
                }
            }
        }
    }
}

/// The rows of a query as text, as [`Lakehouse::rows`] has them.
pub(crate) async fn rows(
    session: &Session,
    query: &str,
) -> Result<Vec<String>, calve_query::Error> {
    let frame = session.sql(query).await?;
    let batches = frame.collect().await?;
    let mut rows: Vec<String> = batches.iter().flat_map(text_rows).collect();
    if !query.to_uppercase().contains("ORDER BY") {
        rows.sort();
    }
    Ok(rows)
}

async fn calve_query_manifests(
    table: &Table,
    snapshot: &iceberg::spec::SnapshotRef,
) -> Vec<ManifestFile> {
    let location = Location::parse(snapshot.manifest_list()).unwrap();
    let bytes = table.storage().read(&location).await.unwrap();
    let list = iceberg::spec::ManifestList::parse_with_version(&bytes, FormatVersion::V2).unwrap();
    list.consume_entries().into_iter().collect()
}

fn text_rows(batch: &RecordBatch) -> Vec<String> {
    let options = FormatOptions::new().with_null("NULL");
    let columns: Vec<_> = batch
        .columns()
        .iter()
        .map(|column| ArrayFormatter::try_new(column, &options).unwrap())
        .collect();
    (0..batch.num_rows())
        .map(|row| {
            let mut text = String::new();
            for (index, column) in columns.iter().enumerate() {
                let separator = if index == 0 { "" } else { "|" };
                write!(text, "{separator}{}", column.value(row)).unwrap();
            }
            text
        })
        .collect()
}
