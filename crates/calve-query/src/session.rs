//! A place to run queries in.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use calve_base::{Location, TableIdent};
use calve_catalog::{Catalog, Table};
use calve_lake::{Lake, LakeOptions, Source};
use calve_table::metadata_tables::MetadataTable;
use datafusion::catalog::TableProvider;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{DataFrame, SQLOptions, SessionConfig, SessionContext};
use datafusion::sql::parser::Statement;

use crate::catalog::{Namespaces, QUERY_NAMESPACE, Tables};
use crate::lake::lake_provider;
use crate::metadata::MetadataProvider;
use crate::sql::{
    Spellings, TableName, Version, count_microseconds, replace_tables, respell, snapshot_at,
    table_names, take_versions,
};
use crate::table::{IcebergTable, table_provider};
use crate::{Error, Result};

/// The namespace of tables that are named without one.
const DEFAULT_NAMESPACE: &str = "default";

/// What the table is called that [`Session::select_from`] reads.
const SOURCE: &str = "source";

/// The bounds of a [`Session`].
#[derive(Debug, Clone, Default)]
pub struct SessionOptions {
    /// How much memory queries may use before they spill; unbounded when `None`.
    pub memory_bytes: Option<u64>,
    /// Where they spill to; a folder of the system's choice when `None`.
    pub spill_dir: Option<PathBuf>,
    /// How many parts a query runs in at once; as many as there are processors when `None`.
    pub concurrency: Option<usize>,
    /// What relative paths in `FROM './lake'` are relative to: an absolute path. They are refused when `None`.
    pub working_directory: Option<String>,
}

/// Runs SQL over the tables of a catalog and over Parquet lakes. Reads only.
///
/// Tables are `db.t`, or `catalog.db.t` with the catalog's own name; their metadata tables follow
/// with one more part (`db.t.files`, `db.t.snapshots`, …). A location in quotes
/// (`FROM 's3://bucket/lake'`) is read as a Parquet lake. `FOR VERSION AS OF 123`,
/// `FOR VERSION AS OF 'branch-or-tag'` and `FOR TIMESTAMP AS OF '2024-01-31 12:00:00'` (UTC) after a
/// table's name read it as it was. Unquoted names that are not known as they are written are found in
/// any case.
pub struct Session {
    context: SessionContext,
    tables: Arc<Tables>,
    working_directory: Option<String>,
    queries: AtomicU64,
}

impl Session {
    /// Makes a session over a catalog.
    ///
    /// # Errors
    /// When the spill folder cannot be used.
    pub fn new(catalog: Arc<dyn Catalog>, options: SessionOptions) -> Result<Self> {
        let context = context(&options, catalog.name())?;
        let name = catalog.name().to_owned();
        let tables = Arc::new(Tables::new(catalog));
        context.register_catalog(name, Arc::new(Namespaces(Arc::clone(&tables))));
        Ok(Self {
            context,
            tables,
            working_directory: options.working_directory,
            queries: AtomicU64::new(0),
        })
    }

    /// DataFusion's own session, to register more tables or functions in.
    pub fn context(&self) -> &SessionContext {
        &self.context
    }

    /// Plans a query. It runs when the data frame is executed.
    ///
    /// # Errors
    /// When the query is wrong, would change something, or names what is not there.
    pub async fn sql(&self, query: &str) -> Result<DataFrame> {
        self.plan_query(query, None).await
    }

    /// Plans the reading of some table: `select` is a list of SQL expressions (all columns when `None`),
    /// `filter` a condition. Both may use the table's columns and, in subqueries, all that
    /// [`Session::sql`] knows.
    ///
    /// # Errors
    /// As [`Session::sql`].
    pub async fn select_from(
        &self,
        table: Arc<dyn TableProvider>,
        select: Option<&str>,
        filter: Option<&str>,
    ) -> Result<DataFrame> {
        let select = select.unwrap_or("*");
        // On lines of their own, so that a comment at an end swallows nothing.
        let query = match filter {
            Some(filter) => format!("SELECT {select}\nFROM {SOURCE} WHERE ({filter}\n)"),
            None => format!("SELECT {select}\nFROM {SOURCE}"),
        };
        self.plan_query(&query, Some(table)).await
    }

