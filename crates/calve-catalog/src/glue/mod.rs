//! AWS Glue's Data Catalog.

mod client;
mod convert;
mod entry;
mod error;
mod metastore;
mod records;

use std::collections::HashMap;
use std::fmt;

use async_trait::async_trait;
use aws_sdk_glue::Client;
use aws_sdk_glue::types::{DatabaseInput, Table, TableInput};
use aws_smithy_types::retry::RetryConfig;
use calve_base::{Location, Properties, TableIdent};

use crate::backend::{Backend, Entry, MoveError};
use crate::{EntryRecord, Error, Metastore, Result};
use client::Settings;
use error::{Failed, Kind};

const DATABASE_CHARS: usize = 252;
const TABLE_CHARS: usize = 255;

/// Pointers in Glue.
pub(crate) struct Glue {
    catalog: String,
    settings: Settings,
    client: Client,
}

impl fmt::Debug for Glue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Glue")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl Glue {
    pub(crate) async fn open(catalog: &str, properties: &Properties) -> Result<Self> {
        let settings = Settings::read(catalog, properties)?;
        let client = client::connect(catalog, properties, &settings).await?;
        Ok(Self {
            catalog: catalog.to_owned(),
            settings,
            client,
        })
    }

    /// The entry of that name, whatever it is.
    async fn get(&self, ident: &TableIdent) -> Result<Option<Table>> {
        let answer = self
            .client
            .get_table()
            .set_catalog_id(self.settings.catalog_id.clone())
            .database_name(ident.namespace_text())
            .name(ident.name())
            .send()
            .await
            .map_err(Failed::new);
        match answer {
            Ok(answer) => Ok(answer.table),
            Err(failed) if failed.kind == Kind::NotFound => Ok(None),
            Err(failed) => {
                Err(failed.into_error(&self.catalog, format!("glue:GetTable of {ident}")))
            }
        }
    }

    fn not_found(&self, ident: &TableIdent) -> Error {
        Error::TableNotFound {
            catalog: self.catalog.clone(),
            ident: ident.clone(),
        }
    }

    /// Where an Iceberg table's entry points to.
    fn pointer<'a>(&self, ident: &TableIdent, table: &'a Table) -> Result<&'a str> {
        let location = table
            .parameters()
            .filter(|parameters| is_iceberg(Some(parameters)))
            .and_then(|parameters| parameters.get(entry::METADATA_LOCATION));
        location
            .map(String::as_str)
            .ok_or_else(|| Error::NotIceberg {
                catalog: self.catalog.clone(),
                ident: ident.clone(),
                kind: describe(table),
            })
    }

    fn unusable(&self, ident: &TableIdent, source: aws_sdk_glue::error::BuildError) -> MoveError {
        MoveError::Refused(Error::Refused {
            catalog: self.catalog.clone(),
            action: format!("the entry of {ident}"),
            source: source.into(),
        })
    }

    fn check(&self, name: &str, part: &str, limit: usize) -> Result<()> {
        let fits = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '_';
        if self.settings.skip_name_validation
            || (1..=limit).contains(&part.len()) && part.chars().all(fits)
        {
            return Ok(());
        }
        Err(Error::Name {
            catalog: self.catalog.clone(),
            name: name.to_owned(),
            problem: format!(
                "expected lower-case letters, digits and underscores, {limit} at most \
                 (glue.skip-name-validation=true leaves this to Glue)"
            ),
        })
    }

    fn database<'a>(&self, namespace: &'a [String]) -> Result<&'a str> {
        match namespace {
            [database] => Ok(database),
            _ => Err(Error::Name {
                catalog: self.catalog.clone(),
                name: namespace.join("."),
                problem: "Glue's databases have one level".to_owned(),
            }),
        }
    }
}

#[async_trait]
impl Backend for Glue {
    fn check_name(&self, ident: &TableIdent) -> Result<()> {
        let database = self.database(ident.namespace())?;
        self.check(database, database, DATABASE_CHARS)?;
        self.check(&ident.to_string(), ident.name(), TABLE_CHARS)
    }

