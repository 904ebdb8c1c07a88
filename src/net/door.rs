//! Which connections may come in and stay: bounds in all and for each address. Pure.
//!
//! A *stranger* is a connection that has not finished HELLO. Strangers are few, and when there are too
//! many the oldest goes: an honest one is done within moments. A *guest* has finished it. When there are
//! too many guests, one that has been silent for long makes room; else one of a network that has many, for who comes
//! from one that has fewer. What is *kept*, a registration say, stays while its network has few.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::content::Network;

/// Most strangers from one network: as many honest ones may come at the same moment, say a room full of
/// machines behind one address whose tracker is back.
pub const MAX_STRANGERS_PER_ADDRESS: usize = 256;
/// Most strangers in all.
pub const MAX_STRANGERS: usize = 1024;
/// One network may have this part of all guests.
pub const ADDRESS_SHARE: usize = 4;
/// What is kept of a network stays, whoever comes, while the network has no more than this part of all guests.
pub const KEPT_SHARE: usize = 64;

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
    /// That of a connection that begins now and is nobody's guest.
    pub fn new(now: Instant) -> Activity {
        Activity::since(now, now)
    }

    fn since(start: Instant, now: Instant) -> Activity {
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
    from: Network,
    guest: bool,
    kept: bool,
    activity: Activity,
}

/// Who is in from one network.
#[derive(Debug, Default)]
struct Household {
    guests: usize,
    /// How many of the guests are kept.
    kept: usize,
    strangers: BTreeSet<u64>,
}

/// Everybody who is in, and who may come.
#[derive(Debug)]
pub struct Door {
    max_guests: usize,
    patience: Duration,
    start: Instant,
    rows: BTreeMap<u64, Row>,
    households: BTreeMap<Network, Household>,
    strangers: BTreeSet<u64>,
    guests: usize,
    /// Where there is nobody silent for long enough before a moment, so that a flood is cheap.
    lively_until: BTreeMap<Option<Network>, Instant>,
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

    /// Most guests from one network.
    pub fn max_per_address(&self) -> usize {
        self.max_guests.div_ceil(ADDRESS_SHARE)
    }

    /// Connection `number`, higher than any before, comes from `addr`.
    pub fn enter(&mut self, number: u64, addr: IpAddr, now: Instant) -> Entry {
        let from = Network::of(addr);
        let gone = match self.full_scope(from) {
            Some(scope) => {
                let silent = self.most_silent(scope, now);
                let heavy = || scope.is_none().then(|| self.one_of_many(from)).flatten();
                match silent.or_else(heavy) {
                    Some(gone) => Some(gone),
                    None => return Entry::Full,
                }
            }
            None => self.oldest_of_too_many(from),
        };
        if let Some(gone) = gone {
            self.leave(gone);
        }
        let activity = Activity::since(self.start, now);
        self.rows.insert(number, Row { from, guest: false, kept: false, activity: activity.clone() });
        self.households.entry(from).or_default().strangers.insert(number);
        self.strangers.insert(number);
        Entry::Welcome { activity, instead_of: gone }
    }

    /// The connection has finished HELLO.
    pub fn greeted(&mut self, number: u64, now: Instant) {
        let Some(row) = self.rows.get_mut(&number).filter(|row| !row.guest) else { return };
        row.guest = true;
        row.activity.note(now);
        let household = self.households.entry(row.from).or_default();
        household.strangers.remove(&number);
        household.guests += 1;
        self.strangers.remove(&number);
        self.guests += 1;
    }

    /// The connection has more to lose than others.
    pub fn keep(&mut self, number: u64) {
        let Some(row) = self.rows.get_mut(&number).filter(|row| row.guest && !row.kept) else { return };
        row.kept = true;
        self.households.entry(row.from).or_default().kept += 1;
    }

    /// The connection has ended, or is going to be.
    pub fn leave(&mut self, number: u64) {
        let Some(row) = self.rows.remove(&number) else { return };
        self.strangers.remove(&number);
        self.guests -= usize::from(row.guest);
        let Some(household) = self.households.get_mut(&row.from) else { return };
        household.strangers.remove(&number);
        household.guests -= usize::from(row.guest);
        household.kept -= usize::from(row.kept);
        if household.guests == 0 && household.strangers.is_empty() {
            self.households.remove(&row.from);
        }
    }

    fn guests_of(&self, network: Network) -> usize {
        self.households.get(&network).map_or(0, |household| household.guests)
    }

    /// Where there are as many guests as there may be: in this network, or (`Some(None)`) in all.
    fn full_scope(&self, network: Network) -> Option<Option<Network>> {
        let here = self.guests_of(network);
        match (here >= self.max_per_address(), self.guests >= self.max_guests) {
            (true, _) => Some(Some(network)),
            (false, true) => Some(None),
            (false, false) => None,
        }
    }

