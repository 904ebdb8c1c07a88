//! The recorder of a tracker that is alone: one thread that owns the journal. Commands that come while it writes are
//! written together. When the thread ends, what it has not taken in is dropped, as in `several`.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, RwLock};
use std::thread::JoinHandle;

use crossbeam_channel::{Sender, bounded};

use super::end::end;
use super::order::Unrecorded;
use crate::storage::said;
use crate::threads::{self, lock};
use crate::tracker::records::{Applied, Command, Journal, Records};

/// Most commands that are written together; more wait.
const MAX_TOGETHER: usize = 512;

/// The thread, to order from.
#[derive(Debug)]
pub(super) struct Alone {
    orders: SyncSender<Order>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

enum Order {
    Submit(Box<Command>, Sender<Result<Applied, Unrecorded>>),
    Barrier(Sender<()>),
    Stop,
}

impl Alone {
    pub(super) fn start(journal: Journal, records: &Arc<RwLock<Records>>) -> io::Result<Alone> {
        let (orders, ordered) = sync_channel(MAX_TOGETHER);
        let records = Arc::clone(records);
        let thread =
            threads::named("tracker-recorder").essential(move || run(journal, &records, &ordered))?;
        Ok(Alone { orders, thread: Mutex::new(Some(thread)) })
    }

    pub(super) fn submit(&self, command: Command) -> Result<Applied, Unrecorded> {
        let (reply, replied) = bounded(1);
        let ordered = self.orders.send(Order::Submit(Box::new(command), reply));
        ordered.map_err(|_| Unrecorded::Stopping)?;
        replied.recv().unwrap_or(Err(Unrecorded::Stopping))
    }

    pub(super) fn barrier(&self) -> Result<(), Unrecorded> {
        let (reply, replied) = bounded(1);
        self.orders.send(Order::Barrier(reply)).map_err(|_| Unrecorded::Stopping)?;
        replied.recv().map_err(|_| Unrecorded::Stopping)
    }

    pub(super) fn stop(&self) {
        if let Some(thread) = lock(&self.thread).take() {
            let _ = self.orders.send(Order::Stop);
            let _ = thread.join(); // its panic has ended the process
        }
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
        let mut records = threads::write(records);
        together.iter().map(|(command, _)| apply(&mut records, command)).collect()
    };
    for ((_, reply), applied) in together.into_iter().zip(applied) {
        let _ = reply.send(Ok(applied)); // who asked may be gone
    }
}

/// Applies the next command.
pub(super) fn apply(records: &mut Records, command: &Command) -> Applied {
    let slot = records.applied() + 1;
    records.apply(slot, command)
}

/// Puts the records themselves in the place of the commands that led to them.
fn write_anew(journal: &mut Journal, records: &RwLock<Records>) {
    let snapshot = threads::read(records).snapshot();
    match journal.draft(&snapshot) {
        Ok(draft) => {
            if let Err(error) = journal.replace(draft) {
                end(&error.to_string());
            }
        }
        Err(error) => tracing::warn!("the journal cannot be written anew, and grows: {error}"),
    }
}
