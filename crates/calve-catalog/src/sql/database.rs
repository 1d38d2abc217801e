//! The two databases behind one face: text in, text out.

use std::fmt;
use std::time::Duration;

use sqlx::pool::PoolOptions;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};
use sqlx::{Connection, Row};

use super::uri::Target;
use crate::backend::MoveError;
use crate::{Error, Result};

const MAX_CONNECTIONS: u32 = 8;
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// A pool of connections to one database.
pub(super) struct Database {
    catalog: String,
    /// The address without user and password.
    address: String,
    pool: Pool,
}

enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Database({})", self.address)
    }
}

/// Runs the same text with either driver.
macro_rules! with_pool {
    ($database:expr, |$pool:ident| $body:expr) => {
        match &$database.pool {
            Pool::Sqlite($pool) => $body,
            Pool::Postgres($pool) => $body,
        }
    };
}

macro_rules! query {
    ($statement:expr, $values:expr) => {{
        let mut query = sqlx::query($statement).persistent(false);
        for value in $values {
            query = query.bind(*value);
        }
        query
    }};
}

impl Database {
    pub(super) async fn connect(catalog: &str, target: &Target) -> Result<Self> {
        let (address, pool) = match target {
            Target::Sqlite { path, read_only } => {
                let shown = path
                    .as_ref()
                    .map_or_else(|| ":memory:".to_owned(), |path| path.display().to_string());
                let address = format!("sqlite:{shown}");
                let mut options = SqliteConnectOptions::new()
                    .create_if_missing(!read_only)
                    .read_only(*read_only)
                    .busy_timeout(BUSY_TIMEOUT);
                let mut pool = SqlitePoolOptions::new().max_connections(MAX_CONNECTIONS);
                if let Some(path) = path {
                    options = options.filename(path);
                } else {
                    // Each connection would have a database of its own.
                    pool = one_lasting_connection(pool);
                }
                (address, pool.connect_with(options).await.map(Pool::Sqlite))
            }
            Target::Postgres(options) => {
                let address = postgres_address(options);
                let pool = PgPoolOptions::new()
                    .max_connections(MAX_CONNECTIONS)
                    .acquire_timeout(CONNECT_TIMEOUT)
                    .connect_with(options.as_ref().clone())
                    .await;
                (address, pool.map(Pool::Postgres))
            }
        };
        let pool =
            pool.map_err(|error| typed(catalog, &format!("could not open {address}"), error))?;
        Ok(Self {
            catalog: catalog.to_owned(),
            address,
            pool,
        })
    }

    pub(super) async fn has_table(&self, table: &str) -> Result<bool> {
        let statement = match self.pool {
            Pool::Sqlite(_) => "SELECT name FROM sqlite_master WHERE type = 'table' AND name = $1",
            Pool::Postgres(_) => {
                "SELECT table_name::text FROM information_schema.tables \
                 WHERE table_name = $1 AND table_schema = ANY (current_schemas(false))"
            }
        };
        Ok(!self.texts(statement, &[table]).await?.is_empty())
    }

    pub(super) async fn has_column(&self, table: &str, column: &str) -> Result<bool> {
        let statement = match self.pool {
            Pool::Sqlite(_) => "SELECT name FROM pragma_table_info($1) WHERE lower(name) = $2",
            Pool::Postgres(_) => {
                "SELECT column_name::text FROM information_schema.columns \
                 WHERE table_name = $1 AND column_name = $2 \
                 AND table_schema = ANY (current_schemas(false))"
            }
        };
        Ok(!self.texts(statement, &[table, column]).await?.is_empty())
    }

    /// Sets a new SQLite file to write-ahead logging, so that readers and a writer do not wait for
    /// each other. An existing file keeps its mode. Where it cannot be (another process makes the
    /// same file now, or the file system has no shared memory) the default mode is as safe.
    pub(super) async fn prepare_new(&self) {
        if let Pool::Sqlite(pool) = &self.pool
            && let Err(error) = sqlx::query("PRAGMA journal_mode = WAL").execute(pool).await
        {
            tracing::debug!(%error, "no write-ahead log");
        }
    }

