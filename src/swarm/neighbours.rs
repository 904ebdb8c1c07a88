//! Whom a transfer is connected to: candidates, dials, back-off, and the exchange of useless ones. Pure.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::backoff::Backoff;
use crate::content::PeerId;

/// First and longest pause before a peer that failed is dialled again.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// Longest pause for a peer that does not have it now: what it has may have been touched, and be there again.
const LONGEST_ABSENCE: Duration = Duration::from_secs(2);
/// A peer that sent wrong bytes or broke the protocol is left alone this long.
const BAN: Duration = Duration::from_secs(300);
/// After the first dial, half of the places are kept for so long for those who come to us.
const KEPT_FREE: Duration = Duration::from_millis(100);
/// A place is kept for so long for who has been dialled and does not answer; then others are tried beside.
const PLACE_PATIENCE: Duration = Duration::from_secs(1);
/// Most candidates remembered.
const MAX_CANDIDATES: usize = 256;
/// Connections to the only peer known to have the content: one thread each side hashes and writes, so a
/// second one puts a second core to work.
const LONE_CONNECTIONS: u32 = 2;

/// How a connection to a neighbour ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The network or the other side's end; try again later.
    Failed,
    /// The other side does not have the content, though somebody said so.
    NotHere,
    /// It was closed because it was of no use now.
    Useless,
    /// It broke the protocol or sent wrong bytes.
    Banned,
}

#[derive(Debug)]
struct Candidate {
    addr: String,
    connections: u32,
    failures: Backoff,
    not_before: Option<Instant>,
    /// It asks us for the content, too.
    mutual: bool,
    /// A connection was made, and the content opened on it.
    works: bool,
    dialled: Option<Instant>,
    /// It was dialled long ago and does not answer.
    overdue: bool,
    /// It has everything.
    whole: bool,
    /// Another takes its place.
    closing: bool,
}

/// The neighbours of one transfer.
#[derive(Debug)]
pub(crate) struct Neighbours {
    candidates: BTreeMap<PeerId, Candidate>,
    max: usize,
    rng: fastrand::Rng,
    /// How many peers were ever heard of.
    known: usize,
    /// Newcomers that are to take another's place.
    newcomers: Vec<PeerId>,
    first_dial: Option<Instant>,
}

impl Neighbours {
    pub(crate) fn new(max: usize, seed: u64) -> Neighbours {
        Neighbours {
            candidates: BTreeMap::new(),
            max,
            rng: fastrand::Rng::with_seed(seed),
            known: 0,
            newcomers: Vec::new(),
            first_dial: None,
        }
    }

    /// Somebody has, or wants, the content.
    pub(crate) fn suggest(&mut self, peer: PeerId, addr: String) {
        self.learn(peer, addr, false);
    }

    /// Somebody asks us for the content, and so has or will have some of it.
    pub(crate) fn met(&mut self, peer: PeerId, addr: String) {
        self.learn(peer, addr, true);
    }

    /// A newcomer takes the place of another with the chance that makes every peer ever heard of as
    /// likely to be a neighbour as any other. Without that, those who come first know only each other.
    fn learn(&mut self, peer: PeerId, addr: String, mutual: bool) {
        if let Some(candidate) = self.candidates.get_mut(&peer) {
            candidate.addr = addr;
            candidate.mutual |= mutual;
            return;
        }
        if self.candidates.len() >= MAX_CANDIDATES {
            return;
        }
        let candidate = Candidate {
            addr,
            connections: 0,
            failures: Backoff::default(),
            not_before: None,
            mutual,
            works: false,
            dialled: None,
            overdue: false,
            whole: false,
            closing: false,
        };
        self.candidates.insert(peer, candidate);
        self.known += 1;
        if self.connections() >= self.max && self.rng.usize(..self.known) < self.max {
            self.newcomers.push(peer);
        }
    }

    /// True if the peer was named as one that has, or wants, the content.
    pub(crate) fn knows(&self, peer: PeerId) -> bool {
        self.candidates.contains_key(&peer)
    }

    /// Connections that exist or are being made, without those being closed and those long in the making.
    pub(crate) fn connections(&self) -> usize {
        let staying = self.candidates.values().filter(|candidate| !candidate.closing && !candidate.overdue);
        staying.map(|candidate| candidate.connections as usize).sum()
    }

