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
