//! Who called this peer and is served on a connection that was made for that.

use std::collections::BTreeSet;
use std::sync::Mutex;

use crate::content::{FileId, PeerId};
use crate::threads::lock;
use crate::wire::Call;

/// Most connections at a time that were made because somebody called.
const MAX_CALLED: usize = 64;

/// Who was called by whom, and what for: each has one connection.
#[derive(Debug, Default)]
pub(super) struct Called(Mutex<BTreeSet<(PeerId, FileId)>>);

impl Called {
    /// False if it has a connection, or there are too many.
    pub(super) fn enter(&self, call: &Call) -> bool {
        let mut all = lock(&self.0);
        all.len() < MAX_CALLED && all.insert((call.peer, call.id))
    }

    pub(super) fn leave(&self, call: &Call) {
        lock(&self.0).remove(&(call.peer, call.id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::List;

    #[test]
    fn who_called_has_one_connection_for_each_content_and_all_have_a_bound() {
        let called = Called::default();
        let call =
            |number: u8| Call { id: FileId([number; 32]), peer: PeerId([1; 16]), addresses: List::default() };
        assert!(called.enter(&call(1)) && !called.enter(&call(1)) && called.enter(&call(2)));
        called.leave(&call(1));
        assert_eq!((0..200).filter(|number| called.enter(&call(*number))).count(), MAX_CALLED - 1);
    }
}
