//! The connection to Glue, from Iceberg's properties.

use aws_sdk_glue::Client;
use calve_base::Properties;

use crate::aws::sdk_config;
use crate::{Error, Result};

/// How often a request that may be repeated is sent at most.
const DEFAULT_ATTEMPTS: u32 = 10;

/// What the properties say about Glue.
#[derive(Debug)]
pub(super) struct Settings {
    /// The account of the Data Catalog, when it is not the caller's own.
    pub(super) catalog_id: Option<String>,
    pub(super) skip_archive: bool,
    pub(super) skip_name_validation: bool,
    attempts: u32,
}

impl Settings {
    pub(super) fn read(catalog: &str, properties: &Properties) -> Result<Self> {
        let attempts = match properties.get("glue.max-retries") {
            None => DEFAULT_ATTEMPTS,
            Some(text) => text
                .parse()
                .ok()
                .filter(|attempts| *attempts > 0)
                .ok_or_else(|| Error::Property {
                    catalog: catalog.to_owned(),
                    property: "glue.max-retries".to_owned(),
                    problem: format!("`{text}` is no number above 0"),
                })?,
        };
        Ok(Self {
            catalog_id: properties.get("glue.id").cloned(),
            skip_archive: flag(catalog, properties, "glue.skip-archive", true)?,
            skip_name_validation: flag(catalog, properties, "glue.skip-name-validation", false)?,
            attempts,
        })
    }
}

/// Makes a client. Nothing is sent to Glue yet.
pub(super) async fn connect(
    catalog: &str,
    properties: &Properties,
    settings: &Settings,
) -> Result<Client> {
    let config = sdk_config(catalog, "glue", properties, settings.attempts).await?;
    Ok(Client::new(&config))
}

fn flag(catalog: &str, properties: &Properties, name: &str, default: bool) -> Result<bool> {
    match properties
        .get(name)
        .map(|text| text.to_ascii_lowercase())
        .as_deref()
    {
        None => Ok(default),
        Some("true" | "1") => Ok(true),
        Some("false" | "0") => Ok(false),
        Some(other) => Err(Error::Property {
            catalog: catalog.to_owned(),
            property: name.to_owned(),
            problem: format!("`{other}` is neither true nor false"),
        }),
    }
}
