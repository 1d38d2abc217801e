//! What large and hostile documents may cost: memory, and never a panic.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
#![allow(
    clippy::expect_used,
    reason = "checks of fuzz targets fail by panicking"
)]
#![allow(clippy::print_stdout, reason = "tests say what they skip")]

#[path = "../../../../fuzz/checks/mod.rs"]
#[expect(unreachable_pub, reason = "the fuzz targets are another crate each")]
mod checks;
mod limits;
mod memory;
mod mutations;

use std::sync::{Mutex, PoisonError};

use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// The allocator counts for the whole process, so that tests take turns.
static TURN: Mutex<()> = Mutex::new(());

/// The most bytes that are allocated at a time while something runs.
fn peak<T>(run: impl FnOnce() -> T) -> (usize, T) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let result = run();
    (MEMORY.peak_usage().saturating_sub(before), result)
}
