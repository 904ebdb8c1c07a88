//! Which connections may come in and stay: bounds in all and for each address. Pure.
//!
//! A *stranger* is a connection that has not finished HELLO. Strangers are few, and when there are too
//! many the oldest goes: an honest one is done within moments. A *guest* has finished it. When there are
//! too many guests, one that has been silent for long makes room; if there is none, nobody comes in.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Most strangers from one address: as many honest ones may come at the same moment, say a room full of
/// machines behind one address whose tracker is back.
pub const MAX_STRANGERS_PER_ADDRESS: usize = 256;
/// Most strangers in all.
pub const MAX_STRANGERS: usize = 1024;
/// One address may have this part of all guests.
pub const ADDRESS_SHARE: usize = 4;

/// What becomes of somebody who comes to the door.
#[derive(Debug, Clone)]
#[must_use]
pub enum Entry {
    /// Comes in.
    Welcome {
        /// To note the connection's signs of life with.
        activity: Activity,
        /// The connection that is to be cut for it; it counts no more.
        instead_of: Option<u64>,
    },
    /// Does not come in: too many are here.
    Full,
}

/// When a connection last showed life; its own thread notes it without the door's lock.
#[derive(Debug, Clone)]
pub struct Activity {
    start: Instant,
    last_ms: Arc<AtomicU64>,
}

impl Activity {
    fn new(start: Instant, now: Instant) -> Activity {
        let activity = Activity { start, last_ms: Arc::default() };
        activity.note(now);
        activity
    }

    /// The connection shows life.
    pub fn note(&self, now: Instant) {
        let ms = now.saturating_duration_since(self.start).as_millis() as u64;
        self.last_ms.store(ms, Ordering::Relaxed);
    }

    fn last(&self) -> Instant {
        self.start + Duration::from_millis(self.last_ms.load(Ordering::Relaxed))
    }
}

#[derive(Debug)]
struct Row {
    addr: IpAddr,
    guest: bool,
    activity: Activity,
}

/// Who is in from one address.
#[derive(Debug, Default)]
struct Household {
    guests: usize,
    strangers: BTreeSet<u64>,
}

/// Everybody who is in, and who may come.
#[derive(Debug)]
pub struct Door {
    max_guests: usize,
    patience: Duration,
    start: Instant,
    rows: BTreeMap<u64, Row>,
    households: BTreeMap<IpAddr, Household>,
    strangers: BTreeSet<u64>,
    guests: usize,
    /// Where there is nobody silent for long enough before a moment, so that a flood is cheap.
    lively_until: BTreeMap<Option<IpAddr>, Instant>,
}

impl Door {
    /// A door for so many guests; one that has been silent for `patience` may be sent away for another.
    pub fn new(max_guests: usize, patience: Duration, now: Instant) -> Door {
        Door {
            max_guests,
            patience,
            start: now,
            rows: BTreeMap::new(),
            households: BTreeMap::new(),
            strangers: BTreeSet::new(),
            guests: 0,
            lively_until: BTreeMap::new(),
        }
    }

    /// Most guests from one address.
    pub fn max_per_address(&self) -> usize {
        self.max_guests.div_ceil(ADDRESS_SHARE)
    }

    /// Connection `number`, higher than any before, comes from `addr`.
    pub fn enter(&mut self, number: u64, addr: IpAddr, now: Instant) -> Entry {
        let addr = addr.to_canonical();
        let gone = match self.full_scope(addr) {
            Some(scope) => match self.most_silent(scope, now) {
                Some(silent) => Some(silent),
                None => return Entry::Full,
            },
            None => self.oldest_of_too_many(addr),
        };
        if let Some(gone) = gone {
            self.leave(gone);
        }
        let activity = Activity::new(self.start, now);
        self.rows.insert(number, Row { addr, guest: false, activity: activity.clone() });
        self.households.entry(addr).or_default().strangers.insert(number);
        self.strangers.insert(number);
        Entry::Welcome { activity, instead_of: gone }
    }

    /// The connection has finished HELLO.
    pub fn greeted(&mut self, number: u64, now: Instant) {
        let Some(row) = self.rows.get_mut(&number).filter(|row| !row.guest) else { return };
        row.guest = true;
        row.activity.note(now);
        let household = self.households.entry(row.addr).or_default();
        household.strangers.remove(&number);
        household.guests += 1;
        self.strangers.remove(&number);
        self.guests += 1;
    }

    /// The connection has ended, or is going to be.
    pub fn leave(&mut self, number: u64) {
        let Some(row) = self.rows.remove(&number) else { return };
        self.strangers.remove(&number);
        self.guests -= usize::from(row.guest);
        let Some(household) = self.households.get_mut(&row.addr) else { return };
        household.strangers.remove(&number);
        household.guests -= usize::from(row.guest);
        if household.guests == 0 && household.strangers.is_empty() {
            self.households.remove(&row.addr);
        }
    }

