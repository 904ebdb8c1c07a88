//! The planner as stores and uploaders meet it.

mod coded;
mod random;
mod size;
mod spread;
mod whole;
mod world;

use std::time::Duration;

use super::{NotTaken, Order, Progress, Shortage};
use crate::wire::{Authority, Bits, Label, Lend, Reluctance, Term};
use world::{World, file};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn an_upload_is_safe_when_two_stores_have_all_of_it_and_not_before() {
    let mut world = World::new(3);
    let promise = file(1, 100, 2);
    assert_eq!(world.store(1, promise), Progress::Storing { covered: 0, needed: 200 });
    let orders = world.orders();
    let kept: u32 = orders.iter().map(|(_, order)| world::chunks_of(order)).sum();
    assert_eq!(kept, 200, "each chunk goes to two stores: {orders:?}");
    let mut done = 0;
    for (store, order) in orders {
        assert_eq!(world.store(1, promise), Progress::Storing { covered: done, needed: 200 });
        done += world::chunks_of(&order);
        world.obey(store, &order);
        world.say(store, promise.content);
    }
    assert_eq!(world.store(1, promise), Progress::Safe);
}

#[test]
fn too_few_stores_and_too_little_room_are_said_before_anything_is_kept() {
    let mut world = World::new(1);
    let refused = world.store(1, file(1, 100, 2));
    assert_eq!(refused, Progress::Refused(Shortage::Stores { here: 1, needed: 2 }));
    let mut world = World::new(2);
    world.capacity(0, 1 << 20);
    let refused = world.store(1, file(1, 100, 2));
    assert!(matches!(refused, Progress::Refused(Shortage::Room { .. })), "{refused:?}");
    assert!(world.orders().is_empty());
}

#[test]
fn a_store_that_goes_is_replaced_at_once_while_somebody_waits() {
    let mut world = World::new(3);
    let promise = file(1, 16, 2);
    world.store(1, promise);
    let first = world.orders();
    let gone = first[0].0;
    world.goes(gone);
    let others = world.orders();
    assert!(others.iter().all(|(store, _)| *store != gone) && others.len() == 1, "{others:?}");
    for (store, order) in first.into_iter().skip(1).chain(others) {
        world.obey(store, &order);
        world.say(store, promise.content);
    }
    assert_eq!(world.store(1, promise), Progress::Safe);
}

#[test]
fn a_store_that_declines_is_passed_over_and_one_that_stalls() {
    let mut world = World::new(3);
    let promise = file(1, 16, 2);
    world.store(1, promise);
    let first = world.orders();
    world.decline(first[0].0, promise.content, Reluctance::NoSpace);
    let second = world.orders();
    assert_eq!(second.len(), 1);
    assert!(first.iter().all(|(store, _)| *store != second[0].0), "the third store");
    // Of the two that were told, one does nothing.
    world.obey(second[0].0, &second[0].1);
    world.say(second[0].0, promise.content);
    world.capacity(first[0].0, 100 << 30);
    for _ in 0..4 {
        world.passes(16 * SECOND);
        world.store(1, promise);
    }
    assert!(world.orders().iter().any(|(store, _)| *store == first[0].0), "the first may have room again");
}

/// True if another store is told to keep what one of `told` was.
fn another_is_told(orders: &[(usize, Order)], told: &[(usize, Order)]) -> bool {
    orders.iter().any(|(store, _)| told.iter().all(|(before, _)| before != store))
}

#[test]
fn what_a_slow_store_was_to_keep_goes_to_another_while_somebody_waits() {
    let mut world = World::new(3);
    let promise = file(1, 16, 2);
    world.store(1, promise);
    let told = world.orders();
    assert_eq!(told.len(), 2);
    world.obey(told[0].0, &told[0].1);
    world.say(told[0].0, promise.content);
    // The other asks for more, and makes nothing safe.
    world.passes(14 * SECOND);
    world.store(1, promise);
    assert!(world.orders().is_empty(), "it may just be slow");
    world.passes(2 * SECOND);
    world.store(1, promise);
    let others = world.orders();
    assert!(another_is_told(&others, &told), "{others:?}");
}

#[test]
fn what_a_frozen_store_was_to_keep_goes_to_another_soon_and_it_is_given_nothing_until_it_asks() {
    let mut world = World::new(3);
    let (first, second, third) = (file(1, 16, 2), file(2, 16, 2), file(3, 16, 3));
    world.store(1, first);
    let told = world.orders();
    for (store, order) in &told[1..] {
        world.obey(*store, order);
        world.say(*store, first.content);
    }
    let frozen = told[0].0;
    world.disks[frozen].frozen = true;
    world.passes(4 * SECOND);
    assert_eq!(world.told_to_others(frozen), 0, "not yet");
    world.passes(2 * SECOND);
    assert_eq!(world.told_to_others(frozen), 1, "it has not asked for more since it was told");
    world.store(2, second);
    assert_eq!(world.told_to_others(frozen), 2, "what comes now goes to others");
    world.disks[frozen].frozen = false;
    world.asks(frozen);
    world.store(3, third);
    assert_eq!(world.asks(frozen).len(), 1, "it asks again: it is given something");
}

#[test]
fn a_store_that_freezes_before_it_is_told_is_passed_over_too() {
    let mut world = World::new(3);
    let promise = file(1, 16, 2);
    world.disks[0].frozen = true;
    world.store(1, promise);
    let told = world.told_to_others(0);
    world.passes(6 * SECOND);
    assert_eq!(told + world.told_to_others(0), 2, "nobody answers the bell of the first");
}

