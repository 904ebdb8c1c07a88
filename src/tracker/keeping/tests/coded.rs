//! What is kept as shards of a code.

use std::time::Duration;

use super::world::{REPAIR_AFTER, World, coded, coded_folder, content_of, file};
use crate::content::Chunk;
use crate::tracker::keeping::{Order, Progress, Shortage};
use crate::tracker::records::{Content, Promise};
use crate::wire::{ClientId, Side, View};

fn parity_of(promise: &Promise) -> Content {
    (promise.code.unwrap().with, View::Bytes)
}

/// How many chunks of the two contents each store holds.
fn held(world: &World, promise: &Promise) -> Vec<(u32, u32)> {
    let count = |store, content| world.held(store, content).map_or(0, |held| held.count());
    (0..world.disks.len())
        .map(|store| (count(store, promise.content), count(store, parity_of(promise))))
        .collect()
}

/// True if any `k` of the shards of each group are on the stores that are left without these.
fn survives_without(world: &World, promise: &Promise, gone: &[usize]) -> bool {
    let stripes = promise.code.unwrap().stripes(promise.size, promise.chunks).unwrap();
    (0..stripes.groups()).all(|group| {
        let shards: Vec<_> = stripes.shards(group).collect();
        let zeros = stripes.shape().shards() as usize - shards.len();
        let here = shards.iter().filter(|shard| {
            let content = if stripes.is_parity(**shard) { parity_of(promise) } else { promise.content };
            let has = |store| {
                world
                    .held(store, content)
                    .is_some_and(|held| stripes.chunks(**shard).all(|chunk| held.contains(Chunk(chunk))))
            };
            (0..world.disks.len()).any(|store| !gone.contains(&store) && has(store))
        });
        here.count() + zeros >= stripes.shape().k() as usize
    })
}

fn any_two_may_be_lost(world: &World, promise: &Promise) -> bool {
    let all = 0..world.disks.len();
    all.clone().all(|one| all.clone().all(|other| survives_without(world, promise, &[one, other])))
}

/// Stores do what they are told until nothing is left; what they were told to keep.
fn works(world: &mut World) -> Vec<(usize, Order)> {
    let mut kept = Vec::new();
    loop {
        let orders = world.orders();
        if orders.is_empty() {
            return kept;
        }
        for (store, order) in orders {
            world.obey(store, &order);
            world.say(store, content_of(&order));
            kept.extend(matches!(order, Order::Keep { .. }).then_some((store, order)));
        }
    }
}

#[test]
fn each_shard_is_kept_once_and_any_two_of_six_stores_may_be_lost() {
    for chunks in [4, 5, 16, 40, 64, 65, 200] {
        let (mut world, promise) = (World::new(6), coded(1, chunks, 4, 2));
        world.upload(1, promise);
        let stripes = promise.code.unwrap().stripes(promise.size, promise.chunks).unwrap();
        let all = held(&world, &promise).into_iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        assert_eq!(all, (chunks, stripes.parity().chunks()), "{chunks} chunks: once, all of it");
        assert!(any_two_may_be_lost(&world, &promise), "{chunks} chunks");
        assert_eq!(world.survives(), 2);
    }
}

#[test]
fn a_folder_is_kept_as_shards_and_what_a_dead_store_had_of_it_others_make_again() {
    let (mut world, promise) = (World::new(7), coded_folder(1, 200, 4, 2));
    world.upload(1, promise);
    assert_eq!(world.health().bytes, promise.total);
    let all = held(&world, &promise).into_iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    assert_eq!(all, (200, promise.of_parity().unwrap().chunks));
    assert_eq!((world.survives(), any_two_may_be_lost(&world, &promise)), (2, true));
    world.goes(2);
    world.passes(REPAIR_AFTER);
    let told = works(&mut world);
    let codes = told.iter().filter_map(|(_, order)| match order {
        Order::Keep { content, code, .. } => Some((*content, code.unwrap().other())),
        _ => None,
    });
    let (data, parity) = (promise.content, parity_of(&promise));
    assert!(codes.into_iter().all(|pair| pair == (data, parity) || pair == (parity, data)));
    assert_eq!(world.survives(), 2);
    world.disks[2].held.clear();
    assert!(any_two_may_be_lost(&world, &promise));
}

#[test]
fn stores_are_told_of_which_code_it_is() {
    let (mut world, promise) = (World::new(3), coded(1, 40, 2, 1));
    assert!(matches!(world.store(1, promise), Progress::Storing { covered: 0, needed: 72 }));
    let orders = world.orders();
    assert!(orders.len() >= 4, "of both contents to all: {}", orders.len());
    for (_, order) in orders {
        let Order::Keep { content, code, .. } = order else { panic!("{order:?}") };
        let code = code.unwrap();
        assert_eq!(code.of == Side::Data, content == promise.content);
        assert_eq!(
            code.with,
            if content == promise.content { parity_of(&promise).0 } else { promise.content.0 }
        );
    }
}

