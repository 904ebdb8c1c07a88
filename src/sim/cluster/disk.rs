//! A simulated disk: batches of records of which those that were not synced may be gone after a crash.

use bytes::Bytes;
use fastrand::Rng;

use crate::tracker::cluster::{Found, Rules, Write};

/// Records as the journal has them.
type Batch = Vec<(u8, Bytes)>;

/// A disk.
#[derive(Debug, Default)]
pub(super) struct Disk {
    log: Vec<Batch>,
    /// What takes the place of the log with the next sync.
    draft: Option<Vec<Batch>>,
    /// Batches of the log that are synced.
    synced: usize,
}

impl Disk {
    /// Writes a batch; true if it is to be synced.
    pub(super) fn write(&mut self, writes: &[Write], keep_old: bool) -> bool {
        if writes.is_empty() {
            return false;
        }
        let batch: Batch = writes.iter().flat_map(Write::records).collect();
        let begins = writes.iter().any(|write| matches!(write, Write::Begin(..)));
        match &mut self.draft {
            _ if begins && !keep_old => self.draft = Some(vec![batch]),
            Some(draft) => draft.push(batch),
            None => self.log.push(batch),
        }
        writes.iter().any(Write::must_last)
    }

    /// Everything that was written is on the disk.
    pub(super) fn sync(&mut self) {
        if let Some(draft) = self.draft.take() {
            self.log = draft;
        }
        self.synced = self.log.len();
    }

    /// The process ends, or the power: of what was not synced, some of the first batches may be there. `torn`: a batch
    /// may be there in part.
    pub(super) fn crash(&mut self, rng: &mut Rng, torn: bool) {
        if let Some(draft) = self.draft.take()
            && rng.bool()
        {
            (self.log, self.synced) = (draft, 0);
            // It had the name only after it was synced as it was then.
            self.synced = 1;
        }
        let left = self.log.len() - self.synced;
        let kept = self.synced + rng.usize(..=left);
        let cut = self.log.get(kept).cloned();
        self.log.truncate(kept);
        if let Some(mut batch) = cut.filter(|_| torn) {
            batch.truncate(rng.usize(..=batch.len()));
            self.log.push(batch);
        }
        self.synced = self.log.len();
    }

    /// Everything is gone.
    pub(super) fn wipe(&mut self) {
        *self = Disk::default();
    }

    /// What is found on it.
    pub(super) fn read(&self, rules: Rules) -> Result<Found, String> {
        let mut found = Found::default();
        for (kind, body) in self.log.iter().flatten() {
            found.take((*kind, body.clone()), rules).map_err(|error| format!("UNREADABLE: {error}"))?;
        }
        Ok(found)
    }
}
