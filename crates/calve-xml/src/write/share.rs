//! Work that is shared with whoever has nothing else to do.
//!
//! The threads of a pool read rows first of all. The caller encodes what they have read, and is helped by those that have
//! run out of rows: because it does not keep up, or because the end is near. A column that nobody takes from the caller stays
//! in its cache.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::vec::IntoIter;

/// What is to be done, what is being done, and what was done.
struct State<T, R> {
    left: std::iter::Enumerate<IntoIter<T>>,
    running: usize,
    done: Vec<Option<R>>,
    panic: Option<Box<dyn Any + Send>>,
}

struct Shared<T, R> {
    state: Mutex<State<T, R>>,
    none_is_running: Condvar,
}

impl<T, R> Shared<T, R> {
    fn state(&self) -> MutexGuard<'_, State<T, R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works until nothing is left to begin.
    fn work(&self, work: impl Fn(T) -> R) {
        loop {
            let (at, item) = {
                let mut state = self.state();
                let Some(next) = state.left.next() else {
                    return;
                };
                state.running += 1;
                next
            };
            let done = catch_unwind(AssertUnwindSafe(|| work(item)));
            let mut state = self.state();
            match done {
                Ok(done) => state.done[at] = Some(done),
                Err(panic) => state.panic = Some(panic),
            }
            state.running -= 1;
            if state.running == 0 {
                self.none_is_running.notify_all();
            }
        }
    }
}

/// Does `work` with each item; gives what comes of them, in their order. The caller begins with the first, and does all that
/// no idle thread of the pool takes.
///
/// # Panics
/// When `work` does.
pub(super) fn share<T, R>(
    pool: &rayon::ThreadPool,
    items: Vec<T>,
    work: impl Fn(T) -> R + Send + Sync + 'static,
) -> Vec<R>
where
    T: Send + 'static,
    R: Send + 'static,
{
    let count = items.len();
    let shared = Arc::new(Shared {
        state: Mutex::new(State {
            left: items.into_iter().enumerate(),
            running: 0,
            done: std::iter::repeat_with(|| None).take(count).collect(),
            panic: None,
        }),
        none_is_running: Condvar::new(),
    });
    let work = Arc::new(work);
    for _ in 0..pool.current_num_threads().min(count.saturating_sub(1)) {
        let (shared, work) = (Arc::clone(&shared), Arc::clone(&work));
        // A thread that comes too late finds nothing.
        pool.spawn(move || shared.work(&*work));
    }
    shared.work(&*work);
    let waited = shared
        .none_is_running
        .wait_while(shared.state(), |state| state.running > 0);
    let mut state = waited.unwrap_or_else(PoisonError::into_inner);
    if let Some(panic) = state.panic.take() {
        drop(state);
        resume_unwind(panic);
    }
    state.done.drain(..).flatten().collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Barrier;
    use std::thread::current;

    use super::*;

    fn pool() -> rayon::ThreadPool {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2);
        pool.build().unwrap()
    }

    #[test]
    fn what_is_done_is_in_order() {
        for count in [0, 1, 2, 100] {
            let done = share(&pool(), (0..count).collect(), |item: u32| item * 2);
            let expected: Vec<_> = (0..count).map(|item| item * 2).collect();
            assert_eq!(done, expected);
        }
    }

    #[test]
    fn idle_threads_help_and_busy_ones_are_not_waited_for() {
        let pool = pool();
        // Each waits for another, so that two threads must be at work.
        let both = Barrier::new(2);
        let done = share(&pool, vec![(); 2], move |()| {
            both.wait();
            current().id()
        });
        assert_eq!(done.iter().collect::<HashSet<_>>().len(), 2);

        let (release, is_released) = std::sync::mpsc::channel::<()>();
        let is_released = Arc::new(Mutex::new(is_released));
        for _ in 0..2 {
            let is_released = Arc::clone(&is_released);
            pool.spawn(move || _ = is_released.lock().unwrap().recv());
        }
        let done = share(&pool, vec![(); 8], |()| current().id());
        assert_eq!(done, [current().id(); 8]);
        drop(release);
    }

    #[test]
    fn a_panic_is_passed_on() {
        let pool = pool();
        let both = Arc::new(Barrier::new(2));
        let caught = catch_unwind(AssertUnwindSafe(|| {
            let caller = current().id();
            let both = Arc::clone(&both);
            share(&pool, vec![(); 2], move |()| {
                both.wait();
                assert_eq!(current().id(), caller, "not the caller");
            })
        }));
        let panic = caught.unwrap_err();
        let text = panic.downcast_ref::<String>().unwrap();
        assert!(text.contains("not the caller"), "{text}");
        assert_eq!(share(&pool, vec![1], |item| item), [1]);
    }
}