    async fn list_namespaces(&self) -> Result<Vec<Vec<String>>> {
        let mut pages = self
            .client
            .get_databases()
            .set_catalog_id(self.settings.catalog_id.clone())
            .into_paginator()
            .send();
        let mut databases = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| {
                Failed::new(error).into_error(&self.catalog, "glue:GetDatabases".to_owned())
            })?;
            databases.extend(page.database_list.into_iter().map(|one| vec![one.name]));
        }
        Ok(databases)
    }

    async fn namespace_exists(&self, namespace: &[String]) -> Result<bool> {
        Ok(self.get_database(namespace).await?.is_some())
    }

    async fn namespace_location(&self, namespace: &[String]) -> Result<Option<String>> {
        let database = self.get_database(namespace).await?;
        Ok(database
            .and_then(|database| database.location_uri)
            .filter(|location| !location.is_empty()))
    }

    fn folder(&self, ident: &TableIdent) -> String {
        format!("{}.db/{}", ident.namespace_text(), ident.name())
    }

    async fn create_namespace(&self, namespace: &[String], properties: &Properties) -> Result<()> {
        let name = self.database(namespace)?;
        self.check(name, name, DATABASE_CHARS)?;
        let parameters: HashMap<String, String> = properties
            .iter()
            .filter(|(key, _)| !matches!(key.as_str(), "comment" | "location"))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        let action = format!("glue:CreateDatabase of {name}");
        let database = DatabaseInput::builder()
            .name(name)
            .set_description(properties.get("comment").cloned())
            .set_location_uri(properties.get("location").cloned())
            .set_parameters(Some(parameters))
            .build()
            .map_err(|error| Error::Refused {
                catalog: self.catalog.clone(),
                action: action.clone(),
                source: error.into(),
            })?;
        let answer = self
            .client
            .create_database()
            .set_catalog_id(self.settings.catalog_id.clone())
            .database_input(database)
            .send()
            .await
            .map_err(Failed::new);
        match answer {
            Ok(_) => Ok(()),
            Err(failed) if failed.kind == Kind::Exists => Err(Error::NamespaceExists {
                catalog: self.catalog.clone(),
                namespace: name.to_owned(),
            }),
            Err(failed) => Err(failed.into_error(&self.catalog, action)),
        }
    }

    async fn list_tables(&self, namespace: &[String]) -> Result<Vec<TableIdent>> {
        let database = self.database(namespace)?;
        let mut pages = self
            .client
            .get_tables()
            .set_catalog_id(self.settings.catalog_id.clone())
            .database_name(database)
            .into_paginator()
            .send();
        let mut tables = Vec::new();
        while let Some(page) = pages.next().await {
            let page = match page.map_err(Failed::new) {
                Ok(page) => page,
                Err(failed) if failed.kind == Kind::NotFound => return Ok(Vec::new()),
                Err(failed) => {
                    let action = format!("glue:GetTables of {database}");
                    return Err(failed.into_error(&self.catalog, action));
                }
            };
            let found = page.table_list.unwrap_or_default().into_iter();
            tables.extend(
                found
                    .filter(|table| is_iceberg(table.parameters()))
                    .map(|table| TableIdent::new(database, table.name)),
            );
        }
        Ok(tables)
    }

    async fn find(&self, ident: &TableIdent) -> Result<String> {
        let table = self
            .get(ident)
            .await?
            .ok_or_else(|| self.not_found(ident))?;
        self.pointer(ident, &table).map(ToOwned::to_owned)
    }

    async fn insert(&self, ident: &TableIdent, entry: Entry<'_>) -> Result<(), MoveError> {
        let input = entry::table_input(ident.name(), None, entry)
            .map_err(|error| self.unusable(ident, error))?;
        let answer = self
            .client
            .create_table()
            .set_catalog_id(self.settings.catalog_id.clone())
            .database_name(ident.namespace_text())
            .table_input(input)
            .customize()
            .config_override(no_retries())
            .send()
            .await
            .map_err(Failed::new);
        let Err(failed) = answer else {
            return Ok(());
        };
        Err(match failed.kind {
            Kind::Exists => MoveError::Refused(Error::TableExists {
                catalog: self.catalog.clone(),
                ident: ident.clone(),
            }),
            Kind::NotFound => MoveError::Refused(Error::NamespaceNotFound {
                catalog: self.catalog.clone(),
                namespace: ident.namespace_text(),
            }),
            _ => failed.into_move_error(&self.catalog, format!("glue:CreateTable of {ident}")),
        })
    }

    async fn swap(
        &self,
        ident: &TableIdent,
        base: &Location,
        entry: Entry<'_>,
    ) -> Result<(), MoveError> {
        let refused = MoveError::Refused;
        let found = self.get(ident).await.map_err(refused)?;
        let table = found.ok_or_else(|| refused(self.not_found(ident)))?;
        let conflict = || {
            MoveError::Refused(Error::CommitConflict {
                ident: ident.clone(),
            })
        };
        if self.pointer(ident, &table).map_err(refused)? != base.as_str() {
            return Err(conflict());
        }
        let input = entry::table_input(ident.name(), Some(&table), entry)
            .map_err(|error| self.unusable(ident, error))?;
        let answer = self.update(ident, input, table.version_id).await;
        let Err(failed) = answer else {
            return Ok(());
        };
        Err(match failed.kind {
            Kind::Concurrent => conflict(),
            Kind::NotFound => refused(self.not_found(ident)),
            _ => failed.into_move_error(&self.catalog, format!("glue:UpdateTable of {ident}")),
        })
    }

    async fn replace(
        &self,
        ident: &TableIdent,
        base: &EntryRecord,
        entry: Entry<'_>,
    ) -> Result<(), MoveError> {
        self.replace_record(ident, base, entry).await
    }

    async fn remove(&self, ident: &TableIdent) -> Result<()> {
        // What is no Iceberg table is not for this catalog to drop.
        self.find(ident).await?;
        self.delete(ident).await
    }

    fn metastore(&self) -> Option<&dyn Metastore> {
        Some(self)
    }
}

