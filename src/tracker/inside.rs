//! A tracker, for who is in its process: it is asked what members ask, and answers as it answers them.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use super::chronicle::Chronicle;
use super::directory::Origin;
use super::recorder::{Unrecorded, View};
use super::records::{Applied, Command, Outcome, Pages};
use super::server::passing::{self, Passing};
use super::session::{Caller, Effect, Session};
use super::shared::Shared;
use crate::content::{PeerId, shown};
use crate::wire::{self, FromTracker, Role, ToTracker, limits};

/// Of the time of a step, this part is left to others before the next.
const LEFT_TO_OTHERS: u32 = 4;
/// How long an answer is waited for that is not there yet.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a tracker is waited for that leads and takes a change.
const CHANGE_PATIENCE: Duration = Duration::from_secs(5);
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

    /// Changes who may come in to its page, and waits until that is on record here: by way of the tracker that leads, if
    /// this is one of several.
    ///
    /// # Errors
    /// It could not be written down, or the records refuse it; as people read it.
    pub fn change_pages(&self, change: &Command) -> Result<(), String> {
        let until = Instant::now() + CHANGE_PATIENCE;
        loop {
            let why = match (self.shared.change_pages(change.clone()), &self.passing) {
                (Ok(Applied { outcome: Outcome::Refused(refused), .. }), _) => {
                    return Err(refused.to_string());
                }
                (Ok(_), _) => return Ok(()),
                (Err(why @ (Unrecorded::NotLeader | Unrecorded::Unknown)), Some(passing)) => {
                    match passing.change_pages(change, &waits(until), until) {
                        Ok(Some(FromTracker::Common(wire::Common::Ok))) => return self.see(change, until),
                        Ok(Some(FromTracker::Common(wire::Common::Error(error)))) => {
                            return Err(shown(&error.detail));
                        }
                        Ok(Some(_)) => {
                            return Err("the tracker that leads answered with something else".into());
                        }
                        Ok(None) => why.to_string(), // this tracker leads meanwhile
                        Err(error) => error.to_string(),
                    }
                }
                (Err(why), _) => return Err(why.to_string()),
            };
            if Instant::now() >= until {
                return Err(why);
            }
            thread::sleep(LOOK);
        }
    }

    /// Waits until a change that the tracker that leads has made is on record here, too.
    fn see(&self, change: &Command, until: Instant) -> Result<(), String> {
        while !self.shared.records().reflects(change) {
            if Instant::now() >= until {
                return Err("it is on record, and this tracker has not heard of it yet".to_owned());
            }
            thread::sleep(LOOK);
        }
        Ok(())
    }

    /// How it stands among the trackers of its cluster; none if it is alone.
    pub fn view(&self) -> Option<View> {
        self.shared.several().map(|several| several.view())
    }

    /// Who came and went last, and the number of what happens next.
    pub fn chronicle(&self) -> MutexGuard<'_, Chronicle> {
        self.shared.chronicle()
    }

    /// Asks it. Nothing is registered this way.
    pub fn ask(&self, question: ToTracker) -> FromTracker {
        self.ask_as(Caller::Anybody, question)
    }

    /// Asks it by word of the first admin of its closed swarm; where there is none, by nobody's.
    pub fn ask_as_admin(&self, question: ToTracker) -> FromTracker {
        let admin = self.shared.records().roster().first_admin();
        self.ask_as(admin.map_or(Caller::Anybody, Caller::Member), question)
    }

    fn ask_as(&self, caller: Caller, question: ToTracker) -> FromTracker {
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
        let mut session = Session::new(number, Origin::new(here, here), &hello).of(caller, 0);
        let again = self.passing.as_ref().zip(passing::patience(&question, Instant::now()));
        let again = again.map(|again| (again, question.clone()));
        let answer = self.answer(&mut session, question);
        match again {
            Some(((passing, until), question)) if passing::is_no_quorum(&answer) => {
                match passing.ask((&session, &question), &waits(until), until) {
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

/// What waits for a while, and for no answer long after this.
fn waits(until: Instant) -> impl Fn(Duration) -> bool {
    move |time| {
        thread::sleep(time);
        Instant::now() < until + PATIENCE
    }
}
