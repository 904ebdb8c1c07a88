//! Who hears of the chunks that come here: connections that pass them on, each when it is time for it.

use std::sync::{Arc, Mutex, Weak};
use std::time::Instant;

use crate::net::bulk::Wake;
use crate::swarm::turns::Telling;
use crate::threads::lock;

/// A connection that passes chunks on, as the transfers see it whose gains it tells of.
#[derive(Debug)]
pub(in crate::peer) struct Follower {
    wake: Arc<Wake>,
    news: Mutex<News>,
}

/// What its asker was not told yet.
#[derive(Debug)]
struct News {
    /// Chunks that came, and the slot of their content.
    gains: Vec<(u16, u32)>,
    telling: Telling,
    /// It has requests that are not answered.
    has_requests: bool,
    /// Followers of the same content.
    followers: u32,
}

impl News {
    fn are_due(&self, now: Instant) -> bool {
        let due = || self.telling.due(self.has_requests, self.followers).is_none_or(|due| now >= due);
        !self.gains.is_empty() && due()
    }
}

impl Follower {
    /// One with nothing to tell; `wake` wakes its connection.
    pub(in crate::peer) fn new(wake: Arc<Wake>) -> Follower {
        let news = News { gains: Vec::new(), telling: Telling::new(), has_requests: false, followers: 0 };
        Follower { wake, news: Mutex::new(news) }
    }

    /// This chunk of the content open as `slot` to so many `followers` is here from now on.
    fn gain(&self, slot: u16, chunk: u32, followers: u32) {
        {
            let mut news = lock(&self.news);
            news.gains.push((slot, chunk));
            news.followers = followers;
        }
        self.nudge();
    }

    /// Wakes the connection if it is time to tell of gains.
    fn nudge(&self) {
        if self.is_due(Instant::now()) {
            self.wake.wake();
        }
    }

    /// True if it is time to tell of gains.
    pub(in crate::peer) fn is_due(&self, now: Instant) -> bool {
        lock(&self.news).are_due(now)
    }

    /// What there is to tell, as slots and chunks in order: it is told now.
    pub(in crate::peer) fn take(&self, now: Instant) -> Vec<(u16, u32)> {
        let mut gains = {
            let mut news = lock(&self.news);
            if !news.gains.is_empty() {
                news.telling.told(now);
            }
            std::mem::take(&mut news.gains)
        };
        gains.sort_unstable();
        gains
    }

    /// True if it has requests that are not answered.
    pub(in crate::peer) fn has_requests(&self) -> bool {
        lock(&self.news).has_requests
    }

    /// Notes whether it has requests that are not answered; whether it had before.
    pub(in crate::peer) fn set_requests(&self, has: bool) -> bool {
        std::mem::replace(&mut lock(&self.news).has_requests, has)
    }
}

/// The followers of one transfer, each with the slot in which it has the content open.
#[derive(Debug, Default)]
pub(super) struct Followers(Mutex<Vec<(Weak<Follower>, u16)>>);

impl Followers {
    pub(super) fn add(&self, follower: &Arc<Follower>, slot: u16) {
        lock(&self.0).push((Arc::downgrade(follower), slot));
    }

    /// Tells all of a chunk that is here.
    pub(super) fn gain(&self, chunk: u32) {
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
        followers.gain(5);
        drop(other);
        followers.gain(3);
        assert!(one.is_due(now), "the first ones at once");
        assert_eq!(one.take(now), [(2, 3), (2, 5), (7, 3), (7, 5)]);
        assert_eq!(one.take(now), []);
        assert_eq!(lock(&followers.0).len(), 2);
    }

    #[test]
    fn an_asker_with_requests_waits_longer_for_news_that_come_alone() {
        let (followers, now, one) = (Followers::default(), Instant::now(), follower());
        followers.add(&one, 0);
        for _ in 0..64 {
            followers.gain(1);
            one.take(now);
        }
        followers.gain(1);
        assert!(!one.is_due(now), "the early ones are over");
        let due_after = || (0..).map(std::time::Duration::from_millis).find(|wait| one.is_due(now + *wait));
        assert!(!one.set_requests(true));
        let busy = due_after();
        assert!(one.set_requests(false) && !one.has_requests());
        assert!(due_after() < busy);
    }
}