#[test]
fn where_there_are_fewer_stores_than_shards_it_is_refused_or_doubled_if_that_will_do() {
    let (mut world, promise) = (World::new(5), coded(1, 40, 4, 2));
    world.passes(Duration::from_secs(10));
    assert_eq!(world.store(1, promise), Progress::Refused(Shortage::Shards { here: 5, k: 4, m: 2 }));
    let text = "a code of 4 + 2 needs 6 stores, and 5 are here";
    assert_eq!(Shortage::Shards { here: 5, k: 4, m: 2 }.to_string(), text);
    while world.store_degraded(2, promise) != Progress::Safe {
        let told = works(&mut world);
        assert!(!told.is_empty(), "{:?} {:?}", held(&world, &promise), world.store_degraded(2, promise));
    }
    world.publish(2, promise);
    works(&mut world);
    assert_eq!(world.survives(), 1);
    // One more store comes: the shard that shares a store goes there, too, and then is given up where it was.
    world.add_store();
    world.passes(REPAIR_AFTER);
    assert!(!works(&mut world).is_empty());
    assert_eq!(world.survives(), 2);
}

#[test]
fn what_a_dead_store_had_others_make_again() {
    let (mut world, promise) = (World::new(7), coded(1, 200, 4, 2));
    world.upload(1, promise);
    let before = held(&world, &promise)[2];
    assert!(before.0 > 0 && before.1 > 0);
    world.goes(2);
    world.passes(REPAIR_AFTER - Duration::from_secs(1));
    assert!(works(&mut world).is_empty(), "it may come back");
    assert_eq!(world.survives(), 1);
    world.passes(Duration::from_secs(2));
    assert!(!works(&mut world).is_empty());
    assert_eq!(world.survives(), 2);
    world.disks[2].held.clear();
    assert!(any_two_may_be_lost(&world, &promise));
}

#[test]
fn who_comes_back_has_it_and_what_is_too_much_is_given_up_later() {
    let (mut world, promise) = (World::new(7), coded(1, 200, 4, 2));
    world.upload(1, promise);
    let sum = |world: &World| held(world, &promise).iter().map(|one| one.0 + one.1).sum::<u32>();
    let before = sum(&world);
    world.goes(2);
    world.passes(REPAIR_AFTER);
    works(&mut world);
    assert!(sum(&world) > before);
    world.comes(2);
    for _ in 0..40 {
        world.passes(Duration::from_secs(200));
        works(&mut world);
    }
    assert_eq!((sum(&world), world.survives()), (before, 2));
    assert!(any_two_may_be_lost(&world, &promise));
}

#[test]
fn a_store_that_leaves_is_not_needed_once_others_have_its_shards() {
    let (mut world, promise) = (World::new(7), coded(1, 64, 4, 2));
    world.upload(1, promise);
    world.passes(REPAIR_AFTER);
    world.leaves(3, true);
    works(&mut world);
    world.passes(Duration::from_secs(6));
    assert!(world.is_drained(3));
    world.disks[3].held.clear();
    assert!(any_two_may_be_lost(&world, &promise));
}

/// The copies of what a code keeps, too, are taken off: each of its 40 chunks is there once in the end, and any two stores may be lost.
fn is_a_code_alone(world: &mut World, promise: &Promise) {
    world.promises.insert(promise.content, *promise);
    world.keeping.promise(promise.content, Some(promise), world.now);
    for _ in 0..40 {
        world.passes(Duration::from_secs(200));
        works(world);
    }
    assert_eq!(held(world, promise).iter().map(|one| one.0).sum::<u32>(), 40);
    assert!(any_two_may_be_lost(world, promise));
}

#[test]
fn what_is_asked_for_as_copies_too_is_kept_as_copies() {
    let (mut world, promise) = (World::new(6), coded(1, 40, 4, 2));
    world.upload(1, promise);
    // Another name wants two copies: the records say three, for two losses are to be survived.
    let copies = file(1, 40, 3);
    world.upload(2, copies);
    assert_eq!(held(&world, &promise).iter().map(|one| one.0).sum::<u32>(), 120);
    // It is taken off: the shards are there, and copies that are too many go.
    is_a_code_alone(&mut world, &promise);
}

#[test]
fn nobody_waits_for_the_parity_of_what_is_kept_as_copies() {
    let (mut world, promise) = (World::new(6), coded(1, 40, 4, 2));
    let parity = promise.of_parity().unwrap();
    world.upload(1, file(1, 40, 2));
    // Another name wants a code. Who uploads it leaves when there are as many copies as losses are to be survived, and one.
    while world.store(2, promise) != Progress::Safe {
        let of_data = |(_, order): &(usize, Order)| content_of(order) == promise.content;
        for (store, order) in world.orders().into_iter().filter(of_data) {
            world.obey(store, &order);
            world.say(store, promise.content);
        }
    }
    for promise in [file(1, 40, 3), parity] {
        world.promises.insert(promise.content, promise);
        world.keeping.promise(promise.content, Some(&promise), world.now);
    }
    world.keeping.stored((ClientId(1), 2), world.now);
    world.passes(Duration::from_secs(1));
    let health = world.health();
    assert_eq!((health.contents, health.survives, health.lost, health.repairing), (1, 2, 0, 0), "{health:?}");
    assert!(works(&mut world).is_empty());
    // The copies are taken off: the parity is made, of the data.
    is_a_code_alone(&mut world, &promise);
}

#[test]
fn without_a_name_both_are_given_up() {
    let (mut world, promise) = (World::new(6), coded(1, 16, 2, 2));
    world.upload(1, promise);
    world.remove(promise.content);
    world.passes(super::world::GRACE + Duration::from_secs(1));
    works(&mut world);
    assert!(world.is_empty(promise.content) && world.is_empty(parity_of(&promise)));
}
