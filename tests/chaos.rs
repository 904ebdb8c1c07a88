//! Stores under a storm: uploads, as copies and as shards of a code, downloads, removals, and stores, trackers and
//! uploaders that are killed, stopped and come back, disks that are wiped, stores that leave and are forgotten, from a seed,
//! with real processes; against a model of what was acknowledged.
//!
//! What is held: **every acknowledged version comes back byte-identical while at most one store is down** since all was
//! whole, numbers of versions count up, the same content again makes no version, what was removed stays removed, and
//! all becomes whole again.
//!
//! `P2P_CHAOS_SEED` chooses the storm, `P2P_CHAOS_SECONDS` how long it goes on (default: as long as it has its place
//! among other tests); `cargo test --test chaos -- --ignored --nocapture` goes on for hours from new seeds.

mod chaos {
    pub(crate) mod content;
    pub(crate) mod model;
    pub(crate) mod world;
}
mod support;

use std::time::{Duration, Instant};

use chaos::content::Content;
use chaos::model::Model;
use chaos::world::{STORES, World};
use fastrand::Rng;

/// How long the storm goes on among other tests.
const AMONG_OTHERS: Duration = Duration::from_secs(90);
/// How long by its own command.
const ALONE: Duration = Duration::from_secs(2 * 3600);

/// One storm: the world, what it has acknowledged, and what comes next.
struct Storm {
    rng: Rng,
    world: World,
    model: Model,
    /// What was done so far, for whoever looks for what went wrong.
    steps: usize,
}

impl Storm {
    fn new(seed: u64) -> Storm {
        eprintln!("P2P_CHAOS_SEED={seed}");
        Storm { rng: Rng::with_seed(seed), world: World::start(), model: Model::default(), steps: 0 }
    }

    fn say(&self, what: &str) {
        eprintln!("{:4} {what}", self.steps);
    }

    fn step(&mut self) {
        self.steps += 1;
        match self.rng.u8(..100) {
            0..30 => self.upload_new(),
            30..38 => self.upload_again(),
            38..44 => self.upload_and_be_killed(),
            44..70 => self.download_some(),
            70..76 => self.remove_some(),
            76..87 => self.trouble_a_store(),
            87..92 => self.take_a_store(),
            _ => {
                self.say("the tracker is killed, and back");
                self.world.restart_tracker();
            }
        }
    }

