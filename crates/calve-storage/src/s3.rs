//! Buckets: one `object_store` client each, made when first needed.

use std::sync::Arc;

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use calve_base::Location;
use object_store::aws::AwsCredentialProvider;
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, AwsCredential};
use object_store::client::{HttpClient, HttpConnector, ReqwestConnector};
use object_store::{BackoffConfig, ClientOptions, RetryConfig, StaticCredentialProvider};
use tokio::sync::OnceCell;

use crate::credentials::{
    ChainCredentials, chain_provider, configured_region, load_chain, no_chain,
};
use crate::error::{Error, Result};
use crate::s3_client::{RawKeys, S3Client, Shared, Signer, is_url};
use crate::settings::{Access, Encryption, S3Settings};

/// The region of servers for which none is configured; most of them accept any.
const ENDPOINT_REGION: &str = "us-east-1";

/// What all buckets of a storage share.
#[derive(Default)]
pub(crate) struct Account {
    session: OnceCell<Session>,
}

#[derive(Clone)]
struct Session {
    signer: Signer,
    http: HttpClient,
}

/// An open bucket.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    pub(crate) store: Arc<AmazonS3>,
    pub(crate) client: S3Client,
}

impl Bucket {
    pub(crate) fn error(&self, location: &Location, source: object_store::Error) -> Error {
        Error::from_store(location, source).sent_to(&self.client.signer.region)
    }
}

impl Account {
    /// Opens the bucket that a location is in.
    pub(crate) async fn open(&self, location: &Location, settings: &S3Settings) -> Result<Bucket> {
        let bucket = location.bucket();
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if !bucket.chars().all(is_name) {
            let location = location.clone();
            return Err(Error::BucketName { location });
        }
        let session = self
            .session
            .get_or_try_init(|| start_session(location, settings))
            .await?;
        let url = bucket_url(bucket, settings, &session.signer.region);
        if !is_url(&url) {
            return Err(Error::Property {
                name: "s3.endpoint",
                value: settings.endpoint.clone().unwrap_or_default(),
                expected: "the URL of a server",
            });
        }
        let store = build(bucket, &url, settings, session)
            .map_err(|source| Error::from_store(location, source))?;
        Ok(Bucket {
            store: Arc::new(store),
            client: S3Client {
                http: session.http.clone(),
                url,
                signer: session.signer.clone(),
                retries: settings.retries.clone(),
            },
        })
    }
}

