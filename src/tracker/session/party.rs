//! Who is at the other end of a connection: who that is, as far as its handshake has proved it, what of its messages it may
//! say, and what is registered by it.

use std::sync::MutexGuard;
use std::time::Instant;

use super::members::{self, Caller};
use super::reply::Reply;
use crate::content::{FileId, Network};
use crate::tracker::chronicle::Who;
use crate::tracker::directory::{Denial, Directory, Origin, Sender};
use crate::tracker::records::{Command, PublishAs, RemoveAs};
use crate::tracker::roles;
use crate::tracker::shared::Shared;
use crate::wire::{self, Common, FromTracker, Hello, ToTracker};

/// Names of an update that are changed under one lock.
pub(super) const CHANGES: usize = 64;

/// Who is at the other end.
#[derive(Debug)]
pub(super) struct Party {
    pub(super) sender: Sender,
    pub(super) name: String,
    pub(super) from: Origin,
    pub(super) caller: Caller,
    /// The epoch of the swarm's key that it knows of.
    pub(super) epoch: u32,
    /// True once it registered: it may have lost the registration since.
    pub(super) registered: bool,
}

impl Party {
    /// Who said `hello` on connection number `connection`, and has proved nothing.
    pub(super) fn new(connection: u64, from: Origin, hello: &Hello) -> Party {
        Party {
            sender: Sender { connection, peer: hello.peer },
            name: hello.name.to_string(),
            from,
            caller: Caller::Anybody,
            epoch: 0,
            registered: false,
        }
    }

    /// What of a message its sender may say; else what he is told.
    pub(super) fn permitted(&self, shared: &Shared, mut message: ToTracker) -> Result<ToTracker, Box<Reply>> {
        if self.caller == Caller::Anybody && !is_about_members(&message) {
            return Ok(message);
        }
        let Ok(standing) = self.caller.standing(shared.records().roster()) else {
            return Err(Box::new(Reply { close: true, ..members::revoked().into() }));
        };
        let who = self.caller.who(standing.as_ref());
        roles::may(who, &message).map_err(|why| Box::new(members::not_allowed(&why).into()))?;
        match &mut message {
            ToTracker::Register(register) => members::allowed(shared, who, &mut register.offers),
            ToTracker::Update(update) => members::allowed(shared, who, &mut update.added),
            _ => {}
        }
        Ok(message)
    }

    /// The command as its sender gives it.
    pub(super) fn signed(&self, command: Command) -> Command {
        match (command, self.caller) {
            (Command::Publish(publish), Caller::Member(by)) => Command::PublishAs(PublishAs { by, publish }),
            (Command::Remove(remove), Caller::Member(by)) => Command::RemoveAs(RemoveAs { by, remove }),
            (command, _) => command,
        }
    }

    /// The epoch of now, if it is another than the member at the other end knows of.
    pub(super) fn unheard(&self, shared: &Shared) -> Option<u32> {
        let Caller::Member(key) = self.caller else { return None };
        let records = shared.records();
        let number = records.roster().epoch()?.number;
        (number != self.epoch && records.roster().standing(key).is_some()).then_some(number)
    }

    /// Ends the registration, if there is one, because the connection ended.
    pub(super) fn end(&self, shared: &Shared, now: Instant) {
        if let Some(gone) = self.retire(shared, now) {
            shared.note(gone, "went without a word");
        }
    }

    /// Ends the registration, if there is one, and says whose it was.
    pub(super) fn retire(&self, shared: &Shared, now: Instant) -> Option<Who> {
        if !self.registered {
            return None;
        }
        let was_here = shared.lock().leave(self.sender);
        shared.sweep();
        let Sender { peer, connection } = self.sender;
        let is_store = shared.keep(now, |keeping| keeping.gone(peer, connection, now));
        was_here.then(|| self.named(is_store))
    }

    /// Who is at the other end, for people.
    pub(super) fn named(&self, is_store: bool) -> Who {
        Who::peer(self.sender.peer, &self.name, self.from.ip, is_store)
    }

    /// The directory, with the sign of life noted that every message is.
    pub(super) fn step<'a>(&self, shared: &'a Shared, now: Instant) -> MutexGuard<'a, Directory> {
        let mut directory = shared.lock();
        if self.registered {
            directory.touch(self.sender, now);
        }
        directory
    }

    pub(super) fn change(
        &self,
        shared: &Shared,
        now: Instant,
        change: impl FnOnce(&mut Directory, Sender) -> Result<(), Denial>,
    ) -> Result<FromTracker, Denial> {
        let changed = change(&mut self.step(shared, now), self.sender);
        shared.sweep();
        changed.map(|()| Common::Ok.into())
    }

    /// Changes what the sender shares, or nothing, by steps that others may come between.
    pub(super) fn update(
        &self,
        shared: &Shared,
        removed: &[(wire::Name, FileId)],
        added: &[wire::Offer],
        now: Instant,
    ) -> Result<(), Denial> {
        let mut outcome = self.step(shared, now).allow(self.sender, added);
        for some in removed.chunks(CHANGES) {
            outcome = outcome.and_then(|()| shared.lock().change(self.sender, some, &[], now));
        }
        for some in added.chunks(CHANGES) {
            outcome = outcome.and_then(|()| shared.lock().change(self.sender, &[], some, now));
        }
        shared.sweep();
        outcome
    }

    /// The store at the other end comes on record, if it is time: in an open swarm as one of so many of its address, in a
    /// closed one if it is in the roster.
    pub(super) fn sees(&self, shared: &Shared, now: Instant) {
        let standing = self.caller.standing(shared.records().roster());
        match self.caller {
            Caller::Anybody => shared.see(self.sender.peer, Some(Network::of(self.from.ip)), now),
            _ if matches!(standing, Ok(Some(_))) => shared.see(self.sender.peer, None, now),
            _ => {}
        }
    }
}

/// True of what has no meaning where there are no members.
fn is_about_members(message: &ToTracker) -> bool {
    use ToTracker::{Enter, GetMembers, Invite, Join, Renew, Revoke, Rotate};
    matches!(message, Join(_) | Renew(_) | Invite(_) | Revoke(_) | Rotate(_) | GetMembers(_) | Enter(_))
}
