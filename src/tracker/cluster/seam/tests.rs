//! Each verb of the seam, with the exact list of what comes of it.

use super::*;
use crate::content::FileId;
use crate::tracker::cluster::entry::Entry;
use crate::tracker::cluster::rules::Rules;
use crate::tracker::records::samples::name;
use crate::tracker::records::{Records, Remove};
use crate::wire::{Authority, ClientId};

const DISK: Incarnation = Incarnation(1);
const AUTHORITY: Authority = Authority(5);
const PROCESS: u64 = 7;
const PIECE_BYTES: usize = 4;

fn address(node: Node) -> (Node, Address, PublicKey) {
    (node, Address::new(format!("t{node}:1")), PublicKey::NONE)
}

/// Tracker 1 of these, with an empty disk; and its first step.
fn started(first: &[Node]) -> (Seam, Step) {
    let settings = Settings {
        node: 1,
        first: first.iter().copied().map(address).collect(),
        process: PROCESS,
        incarnation: DISK,
        records: records(),
        authority: AUTHORITY,
        piece_bytes: PIECE_BYTES,
        log_bytes: (1 << 20, 1 << 20),
        rules: Rules::default(),
    };
    Seam::new(settings, Found::default())
}

fn records() -> Bytes {
    Records::default().snapshot()
}

/// What comes of one event.
fn step(seam: &mut Seam, event: Event) -> Step {
    seam.feed(event);
    seam.flush()
}

fn only(ready: Vec<Ready>) -> Step {
    Step { ready, ..Step::default() }
}

fn ends(node: Node, id: u64) -> Step {
    Step { ends: vec![(node, id)], ..Step::default() }
}

fn entry(number: u64, what: &What) -> Entry {
    Entry::new(Mark { process: PROCESS, number }, what)
}

/// What a tracker says that comes into office in this epoch.
fn start(epoch: u32) -> Command {
    Command::Start(Start { authority: AUTHORITY, least: Term(u128::from(epoch) << 64) })
}

fn removal() -> Command {
    Command::Remove(Remove { client: ClientId(4), seq: 9, name: name("a"), number: 1 })
}

fn member(node: Node, incarnation: Incarnation) -> Member {
    let (node, address, key) = address(node);
    Member { node, address, incarnation, key }
}

/// How an epoch begins with empty records.
fn head(epoch: u32, base: u64, chain: Chain, first: &Members, members: Members) -> Head {
    let (bytes, hash) = (records().len() as u64, FileId::of(&records()));
    Head { cluster: cluster_of(first), epoch, base, chain, members, bytes, hash }
}

/// The frames of a connection on which this was said, from the first one on.
fn said_on(id: u64, node: Node, all: &[Said]) -> Vec<(Node, u64, Bytes)> {
    let mut link = Link::new(id);
    all.iter().map(|said| (node, id, link.frame(said))).collect()
}

fn nowhere(cluster: ClusterId) -> Said {
    Said::At(At { cluster, epoch: 0, slot: 0, chain: Chain::default() })
}

/// The same, and that it has heard so of who is told.
fn agreed(cluster: ClusterId) -> Said {
    Said::At(At { cluster, epoch: 0, slot: 1, chain: Chain::default() })
}

fn greeting(node: Node, incarnation: Incarnation, seam: &Seam) -> Said {
    Said::Greeting(Greeting { node, incarnation, list: seam.list })
}

#[test]
fn a_tracker_that_is_alone_founds_its_cluster_and_takes_office_at_once() {
    let (seam, first) = started(&[1]);
    let members = Members::new(vec![member(1, DISK)]);
    let identity = Write::Identity(Identity { node: 1, incarnation: DISK });
    let begun = Write::Begin(head(1, 0, Chain::default(), &members, members.clone()), records());
    let written = Write::Entries(0, vec![entry(1, &What::Command(start(1)))]);
    let expected = Step {
        writes: vec![identity.clone(), identity, begun, written],
        ready: vec![Ready::Install(records()), Ready::Apply(1, start(1), None), Ready::Leads(true)],
        ..Step::default()
    };
    assert_eq!(first, expected);
    assert!(seam.leads() && seam.is_member() && seam.others().next().is_none());
    assert_eq!((seam.leader(), seam.slot()), (Some(1), 1));
}

