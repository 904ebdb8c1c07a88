//! Which source is asked, in virtual time: the production scheduler of many fetchers against servers with
//! a rate, a distance and a background load. A failure prints its seed; `P2P_SEED=n` runs that one alone.

mod world;

use std::time::Duration;

use world::{CHUNK, Server, World};

fn seeds(count: u64) -> std::ops::RangeInclusive<u64> {
    match std::env::var("P2P_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => seed..=seed,
        None => 1..=count,
    }
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// The largest share of the chunks that one server sent.
fn largest_share(world: &World) -> f64 {
    let sent = || world.servers.iter().map(|server| server.sent);
    f64::from(sent().max().unwrap_or(0)) / f64::from(sent().sum::<u32>().max(1))
}

#[test]
fn a_chunk_comes_from_where_it_is_soonest() {
    let (mut ours, mut best, mut worst) = (0.0, 0.0, 0.0_f64);
    for seed in seeds(300) {
        let mut rng = fastrand::Rng::with_seed(seed);
        let holders = rng.usize(1..=16);
        let servers = (0..holders).map(|_| Server::new(5e5, rng.u32(..5))).collect();
        let mut world = World::new(servers, seed);
        let distances: Vec<_> = (0..holders).map(|_| ms(rng.u64(20..1000))).collect();
        world.add(1, &distances, Duration::ZERO);
        let costs = world.servers.iter().zip(&distances).map(|(server, distance)| {
            let service = CHUNK as f64 * f64::from(server.background + 1) / server.rate;
            2.0 * distance.as_secs_f64() + service
        });
        let oracle = costs.fold(f64::INFINITY, f64::min);
        world.run();
        let took = world.fetchers[0].took().as_secs_f64();
        assert!(took <= oracle * 1.3, "seed {seed}: {took:.3} s, and {oracle:.3} s would do");
        worst = worst.max(took / oracle);
        ours += took;
        best += oracle;
    }
    assert!(ours <= best * 1.15, "all together {:.3} times the best, at worst {worst:.3}", ours / best);
    println!("all together {:.3} times the best, at worst {worst:.3}", ours / best);
}

#[test]
fn many_that_start_together_do_not_all_ask_the_same() {
    for seed in seeds(10) {
        let mut rng = fastrand::Rng::with_seed(seed);
        let servers = (0..8).map(|_| Server::new(1e6, 0)).collect();
        let mut world = World::new(servers, seed);
        for _ in 0..32 {
            let distances: Vec<_> = (0..8).map(|_| ms(50) + Duration::from_micros(rng.u64(..500))).collect();
            world.add(1, &distances, Duration::from_micros(rng.u64(..2000)));
        }
        world.run();
        let share = largest_share(&world);
        assert!(share <= 0.25, "seed {seed}: one of 8 sent {share:.2} of all");
        // 32 chunks at 8 servers, if they were spread evenly, and two ways.
        let even = 4.0 * CHUNK as f64 / 1e6 + 0.1;
        let last = world.last().as_secs_f64();
        assert!(last <= even * 1.7, "seed {seed}: {last:.3} s for the last, {even:.3} s if spread evenly");
    }
}

#[test]
fn the_nearest_is_not_overrun_by_many_that_start_together() {
    for seed in seeds(10) {
        let mut rng = fastrand::Rng::with_seed(seed);
        let servers = (0..8).map(|_| Server::new(1e6, 0)).collect();
        let mut world = World::new(servers, seed);
        for _ in 0..32 {
            let far = || ms(100);
            let distances: Vec<_> = (0..8).map(|nth| if nth == 0 { ms(20) } else { far() }).collect();
            world.add(1, &distances, Duration::from_micros(rng.u64(..2000)));
        }
        world.run();
        let share = largest_share(&world);
        assert!(share <= 0.45, "seed {seed}: the nearest of 8 sent {share:.2} of all");
        let asked = world.asked as f64 / 32.0;
        assert!(asked <= 3.2, "seed {seed}: {asked:.1} requests for a chunk");
        let last = world.last().as_secs_f64();
        assert!(last <= 0.9, "seed {seed}: {last:.3} s for the last");
    }
}

#[test]
fn long_transfers_settle_instead_of_running_back_and_forth() {
    for seed in seeds(5) {
        let mut rng = fastrand::Rng::with_seed(seed);
        let servers = (0..4).map(|_| Server::new(4e6, 0)).collect();
        let mut world = World::new(servers, seed);
        for _ in 0..8 {
            let distances: Vec<_> = (0..4).map(|_| ms(rng.u64(5..60))).collect();
            world.add(256, &distances, ms(rng.u64(..20)));
        }
        world.run();
        let chunks = 8.0 * 256.0;
        let (asked, sent) = (f64::from(world.asked) / chunks, f64::from(world.sent()) / chunks);
        assert!(sent <= 1.01, "seed {seed}: {sent:.3} times as many chunks were sent as wanted");
        assert!(asked <= 1.1, "seed {seed}: {asked:.3} requests for a chunk");
        let share = largest_share(&world);
        assert!(share <= 0.32, "seed {seed}: one of 4 sent {share:.2} of all");
        let even = chunks * CHUNK as f64 / 16e6;
        let last = world.last().as_secs_f64();
        assert!(last <= even * 1.15, "seed {seed}: {last:.3} s for the last, {even:.3} s at the least");
    }
}

#[test]
fn servers_that_promise_too_much_are_no_dead_end() {
    for seed in seeds(20) {
        let mut servers: Vec<_> = [3e4, 36e3, 24e3].map(|rate| Server::new(rate, 2)).into();
        servers.iter_mut().for_each(|server| server.says = 5e6);
        let mut world = World::new(servers, seed);
        world.add(3, &[ms(100), ms(130), ms(200)], Duration::ZERO);
        world.run();
        let took = world.last().as_secs_f64();
        // Each serves two others in turn: a chunk takes 6.6 s, and each has to send one.
        assert!(took <= 40.0, "seed {seed}: {took:.1} s");
    }
}