    /// Creates a table. Processes may race to do so.
    pub(super) async fn create(&self, statement: &str) -> Result<()> {
        let made = with_pool!(self, |pool| sqlx::query(statement)
            .persistent(false)
            .execute(pool)
            .await
            .map(drop));
        match made {
            // PostgreSQL's IF NOT EXISTS is not atomic: the loser of a race sees the winner's rows
            // in the system catalogs.
            Err(error) if !is_unique_violation(&error) && !is_duplicate(&error) => {
                Err(self.typed("could not create the catalog's tables", error))
            }
            _ => Ok(()),
        }
    }

    /// The first column of every row.
    pub(super) async fn texts(
        &self,
        statement: &str,
        values: &[&str],
    ) -> Result<Vec<Option<String>>> {
        let rows = self.rows(statement, values).await?;
        Ok(rows.into_iter().map(|[first]| first).collect())
    }

    /// All rows, each of `COLUMNS` columns.
    pub(super) async fn rows<const COLUMNS: usize>(
        &self,
        statement: &str,
        values: &[&str],
    ) -> Result<Vec<[Option<String>; COLUMNS]>> {
        let rows = with_pool!(self, |pool| query!(statement, values)
            .fetch_all(pool)
            .await
            .and_then(|rows| {
                rows.iter()
                    .map(|row| {
                        let mut texts = [const { None }; COLUMNS];
                        for (index, text) in texts.iter_mut().enumerate() {
                            *text = row.try_get::<Option<String>, _>(index)?;
                        }
                        Ok(texts)
                    })
                    .collect::<Result<Vec<_>, _>>()
            }));
        rows.map_err(|error| self.typed("could not read", error))
    }

    /// Runs one changing statement: the number of rows it changed, or `None` where a key is taken.
    pub(super) async fn change(
        &self,
        statement: &str,
        values: &[&str],
    ) -> Result<Option<u64>, MoveError> {
        let changed = with_pool!(self, |pool| query!(statement, values)
            .execute(pool)
            .await
            .map(|done| done.rows_affected()));
        let changed = match changed {
            Ok(rows) => Ok(Some(rows)),
            Err(error) if is_unique_violation(&error) => Ok(None),
            Err(error) => Err(self.unmoved(error)),
        };
        self.checkpoint().await;
        changed
    }

    /// Inserts several rows or none; `false` where a key is taken.
    pub(super) async fn insert_all(&self, statement: &str, rows: &[[&str; 4]]) -> Result<bool> {
        let inserted: Result<(), sqlx::Error> = with_pool!(self, |pool| async {
            let mut connection = pool.acquire().await?;
            let mut transaction = connection.begin().await?;
            for values in rows {
                query!(statement, values).execute(&mut *transaction).await?;
            }
            transaction.commit().await
        }
        .await);
        self.checkpoint().await;
        match inserted {
            Ok(()) => Ok(true),
            Err(error) if is_unique_violation(&error) => Ok(false),
            Err(error) => Err(self.typed("could not write", error)),
        }
    }

    /// Runs changes of one row each, all or none: the index of the first one that found no row, or a taken key.
    pub(super) async fn change_rows(
        &self,
        statement: &str,
        rows: &[[&str; 6]],
    ) -> Result<Result<(), NotChanged>, MoveError> {
        let changed: Result<Option<usize>, sqlx::Error> = with_pool!(self, |pool| async {
            let mut connection = pool.acquire().await?;
            let mut transaction = connection.begin().await?;
            for (index, values) in rows.iter().enumerate() {
                let done = query!(statement, values).execute(&mut *transaction).await?;
                if done.rows_affected() != 1 {
                    transaction.rollback().await?;
                    return Ok(Some(index));
                }
            }
            transaction.commit().await?;
            Ok(None)
        }
        .await);
        self.checkpoint().await;
        match changed {
            Ok(None) => Ok(Ok(())),
            Ok(Some(index)) => Ok(Err(NotChanged::Row(index))),
            Err(error) if is_unique_violation(&error) => Ok(Err(NotChanged::Taken)),
            Err(error) => Err(self.unmoved(error)),
        }
    }

