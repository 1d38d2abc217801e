//! Upkeep, as users of the crate see it: what nothing needs goes, everything else stays.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod expire;
mod expire_laws;
// One file for both: what fails is the same.
#[path = "../../../calve-table/tests/it/faulty.rs"]
mod faulty;
mod manifests;
mod orphans;
mod s3;
mod world;
