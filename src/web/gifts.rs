//! What links give that are handed out, until they end. Kept in memory: they end with the process.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::accounts::Secret;
use crate::content::{FileId, SafeName};
use crate::threads::lock;

/// Links that are good at a time; the one that ends first goes first.
const MAX_LINKS: usize = 1_024;

/// What a link gives.
#[derive(Debug, Clone)]
pub(super) struct Gift {
    pub(super) id: FileId,
    pub(super) name: SafeName,
    pub(super) size: u64,
    /// Milliseconds since 1970.
    pub(super) until: u64,
}

/// All links that are good.
#[derive(Debug, Default)]
pub(super) struct Gifts(Mutex<BTreeMap<Secret, Gift>>);

impl Gifts {
    pub(super) fn add(&self, secret: Secret, gift: Gift, now: u64) {
        let mut links = lock(&self.0);
        links.retain(|_, gift| gift.until > now);
        while links.len() >= MAX_LINKS {
            let first = links.iter().min_by_key(|(_, gift)| gift.until).map(|(secret, _)| *secret);
            first.map(|first| links.remove(&first));
        }
        links.insert(secret, gift);
    }

    pub(super) fn get(&self, secret: Secret, now: u64) -> Option<Gift> {
        lock(&self.0).get(&secret).filter(|gift| gift.until > now).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gift(until: u64) -> Gift {
        Gift { id: FileId::of(b"x"), name: SafeName::new("x").unwrap(), size: 1, until }
    }

    #[test]
    fn a_link_is_good_until_it_ends_and_the_first_to_end_makes_room() {
        let out = Gifts::default();
        let at = |number: usize| Secret::of(&number.to_string());
        for number in 0..=MAX_LINKS {
            out.add(at(number), gift(100 + number as u64), 0);
        }
        assert!(out.get(at(0), 0).is_none() && out.get(at(1), 0).is_some());
        assert!(out.get(at(1), 100).is_some() && out.get(at(1), 101).is_none());
        assert!(out.get(Secret::of("guessed"), 0).is_none());
    }
}
