//! What a tracker answers to one connection's messages.
//!
//! Owns what a connection may do in which state. Pure but for the lock on the directory: a message
//! and `now` in, an answer out; no socket, no clock. The lock is taken for one bounded step at a time.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::directory::{Denial, Directory, Load, Near, Page, Profile, Query, Sender, Wanted};
use crate::content::{FileId, SafeName};
use crate::wire::{self, Common, ErrorCode, FromTracker, Hello, List, Located, Message, Purpose, ToTracker};

/// Contents of a peer that is gone cleared away under one lock.
const SWEEP: usize = 512;

/// The directory, shared by all sessions.
#[derive(Debug)]
pub struct Shared(Mutex<Directory>);

impl Shared {
    /// Shares a directory.
    pub fn new(directory: Directory) -> Shared {
        Shared(Mutex::new(directory))
    }

    /// The directory, for one bounded step.
    pub fn lock(&self) -> MutexGuard<'_, Directory> {
        // A step that panicked is a defect, but it is no reason to stop answering everybody else.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Clears away what peers that are gone have left.
    pub fn sweep(&self) {
        while self.lock().sweep(SWEEP) {}
    }
}

/// An answer, and whether the connection ends after it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Reply {
    /// What to send; nothing is owed to an ERROR.
    pub answer: Option<FromTracker>,
    /// True if the connection should be closed once the answer is sent.
    pub close: bool,
}

impl From<FromTracker> for Reply {
    fn from(answer: FromTracker) -> Reply {
        Reply { answer: Some(answer), close: false }
    }
}

/// One connection.
#[derive(Debug)]
pub struct Session {
    sender: Sender,
    name: String,
    host: IpAddr,
    /// True once it registered: it may have lost the registration since.
    registered: bool,
}

impl Session {
    /// A session of connection number `connection`, which came from `host` and said `hello`.
    pub fn new(connection: u64, host: IpAddr, hello: &Hello) -> Session {
        let sender = Sender { connection, peer: hello.peer };
        // An address like ::ffff:10.0.0.1 is the IPv4 one as a socket for both kinds sees it.
        Session { sender, name: hello.name.to_string(), host: host.to_canonical(), registered: false }
    }

    /// Answers a message.
    pub fn answer(&mut self, shared: &Shared, message: ToTracker, now: Instant) -> Reply {
        let answered = match message {
            ToTracker::Common(message) => return self.answer_common(shared, &message, now),
            ToTracker::Register(message) => self.register(shared, &message, now),
            ToTracker::Update(message) => self.change(shared, now, |directory, sender| {
                directory.update(sender, &message.removed, &message.added)
            }),
            ToTracker::HaveChunks(message) => self
                .change(shared, now, |directory, sender| directory.have(sender, message.id, &message.gained)),
            ToTracker::Heartbeat(message) => {
                let load =
                    Load { uploads: message.uploads, downloads: message.downloads, space: message.space };
                self.change(shared, now, |directory, sender| directory.heartbeat(sender, load, now))
            }
            ToTracker::Report(message) => self.change(shared, now, |directory, sender| {
                let about = (message.id, message.chunk);
                directory.report(sender, message.peer, message.complaint, about, now)
            }),
            ToTracker::Locate(message) => self.locate(shared, message, now),
            ToTracker::GetList(message) => Ok(self.list(shared, &message, now)),
            ToTracker::GetStatus(_) => Ok(self.step(shared, now).status(now).into()),
            ToTracker::GetPeers(message) => {
                let limit = usize::from(message.limit);
                let (peers, more) = self.step(shared, now).peers(message.after, limit, now);
                Ok(wire::Peers { peers: List::new(peers), more }.into())
            }
        };
        answered.unwrap_or_else(|denial| denial.answer()).into()
    }

    /// Ends the registration, if there is one, because the connection ended.
    pub fn end(&self, shared: &Shared) {
        if self.registered {
            shared.lock().leave(self.sender);
            shared.sweep();
        }
    }

