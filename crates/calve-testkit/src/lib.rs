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

/// The root of the workspace, whose crates all lie in `crates/`.
///
/// Cargo tells the folder of the package at hand when it runs a test. What was compiled in may be another
/// clone's, since clones that share a target folder share what is built in it.
pub fn workspace_root() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR");
    let package = package.unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let root = Path::new(&package).join("../..");
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