#[test]
fn what_nothing_refers_to_is_given_up_after_the_grace_and_not_before() {
    let mut world = World::new(2);
    let promise = file(1, 16, 2);
    world.upload(1, promise);
    world.remove(promise.content);
    world.passes(world::GRACE - SECOND);
    assert_eq!(world.discards(), 0);
    world.passes(2 * SECOND);
    assert_eq!(world.discards(), 2);
    assert!(world.is_empty(promise.content));
}

#[test]
fn what_a_store_may_be_giving_up_does_not_count() {
    let mut world = World::new(2);
    let promise = file(1, 16, 2);
    world.upload(1, promise);
    world.remove(promise.content);
    world.passes(world::GRACE + SECOND);
    let orders = world.orders();
    assert!(orders.iter().all(|(_, order)| matches!(order, Order::Discard { chunks: Bits::All, .. })));
    (0..2).for_each(|store| world.say(store, promise.content)); // as it was before they obey
    assert_eq!(world.store(2, promise), Progress::Storing { covered: 0, needed: 32 });
}

#[test]
fn a_change_in_place_goes_to_the_stores_that_have_the_rest() {
    let mut world = World::new(9);
    let before = file(1, 1600, 2);
    world.upload(1, before);
    let held: Vec<_> = (0..9).map(|store| world.held(store, before.content)).collect();
    let after = file(2, 1600, 2);
    world.store_after(2, after, before.content);
    for (store, order) in world.orders() {
        assert!(matches!(order, Order::Look { .. }), "before anything is given: {order:?}");
        world.say(store, after.content);
    }
    for (store, order) in world.orders() {
        let Order::Keep { keep, .. } = order else { panic!("{order:?}") };
        assert_eq!(keep.to_set(1600), held[store].clone(), "store {store}");
    }
}

#[test]
fn what_is_too_large_for_as_many_stores_as_should_hold_it_goes_to_more() {
    const STORES: usize = 40;
    let mut world = World::new(STORES);
    let promise = file(1, 1600, 2);
    (0..STORES).for_each(|store| world.capacity(store, promise.size / 10));
    world.store(1, promise);
    world.passes(SECOND);
    let kept: u32 = world.orders().iter().map(|(_, order)| world::chunks_of(order)).sum();
    assert_eq!(kept, 3200);
}

#[test]
fn adding_a_store_moves_nothing_and_a_long_loss_is_repaired() {
    let mut world = World::new(3);
    let promise = file(1, 1600, 2);
    world.upload(1, promise);
    let added = world.add_store();
    world.passes(world::REPAIR_AFTER);
    assert!(world.orders().iter().all(|(_, order)| world::chunks_of(order) == 0));
    let lost = world.held(0, promise.content).map_or(0, |set| set.count());
    world.goes(0);
    world.passes(world::REPAIR_AFTER - 2 * SECOND);
    assert!(world.orders().is_empty(), "it may come back");
    assert_eq!(world.survives(), 0);
    world.passes(5 * SECOND);
    let orders = world.orders();
    assert!(orders.iter().any(|(store, _)| *store == added));
    for (store, order) in orders {
        world.obey(store, &order);
        world.say(store, promise.content);
    }
    assert_eq!(world.survives(), 1);
    assert!(lost > 0);
}

#[test]
fn where_nobody_gives_duties_yet_no_store_is_told_whom_it_serves() {
    let mut world = World::new(0);
    let lends = |world: &mut World| {
        let lend = Lend {
            capacity: 1,
            used: 0,
            zone: Label::default(),
            machine: Label::default(),
            authority: Authority::NONE,
            term: Term(0),
        };
        let lent = world.keeping.lend((world::peer(0), 1), &lend, Label::new("store"), world.now);
        lent.map(|lent| lent.authority)
    };
    world.keeping.begins(Authority::NONE, Term(0), false, world.now);
    assert_eq!(lends(&mut world), Err(NotTaken::NotMet));
    world.keeping.begins(Authority(7), Term(1), false, world.now);
    assert_eq!(lends(&mut world), Ok(Authority(7)));
}

#[test]
fn when_another_term_begins_what_a_store_said_counts_once_it_has_said_it_again() {
    let mut world = World::new(2);
    let promise = file(1, 16, 2);
    world.upload(1, promise);
    assert_eq!(world.store(2, promise), Progress::Safe);
    let (now, connection) = (world.now, world.disks[0].connection.unwrap());
    world.keeping.begins(Authority(7), Term(2), true, now);
    assert_eq!(world.keeping.term(), Term(2));
    assert!(matches!(world.store(3, promise), Progress::Storing { covered: 0, .. }));
    assert!(world.orders().is_empty(), "nobody has heard of the term");
    let late = world.keeping.kept((world::peer(0), connection), &[], true, now);
    assert_eq!(late, Err(NotTaken::NotLent), "what is said in the term before");
    assert_eq!(
        world.keeping.holders(promise.content, None).len(),
        2,
        "who fetches is told of them meanwhile"
    );
    (0..2).for_each(|store| world.comes(store));
    assert_eq!(world.store(3, promise), Progress::Safe);
    // The planner of a tracker that does not lead hears all of it, and mends nothing.
    world.keeping.begins(Authority(7), Term(3), false, now);
    (0..2).for_each(|store| world.comes(store));
    world.goes(1);
    world.passes(world::REPAIR_AFTER + 5 * SECOND);
    let added = world.add_store();
    world.passes(5 * SECOND);
    assert!(world.orders().iter().all(|(store, _)| *store != added), "the leader's planner does");
}
