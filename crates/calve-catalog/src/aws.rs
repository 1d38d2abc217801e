//! The configuration of clients of AWS, from Iceberg's properties.

use std::time::Duration;

use aws_config::sts::AssumeRoleProvider;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use calve_base::Properties;

use crate::{Error, Result};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ATTEMPT_TIMEOUT: Duration = Duration::from_mins(1);
/// Servers other than AWS need some region, and any will do.
const REGION_OF_OTHER_SERVERS: &str = "us-east-1";

/// Reads how a service of AWS is reached. Nothing is sent to it.
///
/// Where it listens is `<service>.endpoint`; its region, profile, keys and role are the properties
/// `<service>.…`, or else `client.…`, or else `glue.…`; or else they come from AWS's own chain. Requests
/// that may be repeated are sent up to `attempts` times, with growing pauses.
///
/// # Errors
/// When a property is wrong, or nothing tells the region.
pub async fn sdk_config(
    catalog: &str,
    service: &str,
    properties: &Properties,
    attempts: u32,
) -> Result<SdkConfig> {
    let reader = Reader {
        catalog,
        service,
        properties,
    };
    let endpoint = reader.first(&[format!("{service}.endpoint")]);
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
        .retry_config(RetryConfig::standard().with_max_attempts(attempts));
    if let Some(profile) = reader.shared("profile-name") {
        loader = loader.profile_name(profile);
    }
    if let Some(region) = reader.shared("region") {
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
            "region",
            "missing, and the AWS configuration names no region either",
        ));
    }
    let role = reader.role(&shared).await;
    let mut config = shared.into_builder();
    if let Some(endpoint) = endpoint {
        config = config.endpoint_url(endpoint);
    }
    if let Some(role) = role {
        config = config.credentials_provider(role);
    }
    Ok(config.build())
}

struct Reader<'a> {
    catalog: &'a str,
    service: &'a str,
    properties: &'a Properties,
}

impl Reader<'_> {
    /// The first of the properties that is set and not empty.
    fn first(&self, names: &[String]) -> Option<String> {
        names
            .iter()
            .filter_map(|name| self.properties.get(name))
            .find(|value| !value.is_empty())
            .cloned()
    }

    /// What is set for the service, or else for all of AWS, or else for the catalog.
    fn shared(&self, name: &str) -> Option<String> {
        self.first(&[self.service, "client", "glue"].map(|owner| format!("{owner}.{name}")))
    }

    fn wrong(&self, name: &str, problem: &str) -> Error {
        Error::Property {
            catalog: self.catalog.to_owned(),
            property: format!("{}.{name}", self.service),
            problem: problem.to_owned(),
        }
    }

    fn keys(&self) -> Result<Option<Credentials>> {
        let id = self.shared("access-key-id");
        let secret = self.shared("secret-access-key");
        let half = "missing: the other half of the key is given";
        match (id, secret) {
            (Some(id), Some(secret)) => {
                let token = self.shared("session-token");
                let source = "catalog properties";
                Ok(Some(Credentials::new(id, secret, token, None, source)))
            }
            (None, None) => Ok(None),
            (None, Some(_)) => Err(self.wrong("access-key-id", half)),
            (Some(_), None) => Err(self.wrong("secret-access-key", half)),
        }
    }

    /// Credentials of a role that is taken on with the others.
    async fn role(&self, shared: &SdkConfig) -> Option<SharedCredentialsProvider> {
        let assumed = |name: &str| self.first(&[format!("client.assume-role.{name}")]);
        let arn = self.shared("role-arn").or_else(|| assumed("arn"))?;
        let session = self.shared("role-session-name");
        let session = session.or_else(|| assumed("session-name"));
        let mut role = AssumeRoleProvider::builder(arn)
            .session_name(session.unwrap_or_else(|| "calve".to_owned()))
            .configure(shared);
        if let Some(external_id) = assumed("external-id") {
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
