//! Open files and sockets: as many as this process may have, and what they carry.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Kept for what is no connection: folders being listed, files being hashed, the index, links to trackers. Where
/// there are very few, half of them.
const KEPT: usize = 128;

/// Lets the process have as many as the system allows, beyond the usual 1024, and says how many that is.
pub(crate) fn raise() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let now = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(error) => {
            tracing::debug!("the limit of open files stays at {:?}: {error}", limit.current);
            limit.current
        }
    };
    now.and_then(|now| usize::try_from(now).ok()).unwrap_or(usize::MAX)
}

/// The connections that can be promised of `wanted` ones, if each takes so many descriptors. Says so if
/// that is fewer.
pub(crate) fn carried(wanted: usize, each: usize) -> usize {
    let limit = raise();
    let carried = carry(limit, each);
    if carried < wanted {
        tracing::warn!(
            "this process may have {limit} files open, which is enough for {carried} connections and not for {wanted}; \
             raise the limit (ulimit -Hn) or ask for fewer with --max-connections"
        );
    }
    carried.min(wanted)
}

fn carry(limit: usize, each: usize) -> usize {
    ((limit - KEPT.min(limit / 2)) / each).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn something_is_kept_and_somebody_is_let_in() {
        assert_eq!(carry(1024, 4), 224);
        assert_eq!(carry(64, 4), 8);
        assert_eq!(carry(3, 4), 1);
        assert_eq!(carry(usize::MAX, 1), usize::MAX - KEPT);
    }
}
