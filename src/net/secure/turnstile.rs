//! How many threads may compute at a time for those who dial: a flood of handshakes must leave the processors to others.

use std::sync::{Condvar, LazyLock, Mutex, PoisonError};

use crate::threads::lock;

/// Threads that may compute at a time, for each processor.
const EACH: usize = 2;

static THINKING: LazyLock<Turnstile> = LazyLock::new(|| {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Turnstile { free: Mutex::new(EACH * cores), came_out: Condvar::new() }
});

struct Turnstile {
    free: Mutex<usize>,
    came_out: Condvar,
}

struct Inside(&'static Turnstile);

impl Drop for Inside {
    fn drop(&mut self) {
        *lock(&self.0.free) += 1;
        self.0.came_out.notify_one();
    }
}

/// Does a computation, which waits for nothing, when it is its turn.
pub(crate) fn thinking<T>(compute: impl FnOnce() -> T) -> T {
    let turnstile = &*THINKING;
    let free = turnstile.came_out.wait_while(lock(&turnstile.free), |free| *free == 0);
    *free.unwrap_or_else(PoisonError::into_inner) -= 1;
    let _inside = Inside(turnstile);
    compute()
}
