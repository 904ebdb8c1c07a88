//! How what was lost becomes whole again, and what was copied needlessly goes; who can be taken away.

use std::time::Duration;

use super::world::{self, GRACE, REPAIR_AFTER, World, file};
use crate::content::Chunk;
use crate::tracker::keeping::{Order, Progress};
use crate::wire::{Bits, Reluctance};

const SECOND: Duration = Duration::from_secs(1);
/// Longer than everything must have been whole before anything that is too much is given up.
const CALM: Duration = Duration::from_secs(601);

/// Everybody does what is to be done, until nothing is; how many chunks were copied and given up.
fn works(world: &mut World) -> (u32, u32) {
    let mut done = (0, 0);
    loop {
        let orders = world.orders();
        if orders.iter().all(|(_, order)| matches!(order, Order::Remember(_))) {
            return done;
        }
        for (store, order) in orders {
            let (Order::Keep { content, .. } | Order::Discard { content, .. }) = order else { continue };
            let before = world.held(store, content).map_or(0, |held| held.count());
            world.obey(store, &order);
            let after = world.held(store, content).map_or(0, |held| held.count());
            done = (done.0 + after.saturating_sub(before), done.1 + before.saturating_sub(after));
            world.say(store, content);
        }
    }
}

fn count(world: &World, store: usize, content: crate::tracker::records::Content) -> u32 {
    world.held(store, content).map_or(0, |held| held.count())
}

/// A store goes, and what it held is copied once; how many chunks that were.
fn is_replaced(world: &mut World, store: usize, content: crate::tracker::records::Content) -> u32 {
    let lost = count(world, store, content);
    world.goes(store);
    world.passes(REPAIR_AFTER + SECOND);
    assert_eq!(works(world), (lost, 0));
    lost
}

#[test]
fn what_a_dead_store_held_is_copied_once_and_a_second_may_die() {
    let mut world = World::new(4);
    let promise = file(1, 1600, 2);
    world.upload(1, promise);
    world.passes(REPAIR_AFTER);
    for store in [0, 1] {
        is_replaced(&mut world, store, promise.content);
        assert_eq!(world.survives(), 1);
    }
}

#[test]
fn a_store_that_comes_back_moves_nothing_and_what_is_too_much_goes_when_all_is_calm() {
    let mut world = World::new(4);
    let promise = file(1, 1600, 2);
    world.upload(1, promise);
    world.passes(REPAIR_AFTER);
    let lost = count(&world, 0, promise.content);
    world.goes(0);
    world.passes(REPAIR_AFTER - SECOND);
    world.comes(0);
    assert_eq!(works(&mut world), (0, 0), "it was away for too short a time");
    assert_eq!(is_replaced(&mut world, 0, promise.content), lost);
    world.comes(0);
    world.passes(SECOND);
    assert_eq!(works(&mut world), (0, 0), "it has not been calm for long");
    world.passes(CALM);
    world.passes(SECOND);
    assert_eq!(works(&mut world), (0, lost));
    assert_eq!(world.survives(), 1);
}

#[test]
fn what_is_too_much_goes_although_somebody_uploads_all_the_time() {
    let mut world = World::new(4);
    let promise = file(1, 1600, 2);
    world.upload(1, promise);
    world.passes(REPAIR_AFTER);
    let lost = is_replaced(&mut world, 0, promise.content);
    world.comes(0);
    // Something is under way all the time, and twice a minute an upload ends.
    let mut given_up = 0;
    for upload in 2..40 {
        world.store(200, file(200, 20, 2));
        let ends = file(upload, 20, 2);
        while world.store(upload.into(), ends) != Progress::Safe {
            given_up += works(&mut world).1;
        }
        world.publish(upload.into(), ends);
        world.passes(SECOND * 30);
        given_up += works(&mut world).1;
    }
    assert_eq!(given_up, lost);
    assert_eq!(world.survives(), 1);
}

