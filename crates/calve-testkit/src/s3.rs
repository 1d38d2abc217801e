//! An S3 server in this process, with faults on demand.
//!
//! Objects are plain files below [`S3Server::root`] (`root/bucket/key`), so fixtures may be put there
//! with file operations. The server listens on an ephemeral loopback port, runs on threads of its
//! own, and stops when it is dropped.
//!
//! Unlike the `s3s-fs` that it is built on, conditional writes are atomic under races, and a missing
//! bucket is `NoSuchBucket`.

mod fault;
mod service;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::net::{TcpListener, TcpStream};

pub use fault::{Fault, Operation, Request, Rule, When};
use service::Front;

/// How a server is started.
#[derive(Debug, Clone)]
pub struct S3Options {
    /// The access key that clients must sign with.
    pub access_key_id: String,
    /// The secret that clients must sign with.
    pub secret_access_key: String,
    /// Whether unsigned requests are served too.
    pub anonymous: bool,
    /// Time added to every request.
    pub latency: Duration,
    /// Serves the objects below this folder instead of a new temporary one.
    pub root: Option<PathBuf>,
}

impl Default for S3Options {
    fn default() -> Self {
        Self {
            access_key_id: "test-key".to_owned(),
            secret_access_key: "test-secret".to_owned(),
            anonymous: false,
            latency: Duration::ZERO,
            root: None,
        }
    }
}

/// A running server.
#[derive(Debug)]
pub struct S3Server {
    options: S3Options,
    address: SocketAddr,
    root: PathBuf,
    front: Arc<Front>,
    runtime: Option<tokio::runtime::Runtime>,
    /// Removes the folder when the server is dropped.
    _folder: Option<tempfile::TempDir>,
}

impl S3Server {
    /// Starts a server with one bucket per name.
    pub fn with_buckets(buckets: &[&str]) -> Self {
        let server = Self::start(S3Options::default());
        for bucket in buckets {
            server.create_bucket(bucket);
        }
        server
    }

    /// Starts a server.
    pub fn start(options: S3Options) -> Self {
        let folder = options
            .root
            .is_none()
            .then(|| tempfile::tempdir().expect("a temporary folder can be made"));
        let root = match (&options.root, &folder) {
            (Some(root), _) => root.clone(),
            (None, Some(folder)) => folder.path().to_owned(),
            (None, None) => unreachable!("a folder was made because no root was given"),
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("s3-server")
            .enable_all()
            .build()
            .expect("threads can be started");
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0))
            .and_then(|listener| {
                listener.set_nonblocking(true)?;
                Ok(listener)
            })
            .expect("a loopback port is free");
        let address = listener.local_addr().expect("the listener is bound");
        let front = Arc::new(Front::new(service(&options, &root), &root, options.latency));
        runtime.spawn(accept(listener, Arc::clone(&front)));
        Self {
            options,
            address,
            root,
            front,
            runtime: Some(runtime),
            _folder: folder,
        }
    }

    /// Where the server listens: `http://127.0.0.1:…`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The folder whose subfolders are the buckets.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Iceberg's properties of a client of this server.
    pub fn properties(&self) -> BTreeMap<String, String> {
        [
            ("s3.endpoint", self.endpoint()),
            ("s3.path-style-access", "true".to_owned()),
            ("s3.region", "us-east-1".to_owned()),
            ("s3.access-key-id", self.options.access_key_id.clone()),
            (
                "s3.secret-access-key",
                self.options.secret_access_key.clone(),
            ),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
    }

    /// Makes a bucket; nothing happens when there is one.
    pub fn create_bucket(&self, name: &str) {
        fs_err::create_dir_all(self.root.join(name)).expect("the server's folder is writable");
    }

    /// Puts an object without a request.
    pub fn put(&self, bucket: &str, key: &str, bytes: impl AsRef<[u8]>) {
        let path = self.root.join(bucket).join(key);
        if let Some(folder) = path.parent() {
            fs_err::create_dir_all(folder).expect("the server's folder is writable");
        }
        fs_err::write(path, bytes).expect("the server's folder is writable");
    }

    /// From now on, requests that the rule is for suffer its fault. Rules are asked in the order
    /// they were added; the first that strikes wins.
    pub fn add_rule(&self, rule: Rule) {
        self.front.add_rule(rule);
    }

    /// Removes all rules.
    pub fn clear_rules(&self) {
        self.front.clear_rules();
    }

    /// From now on, listings tell this storage class of objects whose key contains this text.
    pub fn set_storage_class(&self, key_part: &str, class: &str) {
        self.front.set_storage_class(key_part, class);
    }

    /// Changes the time added to every request.
    pub fn set_latency(&self, latency: Duration) {
        self.front.set_latency(latency);
    }

    /// All requests since the start or the last [`S3Server::forget_requests`], failed ones too.
    pub fn requests(&self) -> Vec<Request> {
        self.front.requests()
    }

    /// How many requests of one kind there were.
    pub fn count(&self, operation: Operation) -> usize {
        self.front
            .requests()
            .iter()
            .filter(|request| request.operation == operation)
            .count()
    }

    /// The most requests that were under way at one time.
    pub fn most_concurrent(&self) -> usize {
        self.front.most_concurrent()
    }

    /// Begins a new request log.
    pub fn forget_requests(&self) {
        self.front.forget_requests();
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Dropping a runtime inside of another one is not allowed; this is.
            runtime.shutdown_background();
        }
    }
}

/// Lets everybody in: anonymous requests are served, wrong signatures are not.
#[derive(Debug)]
struct Everybody;

#[async_trait::async_trait]
impl S3Access for Everybody {
    async fn check(&self, _context: &mut S3AccessContext<'_>) -> s3s::S3Result<()> {
        Ok(())
    }
}

fn service(options: &S3Options, root: &Path) -> S3Service {
    let files = s3s_fs::FileSystem::new(root).expect("the server's folder is readable");
    let mut builder = S3ServiceBuilder::new(files);
    builder.set_auth(SimpleAuth::from_single(
        options.access_key_id.clone(),
        options.secret_access_key.clone(),
    ));
    if options.anonymous {
        builder.set_access(Everybody);
    }
    builder.build()
}

async fn accept(listener: std::net::TcpListener, front: Arc<Front>) {
    let listener = TcpListener::from_std(listener).expect("the listener does not block");
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(stream, Arc::clone(&front)));
    }
}

async fn serve(stream: TcpStream, front: Arc<Front>) {
    let _ = stream.set_nodelay(true);
    let serve = service_fn(move |request| {
        let front = Arc::clone(&front);
        async move { front.call(request).await }
    });
    // A reset is an error here, and wanted.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), serve)
        .await;
}
