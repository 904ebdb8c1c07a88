//! Threads: what they are called, and what it means when one ends by a panic.
//!
//! No panic may leave half a process behind, which lives on and is deaf. So whoever starts a thread says of which
//! kind it is. One that the process cannot do without ends the process; that of a job ends its job, and that
//! of a connection ends its connection. The panic itself is told by
//! `program`, in one sentence. Names are constants: no
//! text of others gets into one.

#![allow(clippy::disallowed_methods, reason = "this is the one place")]

use std::any::Any;
use std::cell::Cell;
use std::io;
use std::ops::Deref;
use std::panic::{self, AssertUnwindSafe};
use std::process;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::{Builder, JoinHandle, Scope, ScopedJoinHandle};

/// The exit code of a process when a thread fails that it cannot do without.
pub(crate) const FAILED: u8 = 1;

/// Stack of a [`small`] thread: a read buffer, a few frames, and room to spare.
const SMALL_STACK_BYTES: usize = 128 << 10;

/// Locks `mutex`. A thread that panicked inside left a value that is still whole: every step on shared values
/// is small, and the panic itself has its consequences where the thread ends.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A lock that many may have to read. A thread has it once: where it asks again while another waits to write, both wait
/// for ever, which happens rarely and to users. In builds for tests asking twice is a panic, whoever waits.
#[derive(Debug)]
pub(crate) struct Reading<'a, T> {
    guard: RwLockReadGuard<'a, T>,
    #[cfg(debug_assertions)]
    _once: once::Once,
}

impl<T> Deref for Reading<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.guard
    }
}

/// Locks `value` to read it; of threads that panicked inside as [`lock`].
#[track_caller]
pub(crate) fn read<T>(value: &RwLock<T>) -> Reading<'_, T> {
    #[cfg(debug_assertions)]
    let once = once::Once::new(value);
    let guard = value.read().unwrap_or_else(PoisonError::into_inner);
    Reading {
        guard,
        #[cfg(debug_assertions)]
        _once: once,
    }
}

/// Locks `value` to change it; as [`read`].
#[track_caller]
pub(crate) fn write<T>(value: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    #[cfg(debug_assertions)]
    drop(once::Once::new(value));
    value.write().unwrap_or_else(PoisonError::into_inner)
}

/// Which values this thread reads, in builds for tests.
#[cfg(debug_assertions)]
mod once {
    use std::cell::RefCell;
    use std::sync::RwLock;

    thread_local! {
        static READ: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
    }

    /// Until this is dropped this thread reads the value at this address.
    #[derive(Debug)]
    pub(super) struct Once(usize);

    impl Once {
        #[track_caller]
        pub(super) fn new<T>(value: &RwLock<T>) -> Once {
            let address = std::ptr::from_ref(value).addr();
            READ.with_borrow_mut(|read| {
                assert!(!read.contains(&address), "a thread that reads a value locks it once more");
                read.push(address);
            });
            Once(address)
        }
    }

    impl Drop for Once {
        fn drop(&mut self) {
            READ.with_borrow_mut(|read| read.retain(|address| *address != self.0));
        }
    }
}

/// What the end of a thread by a panic means.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Essential,
    Job,
    Connection,
    Helper,
}

impl Kind {
    fn consequence(self) -> &'static str {
        match self {
            Kind::Essential => "this process cannot go on without it and ends",
            Kind::Job => "what it was doing ends",
            Kind::Connection => "its connection ends",
            Kind::Helper => "what it was helping with ends",
        }
    }
}

thread_local! {
    static KIND: Cell<Kind> = const { Cell::new(Kind::Essential) };
}

/// What it means, in words, if this thread ends by a panic.
pub(crate) fn consequence() -> &'static str {
    KIND.get().consequence()
}

/// A thread to be started; what it does says of which kind it is.
#[derive(Debug)]
pub(crate) struct Thread(Builder);

/// A thread of this name.
pub(crate) fn named(name: &'static str) -> Thread {
    Thread(Builder::new().name(name.to_owned()))
}

/// A thread of this name that waits and passes on, and needs little room.
pub(crate) fn small(name: &'static str) -> Thread {
    named(name).stack(SMALL_STACK_BYTES)
}

impl Thread {
    /// With so much room for its stack.
    pub(crate) fn stack(self, bytes: usize) -> Thread {
        Thread(self.0.stack_size(bytes))
    }

    /// A thread without which the process would be half of one: its panic ends the process.
    pub(crate) fn essential(self, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
        self.spawn(Kind::Essential, move || {
            if caught(run).is_err() {
                end_process();
            }
        })
    }

    /// A thread that sees something to its end; `failed` ends that if the thread panics, and hears why.
    pub(crate) fn job(
        self,
        run: impl FnOnce() + Send + 'static,
        failed: impl FnOnce(&str) + Send + 'static,
    ) -> io::Result<JoinHandle<()>> {
        self.spawn(Kind::Job, move || {
            if let Err(Panicked(why)) = caught(run)
                && caught(|| failed(&why)).is_err()
            {
                end_process(); // somebody would wait for ever
            }
        })
    }

    /// A thread of one connection: what it holds is given back as it is dropped, and nobody else ends.
    pub(crate) fn connection(self, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
        self.spawn(Kind::Connection, move || drop(caught(run)))
    }

