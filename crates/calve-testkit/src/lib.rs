//! What the tests share: places, lakes made on the spot, the Python environment with the foreign readers, and servers that
//! tests start for themselves on loopback.
#![allow(clippy::unwrap_used, reason = "a test kit fails by panicking")]

pub mod lakes;
pub mod moto;
pub mod python;
pub mod s3;
pub mod type_names;
pub mod xml;

use std::path::{Path, PathBuf};

/// The root of the workspace.
pub fn workspace_root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().unwrap_or(root)
}

/// The folder of larger real files, where there is one: `$CALVE_SHARED_DATA`, or `../shared/data`
/// beside the workspace. Tests that want it say so and pass without.
#[expect(
    clippy::disallowed_methods,
    reason = "test programs have no settings to read it for them"
)]
pub fn shared_data() -> Option<PathBuf> {
    let folder = std::env::var("CALVE_SHARED_DATA")
        .map_or_else(|_| workspace_root().join("../shared/data"), PathBuf::from);
    folder.is_dir().then_some(folder)
}
