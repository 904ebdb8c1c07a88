//! Connections between simulated trackers, and what becomes of frames on them.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use fastrand::Rng;

use crate::tracker::cluster::{Event, Node};

/// Milliseconds.
pub(super) type Time = u64;

/// How bad connections are, in thousandths of all frames, and milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weather {
    pub(super) lost: u32,
    pub(super) repeated: u32,
    pub(super) reordered: u32,
    pub(super) delay: Time,
}

#[derive(Debug)]
struct Connection {
    ends: (Node, Node),
    open: bool,
    /// When the last frame of each direction arrives.
    last: [Time; 2],
}

/// All connections.
#[derive(Debug, Default)]
pub(super) struct Net {
    connections: BTreeMap<u64, Connection>,
    newest: u64,
    /// Who is not heard by whom.
    pub(super) cut: BTreeSet<(Node, Node)>,
}

/// Something that will happen to a tracker.
pub(super) type Arrival = (Time, Node, Event);

impl Net {
    /// True if frames from one tracker reach the other.
    fn reaches(&self, from: Node, to: Node) -> bool {
        !self.cut.contains(&(from, to))
    }

    /// True if there is a connection between the two.
    pub(super) fn is_connected(&self, one: Node, other: Node) -> bool {
        self.connections.values().any(|there| there.open && there.ends == (one, other))
    }

    /// Connects two, if they reach each other; a connection there was goes on for who has not noticed.
    pub(super) fn connect(&mut self, ends: (Node, Node), now: Time, rng: &mut Rng) -> Vec<Arrival> {
        if !self.reaches(ends.0, ends.1) || !self.reaches(ends.1, ends.0) {
            return Vec::new();
        }
        for old in self.connections.values_mut().filter(|old| old.ends == ends) {
            old.open = false;
        }
        self.newest += 1;
        let (one, other) = (now + rng.u64(1..20), now + rng.u64(1..20));
        self.connections.insert(self.newest, Connection { ends, open: true, last: [one, other] });
        let oldest = self.newest.saturating_sub(64);
        self.connections.retain(|id, there| there.open || *id > oldest);
        let id = self.newest;
        vec![(one, ends.0, Event::Up(ends.1, id)), (other, ends.1, Event::Up(ends.0, id))]
    }

    /// Ends a connection: the ends notice at some time.
    pub(super) fn end(&mut self, id: u64, now: Time, rng: &mut Rng) -> Vec<Arrival> {
        let Some(there) = self.connections.get_mut(&id).filter(|there| there.open) else { return Vec::new() };
        there.open = false;
        let (one, other) = there.ends;
        let slow = if rng.u8(..4) == 0 { 400 } else { 20 };
        let (first, second) = (now + rng.u64(1..=slow), now + rng.u64(1..=slow));
        vec![(first, one, Event::Down(other, id)), (second, other, Event::Down(one, id))]
    }

    /// All that are open, of one tracker or of all.
    pub(super) fn open(&self, of: Option<Node>) -> Vec<u64> {
        let of_it = |there: &Connection| of.is_none_or(|node| there.ends.0 == node || there.ends.1 == node);
        self.connections.iter().filter(|(_, there)| there.open && of_it(there)).map(|(id, _)| *id).collect()
    }

    /// When a frame arrives, and how often.
    pub(super) fn send(
        &mut self,
        (from, to, id): (Node, Node, u64),
        frame: &Bytes,
        now: Time,
        weather: Weather,
        rng: &mut Rng,
    ) -> Vec<Arrival> {
        let reaches = self.reaches(from, to);
        let Some(there) = self.connections.get_mut(&id) else { return Vec::new() };
        let mut chance = |of: u32| of > 0 && rng.u32(..1000) < of;
        // What is under way on a connection that has ended may still arrive.
        if !reaches || !there.open && chance(500) || chance(weather.lost) {
            return Vec::new();
        }
        let (repeated, reordered) = (chance(weather.repeated), chance(weather.reordered));
        let side = usize::from(there.ends.0 == from);
        let at = now + rng.u64(1..=weather.delay);
        let at = if reordered { at } else { at.max(there.last[side]) };
        there.last[side] = at.max(there.last[side]);
        let arrival = |at| (at, to, Event::Frame(from, id, frame.clone()));
        let mut out = vec![arrival(at)];
        if repeated {
            out.push(arrival(at + rng.u64(..weather.delay * 6)));
        }
        out
    }
}