    /// Brings the write-ahead log into the file, so that a copy of the file alone is complete.
    async fn checkpoint(&self) {
        if let Pool::Sqlite(pool) = &self.pool
            && let Err(error) = sqlx::query("PRAGMA wal_checkpoint(PASSIVE)")
                .execute(pool)
                .await
        {
            tracing::debug!(%error, "no checkpoint");
        }
    }

    /// Whether a failed statement may have taken effect all the same.
    fn unmoved(&self, error: sqlx::Error) -> MoveError {
        match error {
            // The connection broke while the statement ran or its answer was on its way.
            sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => {
                MoveError::Unclear(error.into())
            }
            // PostgreSQL: connection and operator intervention classes.
            sqlx::Error::Database(ref refusal)
                if refusal
                    .code()
                    .is_some_and(|code| code.starts_with("08") || code.starts_with("57")) =>
            {
                MoveError::Unclear(error.into())
            }
            error => MoveError::Refused(self.typed("could not write", error)),
        }
    }

    fn typed(&self, action: &str, error: sqlx::Error) -> Error {
        typed(
            &self.catalog,
            &format!("{action} ({})", self.address),
            error,
        )
    }
}

/// Why nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotChanged {
    /// The change of that index found no row.
    Row(usize),
    /// A key is taken.
    Taken,
}

impl MoveError {
    /// For statements that are not part of a commit: an unclear outcome is a failure.
    pub(super) fn into_error(catalog: &str, action: &str) -> impl FnOnce(Self) -> Error {
        let (catalog, action) = (catalog.to_owned(), action.to_owned());
        move |error| match error {
            Self::Refused(error) => error,
            Self::Unclear(source) => Error::Unavailable {
                catalog,
                action,
                source,
            },
        }
    }
}

fn one_lasting_connection(options: PoolOptions<sqlx::Sqlite>) -> PoolOptions<sqlx::Sqlite> {
    options
        .max_connections(1)
        .min_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
}

fn postgres_address(options: &PgConnectOptions) -> String {
    format!(
        "postgresql://{}:{}/{}",
        options.get_host(),
        options.get_port(),
        options.get_database().unwrap_or_default()
    )
}

fn is_unique_violation(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .is_some_and(sqlx::error::DatabaseError::is_unique_violation)
}

/// PostgreSQL: the table, or the type of its rows, is there already.
fn is_duplicate(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .is_some_and(|code| matches!(code.as_ref(), "42P07" | "42710"))
}

fn typed(catalog: &str, action: &str, error: sqlx::Error) -> Error {
    let catalog = catalog.to_owned();
    let action = action.to_owned();
    let code = error
        .as_database_error()
        .and_then(|refusal| refusal.code().map(std::borrow::Cow::into_owned))
        .unwrap_or_default();
    let source = Box::new(error);
    match (source.as_ref(), code.as_str()) {
        // PostgreSQL: wrong password, not authorised, no privilege. SQLite: read-only.
        (_, "28000" | "28P01" | "42501" | "8" | "1032" | "1544") => Error::AccessDenied {
            catalog,
            action,
            source,
        },
        // SQLite: busy, locked. PostgreSQL: serialization, deadlock, too many connections, resources.
        (_, "5" | "6" | "261" | "262" | "517" | "40001" | "40P01" | "53300" | "55P03")
        | (sqlx::Error::PoolTimedOut, _) => Error::Busy {
            catalog,
            action,
            source,
        },
        (sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolClosed, _) => {
            Error::Unavailable {
                catalog,
                action,
                source,
            }
        }
        _ => Error::Refused {
            catalog,
            action,
            source,
        },
    }
}
