use std::time::Duration;

use calve_base::Properties;

use crate::error::{Error, Result};

/// What the properties say about S3, read and checked once.
#[derive(Clone)]
pub(crate) struct S3Settings {
    pub(crate) endpoint: Option<String>,
    pub(crate) region: Option<String>,
    pub(crate) path_style: Option<bool>,
    pub(crate) access: Access,
    /// A role to take on with the credentials.
    pub(crate) role: Option<Role>,
    pub(crate) requester_pays: bool,
    pub(crate) encryption: Option<Encryption>,
    pub(crate) proxy: Option<String>,
    pub(crate) connect_timeout: Duration,
    pub(crate) request_timeout: Duration,
    pub(crate) retries: Retries,
}

/// How requests prove who sends them.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Access {
    /// They do not.
    Anonymous,
    /// By keys that the properties name.
    Keys {
        id: String,
        secret: String,
        token: Option<String>,
    },
    /// By AWS's default chain, with a named profile or the usual one.
    Chain { profile: Option<String> },
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Role {
    pub(crate) arn: String,
    pub(crate) session_name: String,
    pub(crate) external_id: Option<String>,
}

/// Encryption at rest that is asked for with each write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Encryption {
    /// `AES256`, `aws:kms` or `aws:kms:dsse`.
    pub(crate) algorithm: &'static str,
    pub(crate) key: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Retries {
    pub(crate) count: usize,
    pub(crate) first_wait: Duration,
    pub(crate) longest_wait: Duration,
    pub(crate) total: Duration,
}

/// How often a failed request is sent again.
pub const DEFAULT_RETRIES: usize = 10;
/// How long a connection may take.
pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a request may take with its whole answer.
pub const DEFAULT_REQUEST_TIMEOUT: Duration = Duration::from_mins(1);
/// When a request is given up in spite of retries that are left.
const RETRY_TOTAL: Duration = Duration::from_mins(3);

impl S3Settings {
    pub(crate) fn read(properties: &Properties) -> Result<Self> {
        let reader = Reader { properties };
        Ok(Self {
            endpoint: reader.text(&["s3.endpoint"]).map(ToOwned::to_owned),
            region: reader
                .text(&["s3.region", "client.region"])
                .map(ToOwned::to_owned),
            path_style: reader.path_style()?,
            access: reader.access()?,
            role: reader.role(),
            requester_pays: reader
                .flag(&["s3.requester-pays", "s3.requester-pays-enabled"])?
                .unwrap_or(false),
            encryption: reader.encryption()?,
            proxy: reader.text(&["s3.proxy-uri"]).map(ToOwned::to_owned),
            connect_timeout: reader
                .seconds("s3.connect-timeout")?
                .unwrap_or(DEFAULT_CONNECT_TIMEOUT),
            request_timeout: reader
                .seconds("s3.request-timeout")?
                .unwrap_or(DEFAULT_REQUEST_TIMEOUT),
            retries: Retries {
                count: reader
                    .number("s3.retry.num-retries")?
                    .map_or(DEFAULT_RETRIES, |count| {
                        usize::try_from(count).unwrap_or(usize::MAX)
                    }),
                first_wait: reader
                    .number("s3.retry.min-wait-ms")?
                    .map_or(Duration::from_millis(100), Duration::from_millis),
                longest_wait: reader
                    .number("s3.retry.max-wait-ms")?
                    .map_or(Duration::from_secs(15), Duration::from_millis),
                total: RETRY_TOTAL,
            },
        })
    }

    /// Whether the bucket is a part of the path rather than of the host's name.
    pub(crate) fn is_path_style(&self, bucket: &str) -> bool {
        // A dot in the bucket's name would fall outside of the certificate for the host's name.
        self.path_style
            .unwrap_or(self.endpoint.is_some() || bucket.contains('.'))
    }
}

struct Reader<'a> {
    properties: &'a Properties,
}

