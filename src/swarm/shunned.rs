//! Addresses that are left alone for what was found there. Pure.

use std::collections::BTreeMap;
use std::time::Instant;

/// Most addresses that are remembered; of more, who would be free first is forgotten.
const MOST: usize = 1024;

/// Addresses, and until when each is left alone.
#[derive(Debug, Default)]
pub(super) struct Shunned(BTreeMap<String, Instant>);

impl Shunned {
    pub(super) fn add(&mut self, addr: String, until: Instant) {
        self.0.insert(addr, until);
        if self.0.len() > MOST
            && let Some(first) = self.0.iter().min_by_key(|(_, until)| **until).map(|(addr, _)| addr.clone())
        {
            self.0.remove(&first);
        }
    }

    /// Forgets what is free by now.
    pub(super) fn turn(&mut self, now: Instant) {
        self.0.retain(|_, until| now < *until);
    }

    pub(super) fn has(&self, addr: &str) -> bool {
        self.0.contains_key(addr)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_address_is_left_alone_for_its_time_and_only_so_many_are_remembered() {
        let now = Instant::now();
        let at = |ms| now + Duration::from_millis(ms);
        let mut shunned = Shunned::default();
        (1..=MOST as u64).rev().for_each(|nth| shunned.add(nth.to_string(), at(nth)));
        assert!(shunned.has("1") && shunned.has("1024") && !shunned.has("1025"));
        shunned.add("other".into(), at(10));
        assert!(!shunned.has("1") && shunned.has("2") && shunned.has("other"));
        shunned.turn(at(10));
        assert!(!shunned.has("10") && !shunned.has("other") && shunned.has("11"));
    }
}
