//! What the connections of a transfer are told, and in which order.

use std::time::Duration;

use super::*;
use crate::content::{Geometry, Layout, Run};
use crate::wire::Refusal;

const ROUND_TRIP: Duration = Duration::from_millis(1);

fn sources(chunks: u32) -> Sources {
    let geometry = Geometry::of(u64::from(chunks) << 16).unwrap();
    let layout = Arc::new(Layout::new(vec![geometry]).unwrap());
    let (none, all) = (ChunkSet::empty(chunks), ChunkSet::full(chunks));
    Sources::new(Scheduler::new(layout, none, &all, 1 << 30, 1), Vec::new())
}

fn join(sources: &Sources, peer: u8, have: ChunkSet) -> Arc<SourceLink> {
    let who = Who { peer: PeerId([peer; 16]), name: String::new(), addr: String::new() };
    let wake = Arc::new(Wake::new().unwrap());
    let link = Arc::new(SourceLink::new(sources.number(), who, wake, have.is_full()));
    sources.join(link.clone(), Opened { have, load: None, round_trip: ROUND_TRIP, one: true }, false);
    link
}

#[test]
fn who_gained_more_is_known_at_once_even_if_nothing_follows_from_it() {
    let sources = sources(8);
    let link = join(&sources, 1, ChunkSet::of(8, &[0]));
    assert!(!sources.is_behind());
    let orders = link.take_orders();
    sources.step([Event::Gained(link.id, vec![Run::new(Chunk(0), 1)])], Some(link.id));
    assert!(!sources.is_behind(), "nothing new: {orders:?}");
    // All that it has is asked of it already: no effect but this.
    let other = join(&sources, 2, ChunkSet::of(8, &[]));
    sources.step([Event::Gained(other.id, vec![Run::new(Chunk(0), 1)])], Some(other.id));
    assert_eq!(other.take_orders(), [], "it is asked of the first");
    assert!(sources.is_behind());
}

#[test]
fn each_whole_source_hears_of_each_chunk_once_whenever_it_comes() {
    const CHUNKS: u32 = 256;
    let sources = sources(CHUNKS);
    let from = join(&sources, 1, ChunkSet::full(CHUNKS)).id;
    let links: Vec<Arc<SourceLink>> = std::thread::scope(|scope| {
        let coming =
            scope.spawn(|| (2..40).map(|peer| join(&sources, peer, ChunkSet::full(CHUNKS))).collect());
        for chunk in 0..CHUNKS {
            assert_eq!(sources.arrived(Chunk(chunk), from), chunk == CHUNKS - 1);
        }
        coming.join().unwrap()
    });
    for link in links {
        let orders = link.take_orders();
        let told = orders.into_iter().filter_map(|order| match order {
            Order::Tell(chunk) => Some(chunk),
            _ => None,
        });
        assert!(told.eq((0..CHUNKS).map(Chunk)));
    }
}

#[test]
fn only_the_first_whole_source_chooses_but_on_all_its_connections() {
    let sources = sources(64);
    let orders = |peer| join(&sources, peer, ChunkSet::full(64)).take_orders();
    assert_eq!(orders(1), [Order::AskAny]);
    assert_eq!(orders(1), [Order::AskAny], "the same, connected anew before the old connection has ended");
    assert!(orders(2).iter().all(|order| matches!(order, Order::Ask(_))));
}

#[test]
fn a_peer_fails_if_one_of_its_connections_does() {
    let sources = sources(64);
    let links = [1, 1, 2].map(|peer| join(&sources, peer, ChunkSet::full(64)));
    for chunk in 0..3 {
        sources.step([Event::Refused(links[1].id, Some(Chunk(chunk)), Refusal::NotHere)], None);
    }
    assert_eq!([1, 2, 3].map(|peer| sources.is_failed_by(PeerId([peer; 16]))), [true, false, false]);
    let _ = sources.leave(links[1].id);
    assert!(!sources.is_failed_by(PeerId([1; 16])));
}

#[test]
fn a_source_is_remembered_as_it_was_when_it_left_or_when_all_ended() {
    let sources = sources(2);
    let (left, stays) = (join(&sources, 1, ChunkSet::of(2, &[0])), join(&sources, 2, ChunkSet::of(2, &[1])));
    sources.step([Event::Progress(left.id, 7)], None);
    assert_eq!(sources.connected(), [(left.id, PeerId([1; 16])), (stays.id, PeerId([2; 16]))]);
    assert_eq!(sources.leave(left.id), Trust::Kept);
    sources.step([Event::Progress(stays.id, 9)], None);
    sources.remember();
    sources.step([Event::Progress(stays.id, 9)], None);
    sources.close_all();
    assert_eq!(stays.take_orders().last(), Some(&Order::Close));
    assert_eq!(
        join(&sources, 3, ChunkSet::of(2, &[])).take_orders(),
        [Order::Close],
        "who comes later is told, too"
    );
    let _ = sources.leave(stays.id);
    let known =
        sources.all().into_iter().map(|(who, view, here)| (who.peer.0[0], view.bytes, view.reason, here));
    let known: Vec<_> = known.collect();
    assert_eq!(known[0], (1, 7, Reason::Gone, false));
    assert_eq!((known[1].0, known[1].1, known[1].3), (2, 9, false), "as it was at the end");
    assert_eq!((known[2].0, known[2].3), (3, true));
    assert_eq!(known.len(), 3);
}

#[test]
fn who_sent_wrong_chunks_too_often_is_closed_and_not_trusted_when_it_leaves() {
    let sources = sources(1);
    let link = join(&sources, 1, ChunkSet::full(1));
    for _ in 0..MAX_CORRUPT {
        sources.step([Event::Corrupt(link.id, Chunk(0))], None);
    }
    assert!(link.take_orders().contains(&Order::Close));
    assert_eq!(sources.leave(link.id), Trust::Lost);
    assert!(sources.gave_only_wrong_bytes());
    assert_eq!(sources.all()[0].1.reason, Reason::Banned(MAX_CORRUPT));
    sources.wait_for_all();
}

#[test]
fn wrong_bytes_are_not_all_that_came_if_any_came_right_or_none_came() {
    let sources = sources(2);
    let (one, other) = (join(&sources, 1, ChunkSet::full(2)), join(&sources, 2, ChunkSet::full(2)));
    assert!(!sources.gave_only_wrong_bytes(), "nothing came");
    sources.step([Event::Corrupt(one.id, Chunk(0))], None);
    assert!(sources.gave_only_wrong_bytes());
    sources.arrived(Chunk(1), other.id);
    assert!(!sources.gave_only_wrong_bytes());
}
