//! A proxy that loses requests or answers.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use super::Moto;

/// What is lost of a request, or done to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// The request does not arrive; the connection breaks.
    Request,
    /// The request is carried out, and the connection breaks before the answer.
    Answer,
    /// The request is carried out, and the answer says that the service failed (500).
    Failure,
    /// The request is not carried out, and the answer says so (400, `ThrottlingException`).
    Throttled,
    /// The request is not carried out: the caller has no right to it (400, `AccessDeniedException`).
    Denied,
}

/// Stands in front of a [`Moto`] on a port of its own.
pub struct Proxy {
    address: SocketAddr,
    plan: Arc<Mutex<Plan>>,
}

#[derive(Default)]
struct Plan {
    operation: String,
    losses: Vec<Loss>,
    seen: Vec<String>,
    after: Option<Box<dyn FnOnce() + Send>>,
}

impl Proxy {
    /// Starts a proxy that loses nothing yet. Its threads end with the process.
    pub fn start(moto: &'static Moto) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound port");
        let plan = Arc::new(Mutex::new(Plan::default()));
        let shared = Arc::clone(&plan);
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let plan = Arc::clone(&shared);
                std::thread::spawn(move || {
                    // A client that goes away is no concern of the proxy.
                    let _ = serve(&connection, moto.address(), &plan);
                });
            }
        });
        Self { address, plan }
    }

    /// Where it listens, as a URL.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on loses the next requests for an operation (as `UpdateTable`), one after the other.
    pub fn lose(&self, operation: &str, losses: &[Loss]) {
        let mut plan = lock(&self.plan);
        operation.clone_into(&mut plan.operation);
        plan.losses = losses.to_vec();
        plan.seen.clear();
        plan.after = None;
    }

    /// Does something once, after the next request that is lost and before the client learns of it:
    /// what another writer does in that moment.
    pub fn after_loss(&self, deed: impl FnOnce() + Send + 'static) {
        lock(&self.plan).after = Some(Box::new(deed));
    }

    /// The operations that were asked for since the last [`Proxy::lose`].
    pub fn seen(&self) -> Vec<String> {
        lock(&self.plan).seen.clone()
    }
}

fn lock(plan: &Mutex<Plan>) -> std::sync::MutexGuard<'_, Plan> {
    plan.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers one request, and closes the connection.
fn serve(client: &TcpStream, server: SocketAddr, plan: &Mutex<Plan>) -> io::Result<()> {
    let Some(request) = Request::read(client)? else {
        return Ok(());
    };
    let (loss, after) = {
        let mut plan = lock(plan);
        plan.seen.push(request.operation.clone());
        let meant = request.operation == plan.operation && !plan.losses.is_empty();
        let loss = meant.then(|| plan.losses.remove(0));
        (loss, loss.and_then(|_| plan.after.take()))
    };
    let mut client = client;
    let Some(loss) = loss else {
        return client.write_all(&request.forward(server)?);
    };
    if matches!(loss, Loss::Answer | Loss::Failure) {
        request.forward(server)?;
    }
    if let Some(deed) = after {
        deed();
    }
    match loss {
        Loss::Request | Loss::Answer => client.shutdown(Shutdown::Both),
        Loss::Throttled => client.write_all(&error(400, "ThrottlingException")),
        Loss::Denied => client.write_all(&error(400, "AccessDeniedException")),
        Loss::Failure => client.write_all(&error(500, "InternalServiceException")),
    }
}

struct Request {
    operation: String,
    head: String,
    body: Vec<u8>,
}

impl Request {
    fn read(client: &TcpStream) -> io::Result<Option<Self>> {
        let mut reader = BufReader::new(client);
        let mut request = Self {
            operation: String::new(),
            head: String::new(),
            body: Vec::new(),
        };
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(None);
            }
            if line == "\r\n" {
                break;
            }
            let (name, value) = line.split_once(':').unwrap_or((&line, ""));
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse().unwrap_or_default(),
                "x-amz-target" => {
                    let operation = value.rsplit('.').next().unwrap_or_default();
                    operation.trim().clone_into(&mut request.operation);
                }
                "connection" => continue,
                _ => {}
            }
            request.head.push_str(&line);
        }
        request.head.push_str("Connection: close\r\n\r\n");
        request.body.resize(length, 0);
        reader.read_exact(&mut request.body)?;
        Ok(Some(request))
    }

    fn forward(&self, server: SocketAddr) -> io::Result<Vec<u8>> {
        let mut connection = TcpStream::connect(server)?;
        connection.write_all(self.head.as_bytes())?;
        connection.write_all(&self.body)?;
        let mut answer = Vec::new();
        connection.read_to_end(&mut answer)?;
        Ok(answer)
    }
}

fn error(status: u16, code: &str) -> Vec<u8> {
    let body = format!("{{\"__type\": \"{code}\", \"Message\": \"injected\"}}");
    let length = body.len();
    format!(
        "HTTP/1.1 {status} Error\r\nContent-Type: application/x-amz-json-1.1\r\n\
         Connection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}
