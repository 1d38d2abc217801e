//! Upkeep, as users of the crate see it: what nothing needs goes, everything else stays.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod expire;
mod expire_laws;
mod faulty;
mod manifests;
mod orphans;
mod world;
