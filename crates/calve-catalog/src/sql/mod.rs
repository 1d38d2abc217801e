//! Catalogs in SQLite and PostgreSQL, in the tables that Java's `JdbcCatalog` and PyIceberg's
//! `SqlCatalog` share.

mod database;
mod uri;

use std::fmt;

use async_trait::async_trait;
use calve_base::{Location, Properties, TableIdent};

use crate::backend::{Backend, Entry, MoveError};
use crate::{Error, Result};
use database::{Database, NotChanged};

/// What Java and PyIceberg write for every namespace, so that one without properties has a row.
const EXISTS_PROPERTY: (&str, &str) = ("exists", "true");
const LOCATION_PROPERTY: &str = "location";
const TABLE_TYPE: &str = "TABLE";

const CREATE_TABLES: &str = "CREATE TABLE IF NOT EXISTS iceberg_tables (\
    catalog_name VARCHAR(255) NOT NULL, \
    table_namespace VARCHAR(255) NOT NULL, \
    table_name VARCHAR(255) NOT NULL, \
    metadata_location VARCHAR(1000), \
    previous_metadata_location VARCHAR(1000), \
    iceberg_type VARCHAR(5), \
    PRIMARY KEY (catalog_name, table_namespace, table_name))";
const CREATE_NAMESPACES: &str = "CREATE TABLE IF NOT EXISTS iceberg_namespace_properties (\
    catalog_name VARCHAR(255) NOT NULL, \
    namespace VARCHAR(255) NOT NULL, \
    property_key VARCHAR(255) NOT NULL, \
    property_value VARCHAR(1000), \
    PRIMARY KEY (catalog_name, namespace, property_key))";

/// Pointers in a database.
pub(crate) struct Sql {
    catalog: String,
    database: Database,
    /// Whether the table has the column that tells tables from views: not in old catalogs.
    has_type: bool,
}

impl fmt::Debug for Sql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sql")
            .field("database", &self.database)
            .finish_non_exhaustive()
    }
}

impl Sql {
    /// Connects, and makes the tables where they are missing.
    pub(crate) async fn open(catalog: &str, properties: &Properties) -> Result<Self> {
        let target = uri::parse(catalog, properties)?;
        let database = Database::connect(catalog, &target).await?;
        if !database.has_table("iceberg_tables").await?
            || !database.has_table("iceberg_namespace_properties").await?
        {
            database.prepare_new().await;
            for statement in [CREATE_TABLES, CREATE_NAMESPACES] {
                database.create(statement).await?;
            }
        }
        let has_type = database
            .has_column("iceberg_tables", "iceberg_type")
            .await?;
        Ok(Self {
            catalog: catalog.to_owned(),
            database,
            has_type,
        })
    }

    fn not_found(&self, ident: &TableIdent) -> Error {
        Error::TableNotFound {
            catalog: self.catalog.clone(),
            ident: ident.clone(),
        }
    }

    fn only_tables(&self) -> &'static str {
        if self.has_type {
            " AND (iceberg_type = 'TABLE' OR iceberg_type IS NULL)"
        } else {
            ""
        }
    }
}

#[async_trait]
impl Backend for Sql {
    async fn list_namespaces(&self) -> Result<Vec<Vec<String>>> {
        let names = self
            .database
            .texts(
                "SELECT namespace FROM iceberg_namespace_properties WHERE catalog_name = $1 \
                 UNION SELECT table_namespace FROM iceberg_tables WHERE catalog_name = $1",
                &[&self.catalog],
            )
            .await?;
        Ok(names
            .into_iter()
            .flatten()
            .map(|name| name.split('.').map(ToOwned::to_owned).collect())
            .collect())
    }

    async fn namespace_exists(&self, namespace: &[String]) -> Result<bool> {
        let name = namespace.join(".");
        let found = self
            .database
            .texts(
                "SELECT namespace FROM iceberg_namespace_properties \
                 WHERE catalog_name = $1 AND namespace = $2 \
                 UNION SELECT table_namespace FROM iceberg_tables \
                 WHERE catalog_name = $1 AND table_namespace = $2",
                &[&self.catalog, &name],
            )
            .await?;
        Ok(!found.is_empty())
    }

    async fn namespace_location(&self, namespace: &[String]) -> Result<Option<String>> {
        let name = namespace.join(".");
        let found = self
            .database
            .texts(
                "SELECT property_value FROM iceberg_namespace_properties \
                 WHERE catalog_name = $1 AND namespace = $2 AND property_key = $3",
                &[&self.catalog, &name, LOCATION_PROPERTY],
            )
            .await?;
        Ok(found.into_iter().flatten().next())
    }

