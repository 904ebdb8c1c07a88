//! Who changes the records, and what is on the disk before anything is answered.
//!
//! A tracker that keeps nothing needs no thread: whoever asks does it. One that is alone has a thread that owns the journal
//! (`alone`). One of several has a thread that owns what makes them one (`several`), its log (`ledger`) and what is to be said to
//! the others (`outlet`); what others were asked it leaves in `changes`, and how it stands in `view`. `order` is what is asked of a
//! recorder, and why it was not done; `end` how the process ends that cannot keep what it would promise.

use std::io;
use std::path::Path;
use std::sync::{Arc, RwLock};

use crate::clock::since_1970_ms;
use crate::threads::{self, Reading};
use crate::tracker::records::{Applied, Command, Journal, JournalError, Records, Start};
use crate::wire::{Authority, Term};
use alone::Alone;

mod alone;
mod changes;
mod end;
mod ledger;
mod order;
mod outlet;
mod several;
mod view;

pub use changes::{Changed, Changes};
pub use order::{JoinError, Unrecorded};
pub use outlet::{Inlet, Outlet, outlet};
pub use several::{Founders, Several};
pub use view::View;

/// The records, and the way to change them.
#[derive(Debug)]
pub struct Recorder {
    records: Arc<RwLock<Records>>,
    writer: Writer,
    wants_records: bool,
    had_records: bool,
}

#[derive(Debug)]
enum Writer {
    /// Whoever asks: nothing is written.
    Nobody,
    Alone(Alone),
    Several(Arc<Several>),
}

/// True if the records in this folder are those of a tracker of a cluster.
pub fn is_of_cluster(folder: &Path) -> bool {
    ledger::is_in(folder)
}

/// True if the records in this folder, of a tracker of a cluster, are those of a closed swarm.
///
/// # Errors
/// They cannot be read.
pub fn is_closed_cluster(folder: &Path) -> Result<bool, JournalError> {
    ledger::is_closed(folder)
}

impl Recorder {
    /// One that keeps nothing on disk: its authority is new, and its term so late that none before was later.
    pub fn forgetful() -> Recorder {
        let mut records = Records::default();
        let start = Start { authority: Authority::random(), least: Term(since_1970_ms().into()) };
        records.apply(1, &Command::Start(start));
        let records = Arc::new(RwLock::new(records));
        Recorder { records, writer: Writer::Nobody, wants_records: true, had_records: false }
    }

    /// One that writes to this journal, and goes on from the records that were in it. A new term begins. One that
    /// recovers takes in what stores remember.
    ///
    /// # Errors
    /// The system gives no thread; or the journal cannot be written.
    pub fn start(journal: Journal, records: Records, recovers: bool) -> io::Result<Recorder> {
        let had_records = records.applied() > 0;
        let records = Arc::new(RwLock::new(records));
        let writer = Writer::Alone(Alone::start(journal, &records)?);
        let recorder = Recorder { records, writer, wants_records: recovers, had_records };
        let start = Start { authority: Authority::random(), least: Term::default() };
        recorder.submit(Command::Start(start)).map_err(io::Error::other)?;
        Ok(recorder)
    }

    /// That of one of several trackers, who keeps what they agree on in this folder.
    ///
    /// # Errors
    /// What is in the folder cannot be used; or the system gives no thread.
    pub fn join(folder: &Path, founders: Founders) -> Result<Recorder, JoinError> {
        let records = Arc::default();
        let (several, had_records) = Several::start(folder, founders, &records)?;
        Ok(Recorder { records, writer: Writer::Several(several), wants_records: false, had_records })
    }

    /// Carries out a command, and waits until what came of it is on the disk. The time that it speaks of is now, and the
    /// secrets that it makes are new.
    ///
    /// # Errors
    /// [`Unrecorded`].
    pub fn submit(&self, mut command: Command) -> Result<Applied, Unrecorded> {
        order::stamp(&mut command);
        match &self.writer {
            Writer::Nobody => Ok(alone::apply(&mut threads::write(&self.records), &command)),
            Writer::Alone(alone) => alone.submit(command),
            Writer::Several(several) => several.submit(command),
        }
    }

    /// The same, for who does not wait for long for other trackers.
    ///
    /// # Errors
    /// [`Unrecorded`].
    pub fn submit_in_time(&self, mut command: Command) -> Result<Applied, Unrecorded> {
        match &self.writer {
            Writer::Several(several) => {
                order::stamp(&mut command);
                several.submit_in_time(command)
            }
            Writer::Nobody | Writer::Alone(_) => self.submit(command),
        }
    }

    /// Waits until all that was ordered before is in the records: who reads them then decides by nothing older.
    ///
    /// # Errors
    /// [`Unrecorded`]: this tracker does not decide about them any more.
    pub fn barrier(&self) -> Result<(), Unrecorded> {
        match &self.writer {
            Writer::Nobody => Ok(()),
            Writer::Alone(alone) => alone.barrier(),
            Writer::Several(several) => several.catch_up(),
        }
    }

    /// The time of now, as commands are stamped with it: milliseconds since 1970.
    pub fn clock_ms(&self) -> u64 {
        since_1970_ms()
    }

    /// The records as they are on the disk.
    pub(crate) fn read(&self) -> Reading<'_, Records> {
        threads::read(&self.records)
    }

    /// True if the records outlive this process.
    pub fn is_lasting(&self) -> bool {
        !matches!(self.writer, Writer::Nobody)
    }

    /// True if there were records when it started: those of an earlier run of this tracker.
    pub fn had_records(&self) -> bool {
        self.had_records
    }

    /// True if what stores remember of the records is to be taken in: nothing else does, or that is lost.
    pub fn wants_records(&self) -> bool {
        self.wants_records
    }

    /// What makes this tracker one of several, if it is.
    pub fn several(&self) -> Option<&Arc<Several>> {
        match &self.writer {
            Writer::Several(several) => Some(several),
            Writer::Nobody | Writer::Alone(_) => None,
        }
    }

    /// Carries out what was ordered before, and nothing more. Calling it twice does no harm.
    pub fn stop(&self) {
        match &self.writer {
            Writer::Nobody => {}
            Writer::Alone(alone) => alone.stop(),
            Writer::Several(several) => several.stop(),
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests;
