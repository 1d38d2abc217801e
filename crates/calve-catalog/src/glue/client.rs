//! The connection to Glue, from Iceberg's properties.

use std::time::Duration;

use aws_config::sts::AssumeRoleProvider;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_glue::Client;
use aws_sdk_glue::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use calve_base::Properties;

use crate::{Error, Result};

/// How often a request that may be repeated is sent at most.
const DEFAULT_ATTEMPTS: u32 = 10;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ATTEMPT_TIMEOUT: Duration = Duration::from_mins(1);
/// Servers other than AWS need some region, and any will do.
const REGION_OF_OTHER_SERVERS: &str = "us-east-1";

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
    let reader = Reader {
        catalog,
        properties,
    };
    let endpoint = reader.first(&["glue.endpoint"]);
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .timeout_config(timeouts)
        .retry_config(RetryConfig::standard().with_max_attempts(settings.attempts));
    if let Some(profile) = reader.first(&["glue.profile-name", "client.profile-name"]) {
        loader = loader.profile_name(profile);
    }
    if let Some(region) = reader.first(&["glue.region", "client.region"]) {
        loader = loader.region(Region::new(region));
    } else if endpoint.is_some() {
        loader = loader.region(Region::new(REGION_OF_OTHER_SERVERS));
    }
    if let Some(keys) = reader.keys()? {
        loader = loader.credentials_provider(keys);
    }
    let shared = loader.load().await;
    if shared.region().is_none() {
        return Err(reader.wrong(
            "glue.region",
            "missing, and the AWS configuration names no region either",
        ));
    }
    let mut config = aws_sdk_glue::config::Builder::from(&shared);
    if let Some(endpoint) = endpoint {
        config = config.endpoint_url(endpoint);
    }
    if let Some(role) = reader.role(&shared).await {
        config = config.credentials_provider(role);
    }
    Ok(Client::from_conf(config.build()))
}

struct Reader<'a> {
    catalog: &'a str,
    properties: &'a Properties,
}

impl Reader<'_> {
    /// The first of the properties that is set and not empty.
    fn first(&self, names: &[&str]) -> Option<String> {
        names
            .iter()
            .filter_map(|name| self.properties.get(*name))
            .find(|value| !value.is_empty())
            .cloned()
    }

    fn wrong(&self, property: &str, problem: &str) -> Error {
        Error::Property {
            catalog: self.catalog.to_owned(),
            property: property.to_owned(),
            problem: problem.to_owned(),
        }
    }

    fn keys(&self) -> Result<Option<Credentials>> {
        let id = self.first(&["glue.access-key-id", "client.access-key-id"]);
        let secret = self.first(&["glue.secret-access-key", "client.secret-access-key"]);
        let half = "missing: the other half of the key is given";
        match (id, secret) {
            (Some(id), Some(secret)) => {
                let token = self.first(&["glue.session-token", "client.session-token"]);
                let source = "catalog properties";
                Ok(Some(Credentials::new(id, secret, token, None, source)))
            }
            (None, None) => Ok(None),
            (None, Some(_)) => Err(self.wrong("glue.access-key-id", half)),
            (Some(_), None) => Err(self.wrong("glue.secret-access-key", half)),
        }
    }

    /// Credentials of a role that is taken on with the others.
    async fn role(&self, shared: &SdkConfig) -> Option<SharedCredentialsProvider> {
        let arn = self.first(&["glue.role-arn", "client.role-arn", "client.assume-role.arn"])?;
        let session = self.first(&[
            "glue.role-session-name",
            "client.role-session-name",
            "client.assume-role.session-name",
        ]);
        let mut role = AssumeRoleProvider::builder(arn)
            .session_name(session.unwrap_or_else(|| "calve".to_owned()))
            .configure(shared);
        if let Some(external_id) = self.first(&["client.assume-role.external-id"]) {
            role = role.external_id(external_id);
        }
        Some(SharedCredentialsProvider::new(
            match shared.credentials_provider() {
                Some(own) => role.build_from_provider(own).await,
                None => role.build().await,
            },
        ))
    }
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
