//! What each verb does to the states of chunks.

use super::*;

const A: SourceId = SourceId(0);
const B: SourceId = SourceId(1);

fn set(chunks: &[u32]) -> ChunkSet {
    ChunkSet::of(4, chunks)
}

fn chunks() -> Chunks {
    Chunks::new(set(&[]), &ChunkSet::full(4))
}

#[test]
fn what_is_here_already_or_not_wanted_is_not_open() {
    let chunks = Chunks::new(set(&[1]), &set(&[0, 1]));
    assert_eq!((chunks.len(), chunks.left(), chunks.open()), (4, 1, 1));
    assert!(chunks.is_wanted(Chunk(0)) && !chunks.is_wanted(Chunk(1)) && !chunks.is_wanted(Chunk(2)));
    assert_eq!(chunks.had(), &set(&[1]));
    assert_eq!((chunks.useful(&set(&[0, 1, 2])), chunks.useful(&ChunkSet::full(4))), (1, 1));
    assert!(chunks.are_in(&set(&[0, 3])) && !chunks.are_in(&set(&[1, 3])));
    chunks.check();
}

#[test]
fn what_is_wanted_later_is_open_from_then_on_and_what_is_on_its_way_already_is_not() {
    let mut chunks = Chunks::new(set(&[1]), &set(&[0, 1]));
    chunks.offered(&set(&[0, 2]));
    chunks.ask(Chunk(0), A);
    chunks.want(&set(&[0, 1, 2]));
    assert_eq!(
        (chunks.left(), chunks.open(), chunks.rarest(&set(&[0, 2]), Chunk(0))),
        (2, 1, Some(Chunk(2)))
    );
    assert_eq!(chunks.arrived(Chunk(2)), []);
    chunks.want(&set(&[2, 3]));
    assert_eq!((chunks.left(), chunks.unavailable()), (2, vec![Run::new(Chunk(3), 1)]));
    chunks.check();
}

#[test]
fn a_chunk_is_open_again_when_the_last_who_owes_it_lets_go() {
    let mut chunks = chunks();
    chunks.ask(Chunk(2), A);
    chunks.ask(Chunk(2), B);
    assert_eq!((chunks.open(), chunks.owing(Chunk(2))), (3, [A, B].as_slice()));
    chunks.release(Chunk(2), A);
    assert_eq!((chunks.open(), chunks.owing(Chunk(2))), (3, [B].as_slice()));
    chunks.release(Chunk(2), A);
    chunks.release(Chunk(3), B);
    assert_eq!(chunks.open(), 3, "they owe nothing of it");
    chunks.release(Chunk(2), B);
    assert_eq!((chunks.open(), chunks.owing(Chunk(2)).len()), (4, 0));
    chunks.check();
}

#[test]
fn who_else_owes_what_was_chosen_or_arrived_is_told() {
    let mut chunks = chunks();
    chunks.ask(Chunk(1), A);
    assert_eq!(chunks.chosen(Chunk(1), B), [A]);
    chunks.count_move(Chunk(1));
    chunks.count_move(Chunk(1));
    assert_eq!((chunks.moved(Chunk(1)), chunks.moved(Chunk(0))), (2, 0));
    chunks.release(Chunk(1), B);
    assert_eq!(chunks.arrived(Chunk(1)), [A]);
    assert_eq!((chunks.left(), chunks.open(), chunks.moved(Chunk(1))), (3, 3, 0));
    assert_eq!(chunks.chosen(Chunk(1), B), [], "it is here, and not in flight");
    assert_eq!(chunks.owing(Chunk(1)), []);
    assert_eq!(chunks.arrived(Chunk(0)), [], "from who was not asked");
    assert_eq!((chunks.left(), chunks.open()), (2, 2));
    chunks.check();
}

#[test]
fn the_rarest_is_what_the_fewest_partial_sources_have() {
    let mut chunks = chunks();
    let all = ChunkSet::full(4);
    chunks.offered(&all);
    assert_eq!(chunks.unavailable(), [Run::new(Chunk(0), 4)], "whole ones do not count");
    chunks.offered(&set(&[0, 1, 2]));
    chunks.offered(&set(&[0, 1]));
    let rarest = |have: &ChunkSet, from| chunks.rarest(have, Chunk(from)).map(|chunk| chunk.0);
    assert_eq!((rarest(&all, 0), rarest(&set(&[0, 1, 2]), 0)), (Some(3), Some(2)));
    assert_eq!((rarest(&set(&[0, 1]), 1), rarest(&set(&[0, 1]), 2)), (Some(1), Some(0)));
    assert_eq!(chunks.unavailable(), [Run::new(Chunk(3), 1)]);
    chunks.withdrawn(&set(&[0, 1, 2]));
    chunks.withdrawn(&all);
    assert_eq!(chunks.unavailable(), [Run::new(Chunk(2), 2)]);
    chunks.gained(Chunk(2), &set(&[0, 1, 2]));
    assert_eq!(chunks.unavailable(), [Run::new(Chunk(3), 1)]);
    chunks.gained(Chunk(3), &all);
    assert_eq!(chunks.unavailable(), [Run::new(Chunk(0), 4)], "now it is whole");
    chunks.lost(Chunk(2), &all);
    assert_eq!(chunks.unavailable(), [Run::new(Chunk(2), 1)], "and now it is not");
    chunks.lost(Chunk(3), &set(&[0, 1, 3]));
    assert_eq!(chunks.unavailable(), [Run::new(Chunk(2), 2)]);
}

#[test]
fn it_is_nearly_done_when_all_is_asked_for_and_little_left() {
    let mut chunks = chunks();
    assert!(!chunks.are_nearly_done(9), "there are open ones");
    (0..4).map(Chunk).for_each(|chunk| chunks.ask(chunk, A));
    assert!(!chunks.are_nearly_done(3) && chunks.are_nearly_done(4));
    chunks.arrived(Chunk(0));
    assert!(chunks.are_nearly_done(3));
}

#[test]
#[should_panic(expected = "exactly one state")]
fn a_chunk_in_two_states_is_found_by_recounting() {
    let mut chunks = chunks();
    chunks.in_flight.insert(Chunk(1), vec![A]);
    chunks.check();
}
