//! The checker of histories, checked: it finds what must not be, and nothing else.

use super::history::History;
use super::linear::{self, Object, Operation, Verdict};
use super::names::{Answer, Call, Name, Versions};

/// An operation from one time to another.
fn from(begun: u64, call: Call, end: u64, answer: Answer) -> Operation<Call, Answer> {
    Operation { call, begun, ended: Some((answer, end)) }
}

/// An operation of which nobody heard again.
fn unheard(begun: u64, call: Call) -> Operation<Call, Answer> {
    Operation { call, begun, ended: None }
}

fn publish(content: u64) -> Call {
    Call::Publish { content, expect: 0 }
}

fn is(number: u32) -> Answer {
    Answer::Published { number, fresh: true }
}

fn there_are(versions: &[(u32, u64)]) -> Answer {
    Answer::Versions(versions.to_vec())
}

fn can_be(history: &[Operation<Call, Answer>]) -> bool {
    match linear::check::<Name>(history, 100_000) {
        Verdict::Linearizable => true,
        Verdict::Impossible(_) => false,
        Verdict::Undecided => panic!("{history:?} is not decided"),
    }
}

#[test]
fn one_after_the_other_is_as_the_name_says() {
    assert!(can_be(&[]));
    assert!(can_be(&[
        from(0, Call::List, 1, Answer::NotFound),
        from(2, publish(7), 3, is(1)),
        from(4, publish(7), 5, Answer::Published { number: 1, fresh: false }),
        from(6, publish(8), 7, is(2)),
        from(8, Call::Publish { content: 9, expect: 1 }, 9, Answer::Conflict { latest: 2 }),
        from(10, Call::Remove { number: 1 }, 11, Answer::Removed(1)),
        from(12, Call::List, 13, there_are(&[(2, 8)])),
        from(14, Call::Remove { number: 0 }, 15, Answer::Removed(1)),
        from(16, Call::Latest, 17, Answer::NotFound),
        from(18, publish(7), 19, is(1)),
    ]));
}

#[test]
fn what_overlaps_has_any_order() {
    let both = |second: Answer| {
        can_be(&[
            from(0, publish(7), 10, is(2)),
            from(1, publish(8), 9, is(1)),
            from(11, Call::Latest, 12, second),
        ])
    };
    assert!(both(there_are(&[(2, 7)])));
    assert!(!both(there_are(&[(1, 8)])), "though the other one began last");
}

#[test]
fn a_stale_read_is_found() {
    assert!(!can_be(&[
        from(0, publish(7), 1, is(1)),
        from(2, publish(8), 3, is(2)),
        from(4, Call::Latest, 5, there_are(&[(1, 7)])),
    ]));
    // Nobody acknowledged the second version, but somebody has seen it.
    let seen_before = |second: Answer| {
        can_be(&[
            from(0, publish(7), 1, is(1)),
            unheard(2, publish(8)),
            from(4, Call::Latest, 5, there_are(&[(2, 8)])),
            from(6, Call::Latest, 7, second),
        ])
    };
    assert!(seen_before(there_are(&[(2, 8)])));
    assert!(!seen_before(there_are(&[(1, 7)])));
}

#[test]
fn a_lost_write_is_found() {
    assert!(!can_be(&[from(0, publish(7), 1, is(1)), from(2, Call::List, 3, Answer::NotFound)]));
    assert!(
        !can_be(&[from(0, publish(7), 1, is(1)), from(2, publish(8), 3, is(1))]),
        "its number is given again"
    );
    assert!(!can_be(&[
        from(0, publish(7), 1, is(1)),
        from(2, Call::Remove { number: 1 }, 3, Answer::Removed(1)),
        from(4, Call::List, 5, there_are(&[(1, 7)])),
    ]));
}

#[test]
fn a_write_that_is_carried_out_twice_is_found() {
    let then = |versions: &[(u32, u64)]| {
        can_be(&[
            from(0, publish(7), 3, is(1)),
            from(4, publish(8), 7, is(2)),
            from(8, Call::List, 9, there_are(versions)),
        ])
    };
    assert!(then(&[(1, 7), (2, 8)]));
    assert!(!then(&[(1, 7), (2, 8), (3, 7)]));
    // Nor may what nobody heard of happen twice.
    let unheard = |versions: &[(u32, u64)]| {
        can_be(&[
            unheard(0, publish(7)),
            from(4, publish(8), 7, is(2)),
            from(8, Call::List, 9, there_are(versions)),
        ])
    };
    assert!(unheard(&[(1, 7), (2, 8)]));
    assert!(!unheard(&[(1, 7), (2, 8), (3, 7)]));
}

