//! One binary for all tests of verification.
#![allow(clippy::unwrap_used)]

mod lakes;
mod values;
