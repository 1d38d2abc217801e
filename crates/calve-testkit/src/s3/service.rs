use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{CONTENT_LENGTH, HeaderValue};
use hyper::{Method, Response, StatusCode};
use s3s::service::S3Service;

use super::fault::{Fault, Operation, Request, Rule};

type Body = UnsyncBoxBody<Bytes, Broken>;

/// Why a connection breaks.
#[derive(Debug)]
pub(crate) struct Broken(String);

impl Broken {
    fn new(why: impl std::fmt::Debug) -> Self {
        Self(format!("{why:?}"))
    }
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Broken {}

/// Stands before the S3 service: logs, delays, breaks, and mends what `s3s-fs` lacks.
#[derive(Debug)]
pub(crate) struct Front {
    service: S3Service,
    root: PathBuf,
    latency: Mutex<Duration>,
    rules: Mutex<Vec<Rule>>,
    requests: Mutex<Vec<Request>>,
    under_way: AtomicUsize,
    most_concurrent: AtomicUsize,
    /// Parts of keys, and the storage classes of objects that have them.
    classes: Mutex<Vec<(String, String)>>,
    /// Held while an object is written: `s3s-fs` checks a condition and writes in two steps.
    writing: tokio::sync::Mutex<()>,
}

impl Front {
    pub(crate) fn new(service: S3Service, root: &Path, latency: Duration) -> Self {
        Self {
            service,
            root: root.to_owned(),
            latency: Mutex::new(latency),
            rules: Mutex::default(),
            requests: Mutex::default(),
            under_way: AtomicUsize::new(0),
            most_concurrent: AtomicUsize::new(0),
            classes: Mutex::new(Vec::new()),
            writing: tokio::sync::Mutex::new(()),
        }
    }

    pub(crate) fn add_rule(&self, rule: Rule) {
        lock(&self.rules).push(rule);
    }

    pub(crate) fn clear_rules(&self) {
        lock(&self.rules).clear();
    }

    pub(crate) fn set_storage_class(&self, key_part: &str, class: &str) {
        lock(&self.classes).push((key_part.to_owned(), class.to_owned()));
    }

    pub(crate) fn set_latency(&self, latency: Duration) {
        *lock(&self.latency) = latency;
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        lock(&self.requests).clone()
    }

    pub(crate) fn forget_requests(&self) {
        lock(&self.requests).clear();
        self.most_concurrent.store(0, Ordering::Relaxed);
    }

    pub(crate) fn most_concurrent(&self) -> usize {
        self.most_concurrent.load(Ordering::Relaxed)
    }

    /// Answers one request. An error breaks the connection.
    pub(crate) async fn call(
        &self,
        request: hyper::Request<Incoming>,
    ) -> Result<Response<Body>, Broken> {
        let under_way = self.under_way.fetch_add(1, Ordering::Relaxed) + 1;
        self.most_concurrent.fetch_max(under_way, Ordering::Relaxed);
        let response = self.answer(request).await;
        self.under_way.fetch_sub(1, Ordering::Relaxed);
        response
    }

    async fn answer(&self, request: hyper::Request<Incoming>) -> Result<Response<Body>, Broken> {
        let (bucket, fault) = self.log(&request);
        let latency = *lock(&self.latency);
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        match &fault {
            Some(Fault::Reset) => return Err(Broken::new("reset by a rule")),
            Some(Fault::SlowDown) => return error(request, 503, "SlowDown").await,
            Some(Fault::Status(status, code)) => return error(request, *status, code).await,
            Some(Fault::Latency(more)) => tokio::time::sleep(*more).await,
            _ => {}
        }
        let makes_bucket = request.method() == Method::PUT && key_is_empty(request.uri().path());
        if !bucket.is_empty() && !makes_bucket && !self.root.join(&bucket).is_dir() {
            return error(request, 404, "NoSuchBucket").await;
        }
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        if reads && self.is_folder(request.uri().path()) {
            return error(request, 404, "NoSuchKey").await;
        }
        let lists = request
            .uri()
            .query()
            .is_some_and(|query| query.contains("list-type=2"));
        let response = {
            let writes = matches!(*request.method(), Method::PUT | Method::POST);
            let _guard = if writes {
                Some(self.writing.lock().await)
            } else {
                None
            };
            self.service
                .call(request.map(s3s::Body::from))
                .await
                .map_err(Broken::new)?
        };
        match fault {
            Some(Fault::ResetAfter) => Err(Broken::new("reset by a rule")),
            Some(Fault::ErrorAfter) => plain_error(500, "InternalError"),
            Some(Fault::Truncate(bytes)) => truncate(response, bytes).await,
            _ if lists && !lock(&self.classes).is_empty() => self.with_classes(response).await,
            _ => Ok(response.map(|body| body.map_err(Broken::new).boxed_unsync())),
        }
    }

