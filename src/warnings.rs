//! What this process warned of last, for who looks at its page: the end of what its log has of that.

use std::collections::VecDeque;
use std::sync::Mutex;

use serde::Serialize;

use crate::clock::since_1970_ms;
use crate::threads::lock;

/// Warnings that are kept, the oldest of which goes first.
const MAX_KEPT: usize = 200;
/// Bytes of each.
const MAX_BYTES: usize = 1_024;

/// Something that went wrong.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Warning {
    /// Which it is, from the start on.
    pub(crate) number: u64,
    /// Milliseconds since 1970.
    pub(crate) at: u64,
    pub(crate) what: String,
}

/// How many there were, and the last of them.
static LAST: Mutex<(u64, VecDeque<Warning>)> = Mutex::new((0, VecDeque::new()));

/// Takes one in.
pub(crate) fn note(mut what: String) {
    what.truncate(what.floor_char_boundary(MAX_BYTES));
    let mut last = lock(&LAST);
    last.0 += 1;
    let number = last.0;
    last.1.push_back(Warning { number, at: since_1970_ms(), what });
    if last.1.len() > MAX_KEPT {
        last.1.pop_front();
    }
}

/// The last of them, the newest first.
#[cfg(feature = "web")]
pub(crate) fn last() -> Vec<Warning> {
    lock(&LAST).1.iter().rev().cloned().collect()
}

#[cfg(all(test, feature = "web"))]
mod tests {
    use super::*;

    #[test]
    fn the_last_are_kept_and_none_is_long() {
        for _ in 0..=MAX_KEPT {
            note("ü".repeat(MAX_BYTES));
        }
        let last = last();
        assert_eq!((last.len(), last[0].what.len()), (MAX_KEPT, MAX_BYTES));
        assert!(last[0].number > last[1].number && last[0].number > MAX_KEPT as u64);
    }
}
