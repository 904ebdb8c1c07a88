//! Whose complaints about chunks are looked into. Pure.
//!
//! A complaint costs the reading of one chunk, and a file its place if the reading agrees. Who has nothing better to
//! do than complain gets one for each while.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// One complaint of an address is looked into in so long.
const INTERVAL: Duration = Duration::from_secs(10);
/// Most addresses that are remembered for that long; the complaints of others are passed over.
const MAX_ADDRESSES: usize = 4096;

/// Who has complained lately.
#[derive(Debug, Default)]
pub(in crate::peer) struct Complaints(HashMap<IpAddr, Instant>);

impl Complaints {
    /// True if a complaint from this address is to be looked into.
    pub(in crate::peer) fn admit(&mut self, addr: IpAddr, now: Instant) -> bool {
        if self.0.len() >= MAX_ADDRESSES {
            self.0.retain(|_, at| now.saturating_duration_since(*at) < INTERVAL);
        }
        let lately = |at: &Instant| now.saturating_duration_since(*at) < INTERVAL;
        if self.0.get(&addr).is_some_and(lately)
            || (self.0.len() >= MAX_ADDRESSES && !self.0.contains_key(&addr))
        {
            return false;
        }
        self.0.insert(addr, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(number: u32) -> IpAddr {
        IpAddr::from(number.to_be_bytes())
    }

    #[test]
    fn one_address_is_heard_once_in_a_while() {
        let (mut complaints, start) = (Complaints::default(), Instant::now());
        assert!(complaints.admit(addr(1), start));
        assert!(complaints.admit(addr(2), start));
        assert!(!complaints.admit(addr(1), start + INTERVAL - Duration::from_millis(1)));
        assert!(complaints.admit(addr(1), start + INTERVAL));
    }

    #[test]
    fn many_addresses_take_no_more_memory() {
        let (mut complaints, start) = (Complaints::default(), Instant::now());
        let heard = (0..2 * MAX_ADDRESSES as u32).filter(|number| complaints.admit(addr(*number), start));
        assert_eq!(heard.count(), MAX_ADDRESSES);
        assert!(complaints.admit(addr(u32::MAX), start + INTERVAL));
        assert_eq!(complaints.0.len(), 1);
    }
}
