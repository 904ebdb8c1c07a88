//! Questions that take many steps, and how their askers share the time: those of one network as if they were one.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::Duration;

use crate::content::Network;
use crate::threads::lock;

/// Of the time of a step, this part is left to others before the next.
const LEFT_TO_OTHERS: u32 = 4;
/// No pause is longer, so that it is soon seen when the asker, or the others, are gone.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// How many long questions each network asks at the moment.
#[derive(Debug, Default)]
pub(super) struct Askings(Mutex<BTreeMap<Network, u32>>);

/// A long question; no more when it is dropped.
#[derive(Debug)]
pub(super) struct Asking<'a> {
    askings: &'a Askings,
    from: Network,
}

impl Askings {
    /// Somebody asks a long question.
    pub(super) fn begins(&self, from: IpAddr) -> Asking<'_> {
        let from = Network::of(from);
        *lock(&self.0).entry(from).or_default() += 1;
        Asking { askings: self, from }
    }
}

impl Asking<'_> {
    /// How long to wait after a step that took so long.
    pub(super) fn pause_after(&self, step: Duration) -> Duration {
        let others = lock(&self.askings.0).get(&self.from).map_or(0, |all| all.saturating_sub(1));
        (step * others + step / LEFT_TO_OTHERS).min(LONGEST_PAUSE)
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        let mut askings = lock(&self.askings.0);
        if let Some(all) = askings.get_mut(&self.from) {
            *all -= 1;
            if *all == 0 {
                askings.remove(&self.from);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_ask_from_one_network_share_the_time_of_one() {
        let step = Duration::from_millis(4);
        let askings = Askings::default();
        let one = askings.begins([10, 0, 0, 1].into());
        let elsewhere = askings.begins([10, 0, 0, 2].into());
        assert_eq!(one.pause_after(step), step / 4);
        let second = askings.begins([10, 0, 0, 1].into());
        let third = askings.begins([10, 0, 0, 1].into());
        assert_eq!(one.pause_after(step), step * 2 + step / 4);
        assert_eq!(third.pause_after(Duration::from_secs(1)), LONGEST_PAUSE);
        drop(second);
        assert_eq!((third.pause_after(step), elsewhere.pause_after(step)), (step + step / 4, step / 4));
        drop((one, third, elsewhere));
        assert!(lock(&askings.0).is_empty());
    }
}
