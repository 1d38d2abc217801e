//! Verification of one table against its source.

use std::future::IntoFuture;
use std::sync::Arc;

use calve_base::{NoProgress, Progress, TableIdent};
use calve_catalog::{Catalog, Table};
use calve_lake::{Lake, LakeOptions, Source};
use calve_query::{
    LakeFormat, Nanoseconds, OrcTimestamps, Session, SessionOptions, provider_of, table_provider,
    table_provider_at,
};
use datafusion::catalog::TableProvider;
use futures::future::BoxFuture;
use iceberg::spec::{FormatVersion, PrimitiveType, Transform, Type};

use crate::compare::compare_sides;
use crate::reader::{AthenaQuery, ForeignTable};
use crate::side::Side;
use crate::{
    Check, CompareOptions, Comparison, Difference, Error, Level, ReadBy, Reader, Result,
    RowDifferences, RowOptions,
};

/// What a verification found. Lists are cut at [`crate::DIFFERENCE_LIMIT`] entries; counts are not.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Report {
    /// Whether no difference was found.
    pub equal: bool,
    /// How closely it looked.
    pub level: Level,
    /// The source, as the user named it.
    pub source: String,
    /// The table.
    pub table: TableIdent,
    /// The snapshot of the table that was read; none where it has none.
    pub snapshot_id: Option<i64>,
    /// Number of partitions that either side has.
    pub partitions_compared: u64,
    /// Number of rows of the source.
    pub rows_source: u64,
    /// Number of rows of the table.
    pub rows_table: u64,
    /// Number of checks.
    pub checks_count: u64,
    /// What was compared.
    pub checks: Vec<Check>,
    /// Number of differences.
    pub differences_count: u64,
    /// The first differences, in the order of partitions and columns.
    pub differences: Vec<Difference>,
    /// Which rows differ, at [`Level::Rows`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row_differences: Option<RowDifferences>,
    /// Which part of the rows was compared, where it was not all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample: Option<f64>,
    /// Who read the table, where it was not calve.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reader: Option<ReadBy>,
}

/// What a table is compared with.
#[derive(Debug, Clone)]
pub enum VerifySource {
    /// A lake.
    Lake {
        /// Where it is described.
        source: Source,
        /// How it is read. Where it says nothing else, partition keys have the table's types.
        options: Box<LakeOptions>,
        /// What its files are.
        format: LakeFormat,
    },
    /// The current snapshot of another Iceberg table of the catalog.
    Table(TableIdent),
}

/// Compares a table with its source, and changes nothing.
#[must_use = "nothing is compared until this is awaited"]
#[derive(Debug, Clone)]
pub struct Verify {
    catalog: Arc<dyn Catalog>,
    source: VerifySource,
    table: TableIdent,
    level: Level,
    partition_filter: Vec<(String, String)>,
    snapshot_id: Option<i64>,
    row_options: RowOptions,
    sample: Option<f64>,
    reader: Option<Reader>,
    session_options: SessionOptions,
    progress: Arc<dyn Progress>,
}

impl Verify {
    /// Compares the current snapshot of `table` with `source` at [`Level::Aggregates`].
    pub fn new(catalog: Arc<dyn Catalog>, source: VerifySource, table: TableIdent) -> Self {
        Self {
            catalog,
            source,
            table,
            level: Level::default(),
            partition_filter: Vec::new(),
            snapshot_id: None,
            row_options: RowOptions::default(),
            sample: None,
            reader: None,
            session_options: SessionOptions::default(),
            progress: Arc::new(NoProgress),
        }
    }

    /// Sets how closely to look.
    pub fn with_level(mut self, level: Level) -> Self {
        self.level = level;
        self
    }

    /// Compares only the partitions with these values, on both sides; a part of the keys is enough.
    pub fn with_partition_filter(mut self, filter: Vec<(String, String)>) -> Self {
        self.partition_filter = filter;
        self
    }

    /// Reads another snapshot of the table than its current one.
    pub fn with_snapshot(mut self, snapshot_id: i64) -> Self {
        self.snapshot_id = Some(snapshot_id);
        self
    }

    /// Says how rows that differ are looked for, at [`Level::Rows`].
    pub fn with_rows(mut self, options: RowOptions) -> Self {
        self.row_options = options;
        self
    }

