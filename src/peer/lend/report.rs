//! Tells one tracker that this is a store, and what it keeps: all of it when they meet, then what changes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::agenda::Content;
use super::link::{Link, News};
use super::remember;
use super::store::{Store, kind_of, owner, part_of};
use super::vault::{Kept, VaultError};
use crate::content::ChunkSet;
use crate::peer::trackers::cut_off;
use crate::threads;
use crate::wire::limits::{MAX_FRAME_BYTES, MAX_KEPT, MAX_RECORDS};
use crate::wire::{
    Bits, Common, ErrorCode, FromTracker, Kept as KeptMessage, KeptPart, Lent, List, Published, Records, Term,
};

/// How long is waited before a tracker that did not know enough yet is met again.
const AGAIN: Duration = Duration::from_millis(500);
/// How often it is looked whether the tracker is back, or the peer stops.
const LOOK: Duration = Duration::from_millis(200);
/// Bytes of the parts of one message: of half a frame, so that one more fits.
const PARTS_BYTES: usize = MAX_FRAME_BYTES / 2;
/// What a part takes beside its bits, and more than a version takes beside its texts.
const FIXED_BYTES: usize = 128;

/// What goes on between a store and the tracker of one link, as the thread that reports to it sees it.
pub(super) struct Reporter {
    pub(super) store: Arc<Store>,
    /// The store's link to it.
    pub(super) link: Arc<Link>,
}

/// The connection ended.
struct Cut;

/// What came of a meeting.
enum Met {
    /// The tracker gives duties in this term.
    In(Term),
    /// It is one of several, and does not know yet what others do: in a moment it will.
    TooEarly,
    /// It has nothing to say to this store.
    Foreign,
}

impl Reporter {
    /// Until the peer stops, or the tracker is not one of its any more.
    pub(super) fn run(self) {
        let mut met = 0;
        let link = &self.link;
        while !self.is_over() {
            let times = link.line.registered(met, if link.is_to_meet() { Duration::ZERO } else { LOOK });
            if times == met && !link.is_to_meet() {
                continue;
            }
            met = times;
            threads::may_panic("lend-report");
            let term = match self.meet() {
                Ok(Met::In(term)) => term,
                Ok(Met::TooEarly) => {
                    link.wait(AGAIN);
                    link.meets_again();
                    continue;
                }
                Ok(Met::Foreign) | Err(Cut) => {
                    link.set_term(None);
                    continue;
                }
            };
            link.set_term(Some(term));
            // What was put into the vault meanwhile may have been left out of the report.
            if self.report().is_ok() {
                self.tell_news(met);
            }
            if !link.is_to_meet() {
                link.set_term(None);
            }
        }
    }

    fn is_over(&self) -> bool {
        self.store.means.stop.is_stopping() || self.link.line.is_over()
    }

    fn ask(&self, message: impl Into<crate::wire::ToTracker>) -> Result<FromTracker, Cut> {
        self.link.line.ask(message).ok_or(Cut)
    }

    fn expect_ok(&self, message: impl Into<crate::wire::ToTracker>) -> Result<(), Cut> {
        match self.ask(message)? {
            FromTracker::Common(Common::Ok) => Ok(()),
            // Its term is another one since they met.
            FromTracker::Common(Common::Error(error)) if error.code == ErrorCode::NotRegistered => {
                self.link.wait(AGAIN);
                self.link.meets_again();
                Err(Cut)
            }
            other => {
                tracing::warn!("tracker {} does not take a report: {other:?}", self.addr());
                Ok(())
            }
        }
    }

    fn addr(&self) -> &str {
        self.link.line.addr()
    }

