//! Requests that `object_store` does not make as they are needed here: listings with keys as they
//! are, and deletions one by one. They go over the same connections, with the same credentials.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use object_store::aws::{AwsAuthorizer, AwsCredentialProvider};
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody,
    HttpResponse, HttpService,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::keys;
use crate::settings::Retries;

/// Everything but what RFC 3986 calls unreserved is escaped in a query, and so AWS signs it.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
const PATH: &AsciiSet = &QUERY.remove(b'/');

/// Signs requests for one region.
#[derive(Debug, Clone)]
pub(crate) struct Signer {
    /// `None` for anonymous requests.
    pub(crate) credentials: Option<AwsCredentialProvider>,
    pub(crate) region: String,
    pub(crate) requester_pays: bool,
}

impl Signer {
    /// Signs a request whose body has this digest, or no body.
    async fn sign(
        &self,
        request: &mut HttpRequest,
        digest: Option<&[u8]>,
    ) -> object_store::Result<()> {
        if let Some(credentials) = &self.credentials {
            let credential = credentials.get_credential().await?;
            AwsAuthorizer::new(&credential, "s3", &self.region)
                .with_request_payer(self.requester_pays)
                .authorize(request, digest);
        }
        Ok(())
    }
}

/// A bucket's requests.
#[derive(Debug, Clone)]
pub(crate) struct S3Client {
    pub(crate) http: HttpClient,
    /// The bucket's URL, without a slash at its end.
    pub(crate) url: String,
    pub(crate) signer: Signer,
    pub(crate) retries: Retries,
}

/// Why a request failed in the end. Prints the answer's status and body as `object_store` does,
/// so that one reader understands both.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    #[error("after {attempts} attempts, status code: {status}: {body}")]
    Status {
        status: u16,
        body: String,
        attempts: usize,
    },
    #[error("after {attempts} attempts: {source}")]
    Transport { source: HttpError, attempts: usize },
    #[error("`{url}` is no URL")]
    Url { url: String },
}

impl From<RequestError> for object_store::Error {
    fn from(error: RequestError) -> Self {
        Self::Generic {
            store: "S3",
            source: Box::new(error),
        }
    }
}

impl S3Client {
    /// One page of a listing, as XML.
    pub(crate) async fn list(&self, query: &[(&str, &str)]) -> object_store::Result<Bytes> {
        let mut url = self.url.clone();
        let mut separator = '?';
        for (name, value) in query {
            url.push(separator);
            url.push_str(name);
            url.push('=');
            url.extend(utf8_percent_encode(value, QUERY));
            separator = '&';
        }
        self.send("GET", &url).await
    }

    /// Deletes one object.
    pub(crate) async fn delete(&self, key: &str) -> object_store::Result<()> {
        let url = format!("{}/{}", self.url, utf8_percent_encode(key, PATH));
        self.send("DELETE", &url).await.map(|_| ())
    }

    /// Sends a request without a body until it succeeds, is refused, or retries run out. Signed
    /// anew each time, since credentials and signatures end.
    async fn send(&self, method: &str, url: &str) -> object_store::Result<Bytes> {
        let start = Instant::now();
        let mut wait = self.retries.first_wait;
        let mut attempts = 0;
        loop {
            let mut request = build(method, url)?;
            self.signer.sign(&mut request, None).await?;
            attempts += 1;
            let (error, may_repeat) = match self.attempt(request).await {
                Ok((status, body)) if (200..300).contains(&status) => return Ok(body),
                Ok((status, body)) => {
                    let body = String::from_utf8_lossy(&body).into_owned();
                    let error = RequestError::Status {
                        status,
                        body,
                        attempts,
                    };
                    (error, matches!(status, 408 | 429 | 500..))
                }
                Err(source) => {
                    // Both kinds of requests may be done twice.
                    let may_repeat = source.kind() != HttpErrorKind::Decode;
                    (RequestError::Transport { source, attempts }, may_repeat)
                }
            };
            if !may_repeat || attempts > self.retries.count || start.elapsed() > self.retries.total
            {
                return Err(error.into());
            }
            tracing::info!("{method} {url} is repeated in {wait:?}: {error}");
            tokio::time::sleep(wait).await;
            wait = next_wait(&self.retries, wait);
        }
    }

    async fn attempt(&self, request: HttpRequest) -> Result<(u16, Bytes), HttpError> {
        let response = self.http.execute(request).await?;
        let status = response.status().as_u16();
        Ok((status, response.into_body().bytes().await?))
    }
}

/// Between the first wait and twice the last, so that clients do not come back together.
fn next_wait(retries: &Retries, last: Duration) -> Duration {
    let longest = (last * 2).min(retries.longest_wait);
    match longest.checked_sub(retries.first_wait) {
        Some(span) => retries.first_wait + span.mul_f64(rand::random::<f64>()),
        None => longest,
    }
}

