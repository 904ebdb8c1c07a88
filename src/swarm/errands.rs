//! What a transfer does beside asking for chunks, and when: it dials neighbours and closes those whose places others
//! take, tells the trackers what came, asks them who else has it, exchanges a neighbour that is of no use, and sees
//! when it has been alone for too long. Pure.
//!
//! One value a transfer. Whoever drives it first gives the scheduler its time, then calls [`Errands::turn`] and carries
//! out what that returns, one after the other; some of it needs what only the driver knows, and is answered by another
//! verb here. [`Errands::company`] comes last.

use std::time::{Duration, Instant};

use super::neighbours::Neighbours;
use super::patience::Patience;
use super::round::Round;
use super::scheduler::SourceId;
use crate::content::{ChunkSet, PeerId, Run, runs};

/// Longest pause between two questions to the trackers, when all is well.
pub(crate) const REFRESH: Duration = Duration::from_secs(15);
/// How often chunks gained are told to the trackers.
const ANNOUNCE_INTERVAL: Duration = Duration::from_secs(1);
/// How often a neighbour that has nothing useful is exchanged, if there are others.
const USELESS_FOR: Duration = Duration::from_secs(5);
/// Being without a source for so long is no passing thing any more.
const ALONE_AFTER: Duration = Duration::from_millis(500);
/// Most holders that a tracker is asked to name.
const MAX_NAMED: usize = 64;

/// What comes round from time to time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Timer {
    Announce,
    Locate,
    Exchange,
}

/// Something to be done now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Errand {
    /// Connect to a peer; it counts as connected until [`Neighbours::ended`].
    Dial(PeerId, String),
    /// Close the connection [`last_of`] those to a peer.
    Close(PeerId),
    /// Tell the trackers what [`Errands::gained`] says.
    Announce,
    /// Ask the trackers for [`holders_wanted`].
    Locate,
    /// Close the source that [`Errands::useless`] names, if it does.
    Exchange,
}

/// Whether anybody is there who has what is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Company {
    /// Nobody, and not only for a moment.
    pub(crate) alone: bool,
    /// Nobody for as long as is to be waited.
    pub(crate) over: bool,
}

/// The errands of one transfer.
#[derive(Debug)]
pub(crate) struct Errands {
    /// Most neighbours.
    degree: usize,
    /// In the order in which they are seen to.
    timers: [(Timer, Round); 3],
    /// Chunks of which the trackers know.
    announced: ChunkSet,
    alone_since: Option<Instant>,
    /// Bytes that had been proved at the last look.
    arrived: u64,
}

impl Errands {
    /// Of a transfer of so many chunks that begins now.
    pub(crate) fn new(degree: usize, refresh: Duration, chunks: u32, now: Instant) -> Errands {
        Errands {
            degree,
            timers: [
                (Timer::Announce, Round::every(ANNOUNCE_INTERVAL, now)),
                // At once: peers that start together have all registered by now, and find each other.
                (Timer::Locate, Round::locating(refresh, now)),
                (Timer::Exchange, Round::every(USELESS_FOR, now)),
            ],
            announced: ChunkSet::empty(chunks),
            alone_since: None,
            arrived: 0,
        }
    }

    /// What is to be done now, in this order.
    #[must_use]
    pub(crate) fn turn(&mut self, neighbours: &mut Neighbours, now: Instant) -> Vec<Errand> {
        let dials = neighbours.dial(now).into_iter().map(|(peer, addr)| Errand::Dial(peer, addr));
        let mut out: Vec<Errand> = dials.collect();
        out.extend(neighbours.to_close().into_iter().map(Errand::Close));
        for (timer, round) in &mut self.timers {
            if round.is_due(now) {
                out.push(match timer {
                    Timer::Announce => Errand::Announce,
                    Timer::Locate => Errand::Locate,
                    Timer::Exchange => Errand::Exchange,
                });
            }
        }
        out
    }

    /// What the trackers do not know yet of the chunks that are here; from now on they do.
    #[must_use]
    pub(crate) fn gained(&mut self, had: &ChunkSet) -> Vec<Run> {
        let gained = runs::of(had.iter().filter(|chunk| !self.announced.contains(*chunk)));
        if !gained.is_empty() {
            self.announced = had.clone();
        }
        gained
    }

