//! Schemas, patterns and mappings are understood or refused.
#![no_main]

#[path = "../checks/mod.rs"]
#[allow(dead_code, reason = "a target uses one of them")]
mod checks;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| checks::schemas::check(text));
