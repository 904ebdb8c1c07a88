//! Open files and sockets: as many as this process may have, what they carry, and what is done when there are none.

use std::io;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::say;
use crate::threads::lock;

/// Kept for what is no connection: folders being listed, files being hashed, the index, links to trackers. Where
/// there are very few, half of them.
const KEPT: usize = 128;
/// One use of files that could keep many open may keep this part of all.
const CACHE_SHARE: usize = 8;
/// How long something waits for what the process is short of, and between its tries at first and later.
const PATIENCE: Duration = Duration::from_secs(30);
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const MAX_PAUSE: Duration = Duration::from_secs(1);

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

/// The connections that can be promised, if each takes so many descriptors: as many as were `asked` for, and it is said if those
/// are too many; else as many as are `usual`, or what can be had.
pub(crate) fn carried(asked: Option<usize>, usual: usize, each: usize) -> usize {
    let limit = raise();
    let carried = carry(limit, each);
    if let Some(asked) = asked.filter(|asked| carried < *asked) {
        tracing::warn!(
            "this process may have {limit} files open, which is enough for {carried} connections and not for {asked}; \
             raise the limit (ulimit -Hn) or ask for fewer with --max-connections"
        );
    }
    carried.min(asked.unwrap_or(usual))
}

/// How many files something may keep open that would like to keep `wanted`, but can open them again.
pub(crate) fn cached(wanted: usize) -> usize {
    let limit = getrlimit(Resource::Nofile).current.and_then(|limit| usize::try_from(limit).ok());
    limit.map_or(wanted, |limit| wanted.min(limit / CACHE_SHARE)).max(1)
}

/// An error that may say that this process or system is short of something, and nothing of what was asked for.
pub(crate) trait Shortage {
    /// True if it says that.
    fn is_shortage(&self) -> bool;
}

impl Shortage for Errno {
    fn is_shortage(&self) -> bool {
        matches!(*self, Errno::MFILE | Errno::NFILE | Errno::NOMEM)
    }
}

impl Shortage for io::Error {
    fn is_shortage(&self) -> bool {
        Errno::from_io_error(self).is_some_and(|error| error.is_shortage())
    }
}

/// Opens something; if the process is short of descriptors or memory, again for a while: others give some back.
pub(crate) fn patiently<T, E: Shortage>(open: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    patiently_for(PATIENCE, open)
}

fn patiently_for<T, E: Shortage>(patience: Duration, mut open: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    static SAID: Mutex<Option<say::Seldom>> = Mutex::new(None);
    let until = Instant::now() + patience;
    let mut pause = FIRST_PAUSE;
    loop {
        match open() {
            Err(error) if error.is_shortage() && Instant::now() < until => {
                if lock(&SAID).get_or_insert_default().is_due(Instant::now()) {
                    tracing::warn!("there are no open files or no memory left; waiting for some");
                }
                thread::sleep(pause);
                pause = (pause * 2).min(MAX_PAUSE);
            }
            outcome => return outcome,
        }
    }
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

    #[test]
    fn a_shortage_is_waited_for_and_nothing_else_is() {
        let mut tries = 0;
        let opened = patiently(|| {
            tries += 1;
            if tries < 4 { Err(Errno::MFILE) } else { Ok(tries) }
        });
        assert_eq!(opened, Ok(4));
        assert_eq!(patiently(|| Err::<(), _>(Errno::IO)), Err(Errno::IO));
        let error = patiently_for(FIRST_PAUSE, || Err::<(), _>(io::Error::from(Errno::NFILE)));
        assert!(error.unwrap_err().is_shortage(), "and not for ever");
        assert!(!io::Error::other("?").is_shortage());
    }

    #[test]
    fn what_can_be_opened_again_keeps_few_open() {
        assert_eq!(cached(0), 1);
        assert!(cached(usize::MAX) >= 1);
    }
}