    /// Peers that could be dialled now and are not connected.
    pub(crate) fn spare(&self, now: Instant) -> usize {
        self.candidates
            .values()
            .filter(|candidate| candidate.connections == 0 && ready(candidate, now))
            .count()
    }

    /// Where everybody known is dialled.
    pub(crate) fn addresses(&self) -> Vec<String> {
        self.candidates.values().map(|candidate| candidate.addr.clone()).collect()
    }

    /// Whom to dial now. Each is counted as connected until [`Neighbours::ended`].
    #[must_use]
    pub(crate) fn dial(&mut self, now: Instant) -> Vec<(PeerId, String)> {
        for candidate in self.candidates.values_mut() {
            let late =
                candidate.dialled.is_some_and(|at| now.saturating_duration_since(at) >= PLACE_PATIENCE);
            candidate.overdue = late && !candidate.works && candidate.connections > 0;
        }
        let lone = self.candidates.len() == 1;
        let mut chosen = self.choose_for_places(now);
        chosen.extend(self.exchange());
        let mut out = Vec::new();
        for peer in chosen {
            let Some(candidate) = self.candidates.get_mut(&peer) else { continue };
            let connections = if lone { LONE_CONNECTIONS } else { 1 };
            candidate.connections += connections;
            candidate.dialled = Some(now);
            out.extend((0..connections).map(|_| (peer, candidate.addr.clone())));
        }
        out
    }

    /// Peers for the free places: first those who ask us, because what each side gains then reaches
    /// the other. At first half of the places are kept for such.
    fn choose_for_places(&mut self, now: Instant) -> Vec<PeerId> {
        let room = self.max.saturating_sub(self.connections());
        let mut ready: Vec<PeerId> = self
            .candidates
            .iter()
            .filter(|(_, candidate)| candidate.connections == 0 && ready(candidate, now))
            .map(|(peer, _)| *peer)
            .collect();
        self.rng.shuffle(&mut ready);
        let (mut chosen, mut others): (Vec<_>, Vec<_>) =
            ready.into_iter().partition(|peer| self.candidates[peer].mutual);
        let settled = now.saturating_duration_since(*self.first_dial.get_or_insert(now)) >= KEPT_FREE;
        let most = if settled { self.max } else { self.max.div_ceil(2) };
        let own =
            |candidate: &&Candidate| candidate.connections > 0 && !candidate.mutual && !candidate.overdue;
        others.truncate(most.saturating_sub(self.candidates.values().filter(own).count()));
        chosen.append(&mut others);
        chosen.truncate(room);
        chosen
    }

    /// Newcomers that take another's place; the other's connection is to be closed.
    fn exchange(&mut self) -> Vec<PeerId> {
        let mut chosen = Vec::new();
        for peer in std::mem::take(&mut self.newcomers) {
            let idle = self.candidates.get(&peer).is_some_and(|candidate| candidate.connections == 0);
            if !idle || self.connections() + chosen.len() < self.max {
                continue; // it finds a free place, or has found one
            }
            // Whole ones stay: what leaves the seeder must reach many at once.
            let may_go = |candidate: &Candidate| candidate.works && !candidate.closing && !candidate.whole;
            let staying = self.candidates.iter().filter(|(_, candidate)| may_go(candidate));
            let victim = self.rng.choice(staying.map(|(peer, _)| *peer).collect::<Vec<_>>());
            if let Some(victim) = victim.and_then(|victim| self.candidates.get_mut(&victim)) {
                victim.closing = true;
                chosen.push(peer);
            }
        }
        chosen
    }

    /// Peers of whose connections one is to be closed, again and again until it has ended: another
    /// takes the place, or the peer is no longer the only one and needs no second connection.
    #[must_use]
    pub(crate) fn to_close(&self) -> Vec<PeerId> {
        let alone = self.candidates.len() <= 1;
        let surplus = |candidate: &Candidate| candidate.connections > 1 && !alone;
        let closing = self.candidates.iter().filter(|(_, c)| c.closing || surplus(c));
        closing.map(|(peer, _)| *peer).collect()
    }

