//! How much of the lent space is taken. Pure.
//!
//! What counts: slots from when they are allotted until they are free, and the log twice, for it may be written anew
//! while the old one is there. The room for what a transfer will add to the log is set aside before it begins.

/// The log has room on the disk for so much more than it says, so that something can be deleted on a full disk.
pub(super) const LOG_AHEAD_BYTES: u64 = 256 << 10;
/// What a file system takes for the folder and what is in it beside slabs and log, and that room.
const FOLDER_BYTES: u64 = (128 << 10) + LOG_AHEAD_BYTES;
/// Never promised to anybody: deleting something takes room in the log first.
const SPARE_BYTES: u64 = 1 << 20;
/// What the log grows by.
const PAGE_BYTES: u64 = 4 << 10;
/// Less can not be lent.
pub const LEAST_QUOTA_BYTES: u64 = 4 << 20;

/// The space of a vault, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// What is lent.
    pub quota: u64,
    /// What is taken of it, or promised; more than all, if less is lent than before.
    pub used: u64,
}

impl Space {
    /// What can still be promised, for chunks and what the log says of them.
    pub fn room(self) -> u64 {
        self.quota.saturating_sub(self.used).saturating_sub(SPARE_BYTES)
    }
}

/// What is promised of the space.
#[derive(Debug)]
pub(super) struct Quota {
    quota: u64,
    /// To transfers: slots that are being allotted, and what they will add to the log.
    promised: u64,
}

impl Quota {
    pub(super) fn new(quota: u64) -> Quota {
        Quota { quota, promised: 0 }
    }

    /// The space, if the slots in use count for `slots` and the log has `log` bytes.
    pub(super) fn space(&self, slots: u64, log: u64) -> Space {
        let used = slots + log_charge(log) + FOLDER_BYTES + self.promised;
        Space { quota: self.quota, used }
    }

    /// Promises so many bytes if there is room for them.
    pub(super) fn promise(&mut self, bytes: u64, slots: u64, log: u64) -> bool {
        let has_room = bytes <= self.space(slots, log).room();
        if has_room {
            self.promised += bytes;
        }
        has_room
    }

    /// A promise is kept, or not needed any more.
    pub(super) fn release(&mut self, bytes: u64) {
        debug_assert!(bytes <= self.promised);
        self.promised = self.promised.saturating_sub(bytes);
    }

    /// True if the log may grow by so many bytes for what frees space.
    pub(super) fn has_spare(&self, bytes: u64, slots: u64, log: u64) -> bool {
        let space = self.space(slots, log + bytes);
        space.used <= space.quota
    }
}

fn log_charge(log: u64) -> u64 {
    2 * log.next_multiple_of(PAGE_BYTES)
}

/// The most that this adds to the log and counts for it: a content of so many files, of which some
/// are new, and so many chunks and proofs of runs, each in a batch of its own.
pub(super) fn log_promise((new_files, files): (usize, usize), records: usize, chunks: u32, runs: u32) -> u64 {
    /// What a batch is filled up with, and two entries.
    const CHUNK: u64 = 600;
    const PROOF: u64 = 1536;
    const FILE: u64 = 64;
    let of_root = 8 * files as u64 + records as u64 + 2 * CHUNK;
    log_charge(of_root + FILE * new_files as u64 + CHUNK * u64::from(chunks) + PROOF * u64::from(runs))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_promised_never_exceeds_what_is_lent() {
        let mut quota = Quota::new(10 << 20);
        let room = quota.space(0, 512).room();
        assert!(room < (9 << 20) && room > (8 << 20));
        assert!(!quota.promise(room + 1, 0, 512));
        assert!(quota.promise(room - 5, 0, 512));
        assert_eq!(quota.space(0, 512).room(), 5);
        // The slots are there now.
        quota.release(room - 5);
        assert_eq!(quota.space(room - 5, 512).room(), 5);
        assert!(!quota.promise(6, room - 5, 512));
        assert!(quota.has_spare(SPARE_BYTES / 2, room, 512) && !quota.has_spare(SPARE_BYTES, room, 512));
        assert_eq!(quota.space(20 << 20, 512).room(), 0, "less is lent than before");
    }
}
