//! Writes `fixtures/` anew: `cargo run -p calve-testkit --bin fixtures [FOLDER]`.

use std::env;
use std::path::PathBuf;

use calve_testkit::{lakes, workspace_root};

fn main() -> std::io::Result<()> {
    let folder = env::args_os()
        .nth(1)
        .map_or_else(|| workspace_root().join("fixtures"), PathBuf::from);
    for lake in [
        "ghcn",
        "hard-partitions",
        "nested",
        "milliseconds",
        "drift",
        "sensors",
        "xml",
    ] {
        match fs_err::remove_dir_all(folder.join(lake)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    lakes::fixtures(&folder);
    Ok(())
}
