//! How a run is: how much of what breaks.

use fastrand::Rng;

use super::net::{Time, Weather};

/// How long things break.
pub(super) const BREAKS: Time = 6_000;

/// How a run is: what there is a lot of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Season {
    weather: Weather,
    /// Of 4,000 steps so many are the last of their process.
    pub(super) dies: u32,
    /// Of 1,000 milliseconds in so many a client wants something new.
    pub(super) asks: u32,
    /// Of 1,000 milliseconds in so many: a process ends; a connection is cut; somebody campaigns; disks and members change.
    pub(super) crashes: u32,
    pub(super) cuts: u32,
    pub(super) duels: u32,
    pub(super) changes: u32,
    /// Of 1,000 milliseconds before the first epoch, in so many a disk is emptied.
    pub(super) founding: u32,
    /// How long who is down stays down, at most.
    pub(super) down: Time,
}

impl Season {
    pub(super) fn new(rng: &mut Rng) -> Season {
        let weather = match rng.u8(..5) {
            0 | 1 => Weather { lost: 0, repeated: 0, reordered: 0, delay: 5 },
            2 => Weather { lost: 2, repeated: 2, reordered: 2, delay: 20 },
            3 => Weather { lost: 10, repeated: 10, reordered: 10, delay: 40 },
            _ => Weather { lost: 0, repeated: 40, reordered: 0, delay: 100 },
        };
        Season {
            weather,
            dies: [0, 2, 20][rng.usize(..3)],
            asks: [5, 40, 300][rng.usize(..3)],
            crashes: [0, 2, 6][rng.usize(..3)],
            cuts: [1, 4, 12][rng.usize(..3)],
            duels: [0, 0, 3, 25][rng.usize(..4)],
            changes: [0, 2, 6][rng.usize(..3)],
            founding: [0, 0, 8, 30][rng.usize(..4)],
            down: [100, 600, 2_000][rng.usize(..3)],
        }
    }

    /// How connections are while things break, and after.
    pub(super) fn weather(&self, breaks: bool) -> Weather {
        match breaks {
            true => self.weather,
            false => Weather { lost: 0, repeated: 0, reordered: 0, ..self.weather },
        }
    }
}
