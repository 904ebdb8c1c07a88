//! Locks that are had in turn: who takes many steps lets others in between them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::content::Network;
use crate::threads;

/// A value that one has at a time. Who takes many steps with it waits behind who wants one, though the lock is free for a
/// moment between them.
#[derive(Debug, Default)]
pub(super) struct Queued<T> {
    next: Mutex<()>,
    value: Mutex<T>,
}

impl<T> Queued<T> {
    pub(super) fn new(value: T) -> Queued<T> {
        Queued { next: Mutex::default(), value: Mutex::new(value) }
    }

    /// The value, for one bounded step.
    pub(super) fn lock(&self) -> MutexGuard<'_, T> {
        let _next = threads::lock(&self.next);
        threads::lock(&self.value)
    }
}

/// Who asks what anybody may ask as often as he likes: those of a network one after the other.
#[derive(Debug, Default)]
pub(super) struct Askers(Mutex<BTreeMap<Network, Arc<Mutex<()>>>>);

impl Askers {
    /// Takes a step for somebody of this network, when those of it who came before have taken theirs.
    pub(super) fn asked<T>(&self, from: Network, step: impl FnOnce() -> T) -> T {
        let turn = threads::lock(&self.0).entry(from).or_default().clone();
        let asked = {
            let _turn = threads::lock(&turn);
            step()
        };
        drop(turn);
        let mut askers = threads::lock(&self.0);
        if askers.get(&from).is_some_and(|turn| Arc::strong_count(turn) == 1) {
            askers.remove(&from);
        }
        asked
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::thread;
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn who_takes_many_steps_lets_others_in_between_them() {
        let queued = Arc::new(Queued::new(()));
        let (steps, over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let sweeping = {
            let (queued, steps, over) = (queued.clone(), steps.clone(), over.clone());
            thread::spawn(move || {
                while !over.load(Ordering::SeqCst) {
                    let _value = queued.lock();
                    let until = Instant::now() + Duration::from_micros(300);
                    while Instant::now() < until {}
                    steps.fetch_add(1, Ordering::SeqCst);
                }
            })
        };
        let mut waited: Vec<usize> = (0..99)
            .map(|_| {
                thread::sleep(Duration::from_millis(1)); // it comes now and then
                let before = steps.load(Ordering::SeqCst);
                drop(queued.lock());
                steps.load(Ordering::SeqCst) - before
            })
            .collect();
        over.store(true, Ordering::SeqCst);
        sweeping.join().unwrap();
        waited.sort_unstable();
        // Without a place in the queue one in ten waited for a hundred.
        assert!(waited[89] <= 5, "as a rule for so many steps: {waited:?}");
    }

    #[test]
    fn those_of_one_network_ask_one_after_the_other_and_others_beside_them() {
        let (askers, within) = (Arc::new(Askers::default()), Arc::new(AtomicUsize::new(0)));
        let network = |last| Network::of([10, 0, 0, last].into());
        let (release, held) = mpsc::channel::<()>();
        let (begun, begins) = mpsc::channel();
        let first = {
            let (askers, begun) = (askers.clone(), begun.clone());
            thread::spawn(move || {
                askers.asked(network(1), || {
                    begun.send(0).unwrap();
                    let _ = held.recv();
                });
            })
        };
        assert_eq!(begins.recv().unwrap(), 0);
        let others: Vec<_> = (1..9)
            .map(|number| {
                let (askers, within, begun) = (askers.clone(), within.clone(), begun.clone());
                thread::spawn(move || {
                    askers.asked(network(1), || {
                        assert_eq!(within.fetch_add(1, Ordering::SeqCst), 0, "one at a time");
                        thread::yield_now();
                        within.fetch_sub(1, Ordering::SeqCst);
                        begun.send(number).unwrap();
                    });
                })
            })
            .collect();
        assert_eq!(askers.asked(network(2), || 7), 7, "another network waits for none of them");
        assert!(begins.try_recv().is_err());
        drop(release);
        first.join().unwrap();
        others.into_iter().for_each(|other| other.join().unwrap());
        assert_eq!(begins.try_iter().count(), 8);
        assert!(threads::lock(&askers.0).is_empty(), "who asks no more is forgotten");
    }
}
