//! A schema is inferred from any document, and its rows are converted by it.
#![no_main]

#[path = "../checks/mod.rs"]
#[allow(dead_code, reason = "a target uses one of them")]
mod checks;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &[u8])| checks::columns::check(input.0, input.1));