#[test]
fn what_is_proposed_is_written_applied_and_answered() {
    let (mut seam, _) = started(&[1]);
    let command = step(&mut seam, Event::Propose(9, Some(removal())));
    let writes = vec![Write::Entries(1, vec![entry(2, &What::Command(removal()))])];
    let ready = vec![Ready::Apply(2, removal(), Some(9))];
    assert_eq!(command, Step { writes, ready, ..Step::default() });
    let barrier = step(&mut seam, Event::Propose(10, None));
    let writes = vec![Write::Entries(2, vec![entry(3, &What::Barrier)])];
    assert_eq!(barrier, Step { writes, ready: vec![Ready::Passed(10)], ..Step::default() });
    assert_eq!(seam.slot(), 3);
    assert_eq!(step(&mut seam, Event::Tick), Step::default(), "nothing comes of time alone");
}

#[test]
fn before_the_first_epoch_nothing_can_be_asked_for() {
    let (mut seam, first) = started(&[1, 2]);
    let writes = vec![Write::Identity(Identity { node: 1, incarnation: DISK })];
    assert_eq!(first, Step { writes, ..Step::default() });
    let refused = |tag| only(vec![Ready::Refused(tag, Reason::NotLeader(None))]);
    assert_eq!(step(&mut seam, Event::Propose(3, Some(removal()))), refused(3));
    assert_eq!(step(&mut seam, Event::Propose(4, None)), refused(4));
    assert_eq!(step(&mut seam, Event::Change(5, vec![address(1)])), refused(5));
    assert_eq!(step(&mut seam, Event::Snapshot(records())), Step::default());
    assert_eq!(step(&mut seam, Event::Shrunk), Step::default());
    assert!(seam.head().is_none() && !seam.leads() && !seam.is_member() && seam.leader().is_none());
}

#[test]
fn the_members_change_from_one_epoch_to_the_next() {
    let (mut seam, _) = started(&[1]);
    let refused = |tag, reason| only(vec![Ready::Refused(tag, reason)]);
    let wrong = || Reason::Members("a cluster has members with different numbers from 1 up".to_owned());
    assert_eq!(step(&mut seam, Event::Change(1, vec![])), refused(1, wrong()));
    assert_eq!(step(&mut seam, Event::Change(2, vec![address(1), address(1)])), refused(2, wrong()));
    let away = Reason::NotYet("tracker 2 is not connected to this one".to_owned());
    assert_eq!(step(&mut seam, Event::Change(3, vec![address(1), address(2)])), refused(3, away));
    let members = Members::new(vec![member(1, DISK)]);
    let ended = step(&mut seam, Event::Change(4, vec![address(1)]));
    let end = entry(2, &What::End(members.clone()));
    let expected = Step {
        writes: vec![Write::Entries(1, vec![end.clone()])],
        ready: vec![Ready::Ended, Ready::Leads(false)],
        ..Step::default()
    };
    assert_eq!(ended, expected);
    assert_eq!(step(&mut seam, Event::Change(5, vec![address(1)])), refused(5, Reason::Changing));
    let later = Reason::NotLeader(Some(1));
    assert_eq!(step(&mut seam, Event::Propose(6, None)), refused(6, later));
    let chain = end.chain(entry(1, &What::Command(start(1))).chain(Chain::default()));
    let begun = step(&mut seam, Event::Snapshot(records()));
    let expected = Step {
        writes: vec![
            Write::Identity(Identity { node: 1, incarnation: DISK }),
            Write::Begin(head(2, 2, chain, &members, members.clone()), records()),
            Write::Entries(0, vec![entry(4, &What::Command(start(2)))]),
        ],
        ready: vec![Ready::Apply(3, start(2), None), Ready::Changed(4), Ready::Leads(true)],
        ..Step::default()
    };
    assert_eq!(begun, expected);
}

