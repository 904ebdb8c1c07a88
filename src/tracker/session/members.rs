//! What a tracker answers about who is in a closed swarm, from its records, and which commands changes of that are.

use std::time::{Duration, Instant};

use super::published::recorded;
use crate::content::PublicKey;
use crate::tracker::records::{
    Admit, Applied, Command, Enter, Invite, Outcome, Refused, Revoke, Roster, Rotate, invite_id,
};
use crate::tracker::roles::{NotAllowed, Who, may_publish};
use crate::tracker::shared::Shared;
use crate::wire::{
    self, Common, Epoch, ErrorCode, FromTracker, Grace, Keys, List, Message, Offer, Standing, SwarmSecret,
    ToTracker, limits,
};

/// Least and most time that an invite is good for.
const MIN_VALID_MS: u64 = 1_000;
const MAX_VALID_MS: u64 = Duration::from_secs(366 * 86_400).as_millis() as u64;
/// Longest time that two keys let in.
const MAX_GRACE_MS: u64 = Duration::from_secs(30 * 86_400).as_millis() as u64;

/// Who is at the other end, as its handshake has proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Caller {
    /// Nobody asked: the swarm is open.
    #[default]
    Anybody,
    /// Somebody with the swarm's key, and a key of his own.
    Member(PublicKey),
    /// Somebody with the key of the invite of this number.
    Invited(PublicKey, u64),
    /// Somebody with a key of the swarm that is over.
    Late(PublicKey),
}

impl Caller {
    /// What the roster says of him, if it knows him.
    ///
    /// # Errors
    /// He was put out: nobody is to speak with him any more.
    pub(super) fn standing(self, roster: &Roster) -> Result<Option<Standing>, Refused> {
        match self {
            Caller::Member(key) if roster.is_revoked(key) => Err(Refused::Revoked),
            Caller::Member(key) => Ok(roster.standing(key).cloned()),
            Caller::Anybody | Caller::Invited(..) | Caller::Late(_) => Ok(None),
        }
    }

    /// Who he is, with this standing.
    pub(super) fn who(self, standing: Option<&Standing>) -> Who<'_> {
        match self {
            Caller::Anybody => Who::Anybody,
            Caller::Member(_) => Who::Member(standing),
            Caller::Invited(..) => Who::Invited,
            Caller::Late(_) => Who::Late,
        }
    }

    pub(super) fn key(self) -> Option<PublicKey> {
        match self {
            Caller::Anybody => None,
            Caller::Member(key) | Caller::Invited(key, _) | Caller::Late(key) => Some(key),
        }
    }
}

/// The last word to somebody who was put out.
pub fn revoked() -> Common {
    Common::error(ErrorCode::Revoked, "this key was put out of the swarm")
}

/// The ERROR that tells of it.
pub(super) fn not_allowed(why: &NotAllowed) -> Common {
    let code = if *why == NotAllowed::Over { ErrorCode::UnknownSwarm } else { ErrorCode::NotAllowed };
    Common::error(code, why.to_string())
}

/// What a member may register of these: what it may publish, and what is there already. The rest is passed over, for a
/// folder has in it what its user put there.
pub(super) fn allowed<const MAX: usize>(shared: &Shared, who: Who<'_>, offers: &mut List<Offer, MAX>) {
    let mut all = std::mem::take(offers).into_vec();
    all.retain(|offer| may_publish(who, &offer.name).is_ok() || is_there(shared, offer));
    *offers = List::new(all);
}

/// True if somebody has this content under this name, or it is on record under it, or stores keep it.
fn is_there(shared: &Shared, offer: &Offer) -> bool {
    let content = (offer.id, wire::Version::view(&offer.name));
    let published = || shared.records().versions(&offer.name).iter().any(|version| version.id == offer.id);
    let by_its_id = || {
        *offer.name == *offer.id.to_string() || offer.name.strip_suffix('/') == Some(&offer.id.to_string())
    };
    let kept = || by_its_id() && shared.kept(|keeping| keeping.promised(content)).is_some();
    shared.lock().has_name(&offer.name, &offer.id) || published() || kept()
}

/// The answer to a message about members; `None` if it is none. [`crate::tracker::roles::may`] has permitted it.
pub(super) fn answer(shared: &Shared, caller: Caller, message: ToTracker, now: Instant) -> FromTracker {
    let key = caller.key().unwrap_or(PublicKey::NONE);
    match (message, caller) {
        (ToTracker::Join(message), Caller::Invited(key, invite)) => {
            let command = Admit { invite, key, name: message.name, now_ms: 0 };
            change(shared, Command::Admit(command), now, || joined(shared, key))
        }
        (ToTracker::Renew(_), _) => renewed(shared, key),
        (ToTracker::Invite(message), _) => {
            let (id, command) = invite(key, message);
            change(shared, command, now, || invited(shared, id))
        }
        // It is said again and again, by each process that has such a key.
        (ToTracker::Enter(message), _) if message.own && is_own(shared, key, message.key) => {
            Common::Ok.into()
        }
        (ToTracker::Enter(message), _) => {
            let entered = message.key;
            change(shared, enter(key, message), now, || {
                let own: Vec<PublicKey> = shared.records().roster().own(entered).collect();
                own.into_iter().chain([entered]).for_each(|key| shared.comes_again(key));
                Common::Ok.into()
            })
        }
        (ToTracker::Revoke(message), _) => change(shared, revoke(key, &message), now, || keys(shared)),
        (ToTracker::Rotate(message), _) => change(shared, rotate(key, &message), now, || keys(shared)),
        (ToTracker::GetMembers(message), _) => members(shared, &message),
        (other, _) => Common::error(ErrorCode::Unexpected, format!("unexpected {}", other.label())).into(),
    }
}

