//! How often something that is written down is done for one address: some times at once, then as often as time gives leave.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::content::Network;

/// So many stores of an address come on record at once,
const AT_ONCE: u32 = 32;
/// and then one more after so long.
const EVERY: Duration = Duration::from_secs(60);

/// Until when what each address has had is made up for by time.
#[derive(Debug, Default)]
pub(super) struct Allowance(BTreeMap<Network, Instant>);

impl Allowance {
    /// Takes leave for one more; false if there is none.
    pub(super) fn takes(&mut self, from: Network, now: Instant) -> bool {
        self.0.retain(|_, until| *until > now);
        let until = self.0.get(&from).copied().unwrap_or(now) + EVERY;
        let leave = until <= now + EVERY * AT_ONCE;
        if leave {
            self.0.insert(from, until);
        }
        leave
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_some_at_once_then_one_a_minute_and_others_have_theirs() {
        let (mut allowance, now) = (Allowance::default(), Instant::now());
        let [one, other] = [1, 2].map(|last| Network::of([10, 0, 0, last].into()));
        let had =
            |allowance: &mut Allowance, from, at| (0..100).filter(|_| allowance.takes(from, at)).count();
        assert_eq!(had(&mut allowance, one, now), AT_ONCE as usize);
        assert_eq!(had(&mut allowance, other, now), AT_ONCE as usize);
        assert_eq!(had(&mut allowance, one, now + EVERY), 1);
        let later = now + EVERY * 2 * AT_ONCE;
        assert_eq!(had(&mut allowance, one, later), AT_ONCE as usize);
        assert_eq!(allowance.0.len(), 1, "who has made up for all is forgotten");
    }
}
