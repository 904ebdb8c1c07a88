//! Who may say what to a tracker of a closed swarm: one table, which section 13.9 of `docs/PROTOCOL.md` has as well.
//!
//! Pure. The swarm's key opens the door; what somebody may do behind it the roster says.

use crate::wire::{MemberRole, Standing, ToTracker};

/// Who is at the other end of a connection, as its handshake has proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who<'a> {
    /// The swarm is open: everybody may do everything but what is about members.
    Anybody,
    /// A member; `None`: whoever has the key of the swarm and is in no roster. The key is the door, and no more.
    Member(Option<&'a Standing>),
    /// Somebody with the key of an invite.
    Invited,
    /// A member with a key of the swarm that is over.
    Late,
}

/// What a message needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    /// The key of an invite.
    Invite,
    /// A key that is over.
    OldKey,
    /// To be in the roster, where there is one.
    Standing,
    /// To be in the roster.
    Roster,
    /// To be one of those on whom what others keep depends: no reader.
    Lend,
    /// To be in the roster, and more than a reader.
    Trusted,
    /// To be an admin.
    Admin,
}

/// Why a message is not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAllowed {
    /// The swarm is open.
    #[error("this swarm is open: it has no members")]
    Open,
    /// Of what the keys of invites and those that are over are for, it is not.
    #[error("the key of this connection is not for that")]
    Purpose,
    /// The key of the connection is over.
    #[error("the swarm has another key; RENEW tells members which")]
    Over,
    /// It is in no roster.
    #[error(
        "this key is not in the roster: `p2p join LINK` enters it, or an admin with `p2p swarm role KEY ROLE`; \
         `p2p swarm show` tells the key"
    )]
    Unknown,
    /// Only an admin may.
    #[error("only an admin may do that, and this member is a {0}")]
    Admin(&'static str),
    /// Nothing may depend on it.
    #[error("a {0} may not lend space; an admin can make it a publisher with `p2p swarm role`")]
    Lend(&'static str),
    /// A reader has no node.
    #[error("the agent of a node may not be a reader's; an admin can give its key another role")]
    Reader,
    /// It names no contents.
    #[error("a {0} may not publish; an admin can make it a publisher with `p2p swarm role`")]
    Publish(&'static str),
    /// It names contents under another prefix.
    #[error("this member publishes under `{0}` alone")]
    Prefix(String),
}

/// Whether somebody may say this.
///
/// # Errors
/// He may not, and why.
pub fn may(who: Who<'_>, message: &ToTracker) -> Result<(), NotAllowed> {
    let need = match message {
        ToTracker::Common(_) => return Ok(()),
        ToTracker::Join(_) => Need::Invite,
        ToTracker::Renew(_) => Need::OldKey,
        ToTracker::Enter(enter) if enter.own => Need::Roster,
        ToTracker::Enter(_)
        | ToTracker::Invite(_)
        | ToTracker::Revoke(_)
        | ToTracker::Rotate(_)
        | ToTracker::GetMembers(_) => Need::Admin,
        ToTracker::Publish(publish) => return may_publish(who, &publish.name),
        ToTracker::Remove(remove) => return may_publish(who, &remove.name),
        ToTracker::Store(store) => return may_publish(who, &store.name),
        // Names that a store remembers become names again.
        ToTracker::Records(records) => {
            return records.published.iter().try_for_each(|published| may_publish(who, &published.name));
        }
        ToTracker::SetStore(_) | ToTracker::ChangeMembers(_) | ToTracker::SetNodes(_)
            if who != Who::Anybody =>
        {
            Need::Admin
        }
        ToTracker::NodeBeat(_) | ToTracker::Claim(_) | ToTracker::DutyDone(_) if who != Who::Anybody => {
            Need::Trusted
        }
        ToTracker::SetStore(_)
        | ToTracker::ChangeMembers(_)
        | ToTracker::GetCluster(_)
        | ToTracker::SetNodes(_)
        | ToTracker::NodeBeat(_)
        | ToTracker::Claim(_)
        | ToTracker::DutyDone(_)
        | ToTracker::GetNodes(_)
        | ToTracker::Register(_)
        | ToTracker::Update(_)
        | ToTracker::HaveChunks(_)
        | ToTracker::Locate(_)
        | ToTracker::GetList(_)
        | ToTracker::Heartbeat(_)
        | ToTracker::Report(_)
        | ToTracker::GetStatus(_)
        | ToTracker::GetPeers(_)
        | ToTracker::GetDuties(_)
        | ToTracker::Resolve(_)
        | ToTracker::GetVersions(_)
        | ToTracker::GetHealth(_)
        | ToTracker::GetStores(_) => Need::Standing,
        ToTracker::Lend(_) | ToTracker::Kept(_) | ToTracker::Decline(_) => Need::Lend,
    };
    match (who, need) {
        (Who::Anybody, Need::Standing | Need::Lend)
        | (Who::Invited, Need::Invite)
        | (Who::Late, Need::OldKey)
        | (Who::Member(Some(_)), Need::Roster | Need::Standing)
        | (Who::Member(Some(Standing { role: MemberRole::Admin, .. })), Need::Admin) => Ok(()),
        (Who::Anybody, _) => Err(NotAllowed::Open),
        (Who::Late, _) => Err(NotAllowed::Over),
        (Who::Invited, _) | (_, Need::Invite | Need::OldKey) => Err(NotAllowed::Purpose),
        (Who::Member(None), _) => Err(NotAllowed::Unknown),
        (Who::Member(Some(standing)), Need::Lend) => match standing.role {
            MemberRole::Reader => Err(NotAllowed::Lend(in_words(standing.role))),
            MemberRole::Publisher | MemberRole::Admin | MemberRole::Tracker => Ok(()),
        },
        (Who::Member(Some(standing)), Need::Trusted) => match standing.role {
            MemberRole::Reader => Err(NotAllowed::Reader),
            MemberRole::Publisher | MemberRole::Admin | MemberRole::Tracker => Ok(()),
        },
        (Who::Member(Some(standing)), _) => Err(NotAllowed::Admin(in_words(standing.role))),
    }
}

/// Whether somebody may put a content under a name that nobody has for it yet: that is what a published version is, and
/// an offer of something new. Others' contents everybody helps to serve.
///
/// # Errors
/// He may not, and why.
pub fn may_publish(who: Who<'_>, name: &str) -> Result<(), NotAllowed> {
    let standing = match who {
        Who::Anybody => return Ok(()),
        Who::Invited => return Err(NotAllowed::Purpose),
        Who::Late => return Err(NotAllowed::Over),
        Who::Member(None) => return Err(NotAllowed::Unknown),
        Who::Member(Some(standing)) => standing,
    };
    match standing.role {
        MemberRole::Admin => Ok(()),
        MemberRole::Publisher if name.starts_with(&*standing.prefix) => Ok(()),
        MemberRole::Publisher => Err(NotAllowed::Prefix(standing.prefix.to_string())),
        role @ (MemberRole::Reader | MemberRole::Tracker) => Err(NotAllowed::Publish(in_words(role))),
    }
}

fn in_words(role: MemberRole) -> &'static str {
    match role {
        MemberRole::Reader => "reader",
        MemberRole::Publisher => "publisher",
        MemberRole::Admin => "admin",
        MemberRole::Tracker => "tracker",
    }
}

#[cfg(test)]
mod tests;