    /// A listing in which objects have the storage classes that were set.
    async fn with_classes(&self, response: Response<s3s::Body>) -> Result<Response<Body>, Broken> {
        let (mut parts, body) = response.into_parts();
        let whole = BodyExt::collect(body).await.map_err(Broken::new)?;
        let text = String::from_utf8_lossy(&whole.to_bytes()).into_owned();
        let classes = lock(&self.classes).clone();
        let mut told = String::with_capacity(text.len());
        for part in text.split_inclusive("</Key>") {
            told.push_str(part);
            let key = part.rsplit("<Key>").next().unwrap_or_default();
            let class = classes.iter().find(|(key_part, _)| key.contains(key_part));
            if let (true, Some((_, class))) = (part.ends_with("</Key>"), class) {
                told.extend(["<StorageClass>", class, "</StorageClass>"]);
            }
        }
        parts
            .headers
            .insert(CONTENT_LENGTH, HeaderValue::from(told.len()));
        let body = Full::new(Bytes::from(told))
            .map_err(Broken::new)
            .boxed_unsync();
        Ok(Response::from_parts(parts, body))
    }

    /// Whether a key names a folder of files rather than an object.
    fn is_folder(&self, path: &str) -> bool {
        !key_is_empty(path)
            && self
                .root
                .join(decode(path.trim_start_matches('/')))
                .is_dir()
    }

    fn log(&self, request: &hyper::Request<Incoming>) -> (String, Option<Fault>) {
        let path = request.uri().path().trim_start_matches('/');
        let query = request.uri().query().unwrap_or_default();
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        let operation = Operation::of(request.method().as_str(), key, query);
        let key = match operation {
            Operation::List => query
                .split('&')
                .find_map(|pair| pair.strip_prefix("prefix="))
                .map(|prefix| decode(&prefix.replace('+', " ")))
                .unwrap_or_default(),
            _ => decode(key),
        };
        let fault = lock(&self.rules)
            .iter()
            .find_map(|rule| rule.strike(operation, &key));
        let range = request
            .headers()
            .get(hyper::header::RANGE)
            .and_then(|value| value.to_str().ok())
            .map(ToOwned::to_owned);
        let bucket = decode(bucket);
        lock(&self.requests).push(Request {
            operation,
            bucket: bucket.clone(),
            key,
            range,
            fault: fault.clone(),
        });
        (bucket, fault)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn key_is_empty(path: &str) -> bool {
    path.trim_start_matches('/')
        .split_once('/')
        .is_none_or(|(_, key)| key.is_empty())
}

/// Decodes `%XX`; whatever is not UTF-8 afterwards is replaced, since it is only logged.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = (first == b'%')
            .then(|| tail.get(..2))
            .flatten()
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(escaped.unwrap_or(first));
        rest = if escaped.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// An S3 error. The request's body is read first, so that the client hears the answer.
async fn error(
    request: hyper::Request<Incoming>,
    status: u16,
    code: &str,
) -> Result<Response<Body>, Broken> {
    let mut body = request.into_body();
    while let Some(frame) = body.frame().await {
        frame.map_err(Broken::new)?;
    }
    plain_error(status, code)
}

fn plain_error(status: u16, code: &str) -> Result<Response<Body>, Broken> {
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
         <Error><Code>{code}</Code><Message>{code} by the test server</Message></Error>"
    );
    let body = Full::new(Bytes::from(text))
        .map_err(Broken::new)
        .boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).map_err(Broken::new)?;
    Ok(response)
}

/// Promises the whole body, sends its beginning, and breaks the connection.
async fn truncate(response: Response<s3s::Body>, bytes: usize) -> Result<Response<Body>, Broken> {
    let (mut parts, body) = response.into_parts();
    let whole = BodyExt::collect(body)
        .await
        .map_err(Broken::new)?
        .to_bytes();
    parts
        .headers
        .insert(CONTENT_LENGTH, HeaderValue::from(whole.len()));
    let beginning = whole.slice(..bytes.min(whole.len()));
    let frames =
        futures::stream::iter([Ok(Frame::data(beginning))]).chain(futures::stream::once(async {
            // The beginning must have left before the connection breaks.
            tokio::time::sleep(Duration::from_millis(20)).await;
            Err(Broken::new("truncated by a rule"))
        }));
    Ok(Response::from_parts(
        parts,
        StreamBody::new(frames).boxed_unsync(),
    ))
}
