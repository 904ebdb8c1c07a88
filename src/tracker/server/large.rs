//! How many large messages may be under way at a time: each holds memory until it has arrived whole.

use std::collections::VecDeque;
use std::sync::Mutex;

use crate::threads::lock;

/// Most large messages under way at a time.
const MAX_LARGE_MESSAGES: usize = 32;

/// Connections with a large message under way, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Large(Mutex<VecDeque<u64>>);

/// A large message under way; no more when it is dropped.
#[derive(Debug)]
pub(super) struct UnderWay<'a> {
    large: &'a Large,
    connection: u64,
}

impl Large {
    /// Notes a large message on a connection. When there are too many, the connection of the oldest is to be cut: an
    /// honest one takes moments.
    pub(super) fn begins(&self, connection: u64) -> (UnderWay<'_>, Option<u64>) {
        let mut under_way = lock(&self.0);
        let too_many = under_way.len() >= MAX_LARGE_MESSAGES;
        let oldest = if too_many { under_way.pop_front() } else { None };
        under_way.push_back(connection);
        (UnderWay { large: self, connection }, oldest)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        lock(&self.large.0).retain(|connection| *connection != self.connection);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_of_too_many_is_to_be_cut_and_who_is_done_makes_room() {
        let large = Large::default();
        let mut under_way = Vec::new();
        for connection in 0..MAX_LARGE_MESSAGES as u64 {
            let (guard, cut) = large.begins(connection);
            assert_eq!(cut, None);
            under_way.push(guard);
        }
        let (newest, cut) = large.begins(100);
        assert_eq!(cut, Some(0));
        under_way.remove(5);
        let (_next, cut) = large.begins(101);
        assert_eq!(cut, None, "one has arrived");
        let (_next, cut) = large.begins(102);
        assert_eq!(cut, Some(1));
        under_way.clear();
        drop(newest);
        assert_eq!(large.0.lock().unwrap().iter().copied().collect::<Vec<_>>(), [101, 102]);
    }
}
