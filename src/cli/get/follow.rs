//! Following a transfer to its end, wherever it runs, with an ear for signals.

use std::net::Shutdown;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use super::progress::Progress;
use crate::api::Exit;
use crate::api::{Report, TransferStatus};
use crate::cli::failure::Failure;
use crate::cli::reach::daemon::{Daemon, Told};
use crate::cli::run::signals::Stop;
use crate::cli::show::words::size;
use crate::peer::Job;
use crate::threads;

/// How often progress is looked at.
const TICK: Duration = Duration::from_millis(100);

/// Follows a transfer of this process.
pub(super) fn job(job: &Job, progress: &mut Progress, stop: &Stop) -> Result<Report, Failure> {
    loop {
        let ended = job.wait(TICK);
        let status = job.status();
        progress.show(&status);
        if let Some(ended) = ended {
            return Ok(ended?);
        }
        if stop.asked() {
            job.cancel();
            return Err(interrupted(&status));
        }
    }
}

/// Follows a transfer of the running peer, which goes on with it whatever happens here.
pub(super) fn daemon(daemon: Daemon, progress: &mut Progress, stop: &Stop) -> Result<Report, Failure> {
    let handle = daemon.handle();
    let (tell, told) = mpsc::sync_channel(1);
    let read = threads::named("daemon").connection(move || read(daemon, &tell));
    let reader = read.map_err(Failure::cannot_start)?;
    let outcome = loop {
        match told.recv_timeout(TICK) {
            Ok(Ok(Told::Status(status))) => progress.show(&status),
            Ok(Ok(Told::Done(report))) => break Ok(report),
            Ok(Err(failure)) => break Err(failure),
            Err(RecvTimeoutError::Disconnected) => break Err(crate::cli::reach::daemon::went_away()),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if stop.asked() {
            break Err(Failure::new(
                Exit::Interrupted,
                "stopped watching; the running peer goes on fetching",
            ));
        }
    };
    drop(told);
    if let Some(handle) = handle {
        let _ = handle.shutdown(Shutdown::Both);
    }
    let _ = reader.join();
    outcome
}

fn read(mut daemon: Daemon, tell: &mpsc::SyncSender<Result<Told, Failure>>) {
    loop {
        let told = daemon.told();
        let last = !matches!(told, Ok(Told::Status(_)));
        if tell.send(told).is_err() || last {
            return;
        }
    }
}

fn interrupted(status: &TransferStatus) -> Failure {
    Failure::new(
        Exit::Interrupted,
        format!(
            "stopped at {} of {}; what arrived is kept, the same command goes on with it",
            size(status.bytes_done),
            size(status.bytes_total)
        ),
    )
}
