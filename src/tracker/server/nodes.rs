//! The other trackers of a cluster: connections to them, and questions that are passed on to the one that leads.
//!
//! Of two trackers that with the larger number dials, and again when the connection has ended. One thread reads what the other
//! says and hands it to the recorder, one sends what that wants said. What is said is none of their business.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Shutdown, ToSocketAddrs};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::crew::{self, Crew};
use crate::content::{PublicKey, shown};
use crate::net::guests::Guests;
use crate::net::secure::{Expected, Opening, Secret};
use crate::net::{self, Handle, Identity, Messages, NetError, trace::Side};
use crate::say;
use crate::threads::{self, lock};
use crate::tracker::cluster::{MAX_NODE, Member, Node};
use crate::tracker::recorder::{Inlet, Several, outlet};
use crate::tracker::shared::Shared;
use crate::wire::limits::MAX_PASSED_BYTES;
use crate::wire::{BetweenNodes, Common, Confirm, ErrorCode, LinkNodes, Message, Passed, Role, Say};

/// A connection between two trackers.
pub(super) type Line = Messages<BetweenNodes, BetweenNodes>;

/// How often it is looked who is to be dialled.
const LOOK: Duration = Duration::from_millis(200);
/// Most bytes of one statement: a log of an epoch and more.
const MAX_SAID_BYTES: usize = 64 << 20;
/// How long a member may take to say whether a connection is its own: less than who makes it waits.
const CONFIRM_PATIENCE: Duration = Duration::from_secs(2);
/// Through so many keys of the swarm a tracker may have slept that is to come back.
const MOST_SLEPT: usize = 16;
/// Numbers of threads that no connection of a member has.
const FIRST_NUMBER: u64 = 1 << 48;

/// The connections to other trackers.
#[derive(Debug)]
pub(super) struct Nodes {
    pub(super) several: Arc<Several>,
    shared: Arc<Shared>,
    identity: Arc<Identity>,
    /// Of connections and threads.
    numbers: AtomicU64,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    /// Those that this side has dialled.
    sockets: BTreeMap<u64, Handle>,
    /// To whom there is one, or it is being made; with its token.
    dialled: BTreeMap<Node, u64>,
    /// Why there is none, as was said last: once for each reason, for it is tried again all the time.
    told: BTreeMap<Node, String>,
    stopped: bool,
}

impl Nodes {
    /// None where a tracker is not one of several.
    pub(super) fn new(shared: &Arc<Shared>, identity: Arc<Identity>) -> Option<Nodes> {
        let (several, shared) = (Arc::clone(shared.several()?), Arc::clone(shared));
        let (numbers, open) = (AtomicU64::new(FIRST_NUMBER), Mutex::default());
        Some(Nodes { several, shared, identity, numbers, open })
    }

    /// Starts to dial, until nobody may come in any more.
    pub(super) fn start(
        self: &Arc<Self>,
        guests: Arc<Guests>,
        crew: Arc<Crew>,
    ) -> io::Result<JoinHandle<()>> {
        let nodes = Arc::clone(self);
        threads::small("tracker-nodes").essential(move || {
            while guests.pause(LOOK) {
                threads::may_panic("tracker-nodes");
                nodes.dial_missing(&crew);
            }
        })
    }

    /// Ends the connections that this side has dialled; no more are made.
    pub(super) fn stop(&self) {
        let mut open = lock(&self.open);
        open.stopped = true;
        open.sockets.values().for_each(|socket| socket.shutdown(Shutdown::Both));
    }

    fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    fn dial_missing(self: &Arc<Self>, crew: &Arc<Crew>) {
        let view = self.several.view();
        let before = |member: &Member| member.node < view.node;
        for member in view.members.iter().chain(self.several.first()).filter(|member| before(member)) {
            let Some(token) = self.begin(member.node) else { continue };
            let (nodes, member) = (Arc::clone(self), member.clone());
            let node = member.node;
            let started = crew.start(threads::small("tracker-node"), self.number(), move || {
                let _dialled = Dialled(&nodes, member.node);
                if let Err(error) = nodes.dial(&member, token) {
                    tracing::debug!("tracker {} at {}: {error}", member.node, &*member.address);
                }
            });
            if started.is_err() {
                lock(&self.open).dialled.remove(&node);
            }
        }
    }

    /// The token of a connection that is to be made now; none if there is one.
    fn begin(&self, to: Node) -> Option<u64> {
        let mut open = lock(&self.open);
        if open.dialled.contains_key(&to) {
            return None;
        }
        let secret = Secret::random().ok()?; // without one it is tried again
        let token = u64::from_be_bytes(*secret.expose().first_chunk()?);
        open.dialled.insert(to, token);
        Some(token)
    }

