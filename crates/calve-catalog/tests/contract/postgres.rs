//! A PostgreSQL server of the tests' own, where one is installed.

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Who runs the server when the tests run as root, which PostgreSQL refuses.
const NOBODY: u32 = 65_534;
const START_TIMEOUT: Duration = Duration::from_mins(1);

pub(crate) struct Server {
    process: Child,
    port: u16,
    _folder: TempDir,
}

impl Server {
    /// Starts a server with an empty database on a free loopback port; `None` where PostgreSQL is
    /// not installed.
    pub(crate) fn start() -> Option<Self> {
        let programs = programs()?;
        let folder = tempfile::Builder::new().prefix("pg").tempdir().unwrap();
        let data = folder.path().join("data");
        fs_err::create_dir(&data).unwrap();
        if is_root() {
            for path in [folder.path(), &data] {
                chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
            }
        }
        let made = as_user(programs.join("initdb"), folder.path())
            .args([
                "--auth=trust",
                "--username=calve",
                "--no-sync",
                "--encoding=UTF8",
                "-D",
            ])
            .arg(&data)
            .output()
            .unwrap();
        assert!(
            made.status.success(),
            "initdb: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let process = as_user(programs.join("postgres"), folder.path())
            .arg("-D")
            .arg(&data)
            .args([
                "-c",
                "listen_addresses=127.0.0.1",
                "-c",
                "unix_socket_directories=",
            ])
            .args(["-c", "fsync=off", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self {
            process,
            port,
            _folder: folder,
        };
        let started = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(
                started.elapsed() < START_TIMEOUT,
                "the server does not start"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(server)
    }

    /// Its address, in PyIceberg's spelling.
    pub(crate) fn uri(&self) -> String {
        format!(
            "postgresql+psycopg2://calve@127.0.0.1:{}/postgres",
            self.port
        )
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // An immediate shutdown: nothing in it is worth keeping.
        let pid = self.process.id().to_string();
        let _ = Command::new("kill").args(["-QUIT", &pid]).status();
        let _ = self.process.wait();
    }
}

fn as_user(program: PathBuf, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .current_dir(folder)
        .stdin(Stdio::null())
        .env("LC_ALL", "C");
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs_err::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// The newest installed server's folder: Debian keeps it off the path.
fn programs() -> Option<PathBuf> {
    let mut found: Vec<PathBuf> = fs_err::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .collect();
    found.sort();
    let path = std::env::split_paths(&std::env::var_os("PATH")?).collect::<Vec<_>>();
    found
        .into_iter()
        .rev()
        .chain(path)
        .find(|folder| folder.join("initdb").is_file() && folder.join("postgres").is_file())
}