fn build(method: &str, url: &str) -> Result<HttpRequest, RequestError> {
    let wrong = || RequestError::Url {
        url: url.to_owned(),
    };
    let mut request = HttpRequest::new(HttpRequestBody::empty());
    *request.uri_mut() = url.parse().map_err(|_| wrong())?;
    *request.method_mut() = method.parse().map_err(|_| wrong())?;
    Ok(request)
}

/// Whether a client can be sent there at all.
pub(crate) fn is_url(url: &str) -> bool {
    build("GET", url).is_ok_and(|request| request.uri().host().is_some())
}

/// Hands one client to all buckets, so that they share its connections.
#[derive(Debug)]
pub(crate) struct Shared(pub(crate) HttpClient);

impl HttpConnector for Shared {
    fn connect(&self, _options: &object_store::ClientOptions) -> object_store::Result<HttpClient> {
        Ok(self.0.clone())
    }
}

/// Puts the keys that paths cannot hold back into requests, and signs those again.
#[derive(Debug)]
pub(crate) struct RawKeys {
    pub(crate) http: HttpClient,
    pub(crate) signer: Signer,
}

/// Why a request with such a key cannot be made.
#[derive(Debug, thiserror::Error)]
enum RawKeyError {
    #[error("keys with empty components or control characters are deleted or copied one by one")]
    InBody,
    #[error("the request cannot be signed")]
    Signature(#[from] object_store::Error),
    #[error("the request's address is wrong")]
    Url(#[from] RequestError),
    #[error("the request's digest is wrong")]
    Digest,
}

#[async_trait]
impl HttpService for RawKeys {
    async fn call(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let failed = |error: RawKeyError| HttpError::new(HttpErrorKind::Decode, error);
        if is_marked_elsewhere(&request) {
            return Err(failed(RawKeyError::InBody));
        }
        if request.uri().path().contains(keys::MARK_IN_URL) {
            self.rewrite(&mut request).await.map_err(failed)?;
        }
        self.http.execute(request).await
    }
}

impl RawKeys {
    async fn rewrite(&self, request: &mut HttpRequest) -> Result<(), RawKeyError> {
        let url = request.uri().to_string();
        let (url, query) = match url.split_once('?') {
            Some((url, query)) => (url, Some(query)),
            None => (url.as_str(), None),
        };
        let path = request.uri().path();
        let host = &url[..url.len() - path.len()];
        let key = percent_decode_str(path).decode_utf8_lossy();
        let mut url = format!("{host}{}", utf8_percent_encode(&keys::decode(&key), PATH));
        if let Some(query) = query {
            url.push('?');
            url.push_str(query);
        }
        *request.uri_mut() = url.parse().map_err(|_| RequestError::Url { url })?;
        let digest = match request.headers().get("x-amz-content-sha256") {
            None => None,
            Some(digest) => Some(unhex(digest.as_bytes()).ok_or(RawKeyError::Digest)?),
        };
        request.headers_mut().remove("authorization");
        self.signer.sign(request, digest.as_deref()).await?;
        Ok(())
    }
}

/// Whether a request names such a key where it is not put back: in a list of objects to delete, or
/// as the source of a copy.
fn is_marked_elsewhere(request: &HttpRequest) -> bool {
    let mark = percent_decode_str(keys::MARK_IN_URL).collect::<Vec<u8>>();
    let in_list = request.uri().query() == Some("delete")
        && request
            .body()
            .as_bytes()
            .is_some_and(|body| body.windows(mark.len()).any(|window| window == mark));
    let in_source = request
        .headers()
        .get("x-amz-copy-source")
        .and_then(|value| value.to_str().ok())
        .is_some_and(|source| source.contains(keys::MARK_IN_URL));
    in_list || in_source
}

fn unhex(text: &[u8]) -> Option<Vec<u8>> {
    text.chunks(2)
        .map(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_vary_within_bounds() {
        let retries = Retries {
            count: 10,
            first_wait: Duration::from_millis(100),
            longest_wait: Duration::from_secs(1),
            total: Duration::from_mins(1),
        };
        let mut wait = retries.first_wait;
        for _ in 0..100 {
            let next = next_wait(&retries, wait);
            assert!(next >= retries.first_wait && next <= retries.longest_wait.min(wait * 2));
            wait = next;
        }
    }

    #[test]
    fn urls() {
        assert!(is_url("http://127.0.0.1:9000"));
        for wrong in ["", "http://", "http://a b", "x{y}://"] {
            assert!(!is_url(wrong), "{wrong}");
        }
    }
}
