//! Trackers that have just come back: of who has what they may not have heard all again.

use std::fmt;
use std::time::Duration;

use crate::cli::failure::Failure;
use crate::cli::show::words::elapsed;
use crate::wire::Status;

/// Such a tracker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Young {
    address: String,
    up: Duration,
}

impl Young {
    /// What the status of the tracker at this address says of that.
    pub(crate) fn seen(address: &str, status: &Status) -> Option<Young> {
        let up = Duration::from_millis(status.uptime_ms);
        (status.settling_ms > 0).then(|| Young { address: address.to_owned(), up })
    }

    /// The failure where nothing was found there: it may be there all the same.
    pub(crate) fn failure(&self, nothing: &str) -> Failure {
        Failure::unreachable(format!("{nothing}, but {self}; try again in a moment, or with --wait"))
    }
}

impl fmt::Display for Young {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Young { address, up } = self;
        let up = elapsed(*up);
        write!(f, "the tracker at {address} started {up} ago and may not have heard of all peers yet")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_that_has_come_back_is_young_and_it_says_since_when() {
        let status = |settling_ms| Status {
            uptime_ms: 2000,
            epoch: 1,
            peers: 0,
            names: 0,
            registrations: 0,
            located: 0,
            settling_ms,
            clock_ms: 0,
        };
        assert_eq!(Young::seen("t:1", &status(0)), None);
        let young = Young::seen("t:1", &status(1)).unwrap();
        let said = "the tracker at t:1 started 2.00 s ago and may not have heard of all peers yet";
        assert_eq!(young.to_string(), said);
        let failure = young.failure("nobody is known who has a").to_string();
        assert!(failure.contains(said) && failure.contains("--wait"), "{failure}");
    }
}
