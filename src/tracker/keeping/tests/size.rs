//! How much the planner does at a time, and what it takes in memory.

use std::time::{Duration, Instant};

use super::world::{peer, terms};
use crate::content::FileId;
use crate::tracker::keeping::{Asked, Keeping, Order, Progress, Tally, steps};
use crate::tracker::records::Promise;
use crate::wire::{Authority, ClientId, KeptPart, Label, Lend, Policy, Term, View};

/// What may be done under one lock.
const MOST: usize = 6 * steps::MOST;

/// A planner with so many stores, all of them here.
struct Many {
    keeping: Keeping,
    stores: usize,
    now: Instant,
    /// The most that was done in one step, and how long the longest call took.
    most: usize,
    longest: (Duration, &'static str),
}

fn promise(id: u32, chunks: u32) -> Promise {
    let content = (FileId::of(&id.to_be_bytes()), View::Members);
    let total = u64::from(chunks) << 16;
    Promise { content, size: 1 << 20, total, chunks, policy: Policy::copies(2).unwrap(), code: None }
}

impl Many {
    fn new(stores: usize) -> Many {
        let now = Instant::now();
        let mut many = Many {
            keeping: Keeping::new(terms(Term(1)), now),
            stores,
            now,
            most: 0,
            longest: (Duration::ZERO, ""),
        };
        (0..stores).for_each(|store| many.comes(store, store as u64));
        many.passes(Duration::from_secs(6));
        many
    }

    fn timed<T>(&mut self, what: &'static str, call: impl FnOnce(&mut Keeping, Instant) -> T) -> T {
        let began = Instant::now();
        let out = call(&mut self.keeping, self.now);
        self.longest = self.longest.max((began.elapsed(), what));
        out
    }

    fn comes(&mut self, store: usize, connection: u64) {
        let lend = Lend {
            capacity: 1 << 44,
            used: 0,
            zone: Label::default(),
            machine: Label::default(),
            authority: Authority(7),
            term: Term(1),
        };
        let who = (peer(store), connection);
        self.timed("lend", |keeping, now| keeping.lend(who, &lend, Label::default(), now).unwrap());
        self.timed("kept", |keeping, now| keeping.kept(who, &[], true, now).unwrap());
        self.works();
    }

    fn works(&mut self) {
        while self.keeping.has_work(self.now) {
            let work = self.timed("step", Keeping::step);
            self.most = self.most.max(work);
        }
    }

    fn passes(&mut self, time: Duration) {
        self.now += time;
        self.timed("tick", |keeping, now| keeping.tick(now));
        self.works();
    }

    /// Everybody does what he is told.
    fn obeys(&mut self) -> usize {
        let mut done = 0;
        for store in 0..self.stores {
            loop {
                let connection = 1000 + store as u64;
                let orders =
                    self.timed("duties", |keeping, now| keeping.duties(peer(store), connection, None, now));
                if orders.is_empty() {
                    break;
                }
                done += orders.len();
                for order in orders {
                    let Order::Keep { content: (id, view), chunks, keep, .. } = order else { continue };
                    let part = KeptPart { id, view, chunks, have: keep };
                    let who = (peer(store), store as u64);
                    self.timed("kept", |keeping, now| keeping.kept(who, &[part], false, now).unwrap());
                }
            }
        }
        self.works();
        done
    }

    fn upload(&mut self, seq: u64, promise: Promise) {
        let asked = Asked { key: (ClientId(1), seq), promise, degraded: false };
        loop {
            let progress = self.timed("store", |keeping, now| keeping.store(asked, None, 0, now));
            if progress == Progress::Safe {
                break;
            }
            self.works();
            self.obeys();
        }
        self.timed("promise", |keeping, now| keeping.promise(promise.content, Some(&promise), now));
        self.timed("stored", |keeping, now| keeping.stored(asked.key, now));
        self.works();
    }

    fn goes(&mut self, store: usize) {
        self.timed("gone", |keeping, now| keeping.gone(peer(store), store as u64, now));
        self.works();
    }

    fn is_whole(&self) -> bool {
        let mut tally = Tally::of_all();
        while self.keeping.tally(&mut tally) {}
        self.keeping.health(tally, self.now).survives == 1
    }

    /// A store dies, and what it kept is copied.
    fn becomes_whole(&mut self) {
        self.passes(Duration::from_secs(60));
        let dead = (0..self.stores).find(|store| {
            let at = self.keeping.stores.find(peer(*store)).unwrap();
            !self.keeping.stores[at].holds.is_empty()
        });
        self.goes(dead.unwrap());
        assert!(!self.is_whole());
        for _ in 0..20 {
            self.passes(Duration::from_secs(61));
            while self.obeys() > 0 {}
        }
        assert!(self.is_whole());
    }
}

#[test]
fn no_step_does_much_however_large_a_content_is_and_however_many_there_are() {
    let mut many = Many::new(100);
    many.upload(1, promise(1, 1 << 18));
    (2..2000).for_each(|number| many.upload(number.into(), promise(number, 1 + number % 40)));
    many.becomes_whole();
    assert!(many.most <= MOST, "{} were done at a time", many.most);
}

#[test]
#[ignore = "prints how long the longest call takes with a million chunks and a hundred stores; in a release build"]
fn a_million_chunks_and_a_hundred_stores() {
    let mut many = Many::new(100);
    many.upload(1, promise(1, 1 << 20));
    println!("one content: the longest call was {:?}; most work {}", many.longest, many.most);
    many.longest = (Duration::ZERO, "");
    many.becomes_whole();
    println!("repair: the longest call was {:?}; most work {}", many.longest, many.most);
    let mut many = Many::new(100);
    (0..10_000).for_each(|number| many.upload(number.into(), promise(number, 100)));
    println!("10,000 contents: the longest call was {:?}; most work {}", many.longest, many.most);
    many.longest = (Duration::ZERO, "");
    many.becomes_whole();
    println!("repair: the longest call was {:?}; most work {}", many.longest, many.most);
}

/// Bytes of memory of this process.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[test]
#[ignore = "prints what the planner takes in memory; alone, in a release build"]
fn memory_of_what_is_kept() {
    let mut many = Many::new(10);
    let before = resident();
    (0..25).for_each(|number| many.upload(number.into(), promise(number, 4096)));
    println!("100,000 chunks in 25 files: {} KiB", (resident() - before) >> 10);
    let before = resident();
    (100..100_100).for_each(|number| many.upload(number.into(), promise(number, 1)));
    println!("100,000 single uploads: {} KiB", (resident() - before) >> 10);
}
