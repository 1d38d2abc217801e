//! A process that reads the table, and what it hands over: a schema, then batches of rows.

use std::io::{BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_ipc::reader::StreamReader;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::python::PythonReader;
use crate::{Error, Result};

const SCRIPT: &str = include_str!("read_table.py");

/// How many batches wait while none is taken.
const BATCHES_AHEAD: usize = 4;

/// How much of what a reader says on standard error is kept, from its end.
const KEPT_COMPLAINT_BYTES: usize = 64 * 1024;

/// How much of that is shown, where the reader did not say itself what went wrong.
const SHOWN_LINES: usize = 5;

/// How often a process is looked at that is about to end.
const INTERVAL: Duration = Duration::from_millis(10);

/// What the script reads on its standard input.
#[derive(Debug, Clone, serde::Serialize)]
pub(super) struct Request<'a> {
    pub(super) reader: &'static str,
    pub(super) metadata_location: &'a str,
    pub(super) snapshot_id: Option<i64>,
    /// `None` asks for the schema alone.
    pub(super) columns: Option<&'a [String]>,
    pub(super) properties: &'a calve_base::Properties,
}

/// The rows of a process that runs; it is killed when this is dropped.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) schema: SchemaRef,
    batches: Batches,
}

#[derive(Debug)]
struct Batches {
    reader: PythonReader,
    messages: mpsc::Receiver<Result<Message>>,
    deadline: Instant,
    process: Process,
}

enum Message {
    Schema(SchemaRef),
    Batch(RecordBatch),
}

impl Rows {
    /// Starts the process, and waits for its schema.
    ///
    /// # Errors
    /// When it does not start, lacks a package, fails, takes too long, or answers anything else.
    pub(super) async fn start(reader: &PythonReader, request: Request<'_>) -> Result<Self> {
        let mut batches = Batches::start(reader, &request)?;
        match batches.next().await {
            Some(Ok(Message::Schema(schema))) => Ok(Self { schema, batches }),
            Some(Err(error)) => Err(error),
            Some(Ok(Message::Batch(_))) | None => Err(Error::ReaderAnswer {
                reader: reader.package.as_str(),
                source: None,
            }),
        }
    }

    /// The next rows; `None` once the process has ended well.
    pub(super) async fn next(&mut self) -> Option<Result<RecordBatch>> {
        loop {
            return match self.batches.next().await? {
                Ok(Message::Batch(batch)) => Some(Ok(batch)),
                Ok(Message::Schema(_)) => continue,
                Err(error) => Some(Err(error)),
            };
        }
    }
}

impl Batches {
    fn start(reader: &PythonReader, request: &Request<'_>) -> Result<Self> {
        let mut child = Command::new(&reader.python)
            .arg("-c")
            .arg(SCRIPT)
            .env("PYTHONUTF8", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|source| Error::NoPython {
                python: reader.python.clone(),
                source,
            })?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let process = Process(Arc::new(Mutex::new(child)));
        let (Some(stdin), Some(stdout), Some(stderr)) = pipes else {
            unreachable!("all three are pipes");
        };
        let (sender, messages) = mpsc::channel(BATCHES_AHEAD);
        let work = Work {
            reader: reader.clone(),
            request: serde_json::to_vec(request).expect("a request is plain JSON"),
            process: Process(Arc::clone(&process.0)),
            sender,
        };
        let complaints = std::thread::spawn(move || last_words(stderr));
        std::thread::spawn(move || work.run(stdin, stdout, complaints));
        Ok(Self {
            reader: reader.clone(),
            messages,
            deadline: Instant::now() + reader.timeout,
            process,
        })
    }

    async fn next(&mut self) -> Option<Result<Message>> {
        let next = tokio::time::timeout_at(self.deadline, self.messages.recv()).await;
        next.unwrap_or_else(|_| {
            self.process.kill();
            Some(Err(Error::ReaderTimeout {
                reader: self.reader.package.as_str(),
                timeout: self.reader.timeout,
            }))
        })
    }
}

