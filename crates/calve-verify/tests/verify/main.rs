//! One binary for all tests of verification.
#![allow(clippy::unwrap_used)]

mod lakes;
mod rows;
mod support;
mod values;