#[test]
fn a_connection_begins_with_who_is_here_and_where() {
    let (mut seam, _) = started(&[1, 2]);
    let said = [greeting(1, DISK, &seam), nowhere(ClusterId::default())];
    assert_eq!(step(&mut seam, Event::Up(2, 7)), Step { frames: said_on(7, 2, &said), ..Step::default() });
    let nobody = [1, 0, MAX_NODE + 1];
    assert!(nobody.into_iter().all(|node| step(&mut seam, Event::Up(node, 3)) == ends(node, 3)));
    assert_eq!(step(&mut seam, Event::Down(2, 6)), Step::default());
    assert_eq!(seam.others().map(|other| (other.node, other.incarnation)).collect::<Vec<_>>(), [(2, None)]);
    assert_eq!(step(&mut seam, Event::Down(2, 7)), Step::default());
    assert!(seam.others().next().is_none(), "that was it");
}

#[test]
fn a_connection_that_is_taken_the_place_of_is_ended() {
    let (mut seam, _) = started(&[1, 2]);
    let said = [greeting(1, DISK, &seam), nowhere(ClusterId::default())];
    let _ = step(&mut seam, Event::Up(2, 8));
    // One that was made before may be heard of later.
    assert_eq!(step(&mut seam, Event::Up(2, 7)), Step { frames: said_on(7, 2, &said), ..ends(2, 8) });
    assert_eq!(step(&mut seam, Event::Down(2, 8)), Step::default());
    assert_eq!(seam.others().map(|other| other.node).collect::<Vec<_>>(), [2]);
}

#[test]
fn who_does_not_greet_or_greets_as_another_is_left() {
    let (mut seam, _) = started(&[1, 2]);
    for first in [nowhere(ClusterId::default()), greeting(3, Incarnation(2), &seam)] {
        let [(.., frame)] = &said_on(0, 1, &[first])[..] else { panic!("that is one") };
        let _ = step(&mut seam, Event::Up(2, 7));
        assert_eq!(
            step(&mut seam, Event::Frame(2, 6, frame.clone())),
            Step::default(),
            "of another connection"
        );
        assert_eq!(step(&mut seam, Event::Frame(2, 7, frame.clone())), ends(2, 7));
        assert_eq!(step(&mut seam, Event::Frame(2, 7, frame.clone())), Step::default(), "it is gone");
    }
    let _ = step(&mut seam, Event::Up(2, 8));
    assert_eq!(step(&mut seam, Event::Frame(2, 8, Bytes::from_static(b"no frame"))), ends(2, 8));
}

#[test]
fn all_that_is_said_every_fourth_tick_is_where_it_is_and_who_is_silent_for_long_is_left() {
    let (mut seam, _) = started(&[1, 2]);
    let mut said = vec![greeting(1, DISK, &seam), nowhere(ClusterId::default())];
    let _ = step(&mut seam, Event::Up(2, 7));
    for tick in 1..=SILENT_TICKS {
        let mut expected = Step::default();
        if tick.is_multiple_of(AT_TICKS) {
            said.push(nowhere(ClusterId::default()));
            expected.frames.extend(said_on(7, 2, &said).pop());
        }
        assert_eq!(step(&mut seam, Event::Tick), expected, "tick {tick}");
        assert_eq!(seam.others().next().map(|other| other.silent), Some(tick));
    }
    assert_eq!(step(&mut seam, Event::Tick), ends(2, 7));
}

#[test]
fn a_cluster_is_founded_when_all_have_said_that_they_would_found_the_same_and_have_heard_so() {
    let (mut seam, _) = started(&[1, 2]);
    let members = Members::new(vec![member(1, DISK), member(2, Incarnation(2))]);
    let cluster = cluster_of(&members);
    let theirs = [
        greeting(2, Incarnation(2), &seam),
        nowhere(ClusterId::default()),
        nowhere(cluster),
        agreed(cluster),
    ];
    let mut ours = vec![greeting(1, DISK, &seam), nowhere(ClusterId::default())];
    let _ = step(&mut seam, Event::Up(2, 7));
    let mut hears =
        said_on(0, 1, &theirs).into_iter().map(|(.., frame)| step(&mut seam, Event::Frame(2, 7, frame)));
    assert_eq!(hears.next(), Some(Step::default()), "it is not known where that one is");
    for said in [nowhere(cluster), agreed(cluster)] {
        ours.push(said);
        let frames = said_on(7, 2, &ours).pop().into_iter().collect();
        assert_eq!(hears.next(), Some(Step { frames, ..Step::default() }));
    }
    let begins = hears.next().unwrap();
    drop(hears);
    let identity = Write::Identity(Identity { node: 1, incarnation: DISK });
    let head = head(1, 0, Chain::default(), &members, members.clone());
    assert_eq!(begins.writes, [identity, Write::Begin(head.clone(), records())]);
    assert_eq!((begins.ready, begins.ends), (vec![Ready::Install(records())], vec![]));
    let (cluster, chain) = (head.cluster, Chain::default());
    ours.push(Said::At(At { cluster, epoch: 1, slot: 0, chain }));
    assert_eq!(begins.frames.first(), said_on(7, 2, &ours).last());
    assert!(seam.is_member() && !seam.leads(), "nobody was elected yet");
}

