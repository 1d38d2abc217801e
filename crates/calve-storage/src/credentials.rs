//! AWS's default credential chain, as `object_store` wants it.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_config::environment::region::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::region::ProfileFileRegionProvider;
use aws_config::sts::AssumeRoleProvider;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use object_store::CredentialProvider;
use object_store::aws::AwsCredential;
use tokio::sync::Mutex;

use crate::settings::Role;

/// Credentials are renewed when they end within this time.
const RENEW_BEFORE: Duration = Duration::from_mins(5);

/// Loads AWS's shared configuration: the region and where credentials come from. Asks the
/// instance for its region only when `region` is not known.
pub(crate) async fn load_chain(region: Option<&str>, profile: Option<&str>) -> SdkConfig {
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https();
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(http);
    if let Some(region) = region {
        loader = loader.region(Region::new(region.to_owned()));
    }
    if let Some(profile) = profile {
        loader = loader.profile_name(profile);
    }
    loader.load().await
}

/// The region that the environment or the profile names. The instance is not asked: a server that
/// is not AWS has nothing to do with where this machine is.
pub(crate) async fn configured_region(profile: Option<&str>) -> Option<String> {
    let mut named = ProfileFileRegionProvider::builder();
    if let Some(profile) = profile {
        named = named.profile_name(profile);
    }
    let chain = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
        .or_else(named.build());
    Some(chain.region().await?.to_string())
}

/// The chain's credentials, or those of a role taken on with them.
pub(crate) async fn chain_provider(
    chain: &SdkConfig,
    role: Option<&Role>,
) -> Option<SharedCredentialsProvider> {
    let Some(role) = role else {
        return chain.credentials_provider();
    };
    let mut builder = AssumeRoleProvider::builder(&role.arn)
        .session_name(&role.session_name)
        .configure(chain);
    if let Some(external_id) = &role.external_id {
        builder = builder.external_id(external_id);
    }
    let provider = match chain.credentials_provider() {
        Some(base) => builder.build_from_provider(base).await,
        None => builder.build().await,
    };
    Some(SharedCredentialsProvider::new(provider))
}

/// Hands the chain's credentials to `object_store`, asking for new ones before they end.
pub(crate) struct ChainCredentials {
    provider: SharedCredentialsProvider,
    current: Mutex<Option<Current>>,
}

struct Current {
    credential: Arc<AwsCredential>,
    ends: Option<SystemTime>,
}

/// Why there are no credentials.
#[derive(Debug, thiserror::Error)]
#[error("no AWS credentials: {source}")]
pub(crate) struct NoCredentials {
    source: CredentialsError,
}

/// The error of a configuration that has no source of credentials at all. Requests that are to be
/// signed are never sent unsigned instead.
pub(crate) fn no_chain() -> object_store::Error {
    NoCredentials {
        source: CredentialsError::not_loaded("there is no source of credentials"),
    }
    .into()
}

impl From<NoCredentials> for object_store::Error {
    fn from(error: NoCredentials) -> Self {
        Self::Unauthenticated {
            path: String::new(),
            source: Box::new(error),
        }
    }
}

impl ChainCredentials {
    pub(crate) fn new(provider: SharedCredentialsProvider) -> Self {
        Self {
            provider,
            current: Mutex::new(None),
        }
    }

    /// Asks at `now`. Old credentials serve until their end when there are no new ones.
    async fn get(&self, now: SystemTime) -> Result<Arc<AwsCredential>, CredentialsError> {
        // One caller asks; the others wait for its answer rather than asking too.
        let mut current = self.current.lock().await;
        if let Some(current) = current.as_ref().filter(|current| !current.ends_soon(now)) {
            return Ok(Arc::clone(&current.credential));
        }
        match self.provider.provide_credentials().await {
            Ok(new) => {
                let credential = Arc::new(AwsCredential {
                    key_id: new.access_key_id().to_owned(),
                    secret_key: new.secret_access_key().to_owned(),
                    token: new.session_token().map(ToOwned::to_owned),
                });
                *current = Some(Current {
                    credential: Arc::clone(&credential),
                    ends: new.expiry(),
                });
                Ok(credential)
            }
            Err(error) => match current.as_ref().filter(|current| !current.is_over(now)) {
                Some(current) => {
                    tracing::warn!("AWS credentials could not be renewed yet: {error}");
                    Ok(Arc::clone(&current.credential))
                }
                None => Err(error),
            },
        }
    }
}

impl Current {
    fn ends_soon(&self, now: SystemTime) -> bool {
        self.ends.is_some_and(|ends| now + RENEW_BEFORE >= ends)
    }

    fn is_over(&self, now: SystemTime) -> bool {
        self.ends.is_some_and(|ends| now >= ends)
    }
}

#[async_trait]
impl CredentialProvider for ChainCredentials {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        self.get(SystemTime::now())
            .await
            .map_err(|source| NoCredentials { source }.into())
    }
}

impl fmt::Debug for ChainCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChainCredentials").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use aws_credential_types::Credentials;
    use aws_credential_types::provider::future::ProvideCredentials as Future;

    use super::*;

    /// Gives credentials that live an hour; every one after `good` is refused.
    #[derive(Debug)]
    struct Counting {
        asked: AtomicU32,
        good: u32,
        start: SystemTime,
    }

    impl ProvideCredentials for Counting {
        fn provide_credentials<'a>(&'a self) -> Future<'a>
        where
            Self: 'a,
        {
            let number = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
            Future::ready(if number <= self.good {
                let ends = self.start + Duration::from_hours(1) * number;
                let id = format!("key-{number}");
                Ok(Credentials::new(id, "secret", None, Some(ends), "test"))
            } else {
                Err(CredentialsError::provider_error("the source is gone"))
            })
        }
    }

    #[tokio::test]
    async fn credentials_are_kept_and_renewed_in_time() {
        let start = SystemTime::UNIX_EPOCH;
        let provider = Counting {
            asked: AtomicU32::new(0),
            good: 2,
            start,
        };
        let credentials = ChainCredentials::new(SharedCredentialsProvider::new(provider));
        for (minute, key) in [(0, "key-1"), (54, "key-1"), (55, "key-2"), (119, "key-2")] {
            let now = start + Duration::from_mins(1) * minute;
            assert_eq!(credentials.get(now).await.unwrap().key_id, key, "{minute}");
        }
        let over = start + Duration::from_hours(2);
        let error = credentials.get(over).await.unwrap_err();
        assert!(matches!(error, CredentialsError::ProviderError(_)));
    }
}