    fn most_silent(&mut self, scope: Option<Network>, now: Instant) -> Option<u64> {
        if self.lively_until.get(&scope).is_some_and(|until| now < *until) {
            return None;
        }
        let here = |row: &Row| row.guest && scope.is_none_or(|network| network == row.from);
        let guests = self.rows.iter().filter(|(_, row)| here(row));
        let (last, number) = guests.map(|(number, row)| (row.activity.last(), *number)).min()?;
        if now.saturating_duration_since(last) >= self.patience {
            return Some(number);
        }
        if self.lively_until.len() > ADDRESS_SHARE {
            self.lively_until.clear(); // no more networks than that are full at a time
        }
        // Life is only ever noted later, so nobody can be silent for long enough before that.
        self.lively_until.insert(scope, last + self.patience);
        None
    }

    /// The guest that makes room for one of a network with fewer: of the network with the most, what is not kept
    /// first, then who has been silent for longest.
    fn one_of_many(&self, newcomer: Network) -> Option<u64> {
        let few = self.max_guests.div_ceil(KEPT_SHARE);
        let here = self.guests_of(newcomer);
        let pays = |household: &Household| household.guests > few || household.kept < household.guests;
        let heavy = self.households.iter().filter(|(_, many)| many.guests > here + 1 && pays(many));
        let (heaviest, _) = heavy.max_by_key(|(_, household)| household.guests)?;
        let guests = self.rows.iter().filter(|(_, row)| row.guest && row.from == *heaviest);
        guests.min_by_key(|(_, row)| (row.kept, row.activity.last())).map(|(number, _)| *number)
    }

    fn oldest_of_too_many(&self, network: Network) -> Option<u64> {
        let here = self.households.get(&network).map(|household| &household.strangers);
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
    fn a_network_of_ipv6_has_the_share_of_one_address() {
        let (mut door, now) = door(8);
        let of = |last: u16| IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, last]);
        for number in 0..2 {
            assert!(matches!(door.enter(number, of(number as u16), now), Entry::Welcome { .. }));
            door.greeted(number, now);
        }
        assert!(matches!(door.enter(2, of(2), now), Entry::Full));
    }

    /// So many guests of each of these addresses, numbered in their order.
    fn filled(door: &mut Door, crowds: &[(u8, usize)], now: Instant) {
        let everybody = crowds.iter().flat_map(|(last, count)| std::iter::repeat_n(*last, *count));
        for (number, last) in everybody.enumerate() {
            assert_eq!(enter(door, number as u64, last, now), Some(None));
            door.greeted(number as u64, now);
        }
    }

    #[test]
    fn one_of_the_network_with_the_most_makes_room_for_one_of_a_network_with_fewer() {
        let (mut door, now) = door(8);
        filled(&mut door, &[(1, 2), (2, 2), (3, 2), (4, 1), (5, 1)], now);
        assert_eq!(enter(&mut door, 10, 4, now), None, "it would be as heavy as they are");
        for (number, goes) in [(11, 4), (12, 2), (13, 0)] {
            assert_eq!(enter(&mut door, number, number as u8, now), Some(Some(goes)));
            door.greeted(number, now);
        }
        assert_eq!(enter(&mut door, 14, 14, now), None, "everybody has one place");
    }

    #[test]
    fn who_is_kept_makes_room_last_and_not_at_all_where_few_are() {
        let (mut door, now) = door(128);
        filled(&mut door, &[(1, 32), (2, 31), (3, 31), (4, 31), (5, 2), (6, 1)], now);
        (0..31).for_each(|number| door.keep(number));
        assert_eq!(enter(&mut door, 200, 9, now), Some(Some(31)), "who is not kept");
        door.greeted(200, now);
        (32..125).for_each(|number| door.keep(number));
        assert_eq!(enter(&mut door, 201, 10, now), Some(Some(94)), "all of the heaviest are kept");
        door.greeted(201, now);
        let kept = |door: &Door, last| door.households[&Network::of(addr(last))].kept;
        assert_eq!([1, 2, 4, 5].map(|last| kept(&door, last)), [31, 31, 30, 0]);
    }

    #[test]
    fn a_few_that_are_kept_stay_whoever_comes() {
        let (mut door, now) = door(192);
        let crowds: Vec<(u8, usize)> = (0..64).map(|last| (last, 3)).collect();
        filled(&mut door, &crowds, now);
        (0..192).for_each(|number| door.keep(number));
        assert_eq!(enter(&mut door, 200, 100, now), None);
        door.leave(0);
        assert_eq!(enter(&mut door, 201, 1, now), Some(None));
        door.greeted(201, now);
        assert_eq!(enter(&mut door, 202, 100, now), Some(Some(201)), "who is not kept, of four");
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
