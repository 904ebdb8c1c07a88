//! Who is in a closed swarm: the roster of its members, invites, and the epochs of its key. Part of the records' machine:
//! as deterministic, so what is random or of the clock comes in the commands.
//!
//! A member may enter keys of its own, one for each of its peers: they may do what it may, and go when it goes.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use bytes::BytesMut;

use super::outcome::{Outcome, Refused};
use crate::content::PublicKey;
use crate::net::secure::{Psk, Secret};
use crate::wire::{
    Cursor, DecodeError, Epoch, Field, Label, List, MemberInfo, MemberRole, Name, Standing, SwarmSecret,
    layout, limits, put_list,
};
pub use change::{Admit, Enter, Expire, Found, Founder, Invite, Revoke, Rotate};

/// Most keys in a roster.
const MAX_MEMBERS: usize = 1 << 16;
/// Most keys of its own that a member may enter.
const MAX_OWN: usize = 64;
/// Most invites that wait for somebody.
const MAX_INVITES: usize = 1024;
/// Most epochs that are remembered, so that who knows one of them may still come back.
const MAX_EPOCHS: usize = 1024;
/// The end of an epoch that has none yet.
const OPEN_END: u64 = u64::MAX;

layout! {
    /// A member, or a key of its own that a member entered.
    #[allow(unreachable_pub, reason = "what has a layout is public; this stays here")]
    Member {
        name: Label,
        standing: Standing,
        by: PublicKey,
        own: bool,
        /// The invite by which it joined; 0 for none.
        invite: u64,
        since_ms: u64,
    }
}

layout! {
    /// An invite.
    #[allow(unreachable_pub, reason = "what has a layout is public; this stays here")]
    Open {
        key: SwarmSecret,
        by: PublicKey,
        standing: Standing,
        uses: u32,
        until_ms: u64,
    }
}

layout! {
    /// An epoch of the swarm's key.
    #[allow(unreachable_pub, reason = "what has a layout is public; this stays here")]
    Age {
        epoch: Epoch,
        /// Until when its key lets in; 0: that is over.
        until_ms: u64,
    }
}

/// The number by which those who join name an invite: what a key's id is on the wire.
pub fn invite_id(key: &SwarmSecret) -> u64 {
    u64::from_be_bytes(Psk::of_key(Secret::from(*key.expose())).id().0)
}

