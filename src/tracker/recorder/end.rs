//! The end of a process that cannot keep what it would promise.

use crate::say;
use crate::threads;

/// What is on the disk is not known any more, and a second try would not tell: nothing may be promised from now on.
pub(super) fn end(why: &str) -> ! {
    say::line(&format!(
        "p2p: the tracker's journal could not be put on the disk ({why}); it ends, because it cannot keep what it \
         would promise"
    ));
    threads::end_process()
}

/// This tracker has other records than another of its cluster: that must not spread.
pub(super) fn halt(why: &str) -> ! {
    say::line(&format!(
        "p2p: the records of this cluster's trackers are not the same ({why}); this tracker ends, so that it does not spread"
    ));
    threads::end_process()
}
