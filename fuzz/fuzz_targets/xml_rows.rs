//! Any document gives the same rows in segments of any size.
#![no_main]

#[path = "../checks/mod.rs"]
#[allow(dead_code, reason = "a target uses one of them")]
mod checks;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &[u8])| checks::rows::check(input.0, input.1));
