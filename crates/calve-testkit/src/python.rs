//! The pinned Python environment of the tests: PyIceberg, DuckDB and moto; and another one of the interop
//! suite: Spark.
//!
//! `python/environment.py` makes each below cargo's target folder on first use, from the committed
//! `python/requirements.txt`. A `python3` of 3.11 or newer on the path is all that it needs.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

/// The environment's interpreter. The first call of all makes the environment, which takes a minute;
/// other processes wait for it.
///
/// # Panics
/// When there is no fitting `python3`, or the packages cannot be installed.
pub fn interpreter() -> PathBuf {
    static INTERPRETER: OnceLock<PathBuf> = OnceLock::new();
    INTERPRETER.get_or_init(|| make("requirements.txt")).clone()
}

/// The interpreter of the environment with Spark and Iceberg's Java library, for the interop suite.
/// It is made as the other is, and takes 450 MB.
///
/// # Panics
/// As [`interpreter`].
pub fn spark_interpreter() -> PathBuf {
    make("requirements-spark.txt")
}

/// The folder of the test kit's own scripts.
pub fn scripts() -> PathBuf {
    crate::workspace_root().join("crates/calve-testkit/python")
}

/// Runs Python source text, and reads the one JSON document that it prints.
/// The arguments are in `sys.argv[1:]`; the test kit's own scripts can be imported.
///
/// # Panics
/// When the script fails (with what it wrote to stderr) or prints no JSON.
#[track_caller]
pub fn run(script: &str, args: &[&str]) -> Value {
    let mut command = command();
    command.arg("-c").arg(script).args(args);
    finish(command, "the script")
}

/// Runs a Python file as [`run`] runs a text. A relative path is one of the test kit's own scripts,
/// as `read_table.py`.
///
/// # Panics
/// As [`run`].
#[track_caller]
pub fn run_file(path: impl AsRef<Path>, args: &[&str]) -> Value {
    run_file_with(&interpreter(), path, args)
}

/// Runs a Python file as [`run_file`] does, with another interpreter.
///
/// # Panics
/// As [`run`].
#[track_caller]
pub fn run_file_with(interpreter: &Path, path: impl AsRef<Path>, args: &[&str]) -> Value {
    let path = scripts().join(path);
    let mut command = command_of(interpreter);
    command.arg(&path).args(args);
    finish(command, &path.display().to_string())
}

/// The interpreter as a command that sees nothing of the user's own Python or Iceberg settings.
pub fn command() -> Command {
    command_of(&interpreter())
}

fn command_of(interpreter: &Path) -> Command {
    let mut command = Command::new(interpreter);
    command
        .env_remove("PYTHONHOME")
        .env("PYTHONPATH", scripts())
        .env("PYTHONUTF8", "1")
        .env("PYICEBERG_HOME", scripts())
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env_remove("AWS_PROFILE")
        .stdin(Stdio::null());
    command
}

#[track_caller]
fn finish(mut command: Command, what: &str) -> Value {
    let output = command.output().expect("the interpreter starts");
    let printed = String::from_utf8_lossy(&output.stdout);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{what} failed ({}):\n{complaints}\n{printed}",
        output.status
    );
    serde_json::from_str(&printed).unwrap_or_else(|error| {
        panic!("{what} printed no JSON ({error}):\n{printed}\n{complaints}")
    })
}

fn make(requirements: &str) -> PathBuf {
    let output = Command::new("python3")
        .arg(scripts().join("environment.py"))
        .arg(target_folder())
        .arg(requirements)
        .stdin(Stdio::null())
        .output()
        .expect("the tests need python3 (3.11 or newer) on the path");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "the Python environment of the tests could not be made:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    PathBuf::from(printed.trim())
}

/// Cargo's target folder: the one that the running test lies in.
pub fn target_folder() -> PathBuf {
    let program = std::env::current_exe().expect("a running program has a path");
    program
        .ancestors()
        .find(|folder| folder.join("CACHEDIR.TAG").is_file())
        .map_or_else(|| crate::workspace_root().join("target"), Path::to_path_buf)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn scripts_answer_in_json() {
        let answer = super::run(
            "import json, sys, pyiceberg; print(json.dumps([pyiceberg.__version__, sys.argv[1:]]))",
            &["a", "b c"],
        );
        assert_eq!(answer, json!(["0.12.0", ["a", "b c"]]));
    }

    #[test]
    #[should_panic(expected = "no such luck")]
    fn failures_show_what_python_said() {
        super::run("raise SystemExit('no such luck')", &[]);
    }
}