    /// One of several threads that do the work of the caller, who must [`join`] it. None if the system has
    /// no room for it: the others do more then.
    pub(crate) fn helper<'scope, T: Send + 'scope>(
        self,
        scope: &'scope Scope<'scope, '_>,
        run: impl FnOnce() -> T + Send + 'scope,
    ) -> Option<ScopedJoinHandle<'scope, T>> {
        let run = move || {
            KIND.set(Kind::Helper);
            run()
        };
        self.0.spawn_scoped(scope, run).ok()
    }

    fn spawn(self, kind: Kind, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
        self.0.spawn(move || {
            KIND.set(kind);
            run();
        })
    }
}

/// Ends the process, of which nothing may be left half; why was said.
pub(crate) fn end_process() -> ! {
    process::exit(i32::from(FAILED))
}

/// Waits for a helper; its panic goes on here.
pub(crate) fn join<T>(helper: ScopedJoinHandle<'_, T>) -> T {
    helper.join().unwrap_or_else(|panic| panic::resume_unwind(panic))
}

/// A panic, and what it said.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Panicked(String);

/// Does something, and goes on if that panics. What it used is dropped, or looked after by the caller.
pub(crate) fn caught<T>(run: impl FnOnce() -> T) -> Result<T, Panicked> {
    panic::catch_unwind(AssertUnwindSafe(run)).map_err(|panic| Panicked(words(&*panic).to_owned()))
}

/// What a panic said.
pub(crate) fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it said nothing")
}

/// Where tests let a thread panic: the place that `P2P_PANIC_IN` names, in builds for tests only.
#[cfg(debug_assertions)]
pub(crate) fn may_panic(place: &str) {
    use std::sync::OnceLock;
    static WHERE: OnceLock<Option<String>> = OnceLock::new();
    let chosen = WHERE.get_or_init(|| std::env::var("P2P_PANIC_IN").ok());
    assert!(chosen.as_deref() != Some(place), "as it was told to");
}

/// Where tests let a thread panic; not in this build.
#[cfg(not(debug_assertions))]
pub(crate) fn may_panic(_place: &str) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "locks it once more")]
    fn a_thread_that_reads_a_value_does_not_lock_it_again() {
        let value = RwLock::new(1);
        // The first one is let go at the end of the statement, not of the expression.
        let _sum = *read(&value) + *read(&value);
    }

    #[test]
    fn a_value_is_read_again_once_it_was_let_go() {
        let (value, other) = (RwLock::new(1), RwLock::new(2));
        let first = read(&value);
        assert_eq!(*first + *read(&other), 3);
        drop(first);
        *write(&value) += 1;
        assert_eq!(*read(&value), 2);
    }

    #[test]
    fn the_panic_of_a_job_ends_the_job_and_says_why() {
        let (tell, told) = std::sync::mpsc::channel();
        let run = || panic!("no more {}", "room");
        let failed = move |why: &str| tell.send((why.to_owned(), consequence())).unwrap();
        named("job").job(run, failed).unwrap().join().unwrap();
        assert_eq!(told.recv().unwrap(), ("no more room".to_owned(), "what it was doing ends"));
    }

    #[test]
    fn a_job_that_ends_by_itself_has_not_failed() {
        let (tell, told) = std::sync::mpsc::channel();
        let other = tell.clone();
        let run = move || tell.send(consequence()).unwrap();
        named("job").job(run, move |_| other.send("failed").unwrap()).unwrap().join().unwrap();
        assert_eq!(told.iter().collect::<Vec<_>>(), ["what it was doing ends"]);
    }

    #[test]
    fn the_panic_of_a_connection_gives_back_what_it_holds_and_ends_nothing_else() {
        let held = std::sync::Arc::new(Mutex::new(1));
        let holds = held.clone();
        let run = move || {
            let mut value = lock(&holds);
            *value = 2;
            panic!("it said so")
        };
        named("connection").connection(run).unwrap().join().unwrap();
        assert_eq!(std::sync::Arc::strong_count(&held), 1);
        assert_eq!(*lock(&held), 2, "the lock is of use to others");
    }

    #[test]
    fn values_that_somebody_panicked_with_are_read_and_changed_on() {
        let value = RwLock::new(1);
        let fallen: Result<(), Panicked> = caught(|| {
            *write(&value) = 2;
            let _changing = write(&value);
            panic!("while it changed it")
        });
        assert_eq!(fallen.unwrap_err().to_string(), "while it changed it");
        assert!(value.is_poisoned());
        assert_eq!(*read(&value), 2);
        *write(&value) = 3;
        assert_eq!(*read(&value), 3);
    }

    #[test]
    fn the_panic_of_a_helper_is_that_of_who_joins_it() {
        let all = caught(|| {
            std::thread::scope(|scope| {
                let fine = named("helper").helper(scope, consequence).unwrap();
                assert_eq!(join(fine), "what it was helping with ends");
                join(named("helper").helper(scope, || -> u32 { panic!("of the helper") }).unwrap())
            })
        });
        assert_eq!(all.unwrap_err().to_string(), "of the helper");
    }

    #[test]
    fn what_is_no_text_says_nothing() {
        assert_eq!(words(&"constant"), "constant");
        assert_eq!(words(&"made".to_owned()), "made");
        assert_eq!(words(&7), "it said nothing");
        assert_eq!(caught(|| 5).unwrap(), 5);
    }
}
