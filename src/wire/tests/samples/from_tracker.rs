//! A sample of every kind of message that a tracker says.

use super::*;

fn cluster() -> Cluster {
    let node = NodeInfo {
        node: 1,
        address: Text::new("t1:9700"),
        key: key(6),
        votes: true,
        incarnation: Incarnation(7),
        replaced: false,
        heard_ms: 120,
        epoch: 3,
        applied: 1 << 40,
    };
    Cluster { epoch: 3, leader: 1, node: 2, nodes: List::new(vec![node.clone(), node]) }
}

impl Sampled for FromTracker {
    const TABLE: &[(u8, &'static str)] = FromTracker::TABLE;

    fn next(after: Option<&FromTracker>) -> Option<FromTracker> {
        Some(match after {
            None => Common::Ok.into(),
            Some(FromTracker::Common(_)) => Registered { lease_ms: 30_000, epoch: 7 }.into(),
            Some(FromTracker::Registered(_)) => {
                Located { variants: List::new(vec![variant(), variant()]), near: List::default() }.into()
            }
            Some(FromTracker::Located(_)) => {
                Listing { entries: List::new(vec![entry(), entry()]), more: true }.into()
            }
            Some(FromTracker::Listing(_)) => Status {
                uptime_ms: 1,
                epoch: 7,
                peers: 2,
                names: 3,
                registrations: 4,
                located: 5,
                settling_ms: 6,
                clock_ms: 1_795_000_000_000,
            }
            .into(),
            Some(FromTracker::Status(_)) => Peers { peers: List::new(vec![peer_info()]), more: false }.into(),
            Some(FromTracker::Peers(_)) => cluster().into(),
            Some(FromTracker::Cluster(_)) => Lent {
                authority: Authority(5),
                term: Term(6),
                lasting: true,
                recovers: false,
                report: true,
                records: false,
            }
            .into(),
            Some(FromTracker::Lent(_)) => {
                let duties = successors(next_duty(None), |last| next_duty(Some(last))).collect();
                Duties { term: Term(6), duties: List::new(duties) }.into()
            }
            Some(FromTracker::Duties(_)) => Storing { covered: 3, needed: 8 }.into(),
            Some(FromTracker::Storing(_)) => Stored { number: 3, fresh: true }.into(),
            Some(FromTracker::Stored(_)) => Resolved { versions: List::new(vec![version()]) }.into(),
            Some(FromTracker::Resolved(_)) => {
                Versions { versions: List::new(vec![version(), version()]), more: true }.into()
            }
            Some(FromTracker::Versions(_)) => Removed { count: 2 }.into(),
            Some(FromTracker::Removed(_)) => Health {
                contents: 9,
                survives: 0,
                promised: 1,
                machines: 0,
                zones: 0,
                bytes: 1 << 40,
                endangered: 3,
                lost: 2,
                repairing: 1,
                hearing: true,
                away: List::new(vec![store_info()]),
            }
            .into(),
            Some(FromTracker::Health(_)) => {
                Stores { stores: List::new(vec![store_info(), store_info()]), more: false }.into()
            }
            Some(members) => return next_of_members(members),
        })
    }

    fn more() -> Vec<FromTracker> {
        let state = |state: &StoreState| StoreInfo { state: *state, ..store_info() };
        vec![
            Located { variants: List::default(), near: List::new(vec![Text::new("nearly")]) }.into(),
            Resolved { versions: List::default() }.into(),
            Stores { stores: List::new(StoreState::ALL.iter().map(state).collect()), more: true }.into(),
        ]
    }
}

/// What follows STORES.
fn next_of_members(after: &FromTracker) -> Option<FromTracker> {
    let revoked = List::new(vec![key(7)]);
    let before = List::new(vec![Grace { epoch: epoch(), left_ms: 3_600_000 }]);
    Some(match after {
        FromTracker::Stores(_) => {
            let tracker = TrackerKey { address: Text::new("192.0.2.1:9700"), key: key(6) };
            let trackers = List::new(vec![tracker]);
            Joined { swarm: Text::new("lab"), standing: standing(), epoch: epoch(), trackers }.into()
        }
        FromTracker::Joined(_) => Renewed { standing: standing(), epoch: epoch(), before, revoked }.into(),
        FromTracker::Renewed(_) => {
            let trackers = List::new(vec![Text::new("192.0.2.1:9700")]);
            Invited { until_ms: 1_700_000_000_000, trackers }.into()
        }
        FromTracker::Invited(_) => {
            let member = MemberInfo {
                key: key(7),
                name: Text::new("anna"),
                standing: standing(),
                by: PublicKey::NONE,
                own: false,
                since_ms: 1_700_000_000_000,
                here: true,
            };
            Members { members: List::new(vec![member.clone(), member]), more: true }.into()
        }
        FromTracker::Members(_) => Keys { epoch: epoch(), before, revoked }.into(),
        FromTracker::Keys(_) => {
            let (name, host) = (Text::new("rack1-b"), Text::new("b.lan"));
            let duty = NodeDuty { duty: 77, node: NodeId([2; 16]), name, host, lease_ms: 30_000 };
            let duties = List::new(vec![duty]);
            NodeOrders { authority: Authority(5), beat_ms: 2000, paused: false, duties }.into()
        }
        FromTracker::NodeOrders(_) => {
            let nodes = NodeState::ALL.iter().copied().map(node_info).collect();
            Nodes { paused: true, nodes: List::new(nodes), more: true }.into()
        }
        _ => return None,
    })
}