/// True if `key` is in the roster as one of the member with the key `by`.
fn is_own(shared: &Shared, by: PublicKey, key: PublicKey) -> bool {
    let records = shared.records();
    let roster = records.roster();
    roster.standing(key).is_some() && roster.root(key) == roster.root(by)
}

/// Changes the records; what is answered then, if that is not why nothing has changed.
fn change(
    shared: &Shared,
    command: Command,
    now: Instant,
    then: impl FnOnce() -> FromTracker,
) -> FromTracker {
    match shared.record(command, now) {
        Ok(Applied { outcome: Outcome::Members | Outcome::Rotated(_), .. }) => then(),
        other => recorded(other),
    }
}

/// The command that makes an invite, and the number by which those who join name it.
fn invite(by: PublicKey, message: wire::Invite) -> (u64, Command) {
    let wire::Invite { client, seq, key, standing, uses, valid_ms } = message;
    let id = invite_id(&key);
    let until_ms = valid_ms.clamp(MIN_VALID_MS, MAX_VALID_MS);
    (id, Command::Invite(Invite { client, seq, by, id, key, standing, uses: uses.max(1), until_ms }))
}

fn enter(by: PublicKey, message: wire::Enter) -> Command {
    let wire::Enter { client, seq, key, name, own, standing } = message;
    Command::Enter(Enter { client, seq, by, key, name, own, standing, since_ms: 0 })
}

fn revoke(by: PublicKey, message: &wire::Revoke) -> Command {
    let wire::Revoke { client, seq, member } = *message;
    Command::Revoke(Revoke { client, seq, by, key: member, secret: SwarmSecret::NONE })
}

fn rotate(by: PublicKey, message: &wire::Rotate) -> Command {
    let wire::Rotate { client, seq, grace_ms } = *message;
    let until_ms = grace_ms.min(MAX_GRACE_MS);
    Command::Rotate(Rotate { client, seq, by, secret: SwarmSecret::NONE, until_ms })
}

/// What a new member is told.
fn joined(shared: &Shared, key: PublicKey) -> FromTracker {
    let records = shared.records();
    let roster = records.roster();
    let (Some(epoch), Some(standing)) = (roster.epoch().cloned(), roster.standing(key).cloned()) else {
        return gone();
    };
    let trackers = List::new(shared.trackers());
    wire::Joined { swarm: roster.swarm().clone(), standing, epoch, trackers }.into()
}

/// The key of now, for a member that has not heard of it.
fn renewed(shared: &Shared, key: PublicKey) -> FromTracker {
    let records = shared.records();
    let roster = records.roster();
    if roster.is_revoked(key) {
        return revoked().into();
    }
    let (Some(epoch), Some(standing)) = (roster.epoch().cloned(), roster.standing(key).cloned()) else {
        let detail = "this key is not in the roster: `p2p join LINK` enters it";
        return Common::error(ErrorCode::NotAllowed, detail).into();
    };
    let (before, revoked) = (before(roster, shared), List::new(roster.revoked().collect()));
    wire::Renewed { standing, epoch, before, revoked }.into()
}

/// What all members are told when the swarm has another key.
pub(super) fn keys(shared: &Shared) -> FromTracker {
    let records = shared.records();
    let roster = records.roster();
    match roster.epoch().cloned() {
        Some(epoch) => {
            let (before, revoked) = (before(roster, shared), List::new(roster.revoked().collect()));
            Keys { epoch, before, revoked }.into()
        }
        None => gone(),
    }
}

/// The epochs before that of now whose keys still let in.
fn before(roster: &Roster, shared: &Shared) -> List<Grace, { limits::MAX_GRACES }> {
    let now_ms = shared.clock_ms();
    let grace = |(epoch, until_ms): (&Epoch, u64)| Grace { epoch: epoch.clone(), left_ms: until_ms - now_ms };
    List::new(roster.graces(now_ms).take(limits::MAX_GRACES).map(grace).collect())
}

/// Who is in the roster, page by page.
fn members(shared: &Shared, message: &wire::GetMembers) -> FromTracker {
    let here = shared.members_here();
    let limit = usize::from(message.limit);
    let (members, more) = shared.records().roster().page(message.after, limit, |key| here.contains(&key));
    wire::Members { members: List::new(members), more }.into()
}

/// The answer to INVITE.
fn invited(shared: &Shared, id: u64) -> FromTracker {
    let until_ms = shared.records().roster().invite_ends(id);
    let addresses = shared.trackers().iter().map(|tracker| tracker.address.clone()).collect();
    wire::Invited { until_ms, trackers: List::new(addresses) }.into()
}

fn gone() -> FromTracker {
    Common::error(ErrorCode::NotAllowed, "this key is not in the roster any more").into()
}