impl Drop for Batches {
    fn drop(&mut self) {
        self.process.kill();
    }
}

/// A process that others may kill while one waits for it.
#[derive(Debug)]
struct Process(Arc<Mutex<Child>>);

impl Process {
    fn lock(&self) -> MutexGuard<'_, Child> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends it, if it has not ended by itself.
    fn kill(&self) {
        let mut child = self.lock();
        // A process that has ended cannot be killed, and need not be.
        let _ = child.kill();
        let _ = child.wait();
    }

    /// Waits for its end, so that it can be killed meanwhile.
    fn wait(&self) -> std::io::Result<ExitStatus> {
        loop {
            if let Some(status) = self.lock().try_wait()? {
                return Ok(status);
            }
            std::thread::sleep(INTERVAL);
        }
    }
}

/// The thread that writes to the process and reads what it answers.
struct Work {
    reader: PythonReader,
    request: Vec<u8>,
    process: Process,
    sender: mpsc::Sender<Result<Message>>,
}

impl Work {
    fn run(self, mut stdin: ChildStdin, stdout: ChildStdout, complaints: JoinHandle<String>) {
        // A process that does not read has ended, and says why on standard error.
        let _ = stdin.write_all(&self.request);
        drop(stdin);
        let read = self.read(stdout);
        // Whatever was not read: a process that cannot write would not end.
        let ended = self.ended(complaints);
        let failed = match (ended, read) {
            (Err(error), _) => Some(error),
            (Ok(()), Err(source)) => Some(Error::ReaderAnswer {
                reader: self.reader.package.as_str(),
                source: Some(source),
            }),
            (Ok(()), Ok(())) => None,
        };
        if let Some(error) = failed {
            // Nobody listens any more if this fails.
            let _ = self.sender.blocking_send(Err(error));
        }
    }

    fn read(&self, stdout: ChildStdout) -> Result<(), arrow::error::ArrowError> {
        let mut stream = StreamReader::try_new(BufReader::new(stdout), None)?;
        let schema = Message::Schema(stream.schema());
        if self.sender.blocking_send(Ok(schema)).is_err() {
            return Ok(());
        }
        for batch in &mut stream {
            if self
                .sender
                .blocking_send(Ok(Message::Batch(batch?)))
                .is_err()
            {
                return Ok(());
            }
        }
        Ok(())
    }

    /// How the process ended.
    fn ended(&self, complaints: JoinHandle<String>) -> Result<()> {
        let reader = self.reader.package.as_str();
        let status = self.process.wait();
        let complaints = complaints.join().unwrap_or_default();
        let status = status.map_err(|source| Error::NoPython {
            python: self.reader.python.clone(),
            source,
        })?;
        if status.success() {
            return Ok(());
        }
        let complaints = self.reader.redact(complaints.trim_end());
        let last = complaints.lines().last().unwrap_or_default();
        let said = serde_json::from_str::<Failed>(last).ok();
        Err(match said {
            Some(Failed {
                package: Some(package),
                ..
            }) => Error::NoPackage {
                reader,
                requirement: self.reader.package.requirement(),
                python: self.reader.python.clone(),
                package,
            },
            Some(Failed { error, .. }) => Error::Reader {
                reader,
                problem: error,
            },
            None => Error::Reader {
                reader,
                problem: if last.is_empty() {
                    format!("the process ended with {status}")
                } else {
                    shown(&complaints)
                },
            },
        })
    }
}

/// What the script says when it fails.
#[derive(serde::Deserialize)]
struct Failed {
    error: String,
    package: Option<String>,
}

/// The last lines of a text.
fn shown(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n")
}

/// Reads to the end, and keeps the last of it.
fn last_words(mut stderr: impl Read) -> String {
    let mut kept = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = stderr.read(&mut buffer) {
        kept.extend_from_slice(&buffer[..count]);
        let surplus = kept.len().saturating_sub(KEPT_COMPLAINT_BYTES);
        kept.drain(..surplus);
    }
    String::from_utf8_lossy(&kept).into_owned()
}
