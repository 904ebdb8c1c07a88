//! The engine that agrees on the log of one epoch: omnipaxos, of which nothing else in the program knows, and what keeps
//! it going.

use bytes::Bytes;
use omnipaxos::ballot_leader_election::Ballot;
use omnipaxos::messages::Message;
use omnipaxos::messages::sequence_paxos::PaxosMsg;
use omnipaxos::{ClusterConfig, OmniPaxos, OmniPaxosConfig, ServerConfig};

use super::durable::{Kept, Write};
use super::entry::{Entry, Members, Node};
use super::rules::{Rule, Rules};
use super::store::Store;
use super::translation;
use crate::wire::DecodeError;

/// Ticks between two heartbeats, and until an unanswered one counts.
const ELECTION_TICKS: u64 = 4;
/// Ticks until something unanswered is sent again.
const RESEND_TICKS: u64 = 6;
/// Ticks after which a leader in name campaigns again.
const OFFICE_TICKS: u32 = 40;
/// Ticks behind and without gain after which the leader is asked again.
const LAG_TICKS: u32 = 40;
/// How often the leader is asked again before this node campaigns.
const LAG_ASKINGS: u32 = 4;

/// The engine of one epoch.
pub(super) struct Engine {
    me: Node,
    paxos: OmniPaxos<Entry, Store>,
    store: Store,
    rules: Rules,
    /// Ticks as leader in name only.
    in_name: u32,
    /// Ticks behind without gain, and how often the leader was asked since.
    lag: (u32, u32),
    /// What was decided at the last tick.
    decided: usize,
}

impl Engine {
    /// The engine of an epoch with several members, of which this node is one.
    pub(super) fn new(me: Node, epoch: u32, members: &Members, kept: Kept, rules: Rules) -> Engine {
        let store = Store::new(kept, rules);
        let nodes = members.iter().map(|member| member.node.into()).collect();
        let config = OmniPaxosConfig {
            cluster_config: ClusterConfig { configuration_id: epoch, nodes, flexible_quorum: None },
            server_config: ServerConfig {
                pid: me.into(),
                election_tick_timeout: ELECTION_TICKS,
                resend_message_tick_timeout: RESEND_TICKS,
                ..ServerConfig::default()
            },
        };
        let paxos = config.build(store.clone()).expect("several members, this node among them");
        let decided = paxos.get_decided_idx();
        Engine { me, paxos, store, rules, in_name: 0, lag: (0, 0), decided }
    }

    /// Time passes. `behind`: others have applied more.
    pub(super) fn tick(&mut self, behind: bool) {
        self.paxos.tick();
        if !self.rules.hold(Rule::Watchdog) {
            return;
        }
        self.in_name = match self.paxos.get_current_leader() {
            Some((leader, false)) if leader == u64::from(self.me) => self.in_name + 1,
            _ => 0,
        };
        if self.in_name > OFFICE_TICKS {
            self.in_name = 0;
            self.paxos.try_become_leader();
        }
        let decided = self.paxos.get_decided_idx();
        if !behind || decided > self.decided {
            self.lag = (0, 0);
        }
        self.decided = decided;
        self.lag.0 += u32::from(behind);
        if self.lag.0 > LAG_TICKS {
            self.lag = (0, self.lag.1 + 1);
            match self.paxos.get_current_leader() {
                Some((leader, _)) if leader != u64::from(self.me) && self.lag.1 <= LAG_ASKINGS => {
                    self.paxos.reconnected(leader);
                }
                _ => {
                    self.lag.1 = 0;
                    self.paxos.try_become_leader();
                }
            }
        }
    }

    /// What another member's engine says.
    ///
    /// # Errors
    /// It says nothing that this one understands.
    pub(super) fn hear(&mut self, from: Node, said: Bytes) -> Result<(), DecodeError> {
        let mut message: Message<Entry> = translation::decode(said)?;
        if message.get_sender() != u64::from(from) || message.get_receiver() != u64::from(self.me) {
            return Err(DecodeError::BadValue { what: "a sender", got: message.get_sender() });
        }
        if self.fence(&mut message) {
            self.paxos.handle_incoming(message);
        }
        Ok(())
    }

    /// Keeps the engine from writing over what is decided here. Promises that were repeated are answered more than once, and a late answer
    /// begins where this log was long ago; what it says of the places since is the same, or it is not to be heard at all.
    fn fence(&self, message: &mut Message<Entry>) -> bool {
        let Message::SequencePaxos(said) = message else { return true };
        let sync = match &mut said.msg {
            PaxosMsg::AcceptSync(said) => Some(&mut said.log_sync),
            PaxosMsg::Promise(said) => said.log_sync.as_mut(),
            _ => None,
        };
        let Some(sync) = sync else { return true };
        let known = self.paxos.get_decided_idx().saturating_sub(sync.sync_idx);
        let same = self.store.decided_from(sync.sync_idx.min(self.paxos.get_decided_idx()));
        if known > sync.suffix.len() || same.iter().zip(&sync.suffix).any(|(mine, theirs)| mine != theirs) {
            return false;
        }
        sync.suffix.drain(..known);
        sync.sync_idx += known;
        true
    }

    /// The connection to a member is a new one, or it is in this epoch only now.
    pub(super) fn reconnected(&mut self, node: Node) {
        if self.rules.hold(Rule::Reconnected) {
            self.paxos.reconnected(node.into());
        }
    }

    /// Campaigns, whoever leads.
    #[cfg(feature = "lab")]
    pub(super) fn campaign(&mut self) {
        self.paxos.try_become_leader();
    }

    /// Appends an entry; this node leads.
    pub(super) fn append(&mut self, entry: Entry) {
        // The only error is of reconfigurations, of which there are none.
        let _ = self.paxos.append(entry);
    }

    /// The ballot by which this node leads, if it does.
    pub(super) fn leads(&self) -> Option<Ballot> {
        let promise = self.paxos.get_promise();
        (self.paxos.get_current_leader() == Some((self.me.into(), true))).then_some(promise)
    }

    /// Who leads, as far as this node knows.
    pub(super) fn leader(&self) -> Option<Node> {
        let (leader, _) = self.paxos.get_current_leader()?;
        leader.try_into().ok()
    }

    /// What is decided from this place on.
    pub(super) fn decided_from(&self, place: usize) -> Vec<Entry> {
        self.store.decided_from(place)
    }

    /// Bytes of the log.
    pub(super) fn bytes(&self) -> usize {
        self.store.bytes()
    }

    /// What is to be written, and then sent to whom.
    pub(super) fn take(&mut self) -> (Vec<Write>, Vec<(Node, Bytes)>) {
        let mut messages = Vec::new();
        self.paxos.take_outgoing_messages(&mut messages);
        let messages = messages.iter().filter_map(|message| {
            Some((message.get_receiver().try_into().ok()?, translation::encode(message)?))
        });
        (self.store.take_writes(), messages.collect())
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.paxos.get_ui_states();
        f.debug_struct("Engine")
            .field("me", &self.me)
            .field("promise", &self.paxos.get_promise())
            .field("ballot", &state.current_ballot)
            .field("leader", &self.paxos.get_current_leader())
            .field("decided", &self.decided)
            .field("heartbeats", &state.heartbeats)
            .finish_non_exhaustive()
    }
}