async fn start_session(location: &Location, settings: &S3Settings) -> Result<Session> {
    let profile = match &settings.access {
        Access::Chain { profile } => profile.as_deref(),
        Access::Anonymous | Access::Keys { .. } => None,
    };
    let known_region = match (&settings.region, &settings.endpoint) {
        (Some(region), _) => Some(region.clone()),
        (None, Some(_)) => Some(
            configured_region(profile)
                .await
                .unwrap_or_else(|| ENDPOINT_REGION.to_owned()),
        ),
        (None, None) => None,
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
    let credentials = match &settings.access {
        Access::Anonymous => None,
        Access::Keys { .. } | Access::Chain { .. } => {
            let found = credentials(settings, chain).await;
            Some(found.map_err(|error| Error::from_store(location, error))?)
        }
    };
    let http = ReqwestConnector::default()
        .connect(&client_options(settings))
        .map_err(|source| Error::from_store(location, source))?;
    Ok(Session {
        signer: Signer {
            credentials,
            region,
            requester_pays: settings.requester_pays,
        },
        http,
    })
}

async fn credentials(
    settings: &S3Settings,
    chain: Option<SdkConfig>,
) -> object_store::Result<AwsCredentialProvider> {
    let keys = match &settings.access {
        Access::Keys { id, secret, token } => Some((id, secret, token)),
        Access::Anonymous | Access::Chain { .. } => None,
    };
    if let (Some((id, secret, token)), None) = (keys, &settings.role) {
        return Ok(Arc::new(StaticCredentialProvider::new(AwsCredential {
            key_id: id.clone(),
            secret_key: secret.clone(),
            token: token.clone(),
        })));
    }
    let mut chain = chain.ok_or_else(no_chain)?;
    if let Some((id, secret, token)) = keys {
        let base = Credentials::new(id, secret, token.clone(), None, "calve");
        chain = chain
            .into_builder()
            .credentials_provider(SharedCredentialsProvider::new(base))
            .build();
    }
    let provider = chain_provider(&chain, settings.role.as_ref()).await;
    Ok(Arc::new(ChainCredentials::new(
        provider.ok_or_else(no_chain)?,
    )))
}

fn build(
    bucket: &str,
    url: &str,
    settings: &S3Settings,
    session: &Session,
) -> object_store::Result<AmazonS3> {
    let raw_keys = RawKeys {
        http: session.http.clone(),
        signer: session.signer.clone(),
    };
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_region(&session.signer.region)
        // `object_store` takes the endpoint of a bucket as it is, so that both sides send alike.
        .with_virtual_hosted_style_request(true)
        .with_endpoint(url)
        .with_request_payer(settings.requester_pays)
        .with_http_connector(Shared(HttpClient::new(raw_keys)))
        .with_retry(RetryConfig {
            backoff: BackoffConfig {
                init_backoff: settings.retries.first_wait,
                max_backoff: settings.retries.longest_wait,
                base: 2.,
            },
            max_retries: settings.retries.count,
            retry_timeout: settings.retries.total,
        });
    for (name, value) in encryption_config(settings.encryption.as_ref()) {
        let name: AmazonS3ConfigKey = name.parse()?;
        builder = builder.with_config(name, value);
    }
    builder = match &session.signer.credentials {
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

/// Where a bucket's requests go, without a slash at the end.
fn bucket_url(bucket: &str, settings: &S3Settings, region: &str) -> String {
    let endpoint = match &settings.endpoint {
        Some(endpoint) if endpoint.contains("://") => endpoint.clone(),
        Some(endpoint) => format!("https://{endpoint}"),
        // China has a domain of its own.
        None if region.starts_with("cn-") => format!("https://s3.{region}.amazonaws.com.cn"),
        None => format!("https://s3.{region}.amazonaws.com"),
    };
    let endpoint = endpoint.trim_end_matches('/');
    match endpoint.split_once("://") {
        Some((scheme, host)) if !settings.is_path_style(bucket) => {
            format!("{scheme}://{bucket}.{host}")
        }
        _ => format!("{endpoint}/{bucket}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bucket: &str, properties: &[(&str, &str)], region: &str, url: &str) {
        let properties = properties
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let settings = S3Settings::read(&properties).unwrap();
        assert_eq!(bucket_url(bucket, &settings, region), url);
    }

    #[test]
    fn buckets_have_urls() {
        check(
            "b",
            &[],
            "eu-west-1",
            "https://b.s3.eu-west-1.amazonaws.com",
        );
        check(
            "b.c",
            &[],
            "eu-west-1",
            "https://s3.eu-west-1.amazonaws.com/b.c",
        );
        check(
            "b",
            &[],
            "cn-north-1",
            "https://b.s3.cn-north-1.amazonaws.com.cn",
        );
        let path_style = ("s3.path-style-access", "true");
        check(
            "b",
            &[path_style],
            "us-east-1",
            "https://s3.us-east-1.amazonaws.com/b",
        );
        let endpoint = ("s3.endpoint", "http://h:9000/");
        check("b", &[endpoint], "us-east-1", "http://h:9000/b");
        let hosted = ("s3.force-virtual-addressing", "true");
        check("b", &[endpoint, hosted], "us-east-1", "http://b.h:9000");
        check("b", &[("s3.endpoint", "h")], "us-east-1", "https://h/b");
    }
}