    /// Says what it lends, and tells all that the tracker wants to know. The term in which it gives duties, if it does.
    fn meet(&self) -> Result<Met, Cut> {
        let mut told = false;
        loop {
            let lent = match self.ask(self.store.lend())? {
                FromTracker::Lent(lent) => lent,
                FromTracker::Common(Common::Error(error)) if error.code == ErrorCode::NoQuorum => {
                    return Ok(Met::TooEarly);
                }
                FromTracker::Common(Common::Error(error)) => {
                    tracing::warn!(
                        "tracker {} takes no stores: {}",
                        self.addr(),
                        crate::content::shown(&error.detail)
                    );
                    return Ok(Met::Foreign);
                }
                _ => return Ok(Met::Foreign),
            };
            let before = self.store.vault.owner();
            if before == Some(owner(&lent)) {
                if lent.records {
                    self.tell_records()?;
                }
                return Ok(Met::In(lent.term));
            }
            if before.is_some_and(|before| {
                before.authority == owner(&lent).authority && before.term > owner(&lent).term
            }) {
                return Ok(Met::TooEarly); // it has not heard of the term of those who lead yet
            }
            if !self.serve(&lent) {
                return Ok(Met::Foreign);
            }
            if told {
                return Ok(Met::TooEarly); // the term has changed meanwhile
            }
            told = true; // and once more, now that it is written down
        }
    }

    /// Writes down whom it serves, if it may serve who asks.
    fn serve(&self, lent: &Lent) -> bool {
        let new = owner(lent);
        // Who forgets at each start is another each time; but whose records are on a disk comes back as it was.
        let passing = || self.store.vault.owner().is_none_or(|ours| !ours.lasting) && !new.lasting;
        let written = match self.store.vault.hear(new) {
            Err(VaultError::Foreign) if lent.recovers || self.store.adopts || passing() => {
                self.store.vault.adopt(new)
            }
            heard => heard,
        };
        match written {
            Ok(()) => true,
            Err(VaultError::Foreign) => {
                let addr = self.addr();
                tracing::warn!(
                    "tracker {addr}: this store serves another tracker, and lends nothing to this one; `--adopt` makes it go over"
                );
                false
            }
            Err(error) => {
                tracing::warn!("tracker {}: {error}", self.addr());
                false
            }
        }
    }

    /// Tells of the versions that it was to remember.
    fn tell_records(&self) -> Result<(), Cut> {
        let mut all: BTreeMap<(String, u32), Published> = BTreeMap::new();
        for kept in self.store.vault.held() {
            let records = self.store.vault.records(kept.id, kept.kind);
            for published in records.as_deref().map(remember::read).unwrap_or_default() {
                all.insert((published.name.to_string(), published.version.number), published);
            }
        }
        let mut all: Vec<Published> = all.into_values().collect();
        loop {
            let rest = cut_off(&mut all, (MAX_RECORDS, PARTS_BYTES), |published| {
                published.name.len() + published.version.publisher.len() + FIXED_BYTES
            });
            let last = rest.is_empty();
            self.expect_ok(Records { published: List::new(all), last })?;
            if last {
                return Ok(());
            }
            all = rest;
        }
    }

    /// Tells of all that is kept.
    fn report(&self) -> Result<(), Cut> {
        self.tell(self.store.vault.held().iter().map(part_of).collect(), true)
    }

    fn tell(&self, mut parts: Vec<KeptPart>, all: bool) -> Result<(), Cut> {
        loop {
            let rest = cut_off(&mut parts, (MAX_KEPT, PARTS_BYTES), |part| {
                FIXED_BYTES + if let Bits::Map(map) = &part.have { map.len() } else { 0 }
            });
            let last = rest.is_empty();
            self.expect_ok(KeptMessage { parts: List::new(parts), last: all && last })?;
            if last {
                return Ok(());
            }
            parts = rest;
        }
    }

    /// Tells what changes, for as long as the tracker knows this peer by the registration of this number.
    fn tell_news(&self, met: u64) {
        let link = &self.link;
        let mut told = self.store.lend();
        let same = || link.line.registered(met, Duration::ZERO) == met && !link.is_to_meet();
        while !self.is_over() && same() {
            let news = link.take();
            let is_quiet = news.is_empty();
            if !is_quiet && self.tell_of(news).is_err() {
                return;
            }
            // Room comes and goes also without news: of what is still sent when it is given up, and by others on the disk.
            let now = self.store.lend();
            if now == told && is_quiet {
                link.wait(LOOK);
            }
            if now != told && self.ask(now.clone()).is_err() {
                return;
            }
            told = now;
        }
    }