/// A key by which the swarm, or a part of what it says, is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key<'a> {
    /// That of an epoch that lets members in.
    Member(&'a Epoch),
    /// That of an epoch that is over: members ask for the new one by it.
    Renew(&'a Epoch),
    /// That of the invite of this number.
    Join(u64, &'a SwarmSecret),
}

/// The roster; nobody is in that of an open swarm.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roster {
    swarm: Label,
    members: BTreeMap<PublicKey, Member>,
    invites: BTreeMap<u64, Open>,
    /// In ascending order; the last is that of now.
    ages: Vec<Age>,
    /// Those that were put out last, the latest last.
    revoked: VecDeque<PublicKey>,
}

impl Roster {
    pub(super) fn found(&mut self, found: &Found) -> Outcome {
        let has = |role| found.founders.iter().any(|founder| founder.role == role);
        if self.is_closed() || !has(MemberRole::Admin) || !has(MemberRole::Tracker) {
            return Outcome::Refused(Refused::Open);
        }
        self.swarm = found.swarm.clone();
        self.ages =
            vec![Age { epoch: Epoch { number: 1, secret: found.secret.clone() }, until_ms: OPEN_END }];
        for Founder { key, name, role } in found.founders.iter() {
            let standing = Standing { role: *role, prefix: Name::default() };
            let (by, since_ms) = (PublicKey::NONE, found.since_ms);
            let member = Member { name: name.clone(), standing, by, own: false, invite: 0, since_ms };
            self.members.insert(*key, member);
        }
        Outcome::Members
    }

    pub(super) fn invite(&mut self, invite: &Invite) -> Result<Outcome, Refused> {
        self.check_admin(invite.by)?;
        if self.invites.len() >= MAX_INVITES {
            return Err(Refused::Full);
        }
        let Invite { by, ref key, ref standing, uses, until_ms, .. } = *invite;
        let open = Open { key: key.clone(), by: self.root(by), standing: standing.clone(), uses, until_ms };
        self.invites.insert(invite.id, open);
        Ok(Outcome::Members)
    }

    pub(super) fn admit(&mut self, admit: &Admit) -> Result<Outcome, Refused> {
        if self.revoked.contains(&admit.key) {
            return Err(Refused::Revoked);
        }
        let before = self.members.get(&admit.key);
        if before.is_some_and(|member| member.invite == admit.invite) {
            return Ok(Outcome::Members);
        }
        let Some(open) = self.invites.get_mut(&admit.invite) else { return Err(Refused::NoInvite) };
        if open.uses == 0 || open.until_ms <= admit.now_ms {
            return Err(Refused::NoInvite);
        }
        if before.is_none() && self.members.len() >= MAX_MEMBERS {
            return Err(Refused::Full);
        }
        // Who may do more already goes on to do so.
        let standing = match before.filter(|member| !member.own).map(|member| &member.standing) {
            Some(before) if before.role == MemberRole::Admin || before.role > open.standing.role => {
                before.clone()
            }
            _ => open.standing.clone(),
        };
        open.uses -= 1;
        let Admit { invite, key, ref name, now_ms } = *admit;
        let (name, by) = (name.clone(), open.by);
        self.members.insert(key, Member { name, standing, by, own: false, invite, since_ms: now_ms });
        Ok(Outcome::Members)
    }

    pub(super) fn enter(&mut self, enter: &Enter) -> Result<Outcome, Refused> {
        let by = self.root(enter.by);
        if self.revoked.contains(&enter.key) {
            return Err(Refused::Revoked);
        }
        match enter.own {
            true if !self.members.contains_key(&by) => return Err(Refused::NoMember),
            true if self.members.contains_key(&enter.key) => {
                // Its own or not, somebody has entered it.
                let theirs = self.root(enter.key) != by;
                return if theirs { Err(Refused::NotAdmin) } else { Ok(Outcome::Members) };
            }
            true if self.own(by).count() >= MAX_OWN => return Err(Refused::Full),
            true => {}
            false => self.check_admin(by)?,
        }
        let before = self.members.get(&enter.key);
        if before.is_none() && self.members.len() >= MAX_MEMBERS {
            return Err(Refused::Full);
        }
        if before.is_some()
            && self.is_last(enter.key)
            && before.map(|member| &member.standing) != Some(&enter.standing)
        {
            return Err(Refused::Last);
        }
        let (since_ms, invite) =
            before.map_or((enter.since_ms, 0), |member| (member.since_ms, member.invite));
        let name = match before {
            Some(member) if enter.name.is_empty() => member.name.clone(),
            _ => enter.name.clone(),
        };
        let (standing, own) = (enter.standing.clone(), enter.own);
        // Another role makes nobody another's member.
        let by = before.filter(|member| !member.own).map_or(by, |member| member.by);
        self.members.insert(enter.key, Member { name, standing, by, own, invite, since_ms });
        Ok(Outcome::Members)
    }

    pub(super) fn revoke(&mut self, revoke: &Revoke) -> Result<Outcome, Refused> {
        self.check_admin(revoke.by)?;
        if !self.members.contains_key(&revoke.key) {
            return Err(Refused::NoMember);
        }
        if self.is_last(revoke.key) {
            return Err(Refused::Last);
        }
        let gone: Vec<PublicKey> = self.own(revoke.key).chain([revoke.key]).collect();
        for key in gone {
            self.members.remove(&key);
            self.revoked.push_back(key);
        }
        while self.revoked.len() > limits::MAX_REVOKED {
            self.revoked.pop_front();
        }
        self.invites.retain(|_, open| open.by != revoke.key);
        self.ages.iter_mut().for_each(|age| age.until_ms = 0);
        Ok(self.begin(revoke.secret.clone()))
    }

    pub(super) fn rotate(&mut self, rotate: &Rotate) -> Result<Outcome, Refused> {
        self.check_admin(rotate.by)?;
        if let Some(last) = self.ages.last_mut() {
            last.until_ms = rotate.until_ms;
        }
        Ok(self.begin(rotate.secret.clone()))
    }

    pub(super) fn expire(&mut self, expire: &Expire) -> Outcome {
        let is_over = |until_ms: u64| until_ms <= expire.now_ms;
        self.ages.iter_mut().filter(|age| is_over(age.until_ms)).for_each(|age| age.until_ms = 0);
        self.invites.retain(|_, open| !is_over(open.until_ms));
        Outcome::Members
    }

    /// Begins the next epoch.
    fn begin(&mut self, secret: SwarmSecret) -> Outcome {
        let number = self.ages.last().map_or(0, |age| age.epoch.number).saturating_add(1);
        self.ages.push(Age { epoch: Epoch { number, secret }, until_ms: OPEN_END });
        if self.ages.len() > MAX_EPOCHS {
            self.ages.remove(0);
        }
        Outcome::Rotated(number)
    }

    fn check_admin(&self, key: PublicKey) -> Result<(), Refused> {
        match self.standing(key) {
            _ if !self.is_closed() => Err(Refused::Open),
            Some(standing) if standing.role == MemberRole::Admin => Ok(()),
            _ => Err(Refused::NotAdmin),
        }
    }

    /// The keys of its own that a member has entered.
    pub fn own(&self, by: PublicKey) -> impl Iterator<Item = PublicKey> {
        let of_it = move |(_, member): &(&PublicKey, &Member)| member.own && member.by == by;
        self.members.iter().filter(of_it).map(|(key, _)| *key)
    }

    /// True if without this member there is no admin any more, or no tracker.
    fn is_last(&self, key: PublicKey) -> bool {
        let role_of = |member: &Member| (!member.own).then_some(member.standing.role);
        let role = self.members.get(&key).and_then(role_of);
        let needed = role.filter(|role| matches!(role, MemberRole::Admin | MemberRole::Tracker));
        let others =
            |role| self.members.iter().any(|(other, member)| *other != key && role_of(member) == Some(role));
        needed.is_some_and(|role| !others(role))
    }

    /// True if there are members and a key: who has none is not let in.
    pub fn is_closed(&self) -> bool {
        !self.ages.is_empty()
    }

    /// What the swarm is called.
    pub fn swarm(&self) -> &Label {
        &self.swarm
    }

    /// The epoch of now; `None` if the swarm is open.
    pub fn epoch(&self) -> Option<&Epoch> {
        self.ages.last().map(|age| &age.epoch)
    }

    /// Until when the epoch before lets in; 0 if it does not.
    pub fn grace_until_ms(&self) -> u64 {
        let before = self.ages.len().checked_sub(2).and_then(|at| self.ages.get(at));
        before.map_or(0, |age| age.until_ms)
    }

    /// The epochs before that of now whose keys still let in, the latest first, and until when.
    pub fn graces(&self, now_ms: u64) -> impl Iterator<Item = (&Epoch, u64)> {
        let before = self.ages.iter().rev().skip(1).filter(move |age| age.until_ms > now_ms);
        before.map(|age| (&age.epoch, age.until_ms))
    }

    /// The member that a key belongs to: another one, if that has entered it as its own.
    pub fn root(&self, key: PublicKey) -> PublicKey {
        self.members.get(&key).filter(|member| member.own).map_or(key, |member| member.by)
    }

    /// The admin that has been a member for longest.
    pub fn first_admin(&self) -> Option<PublicKey> {
        let admins = self
            .members
            .iter()
            .filter(|(_, member)| !member.own && member.standing.role == MemberRole::Admin);
        admins.min_by_key(|(_, member)| member.since_ms).map(|(key, _)| *key)
    }

    /// What a key may do; `None` if it is not in the roster.
    pub fn standing(&self, key: PublicKey) -> Option<&Standing> {
        Some(&self.members.get(&self.root(key))?.standing)
    }

    /// True if it is a tracker's.
    pub fn is_tracker(&self, key: PublicKey) -> bool {
        self.standing(key).is_some_and(|standing| standing.role == MemberRole::Tracker)
    }

    /// True if it was put out.
    pub fn is_revoked(&self, key: PublicKey) -> bool {
        self.revoked.contains(&key)
    }

    /// Those that were put out last.
    pub fn revoked(&self) -> impl Iterator<Item = PublicKey> {
        self.revoked.iter().copied()
    }

    /// When an invite ends; 0 if there is none of this number.
    pub fn invite_ends(&self, id: u64) -> u64 {
        self.invites.get(&id).map_or(0, |open| open.until_ms)
    }

    /// All keys by which something is open now, the newest epoch first.
    pub fn keys(&self, now_ms: u64) -> impl Iterator<Item = Key<'_>> {
        let ages = self.ages.iter().rev().map(move |age| match age.until_ms > now_ms {
            true => Key::Member(&age.epoch),
            false => Key::Renew(&age.epoch),
        });
        ages.chain(self.invites.iter().map(|(id, open)| Key::Join(*id, &open.key)))
    }

    /// When the next key ends by itself, if one does.
    pub fn next_end_ms(&self) -> Option<u64> {
        let ages = self.ages.iter().map(|age| age.until_ms);
        let ends = ages.chain(self.invites.values().map(|open| open.until_ms));
        ends.filter(|until_ms| (1..OPEN_END).contains(until_ms)).min()
    }

    /// At most so many members behind a key, in order, and whether there are more. Who is here the caller knows.
    pub fn page(
        &self,
        after: PublicKey,
        limit: usize,
        is_here: impl Fn(PublicKey) -> bool,
    ) -> (Vec<MemberInfo>, bool) {
        let behind = (Bound::Excluded(after), Bound::Unbounded);
        let mut left = self.members.range(behind).peekable();
        let info = |(key, member): (&PublicKey, &Member)| MemberInfo {
            key: *key,
            name: member.name.clone(),
            standing: self.standing(*key).unwrap_or(&member.standing).clone(),
            by: member.by,
            own: member.own,
            since_ms: member.since_ms,
            here: is_here(*key),
        };
        let limit = limit.clamp(1, limits::MAX_PAGE_MEMBERS);
        let page = left.by_ref().take(limit).map(info).collect();
        (page, left.peek().is_some())
    }

    /// All of it, as a snapshot has it.
    pub(super) fn put(&self, out: &mut BytesMut) {
        self.swarm.put(out);
        put_list(&self.ages, out);
        let members: Vec<_> = self.members.iter().map(|(key, member)| (*key, member.clone())).collect();
        put_list(&members, out);
        let invites: Vec<_> = self.invites.iter().map(|(id, open)| (*id, open.clone())).collect();
        put_list(&invites, out);
        put_list(&self.revoked.iter().copied().collect::<Vec<_>>(), out);
    }

    /// What [`Roster::put`] made of it.
    pub(super) fn take(from: &mut Cursor) -> Result<Roster, DecodeError> {
        let swarm = Label::take(from)?;
        let ages = List::<Age, MAX_EPOCHS>::take(from)?.into_vec();
        let members = List::<(PublicKey, Member), MAX_MEMBERS>::take(from)?.into_vec();
        let invites = List::<(u64, Open), MAX_INVITES>::take(from)?.into_vec();
        let revoked = List::<PublicKey, { limits::MAX_REVOKED }>::take(from)?.into_vec();
        Ok(Roster {
            swarm,
            members: members.into_iter().collect(),
            invites: invites.into_iter().collect(),
            ages,
            revoked: revoked.into(),
        })
    }
}

mod change;
#[cfg(test)]
mod tests;
