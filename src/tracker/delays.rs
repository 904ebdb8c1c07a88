//! How long a tracker waits for what is away.

use std::time::Duration;

use crate::rescue;

/// How long it waits.
#[derive(Debug, Clone, Copy)]
pub struct Delays {
    /// What nothing refers to, stores give up after so long.
    pub grace: Duration,
    /// What a store held that is away, others keep after so long.
    pub repair_after: Duration,
    /// How long nodes may be silent, and duties to bring them back last.
    pub nodes: rescue::Terms,
}

impl Default for Delays {
    fn default() -> Delays {
        Delays {
            grace: Duration::from_secs(3600),
            repair_after: Duration::from_secs(60),
            nodes: rescue::Terms::default(),
        }
    }
}