    /// A connection that [`Neighbours::dial`] asked for has ended.
    pub(crate) fn ended(&mut self, peer: PeerId, outcome: Outcome, now: Instant) {
        let Some(candidate) = self.candidates.get_mut(&peer) else { return };
        candidate.connections = candidate.connections.saturating_sub(1);
        candidate.closing = false;
        candidate.works = candidate.connections > 0;
        let pause = match outcome {
            Outcome::Banned => BAN,
            Outcome::Useless => LONGEST_PAUSE,
            Outcome::Failed | Outcome::NotHere => {
                let longest = if outcome == Outcome::NotHere { LONGEST_ABSENCE } else { LONGEST_PAUSE };
                candidate.failures.next(FIRST_PAUSE, longest, &mut self.rng)
            }
        };
        candidate.not_before = Some(now + pause);
    }

    /// A peer has everything.
    pub(crate) fn is_whole(&mut self, peer: PeerId) {
        if let Some(candidate) = self.candidates.get_mut(&peer) {
            candidate.whole = true;
        }
    }

    /// The connection to a peer works: its failures are forgotten.
    pub(crate) fn works(&mut self, peer: PeerId) {
        if let Some(candidate) = self.candidates.get_mut(&peer) {
            candidate.failures = Backoff::default();
            candidate.works = true;
            candidate.overdue = false;
        }
    }
}

