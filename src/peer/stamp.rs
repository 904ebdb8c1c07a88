//! How a file looks from outside: by it a file is known that was not changed since it was read.
//!
//! The invariant: two looks at a path that give the same [`Stamp`] saw the same bytes. It is as good
//! as the file system's clock, so a file younger than a tick of that clock is not stamped (see `share/hash`).
//!
//! The time of the last change of the inode is part of it, because anybody can put size and modification time
//! back. It also changes when a file is renamed, linked or gets another mode. So a file that looks the same but
//! for that time is neither known nor another: it stays what it was, with the stamp under which it was hashed, each
//! chunk is proved before it is served, and it is hashed again meanwhile.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How a file looks from outside; any write to it changes this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp {
    /// Bytes.
    pub size: u64,
    /// Modification time in nanoseconds since 1970.
    pub mtime_ns: i64,
    /// The inode's number.
    pub inode: u64,
    /// Time of the last change of the inode, which no program can set, in nanoseconds since 1970.
    pub ctime_ns: i64,
}

/// How a file looks but for the time that no program can set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Shape(u64, i64, u64);

impl Stamp {
    /// The stamp in what the file system says of a file.
    pub fn of(metadata: &Metadata) -> Stamp {
        let ns = |seconds: i64, rest: i64| seconds.saturating_mul(1_000_000_000).saturating_add(rest);
        Stamp {
            size: metadata.len(),
            mtime_ns: ns(metadata.mtime(), metadata.mtime_nsec()),
            inode: metadata.ino(),
            ctime_ns: ns(metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// How long ago the file was written or renamed, at `wall` o'clock; `None` if that lies in the future.
    pub(in crate::peer) fn age(&self, wall: SystemTime) -> Option<Duration> {
        let written = Duration::from_nanos(u64::try_from(self.ctime_ns).unwrap_or(0));
        wall.duration_since(UNIX_EPOCH).ok()?.checked_sub(written)
    }

    pub(super) fn shape(&self) -> Shape {
        Shape(self.size, self.mtime_ns, self.inode)
    }

    /// True if a file with the other stamp may be the same one, renamed or with another mode; only its bytes tell.
    pub(super) fn may_be(&self, other: &Stamp) -> bool {
        self.shape() == other.shape()
    }

    /// True if a file with this stamp may still begin with what it held under the other one: it is longer.
    pub(super) fn may_have_grown_from(&self, then: &Stamp) -> bool {
        self.inode == then.inode && then.size > 0 && then.size < self.size
    }

    /// True if a file with this stamp may still hold what was hashed under the other one; only its bytes tell.
    pub(super) fn may_hold(&self, then: &Stamp) -> bool {
        self.may_be(then) || self.may_have_grown_from(then)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp { size: 5, mtime_ns: 7, inode: 3, ctime_ns: 2_000_000_000 };

    #[test]
    fn the_time_of_the_inode_is_all_that_may_differ_in_what_may_be_the_same() {
        let others = [
            (Stamp { ctime_ns: 1, ..STAMP }, true),
            (Stamp { mtime_ns: 8, ..STAMP }, false),
            (Stamp { inode: 4, ..STAMP }, false),
            (Stamp { size: 4, ..STAMP }, false),
        ];
        for (other, may_be) in others {
            assert_eq!((STAMP.may_be(&other), STAMP.may_hold(&other)), (may_be, may_be || other.size == 4));
        }
    }

    #[test]
    fn what_grew_is_the_same_file_and_longer_than_something() {
        let grown = Stamp { size: 6, mtime_ns: 9, ..STAMP };
        assert!(grown.may_have_grown_from(&STAMP) && grown.may_hold(&STAMP));
        assert!(!STAMP.may_have_grown_from(&grown) && !STAMP.may_have_grown_from(&STAMP));
        assert!(!Stamp { inode: 4, ..grown }.may_have_grown_from(&STAMP));
        assert!(!grown.may_have_grown_from(&Stamp { size: 0, ..STAMP }), "everything begins with nothing");
    }

    #[test]
    fn age_is_counted_from_what_no_program_can_set() {
        let wall = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(STAMP.age(wall(5)), Some(Duration::from_secs(3)));
        assert_eq!(STAMP.age(wall(1)), None);
    }
}