    fn answer_common(&mut self, shared: &Shared, message: &Common, now: Instant) -> Reply {
        match message {
            Common::Ping => {
                drop(self.step(shared, now));
                FromTracker::Common(Common::Pong).into()
            }
            Common::Leave => {
                self.end(shared);
                Reply { answer: Some(Common::Ok.into()), close: true }
            }
            Common::Error(_) => Reply { answer: None, close: true },
            Common::Hello(_) | Common::Pong | Common::Ok => {
                let detail = format!("unexpected {}", message.label());
                Reply { answer: Some(error(ErrorCode::Unexpected, detail)), close: true }
            }
        }
    }

    /// The directory, with the sign of life noted that every message is.
    fn step<'a>(&self, shared: &'a Shared, now: Instant) -> MutexGuard<'a, Directory> {
        let mut directory = shared.lock();
        if self.registered {
            directory.touch(self.sender, now);
        }
        directory
    }

    fn change(
        &self,
        shared: &Shared,
        now: Instant,
        change: impl FnOnce(&mut Directory, Sender) -> Result<(), Denial>,
    ) -> Result<FromTracker, Denial> {
        change(&mut self.step(shared, now), self.sender)?;
        Ok(Common::Ok.into())
    }

    fn register(
        &mut self,
        shared: &Shared,
        message: &wire::Register,
        now: Instant,
    ) -> Result<FromTracker, Denial> {
        let host = match message.host.is_empty() {
            true => self.host.into(),
            false => message.host.clone(),
        };
        let profile = Profile { name: self.name.clone(), host, port: message.port };
        let mut directory = shared.lock();
        directory.register(self.sender, profile, now);
        self.registered = true;
        let (lease, epoch) = (directory.lease(), directory.epoch());
        let outcome = directory.update(self.sender, &[], &message.offers);
        if outcome.is_err() {
            directory.leave(self.sender);
        }
        drop(directory);
        shared.sweep();
        outcome?;
        let lease_ms = u32::try_from(lease.as_millis()).unwrap_or(u32::MAX);
        Ok(wire::Registered { lease_ms, epoch }.into())
    }

    fn locate(&self, shared: &Shared, message: wire::Locate, now: Instant) -> Result<FromTracker, Denial> {
        let name = message.name.into_string();
        let wanted = match message.id {
            FileId::NONE => {
                check_name(&name)?;
                Wanted::Name(&name)
            }
            id => Wanted::Id(id),
        };
        let query = Query {
            wanted,
            purpose: message.purpose,
            max: usize::from(message.max),
            missing: &message.missing,
            asker: self.sender.peer,
        };
        let variants = self.step(shared, now).locate(&query, now);
        let mut near = Near::new(&name);
        if variants.is_empty() && query.purpose == Purpose::Inspect && matches!(wanted, Wanted::Name(_)) {
            while !shared.lock().near(&mut near) {}
        }
        Ok(Located { variants: List::new(variants), near: List::new(near.names()) }.into())
    }

    fn list(&self, shared: &Shared, message: &wire::GetList, now: Instant) -> FromTracker {
        let mut page = Page::new(&message.pattern, &message.after, usize::from(message.limit));
        while !self.step(shared, now).list(&mut page) {}
        wire::Listing { entries: List::new(page.entries), more: page.more }.into()
    }
}

impl Denial {
    /// The ERROR that tells of it.
    fn answer(&self) -> FromTracker {
        let code = match self {
            Denial::NotRegistered | Denial::NotOffered(_) => ErrorCode::NotRegistered,
            Denial::BadName(..) => ErrorCode::BadName,
            Denial::BadOffer(_) | Denial::BadChunks => ErrorCode::Malformed,
            Denial::Full(_) => ErrorCode::Limit,
        };
        error(code, self.to_string())
    }
}

fn error(code: ErrorCode, detail: String) -> FromTracker {
    Common::Error(wire::Error { code, detail: wire::Text::new(detail) }).into()
}

fn check_name(name: &str) -> Result<(), Denial> {
    match SafeName::new(name) {
        Ok(_) => Ok(()),
        Err(error) => Err(Denial::BadName(name.to_owned(), error)),
    }
}
