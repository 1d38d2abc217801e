//! Glue and its siblings on loopback: moto in the pinned Python environment, with the locks, pages
//! and limits that AWS has and moto lacks (`python/moto_glue.py`).

mod proxy;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Stdio};
use std::sync::OnceLock;

pub use proxy::{Loss, Proxy};

const REGION: &str = "us-east-1";

/// The server that all tests of this process share. It ends with the process.
#[derive(Debug)]
pub struct Moto {
    address: SocketAddr,
    /// The server ends when its standard input closes.
    _server: Child,
}

impl Moto {
    /// Starts the server, or gives the one that runs. State is shared by all tests of the process:
    /// use names of your own.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start() -> &'static Self {
        static SERVER: OnceLock<Moto> = OnceLock::new();
        SERVER.get_or_init(Self::launch)
    }

    fn launch() -> Self {
        let mut child = crate::python::command()
            .arg(crate::python::scripts().join("moto_glue.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the interpreter starts");
        let stdout = child.stdout.take().expect("standard output is a pipe");
        let mut line = String::new();
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("moto prints its port");
        let started: serde_json::Value =
            serde_json::from_str(&line).expect("moto prints its port as JSON");
        let port = started["port"]
            .as_u64()
            .and_then(|port| u16::try_from(port).ok());
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], port.expect("a port"))),
            _server: child,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens, as a URL.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Iceberg's properties of a Glue catalog whose files lie on this server too.
    pub fn properties(&self) -> BTreeMap<String, String> {
        let endpoint = self.endpoint();
        [
            ("type", "glue"),
            ("glue.endpoint", endpoint.as_str()),
            ("glue.region", REGION),
            ("glue.access-key-id", "test-key"),
            ("glue.secret-access-key", "test-secret"),
            ("s3.endpoint", endpoint.as_str()),
            ("s3.region", REGION),
            ("s3.path-style-access", "true"),
            ("s3.access-key-id", "test-key"),
            ("s3.secret-access-key", "test-secret"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
    }

    /// Makes a bucket on its S3.
    pub fn create_bucket(&self, bucket: &str) {
        let answer = self.send(&format!("PUT /{bucket}"), &[], "");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    /// Sends one request to Glue: for what no catalog does.
    ///
    /// # Panics
    /// When Glue refuses it.
    pub fn glue(&self, operation: &str, request: &serde_json::Value) -> serde_json::Value {
        self.ask("glue", "AWSGlue", operation, request)
    }

    /// Sends one request to Athena.
    ///
    /// # Panics
    /// When Athena refuses it.
    pub fn athena(&self, operation: &str, request: &serde_json::Value) -> serde_json::Value {
        self.ask("athena", "AmazonAthena", operation, request)
    }

    /// Tells the server itself something, as `/moto-api/static/athena/query-results`.
    ///
    /// # Panics
    /// When it does not take it.
    pub fn tell(&self, path: &str, request: &serde_json::Value) {
        let headers = ["Content-Type: application/json\r\n".to_owned()];
        let answer = self.send(&format!("POST {path}"), &headers, &request.to_string());
        assert!(answer.starts_with("HTTP/1.1 20"), "{path}: {answer}");
    }

    fn ask(
        &self,
        service: &str,
        target: &str,
        operation: &str,
        request: &serde_json::Value,
    ) -> serde_json::Value {
        let scope = format!("test-key/20260101/{REGION}/{service}/aws4_request");
        let authorization = format!(
            "Authorization: AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0\r\n"
        );
        let headers = [
            format!("X-Amz-Target: {target}.{operation}\r\n"),
            "Content-Type: application/x-amz-json-1.1\r\n".to_owned(),
            authorization,
        ];
        let answer = self.send("POST /", &headers, &request.to_string());
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        assert!(head.starts_with("HTTP/1.1 200"), "{operation}: {answer}");
        serde_json::from_str(body).unwrap_or_default()
    }

    fn send(&self, line: &str, headers: &[String], body: &str) -> String {
        let mut connection = TcpStream::connect(self.address).expect("moto listens");
        let length = body.len();
        write!(
            connection,
            "{line} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{}Content-Length: {length}\r\n\r\n{body}",
            self.address,
            headers.concat()
        )
        .expect("moto reads");
        let mut answer = String::new();
        connection
            .read_to_string(&mut answer)
            .expect("moto answers");
        answer
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Moto;

    #[test]
    fn it_is_as_strict_as_glue() {
        let moto = Moto::start();
        moto.glue(
            "CreateDatabase",
            &json!({"DatabaseInput": {"Name": "strict"}}),
        );
        let table = |comment: &str| json!({"Name": "t", "Description": comment});
        moto.glue(
            "CreateTable",
            &json!({"DatabaseName": "strict", "TableInput": table("a")}),
        );
        let update = |version: &str, comment: &str| json!({"DatabaseName": "strict", "TableInput": table(comment), "VersionId": version, "SkipArchive": true});
        moto.glue("UpdateTable", &update("1", "b"));
        let stale = std::panic::catch_unwind(|| moto.glue("UpdateTable", &update("1", "c")));
        assert!(stale.is_err());
        let found = moto.glue("GetTable", &json!({"DatabaseName": "strict", "Name": "t"}));
        assert_eq!(found["Table"]["Description"], "b");
        let versions = moto.glue(
            "GetTableVersions",
            &json!({"DatabaseName": "strict", "TableName": "t"}),
        );
        assert_eq!(versions["TableVersions"].as_array().map(Vec::len), Some(1));
    }
}