    fn tell_of(&self, News { changed, declined }: News) -> Result<(), Cut> {
        let part = |(content, chunks): (Content, u32)| {
            let (id, view) = content;
            let kind = kind_of(view);
            let none = || Kept { id, kind, chunks: ChunkSet::empty(chunks) };
            part_of(&self.store.vault.of(id, kind).unwrap_or_else(none))
        };
        if !changed.is_empty() {
            self.tell(changed.into_iter().map(part).collect(), false)?;
        }
        declined.into_iter().try_for_each(|decline| self.expect_ok(decline))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Mutex;

    use super::super::vault::{LEAST_QUOTA_BYTES, Vault};
    use super::*;
    use crate::peer::config::Lending;
    use crate::peer::job::alone;
    use crate::peer::trackers::Line;
    use crate::threads::lock;
    use crate::wire::{Authority, Message};

    /// The store of which the vault is there.
    fn store(folder: &Path, adopts: bool) -> Arc<Store> {
        let lending = Lending {
            bytes: LEAST_QUOTA_BYTES,
            zone: String::new(),
            machine: String::new(),
            adopts,
            scrub: Duration::from_secs(3600),
            repair_rate: None,
        };
        let vault = Vault::open(&folder.join("vault"), lending.bytes).unwrap();
        Arc::new(Store::new(vault, &Arc::new(alone()), &lending))
    }

    fn lent(authority: u128, term: u128) -> Lent {
        let (authority, term) = (Authority(authority), Term(term));
        Lent { authority, term, lasting: true, recovers: false, report: false, records: false }
    }

    /// A reporter to a tracker that gives these answers, one after the other, and then is gone; and what it was told.
    fn reporter(
        store: &Arc<Store>,
        answers: impl IntoIterator<Item = FromTracker>,
    ) -> (Reporter, Arc<Mutex<Vec<&'static str>>>) {
        let told = Arc::new(Mutex::new(Vec::new()));
        let (noted, mut answers) = (told.clone(), answers.into_iter().collect::<Vec<_>>().into_iter());
        let line = Line::answered(move |question| {
            lock(&noted).push(question.label());
            answers.next()
        });
        (Reporter { store: store.clone(), link: Arc::new(Link::new(line)) }, told)
    }

    /// What comes of a meeting, and what the tracker was told.
    fn meets(store: &Arc<Store>, answers: impl IntoIterator<Item = FromTracker>) -> (String, String) {
        let (reporter, told) = reporter(store, answers);
        let met = match reporter.meet() {
            Ok(Met::In(term)) => format!("in term {}", term.0),
            Ok(Met::TooEarly) => "too early".to_owned(),
            Ok(Met::Foreign) => "foreign".to_owned(),
            Err(Cut) => "cut".to_owned(),
        };
        reporter.link.line.end();
        let told = lock(&told).join(" ");
        (met, told)
    }

    fn met(met: &str, told: &str) -> (String, String) {
        (met.to_owned(), told.to_owned())
    }

    fn twice(lent: Lent) -> [FromTracker; 2] {
        [lent.clone().into(), lent.into()]
    }

    #[test]
    fn a_store_serves_who_gives_duties_and_says_so_once_that_is_written_down() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path(), false);
        assert_eq!(meets(&store, twice(lent(1, 5))), met("in term 5", "LEND LEND"));
        assert_eq!(meets(&store, [lent(1, 5).into()]), met("in term 5", "LEND"), "it is written down");
        assert_eq!(meets(&store, twice(lent(1, 6))), met("in term 6", "LEND LEND"));
        assert_eq!(meets(&store, [lent(1, 5).into()]), met("too early", "LEND"), "it has not heard of 6");
        let changes = [lent(1, 7).into(), lent(1, 8).into()];
        assert_eq!(meets(&store, changes), met("too early", "LEND LEND"));
        drop(store);
        let store = self::store(folder.path(), false);
        assert_eq!(meets(&store, [lent(1, 8).into()]), met("in term 8", "LEND"), "after a start, too");
    }

    #[test]
    fn a_store_goes_over_to_another_tracker_only_where_that_or_its_owner_says_so() {
        let serving = |adopts: bool| {
            let folder = tempfile::tempdir().unwrap();
            let store = store(folder.path(), adopts);
            assert_eq!(meets(&store, twice(lent(1, 5))).0, "in term 5");
            (folder, store)
        };
        let (_folder, store) = serving(false);
        assert_eq!(meets(&store, twice(lent(2, 9))), met("foreign", "LEND"));
        let forgets = Lent { lasting: false, ..lent(2, 9) };
        assert_eq!(
            meets(&store, twice(forgets.clone())).0,
            "foreign",
            "whose records are on a disk comes back"
        );
        assert_eq!(meets(&store, [lent(1, 5).into()]).0, "in term 5", "it serves whom it served");
        let recovers = Lent { recovers: true, ..lent(2, 9) };
        assert_eq!(meets(&store, twice(recovers)).0, "in term 9");
        let (_folder, store) = serving(true);
        assert_eq!(meets(&store, twice(lent(2, 9))).0, "in term 9");
        // One that forgets at each start is another then, and is followed by its like, but by no other.
        let folder = tempfile::tempdir().unwrap();
        let store = self::store(folder.path(), false);
        assert_eq!(meets(&store, twice(forgets)).0, "in term 9");
        assert_eq!(meets(&store, twice(Lent { lasting: false, ..lent(3, 1) })).0, "in term 1");
        assert_eq!(meets(&store, twice(lent(4, 1))).0, "foreign");
    }

    #[test]
    fn a_tracker_that_gives_no_duties_now_is_told_from_one_that_gives_none() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path(), false);
        let error = |code| FromTracker::from(Common::error(code, "no"));
        for (answer, outcome) in [
            (Some(error(ErrorCode::NoQuorum)), "too early"),
            (Some(error(ErrorCode::NotAllowed)), "foreign"),
            (Some(Common::Pong.into()), "foreign"),
            (None, "cut"),
        ] {
            assert_eq!(meets(&store, answer.clone()), met(outcome, "LEND"), "{answer:?}");
        }
        assert_eq!(store.vault.owner(), None);
    }

    #[test]
    fn what_is_remembered_and_kept_is_told_to_who_asks_until_the_end_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path(), false);
        let asks = Lent { records: true, ..lent(1, 5) };
        let answers = twice(asks).into_iter().chain([Common::Ok.into()]);
        assert_eq!(meets(&store, answers), met("in term 5", "LEND LEND RECORDS"));
        let (reporter, told) = reporter(&store, [Common::Ok.into(), Common::Pong.into()]);
        assert!(reporter.report().is_ok() && reporter.report().is_ok(), "what is said to it is not its end");
        assert!(reporter.report().is_err(), "it is gone");
        assert_eq!(*lock(&told), ["KEPT", "KEPT", "KEPT"]);
    }

    #[test]
    fn who_does_not_know_the_store_any_more_is_met_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path(), false);
        let (reporter, _) =
            reporter(&store, [Common::error(ErrorCode::NotRegistered, "who is that?").into()]);
        reporter.link.set_term(Some(Term(5)));
        assert!(reporter.report().is_err());
        assert_eq!((reporter.link.is_to_meet(), reporter.link.term()), (true, None));
        reporter.link.changed((crate::content::FileId([1; 32]), crate::wire::View::Bytes), 1);
        assert!(reporter.link.take().is_empty(), "it is told all of it then");
    }
}
