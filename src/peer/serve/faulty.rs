//! Answers as a peer gives them that misbehaves on purpose ([`crate::peer::faults`]).

use std::os::unix::fs::FileExt;

use super::held::Data;
use super::sending::Pace;
use super::{Job, Serving};
use crate::net::NetError;
use crate::peer::mischief::{Fate, Faults};
use crate::wire::{ChunkHead, Refusal};

impl Serving<'_> {
    /// What becomes of the next answer.
    pub(super) fn fate(&mut self) -> Fate {
        self.faults.as_mut().map_or(Fate::Sound, Faults::next)
    }

    /// Answers a job in the wrong way.
    pub(super) fn misbehave(&mut self, fate: Fate, job: Job) {
        match fate {
            Fate::Refused => self.refuse(job.request, Refusal::Busy),
            Fate::Denied => self.refuse(job.request, Refusal::NotHere),
            Fate::Sound | Fate::Silent => {}
            Fate::Corrupt | Fate::Cut => {
                if let Some(reason) = self.spoil(job, fate == Fate::Cut) {
                    self.refuse(job.request, reason);
                }
            }
        }
    }

    /// Sends a chunk that is wrong, or only half of it; or says why it would be refused anyway.
    fn spoil(&mut self, job: Job, cut: bool) -> Option<Refusal> {
        let Some(number) = self.choose(job) else { return Some(Refusal::NothingBetter) };
        let slot = self.slots.get_mut(&job.slot)?;
        let place = slot.held.layout().place(number)?;
        let len = place.len as usize;
        let mut bytes = vec![0; len];
        match slot.held.data(number, place) {
            Err(reason) => return Some(reason),
            Ok(Data::Memory(memory, at)) => bytes.copy_from_slice(&memory[at..at + len]),
            Ok(Data::File(file)) => {
                if file.read_exact_at(&mut bytes, place.offset).is_err() {
                    return Some(Refusal::Gone);
                }
            }
        }
        let proof = slot.proof(job.proof, place);
        if let Some(middle) = bytes.get_mut(len / 2) {
            *middle ^= 1;
        }
        bytes.truncate(if cut { len / 2 } else { len });
        let unsent = self.bulk.unsent();
        ChunkHead { index: number, proof }.put_frame(job.request, len, unsent);
        unsent.extend_from_slice(&bytes);
        self.count(job, number, len);
        None
    }

    /// Ends the connection as soon as half of the last chunk has left.
    pub(super) fn cut_off(&mut self) -> Result<Pace, NetError> {
        match self.bulk.flush(false)? {
            true => Err(NetError::Closed),
            false => Ok(Pace::Full),
        }
    }
}
