//! Who changes the records: one thread that owns the journal. Commands that come while it writes are written together.
//!
//! Nothing is answered before it is on the disk. A journal that forgets needs no thread: then whoever asks does it.

use std::io;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::command::{Command, Start};
use super::journal::Journal;
use super::machine::{Applied, Records};
use crate::clock::since_1970_ms;
use crate::say;
use crate::storage::said;
use crate::threads::{self, lock};
use crate::wire::{Authority, SwarmSecret, Term};
use rustix::rand::GetRandomFlags;

/// Most commands that are written together; more wait.
const MAX_TOGETHER: usize = 512;

/// The records, and the way to change them.
#[derive(Debug)]
pub struct Recorder {
    records: Arc<RwLock<Records>>,
    /// None if the journal forgets.
    writer: Option<Writer>,
    wants_records: bool,
}

#[derive(Debug)]
struct Writer {
    orders: Sender<Order>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

enum Order {
    Submit(Box<Command>, Sender<Result<Applied, Unrecorded>>),
    Barrier(Sender<()>),
    Stop,
}

/// Why a command was not carried out. Nothing of it will be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unrecorded {
    /// The tracker is stopping.
    #[error("the tracker is stopping")]
    Stopping,
    /// It cannot be written.
    #[error("the tracker cannot write its journal: {0}")]
    Journal(String),
}

impl Recorder {
    /// One that keeps nothing on disk: its authority is new, and its term so late that none before was later.
    pub fn forgetful() -> Recorder {
        let mut records = Records::default();
        let start = Start { authority: Authority::random(), least: Term(since_1970_ms().into()) };
        records.apply(1, &Command::Start(start));
        Recorder { records: Arc::new(RwLock::new(records)), writer: None, wants_records: true }
    }

    /// One that writes to this journal, and goes on from the records that were in it. A new term begins. One that
    /// recovers takes in what stores remember.
    ///
    /// # Errors
    /// The system gives no thread; or the journal cannot be written.
    pub fn start(journal: Journal, records: Records, recovers: bool) -> io::Result<Recorder> {
        let records = Arc::new(RwLock::new(records));
        let (orders, ordered) = bounded(MAX_TOGETHER);
        let theirs = Arc::clone(&records);
        let thread = threads::named("tracker-recorder").essential(move || run(journal, &theirs, &ordered))?;
        let writer = Writer { orders, thread: Mutex::new(Some(thread)) };
        let recorder = Recorder { records, writer: Some(writer), wants_records: recovers };
        let start = Start { authority: Authority::random(), least: Term::default() };
        recorder.submit(Command::Start(start)).map_err(io::Error::other)?;
        Ok(recorder)
    }

    /// Carries out a command, and waits until what came of it is on the disk. The time that it speaks of is now, and the
    /// secrets that it makes are new.
    ///
    /// # Errors
    /// [`Unrecorded`].
    pub fn submit(&self, mut command: Command) -> Result<Applied, Unrecorded> {
        command.stamp(since_1970_ms(), random_secret);
        let Some(writer) = &self.writer else {
            return Ok(apply(&mut write(&self.records), &command));
        };
        let (reply, replied) = bounded(1);
        let ordered = writer.orders.send(Order::Submit(Box::new(command), reply));
        ordered.map_err(|_| Unrecorded::Stopping)?;
        replied.recv().unwrap_or(Err(Unrecorded::Stopping))
    }

    /// Waits until all that was ordered before is in the records: who reads them then decides by nothing older.
    ///
    /// # Errors
    /// [`Unrecorded`]: this tracker does not decide about them any more.
    pub fn barrier(&self) -> Result<(), Unrecorded> {
        let Some(writer) = &self.writer else { return Ok(()) };
        let (reply, replied) = bounded(1);
        writer.orders.send(Order::Barrier(reply)).map_err(|_| Unrecorded::Stopping)?;
        replied.recv().map_err(|_| Unrecorded::Stopping)
    }

    /// The time of now, as commands are stamped with it: milliseconds since 1970.
    pub fn clock_ms(&self) -> u64 {
        since_1970_ms()
    }