    /// The source whose place another should have, if all places are taken and there are others to try: each source
    /// comes with how many of the chunks that are missing it has.
    pub(crate) fn useless(
        &self,
        sources: impl IntoIterator<Item = (SourceId, u32)>,
        neighbours: &Neighbours,
        now: Instant,
    ) -> Option<SourceId> {
        let sources: Vec<_> = sources.into_iter().collect();
        let replaceable = sources.len() >= self.degree && neighbours.spare(now) > 0;
        let useless = sources.into_iter().find(|(_, useful)| *useful == 0);
        useless.filter(|_| replaceable).map(|(source, _)| source)
    }

    /// Takes in whether a source has what is missing, and how many bytes are proved by now.
    pub(crate) fn company(
        &mut self,
        patience: &mut Patience,
        helped: bool,
        arrived: u64,
        now: Instant,
    ) -> Company {
        let came = std::mem::replace(&mut self.arrived, arrived) != arrived;
        let over = patience.is_over(helped, came, now);
        if helped {
            self.alone_since = None;
            return Company { alone: false, over };
        }
        let since = *self.alone_since.get_or_insert(now);
        Company { alone: now.saturating_duration_since(since) >= ALONE_AFTER, over }
    }
}

/// Holders that a tracker is asked to name: more than there are places, so that some can be exchanged.
pub(crate) fn holders_wanted(degree: usize) -> usize {
    (degree * 2).min(MAX_NAMED)
}

