//! A sample of every kind of message.
//!
//! The lists are chains over exhaustive matches, so that a new message does not compile before it
//! has a sample.

mod from_tracker;

use std::iter::successors;

use bytes::Bytes;

use crate::content::code::Shape;
use crate::content::{
    Address, Chunk, ChunkHash, ChunkSize, FileId, Looks, PeerId, Proof, PublicKey, Rate, Run,
};
use crate::wire::*;

/// A message whose kinds can be walked through.
pub(super) trait Sampled: Message + Clone + PartialEq {
    const TABLE: &[(u8, &'static str)];
    /// A sample of the kind that follows the kind of `after`; the first without one.
    fn next(after: Option<&Self>) -> Option<Self>;
    /// More samples, of kinds that have several forms.
    fn more() -> Vec<Self>;
}

pub(super) fn samples<M: Sampled>() -> Vec<M> {
    successors(M::next(None), |last| M::next(Some(last))).chain(M::more()).collect()
}

pub(super) fn id(byte: u8) -> FileId {
    FileId([byte; 32])
}

pub(super) fn hash(byte: u8) -> ChunkHash {
    ChunkHash([byte; 32])
}

pub(super) fn ranges() -> Ranges {
    List::new(vec![Run::new(Chunk(0), 3), Run::new(Chunk(9), 1)])
}

pub(super) fn offer(name: &str) -> Offer {
    Offer {
        name: Text::new(name),
        id: id(1),
        size: 200_000,
        total: 200_000,
        chunks: 4,
        complete: true,
        original: true,
        modified: 1_700_000_000,
    }
}

pub(super) fn proof() -> Proof {
    Proof { first: 16, hashes: vec![hash(1), hash(2), hash(3)], path: vec![hash(4), hash(5)] }
}

pub(super) fn address(ip: &str) -> Address {
    Address::new(ip.parse().unwrap(), 9701).unwrap()
}

pub(super) fn holder() -> Holder {
    Holder {
        peer: PeerId([2; 16]),
        name: Text::new("anna"),
        addresses: List::new(vec![address("2001:db8::1"), address("10.0.0.1")]),
        have: 4,
        uploads: 1,
        downloads: 0,
        original: true,
    }
}

pub(super) fn variant() -> Variant {
    Variant {
        name: Text::new("fotos/"),
        id: id(1),
        size: 96,
        total: 1 << 40,
        chunks: 9,
        seeders: 1,
        leechers: 2,
        original: false,
        agreed: true,
        modified: 1_700_000_000,
        version: 3,
        code: Some(Coding {
            shape: Shape::new(4, 2).unwrap(),
            of: Side::Parity(5),
            with: id(6),
            members: ChunkSize::of_bits(16),
        }),
        holders: List::new(vec![holder(), holder()]),
    }
}

pub(super) fn entry() -> Entry {
    Entry { name: Text::new("ä b\n"), id: id(3), size: 1, total: 1, seeders: 1, leechers: 0, version: 0 }
}

pub(super) fn peer_info() -> PeerInfo {
    PeerInfo {
        peer: PeerId([2; 16]),
        name: Text::new("anna"),
        addresses: List::new(vec![address("10.0.0.1")]),
        offers: 12,
        uploads: 1,
        downloads: 0,
        silent_ms: 1500,
    }
}

pub(super) fn version() -> Version {
    Version {
        number: 3,
        id: id(1),
        size: 200_000,
        total: 200_000,
        chunks: 4,
        policy: Policy::copies(2).unwrap(),
        stamp_ms: 1_700_000_000_000,
        publisher: Text::new("anna"),
    }
}

pub(super) fn published() -> Published {
    Published { name: Text::new("fotos/"), version: version() }
}

pub(super) fn store_info() -> StoreInfo {
    StoreInfo {
        peer: PeerId([2; 16]),
        name: Text::new("anna"),
        zone: Text::new("cellar"),
        machine: Text::new("m1"),
        state: StoreState::Lending,
        capacity: 10 << 30,
        used: 1 << 20,
        contents: 3,
        chunks: 17,
    }
}

fn kept_part(have: Bits) -> KeptPart {
    KeptPart { id: id(1), view: View::Members, chunks: 9, have }
}

fn duty_sources() -> List<DutySource, { limits::MAX_DUTY_SOURCES }> {
    let addresses = List::new(vec![address("10.0.0.1")]);
    List::new(vec![DutySource { peer: PeerId([2; 16]), addresses, spare: true }])
}

/// A duty of the kind that follows the kind of `after`; the first without one.
fn next_duty(after: Option<&Duty>) -> Option<Duty> {
    let (id, view, sources) = (id(1), View::Bytes, duty_sources());
    Some(match after {
        None => {
            let addresses = List::new(vec![address("10.0.0.1")]);
            Call { id, peer: PeerId([2; 16]), addresses }.into()
        }
        Some(Duty::Call(_)) => {
            let keep = Bits::Map(Bytes::from_static(&[0b1010_0000]));
            Keep { id, view, size: 5, total: 5, chunks: 4, keep, urgent: true, code: None, sources }.into()
        }
        Some(Duty::Keep(_)) => Look { id, view, size: 5, total: 5, chunks: 1, sources }.into(),
        Some(Duty::Look(_)) => Check { id, view, chunk: Chunk(7) }.into(),
        Some(Duty::Check(_)) => Discard { id, view, chunks: Bits::All }.into(),
        Some(Duty::Discard(_)) => Remember { id, view, published: List::new(vec![published()]) }.into(),
        Some(Duty::Remember(_)) => return None,
    })
}

pub(super) fn hello() -> Hello {
    Hello {
        min_version: 1,
        max_version: 1,
        features: 1 << 63,
        role: Role::Member,
        peer: PeerId([2; 16]),
        listen_port: 9701,
        name: Text::new("anna"),
        software: Text::new("p2p/0.1.0"),
    }
}

impl Sampled for Common {
    const TABLE: &[(u8, &'static str)] = Common::TABLE;

    fn next(after: Option<&Common>) -> Option<Common> {
        Some(match after {
            None => hello().into(),
            Some(Common::Hello(_)) => {
                Common::Error(Problem { code: ErrorCode::BadName, detail: Text::new("no such name") })
            }
            Some(Common::Error(_)) => Common::Ping,
            Some(Common::Ping) => Common::Pong,
            Some(Common::Pong) => Common::Leave,
            Some(Common::Leave) => Common::Ok,
            Some(Common::Ok) => return None,
        })
    }

    fn more() -> Vec<Common> {
        let error = |code: &ErrorCode| Common::Error(Problem { code: *code, detail: Text::default() });
        let role = |role: &Role| Common::Hello(Hello { role: *role, ..hello() });
        ErrorCode::ALL.iter().map(error).chain(Role::ALL.iter().map(role)).collect()
    }
}

impl Sampled for ToTracker {
    const TABLE: &[(u8, &'static str)] = ToTracker::TABLE;

    fn next(after: Option<&ToTracker>) -> Option<ToTracker> {
        Some(match after {
            None => Common::Ping.into(),
            Some(ToTracker::Common(_)) => Register {
                port: 9701,
                addresses: List::new(vec![address("192.0.2.1")]),
                offers: List::new(vec![offer("a"), offer("b/")]),
            }
            .into(),
            Some(ToTracker::Register(_)) => Update {
                added: List::new(vec![offer("c")]),
                removed: List::new(vec![(Text::new("a"), id(1))]),
            }
            .into(),
            Some(ToTracker::Update(_)) => {
                HaveChunks { id: id(1), view: View::Members, gained: ranges() }.into()
            }
            Some(ToTracker::HaveChunks(_)) => Locate {
                name: Text::new("a"),
                id: FileId::NONE,
                purpose: Purpose::Fetch,
                max: 16,
                missing: ranges(),
            }
            .into(),
            Some(ToTracker::Locate(_)) => {
                GetList { pattern: Text::new("*.iso"), after: Text::new("b"), limit: 100 }.into()
            }
            Some(ToTracker::GetList(_)) => Heartbeat { uploads: 3, downloads: 1, space: 1 << 40 }.into(),
            Some(ToTracker::Heartbeat(_)) => {
                Report { peer: PeerId([2; 16]), id: id(1), chunk: Chunk(7), complaint: Complaint::Corrupt }
                    .into()
            }
            Some(ToTracker::Report(_)) => GetStatus {}.into(),
            Some(ToTracker::GetStatus(_)) => GetPeers { after: PeerId([0; 16]), limit: 10 }.into(),
            Some(stores) => return next_about_stores(stores),
        })
    }

    fn more() -> Vec<ToTracker> {
        vec![
            Register { port: 0, addresses: List::default(), offers: List::default() }.into(),
            Update { added: List::default(), removed: List::default() }.into(),
            Kept { parts: List::default(), last: true }.into(),
            Records { published: List::default(), last: true }.into(),
        ]
    }
}

/// What follows GET_PEERS.
fn next_about_stores(after: &ToTracker) -> Option<ToTracker> {
    let (client, seq, name) = (ClientId(4), 1, Text::new("fotos/"));
    Some(match after {
        ToTracker::GetPeers(_) => GetCluster {}.into(),
        ToTracker::GetCluster(_) => Lend {
            capacity: 10 << 30,
            used: 1 << 20,
            zone: Text::new("cellar"),
            machine: Text::new("m1"),
            authority: Authority(5),
            term: Term(6),
        }
        .into(),
        ToTracker::Lend(_) => {
            let parts = List::new(vec![kept_part(Bits::All), kept_part(Bits::None)]);
            Kept { parts, last: false }.into()
        }
        ToTracker::Kept(_) => {
            Decline { id: id(1), view: View::Bytes, reason: Reluctance::NoSpace, free: 5 }.into()
        }
        ToTracker::Decline(_) => GetDuties { term: Term(6), wait_ms: 10_000 }.into(),
        ToTracker::GetDuties(_) => {
            let version = Version { number: 0, stamp_ms: 0, ..version() };
            Store { client, seq, name, version, expect: 2, degraded: true, wait_ms: 10_000 }.into()
        }
        ToTracker::Store(_) => Resolve { name, number: 3 }.into(),
        ToTracker::Resolve(_) => GetVersions { name, before: 3, limit: 10 }.into(),
        ToTracker::GetVersions(_) => Remove { client, seq, name, number: 3 }.into(),
        ToTracker::Remove(_) => GetHealth { name }.into(),
        ToTracker::GetHealth(_) => GetStores { after: PeerId([0; 16]), limit: 10 }.into(),
        ToTracker::GetStores(_) => {
            SetStore { client, seq, store: PeerId([1; 16]), change: StoreChange::Leave }.into()
        }
        ToTracker::SetStore(_) => {
            let place = NodePlace { node: 4, address: Text::new("t4:9700"), key: key(6) };
            ChangeMembers { epoch: 3, members: List::new(vec![place]), wait_ms: 10_000 }.into()
        }
        ToTracker::ChangeMembers(_) => Records { published: List::new(vec![published()]), last: true }.into(),
        ToTracker::Records(_) => Publish { client, seq, name, version: version(), expect: 0 }.into(),
        members => return next_about_members(members),
    })
}

fn key(byte: u8) -> PublicKey {
    PublicKey([byte; 32])
}

fn standing() -> Standing {
    Standing { role: MemberRole::Publisher, prefix: Text::new("fotos/") }
}

fn epoch() -> Epoch {
    Epoch { number: 3, secret: SwarmSecret::new([9; 32]) }
}

/// What follows PUBLISH.
fn next_about_members(after: &ToTracker) -> Option<ToTracker> {
    let (client, seq, name, standing) = (ClientId(4), 1, Text::new("anna"), standing());
    Some(match after {
        ToTracker::Publish(_) => Join { name }.into(),
        ToTracker::Join(_) => Renew {}.into(),
        ToTracker::Renew(_) => {
            let key = SwarmSecret::new([8; 32]);
            Invite { client, seq, key, standing, uses: 20, valid_ms: 86_400_000 }.into()
        }
        ToTracker::Invite(_) => Revoke { client, seq, member: key(7) }.into(),
        ToTracker::Revoke(_) => Rotate { client, seq, grace_ms: 3_600_000 }.into(),
        ToTracker::Rotate(_) => GetMembers { after: PublicKey::NONE, limit: 10 }.into(),
        ToTracker::GetMembers(_) => Enter { client, seq, key: key(7), name, own: true, standing }.into(),
        nodes => return next_about_nodes(nodes),
    })
}

fn node_role(state: RoleState) -> NodeRole {
    NodeRole { name: Text::new("tracker"), state, starts: 3, looping: true }
}

fn node_info(state: NodeState) -> SeenNode {
    SeenNode {
        id: NodeId([2; 16]),
        name: Text::new("rack1-b"),
        host: Text::new("b.lan"),
        state,
        start: 4,
        silent_ms: 12_000,
        able: true,
        free: 1 << 30,
        load: 125,
        roles: List::new(RoleState::ALL.iter().copied().map(node_role).collect()),
        tries: 1,
        duties: List::new(vec![DutyInfo { duty: 77, executor: NodeId([1; 16]), claimed: true }]),
        software: Text::new("p2p/0.1.0"),
    }
}

/// What follows ENTER.
fn next_about_nodes(after: &ToTracker) -> Option<ToTracker> {
    let (client, seq, life) = (ClientId(4), 1, Life { start: 3, drawn: 5 });
    Some(match after {
        ToTracker::Enter(_) => NodeBeat {
            life,
            name: Text::new("rack1-a"),
            host: Text::new("a.lan"),
            able: true,
            drained: false,
            free: 1 << 30,
            load: 125,
            roles: List::new(vec![node_role(RoleState::Running)]),
            software: Text::new("p2p/0.1.0"),
        }
        .into(),
        ToTracker::NodeBeat(_) => Claim { duty: 77, life }.into(),
        ToTracker::Claim(_) => DutyDone { duty: 77, life }.into(),
        ToTracker::DutyDone(_) => GetNodes { after: NodeId::NONE, limit: 64 }.into(),
        ToTracker::GetNodes(_) => {
            SetNodes { client, seq, change: NodesChange::Forget, node: NodeId([2; 16]) }.into()
        }
        _ => return None,
    })
}

impl Sampled for ToServer {
    const TABLE: &[(u8, &'static str)] = ToServer::TABLE;

    fn next(after: Option<&ToServer>) -> Option<ToServer> {
        Some(match after {
            None => Common::Leave.into(),
            Some(ToServer::Common(_)) => Open { slot: 1, id: id(1), view: View::Members }.into(),
            Some(ToServer::Open(_)) => Close { slot: 1 }.into(),
            Some(ToServer::Close(_)) => GetManifest { slot: 1, file: 2, first: 16, count: 16 }.into(),
            Some(ToServer::GetManifest(_)) => {
                GetChunk { slot: 1, first: ANY_CHUNK, count: 256, proof: true, urgency: Urgency::Behind }
                    .into()
            }
            Some(ToServer::GetChunk(_)) => Cancel { target: 5 }.into(),
            Some(ToServer::Cancel(_)) => GetLoad {}.into(),
            Some(ToServer::GetLoad(_)) => AskerHas { slot: 1, gained: ranges() }.into(),
            Some(ToServer::AskerHas(_)) => Corrupt { slot: 1, chunk: Chunk(17) }.into(),
            Some(ToServer::Corrupt(_)) => Want { slot: 1, chunks: Bits::All }.into(),
            Some(ToServer::Want(_)) => return None,
        })
    }

    fn more() -> Vec<ToServer> {
        View::ALL.iter().map(|view| Open { slot: u16::MAX, id: id(0), view: *view }.into()).collect()
    }
}

impl Sampled for FromServer {
    const TABLE: &[(u8, &'static str)] = FromServer::TABLE;

    fn next(after: Option<&FromServer>) -> Option<FromServer> {
        Some(match after {
            None => Common::Pong.into(),
            Some(FromServer::Common(_)) => {
                let looks = Some(Looks { mode: 0o755, mtime_ns: -1 });
                Opened { size: 200_000, chunks: 4, have: Bits::All, looks }.into()
            }
            Some(FromServer::Opened(_)) => Manifest { proof: proof() }.into(),
            Some(FromServer::Manifest(_)) => ChunkHead { index: Chunk(17), proof: proof() }.into(),
            Some(FromServer::ChunkHead(_)) => Refused { reason: Refusal::Gone }.into(),
            Some(FromServer::Refused(_)) => {
                Load { uploads: 1, downloads: 2, queued: 3, rate: Rate::new(4) }.into()
            }
            Some(FromServer::Load(_)) => ServerHas { slot: 1, gained: ranges() }.into(),
            Some(FromServer::ServerHas(_)) => Here { id: id(1), view: View::Members }.into(),
            Some(FromServer::Here(_)) => return None,
        })
    }

    fn more() -> Vec<FromServer> {
        let bits = [Bits::None, Bits::Map(Bytes::from_static(&[0b1010_0000])), Bits::Map(Bytes::new())];
        let opened = bits.into_iter().map(|have| Opened { size: 1, chunks: 3, have, looks: None }.into());
        let refused = Refusal::ALL.iter().map(|reason| Refused { reason: *reason }.into());
        let bare = ChunkHead { index: Chunk(0), proof: Proof::default() }.into();
        opened.chain(refused).chain([bare]).collect()
    }
}

impl Sampled for BetweenNodes {
    const TABLE: &[(u8, &'static str)] = BetweenNodes::TABLE;

    fn next(after: Option<&BetweenNodes>) -> Option<BetweenNodes> {
        let passed = Passed(Bytes::from_static(b"said"));
        Some(match after {
            None => Common::Ok.into(),
            Some(BetweenNodes::Common(_)) => LinkNodes { node: 2, to: 1, token: 3 }.into(),
            Some(BetweenNodes::LinkNodes(_)) => Say { more: true, said: passed }.into(),
            Some(BetweenNodes::Say(_)) => Forward {
                peer: PeerId([2; 16]),
                name: Text::new("anna"),
                key: key(6),
                invite: 7,
                late: false,
                message: 0x17,
                body: passed,
            }
            .into(),
            Some(BetweenNodes::Forward(_)) => Forwarded { message: 0x33, body: passed }.into(),
            Some(BetweenNodes::Forwarded(_)) => Confirm { to: 1, token: 3 }.into(),
            Some(BetweenNodes::Confirm(_)) => ChangePages { change: 23, body: passed }.into(),
            Some(BetweenNodes::ChangePages(_)) => return None,
        })
    }

    fn more() -> Vec<BetweenNodes> {
        vec![Say { more: false, said: Passed::default() }.into()]
    }
}