    /// The records as they are on the disk.
    pub fn read(&self) -> RwLockReadGuard<'_, Records> {
        self.records.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// True if the records outlive this process.
    pub fn is_lasting(&self) -> bool {
        self.writer.is_some()
    }

    /// True if what stores remember of the records is to be taken in: nothing else does, or that is lost.
    pub fn wants_records(&self) -> bool {
        self.wants_records
    }

    /// Carries out what was ordered before, and nothing more. Calling it twice does no harm.
    pub fn stop(&self) {
        let Some(writer) = &self.writer else { return };
        if let Some(thread) = lock(&writer.thread).take() {
            let _ = writer.orders.send(Order::Stop);
            let _ = thread.join(); // its panic has ended the process
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.stop();
    }
}

fn run(mut journal: Journal, records: &RwLock<Records>, orders: &Receiver<Order>) {
    loop {
        let (mut together, mut barriers) = (Vec::new(), Vec::new());
        let mut stop = false;
        let Ok(first) = orders.recv() else { return };
        for order in std::iter::once(first).chain(orders.try_iter()).take(MAX_TOGETHER) {
            match order {
                Order::Submit(command, reply) => together.push((*command, reply)),
                Order::Barrier(reply) => barriers.push(reply),
                Order::Stop => {
                    stop = true;
                    break;
                }
            }
        }
        if !together.is_empty() {
            carry_out(&mut journal, records, together);
        }
        for reply in barriers {
            let _ = reply.send(()); // who asked may be gone
        }
        if stop {
            return;
        }
        if journal.is_due() {
            write_anew(&mut journal, records);
        }
    }
}

/// Writes, syncs, applies, answers.
fn carry_out(
    journal: &mut Journal,
    records: &RwLock<Records>,
    together: Vec<(Command, Sender<Result<Applied, Unrecorded>>)>,
) {
    if let Err(error) = journal.append(together.iter().map(|(command, _)| command)) {
        let failed = Unrecorded::Journal(said(&error));
        return together.into_iter().for_each(|(_, reply)| drop(reply.send(Err(failed.clone()))));
    }
    if let Err(error) = journal.sync() {
        end(&said(&error));
    }
    let applied: Vec<Applied> = {
        let mut records = write(records);
        together.iter().map(|(command, _)| apply(&mut records, command)).collect()
    };
    for ((_, reply), applied) in together.into_iter().zip(applied) {
        let _ = reply.send(Ok(applied)); // who asked may be gone
    }
}

/// A secret that nobody else has, of the system's own randomness.
fn random_secret() -> SwarmSecret {
    let mut bytes = [0; 32];
    let mut left = &mut bytes[..];
    while !left.is_empty() {
        match rustix::rand::getrandom(&mut *left, GetRandomFlags::empty()) {
            Ok(got) => left = left.split_at_mut(got).1,
            Err(rustix::io::Errno::INTR) => {}
            // What follows would be a key that others can guess.
            Err(error) => end(&format!("the system gives no randomness: {error}")),
        }
    }
    SwarmSecret::new(bytes)
}

fn apply(records: &mut Records, command: &Command) -> Applied {
    let slot = records.applied() + 1;
    records.apply(slot, command)
}

/// Puts the records themselves in the place of the commands that led to them.
fn write_anew(journal: &mut Journal, records: &RwLock<Records>) {
    let snapshot = records.read().unwrap_or_else(PoisonError::into_inner).snapshot();
    match journal.draft(&snapshot) {
        Ok(draft) => {
            if let Err(error) = journal.replace(draft) {
                end(&error.to_string());
            }
        }
        Err(error) => tracing::warn!("the journal cannot be written anew, and grows: {error}"),
    }
}

/// What is on the disk is not known any more, and a second try would not tell: nothing may be promised from now on.
fn end(why: &str) -> ! {
    say::line(&format!(
        "p2p: the tracker's journal could not be put on the disk ({why}); it ends, because it cannot keep what it \
         would promise"
    ));
    threads::end_process()
}

fn write(records: &RwLock<Records>) -> RwLockWriteGuard<'_, Records> {
    records.write().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
