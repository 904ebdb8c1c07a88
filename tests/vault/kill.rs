//! A process with a vault that is killed at random points and started again, over and over.
//!
//! The process is this test once more: it works until its end, and says what it begins and what is done.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::world::{Model, World, open, room, seed};

const QUOTA: u64 = 32 << 20;
/// Where the vault is, and the seed of the work: by these the test knows that it is the process to be killed.
const WHERE: &str = "P2P_TEST_VAULT";
const SEED: &str = "P2P_TEST_VAULT_SEED";
const TEST: &str = "kill::killed_at_20_points_nothing_acknowledged_is_lost";

/// Works until it is killed.
fn work(path: &Path, seed: u64) -> ! {
    let world = World::new();
    let vault = open(path, QUOTA);
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut model = world.kept(&vault);
    let mut out = std::io::stdout();
    let mut say = |what: &str| writeln!(out, "{what}").and_then(|()| out.flush()).expect("somebody listens");
    loop {
        let op = world.op(&model, &mut rng);
        say("begun");
        world.apply(&vault, &op).expect("there is room");
        model = world.after(&model, &op);
        say("done");
    }
}

fn start(path: &Path, seed: u64) -> Child {
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    command.args([TEST, "--exact", "--nocapture"]).env(WHERE, path).env(SEED, seed.to_string());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("this test once more")
}

/// Kills it after so many lines and a moment; how many things were begun and done.
fn kill(mut child: Child, lines: u32, moment: Duration) -> (u32, u32) {
    let mut said = BufReader::new(child.stdout.take().expect("its output")).lines();
    let count = |line: std::io::Result<String>, (begun, done): (u32, u32)| match line.as_deref() {
        Ok("begun") => (begun + 1, done),
        Ok("done") => (begun, done + 1),
        _ => (begun, done), // what the test harness says
    };
    let mut counts = (0, 0);
    while counts.0 + counts.1 < lines {
        let line = said.next().expect("it works until it is killed");
        counts = count(line, counts);
    }
    std::thread::sleep(moment);
    child.kill().expect("it can be killed");
    let counts = said.fold(counts, |counts, line| count(line, counts));
    child.wait().expect("it has ended");
    counts
}

fn kills(times: u32) {
    let place = tempfile::tempdir().expect("a temporary folder");
    let path = place.path().join("vault");
    let (world, mut rng) = (World::new(), fastrand::Rng::with_seed(seed()));
    let (mut model, mut all) = (Model::new(), 0);
    for _ in 0..times {
        let seed = rng.u64(..);
        let child = start(&path, seed);
        let (begun, done) = kill(child, rng.u32(1..30), Duration::from_micros(rng.u64(..8_000)));
        assert!(begun == done || begun == done + 1, "{begun} begun and {done} done");
        let mut ops = fastrand::Rng::with_seed(seed);
        for _ in 0..done {
            let op = world.op(&model, &mut ops);
            model = world.after(&model, &op);
        }
        let next = world.op(&model, &mut ops);
        let after = if begun > done { world.after(&model, &next) } else { model.clone() };
        let vault = open(&path, QUOTA);
        let kept = world.kept(&vault);
        world.expect_between(&kept, &model, &after);
        let (slabs, of_all) = room(&path);
        assert!(of_all <= vault.space().used && vault.space().used <= QUOTA);
        world.expect_slots(slabs, &kept);
        model = kept;
        all += done;
    }
    println!("{times} kills in the middle of {all} changes");
}

#[test]
fn killed_at_20_points_nothing_acknowledged_is_lost() {
    match (std::env::var_os(WHERE), std::env::var(SEED)) {
        (Some(path), Ok(seed)) => work(Path::new(&path), seed.parse().expect("a number")),
        _ => kills(20),
    }
}

#[test]
#[ignore = "a few minutes: the long run"]
fn killed_at_a_thousand_points_nothing_acknowledged_is_lost() {
    kills(1000);
}