    /// Compares only a part of the rows: whole partitions where there are any. It is the same part on
    /// both sides, and each time.
    pub fn with_sample(mut self, fraction: f64) -> Self {
        self.sample = Some(fraction);
        self
    }

    /// Has another engine read the table. The source is read by calve.
    pub fn with_reader(mut self, reader: Reader) -> Self {
        self.reader = Some(reader);
        self
    }

    /// Sets the bounds of the queries: memory, spill folder, parts at once.
    pub fn with_session_options(mut self, options: SessionOptions) -> Self {
        self.session_options = options;
        self
    }

    /// Where to report how far it is.
    pub fn with_progress(mut self, progress: Arc<dyn Progress>) -> Self {
        self.progress = progress;
        self
    }
}

impl IntoFuture for Verify {
    type Output = Result<Report>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl Verify {
    async fn run(self) -> Result<Report> {
        self.check_ability()?;
        let table = self.catalog.load_table(&self.table).await?;
        let provider = self.table_provider(&table)?;
        let snapshot_id = self
            .snapshot_id
            .or_else(|| table.metadata().current_snapshot_id());
        let mut provider: Arc<dyn TableProvider> = Arc::new(provider);
        let mut name = format!("table {}", self.table);
        let foreign = match &self.reader {
            Some(Reader::Python(reader)) => {
                let foreign = ForeignTable::open(reader, &table, self.snapshot_id).await?;
                provider = Arc::new(foreign.clone());
                name = format!("{name}, read by {}", foreign.read_by().name);
                Some(foreign)
            }
            _ => None,
        };
        let session = Session::new(Arc::clone(&self.catalog), self.session_options.clone())
            .map_err(|source| Error::Session { source })?;
        let (source_name, source, lake_keys) = self.open_source(&session, &table).await?;
        let keys = keys(&table, lake_keys, source.as_ref(), provider.as_ref());
        let source = Side::new(&source_name, source, &keys)?
            .with_progress(&self.progress, "source rows read");
        let target =
            Side::new(&name, provider, &keys)?.with_progress(&self.progress, "table rows read");
        let compared = self.compare(&session, &table, (source, target), keys);
        let compared = compared.await;
        let (comparison, read_by) = compared.map_err(|error| {
            foreign
                .as_ref()
                .and_then(ForeignTable::take_failure)
                .unwrap_or(error)
        })?;
        let read_by = read_by.or_else(|| foreign.map(|foreign| foreign.read_by().clone()));
        Ok(self.report(source_name, snapshot_id, comparison, read_by))
    }

    async fn compare(
        &self,
        session: &Session,
        table: &Table,
        (source, target): (Side, Side),
        keys: Vec<String>,
    ) -> Result<(Comparison, Option<ReadBy>)> {
        let side = target.clone();
        let uuids = uuids(table);
        let engine = match &self.reader {
            Some(Reader::Athena(reader)) => Some(AthenaQuery {
                reader,
                table: &self.table,
                snapshot_id: self.snapshot_id,
                partition_filter: &self.partition_filter,
                side: &side,
                uuids: &uuids,
            }),
            _ => None,
        };
        let options = CompareOptions {
            keys,
            level: self.level,
            partition_filter: self.partition_filter.clone(),
            rows: self.row_options.clone(),
            sample: self.sample,
        };
        compare_sides(session.context(), source, target, &options, engine).await
    }

    /// Whether the reader can answer what it will be asked.
    fn check_ability(&self) -> Result<()> {
        let Some(Reader::Athena(_)) = self.reader else {
            return Ok(());
        };
        let wanted = match self.level {
            Level::Rows => "rows",
            _ if self.sample.is_some() => "a part of the rows",
            _ => return Ok(()),
        };
        Err(Error::ReaderAbility {
            reader: "athena",
            wanted,
        })
    }

    fn table_provider(&self, table: &Table) -> Result<calve_query::IcebergTable> {
        let provider = match self.snapshot_id {
            None => table_provider(table),
            Some(id) if table.metadata().snapshot_by_id(id).is_none() => {
                return Err(Error::NoSuchSnapshot {
                    table: self.table.clone(),
                    snapshot_id: id,
                });
            }
            Some(id) => table_provider_at(table, id),
        };
        provider.map_err(|source| Error::Read {
            side: format!("table {}", self.table),
            source,
        })
    }

    /// Opens the source: its name, what to read, and a lake's partition keys.
    async fn open_source(
        &self,
        session: &Session,
        table: &Table,
    ) -> Result<(String, Arc<dyn TableProvider>, Vec<String>)> {
        match &self.source {
            VerifySource::Table(ident) => {
                let name = format!("iceberg:{ident}");
                let source = self.catalog.load_table(ident).await?;
                let provider = table_provider(&source).map_err(|source| Error::Read {
                    side: name.clone(),
                    source,
                })?;
                Ok((name, Arc::new(provider), Vec::new()))
            }
            VerifySource::Lake {
                source,
                options,
                format,
            } => {
                let name = source.to_string();
                let mut options = options.as_ref().clone();
                options.progress = Arc::clone(&self.progress);
                options.format = format.of_entries();
                options.column_types.extend(column_types(table));
                options
                    .partition_filter
                    .extend(self.partition_filter.iter().cloned());
                let lake = Lake::open(self.catalog.storage(), source.clone(), options).await?;
                let keys = lake.partition_keys().iter();
                let keys = keys.map(|key| key.name.clone()).collect();
                let provider = provider_of(session, &lake, *format, orc_timestamps(table)).await;
                let provider = provider.map_err(|source| Error::Read {
                    side: name.clone(),
                    source,
                })?;
                Ok((name, provider, keys))
            }
        }
    }

    fn report(
        self,
        source: String,
        snapshot_id: Option<i64>,
        comparison: Comparison,
        reader: Option<ReadBy>,
    ) -> Report {
        Report {
            equal: comparison.is_equal(),
            level: self.level,
            source,
            table: self.table,
            snapshot_id,
            partitions_compared: comparison.partitions_compared,
            rows_source: comparison.rows_source,
            rows_table: comparison.rows_table,
            checks_count: comparison.checks_count,
            checks: comparison.checks,
            differences_count: comparison.differences_count,
            differences: comparison.differences,
            row_differences: comparison.row_differences,
            sample: self.sample,
            reader,
        }
    }
}

/// What to group by: the columns that the table is partitioned by as they are, or else the lake's
/// keys, as far as both sides have them.
fn keys(
    table: &Table,
    lake_keys: Vec<String>,
    source: &dyn TableProvider,
    target: &dyn TableProvider,
) -> Vec<String> {
    let metadata = table.metadata();
    let schema = metadata.current_schema();
    let fields = metadata.default_partition_spec().fields().iter();
    let identity: Vec<String> = fields
        .filter(|field| field.transform == Transform::Identity)
        .filter_map(|field| schema.name_by_field_id(field.source_id))
        .map(ToOwned::to_owned)
        .collect();
    let names = |provider: &dyn TableProvider| -> Vec<String> {
        let schema = provider.schema();
        let fields = schema.fields().iter();
        fields.map(|field| field.name().to_lowercase()).collect()
    };
    let (source, target) = (names(source), names(target));
    let mut keys = if identity.is_empty() {
        lake_keys
    } else {
        identity
    };
    keys.retain(|key| {
        let key = key.to_lowercase();
        source.contains(&key) && target.contains(&key)
    });
    keys
}

/// What timestamps of ORC files are compared by: all that the table can hold.
fn orc_timestamps(table: &Table) -> OrcTimestamps {
    match table.metadata().format_version() {
        FormatVersion::V1 | FormatVersion::V2 => OrcTimestamps::Microseconds(Nanoseconds::Truncate),
        FormatVersion::V3 => OrcTimestamps::Nanoseconds,
    }
}

/// The table's plain columns of UUIDs.
fn uuids(table: &Table) -> Vec<String> {
    let columns = column_types(table).into_iter();
    columns
        .filter(|(_, data_type)| *data_type == PrimitiveType::Uuid)
        .map(|(name, _)| name)
        .collect()
}

/// The types of the table's plain columns, which may be partition keys of the lake.
fn column_types(table: &Table) -> Vec<(String, PrimitiveType)> {
    let fields = table.metadata().current_schema().as_struct().fields();
    fields
        .iter()
        .filter_map(|field| match field.field_type.as_ref() {
            Type::Primitive(primitive) => Some((field.name.clone(), primitive.clone())),
            _ => None,
        })
        .collect()
}