fn ready(candidate: &Candidate, now: Instant) -> bool {
    candidate.not_before.is_none_or(|at| now >= at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(number: u8) -> PeerId {
        PeerId([number; 16])
    }

    fn suggested(numbers: std::ops::RangeInclusive<u8>, max: usize) -> Neighbours {
        let mut neighbours = Neighbours::new(max, 1);
        numbers.for_each(|number| neighbours.suggest(peer(number), format!("h:{number}")));
        neighbours
    }

    #[test]
    fn dials_up_to_its_degree_and_backs_off() {
        let start = Instant::now();
        let mut neighbours = suggested(1..=3, 2);
        let mut first = neighbours.dial(start);
        assert_eq!(first.len(), 1, "half of the places are kept free");
        let now = start + KEPT_FREE;
        first.extend(neighbours.dial(now));
        assert_eq!(first.len(), 2);
        assert_eq!(neighbours.dial(now), []);
        neighbours.ended(first[0].0, Outcome::Failed, now);
        let second = neighbours.dial(now);
        assert_eq!(second.len(), 1);
        assert_ne!(second[0].0, first[0].0, "the one that failed waits");
        neighbours.ended(second[0].0, Outcome::Banned, now);
        let third = neighbours.dial(now + FIRST_PAUSE);
        assert_eq!(third.len(), 1);
        assert_eq!(third[0].0, first[0].0);
    }

    #[test]
    fn who_does_not_answer_keeps_no_place_for_long() {
        let start = Instant::now();
        let mut neighbours = suggested(1..=3, 1);
        let mute = neighbours.dial(start);
        assert_eq!(mute.len(), 1);
        assert_eq!(neighbours.dial(start + PLACE_PATIENCE / 2), []);
        let second = neighbours.dial(start + PLACE_PATIENCE);
        assert_eq!(second.len(), 1, "another is tried beside");
        neighbours.works(second[0].0);
        assert_eq!(neighbours.dial(start + PLACE_PATIENCE * 3), [], "who answers keeps the place");
    }

    #[test]
    fn who_asks_us_gets_a_place_that_was_kept_free() {
        let now = Instant::now();
        let mut neighbours = suggested(1..=4, 4);
        assert_eq!(neighbours.dial(now).len(), 2);
        neighbours.met(peer(9), "h:9".into());
        assert_eq!(neighbours.dial(now), [(peer(9), "h:9".into())]);
    }

    #[test]
    fn late_comers_are_neighbours_as_often_as_early_ones() {
        let now = Instant::now();
        let (mut early, mut late) = (0, 0);
        for seed in 0..200 {
            let mut neighbours = Neighbours::new(4, seed);
            let mut connected: Vec<PeerId> = Vec::new();
            for number in 1..=16 {
                neighbours.met(peer(number), String::new());
                for (dialled, _) in neighbours.dial(now) {
                    neighbours.works(dialled);
                    connected.push(dialled);
                }
                for closed in neighbours.to_close() {
                    neighbours.ended(closed, Outcome::Useless, now);
                    let at = connected.iter().position(|other| *other == closed).unwrap();
                    connected.remove(at);
                }
            }
            assert_eq!((connected.len(), neighbours.connections()), (4, 4));
            early += connected.iter().filter(|other| other.0[0] <= 8).count();
            late += connected.iter().filter(|other| other.0[0] > 8).count();
        }
        assert!((350..450).contains(&early) && (350..450).contains(&late), "{early} early, {late} late");
    }

    #[test]
    fn the_only_holder_gets_two_connections() {
        let mut neighbours = Neighbours::new(8, 1);
        neighbours.suggest(peer(1), "h:1".into());
        assert_eq!(neighbours.dial(Instant::now()).len(), 2);
        assert_eq!(neighbours.to_close(), []);
        neighbours.suggest(peer(2), "h:2".into());
        assert_eq!(neighbours.to_close(), [peer(1)], "one is enough when there are others");
        neighbours.ended(peer(1), Outcome::Useless, Instant::now());
        assert_eq!(neighbours.to_close(), []);
    }

    #[test]
    fn a_peer_that_is_named_again_is_known_once_and_by_its_new_address() {
        let now = Instant::now();
        let mut neighbours = Neighbours::new(4, 1);
        assert!(!neighbours.knows(peer(1)));
        neighbours.suggest(peer(1), "old:1".into());
        neighbours.suggest(peer(2), "h:2".into());
        neighbours.suggest(peer(1), "h:1".into());
        assert!(neighbours.knows(peer(1)) && !neighbours.knows(peer(3)));
        assert_eq!(neighbours.spare(now), 2);
        let mut dialled = neighbours.dial(now);
        dialled.sort();
        assert_eq!(dialled, [(peer(1), "h:1".into()), (peer(2), "h:2".into())]);
        assert_eq!((neighbours.spare(now), neighbours.connections()), (0, 2));
    }

    #[test]
    fn only_so_many_are_remembered() {
        let mut neighbours = Neighbours::new(4, 1);
        let id = |number: u16| {
            PeerId([[number.to_be_bytes()[0]; 8], [number.to_be_bytes()[1]; 8]].concat().try_into().unwrap())
        };
        (0..300).for_each(|number| neighbours.suggest(id(number), String::new()));
        assert!(neighbours.knows(id(255)) && !neighbours.knows(id(256)));
        assert_eq!(neighbours.spare(Instant::now()), MAX_CANDIDATES);
    }

    #[test]
    fn each_end_has_its_pause() {
        let now = Instant::now();
        let ms = Duration::from_millis;
        for seed in 0..50 {
            let mut neighbours = Neighbours::new(4, seed);
            neighbours.suggest(peer(1), String::new());
            let mut pause = |outcome, after: Option<&str>, least: u64, most: u64| {
                if after == Some("it worked") {
                    neighbours.works(peer(1));
                }
                neighbours.ended(peer(1), outcome, now);
                assert_eq!(neighbours.spare(now + ms(least) - ms(1)), 0, "{outcome:?} {least}");
                assert_eq!(neighbours.spare(now + ms(most)), 1, "{outcome:?} {most}");
            };
            for most in [200, 400, 800, 1600, 3200, 6400, 12_800, 15_000, 15_000] {
                pause(Outcome::Failed, None, most / 2, most);
            }
            pause(Outcome::NotHere, None, 1000, 2000);
            pause(Outcome::Failed, Some("it worked"), 100, 200);
            pause(Outcome::NotHere, None, 200, 400);
            pause(Outcome::Useless, None, 15_000, 15_000);
            pause(Outcome::Banned, None, 300_000, 300_000);
        }
    }

    #[test]
    fn half_of_the_places_are_kept_for_those_who_ask_us_at_first() {
        let start = Instant::now();
        let mut neighbours = suggested(1..=9, 5);
        assert_eq!(neighbours.dial(start).len(), 3);
        assert_eq!(neighbours.dial(start + KEPT_FREE - Duration::from_millis(1)), []);
        assert_eq!(neighbours.dial(start + KEPT_FREE).len(), 2);
        assert_eq!(neighbours.dial(start + KEPT_FREE), []);
        // Who asks us takes none of the others' half, whether it was named before or not.
        let mut neighbours = suggested(1..=1, 4);
        neighbours.met(peer(1), "h:1".into());
        neighbours.met(peer(2), "h:2".into());
        assert_eq!(neighbours.dial(start).len(), 2);
        (3..=9).for_each(|number| neighbours.suggest(peer(number), String::new()));
        assert_eq!(neighbours.dial(start).len(), 2);
        assert_eq!(neighbours.dial(start + KEPT_FREE), [], "all places are taken");
    }

    /// Whether any of many newcomers gets the place of the only neighbour.
    fn gives_way(prepare: impl Fn(&mut Neighbours)) -> bool {
        let now = Instant::now();
        let mut neighbours = suggested(1..=1, 1);
        neighbours.suggest(peer(2), String::new());
        neighbours.ended(peer(2), Outcome::Banned, now);
        assert_eq!(neighbours.dial(now).len(), 1);
        prepare(&mut neighbours);
        (3..200).any(|number| {
            neighbours.suggest(peer(number), String::new());
            let dialled = neighbours.dial(now);
            assert_eq!(dialled.len(), neighbours.to_close().len());
            !dialled.is_empty()
        })
    }

    #[test]
    fn a_neighbour_that_works_and_lacks_something_gives_way_to_newcomers() {
        assert!(gives_way(|neighbours| neighbours.works(peer(1))));
        assert!(!gives_way(|_| {}), "nobody knows yet what it is good for");
        let whole = |neighbours: &mut Neighbours| {
            neighbours.works(peer(1));
            neighbours.is_whole(peer(1));
        };
        assert!(!gives_way(whole), "what leaves the seeder must reach many");
    }

    #[test]
    fn each_place_goes_to_one_newcomer_at_a_time() {
        let now = Instant::now();
        let mut neighbours = suggested(1..=1, 1);
        neighbours.suggest(peer(2), String::new());
        neighbours.ended(peer(2), Outcome::Banned, now);
        assert_eq!(neighbours.dial(now).len(), 1);
        neighbours.works(peer(1));
        (3..200).for_each(|number| neighbours.suggest(peer(number), String::new()));
        assert_eq!(neighbours.dial(now).len(), 1, "of many newcomers");
        assert_eq!(neighbours.to_close(), [peer(1)]);
        assert_eq!(neighbours.connections(), 1, "the one that goes is not counted");
        neighbours.ended(peer(1), Outcome::Useless, now);
        assert_eq!((neighbours.to_close().len(), neighbours.connections()), (0, 1));
    }

    #[test]
    fn a_newcomer_that_finds_a_place_takes_nobody_elses() {
        let now = Instant::now();
        let mut neighbours = suggested(1..=2, 2);
        let dialled = [neighbours.dial(now), neighbours.dial(now + KEPT_FREE)].concat();
        assert_eq!(dialled.len(), 2);
        [1, 2].into_iter().for_each(|number| neighbours.works(peer(number)));
        (3..200).for_each(|number| neighbours.suggest(peer(number), String::new()));
        neighbours.ended(peer(1), Outcome::Failed, now + KEPT_FREE);
        let dialled = neighbours.dial(now + KEPT_FREE);
        assert!((1..=2).contains(&dialled.len()), "{dialled:?}");
        assert_eq!(neighbours.connections(), 2);
    }

    #[test]
    fn one_of_two_connections_may_end_and_the_other_works_on() {
        let start = Instant::now();
        let mut neighbours = suggested(1..=1, 1);
        assert_eq!(neighbours.dial(start).len(), 2);
        neighbours.works(peer(1));
        neighbours.ended(peer(1), Outcome::Failed, start);
        assert_eq!(neighbours.connections(), 1);
        neighbours.suggest(peer(2), String::new());
        assert_eq!(neighbours.dial(start + PLACE_PATIENCE), [], "it is not one that does not answer");
        neighbours.ended(peer(1), Outcome::Failed, start);
        assert_eq!(neighbours.dial(start + PLACE_PATIENCE).len(), 1);
    }
}