impl Glue {
    /// Asks once for an entry to become `input`, if it still has that version.
    async fn update(
        &self,
        ident: &TableIdent,
        input: TableInput,
        version: Option<String>,
    ) -> Result<(), Failed> {
        self.client
            .update_table()
            .set_catalog_id(self.settings.catalog_id.clone())
            .database_name(ident.namespace_text())
            .table_input(input)
            .skip_archive(self.settings.skip_archive)
            .set_version_id(version)
            .customize()
            .config_override(no_retries())
            .send()
            .await
            .map(drop)
            .map_err(Failed::new)
    }

    async fn delete(&self, ident: &TableIdent) -> Result<()> {
        let answer = self
            .client
            .delete_table()
            .set_catalog_id(self.settings.catalog_id.clone())
            .database_name(ident.namespace_text())
            .name(ident.name())
            .send()
            .await
            .map_err(Failed::new);
        match answer {
            Ok(_) => Ok(()),
            Err(failed) if failed.kind == Kind::NotFound => Err(self.not_found(ident)),
            Err(failed) => {
                Err(failed.into_error(&self.catalog, format!("glue:DeleteTable of {ident}")))
            }
        }
    }

    async fn get_database(
        &self,
        namespace: &[String],
    ) -> Result<Option<aws_sdk_glue::types::Database>> {
        let name = self.database(namespace)?;
        let answer = self
            .client
            .get_database()
            .set_catalog_id(self.settings.catalog_id.clone())
            .name(name)
            .send()
            .await
            .map_err(Failed::new);
        match answer {
            Ok(answer) => Ok(answer.database),
            Err(failed) if failed.kind == Kind::NotFound => Ok(None),
            Err(failed) => {
                Err(failed.into_error(&self.catalog, format!("glue:GetDatabase of {name}")))
            }
        }
    }
}

/// A request that moves a pointer is sent once: whether it is sent again is decided after a look at
/// where the pointer stands.
fn no_retries() -> aws_sdk_glue::config::Builder {
    aws_sdk_glue::config::Builder::new().retry_config(RetryConfig::disabled())
}

fn is_iceberg(parameters: Option<&HashMap<String, String>>) -> bool {
    parameters
        .and_then(|parameters| parameters.get(entry::TABLE_TYPE))
        .is_some_and(|kind| kind.eq_ignore_ascii_case("iceberg"))
}

/// What an entry is that is no Iceberg table.
fn describe(table: &Table) -> String {
    if table.table_type() == Some("VIRTUAL_VIEW") {
        return "a view".to_owned();
    }
    let parameters = table.parameters();
    let parameter = |key: &str| parameters.and_then(|parameters| parameters.get(key));
    if is_iceberg(parameters) {
        return "an Iceberg entry without a metadata_location".to_owned();
    }
    if let Some(provider) = parameter("spark.sql.sources.provider")
        && matches!(provider.to_ascii_lowercase().as_str(), "delta" | "hudi")
    {
        return format!("a {provider} table");
    }
    let format = table
        .storage_descriptor()
        .and_then(|storage| storage.input_format())
        .map(|class| class.rsplit('.').next().unwrap_or(class))
        .filter(|class| !class.is_empty())
        .or_else(|| parameter("classification").map(String::as_str));
    match format {
        Some(format) => format!("a Hive table of format {format}"),
        None => "a Hive table".to_owned(),
    }
}