    fn name(&mut self) -> &'static str {
        self.rng.choice(chaos::model::NAMES).expect("names")
    }

    fn upload_new(&mut self) {
        let name = self.name();
        let content = match self.model.latest(name) {
            Some((_, latest)) if self.rng.bool() => latest.changed(&mut self.rng),
            _ => Content::new(name, &mut self.rng),
        };
        self.say(&format!("upload {name}: {content}"));
        let (number, fresh) = self.world.upload(name, &content);
        self.model.stored(name, content, number, fresh);
    }

    /// The latest version again, or its content under another name of its kind.
    fn upload_again(&mut self) {
        let (from, to) = (self.name(), self.name());
        let Some((_, latest)) = self.model.latest(from) else { return };
        if from.ends_with('/') != to.ends_with('/') {
            return;
        }
        let content = latest.clone();
        self.say(&format!("upload {to} as {from} is: {content}"));
        let (number, fresh) = self.world.upload(to, &content);
        self.model.stored(to, content, number, fresh);
    }

    /// What becomes of it is not known; said again, it is one version, whether it was there before or not.
    fn upload_and_be_killed(&mut self) {
        let name = self.name();
        let content = Content::new(name, &mut self.rng);
        let after = Duration::from_millis(self.rng.u64(..400));
        self.say(&format!("upload {name}, killed after {after:?}: {content}"));
        self.world.upload_killed(name, &content, after);
        let (number, _) = self.world.upload(name, &content);
        self.model.stored(name, content, number, true);
    }

    fn download_some(&mut self) {
        let Some((name, number, content)) = self.model.any(&mut self.rng) else { return };
        let latest = self.model.latest(name).is_some_and(|(latest, _)| latest == number);
        let version = if latest && self.rng.bool() { 0 } else { number };
        self.say(&format!("download {name} {number}: {content}"));
        self.world.expect_content(name, version, &content);
    }

    fn remove_some(&mut self) {
        let Some((name, number, _)) = self.model.any(&mut self.rng) else { return };
        self.say(&format!("rm {name} {number}"));
        self.world.remove(name, number);
        self.model.removed(name, number);
        self.world.expect_none(name, number);
    }

    /// At most one store is down.
    fn trouble_a_store(&mut self) {
        if let Some(down) = self.world.down() {
            self.say(&format!("store {down} is back"));
            return self.world.bring_back(down);
        }
        let store = self.rng.usize(..STORES);
        let how = self.rng.u8(..3);
        self.say(&format!("store {store} is {}", ["killed", "stopped", "told to stop"][usize::from(how)]));
        match how {
            0 => self.world.kill(store),
            1 => self.world.freeze(store),
            _ => self.world.stop(store),
        }
    }

    /// Once all is whole a store is taken: its disk is lost, it leaves, or it is gone for so long that a second may go.
    fn take_a_store(&mut self) {
        self.all_back();
        self.world.becomes_whole(0);
        let store = self.rng.usize(..STORES);
        match self.rng.u8(..3) {
            0 => {
                self.say(&format!("store {store} loses its disk"));
                let id = self.world.id_of(store);
                self.world.kill(store);
                self.world.wipe(store);
                self.world.bring_back(store); // as another one
                self.world.becomes_whole(0);
                self.world.forgets(&id);
                return;
            }
            1 => {
                self.say(&format!("store {store} leaves, and another comes"));
                let id = self.world.id_of(store);
                self.world.leaves(&id);
                self.world.kill(store);
                self.world.forgets(&id);
                self.world.wipe(store);
            }
            _ => {
                let second = (store + 1 + self.rng.usize(..STORES - 1)) % STORES;
                self.say(&format!("store {store} is killed, and when all is whole again store {second}"));
                self.world.kill(store);
                self.world.becomes_whole(1);
                self.world.kill(second);
                self.download_some();
                self.world.bring_back(second);
            }
        }
        self.world.bring_back(store);
        self.world.becomes_whole(0);
    }

    fn all_back(&mut self) {
        if let Some(down) = self.world.down() {
            self.world.bring_back(down);
        }
    }

    /// The storm is over: everything is back, and each store may be lost.
    fn settle(&mut self) {
        self.all_back();
        self.world.restart_tracker();
        for lost in 0..STORES {
            self.world.becomes_whole(0);
            self.world.kill(lost);
            for (name, number, content) in self.model.all() {
                self.say(&format!("without store {lost}: {name} {number}: {content}"));
                self.world.expect_content(name, number, content);
            }
            self.world.bring_back(lost);
        }
        for name in chaos::model::NAMES {
            assert_eq!(self.world.versions(name), self.model.numbers(name), "versions of {name}");
            if self.model.latest(name).is_some() {
                self.world.expect_health(name);
            }
        }
        for (name, number) in self.model.gone() {
            self.world.expect_none(name, *number);
        }
    }

    fn rage(mut self, time: Duration) {
        let begun = Instant::now();
        while begun.elapsed() < time {
            self.step();
        }
        self.settle();
        eprintln!("{} steps, {} versions", self.steps, self.model.all().count());
    }
}

fn told<T: std::str::FromStr>(variable: &str) -> Option<T> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn nothing_acknowledged_is_lost_in_a_storm() {
    let time = told("P2P_CHAOS_SECONDS").map_or(AMONG_OTHERS, Duration::from_secs);
    Storm::new(told("P2P_CHAOS_SEED").unwrap_or(1)).rage(time);
}

#[test]
#[ignore = "goes on for hours"]
fn nothing_acknowledged_is_lost_in_many_storms() {
    let time = told("P2P_CHAOS_SECONDS").map_or(ALONE, Duration::from_secs);
    let begun = Instant::now();
    while begun.elapsed() < time {
        Storm::new(fastrand::u64(..)).rage(AMONG_OTHERS);
    }
}
