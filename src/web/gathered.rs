//! What takes long to gather is kept for a moment, for those who ask for the next part of it, or for it in another order.

use std::any::Any;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::answer::Problem;
use crate::threads::lock;

/// How long it counts as what is there.
const FRESH: Duration = Duration::from_secs(4);
/// How long it may lie about.
const KEPT: Duration = Duration::from_secs(30);
/// How many of it lie about.
const MAX_KEPT: usize = 8;

#[derive(Debug)]
struct Lot {
    what: String,
    since: Instant,
    items: Arc<dyn Any + Send + Sync>,
}

/// What was gathered lately.
#[derive(Debug, Default)]
pub(super) struct Gathered(Mutex<Vec<Lot>>);

impl Gathered {
    /// True if what is called so was gathered a moment ago.
    pub(super) fn has(&self, what: &str) -> bool {
        lock(&self.0).iter().any(|lot| lot.what == what && lot.since.elapsed() < FRESH)
    }

    /// What is called so: as it was gathered a moment ago, or gathered now.
    pub(super) fn get<T: Send + Sync + 'static>(
        &self,
        what: &str,
        gather: impl FnOnce() -> Result<T, Problem>,
    ) -> Result<Arc<T>, Problem> {
        let fresh = {
            let lots = lock(&self.0);
            let lot = lots.iter().find(|lot| lot.what == what && lot.since.elapsed() < FRESH);
            lot.and_then(|lot| lot.items.clone().downcast::<T>().ok())
        };
        if let Some(fresh) = fresh {
            return Ok(fresh);
        }
        let items = Arc::new(gather()?);
        let lot = Lot { what: what.to_owned(), since: Instant::now(), items: items.clone() };
        let mut lots = lock(&self.0);
        lots.retain(|lot| lot.what != what);
        if lots.len() >= MAX_KEPT {
            lots.remove(0);
        }
        lots.push(lot);
        Ok(items)
    }

    /// Lets go of what nobody has asked for again.
    pub(super) fn sweep(&self) {
        lock(&self.0).retain(|lot| lot.since.elapsed() < KEPT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_gathered_a_moment_ago_is_not_gathered_again() {
        let gathered = Gathered::default();
        assert_eq!(*gathered.get("a", || Ok(1)).unwrap(), 1);
        assert_eq!(*gathered.get("a", || Ok(2)).unwrap(), 1);
        assert_eq!(*gathered.get("b", || Ok(3)).unwrap(), 3);
        assert!(gathered.get::<i32>("c", || Err(Problem::bad("no"))).is_err());
        for number in 0..MAX_KEPT {
            gathered.get(&number.to_string(), || Ok(number)).unwrap();
        }
        assert_eq!(*gathered.get("a", || Ok(4)).unwrap(), 4, "others took its place");
    }
}
