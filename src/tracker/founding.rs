//! What makes a tracker a closed one: the founding of its swarm, and what the first admin has to know.

use std::thread;
use std::time::{Duration, Instant};

use super::keys::openings;
use super::recorder::{Recorder, Unrecorded};
use super::records::{Command, Found, Founder, Invite, invite_id};
use super::shared::Shared;
use crate::content::{Host, PublicKey};
use crate::net::secure::{self, Keyring, Purpose};
use crate::wire::{
    ClientId, Epoch, Label, List, MemberRole, Name, Standing, SwarmSecret, TrackerAddress, TrackerKey,
};

/// How long is waited until the only tracker of a cluster leads it, and how often it is looked.
const LEAD_PATIENCE: Duration = Duration::from_secs(10);
const LEAD_LOOK: Duration = Duration::from_millis(10);

/// What makes a tracker a closed one. If its records know of no members, the swarm is founded.
#[derive(Debug, Clone)]
pub struct Closed {
    /// Who the tracker is.
    pub identity: secure::Identity,
    /// What a swarm that is founded is called.
    pub swarm: String,
    /// Who is its first admin: the public key, and a name.
    pub admin: (PublicKey, String),
    /// The hosts at which others dial this tracker.
    pub hosts: Vec<String>,
}

/// The keys of this tracker, and whether it has just founded its swarm.
///
/// # Errors
/// The founding cannot be written down.
pub(super) fn open(closed: &Closed, name: &str, recorder: &Recorder) -> Result<(Keyring, bool), Unrecorded> {
    let founds = !recorder.read().roster().is_closed();
    if founds {
        let founder = |key, name: &str, role| Founder { key, name: Label::new(name), role };
        let (admin, admins_name) = &closed.admin;
        let founders = List::new(vec![
            founder(*admin, admins_name, MemberRole::Admin),
            founder(closed.identity.public(), name, MemberRole::Tracker),
        ]);
        let swarm = Label::new(&*closed.swarm);
        let found = Found { swarm, secret: SwarmSecret::NONE, founders, since_ms: 0 };
        submit(recorder, &Command::Found(found))?;
    }
    let records = recorder.read();
    let (Some(newest), others) = openings(records.roster(), recorder.clock_ms()) else {
        return Err(Unrecorded::Journal("its records cannot be those of a closed swarm".to_owned()));
    };
    let keyring = Keyring::new(closed.identity.clone(), newest.clone(), Purpose::Member);
    keyring.set(newest, others.into_iter().map(|opening| (opening, None)));
    keyring.set_revoked(records.roster().revoked());
    Ok((keyring, founds))
}

/// Writes the founding down; the only tracker of a cluster leads it a moment after it has begun.
fn submit(recorder: &Recorder, command: &Command) -> Result<(), Unrecorded> {
    let until = Instant::now() + LEAD_PATIENCE;
    loop {
        match recorder.submit(command.clone()) {
            Err(Unrecorded::NotLeader) if Instant::now() < until => thread::sleep(LEAD_LOOK),
            other => return other.map(drop),
        }
    }
}

/// What the first admin of a closed tracker has to know.
#[derive(Debug, Clone)]
pub struct Swarm {
    /// What it is called.
    pub name: String,
    /// The public key of this tracker.
    pub tracker: PublicKey,
    /// The key that lets in now.
    pub epoch: Epoch,
    /// Where others dial this tracker.
    pub addresses: Vec<String>,
    /// True if this start has founded it.
    pub is_new: bool,
}

impl Closed {
    /// This tracker, which listens on this port, as members are told of it.
    pub(super) fn trackers(&self, port: u16) -> Vec<TrackerKey> {
        let key = self.identity.public();
        let endpoints =
            self.hosts.iter().filter_map(|host| Some(Host::new(host)?.endpoint(port).to_string()));
        endpoints.map(|address| TrackerKey { address: TrackerAddress::new(address), key }).collect()
    }
}

/// As its records have it; `None` if it is open.
pub(super) fn swarm(shared: &Shared, is_new: bool) -> Option<Swarm> {
    let records = shared.records();
    let epoch = records.roster().epoch()?.clone();
    let tracker = shared.keyring().identity()?.public();
    let addresses = shared.trackers().iter().map(|tracker| tracker.address.to_string()).collect();
    Some(Swarm { name: records.roster().swarm().to_string(), tracker, epoch, addresses, is_new })
}

/// Lets so many join with this key for so long, by word of the first admin.
pub(super) fn invite(
    shared: &Shared,
    (key, uses, valid): (SwarmSecret, u32, Duration),
) -> Result<(), Unrecorded> {
    let Some(by) = shared.records().roster().first_admin() else { return Ok(()) };
    let standing = Standing { role: MemberRole::Publisher, prefix: Name::default() };
    let (client, id) = (ClientId::random(), invite_id(&key));
    let until_ms = u64::try_from(valid.as_millis()).unwrap_or(u64::MAX);
    let invite = Invite { client, seq: 1, by, id, key, standing, uses, until_ms };
    shared.record(Command::Invite(invite), Instant::now()).map(drop)
}
