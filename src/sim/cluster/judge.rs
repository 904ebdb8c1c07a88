//! What must be true whatever breaks: the judge sees everything that is applied, acknowledged and read.

use std::collections::{BTreeMap, BTreeSet};

use crate::content::FileId;
use crate::tracker::cluster::{Head, Node};
use crate::tracker::records::{Command, Outcome, Records};
use crate::wire::ClientId;

/// A head in short.
fn brief(head: &Head) -> String {
    let members =
        head.members.iter().map(|member| format!("{}/{:04x}", member.node, member.incarnation.0 & 0xffff));
    format!("base {} hash {:02x?} members {:?}", head.base, &head.hash.0[..3], members.collect::<Vec<_>>())
}

/// What the simulated trackers have come to, together.
#[derive(Debug, Default)]
pub(super) struct Judge {
    /// Everything that was applied, by the first who did.
    pub(super) records: Records,
    slots: BTreeMap<u64, (Command, Outcome)>,
    heads: BTreeMap<u32, Head>,
    /// Who is in one of them.
    begun: BTreeSet<Node>,
    /// Versions that a content has become: each is published by one operation.
    numbers: BTreeMap<FileId, BTreeSet<u32>>,
    /// Where the commands of clients are.
    places: BTreeMap<(ClientId, u64), u64>,
    /// The slot of the last thing that somebody was told.
    pub(super) floor: u64,
}

impl Judge {
    /// A tracker applied this, with this outcome.
    pub(super) fn applied(&mut self, slot: u64, command: &Command, outcome: &Outcome) -> Result<(), String> {
        if slot > self.records.applied() {
            let expected = self.records.apply(slot, command).outcome;
            self.slots.insert(slot, (command.clone(), expected));
            self.note(slot, command, &expected)?;
        }
        match self.slots.get(&slot) {
            Some((known, expected)) if known == command && expected == outcome => Ok(()),
            Some((known, _)) => Err(format!("DISAGREEMENT in slot {slot}: {known:?} and {command:?}")),
            None => Err(format!("DISAGREEMENT in slot {slot}: nobody applied {command:?} there before")),
        }
    }

    fn note(&mut self, slot: u64, command: &Command, outcome: &Outcome) -> Result<(), String> {
        let (client, seq) = match command {
            Command::Publish(publish) => {
                if let Outcome::Published { number, .. } = outcome {
                    let numbers = self.numbers.entry(publish.version.id).or_default();
                    numbers.insert(*number);
                    if numbers.len() > 1 {
                        return Err(format!("TWICE: {:?} was published as {numbers:?}", publish.version.id));
                    }
                }
                (publish.client, publish.seq)
            }
            Command::Remove(remove) => (remove.client, remove.seq),
            _ => return Ok(()),
        };
        self.places.entry((client, seq)).or_insert(slot);
        Ok(())
    }

    /// A client was told what came of its command.
    pub(super) fn acknowledged(&mut self, client: ClientId, seq: u64) -> Result<(), String> {
        let place = self.places.get(&(client, seq)).ok_or("ACKNOWLEDGED what was never applied")?;
        self.floor = self.floor.max(*place);
        Ok(())
    }

    /// A fresh read that was begun when the floor was there is answered by records of this slot.
    pub(super) fn read(&mut self, floor: u64, applied: u64) -> Result<(), String> {
        if applied < floor {
            return Err(format!("STALE: read at slot {applied}, {floor} was acknowledged before"));
        }
        self.floor = self.floor.max(applied);
        Ok(())
    }

    /// This disk is empty now.
    pub(super) fn wiped(&mut self, node: Node) {
        self.begun.remove(&node);
    }

    /// A tracker is in an epoch that began so.
    pub(super) fn begun(&mut self, node: Node, head: &Head) -> Result<(), String> {
        // A cluster that is on no disk any more, of those that had it, was none: nothing was agreed on there.
        if self.begun.is_empty() && self.records.applied() == 0 {
            self.heads.clear();
        }
        self.begun.insert(node);
        let known = self.heads.entry(head.epoch).or_insert_with(|| head.clone());
        if known != head {
            return Err(format!(
                "DISAGREEMENT on epoch {}: {} and {}",
                head.epoch,
                brief(known),
                brief(head)
            ));
        }
        Ok(())
    }

    /// The latest epoch that somebody has begun, and the one before it.
    pub(super) fn latest(&self) -> Option<(&Head, Option<&Head>)> {
        let (number, head) = self.heads.last_key_value()?;
        Some((head, self.heads.get(&(number - 1))))
    }

    /// True if what a client was told last is in these records, as it was told.
    pub(super) fn is_whole(&self, records: &Records) -> bool {
        self.records.snapshot() == records.snapshot()
    }
}