    /// Makes the connection, and talks on it until it ends.
    fn dial(&self, to: &Member, token: u64) -> Result<(), NetError> {
        let (number, mut line) = self.connect(to, net::HELLO_TIMEOUT)?;
        let _socket = Socket(self, number);
        let link = LinkNodes { node: self.several.view().node, to: to.node, token };
        line.set_timeout(Some(net::HELLO_TIMEOUT))?;
        match line.call(&link.into())? {
            BetweenNodes::Common(Common::Ok) => {}
            BetweenNodes::Common(Common::Error(problem)) => {
                self.tell(to, format!("does not want this one: {}", shown(&problem.detail)));
                return Err(problem.into());
            }
            other => return Err(NetError::Unexpected(other.label())),
        }
        lock(&self.open).told.remove(&to.node);
        line.set_timeout(None)?;
        self.talk(line, to.node, &mut || ())
    }

    /// Says why there is no connection to a tracker, unless that was said last.
    fn tell(&self, of: &Member, why: String) {
        let said = format!("tracker {} at {} {why}", of.node, &*of.address);
        if lock(&self.open).told.insert(of.node, why.clone()) != Some(why) {
            say::note(&said);
        }
    }

    /// A new connection to a tracker, which says HELLO within `patience`; it ends when this one stops. One that was away while the
    /// swarm got another key is dialled by that which it knows: from nobody else would it hear of the new one. Where no key of it is
    /// on record, whoever has a key of the swarm may be at its address: nothing is said to who is no tracker.
    pub(super) fn connect(&self, to: &Member, patience: Duration) -> Result<(u64, Line), NetError> {
        let expected = match to.key {
            PublicKey::NONE => Expected::Anybody,
            key => Expected::Key(key),
        };
        let keyring = &self.identity.keyring;
        let mut connected = self.connect_by((expected, keyring.dials()), to, patience);
        let key = self.several.key_of(to.node);
        let before = if key == PublicKey::NONE { Vec::new() } else { keyring.before(MOST_SLEPT) };
        for opening in before {
            if !matches!(&connected, Err(error) if error.lacks_the_key()) {
                break;
            }
            connected = self.connect_by((Expected::Key(key), Some(opening)), to, patience);
        }
        let (number, line) = connected?;
        if to.key == PublicKey::NONE && !self.shared.is_tracker(line.proven.map(|proven| proven.key)) {
            self.forget(number);
            self.tell(to, "is not known as a tracker of this swarm".to_owned());
            line.end(&NetError::Role(Role::Node));
            return Err(NetError::Role(Role::Node));
        }
        Ok((number, line))
    }

    fn connect_by(
        &self,
        by: (Expected, Option<Opening>),
        to: &Member,
        patience: Duration,
    ) -> Result<(u64, Line), NetError> {
        let socket = Handle::from(net::dial(&to.address)?);
        let number = self.number();
        {
            let mut open = lock(&self.open);
            if open.stopped {
                return Err(NetError::Closed);
            }
            open.sockets.insert(number, socket.clone());
        }
        let me = (&*self.identity, Role::Node);
        let session = net::greet_by(socket, me, by, Side::Tracker, patience);
        match session {
            Ok(session) => Ok((number, Line::new(session, Side::Tracker))),
            Err(error) => {
                self.forget(number);
                Err(error)
            }
        }
    }

    /// The connection of this number has ended.
    pub(super) fn forget(&self, number: u64) {
        lock(&self.open).sockets.remove(&number);
    }

    /// Talks with another tracker until the connection ends; `heard` whenever something comes.
    pub(super) fn talk(&self, mut line: Line, node: Node, heard: &mut dyn FnMut()) -> Result<(), NetError> {
        let (id, socket) = (self.number(), line.handle());
        let (outlet, inlet) = outlet(id, socket.clone());
        let sending = threads::small("tracker-node-out").connection(move || send(&socket, &inlet))?;
        let key = line.proven.map(|proven| proven.key);
        self.several.up(node, key, outlet);
        let ended = self.hear(&mut line, (node, id), heard);
        self.several.down(node, id); // and the recorder lets go of what the other thread waits for
        line.handle().shutdown(Shutdown::Both);
        crew::join(sending);
        ended
    }

