//! How many bytes may be asked for under a rate limit, and how many were.

#[derive(Debug, Default)]
pub(super) struct Allowance {
    /// Bytes that may be asked for in a step; none: as many as one likes.
    bytes: Option<i64>,
    /// Bytes asked for since that was last asked, without those that will not come.
    spent: i64,
}

impl Allowance {
    pub(super) fn set(&mut self, bytes: Option<i64>) {
        self.bytes = bytes;
    }

    pub(super) fn is_bounded(&self) -> bool {
        self.bytes.is_some()
    }

    /// True if one more chunk may be begun.
    pub(super) fn is_left(&self) -> bool {
        self.bytes.is_none_or(|bytes| self.spent < bytes)
    }

    pub(super) fn spend(&mut self, bytes: u64) {
        self.spent += bytes as i64;
    }

    /// Of what was asked for so much will not come.
    pub(super) fn comes_not(&mut self, bytes: u64) {
        self.spent -= bytes as i64;
    }

    pub(super) fn take_spent(&mut self) -> i64 {
        std::mem::take(&mut self.spent)
    }
}