    /// Where there are as many guests as there may be: at this address, or (`Some(None)`) in all.
    fn full_scope(&self, addr: IpAddr) -> Option<Option<IpAddr>> {
        let here = self.households.get(&addr).map_or(0, |household| household.guests);
        match (here >= self.max_per_address(), self.guests >= self.max_guests) {
            (true, _) => Some(Some(addr)),
            (false, true) => Some(None),
            (false, false) => None,
        }
    }

    fn most_silent(&mut self, scope: Option<IpAddr>, now: Instant) -> Option<u64> {
        if self.lively_until.get(&scope).is_some_and(|until| now < *until) {
            return None;
        }
        let here = |row: &Row| row.guest && scope.is_none_or(|addr| addr == row.addr);
        let guests = self.rows.iter().filter(|(_, row)| here(row));
        let (last, number) = guests.map(|(number, row)| (row.activity.last(), *number)).min()?;
        if now.saturating_duration_since(last) >= self.patience {
            return Some(number);
        }
        if self.lively_until.len() > ADDRESS_SHARE {
            self.lively_until.clear(); // no more addresses than that are full at a time
        }
        // Life is only ever noted later, so nobody can be silent for long enough before that.
        self.lively_until.insert(scope, last + self.patience);
        None
    }

    fn oldest_of_too_many(&self, addr: IpAddr) -> Option<u64> {
        let here = self.households.get(&addr).map(|household| &household.strangers);
        match here {
            Some(here) if here.len() >= MAX_STRANGERS_PER_ADDRESS => here.first().copied(),
            _ if self.strangers.len() >= MAX_STRANGERS => self.strangers.first().copied(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(5);

    fn addr(last: u8) -> IpAddr {
        IpAddr::from([127, 0, 0, last])
    }

    fn door(guests: usize) -> (Door, Instant) {
        let now = Instant::now();
        (Door::new(guests, PATIENCE, now), now)
    }

    /// Who goes for the newcomer; `None` if it does not come in.
    fn enter(door: &mut Door, number: u64, last: u8, now: Instant) -> Option<Option<u64>> {
        match door.enter(number, addr(last), now) {
            Entry::Welcome { instead_of, .. } => Some(instead_of),
            Entry::Full => None,
        }
    }

    #[test]
    fn the_oldest_stranger_of_an_address_makes_room() {
        let (mut door, now) = door(100);
        assert_eq!(enter(&mut door, 0, 1, now), Some(None));
        for number in 1..=MAX_STRANGERS_PER_ADDRESS as u64 {
            assert_eq!(enter(&mut door, number, 2, now), Some(None));
        }
        assert_eq!(enter(&mut door, 900, 2, now), Some(Some(1)), "not the other address's");
        door.greeted(2, now);
        assert_eq!(enter(&mut door, 901, 2, now), Some(None), "a guest is no stranger");
        door.leave(901);
        assert_eq!(enter(&mut door, 902, 2, now), Some(None));
        assert_eq!(enter(&mut door, 903, 2, now), Some(Some(3)));
    }

    #[test]
    fn the_oldest_of_all_strangers_makes_room_when_addresses_are_many() {
        let (mut door, now) = door(100);
        for number in 0..MAX_STRANGERS as u64 {
            assert_eq!(enter(&mut door, number, number as u8, now), Some(None));
        }
        assert_eq!(enter(&mut door, 900, 77, now), Some(Some(0)));
    }

    #[test]
    fn an_address_has_its_share_of_guests() {
        let (mut door, now) = door(8);
        for number in 0..2 {
            assert_eq!(enter(&mut door, number, 1, now), Some(None));
            door.greeted(number, now);
        }
        assert_eq!(enter(&mut door, 2, 1, now), None);
        assert_eq!(enter(&mut door, 3, 2, now), Some(None));
        door.leave(0);
        assert_eq!(enter(&mut door, 4, 1, now), Some(None));
    }

    #[test]
    fn who_has_been_silent_for_long_makes_room_for_who_comes() {
        let (mut door, now) = door(1);
        let Entry::Welcome { activity, .. } = door.enter(0, addr(1), now) else { panic!("it is empty") };
        door.greeted(0, now);
        activity.note(now + Duration::from_secs(1));
        let later = now + PATIENCE;
        assert_eq!(enter(&mut door, 1, 2, later), None);
        assert_eq!(enter(&mut door, 2, 2, later + Duration::from_secs(1)), Some(Some(0)));
    }
}
