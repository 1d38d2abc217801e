//! Who encodes: the caller as long as it keeps up, and a pool where it does not.
//!
//! A column that stays on one thread stays in its cache, and tasks that wait for each other cost time: where the caller
//! waits for rows now and then, it encodes best by itself. Where rows wait for it instead, their columns are divided.

use std::time::{Duration, Instant};

/// After how many batches it is decided.
const BATCHES: u32 = 8;
/// After how many batches of a pool the caller is tried again.
const POOL_BATCHES: u32 = 128;
/// Which part of its time the caller waits at least where it keeps up.
const WAITING: u32 = 16;

/// How the caller's time passes.
#[derive(Debug, Default)]
pub(super) struct Pace {
    is_behind: bool,
    batches: u32,
    begun: Option<Instant>,
    ended: Option<Instant>,
    busy: Duration,
    waiting: Duration,
}

impl Pace {
    /// A batch is here. Gives whether a pool is to encode it.
    pub(super) fn begin(&mut self) -> bool {
        let now = Instant::now();
        if let Some(ended) = self.ended {
            self.waiting += now - ended;
        }
        self.begun = Some(now);
        self.is_behind
    }

    /// The batch is encoded.
    pub(super) fn end(&mut self) {
        let now = Instant::now();
        if let Some(begun) = self.begun {
            self.busy += now - begun;
        }
        self.ended = Some(now);
        self.count();
    }

    fn count(&mut self) {
        self.batches += 1;
        let enough = if self.is_behind {
            POOL_BATCHES
        } else {
            BATCHES
        };
        if self.batches < enough {
            return;
        }
        // What a pool does tells nothing of what the caller would.
        self.is_behind = !self.is_behind && self.waiting * WAITING < self.busy + self.waiting;
        self.batches = 0;
        (self.busy, self.waiting) = (Duration::ZERO, Duration::ZERO);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pace after some batches, each with so many milliseconds of work and of waiting.
    fn after(pace: Pace, batches: u32, busy: u64, waiting: u64) -> Pace {
        let mut pace = pace;
        for _ in 0..batches {
            pace.busy += Duration::from_millis(busy);
            pace.waiting += Duration::from_millis(waiting);
            pace.count();
        }
        pace
    }

    #[test]
    fn a_pool_is_asked_while_rows_wait() {
        let pace = after(Pace::default(), BATCHES, 10, 5);
        assert!(!pace.is_behind, "it waits for rows");
        let pace = after(pace, BATCHES - 1, 10, 0);
        assert!(!pace.is_behind, "not decided yet");
        let pace = after(pace, 1, 10, 0);
        assert!(pace.is_behind, "rows wait");
        let pace = after(pace, POOL_BATCHES - 1, 10, 10);
        assert!(pace.is_behind, "for a while");
        let pace = after(pace, 1, 10, 0);
        assert!(!pace.is_behind, "then it is tried again");
    }
}