    fn hear(
        &self,
        line: &mut Line,
        (node, id): (Node, u64),
        heard: &mut dyn FnMut(),
    ) -> Result<(), NetError> {
        let mut said = BytesMut::new();
        loop {
            let (_, message) = line.receive()?;
            heard();
            let BetweenNodes::Say(Say { more, said: Passed(piece) }) = message else {
                return Err(NetError::Unexpected(message.label()));
            };
            if said.len() + piece.len() > MAX_SAID_BYTES {
                return Err(NetError::Unexpected("SAY without an end"));
            }
            said.extend_from_slice(&piece);
            if !more && !self.several.frame(node, id, said.split().freeze()) {
                return Err(NetError::Closed);
            }
        }
    }

    /// True if a tracker of the cluster is at this address.
    pub(super) fn is_at_member(&self, ip: IpAddr) -> bool {
        let is_at = |member: &Member| {
            let found = member.address.to_socket_addrs();
            found.is_ok_and(|mut found| found.any(|at| at.ip().to_canonical() == ip.to_canonical()))
        };
        self.several.view().members.iter().any(is_at)
    }

    /// Whether the connection between this tracker and another may be this one.
    ///
    /// # Errors
    /// Why not, for the other side.
    pub(super) fn may_link(&self, link: &LinkNodes, key: Option<PublicKey>) -> Result<(), Common> {
        use ErrorCode::{InUse, NotAllowed, Unexpected};
        let view = self.several.view();
        if link.to != view.node {
            return Err(Common::error(Unexpected, format!("this is tracker {}, not {}", view.node, link.to)));
        }
        if link.node == view.node || link.node == 0 || link.node > MAX_NODE {
            return Err(Common::error(Unexpected, format!("tracker {} is not another one", link.node)));
        }
        let Some(member) = view.member(link.node) else {
            return match view.other(link.node) {
                Some(_) => Err(Common::error(InUse, format!("there is a tracker {}", link.node))),
                None => Ok(()),
            };
        };
        match key {
            Some(key) if member.key == key || member.key == PublicKey::NONE => Ok(()),
            None if member.key == PublicKey::NONE => self.is_confirmed(member, link).map_err(|error| {
                let why = format!(
                    "{} does not confirm that this is tracker {}: {error}",
                    &*member.address, link.node
                );
                Common::error(NotAllowed, why)
            }),
            _ => Err(Common::error(NotAllowed, format!("tracker {} has another key", link.node))),
        }
    }

    /// Asks a member, where it is dialled, whether it is it that makes this connection.
    fn is_confirmed(&self, member: &Member, link: &LinkNodes) -> Result<(), NetError> {
        let (number, mut line) = self.connect(member, CONFIRM_PATIENCE)?;
        let _socket = Socket(self, number);
        line.set_timeout(Some(CONFIRM_PATIENCE))?;
        match line.call(&Confirm { to: link.to, token: link.token }.into())? {
            BetweenNodes::Common(Common::Ok) => Ok(()),
            BetweenNodes::Common(Common::Error(problem)) => Err(problem.into()),
            other => Err(NetError::Unexpected(other.label())),
        }
    }

    /// Whether a connection is one that this tracker has made, or makes.
    pub(super) fn confirm(&self, asked: &Confirm) -> Common {
        match lock(&self.open).dialled.get(&asked.to) == Some(&asked.token) {
            true => Common::Ok,
            false => Common::error(ErrorCode::NotAllowed, "it is not of this tracker"),
        }
    }
}

/// Whom this side has a connection to, while it has.
struct Dialled<'a>(&'a Nodes, Node);

impl Drop for Dialled<'_> {
    fn drop(&mut self) {
        lock(&self.0.open).dialled.remove(&self.1);
    }
}

/// The socket of a connection, while it lasts.
struct Socket<'a>(&'a Nodes, u64);

impl Drop for Socket<'_> {
    fn drop(&mut self) {
        self.0.forget(self.1);
    }
}

/// Sends what is to be said, until nobody wants anything said any more.
fn send(socket: &Handle, inlet: &Inlet) {
    while let Some(frame) = inlet.next() {
        if socket.write(&in_pieces(&frame)).is_err() {
            return socket.shutdown(Shutdown::Both);
        }
    }
}

/// A statement as frames.
fn in_pieces(said: &Bytes) -> BytesMut {
    let mut out = BytesMut::new();
    let mut at = 0;
    loop {
        let end = said.len().min(at + MAX_PASSED_BYTES);
        let piece = Say { more: end < said.len(), said: Passed(said.slice(at..end)) };
        BetweenNodes::from(piece).put_frame(0, &mut out);
        if end == said.len() {
            return out;
        }
        at = end;
    }
}
