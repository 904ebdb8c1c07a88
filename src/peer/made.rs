//! Something that is made once, by whoever needs it first; the others wait for it, and nobody holds a lock meanwhile.

use std::sync::{Condvar, Mutex, PoisonError};

use crate::threads::lock;

/// What is there of it.
#[derive(Debug, Default)]
enum State<T> {
    #[default]
    Nothing,
    /// Somebody is making it.
    Begun,
    There(T),
}

/// Something that is made when it is needed.
#[derive(Debug)]
pub(super) struct Made<T> {
    state: Mutex<State<T>>,
    ended: Condvar,
}

impl<T> Default for Made<T> {
    fn default() -> Made<T> {
        Made { state: Mutex::new(State::Nothing), ended: Condvar::new() }
    }
}

impl<T: Clone> Made<T> {
    /// It, made by `make` if it is not there. If that fails, the next who needs it tries again.
    pub(super) fn get_or_make<E>(&self, make: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let mut state = lock(&self.state);
        loop {
            match &*state {
                State::There(made) => return Ok(made.clone()),
                State::Nothing => break,
                State::Begun => state = self.ended.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
        *state = State::Begun;
        drop(state);
        // However this ends, by a panic too, nobody waits for ever.
        let mut outcome = Outcome { made: self, state: State::Nothing };
        let made = make()?;
        outcome.state = State::There(made.clone());
        Ok(made)
    }

    /// It, if it is there.
    pub(super) fn get(&self) -> Option<T> {
        match &*lock(&self.state) {
            State::There(made) => Some(made.clone()),
            State::Nothing | State::Begun => None,
        }
    }

    /// Puts another in its place.
    pub(super) fn set(&self, made: T) {
        *lock(&self.state) = State::There(made);
    }

    /// Takes it away: it is made again when it is needed.
    pub(super) fn take(&self) -> Option<T> {
        let mut state = lock(&self.state);
        match std::mem::take(&mut *state) {
            State::There(made) => Some(made),
            other => {
                *state = other;
                None
            }
        }
    }
}

/// What to say when the making has ended.
struct Outcome<'a, T> {
    made: &'a Made<T>,
    state: State<T>,
}

impl<T> Drop for Outcome<'_, T> {
    fn drop(&mut self) {
        *lock(&self.made.state) = std::mem::take(&mut self.state);
        self.made.ended.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    #[test]
    fn it_is_made_once_and_again_when_it_was_taken() {
        let made = Made::default();
        assert_eq!((made.get(), made.take()), (None, None));
        assert_eq!(made.get_or_make(|| Ok::<_, ()>(1)), Ok(1));
        assert_eq!(made.get_or_make(|| Ok::<_, ()>(2)), Ok(1));
        assert_eq!((made.get(), made.take(), made.take()), (Some(1), Some(1), None));
        made.set(4);
        assert_eq!(made.get_or_make(|| Ok::<_, ()>(2)), Ok(4));
        made.take();
        assert_eq!(made.get_or_make(|| Ok::<_, ()>(3)), Ok(3));
    }

    #[test]
    fn who_comes_meanwhile_waits_and_holds_up_nobody() {
        let (made, tries) = (Made::default(), AtomicUsize::new(0));
        let ((begun, has_begun), (go, may_go)) = (mpsc::channel(), mpsc::channel());
        thread::scope(|scope| {
            let (made, tries) = (&made, &tries);
            let first = scope.spawn(move || {
                made.get_or_make(|| {
                    tries.fetch_add(1, Ordering::Relaxed);
                    begun.send(()).unwrap();
                    may_go.recv().unwrap()
                })
            });
            has_begun.recv().unwrap();
            // No lock is held by whoever makes it.
            assert_eq!((made.get(), made.take()), (None, None));
            let second = scope.spawn(|| {
                made.get_or_make(|| {
                    tries.fetch_add(1, Ordering::Relaxed);
                    Ok::<_, &str>(7)
                })
            });
            go.send(Err("no")).unwrap();
            assert_eq!(first.join().unwrap(), Err("no"));
            assert_eq!(second.join().unwrap(), Ok(7), "what failed is tried again");
        });
        assert_eq!((made.get(), tries.into_inner()), (Some(7), 2));
    }

    #[test]
    fn a_panic_leaves_nobody_waiting() {
        let made = Made::<u8>::default();
        let failed = thread::scope(|scope| {
            scope.spawn(|| made.get_or_make(|| -> Result<u8, ()> { panic!("on purpose") })).join()
        });
        assert!(failed.is_err());
        assert_eq!(made.get_or_make(|| Ok::<_, ()>(1)), Ok(1));
    }
}
