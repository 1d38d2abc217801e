//! Credentials by AWS's default chain. Each case runs in a process of its own with an environment
//! of its own, since that is what the chain reads.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::process::Command;

use calve_base::{Failure, Location, Properties};
use calve_storage::{Error, Storage};
use calve_testkit::s3::S3Server;

const PROPERTIES: &str = "CHAIN_TEST_PROPERTIES";
const CHILD: &str = "reads_one_object_in_a_process_of_its_own";

/// Does nothing unless it is run by the other tests here: prints an object, or the error.
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "a child process has no other way"
)]
fn reads_one_object_in_a_process_of_its_own() {
    let Ok(text) = std::env::var(PROPERTIES) else {
        return;
    };
    let properties: Properties = text
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let storage = Storage::new(properties);
    let file: Location = "s3://bucket/f".parse().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let answer = match runtime.block_on(storage.read(&file)) {
        Ok(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
        Err(error @ Error::NoCredentials { .. }) => format!("{error}; {}", error.hint().unwrap()),
        Err(error) => format!("{error:?}"),
    };
    println!("answer: {answer}.");
}

struct Case {
    server: S3Server,
    properties: BTreeMap<String, String>,
    environment: BTreeMap<&'static str, String>,
    home: tempfile::TempDir,
}

impl Case {
    fn new() -> Self {
        let server = S3Server::with_buckets(&["bucket"]);
        server.put("bucket", "f", "it was read");
        let mut properties = server.properties();
        for name in ["s3.access-key-id", "s3.secret-access-key", "s3.region"] {
            properties.remove(name);
        }
        Self {
            server,
            properties,
            environment: BTreeMap::from([("AWS_EC2_METADATA_DISABLED", "true".to_owned())]),
            home: tempfile::tempdir().unwrap(),
        }
    }

    fn key(&self, name: &str) -> String {
        self.server.properties()[name].clone()
    }

    /// Writes a file of AWS's configuration.
    fn file(&mut self, variable: &'static str, content: &str) {
        let path = self.home.path().join(variable);
        fs_err::write(&path, content).unwrap();
        self.environment
            .insert(variable, path.display().to_string());
    }

    #[track_caller]
    fn check(&self, answer: &str) {
        let properties: Vec<_> = self
            .properties
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", CHILD, "--nocapture"])
            .env_clear()
            .env("HOME", self.home.path())
            .env(PROPERTIES, properties.join("\n"))
            .envs(&self.environment)
            .output()
            .unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(
            printed.contains(&format!("answer: {answer}.")),
            "{printed}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[test]
fn from_the_environment() {
    let mut case = Case::new();
    let (id, secret) = (
        case.key("s3.access-key-id"),
        case.key("s3.secret-access-key"),
    );
    case.environment.insert("AWS_ACCESS_KEY_ID", id);
    case.environment.insert("AWS_SECRET_ACCESS_KEY", secret);
    case.check("it was read");
}

#[test]
fn from_a_profile() {
    let mut case = Case::new();
    let (id, secret) = (
        case.key("s3.access-key-id"),
        case.key("s3.secret-access-key"),
    );
    case.file(
        "AWS_SHARED_CREDENTIALS_FILE",
        &format!("[lake]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n"),
    );
    case.file("AWS_CONFIG_FILE", "[profile lake]\nregion = eu-west-1\n");
    case.properties
        .insert("s3.profile-name".to_owned(), "lake".to_owned());
    case.check("it was read");
    case.properties.remove("s3.profile-name");
    case.environment.insert("AWS_PROFILE", "lake".to_owned());
    case.check("it was read");
}

#[test]
fn from_a_process() {
    let mut case = Case::new();
    let (id, secret) = (
        case.key("s3.access-key-id"),
        case.key("s3.secret-access-key"),
    );
    let document =
        format!(r#"{{"Version": 1, "AccessKeyId": "{id}", "SecretAccessKey": "{secret}"}}"#);
    let path = case.home.path().join("credentials.json");
    fs_err::write(&path, document).unwrap();
    let config = format!("[default]\ncredential_process = cat {}\n", path.display());
    case.file("AWS_CONFIG_FILE", &config);
    case.environment.insert("PATH", "/usr/bin:/bin".to_owned());
    case.check("it was read");
}

#[test]
fn from_the_container() {
    let mut case = Case::new();
    let (id, secret) = (
        case.key("s3.access-key-id"),
        case.key("s3.secret-access-key"),
    );
    let document = format!(
        r#"{{"AccessKeyId": "{id}", "SecretAccessKey": "{secret}", "Token": "",
            "Expiration": "2999-01-01T00:00:00Z"}}"#
    );
    let url = serve(document);
    case.environment
        .insert("AWS_CONTAINER_CREDENTIALS_FULL_URI", url);
    case.check("it was read");
}

#[test]
fn from_a_web_identity() {
    let mut case = Case::new();
    let (id, secret) = (
        case.key("s3.access-key-id"),
        case.key("s3.secret-access-key"),
    );
    let url = serve(format!(
        "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>\
         <AccessKeyId>{id}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey>\
         <SessionToken>t</SessionToken><Expiration>2999-01-01T00:00:00Z</Expiration>\
         </Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
    ));
    case.file("AWS_WEB_IDENTITY_TOKEN_FILE", "token");
    let role = "arn:aws:iam::123456789012:role/lake".to_owned();
    case.environment.insert("AWS_ROLE_ARN", role);
    case.environment.insert("AWS_ENDPOINT_URL_STS", url);
    case.check("it was read");
}

#[test]
fn with_a_role() {
    let mut case = Case::new();
    let (id, secret) = (
        case.key("s3.access-key-id"),
        case.key("s3.secret-access-key"),
    );
    let url = serve(format!(
        "<AssumeRoleResponse><AssumeRoleResult><Credentials>\
         <AccessKeyId>{id}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey>\
         <SessionToken>t</SessionToken><Expiration>2999-01-01T00:00:00Z</Expiration>\
         </Credentials></AssumeRoleResult></AssumeRoleResponse>"
    ));
    let role = "arn:aws:iam::123456789012:role/lake".to_owned();
    case.properties.insert("s3.role-arn".to_owned(), role);
    case.environment.insert("AWS_ENDPOINT_URL_STS", url);
    let key = "AKIAOTHER".to_owned();
    case.environment.insert("AWS_ACCESS_KEY_ID", key.clone());
    case.environment
        .insert("AWS_SECRET_ACCESS_KEY", key.clone());
    case.check("it was read");
    // So do keys among the properties.
    case.environment.remove("AWS_ACCESS_KEY_ID");
    case.environment.remove("AWS_SECRET_ACCESS_KEY");
    for name in ["s3.access-key-id", "s3.secret-access-key"] {
        case.properties.insert(name.to_owned(), key.clone());
    }
    case.check("it was read");
}

#[test]
fn from_nowhere() {
    let case = Case::new();
    case.check(
        "s3://bucket/f: no AWS credentials were found; set s3.access-key-id and \
         s3.secret-access-key, or name a profile with s3.profile-name or AWS_PROFILE, or set \
         s3.anonymous=true for a public bucket",
    );
}

#[test]
fn without_a_region() {
    let mut case = Case::new();
    case.properties.clear();
    case.check("NoRegion { location: Location(\"s3://bucket/f\") }");
}

/// Answers every request with one document, for as long as the test runs.
fn serve(document: String) -> String {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}/credentials", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            let length = document.len();
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\
                 Content-Length: {length}\r\nConnection: close\r\n\r\n{document}"
            );
        }
    });
    url
}
