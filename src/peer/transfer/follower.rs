//! Who hears of the chunks that come here: connections that pass them on, each when it is time for it.

use std::sync::{Arc, Mutex, Weak};
use std::time::Instant;

use crate::content::{Chunk, Run};
use crate::net::wake::Wake;
use crate::swarm::telling::Telling;
use crate::threads::lock;

/// A connection that passes chunks on, as the transfers see it whose gains it tells of.
#[derive(Debug)]
pub(in crate::peer) struct Follower {
    wake: Arc<Wake>,
    telling: Mutex<Telling>,
}

impl Follower {
    /// One with nothing to tell; `wake` wakes its connection.
    pub(in crate::peer) fn new(wake: Arc<Wake>) -> Follower {
        Follower { wake, telling: Mutex::new(Telling::new()) }
    }

    /// This chunk of the content open as `slot` to so many `followers` is here from now on.
    fn gain(&self, slot: u16, chunk: Chunk, followers: u32) {
        lock(&self.telling).gain(slot, chunk, followers);
        self.nudge();
    }

    /// This slot is closed: what it was not told yet is nothing to whatever is opened as that slot next.
    fn forget(&self, slot: u16) {
        lock(&self.telling).forget(slot);
    }

    /// Wakes the connection if it is time to tell of gains.
    fn nudge(&self) {
        if self.is_due(Instant::now()) {
            self.wake.wake();
        }
    }

    /// True if it is time to tell of gains.
    pub(in crate::peer) fn is_due(&self, now: Instant) -> bool {
        lock(&self.telling).due(now).is_some_and(|due| due <= now)
    }

    /// What there is to tell, as slots and runs of chunks: it is told now.
    pub(in crate::peer) fn take(&self, now: Instant) -> Vec<(u16, Vec<Run>)> {
        lock(&self.telling).take(now)
    }

    /// Notes whether it has requests that are not answered; whether it had before.
    pub(in crate::peer) fn set_requests(&self, has: bool) -> bool {
        lock(&self.telling).set_requests(has)
    }
}

/// The followers of one transfer, each with the slot in which it has the content open.
#[derive(Debug, Default)]
pub(super) struct Followers(Mutex<Vec<(Weak<Follower>, u16)>>);

impl Followers {
    pub(super) fn add(&self, follower: &Arc<Follower>, slot: u16) {
        lock(&self.0).push((Arc::downgrade(follower), slot));
    }

    /// The slot is closed.
    pub(super) fn remove(&self, follower: &Arc<Follower>, slot: u16) {
        let it =
            |(other, its): &(Weak<Follower>, u16)| *its == slot && other.as_ptr() == Arc::as_ptr(follower);
        lock(&self.0).retain(|entry| !it(entry));
        follower.forget(slot);
    }

    /// Tells all of a chunk that is here.
    pub(super) fn gain(&self, chunk: Chunk) {
        let followers = self.connected();
        followers.iter().for_each(|(follower, slot)| follower.gain(*slot, chunk, followers.len() as u32));
    }

    /// Wakes those for whom it is time to tell of gains.
    pub(super) fn nudge(&self) {
        self.connected().iter().for_each(|(follower, _)| follower.nudge());
    }

    fn connected(&self) -> Vec<(Arc<Follower>, u16)> {
        let mut followers = lock(&self.0);
        followers.retain(|(follower, _)| follower.strong_count() > 0);
        followers.iter().filter_map(|(follower, slot)| Some((follower.upgrade()?, *slot))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn follower() -> Arc<Follower> {
        Arc::new(Follower::new(Arc::new(Wake::new().unwrap())))
    }

    #[test]
    fn gains_are_told_once_in_order_and_those_who_are_gone_are_forgotten() {
        let (followers, now) = (Followers::default(), Instant::now());
        let (one, other) = (follower(), follower());
        followers.add(&one, 7);
        followers.add(&one, 2);
        followers.add(&other, 1);
        assert!(!one.is_due(now));
        followers.gain(Chunk(5));
        drop(other);
        followers.gain(Chunk(3));
        assert!(one.is_due(now), "the first ones at once");
        assert_eq!(
            one.take(now),
            [
                (2, vec![Run::new(Chunk(3), 1), Run::new(Chunk(5), 1)]),
                (7, vec![Run::new(Chunk(3), 1), Run::new(Chunk(5), 1)])
            ]
        );
        assert_eq!(one.take(now), []);
        assert_eq!(lock(&followers.0).len(), 2);
    }

    #[test]
    fn who_closes_a_slot_hears_no_more_of_it() {
        let (followers, now) = (Followers::default(), Instant::now());
        let (one, other) = (follower(), follower());
        [(&one, 7), (&one, 2), (&other, 7)].into_iter().for_each(|(who, slot)| followers.add(who, slot));
        followers.gain(Chunk(5));
        followers.remove(&one, 7);
        followers.gain(Chunk(6));
        assert_eq!(one.take(now), [(2, vec![Run::new(Chunk(5), 2)])]);
        assert_eq!(other.take(now), [(7, vec![Run::new(Chunk(5), 2)])]);
        for _ in 0..100 {
            followers.add(&one, 7);
            followers.remove(&one, 7);
        }
        assert_eq!(lock(&followers.0).len(), 2, "as many as there are slots open");
    }
}
