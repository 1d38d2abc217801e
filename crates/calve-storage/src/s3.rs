//! Buckets: one `object_store` client each, made when first needed.

use std::sync::Arc;

use aws_config::SdkConfig;
use calve_base::Location;
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, AwsCredential};
use object_store::{BackoffConfig, ClientOptions, CredentialProvider, RetryConfig};
use object_store::{StaticCredentialProvider, aws::AwsCredentialProvider};
use tokio::sync::OnceCell;

use crate::credentials::{ChainCredentials, chain_provider, load_chain};
use crate::error::{Error, Result};
use crate::settings::{Access, Encryption, S3Settings};

/// Where requests go when only an endpoint is known; such servers mostly accept any region.
const ENDPOINT_REGION: &str = "us-east-1";

/// What all buckets of a storage share.
#[derive(Default)]
pub(crate) struct Account {
    session: OnceCell<Session>,
}

#[derive(Clone)]
struct Session {
    region: String,
    /// `None` for anonymous requests.
    credentials: Option<AwsCredentialProvider>,
}

/// An open bucket.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    pub(crate) store: Arc<AmazonS3>,
    pub(crate) region: String,
}

impl Account {
    /// Opens the bucket that a location is in.
    pub(crate) async fn open(&self, location: &Location, settings: &S3Settings) -> Result<Bucket> {
        let session = self
            .session
            .get_or_try_init(|| start_session(location, settings))
            .await?;
        let store = build(location.bucket(), settings, session)
            .map_err(|source| Error::from_store(location, source))?;
        Ok(Bucket {
            store: Arc::new(store),
            region: session.region.clone(),
        })
    }
}

async fn start_session(location: &Location, settings: &S3Settings) -> Result<Session> {
    let known_region = settings.region.clone().or_else(|| {
        settings
            .endpoint
            .is_some()
            .then(|| ENDPOINT_REGION.to_owned())
    });
    let profile = match &settings.access {
        Access::Chain { profile } => profile.as_deref(),
        Access::Anonymous | Access::Keys { .. } => None,
    };
    let wants_chain = matches!(settings.access, Access::Chain { .. })
        || settings.role.is_some()
        || known_region.is_none();
    let chain = if wants_chain {
        Some(load_chain(known_region.as_deref(), profile).await)
    } else {
        None
    };
    let region = known_region
        .or_else(|| Some(chain.as_ref()?.region()?.to_string()))
        .ok_or_else(|| Error::NoRegion {
            location: location.clone(),
        })?;
    let credentials = credentials(settings, chain).await;
    Ok(Session {
        region,
        credentials,
    })
}

async fn credentials(
    settings: &S3Settings,
    chain: Option<SdkConfig>,
) -> Option<AwsCredentialProvider> {
    let keys = match &settings.access {
        Access::Anonymous => return None,
        Access::Keys { id, secret, token } => Some((id, secret, token)),
        Access::Chain { .. } => None,
    };
    if let (Some((id, secret, token)), None) = (keys, &settings.role) {
        return Some(Arc::new(StaticCredentialProvider::new(AwsCredential {
            key_id: id.clone(),
            secret_key: secret.clone(),
            token: token.clone(),
        })));
    }
    let mut chain = chain?;
    if let Some((id, secret, token)) = keys {
        let base = aws_credential_types::Credentials::new(id, secret, token.clone(), None, "calve");
        chain = chain
            .into_builder()
            .credentials_provider(
                aws_credential_types::provider::SharedCredentialsProvider::new(base),
            )
            .build();
    }
    let provider = chain_provider(&chain, settings.role.as_ref()).await?;
    let provider: Arc<dyn CredentialProvider<Credential = AwsCredential>> =
        Arc::new(ChainCredentials::new(provider));
    Some(provider)
}

fn build(bucket: &str, settings: &S3Settings, session: &Session) -> object_store::Result<AmazonS3> {
    let path_style = settings.is_path_style(bucket);
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_region(&session.region)
        .with_virtual_hosted_style_request(!path_style)
        .with_request_payer(settings.requester_pays)
        .with_client_options(client_options(settings))
        .with_retry(RetryConfig {
            backoff: BackoffConfig {
                init_backoff: settings.retries.first_wait,
                max_backoff: settings.retries.longest_wait,
                base: 2.,
            },
            max_retries: settings.retries.count,
            retry_timeout: settings.retries.total,
        });
    if let Some(endpoint) = &settings.endpoint {
        builder = builder.with_endpoint(bucket_endpoint(endpoint, bucket, path_style));
    }
    for (name, value) in encryption_config(settings.encryption.as_ref()) {
        let name: AmazonS3ConfigKey = name.parse()?;
        builder = builder.with_config(name, value);
    }
    builder = match &session.credentials {
        Some(credentials) => builder.with_credentials(Arc::clone(credentials)),
        None => builder.with_skip_signature(true),
    };
    builder.build()
}

/// What `object_store` calls the settings of encryption.
fn encryption_config(
    encryption: Option<&Encryption>,
) -> impl Iterator<Item = (&'static str, &str)> {
    let algorithm = encryption.map(|encryption| {
        let name = "aws_server_side_encryption";
        (name, encryption.algorithm)
    });
    let key = encryption
        .and_then(|encryption| encryption.key.as_deref())
        .map(|key| ("aws_sse_kms_key_id", key));
    algorithm.into_iter().chain(key)
}

fn client_options(settings: &S3Settings) -> ClientOptions {
    let plain = settings
        .endpoint
        .as_ref()
        .is_some_and(|endpoint| endpoint.starts_with("http://"));
    let mut options = ClientOptions::new()
        .with_allow_http(plain)
        .with_connect_timeout(settings.connect_timeout)
        .with_timeout(settings.request_timeout);
    if let Some(proxy) = &settings.proxy {
        options = options.with_proxy_url(proxy);
    }
    options
}

/// The endpoint as `object_store` wants it: with the bucket in the host's name, or without.
fn bucket_endpoint(endpoint: &str, bucket: &str, path_style: bool) -> String {
    let endpoint = if endpoint.contains("://") {
        endpoint.to_owned()
    } else {
        format!("https://{endpoint}")
    };
    let endpoint = endpoint.trim_end_matches('/');
    match endpoint.split_once("://") {
        Some((scheme, host)) if !path_style => format!("{scheme}://{bucket}.{host}"),
        _ => endpoint.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::bucket_endpoint;

    #[test]
    fn endpoints() {
        for (endpoint, path_style, wanted) in [
            ("http://h:9000/", true, "http://h:9000"),
            ("http://h:9000", false, "http://b.h:9000"),
            (
                "storage.example.com",
                false,
                "https://b.storage.example.com",
            ),
        ] {
            assert_eq!(bucket_endpoint(endpoint, "b", path_style), wanted);
        }
    }
}
