//! A place at which a process ends on purpose, so that tests see what the next one makes of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Ends the process when a named step is reached. By default, never.
///
/// Operations call [`FailPoint::reach`] at every step after which a crash must be survived. Libraries
/// read no environment: a driver passes the name down.
#[derive(Debug, Clone, Default)]
pub struct FailPoint {
    armed: Option<Arc<Armed>>,
}

#[derive(Debug)]
struct Armed {
    step: String,
    /// How many times the step is passed before the process ends.
    passes: AtomicU32,
}

impl FailPoint {
    /// Ends the process at `step`, or, as `step:n`, when it is reached for the `n`-th time.
    pub fn at(text: &str) -> Self {
        let numbered = text
            .rsplit_once(':')
            .and_then(|(step, number)| Some((step, number.parse::<u32>().ok()?)));
        let (step, number) = numbered.unwrap_or((text, 1));
        Self {
            armed: Some(Arc::new(Armed {
                step: step.to_owned(),
                passes: AtomicU32::new(number.saturating_sub(1)),
            })),
        }
    }

    /// Ends the process, without any clean-up, if this is the step.
    pub fn reach(&self, step: &str) {
        if self.ends_at(step) {
            std::process::abort();
        }
    }

    fn ends_at(&self, step: &str) -> bool {
        let Some(armed) = self.armed.as_deref().filter(|armed| armed.step == step) else {
            return false;
        };
        let counted = armed
            .passes
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                left.checked_sub(1)
            });
        counted.is_err()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: [bool; 3]) {
        let point = FailPoint::at(text);
        assert_eq!([(); 3].map(|()| point.ends_at("a")), expected, "{text}");
        assert!(!point.ends_at("b"), "{text}");
    }

    #[test]
    fn steps_are_counted() {
        check("a", [true, true, true]);
        check("a:1", [true, true, true]);
        check("a:3", [false, false, true]);
        check("c", [false, false, false]);
        assert!(!FailPoint::default().ends_at("a"));
    }
}