impl<'a> Reader<'a> {
    /// The first of the properties that is set and not empty.
    fn text(&self, names: &[&str]) -> Option<&'a str> {
        names
            .iter()
            .filter_map(|name| self.properties.get(*name))
            .map(String::as_str)
            .find(|value| !value.is_empty())
    }

    fn flag(&self, names: &[&'static str]) -> Result<Option<bool>> {
        for name in names {
            let Some(value) = self.text(&[name]) else {
                continue;
            };
            return match value.to_ascii_lowercase().as_str() {
                "true" | "1" | "yes" | "on" => Ok(Some(true)),
                "false" | "0" | "no" | "off" => Ok(Some(false)),
                _ => Err(Error::Property {
                    name,
                    value: value.to_owned(),
                    expected: "true or false",
                }),
            };
        }
        Ok(None)
    }

    fn number(&self, name: &'static str) -> Result<Option<u64>> {
        self.text(&[name])
            .map(|value| {
                value.parse().map_err(|_| Error::Property {
                    name,
                    value: value.to_owned(),
                    expected: "a whole number",
                })
            })
            .transpose()
    }

    fn seconds(&self, name: &'static str) -> Result<Option<Duration>> {
        self.text(&[name])
            .map(|value| {
                value
                    .parse()
                    .ok()
                    .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
                    .filter(|duration| !duration.is_zero())
                    .ok_or_else(|| Error::Property {
                        name,
                        value: value.to_owned(),
                        expected: "a number of seconds above 0",
                    })
            })
            .transpose()
    }

    fn path_style(&self) -> Result<Option<bool>> {
        if let Some(path_style) = self.flag(&["s3.path-style-access"])? {
            return Ok(Some(path_style));
        }
        // PyIceberg's name for the opposite.
        Ok(self
            .flag(&["s3.force-virtual-addressing"])?
            .map(|virtual_hosted| !virtual_hosted))
    }

    fn access(&self) -> Result<Access> {
        if self.flag(&["s3.anonymous", "s3.allow-anonymous"])? == Some(true) {
            return Ok(Access::Anonymous);
        }
        let id = self.text(&["s3.access-key-id", "client.access-key-id"]);
        let secret = self.text(&["s3.secret-access-key", "client.secret-access-key"]);
        let token = self.text(&["s3.session-token", "client.session-token"]);
        for (name, value) in [
            ("s3.access-key-id", id),
            ("s3.secret-access-key", secret),
            ("s3.session-token", token),
        ] {
            if value.is_some_and(|value| !value.bytes().all(|byte| byte.is_ascii_graphic())) {
                return Err(Error::Property {
                    name,
                    value: "***".to_owned(),
                    expected: "printable characters without spaces",
                });
            }
        }
        match (id, secret) {
            (Some(id), Some(secret)) => Ok(Access::Keys {
                id: id.to_owned(),
                secret: secret.to_owned(),
                token: token.map(ToOwned::to_owned),
            }),
            (None, None) => Ok(Access::Chain {
                profile: self
                    .text(&["s3.profile-name", "client.profile-name"])
                    .map(ToOwned::to_owned),
            }),
            (Some(_), None) => Err(Error::MissingProperty {
                given: "s3.access-key-id",
                missing: "s3.secret-access-key",
            }),
            (None, Some(_)) => Err(Error::MissingProperty {
                given: "s3.secret-access-key",
                missing: "s3.access-key-id",
            }),
        }
    }

    fn role(&self) -> Option<Role> {
        let arn = self.text(&["s3.role-arn", "client.role-arn", "client.assume-role.arn"])?;
        Some(Role {
            arn: arn.to_owned(),
            session_name: self
                .text(&[
                    "s3.role-session-name",
                    "client.role-session-name",
                    "client.assume-role.session-name",
                ])
                .unwrap_or("calve")
                .to_owned(),
            external_id: self
                .text(&["client.assume-role.external-id"])
                .map(ToOwned::to_owned),
        })
    }

    fn encryption(&self) -> Result<Option<Encryption>> {
        let Some(kind) = self.text(&["s3.sse.type"]) else {
            return Ok(None);
        };
        let algorithm = match kind {
            "none" => return Ok(None),
            "s3" => "AES256",
            "kms" => "aws:kms",
            "dsse-kms" => "aws:kms:dsse",
            _ => {
                return Err(Error::Property {
                    name: "s3.sse.type",
                    value: kind.to_owned(),
                    expected: "none, s3, kms or dsse-kms",
                });
            }
        };
        Ok(Some(Encryption {
            algorithm,
            key: self.text(&["s3.sse.key"]).map(ToOwned::to_owned),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Result<S3Settings> {
        S3Settings::read(
            &pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        )
    }

    #[test]
    fn nothing_given() {
        let settings = settings(&[]).unwrap();
        assert!(settings.access == Access::Chain { profile: None });
        assert!(!settings.is_path_style("b"));
        assert!(settings.is_path_style("b.c"));
        assert_eq!(settings.retries.count, DEFAULT_RETRIES);
    }

    #[test]
    fn specific_names_win_over_general_ones() {
        let settings = settings(&[
            ("client.region", "eu-west-1"),
            ("s3.region", "eu-central-1"),
            ("client.access-key-id", "general"),
            ("s3.access-key-id", "specific"),
            ("s3.secret-access-key", "secret"),
            ("s3.endpoint", "http://127.0.0.1:9000"),
        ])
        .unwrap();
        assert_eq!(settings.region.as_deref(), Some("eu-central-1"));
        assert!(matches!(&settings.access, Access::Keys { id, .. } if id == "specific"));
        assert!(settings.is_path_style("b"));
    }

    #[track_caller]
    fn check_error(pairs: &[(&str, &str)], message: &str) {
        let error = settings(pairs).map(|_| ()).unwrap_err();
        assert_eq!(error.to_string(), message);
    }

    #[test]
    fn wrong_values_are_named() {
        check_error(
            &[("s3.path-style-access", "maybe")],
            "property s3.path-style-access is `maybe`, expected true or false",
        );
        check_error(
            &[("s3.access-key-id", "x")],
            "property s3.access-key-id is given without s3.secret-access-key",
        );
        check_error(
            &[("s3.connect-timeout", "-1")],
            "property s3.connect-timeout is `-1`, expected a number of seconds above 0",
        );
        check_error(
            &[("s3.sse.type", "custom")],
            "property s3.sse.type is `custom`, expected none, s3, kms or dsse-kms",
        );
    }
}
