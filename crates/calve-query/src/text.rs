//! Lakes of text: CSV and JSON, one object a line, as DataFusion tables.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use async_trait::async_trait;
use calve_base::{Location, Stage};
use calve_lake::{Lake, LakeEntry, LakeFile};
use datafusion::catalog::{Session as CatalogSession, TableProvider};
use datafusion::common::config::CsvOptions;
use datafusion::datasource::TableType;
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::csv::CsvFormat;
use datafusion::datasource::file_format::json::JsonFormat;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{
    CsvSource, FileGroup, FileScanConfigBuilder, FileSource, JsonSource,
};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::Result as DataFusionResult;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use futures::TryStreamExt;
use object_store::{ObjectMeta, ObjectStore};

use crate::read::{in_file, scalar};
use crate::{Error, Result, Session};

/// What is counted while columns are learnt.
const STAGE: &str = "text files read";

/// Endings of compressed files, which are not read.
const COMPRESSED: [&str; 6] = [".gz", ".bz2", ".xz", ".zst", ".zip", ".snappy"];

/// How rows are written in text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TextFormat {
    /// Values divided by commas, with a line of names at the top of each file. An empty value is null.
    Csv,
    /// One JSON object a line.
    Json,
}

/// The files of a lake of text as one table. Types are found by reading all rows once.
#[derive(Debug, Clone)]
pub struct TextTable {
    format: TextFormat,
    schema: TableSchema,
    store: ObjectStoreUrl,
    files: Vec<TextFile>,
}

#[derive(Debug, Clone)]
struct TextFile {
    info: LakeFile,
    partitioned: PartitionedFile,
}

/// Makes a lake of text readable in a session.
///
/// Columns of CSV files are told by their place, so all files must have the same names in the same
/// order. Where files differ about a type, the wider one holds, and text for what has none.
///
/// # Errors
/// When the lake cannot be listed, a file cannot be read or is compressed, or files do not fit together.
pub async fn text_provider(
    session: &Session,
    lake: &Lake,
    format: TextFormat,
) -> Result<TextTable> {
    let state = session.context().state();
    let (store, url) = open_store(session, lake).await?;
    let keys: Vec<FieldRef> = lake
        .partition_keys()
        .iter()
        .filter_map(|key| {
            let data_type = scalar::arrow_type(&key.primitive_type)?;
            Some(Arc::new(Field::new(&key.name, data_type, true)))
        })
        .collect();
    let stage = Stage::start(lake.progress().as_ref(), STAGE, Some(lake.totals().files));
    let mut schema: Option<Schema> = None;
    let mut files = Vec::new();
    let mut entries = lake.files();
    while let Some(entry) = entries.try_next().await? {
        let LakeEntry::File(file) = entry else {
            continue;
        };
        check_plain(&file.location)?;
        let meta = object(lake, &file).await?;
        let inferred = format
            .reader()
            .infer_schema(&state, &store, std::slice::from_ref(&meta))
            .await
            .map_err(|error| Error::from(in_file(&file.location, error)))?;
        schema = Some(match schema {
            None => inferred.as_ref().clone(),
            Some(known) => unite(&known, &inferred, format)
                .map_err(|problem| wrong(&file.location, problem))?,
        });
        files.push(text_file(lake, file, meta)?);
        stage.advance(1);
    }
    let schema = schema.unwrap_or_else(Schema::empty);
    let both = |field: &&FieldRef| schema.field_with_name(field.name()).is_ok();
    if let Some(key) = keys.iter().find(both) {
        let problem = format!(
            "column `{}` is both in the files and in their paths",
            key.name()
        );
        return Err(wrong(lake.root(), problem));
    }
    Ok(TextTable {
        format,
        schema: TableSchema::new(Arc::new(schema), keys),
        store: url,
        files,
    })
}

impl TextTable {
    /// Its files, in the order of the lake's listing.
    pub fn files(&self) -> impl ExactSizeIterator<Item = &LakeFile> {
        self.files.iter().map(|file| &file.info)
    }

