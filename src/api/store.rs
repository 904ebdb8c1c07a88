//! What is said of stores and of what they keep.

use serde::{Deserialize, Serialize};

use crate::wire::{Health, StoreInfo, StoreState};

/// A store as a tracker knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreReport {
    /// The store's peer id.
    pub store: String,
    /// Its name.
    pub name: String,
    /// The zone that it says it is in; empty if it says none.
    pub zone: String,
    /// The machine that it says it runs on.
    pub machine: String,
    /// `lending`, `reporting` (it has not said yet all that it holds), `away`, `foreign` (it serves another tracker),
    /// `leaving` (others do not have yet all that it holds) or `left` (it can be taken away).
    pub state: String,
    /// Bytes that it lends.
    pub capacity: u64,
    /// Bytes of them in use.
    pub used: u64,
    /// Contents of which it holds something.
    pub contents: u32,
    /// Chunks that it holds.
    pub chunks: u64,
}

impl From<&StoreInfo> for StoreReport {
    fn from(store: &StoreInfo) -> StoreReport {
        let state = match store.state {
            StoreState::Lending => "lending",
            StoreState::Reporting => "reporting",
            StoreState::Away => "away",
            StoreState::Foreign => "foreign",
            StoreState::Leaving => "leaving",
            StoreState::Left => "left",
        };
        StoreReport {
            store: store.peer.to_string(),
            name: store.name.to_string(),
            zone: store.zone.to_string(),
            machine: store.machine.to_string(),
            state: state.to_owned(),
            capacity: store.capacity,
            used: store.used,
            contents: store.contents,
            chunks: store.chunks,
        }
    }
}

/// How safe is what stores keep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthReport {
    /// Contents that stores promise to keep.
    pub contents: u32,
    /// How many stores may be lost, whichever they are, before a byte is.
    pub survives: u8,
    /// How many that should be.
    pub promised: u8,
    /// How many machines may be lost, each with all stores on it.
    pub machines: u8,
    /// How many zones may be lost, each with all stores in it.
    pub zones: u8,
    /// Bytes of these contents.
    pub bytes: u64,
    /// Bytes of them that fewer losses would take than promised.
    pub endangered: u64,
    /// Bytes of them that no store that is here holds.
    pub lost: u64,
    /// Bytes, each counted for every copy, that stores have been told to keep and do not yet.
    pub repairing: u64,
    /// True while stores have not said yet all that they hold.
    pub hearing: bool,
    /// Stores that are away.
    pub away: Vec<StoreReport>,
}

impl From<&Health> for HealthReport {
    fn from(health: &Health) -> HealthReport {
        HealthReport {
            contents: health.contents,
            survives: health.survives,
            promised: health.promised,
            machines: health.machines,
            zones: health.zones,
            bytes: health.bytes,
            endangered: health.endangered,
            lost: health.lost,
            repairing: health.repairing,
            hearing: health.hearing,
            away: health.away.iter().map(StoreReport::from).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::PeerId;
    use crate::wire::{Label, List};

    fn store(state: StoreState) -> StoreInfo {
        let peer = PeerId([0xab; 16]);
        let (name, zone, machine) = (Label::new("anna"), Label::new("cellar"), Label::new("m1"));
        StoreInfo { peer, name, zone, machine, state, capacity: 9, used: 8, contents: 7, chunks: 6 }
    }

    #[test]
    fn a_store_says_what_it_lends_and_what_is_to_be_had_of_it() {
        let expected = StoreReport {
            store: "ab".repeat(16),
            name: "anna".into(),
            zone: "cellar".into(),
            machine: "m1".into(),
            state: "reporting".into(),
            capacity: 9,
            used: 8,
            contents: 7,
            chunks: 6,
        };
        assert_eq!(StoreReport::from(&store(StoreState::Reporting)), expected);
        let words = StoreState::ALL.iter().map(|state| StoreReport::from(&store(*state)).state);
        assert_eq!(words.collect::<Vec<_>>(), ["lending", "reporting", "away", "foreign", "leaving", "left"]);
    }

    #[test]
    fn health_says_each_number_under_its_name() {
        let health = Health {
            contents: 1,
            survives: 2,
            promised: 3,
            machines: 4,
            zones: 5,
            bytes: 6,
            endangered: 7,
            lost: 8,
            repairing: 9,
            hearing: true,
            away: List::new(vec![store(StoreState::Away)]),
        };
        let said = serde_json::to_value(HealthReport::from(&health)).unwrap();
        let numbers = [
            "contents",
            "survives",
            "promised",
            "machines",
            "zones",
            "bytes",
            "endangered",
            "lost",
            "repairing",
        ];
        assert_eq!(numbers.map(|name| said[name].as_u64()), [1, 2, 3, 4, 5, 6, 7, 8, 9].map(Some));
        assert_eq!(
            (said["hearing"].as_bool(), said["away"][0]["state"].as_str()),
            (Some(true), Some("away"))
        );
    }
}
