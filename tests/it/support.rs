//! Runs the binary in a folder of its own, and makes what it prints comparable.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// A working directory that is gone after the test, and the binary in it.
pub(crate) struct Sandbox {
    folder: tempfile::TempDir,
    variables: Vec<(String, String)>,
}

impl Sandbox {
    /// Makes an empty working directory.
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            variables: Vec::new(),
        }
    }

    /// The working directory.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().canonicalize().unwrap()
    }

    /// Sets an environment variable for all runs.
    pub(crate) fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Writes a file into the working directory.
    pub(crate) fn write(&self, name: &str, content: &[u8]) {
        let path = self.path().join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, content).unwrap();
    }

    /// `calve` with these arguments, about to run.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_calve"));
        command
            .args(arguments)
            .current_dir(self.path())
            .env_clear()
            .env("HOME", self.path())
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        command
    }

    /// Runs `calve` with these arguments.
    pub(crate) fn output(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs `calve` and gives exit code, stdout and stderr as one text, without what changes from
    /// run to run.
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        self.describe(self.output(arguments))
    }

    /// As [`Sandbox::run`], with a text on stdin.
    pub(crate) fn run_with_input(&self, arguments: &[&str], input: &str) -> String {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).unwrap();
        drop(stdin);
        self.describe(child.wait_with_output().unwrap())
    }

    fn describe(&self, output: Output) -> String {
        let code = output.status.code().unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        self.filter(&format!(
            "exit {code}\n--- stdout ---\n{stdout}--- stderr ---\n{stderr}"
        ))
    }

    /// Runs `calve … --output-format json`, demands exit code 0, and reads the one document.
    #[track_caller]
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let (code, document) = self.json_with_code(arguments);
        assert_eq!(code, 0, "{arguments:?} printed {document:#}");
        document
    }

    /// Runs `calve … --output-format json` and reads the one document, whatever the exit code.
    #[track_caller]
    pub(crate) fn json_with_code(&self, arguments: &[&str]) -> (i32, Value) {
        let output = self.output(&[arguments, &["--output-format", "json"]].concat());
        let stderr = String::from_utf8_lossy(&output.stderr);
        let document = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
            panic!("{arguments:?} did not print one JSON document ({error}); stderr: {stderr}")
        });
        (output.status.code().unwrap(), document)
    }

    /// Replaces what changes from run to run.
    pub(crate) fn filter(&self, text: &str) -> String {
        let mut text = text.replace(self.path().to_str().unwrap(), "[DIR]");
        text = text.replace(
            calve_testkit::workspace_root().to_str().unwrap(),
            "[WORKSPACE]",
        );
        for (pattern, replacement) in FILTERS {
            text = regex::Regex::new(pattern)
                .unwrap()
                .replace_all(&text, *replacement)
                .into_owned();
        }
        text
    }
}

/// What changes from run to run, and what stands for it.
const FILTERS: &[(&str, &str)] = &[
    (
        r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
        "[UUID]",
    ),
    (r#"(snapshot_id"?:? +"?)-?\d{10,}"#, "${1}[SNAPSHOT]"),
    // Random numbers below 2^63: a short one is rare, and comes.
    (r"\b\d{14,19}\b", "[SNAPSHOT]"),
    (r#"(_ms"?: )\d{12,}"#, "${1}[MS]"),
    (r"\d+\.\d+ ?(s|ms)\b", "[TIME]"),
    (r" +\n", "\n"),
];

/// The lake in the shape of NOAA's daily weather records that lies in the repository.
pub(crate) fn ghcn() -> String {
    fixture("ghcn")
}

/// A folder of the repository's fixtures.
pub(crate) fn fixture(name: &str) -> String {
    let path = calve_testkit::workspace_root().join("fixtures").join(name);
    path.to_str().unwrap().to_owned()
}

/// All files below a folder, sorted, with their content: to show that nothing changed.
pub(crate) fn files_below(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop().filter(|folder| folder.is_dir()) {
        for entry in fs_err::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let content = fs_err::read(&path).unwrap();
                files.push((path, content));
            }
        }
    }
    files.sort();
    files
}