    /// The same table with some of its files only, by their places in [`TextTable::files`]. Places that
    /// are none are passed over.
    #[must_use]
    pub fn with_files(&self, places: &[usize]) -> Self {
        let files = places.iter().filter_map(|place| self.files.get(*place));
        Self {
            files: files.cloned().collect(),
            ..self.clone()
        }
    }
}

impl TextFormat {
    fn csv_options() -> CsvOptions {
        CsvOptions {
            has_header: Some(true),
            // Files are read whole, so that line breaks in quotes are right.
            newlines_in_values: Some(true),
            schema_infer_max_rec: Some(usize::MAX),
            ..CsvOptions::default()
        }
    }

    fn reader(self) -> Arc<dyn FileFormat> {
        match self {
            Self::Csv => Arc::new(CsvFormat::default().with_options(Self::csv_options())),
            Self::Json => Arc::new(JsonFormat::default().with_schema_infer_max_rec(usize::MAX)),
        }
    }

    fn source(self, schema: TableSchema) -> Arc<dyn FileSource> {
        match self {
            Self::Csv => Arc::new(CsvSource::new(schema).with_csv_options(Self::csv_options())),
            Self::Json => Arc::new(JsonSource::new(schema)),
        }
    }
}

/// Makes the lake's store known to the session under a name of its own.
async fn open_store(
    session: &Session,
    lake: &Lake,
) -> Result<(Arc<dyn ObjectStore>, ObjectStoreUrl)> {
    let (store, _) = lake.storage().open(lake.root()).await?;
    let name = format!(
        "calve-{:?}://{}",
        lake.root().scheme(),
        lake.root().bucket()
    );
    let name = name.to_lowercase();
    let name = if name.ends_with("://") {
        format!("{name}local")
    } else {
        name
    };
    let url = ObjectStoreUrl::parse(name)?;
    session
        .context()
        .register_object_store(url.as_ref(), Arc::clone(&store));
    Ok((store, url))
}

async fn object(lake: &Lake, file: &LakeFile) -> Result<ObjectMeta> {
    let (_, location) = lake.storage().open(&file.location).await?;
    let modified = chrono::DateTime::from_timestamp_millis(file.last_modified_ms);
    Ok(ObjectMeta {
        location,
        last_modified: modified.unwrap_or_default(),
        size: file.size,
        e_tag: file.etag.clone(),
        version: None,
    })
}

fn text_file(lake: &Lake, info: LakeFile, meta: ObjectMeta) -> Result<TextFile> {
    let mut values = Vec::with_capacity(info.partition.len());
    for (key, value) in lake.partition_keys().iter().zip(info.partition.iter()) {
        let value = scalar::literal(value.as_ref(), &key.primitive_type).ok_or_else(|| {
            let problem = format!(
                "the value of partition key `{}` is not of its type",
                key.name
            );
            wrong(&info.location, problem)
        })?;
        values.push(value);
    }
    let partitioned = PartitionedFile::new_from_meta(meta).with_partition_values(values);
    Ok(TextFile { info, partitioned })
}

fn check_plain(location: &Location) -> Result<()> {
    let name = location.file_name().to_lowercase();
    match COMPRESSED.iter().find(|ending| name.ends_with(*ending)) {
        Some(ending) => Err(wrong(
            location,
            format!("compressed text (`{ending}`) is not read; decompress it first"),
        )),
        None => Ok(()),
    }
}

fn wrong(location: &Location, problem: String) -> Error {
    Error::Text {
        location: location.clone(),
        problem,
    }
}

/// Unites the columns of two files.
fn unite(known: &Schema, new: &Schema, format: TextFormat) -> Result<Schema, String> {
    if format == TextFormat::Csv {
        let names = |schema: &Schema| -> Vec<String> {
            schema
                .fields()
                .iter()
                .map(|field| field.name().clone())
                .collect()
        };
        if names(known) != names(new) {
            let (known, new) = (names(known).join(", "), names(new).join(", "));
            return Err(format!(
                "its columns are ({new}), and those of other files ({known})"
            ));
        }
    }
    Ok(Schema::new(unite_fields(
        known.fields(),
        new.fields(),
        unite_types,
    )?))
}