#[test]
fn what_nobody_heard_of_may_happen_late_or_never_but_not_before_it_was_asked() {
    let seen = |from_when: u64, versions: Answer| {
        can_be(&[
            from(0, publish(7), 1, is(1)),
            unheard(from_when, Call::Remove { number: 0 }),
            from(2, Call::List, 3, versions),
            from(1000, Call::List, 1001, Answer::NotFound),
        ])
    };
    assert!(seen(1, there_are(&[(1, 7)])) && seen(1, Answer::NotFound));
    assert!(!seen(4, Answer::NotFound), "it was asked afterwards");
    assert!(can_be(&[from(0, publish(7), 1, is(1)), unheard(2, publish(8)), from(3, publish(9), 4, is(2))]));
}

#[test]
fn the_history_that_fails_says_how_far_it_went() {
    let history = [from(0, publish(7), 1, is(1)), from(2, Call::List, 3, Answer::NotFound)];
    assert_eq!(linear::check::<Name>(&history, 100), Verdict::Impossible(vec![0]));
    assert_eq!(linear::check::<Name>(&history, 1), Verdict::Undecided);
}

#[test]
#[should_panic = "what happened to b has no order"]
fn each_name_is_an_object_of_its_own() {
    let history = History::new();
    for name in ["a", "b"] {
        let begun = history.begin(name, publish(7));
        history.end(begun, is(1));
    }
    let _ = history.begin("a", publish(8)); // nobody hears of it
    assert_eq!(history.counts(), (3, 2));
    history.check();
    let begun = history.begin("b", Call::Latest);
    history.end(begun, Answer::NotFound);
    history.check();
}

/// Every order there is, tried one after the other.
fn by_trying(history: &[Operation<Call, Answer>], state: &Versions, left: &mut Vec<usize>) -> bool {
    if left.iter().all(|at| history[*at].ended.is_none()) {
        return true;
    }
    for place in 0..left.len() {
        let at = left.remove(place);
        let before =
            |other: &usize| matches!(&history[*other].ended, Some((_, end)) if *end < history[at].begun);
        let answer = history[at].ended.as_ref().map(|(answer, _)| answer);
        let next = Name::step(state, &history[at].call, answer).filter(|_| !left.iter().any(before));
        let found = next.is_some_and(|state| by_trying(history, &state, left));
        left.insert(place, at);
        if found {
            return true;
        }
    }
    false
}

#[test]
fn random_histories_are_judged_as_by_trying_every_order() {
    let mut rng = fastrand::Rng::with_seed(1);
    let mut verdicts = [0, 0];
    for _ in 0..20_000 {
        let history = random(&mut rng);
        let tried = by_trying(&history, &Versions::default(), &mut (0..history.len()).collect());
        assert_eq!(can_be(&history), tried, "{history:?}");
        verdicts[usize::from(tried)] += 1;
    }
    assert!(verdicts.iter().all(|count| *count > 2000), "{verdicts:?}");
}

/// Up to six operations with the answers that they had in one order, of which one may be told falsely, or not at all.
fn random(rng: &mut fastrand::Rng) -> Vec<Operation<Call, Answer>> {
    let mut state = Versions::default();
    let mut history: Vec<Operation<Call, Answer>> = Vec::new();
    for at in 0..rng.u64(1..=6) {
        let call = match rng.u8(..5) {
            0 | 1 => Call::Publish {
                content: rng.u64(..3),
                expect: if rng.u8(..4) == 0 { rng.u32(..3) } else { 0 },
            },
            2 => Call::Remove { number: rng.u32(..3) },
            3 => Call::Latest,
            _ => Call::List,
        };
        let answer = state.carry_out(&call);
        // It took effect at 10 × at, and was on its way for a while before and after.
        let times = ((10 * at).saturating_sub(rng.u64(..25)), 10 * at + rng.u64(..25));
        history.push(from(times.0, call, times.1, answer));
    }
    for operation in &mut history {
        match rng.u8(..8) {
            0 => operation.ended = None,
            1 => operation.ended = operation.ended.take().map(|(answer, end)| (falsely(rng, answer), end)),
            _ => {}
        }
    }
    rng.shuffle(&mut history);
    history
}

/// What might have been said instead.
fn falsely(rng: &mut fastrand::Rng, answer: Answer) -> Answer {
    match answer {
        Answer::Published { number, fresh } => {
            Answer::Published { number: number + rng.u32(..2), fresh: !fresh }
        }
        Answer::Conflict { latest } => Answer::Conflict { latest: latest + 1 },
        Answer::Removed(count) => Answer::Removed(count + 1),
        Answer::NotFound => Answer::Removed(1),
        Answer::Versions(mut list) => {
            list.pop();
            if list.is_empty() { Answer::NotFound } else { Answer::Versions(list) }
        }
    }
}
