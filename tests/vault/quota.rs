//! Random work in a vault that is nearly always full.

use p2p::peer::lend::vault::LEAST_QUOTA_BYTES;

use super::world::{Model, World, open, room, seed};

/// Does so many things, with a new start now and then; how many were refused.
fn work(ops: u32) -> u32 {
    let place = tempfile::tempdir().expect("a temporary folder");
    let path = place.path().join("vault");
    // Not enough for all there is.
    let quota = LEAST_QUOTA_BYTES;
    let (world, mut rng) = (World::new(), fastrand::Rng::with_seed(seed()));
    let mut vault = open(&path, quota);
    let (mut model, mut refused) = (Model::new(), 0);
    for number in 0..ops {
        let op = world.op(&model, &mut rng);
        match world.apply(&vault, &op) {
            Ok(()) => model = world.after(&model, &op),
            Err(error) => {
                assert!(error.is_no_space(), "{op:?}: {error}");
                refused += 1;
            }
        }
        let (slabs, all) = room(&path);
        assert!(vault.space().used <= quota, "{:?} after {op:?}", vault.space());
        assert!(all <= vault.space().used, "the disk has given {all}, and {:?} is counted", vault.space());
        world.expect_slots(slabs, &model);
        if number % 16 == 0 {
            assert_eq!(world.kept(&vault), model);
        }
        if rng.u8(..20) == 0 {
            drop(vault);
            vault = open(&path, quota);
            assert_eq!(world.kept(&vault), model);
        }
    }
    refused
}

#[test]
fn whatever_is_done_no_more_is_taken_than_is_lent() {
    assert!(work(150) > 0, "it was full at times");
}

#[test]
#[ignore = "many minutes: the long run"]
fn whatever_is_done_ten_thousand_times_no_more_is_taken_than_is_lent() {
    println!("{} of 10000 refused", work(10_000));
}
