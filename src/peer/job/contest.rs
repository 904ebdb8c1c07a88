//! The contest of several sizes claimed of one id: holders are asked for proofs, a thread each, and whoever claims
//! what is not so is told of to the trackers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, select};

use super::means::Means;
use crate::content::{Chunk, FileId, PeerId};
use crate::peer::transfer::probe;
use crate::swarm::claims::{Claims, Question, Verdict};
use crate::threads;
use crate::wire::{Complaint, Located, Report, Variant};

/// What [`Contest::wait`] heard.
pub(super) enum Heard {
    /// A tracker's answer.
    Located(Located),
    /// All trackers have answered.
    NoMore,
    /// Nothing of theirs.
    Nothing,
}

type Answer = (u64, PeerId, Verdict);

/// The claims about one id, and the questions under way.
pub(super) struct Contest {
    means: Arc<Means>,
    id: FileId,
    claims: Claims,
    tell: Sender<Answer>,
    told: Receiver<Answer>,
    over: Arc<AtomicBool>,
}

impl Contest {
    pub(super) fn new(means: &Arc<Means>, id: FileId) -> Contest {
        let (tell, told) = crossbeam_channel::unbounded();
        Contest { means: means.clone(), id, claims: Claims::default(), tell, told, over: Arc::default() }
    }

    /// What was heard so far.
    pub(super) fn claims(&self) -> &Claims {
        &self.claims
    }

    /// Some peers claim that the content has the variant's size.
    pub(super) fn hear(&mut self, variant: &Variant) {
        self.claims.hear(variant.size);
        for holder in self.means.others(variant) {
            let whole = holder.have >= variant.chunks;
            if whole || holder.have > 0 {
                self.claims.hear_holder(variant.size, holder.peer, &holder.addresses, whole);
            }
        }
    }

    /// Some peers claim what the bytes that are here show to be wrong.
    pub(super) fn refuse(&mut self, variant: &Variant) {
        for holder in variant.holders.iter().filter(|holder| holder.have >= variant.chunks) {
            self.claims.ban(holder.peer);
        }
        self.blame();
    }

    /// The bytes that are here show that this is the size.
    pub(super) fn prove(&mut self, size: u64) {
        self.claims.prove(size);
        self.blame();
    }

    /// Takes in answers and asks for more proofs, if there is a dispute.
    pub(super) fn turn(&mut self, now: Instant) {
        while let Ok((size, peer, verdict)) = self.told.try_recv() {
            self.claims.answered(size, peer, verdict, now);
        }
        for question in self.claims.ask(now) {
            self.ask(question);
        }
        self.blame();
    }

    /// Waits for a tracker's answer or that to a question, but not past `timeout`.
    pub(super) fn wait(&mut self, answers: Option<&Receiver<Located>>, timeout: Duration) -> Heard {
        let never = crossbeam_channel::never();
        select! {
            recv(answers.unwrap_or(&never)) -> located => located.map_or(Heard::NoMore, Heard::Located),
            recv(self.told) -> answer => {
                if let Ok((size, peer, verdict)) = answer {
                    self.claims.answered(size, peer, verdict, Instant::now());
                }
                Heard::Nothing
            }
            default(timeout) => Heard::Nothing,
        }
    }

    fn ask(&self, question: Question) {
        let (means, id, over, tell) = (self.means.clone(), self.id, self.over.clone(), self.tell.clone());
        let Question { size, peer, addresses } = question;
        let present = means.stop.enter();
        let asking = move || {
            let _present = present;
            let asked = threads::caught(|| {
                probe::ask(&means.identity, &means.dials, (id, size), (peer, &addresses), &over)
            });
            let verdict = asked.unwrap_or(Verdict::Away);
            tracing::debug!("peer {peer} claims that {id} has {size} bytes: {verdict:?}");
            let _ = tell.send((size, peer, verdict));
        };
        if threads::named("fetch-probe").connection(asking).is_err() {
            let _ = self.tell.send((size, peer, Verdict::Away));
        }
    }

    fn blame(&mut self) {
        for peer in self.claims.take_blamed() {
            let complaint = Complaint::Corrupt;
            self.means.trackers().report(&Report { peer, id: self.id, chunk: Chunk(0), complaint });
        }
    }
}

impl Drop for Contest {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
    }
}