    async fn plan_query(
        &self,
        query: &str,
        source: Option<Arc<dyn TableProvider>>,
    ) -> Result<DataFrame> {
        let taken = take_versions(query)?;
        let state = self.context.state();
        let dialect = state.config().options().sql_parser.dialect;
        let mut statement = state.sql_to_statement(&taken.query, &dialect)?;
        if needs_listing(query) {
            self.tables.list().await?;
        }

        let mut prepared = Prepared {
            tables: &self.tables,
            names: Vec::new(),
        };
        let mut replacements = HashMap::new();
        let mut spellings = Spellings::default();
        for name in table_names(&statement, &taken) {
            let given = source
                .as_ref()
                .filter(|_| matches!(name.parts.as_slice(), [(only, _)] if only == SOURCE));
            let found = match given {
                Some(provider) => Some((Arc::clone(provider), None)),
                None => self.find(&name).await?,
            };
            let Some((provider, ident)) = found else {
                continue;
            };
            spellings.add_fields(provider.schema().fields());
            match ident {
                // `db.t` stays as it is, so that `db.t.column` does, too.
                Some(ident) if is_plain(&name, &ident) => {
                    prepared.add(ident.namespace_text(), ident.name().to_owned(), provider);
                }
                _ => {
                    let key = format!(
                        "{}#{}",
                        name.parts
                            .iter()
                            .map(|(part, _)| part.as_str())
                            .collect::<Vec<_>>()
                            .join("."),
                        self.queries.fetch_add(1, Ordering::Relaxed)
                    );
                    replacements.insert(name, vec![QUERY_NAMESPACE.to_owned(), key.clone()]);
                    prepared.add(QUERY_NAMESPACE.to_owned(), key, provider);
                }
            }
        }
        replace_tables(&mut statement, &taken, &replacements);
        respell(&mut statement, spellings);
        count_microseconds(&mut statement);
        self.plan(statement).await
    }

    async fn plan(&self, statement: Statement) -> Result<DataFrame> {
        let plan = self.context.state().statement_to_plan(statement).await?;
        SQLOptions::new()
            .with_allow_ddl(false)
            .with_allow_dml(false)
            .verify_plan(&plan)?;
        Ok(self.context.execute_logical_plan(plan).await?)
    }

    /// Finds what a name in a query means: a table of the catalog (then its name there, too), a
    /// metadata table or a lake. `None` leaves the name to DataFusion.
    async fn find(
        &self,
        name: &TableName,
    ) -> Result<Option<(Arc<dyn TableProvider>, Option<TableIdent>)>> {
        if let Some(location) = name.location() {
            let provider = self.lake(location).await?;
            return Ok(Some((provider, None)));
        }
        let mut parts = name.parts.as_slice();
        if parts.len() > 2 && parts[0].0 == self.tables.catalog().name() {
            parts = &parts[1..];
        }
        if parts.len() < 2 {
            return Ok(None);
        }
        if let Some(table) = self.load(parts).await? {
            let provider: Arc<dyn TableProvider> = match &name.version {
                None => Arc::new(table_provider(&table)?),
                Some(version) => Arc::new(at_version(&table, version)?),
            };
            return Ok(Some((provider, Some(table.ident().clone()))));
        }
        let Some(((last, _), of)) = parts.split_last().filter(|(_, of)| of.len() > 1) else {
            return Ok(None);
        };
        let Ok(kind) = last.parse::<MetadataTable>() else {
            return Ok(None);
        };
        let Some(table) = self.load(of).await? else {
            return Ok(None);
        };
        let snapshot = name
            .version
            .as_ref()
            .map(|version| snapshot_at(&table, version));
        let snapshot = snapshot.transpose()?.map(|(snapshot, _)| snapshot);
        let provider = MetadataProvider::new(kind, table, snapshot);
        Ok(Some((Arc::new(provider), None)))
    }