    async fn create_namespace(&self, namespace: &[String], properties: &Properties) -> Result<()> {
        let name = namespace.join(".");
        let exists = || Error::NamespaceExists {
            catalog: self.catalog.clone(),
            namespace: name.clone(),
        };
        if self.namespace_exists(namespace).await? {
            return Err(exists());
        }
        let insert = "INSERT INTO iceberg_namespace_properties \
                      (catalog_name, namespace, property_key, property_value) \
                      VALUES ($1, $2, $3, $4)";
        let (key, value) = EXISTS_PROPERTY;
        let all = std::iter::once((key, value)).chain(
            properties
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_str()))
                .filter(|(key, _)| *key != EXISTS_PROPERTY.0),
        );
        let values: Vec<[&str; 4]> = all
            .map(|(key, value)| [self.catalog.as_str(), name.as_str(), key, value])
            .collect();
        if self.database.insert_all(insert, &values).await? {
            Ok(())
        } else {
            Err(exists())
        }
    }

    async fn list_tables(&self, namespace: &[String]) -> Result<Vec<TableIdent>> {
        let name = namespace.join(".");
        let statement = format!(
            "SELECT table_name FROM iceberg_tables \
             WHERE catalog_name = $1 AND table_namespace = $2{}",
            self.only_tables()
        );
        let names = self
            .database
            .texts(&statement, &[&self.catalog, &name])
            .await?;
        // A name that no statement could spell cannot be ours.
        Ok(names
            .into_iter()
            .flatten()
            .filter_map(|table| TableIdent::from_parts(namespace.to_vec(), table).ok())
            .collect())
    }

    async fn find(&self, ident: &TableIdent) -> Result<String> {
        let namespace = ident.namespace_text();
        let kind = if self.has_type {
            "iceberg_type"
        } else {
            "NULL"
        };
        let statement = format!(
            "SELECT metadata_location, {kind} FROM iceberg_tables \
             WHERE catalog_name = $1 AND table_namespace = $2 AND table_name = $3"
        );
        let keys = [self.catalog.as_str(), &namespace, ident.name()];
        let found = self.database.rows::<2>(&statement, &keys).await?;
        match found.into_iter().next() {
            Some([_, Some(kind)]) if kind != TABLE_TYPE => Err(Error::NotIceberg {
                catalog: self.catalog.clone(),
                ident: ident.clone(),
                kind: format!("a {}", kind.to_lowercase()),
            }),
            Some([Some(location), _]) => Ok(location),
            _ => Err(self.not_found(ident)),
        }
    }

    async fn insert(&self, ident: &TableIdent, entry: Entry<'_>) -> Result<(), MoveError> {
        let statement = if self.has_type {
            "INSERT INTO iceberg_tables (catalog_name, table_namespace, table_name, \
             metadata_location, previous_metadata_location, iceberg_type) \
             VALUES ($1, $2, $3, $4, NULL, 'TABLE')"
        } else {
            "INSERT INTO iceberg_tables (catalog_name, table_namespace, table_name, \
             metadata_location, previous_metadata_location) VALUES ($1, $2, $3, $4, NULL)"
        };
        let namespace = ident.namespace_text();
        let location = entry.location.as_str();
        let inserted = self
            .database
            .change(
                statement,
                &[&self.catalog, &namespace, ident.name(), location],
            )
            .await?;
        if inserted == Some(1) {
            return Ok(());
        }
        Err(MoveError::Refused(Error::TableExists {
            catalog: self.catalog.clone(),
            ident: ident.clone(),
        }))
    }

    async fn swap(
        &self,
        ident: &TableIdent,
        base: &Location,
        entry: Entry<'_>,
    ) -> Result<(), MoveError> {
        let statement = format!(
            "UPDATE iceberg_tables SET metadata_location = $1, previous_metadata_location = $2 \
             WHERE catalog_name = $3 AND table_namespace = $4 AND table_name = $5 \
             AND metadata_location = $2{}",
            self.only_tables()
        );
        let namespace = ident.namespace_text();
        let changed = self
            .database
            .change(
                &statement,
                &[
                    entry.location.as_str(),
                    base.as_str(),
                    &self.catalog,
                    &namespace,
                    ident.name(),
                ],
            )
            .await?;
        if changed == Some(1) {
            return Ok(());
        }
        Err(MoveError::Refused(match self.find(ident).await {
            Err(error @ Error::TableNotFound { .. }) => error,
            _ => Error::CommitConflict {
                ident: ident.clone(),
            },
        }))
    }

    async fn exchange(
        &self,
        old: (&TableIdent, &Location),
        new: (&TableIdent, &Location),
        backup: &TableIdent,
    ) -> Result<()> {
        let statement = format!(
            "UPDATE iceberg_tables SET table_namespace = $1, table_name = $2 \
             WHERE catalog_name = $3 AND table_namespace = $4 AND table_name = $5 \
             AND metadata_location = $6{}",
            self.only_tables()
        );
        let spaces = [old.0, new.0, backup].map(TableIdent::namespace_text);
        let catalog = self.catalog.as_str();
        let rows = [
            [
                &*spaces[2],
                backup.name(),
                catalog,
                &*spaces[0],
                old.0.name(),
                old.1.as_str(),
            ],
            [
                &*spaces[0],
                old.0.name(),
                catalog,
                &*spaces[1],
                new.0.name(),
                new.1.as_str(),
            ],
        ];
        let changed = self
            .database
            .change_rows(&statement, &rows)
            .await
            .map_err(MoveError::into_error(&self.catalog, "UPDATE"))?;
        let moved = match changed {
            Ok(()) => return Ok(()),
            Err(NotChanged::Taken) => {
                return Err(Error::TableExists {
                    catalog: self.catalog.clone(),
                    ident: backup.clone(),
                });
            }
            Err(NotChanged::Row(0)) => old.0,
            Err(NotChanged::Row(_)) => new.0,
        };
        Err(match self.find(moved).await {
            Err(error @ Error::TableNotFound { .. }) => error,
            _ => Error::CommitConflict {
                ident: moved.clone(),
            },
        })
    }

    async fn remove(&self, ident: &TableIdent) -> Result<()> {
        // A view of that name is no table.
        self.find(ident).await?;
        let namespace = ident.namespace_text();
        let deleted = self
            .database
            .change(
                "DELETE FROM iceberg_tables \
                 WHERE catalog_name = $1 AND table_namespace = $2 AND table_name = $3",
                &[&self.catalog, &namespace, ident.name()],
            )
            .await
            .map_err(MoveError::into_error(&self.catalog, "DELETE"))?;
        match deleted {
            Some(1..) => Ok(()),
            _ => Err(self.not_found(ident)),
        }
    }
}