/// Unites fields by their names, those of one type by `unite`.
pub(crate) fn unite_fields(
    known: &Fields,
    new: &Fields,
    unite: fn(&DataType, &DataType) -> Option<DataType>,
) -> Result<Fields, String> {
    let mut united: Vec<FieldRef> = Vec::with_capacity(known.len());
    for field in known {
        united.push(match new.find(field.name()) {
            None => Arc::clone(field),
            Some((_, other)) => {
                let data_type = unite(field.data_type(), other.data_type()).ok_or_else(|| {
                    let (left, right) = (field.data_type(), other.data_type());
                    format!(
                        "column `{}` is {right}, and in other files {left}",
                        field.name()
                    )
                })?;
                Arc::new(Field::new(field.name(), data_type, true))
            }
        });
    }
    let added = new
        .iter()
        .filter(|field| known.find(field.name()).is_none());
    united.extend(added.cloned());
    Ok(united.into())
}

/// The type that holds the values of both; `None` where one is nested and the other is not.
fn unite_types(left: &DataType, right: &DataType) -> Option<DataType> {
    use DataType as T;
    Some(match (left, right) {
        (left, right) if left == right => left.clone(),
        (T::Null, other) | (other, T::Null) => other.clone(),
        (T::Int64, T::Float64) | (T::Float64, T::Int64) => T::Float64,
        (T::Struct(left), T::Struct(right)) => {
            T::Struct(unite_fields(left, right, unite_types).ok()?)
        }
        (T::List(left), T::List(right)) => {
            let element = unite_types(left.data_type(), right.data_type())?;
            T::List(Arc::new(Field::new(left.name(), element, true)))
        }
        (left, right) if left.is_nested() || right.is_nested() => return None,
        _ => T::Utf8,
    })
}

#[async_trait]
impl TableProvider for TextTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.schema.table_schema())
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        session: &dyn CatalogSession,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        if self.files.is_empty() {
            let schema = match projection {
                Some(projection) => Arc::new(self.schema().project(projection)?),
                None => self.schema(),
            };
            return Ok(Arc::new(EmptyExec::new(schema)));
        }
        let count = session
            .config()
            .target_partitions()
            .clamp(1, self.files.len());
        let mut groups = vec![Vec::new(); count];
        for (index, file) in self.files.iter().enumerate() {
            groups[index * count / self.files.len()].push(file.partitioned.clone());
        }
        let groups = groups.into_iter().map(FileGroup::new).collect();
        let source = self.format.source(self.schema.clone());
        let config = FileScanConfigBuilder::new(self.store.clone(), source)
            .with_file_groups(groups)
            .with_limit(limit)
            .with_projection_indices(projection.cloned())?
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(left: &DataType, right: &DataType, expected: Option<&DataType>) {
        assert_eq!(
            unite_types(left, right).as_ref(),
            expected,
            "{left} {right}"
        );
        assert_eq!(
            unite_types(right, left).as_ref(),
            expected,
            "{right} {left}"
        );
    }

    #[test]
    fn types_of_several_files() {
        use DataType as T;
        check(&T::Int64, &T::Int64, Some(&T::Int64));
        check(&T::Int64, &T::Float64, Some(&T::Float64));
        check(&T::Int64, &T::Boolean, Some(&T::Utf8));
        check(&T::Date32, &T::Utf8, Some(&T::Utf8));
        check(&T::Null, &T::Date32, Some(&T::Date32));
        check(&T::new_list(T::Int64, true), &T::Int64, None);
        check(
            &T::new_list(T::Int64, true),
            &T::new_list(T::Float64, true),
            Some(&T::new_list(T::Float64, true)),
        );
    }

    #[test]
    fn csv_goes_by_place() {
        let schema = |names: &[&str]| {
            let fields = names
                .iter()
                .map(|name| Field::new(*name, DataType::Int64, true));
            Schema::new(fields.collect::<Vec<_>>())
        };
        unite(&schema(&["a", "b"]), &schema(&["b", "a"]), TextFormat::Csv).unwrap_err();
        unite(&schema(&["a"]), &schema(&["a", "b"]), TextFormat::Csv).unwrap_err();
        let united = unite(&schema(&["a"]), &schema(&["b"]), TextFormat::Json).unwrap();
        assert_eq!(united.fields().len(), 2);
    }
}