    /// Loads `namespace….table`, as written or else in lower case.
    async fn load(&self, parts: &[(String, bool)]) -> Result<Option<Table>> {
        let written: Vec<String> = parts.iter().map(|(part, _)| part.clone()).collect();
        let lower: Vec<String> = parts
            .iter()
            .map(|(part, quoted)| {
                if *quoted {
                    part.clone()
                } else {
                    part.to_lowercase()
                }
            })
            .collect();
        let mut candidates = vec![written];
        if candidates[0] != lower {
            candidates.push(lower);
        }
        for mut namespace in candidates {
            let Some(table) = namespace.pop() else {
                continue;
            };
            let Ok(ident) = TableIdent::from_parts(namespace, table) else {
                continue;
            };
            match self.tables.catalog().load_table(&ident).await {
                Ok(table) => return Ok(Some(table)),
                // What the catalog cannot hold is not there: in Glue, `db.t.files` can be no table.
                Err(
                    calve_catalog::Error::TableNotFound { .. }
                    | calve_catalog::Error::NamespaceNotFound { .. }
                    | calve_catalog::Error::Name { .. },
                ) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }

    async fn lake(&self, text: &str) -> Result<Arc<dyn TableProvider>> {
        let location = match &self.working_directory {
            Some(folder) => Location::from_user(text, folder)?,
            None => Location::parse(text)?,
        };
        let source = Source::Location(location);
        let lake = Lake::open(
            self.tables.catalog().storage(),
            source,
            LakeOptions::default(),
        )
        .await?;
        Ok(Arc::new(lake_provider(&lake).await?))
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("tables", &self.tables)
            .finish_non_exhaustive()
    }
}

/// Tables that are at hand until the query is planned.
struct Prepared<'a> {
    tables: &'a Tables,
    names: Vec<(String, String)>,
}

impl Prepared<'_> {
    fn add(&mut self, namespace: String, name: String, table: Arc<dyn TableProvider>) {
        self.tables.prepare(&namespace, &name, table);
        self.names.push((namespace, name));
    }
}

impl Drop for Prepared<'_> {
    fn drop(&mut self) {
        for (namespace, name) in &self.names {
            self.tables.forget(namespace, name);
        }
    }
}

/// Whether DataFusion finds the table by itself under the name that the query uses.
fn is_plain(name: &TableName, ident: &TableIdent) -> bool {
    name.version.is_none()
        && name.parts.len() == 2
        && ident.namespace() == [name.parts[0].0.clone()]
        && ident.name() == name.parts[1].0
}

fn at_version(table: &Table, version: &Version) -> Result<IcebergTable> {
    let (snapshot, schema) = snapshot_at(table, version)?;
    IcebergTable::new(table, Some(snapshot), schema)
}

/// Whether a statement asks which tables there are.
fn needs_listing(query: &str) -> bool {
    let query = query.to_lowercase();
    query.contains("information_schema") || query.trim_start().starts_with("show")
}

fn context(options: &SessionOptions, catalog: &str) -> Result<SessionContext> {
    let mut config = SessionConfig::new()
        .with_default_catalog_and_schema(catalog, DEFAULT_NAMESPACE)
        .with_create_default_catalog_and_schema(false)
        .with_information_schema(true);
    if let Some(concurrency) = options.concurrency {
        config = config.with_target_partitions(concurrency.max(1));
    }
    let settings = config.options_mut();
    settings.execution.parquet.coerce_int96 = Some("us".to_owned());
    settings.execution.time_zone = Some("+00:00".to_owned());
    // Names are found in any case by `sql::respell` instead.
    settings.sql_parser.enable_ident_normalization = false;
    settings.sql_parser.map_string_types_to_utf8view = false;

    if let Some(bytes) = options.memory_bytes {
        // What each sort keeps back for merging what it spilled, which DataFusion does not scale down.
        let share = bytes / 8 / settings.execution.target_partitions.max(1) as u64;
        let kept = &mut settings.execution.sort_spill_reservation_bytes;
        *kept = usize::try_from(share).unwrap_or(usize::MAX).min(*kept);
    }

    let mut disk = DiskManagerBuilder::default();
    if let Some(folder) = &options.spill_dir {
        disk.set_mode(DiskManagerMode::Directories(vec![folder.clone()]));
    }
    let mut runtime = RuntimeEnvBuilder::new().with_disk_manager_builder(disk);
    if let Some(bytes) = options.memory_bytes {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        runtime = runtime.with_memory_pool(Arc::new(FairSpillPool::new(bytes)));
    }
    let runtime = runtime.build_arc().map_err(Error::from)?;
    Ok(SessionContext::new_with_config_rt(config, runtime))
}
