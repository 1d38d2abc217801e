use std::collections::BTreeMap;
use std::sync::Arc;

use calve::base::{Location, Properties};
use calve::catalog::Catalog;

use super::{Environment, Error};

/// The catalog that needs no configuration.
pub(crate) const DEFAULT_NAME: &str = "default";

/// The file of the default catalog, in the working directory.
const DEFAULT_DATABASE: &str = "calve.db";

/// Where the default catalog puts new tables, in the working directory.
const DEFAULT_WAREHOUSE: &str = "warehouse";

/// What the names of variables that describe a catalog begin with.
const VARIABLE_PREFIX: &str = "CALVE_CATALOG__";

/// One catalog: its name and Iceberg's properties for it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct CatalogSettings {
    /// The name the user gave it.
    pub(crate) name: String,
    /// Its properties.
    pub(crate) properties: Properties,
}

impl std::fmt::Debug for CatalogSettings {
    /// Hides the values, among which are secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CatalogSettings")
            .field("name", &self.name)
            .field("properties", &self.properties.keys())
            .finish()
    }
}

impl CatalogSettings {
    /// Opens the catalog.
    ///
    /// # Errors
    /// When the properties are wrong or the catalog cannot be reached.
    pub(crate) async fn open(&self) -> calve::catalog::Result<Arc<dyn Catalog>> {
        calve::catalog::open(&self.name, self.properties.clone()).await
    }
}

/// Every catalog that the file and the environment describe.
#[derive(Clone)]
pub(crate) struct Configuration {
    file: BTreeMap<String, Properties>,
    variables: BTreeMap<String, Properties>,
    working_directory: String,
}

impl std::fmt::Debug for Configuration {
    /// Hides the values, among which are secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Configuration").finish_non_exhaustive()
    }
}

impl Configuration {
    /// Puts the sources together.
    pub(crate) fn new(
        file: BTreeMap<String, Properties>,
        environment: &Environment,
        working_directory: &str,
    ) -> Self {
        let mut variables: BTreeMap<String, Properties> = BTreeMap::new();
        for (name, value) in environment.variables() {
            if let Some((catalog, property)) = read_variable_name(name) {
                variables
                    .entry(catalog)
                    .or_default()
                    .insert(property, value.to_owned());
            }
        }
        Self {
            file,
            variables,
            working_directory: working_directory.to_owned(),
        }
    }

    /// The catalog of that name: the file's properties, over them the variables', over them `set`,
    /// and defaults where the default catalog lacks something.
    ///
    /// # Errors
    /// When nothing describes the catalog, or its warehouse is no location.
    pub(crate) fn resolve(
        &self,
        name: &str,
        set: Vec<(String, String)>,
    ) -> Result<CatalogSettings, Error> {
        let mut properties = self.file.get(name).cloned().unwrap_or_default();
        if let Some(variables) = self.variables.get(&normalize(name)) {
            properties.extend(variables.clone());
        }
        properties.extend(set);
        let is_described = properties.contains_key("type") || properties.contains_key("uri");
        if !is_described && name != DEFAULT_NAME {
            return Err(Error::UnknownCatalog {
                name: name.to_owned(),
                known: self.names(),
            });
        }
        if !is_described {
            properties.insert("type".to_owned(), "sql".to_owned());
        }
        if name == DEFAULT_NAME
            && !properties.contains_key("uri")
            && properties.get("type").is_some_and(|kind| kind == "sql")
        {
            let uri = format!("sqlite:///{}/{DEFAULT_DATABASE}", self.working_directory);
            properties.insert("uri".to_owned(), uri);
            properties
                .entry("warehouse".to_owned())
                .or_insert_with(|| DEFAULT_WAREHOUSE.to_owned());
        }
        if let Some(warehouse) = properties.get_mut("warehouse")
            && !warehouse.starts_with("arn:")
        {
            *warehouse = Location::from_user(warehouse, &self.working_directory)?.to_string();
        }
        Ok(CatalogSettings {
            name: name.to_owned(),
            properties,
        })
    }

    /// The names of all catalogs that are described, sorted.
    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .file
            .keys()
            .chain(self.variables.keys())
            .cloned()
            .collect();
        names.sort();
        names.dedup();
        names
    }
}

/// Reads `CALVE_CATALOG__<NAME>__<PROPERTY>`: `__` in the property is a dot, `_` a hyphen, and all
/// is lower case, as in `PyIceberg`'s configuration.
fn read_variable_name(variable: &str) -> Option<(String, String)> {
    let (catalog, property) = variable.strip_prefix(VARIABLE_PREFIX)?.split_once("__")?;
    if catalog.is_empty() || property.is_empty() {
        return None;
    }
    let property = property.replace("__", ".").replace('_', "-");
    Some((normalize(catalog), property.to_lowercase()))
}

/// The form of a catalog's name that variables can spell.
fn normalize(name: &str) -> String {
    name.replace('_', "-").to_lowercase()
}