#[test]
fn who_asks_for_the_snapshot_is_given_a_piece_of_it_from_where_he_says() {
    let (mut seam, first) = started(&[1]);
    let Some(Write::Entries(_, written)) = first.writes.last() else { panic!("it took office") };
    let chain = written[0].chain(Chain::default());
    let members = Members::new(vec![member(1, DISK)]);
    let (snapshot, head) = (records(), head(1, 0, Chain::default(), &members, members.clone()));
    let len = snapshot.len() as u64;
    assert!(len > PIECE_BYTES as u64);
    let asked = [0, 1, len - 1, len, len + 9, u64::MAX].map(|from| Said::Ask(1, from));
    let theirs: Vec<Said> = std::iter::once(greeting(2, Incarnation(2), &seam)).chain(asked).collect();
    let _ = step(&mut seam, Event::Up(2, 7));
    let mut answers = Vec::new();
    for (.., frame) in said_on(0, 1, &theirs) {
        answers.extend(step(&mut seam, Event::Frame(2, 7, frame)).frames);
    }
    let piece =
        |from: u64, to: u64| Said::Piece(head.clone(), from, snapshot.slice(from as usize..to as usize));
    let end = || piece(len, len);
    let at = Said::At(At { cluster: head.cluster, epoch: 1, slot: 1, chain });
    let ours =
        [greeting(1, DISK, &seam), at, piece(0, 4), piece(1, 5), piece(len - 1, len), end(), end(), end()];
    assert_eq!(answers, said_on(7, 2, &ours)[2..]);
}

/// A tracker that has begun the first epoch with another, of which nothing is applied, and is connected with that one.
fn begun() -> Seam {
    let (mut seam, _) = started(&[1, 2]);
    let members = Members::new(vec![member(1, DISK), member(2, Incarnation(2))]);
    let theirs = [greeting(2, Incarnation(2), &seam), agreed(cluster_of(&members))];
    let _ = step(&mut seam, Event::Up(2, 7));
    for (.., frame) in said_on(0, 1, &theirs) {
        let _ = step(&mut seam, Event::Frame(2, 7, frame));
    }
    assert!(seam.is_member() && seam.slot() == 0);
    seam
}

#[test]
fn a_first_epoch_of_which_nothing_is_applied_is_handed_to_its_members_alone() {
    // Another tracker, and one with the number of a member and another disk.
    for (node, disk, is_handed) in
        [(2, Incarnation(2), true), (2, Incarnation(3), false), (3, Incarnation(3), false)]
    {
        let mut seam = begun();
        let _ = step(&mut seam, Event::Up(node, 8));
        let said = [greeting(node, disk, &seam), Said::Ask(1, 0)];
        let asked = said_on(0, 1, &said).into_iter().map(|(.., frame)| Event::Frame(node, 8, frame));
        let last = asked.map(|event| step(&mut seam, event)).last().unwrap();
        assert_eq!(last.frames.len(), usize::from(is_handed), "to {node} with {disk:?}");
    }
}

#[test]
fn where_most_of_a_snapshot_is_gone_whoever_leads_ends_the_epoch() {
    let (mut seam, _) = started(&[1]);
    assert_eq!(seam.head().map(|head| head.epoch), Some(1));
    let ended = step(&mut seam, Event::Shrunk);
    assert_eq!(ended.ready, [Ready::Ended, Ready::Leads(false)]);
    seam.feed(Event::Shrunk);
    let begun = step(&mut seam, Event::Snapshot(records()));
    assert_eq!(begun.ready, [Ready::Apply(3, start(2), None), Ready::Leads(true)], "it ends once");
    assert_eq!(seam.head().map(|head| head.epoch), Some(2));
}