#[test]
fn what_is_not_missing_any_more_need_not_be_copied() {
    let mut world = World::new(4);
    let promise = file(1, 1600, 2);
    world.upload(1, promise);
    world.passes(REPAIR_AFTER);
    world.goes(0);
    world.passes(REPAIR_AFTER + SECOND);
    let told = world.orders();
    assert!(told.iter().any(|(_, order)| matches!(order, Order::Keep { urgent: false, .. })));
    world.comes(0);
    // Who was told to keep more hears that it is to keep what it has.
    for (store, order) in world.orders() {
        let Order::Keep { keep, .. } = order else { panic!("{order:?}") };
        let has = world.held(store, promise.content);
        assert_eq!(keep, has.as_ref().map_or(Bits::None, Bits::from));
    }
    assert_eq!(works(&mut world), (0, 0));
}

#[test]
fn what_has_fewest_copies_is_repaired_first() {
    let mut world = World::new(5);
    let copies = |id: u8| if id.is_multiple_of(2) { 3 } else { 2 };
    (0..20).for_each(|id| world.upload(id.into(), file(id, 16, copies(id))));
    world.passes(REPAIR_AFTER);
    world.goes(0);
    world.passes(REPAIR_AFTER + SECOND);
    let mut both = 0;
    for store in 0..5 {
        let left = |order: &Order| {
            let Order::Keep { content, .. } = order else { panic!("{order:?}") };
            (0..20).find(|id| file(*id, 16, 2).content == *content).map(copies)
        };
        let kept: Vec<Option<u8>> = world.asks(store).iter().map(left).collect();
        assert!(kept.is_sorted(), "of some there is one copy left, of others there are two: {kept:?}");
        both += usize::from(kept.first() != kept.last());
    }
    assert!(both > 0);
}

#[test]
fn a_store_that_leaves_is_needed_until_others_have_what_it_holds() {
    let mut world = World::new(3);
    let promise = file(1, 1600, 2);
    world.upload(1, promise);
    world.passes(REPAIR_AFTER);
    world.leaves(0, true);
    world.passes(6 * SECOND);
    assert!(!world.is_drained(0));
    let held = count(&world, 0, promise.content);
    assert_eq!(works(&mut world), (held, 0));
    world.passes(6 * SECOND);
    assert!(world.is_drained(0));
    world.passes(CALM);
    world.passes(SECOND);
    assert_eq!(works(&mut world), (0, 0), "what it holds is its own business");
    world.leaves(0, false);
    world.passes(SECOND);
    world.passes(CALM);
    world.passes(SECOND);
    assert_eq!(works(&mut world), (0, held), "it stays after all");
}

#[test]
fn a_store_may_go_though_an_upload_is_under_way_all_the_time() {
    let mut world = World::new(3);
    let (promise, coming) = (file(1, 160, 2), file(2, 16, 2));
    world.upload(1, promise);
    world.passes(REPAIR_AFTER);
    world.leaves(0, true);
    for _ in 0..12 {
        // Its uploader asks on, and stores say that nobody has it.
        world.store(2, coming);
        for (store, order) in world.orders() {
            if world::content_of(&order) == coming.content {
                world.decline(store, coming.content, Reluctance::NoSource);
            } else {
                world.obey(store, &order);
                world.say(store, promise.content);
            }
        }
        world.passes(SECOND);
    }
    assert!(world.is_drained(0));
}

#[test]
fn a_zone_that_appears_gets_a_copy_of_all() {
    let mut world = World::in_zones(&["here"; 3]);
    let promise = file(1, 160, 2);
    world.upload(1, promise);
    world.passes(REPAIR_AFTER);
    assert_eq!((world.health().machines, world.health().zones), (1, 0));
    let added = world.add_store_in("elsewhere");
    world.passes(16 * SECOND);
    assert_eq!(works(&mut world), (160, 0));
    assert_eq!(count(&world, added, promise.content), 160);
    world.passes(SECOND);
    world.passes(CALM);
    world.passes(SECOND);
    assert_eq!(works(&mut world), (0, 160), "of those in one zone");
    assert_eq!(count(&world, added, promise.content), 160);
    assert_eq!((world.health().machines, world.health().zones), (1, 1));
}

#[test]
fn a_store_that_does_not_say_its_zone_is_in_none_with_others() {
    let mut world = World::new(3);
    let promise = file(1, 160, 2);
    world.upload(1, promise);
    world.passes(REPAIR_AFTER);
    world.add_store_in("elsewhere");
    world.passes(16 * SECOND);
    assert_eq!(works(&mut world), (0, 0), "copies are on different machines, and nothing is known of zones");
    let health = world.health();
    assert_eq!((health.survives, health.machines, health.zones), (1, 1, 0), "and nothing is said of them");
}

