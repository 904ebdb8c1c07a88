//! What is fetched has gone from its source: has its name become another content there?
//!
//! Trackers are asked, by id and by name, while nobody who is connected has what is missing. Only if none of
//! them knows anybody who has all of it, and one who had it offers something else under the same name, it has
//! changed: whoever asks again gets the new version.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, TryRecvError};

use crate::content::{FileId, PeerId};
use crate::peer::trackers::Trackers;
use crate::swarm::round::Round;
use crate::wire::{List, Locate, Located, Name, Purpose, Variant};

/// Longest pause between two questions.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Trackers that have not answered by then are not waited for.
const ANSWER_PATIENCE: Duration = Duration::from_secs(2);

/// Looks for what a content has become.
#[derive(Debug)]
pub(super) struct Succession {
    asking: Round,
    asked: Option<Asked>,
}

/// The same question twice: who has the content, and what its name stands for.
#[derive(Debug)]
struct Asked {
    at: Instant,
    by_id: Answers,
    by_name: Answers,
}

#[derive(Debug)]
struct Answers {
    coming: Receiver<Located>,
    variants: Vec<Variant>,
    any: bool,
    all: bool,
}

impl Answers {
    fn new(coming: Receiver<Located>) -> Answers {
        Answers { coming, variants: Vec::new(), any: false, all: false }
    }

    fn take(&mut self) {
        loop {
            match self.coming.try_recv() {
                Ok(located) => {
                    self.any = true;
                    self.variants.extend(located.variants.into_vec());
                }
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => {
                    self.all = true;
                    return;
                }
            }
        }
    }
}

impl Succession {
    pub(super) fn new(now: Instant) -> Succession {
        Succession { asking: Round::locating(LONGEST_PAUSE, now), asked: None }
    }

    /// To be called while nobody has what is missing: what the content `id`, known as `name`, has become at one who
    /// `had` it, if that is known.
    pub(super) fn turn(
        &mut self,
        trackers: &Trackers,
        (id, name): (FileId, &Name),
        had: impl Fn(PeerId) -> bool,
        now: Instant,
    ) -> Option<FileId> {
        if let Some(asked) = &mut self.asked {
            asked.by_id.take();
            asked.by_name.take();
            let late = now.saturating_duration_since(asked.at) >= ANSWER_PATIENCE;
            let all = asked.by_id.all && asked.by_name.all;
            if !all && !late {
                return None;
            }
            let answered = asked.by_id.any && asked.by_name.any;
            let successor = successor(id, &asked.by_id.variants, &asked.by_name.variants, had);
            self.asked = None;
            return successor.filter(|_| answered);
        }
        if self.asking.is_due(now) {
            let ask = |name: &Name, id: FileId| {
                let (name, missing) = (name.clone(), List::default());
                trackers.locate(&Locate { name, id, purpose: Purpose::Inspect, max: 0, missing })
            };
            let by_id = Answers::new(ask(&Name::default(), id));
            self.asked = Some(Asked { at: now, by_id, by_name: Answers::new(ask(name, FileId::NONE)) });
        }
        None
    }
}

/// What the name stands for now at one who had `id`, if nobody has all of `id` any more.
fn successor(
    id: FileId,
    by_id: &[Variant],
    by_name: &[Variant],
    had: impl Fn(PeerId) -> bool,
) -> Option<FileId> {
    let lives = |variant: &Variant| variant.id == id && variant.seeders > 0;
    if by_id.iter().chain(by_name).any(lives) {
        return None;
    }
    let others = by_name.iter().filter(|variant| variant.id != id);
    others
        .filter(|variant| variant.holders.iter().any(|holder| had(holder.peer)))
        .map(|variant| variant.id)
        .next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Holder, Label};

    fn variant(id: u8, seeders: u32, holders: &[u8]) -> Variant {
        let holder = |peer: &u8| Holder {
            peer: PeerId([*peer; 16]),
            name: Label::default(),
            addresses: List::default(),
            have: 1,
            uploads: 0,
            downloads: 0,
            original: true,
        };
        let holders = List::new(holders.iter().map(holder).collect());
        Variant { id: FileId([id; 32]), seeders, holders, ..Variant::sample("f") }
    }

    #[test]
    fn only_who_had_it_can_say_what_it_has_become() {
        let id = FileId([1; 32]);
        let had = |peer: PeerId| peer.0[0] < 5;
        let new = [variant(2, 1, &[3])];
        assert_eq!(successor(id, &[], &new, had), Some(FileId([2; 32])));
        assert_eq!(
            successor(id, &[variant(1, 0, &[9])], &new, had),
            Some(FileId([2; 32])),
            "in part is not all"
        );
        assert_eq!(successor(id, &[variant(1, 1, &[9])], &new, had), None, "somebody has it still");
        assert_eq!(successor(id, &[], &[variant(2, 1, &[7])], had), None, "a stranger's file of that name");
        assert_eq!(successor(id, &[], &[], had), None, "nothing is known yet");
    }
}
