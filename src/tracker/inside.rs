//! A tracker, for who is in its process: it is asked what members ask, and answers as it answers them.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::directory::Origin;
use super::records::{Command, Outcome, Pages};
use super::server::passing::{self, Passing};
use super::session::{Effect, Session};
use super::shared::Shared;
use crate::content::PeerId;
use crate::wire::{self, FromTracker, Role, ToTracker, limits};

/// Of the time of a step, this part is left to others before the next.
const LEFT_TO_OTHERS: u32 = 4;
/// How long an answer is waited for that is not there yet.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is looked whether it is.
const LOOK: Duration = Duration::from_millis(20);
/// Numbers of connections that no socket has.
static NUMBERS: AtomicU64 = AtomicU64::new(u64::MAX / 2);

/// A running tracker; it may have ended.
#[derive(Debug, Clone)]
pub struct Inside {
    shared: Arc<Shared>,
    /// The way to the other trackers, if it is one of several.
    passing: Option<Arc<Passing>>,
}

impl Inside {
    pub(super) fn new(shared: Arc<Shared>, passing: Option<Arc<Passing>>) -> Inside {
        Inside { shared, passing }
    }

    /// Who may come in to its page, as its records have it.
    pub fn pages(&self) -> Pages {
        self.shared.records().pages().clone()
    }

    /// Changes its records, and waits until that is on the disk.
    ///
    /// # Errors
    /// It could not be written down, or the records refuse it; as people read it.
    pub fn record(&self, command: Command) -> Result<(), String> {
        let applied = self.shared.record(command, Instant::now()).map_err(|error| error.to_string())?;
        match applied.outcome {
            Outcome::Refused(refused) => Err(refused.to_string()),
            _ => Ok(()),
        }
    }

    /// Asks it. Nothing is registered this way.
    pub fn ask(&self, question: ToTracker) -> FromTracker {
        let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let hello = wire::Hello {
            min_version: limits::MIN_VERSION,
            max_version: limits::MAX_VERSION,
            features: 0,
            role: Role::Member,
            peer: PeerId::random(),
            listen_port: 0,
            name: wire::Label::default(),
            software: wire::Label::default(),
        };
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        let mut session = Session::new(number, Origin::new(here, here), &hello);
        let again = self.passing.as_ref().zip(passing::patience(&question, Instant::now()));
        let again = again.map(|again| (again, question.clone()));
        let answer = self.answer(&mut session, question);
        match again {
            Some(((passing, until), question)) if passing::is_no_quorum(&answer) => {
                let goes_on = |time| {
                    thread::sleep(time);
                    true
                };
                match passing.ask((&session, &question), &goes_on, until) {
                    Ok(Some(answer)) => answer,
                    Ok(None) => self.answer(&mut session, question),
                    Err(_) => answer,
                }
            }
            _ => answer,
        }
    }

    fn answer(&self, session: &mut Session, question: ToTracker) -> FromTracker {
        let until = Instant::now() + PATIENCE;
        let mut began = Instant::now();
        let mut reply = session.answer(&self.shared, question, began);
        loop {
            match reply.effect {
                Some(Effect::GoOn) => thread::sleep(began.elapsed() / LEFT_TO_OTHERS),
                Some(Effect::Wait(_)) if Instant::now() < until => thread::sleep(LOOK),
                _ => break,
            }
            began = Instant::now();
            reply = session.go_on(&self.shared, began);
        }
        let silent = || wire::Common::error(wire::ErrorCode::Limit, "no answer in time").into();
        reply.answer.unwrap_or_else(silent)
    }
}