/// Of several connections to a peer the last one: the same one however often it is to be closed.
pub(crate) fn last_of(
    connected: impl DoubleEndedIterator<Item = (SourceId, PeerId)>,
    peer: PeerId,
) -> Option<SourceId> {
    connected.rev().find(|(_, other)| *other == peer).map(|(source, _)| source)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Chunk;
    use crate::swarm::neighbours::Outcome;

    const SECOND: Duration = Duration::from_secs(1);

    fn peer(number: u8) -> PeerId {
        PeerId([number; 16])
    }

    fn errands(start: Instant) -> Errands {
        Errands::new(2, REFRESH, 10, start)
    }

    fn known(numbers: std::ops::Range<u8>) -> Neighbours {
        let mut neighbours = Neighbours::new(2, 1);
        numbers.for_each(|number| neighbours.met(peer(number), format!("h:{number}")));
        neighbours
    }

    #[test]
    fn each_errand_comes_in_its_time_and_order() {
        let start = Instant::now();
        let (mut errands, mut nobody) = (errands(start), known(0..0));
        let mut turn = |ms| errands.turn(&mut nobody, start + Duration::from_millis(ms));
        assert_eq!(turn(0), [Errand::Locate], "others may have come at the same time");
        assert_eq!(turn(249), []);
        assert_eq!(turn(250), [Errand::Locate]);
        assert_eq!(turn(1000), [Errand::Announce, Errand::Locate]);
        assert_eq!(turn(1999), []);
        assert_eq!(turn(2000), [Errand::Announce, Errand::Locate]);
        assert_eq!(turn(5000), [Errand::Announce, Errand::Locate, Errand::Exchange]);
        assert_eq!(turn(9999), [Errand::Announce, Errand::Locate]);
        assert_eq!(turn(10_000), [Errand::Exchange]);
    }

    #[test]
    fn the_trackers_are_asked_no_less_often_than_all_is_well() {
        let start = Instant::now();
        let (mut errands, mut nobody) = (errands(start), known(0..0));
        let mut asked = Vec::new();
        for second in 0..100 {
            if errands.turn(&mut nobody, start + second * SECOND).contains(&Errand::Locate) {
                asked.push(second);
            }
        }
        assert_eq!(asked, [0, 1, 2, 3, 5, 9, 17, 32, 47, 62, 77, 92]);
    }

    #[test]
    fn neighbours_are_dialled_and_those_whose_places_others_take_are_closed() {
        let start = Instant::now();
        let (mut errands, mut neighbours) = (errands(start), known(1..3));
        let mut dialled = errands.turn(&mut neighbours, start);
        assert_eq!(dialled.pop(), Some(Errand::Locate));
        dialled.sort_by_key(|errand| format!("{errand:?}"));
        assert_eq!(dialled, [Errand::Dial(peer(1), "h:1".into()), Errand::Dial(peer(2), "h:2".into())]);
        [1, 2].into_iter().for_each(|number| neighbours.opened(peer(number)));
        assert_eq!(errands.turn(&mut neighbours, start), []);
        // Sooner or later a newcomer gets the place of another.
        let came = (3..100).find(|number| {
            neighbours.met(peer(*number), format!("h:{number}"));
            let turn = errands.turn(&mut neighbours, start);
            let [Errand::Dial(newcomer, addr), Errand::Close(gone)] = &turn[..] else { return false };
            assert_eq!((newcomer, addr), (&peer(*number), &format!("h:{number}")));
            assert!([peer(1), peer(2)].contains(gone));
            assert_eq!(errands.turn(&mut neighbours, start), [Errand::Close(*gone)], "until it has ended");
            neighbours.ended(*gone, Outcome::Useless, start);
            assert_eq!(errands.turn(&mut neighbours, start), []);
            true
        });
        assert!(came.is_some());
    }

    #[test]
    fn the_trackers_hear_of_each_chunk_once() {
        let mut errands = errands(Instant::now());
        let mut had = ChunkSet::empty(10);
        assert_eq!(errands.gained(&had), []);
        for chunk in [1, 2, 5] {
            had.insert(Chunk(chunk));
        }
        assert_eq!(errands.gained(&had), [Run::new(Chunk(1), 2), Run::new(Chunk(5), 1)]);
        assert_eq!(errands.gained(&had), []);
        had.insert(Chunk(3));
        assert_eq!(errands.gained(&had), [Run::new(Chunk(3), 1)]);
        assert_eq!(
            errands.gained(&ChunkSet::full(10)),
            [Run::new(Chunk(0), 1), Run::new(Chunk(4), 1), Run::new(Chunk(6), 4)]
        );
    }

    #[test]
    fn a_useless_source_goes_only_if_there_is_no_place_left_and_somebody_for_it() {
        let now = Instant::now();
        let errands = errands(now);
        let (somebody, nobody) = (known(9..10), known(0..0));
        let source = |number, useful| (SourceId(number), useful);
        let useless = |sources: &[(SourceId, u32)], spare| errands.useless(sources.to_vec(), spare, now);
        let full = [source(1, 3), source(2, 0), source(3, 0)];
        assert_eq!(useless(&full, &somebody), Some(SourceId(2)));
        assert_eq!(useless(&full[..2], &somebody), Some(SourceId(2)));
        assert_eq!(useless(&full[1..2], &somebody), None, "there is a place left");
        assert_eq!(useless(&full, &nobody), None, "there is nobody to try");
        assert_eq!(useless(&[source(1, 3), source(2, 1)], &somebody), None, "all are of use");
    }

    #[test]
    fn who_is_without_a_source_for_more_than_a_moment_is_alone() {
        let start = Instant::now();
        let mut errands = errands(start);
        let mut patience = Patience::new(Some(2 * SECOND), Duration::ZERO, start);
        let mut company = |helped, arrived, ms| {
            let now = start + Duration::from_millis(ms);
            let Company { alone, over } = errands.company(&mut patience, helped, arrived, now);
            (alone, over)
        };
        assert_eq!(company(false, 0, 0), (false, false));
        assert_eq!(company(false, 0, 499), (false, false));
        assert_eq!(company(false, 0, 500), (true, false));
        assert_eq!(company(true, 0, 600), (false, false));
        assert_eq!(company(false, 0, 700), (false, false));
        assert_eq!(company(false, 0, 1199), (false, false), "it counts from then");
        assert_eq!(company(false, 7, 1500), (true, false), "something came");
        assert_eq!(company(false, 7, 3499), (true, false));
        assert_eq!(company(false, 7, 3500), (true, true));
        assert_eq!(company(true, 7, 3500), (false, false), "not while somebody is there");
    }

    #[test]
    fn of_several_connections_to_one_peer_the_last_is_closed() {
        let connected = [(SourceId(1), peer(1)), (SourceId(4), peer(2)), (SourceId(7), peer(1))];
        let last = |number| last_of(connected.into_iter(), peer(number));
        assert_eq!((last(1), last(2), last(3)), (Some(SourceId(7)), Some(SourceId(4)), None));
    }

    #[test]
    fn trackers_name_twice_as_many_as_there_are_places_within_bounds() {
        assert_eq!([1, 16, 32, 33, 1000].map(holders_wanted), [2, 32, 64, 64, 64]);
    }
}