#[test]
fn a_chunk_that_somebody_could_not_get_is_read_again() {
    let mut world = World::new(2);
    let promise = file(1, 16, 2);
    world.upload(1, promise);
    (0..2).for_each(|_| world.doubts(0, promise.content.0, Chunk(3)));
    let check = Order::Check { content: promise.content, chunk: Chunk(3) };
    assert_eq!(world.orders(), [(0, check)]);
    world.doubts(0, promise.content.0, Chunk(99));
    world.doubts(1, file(2, 16, 2).content.0, Chunk(0));
    assert!(world.orders().is_empty(), "it has heard of the one, and does not have the others");
    world.rots(0, promise.content, Chunk(3));
    world.passes(REPAIR_AFTER);
    assert_eq!(works(&mut world), (1, 0));
}

#[test]
fn ten_stores_share_alike_and_fill_alike_and_who_joins_moves_nothing() {
    for seed in 0..6 {
        let mut world = World::new(10);
        (0..6).for_each(|number| world.upload(number, file(seed * 6 + number as u8, 1600, 2)));
        let shares: Vec<u64> = (0..10).map(|store| world.used(store)).collect();
        let mean = shares.iter().sum::<u64>() as f64 / 10.0;
        let off = |share: &u64| (*share as f64 / mean - 1.0).abs();
        assert!(shares.iter().all(|share| off(share) <= 0.05), "{shares:?}");
        world.add_store();
        world.passes(REPAIR_AFTER + SECOND);
        assert_eq!(works(&mut world), (0, 0));
    }
    for seed in 0..6 {
        let mut world = World::new(4);
        let capacities = [1, 1, 2, 4].map(|share| (share * 80_u64) << 20);
        capacities.iter().enumerate().for_each(|(store, capacity)| world.capacity(store, *capacity));
        (0..3).for_each(|number| world.upload(number, file(100 + seed * 3 + number as u8, 1280, 2)));
        let fills: Vec<f64> =
            (0..4).map(|store| world.used(store) as f64 / capacities[store] as f64).collect();
        let mean = 3.0 * 2.0 * 80.0 / 640.0;
        assert!(fills.iter().all(|fill| (fill / mean - 1.0).abs() <= 0.05), "{fills:?}");
    }
}

#[test]
fn stores_that_are_too_full_pass_on_when_they_are_told_to() {
    let mut world = World::new(3);
    (0..3).for_each(|store| world.capacity(store, 400 << 20));
    (0..8).for_each(|number| world.upload(number.into(), file(number, 640, 2)));
    let added = world.add_store();
    world.capacity(added, 400 << 20);
    world.passes(REPAIR_AFTER + SECOND);
    assert_eq!(works(&mut world), (0, 0));
    world.rebalances();
    // A store that is away for a moment has all looked at again that it holds.
    world.goes(0);
    world.comes(0);
    let (copied, gone) = works(&mut world);
    assert!(copied > 0 && gone == 0, "first it is kept elsewhere, too: {copied}, {gone}");
    world.passes(SECOND);
    world.passes(CALM);
    world.passes(SECOND);
    assert_eq!(works(&mut world), (0, copied));
    let shares: Vec<u64> = (0..4).map(|store| world.used(store)).collect();
    let mean = shares.iter().sum::<u64>() / 4;
    assert!(shares.iter().all(|share| share.abs_diff(mean) < 40 << 20), "{shares:?} of 400 MiB each");
    assert_eq!(world.survives(), 1);
}

#[test]
fn what_is_uploaded_and_forgotten_by_its_uploader_goes_after_the_grace() {
    let mut world = World::new(3);
    let promise = file(1, 16, 2);
    world.store(1, promise);
    let (_, order) = world.orders().remove(0);
    let store = (0..3).find(|store| {
        world.obey(*store, &order);
        world.say(*store, promise.content);
        true
    });
    assert_eq!(count(&world, store.unwrap(), promise.content), 16);
    world.passes(GRACE);
    assert_eq!(world.discards(), 0, "it was asked for until a minute after");
    world.passes(GRACE);
    assert_eq!(world.discards(), 1);
    assert_eq!(world::chunks_of(&order), 16);
}
