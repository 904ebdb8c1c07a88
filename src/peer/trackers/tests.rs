//! Links to trackers that say what a test has them say.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use super::worker::{FIRST_PAUSE, split_for_frame};
use super::*;
use crate::content::{Address, Chunk, PeerId, PublicKey, Run};
use crate::net::secure::Keyring;
use crate::net::trace::Side;
use crate::net::{self, Messages};
use crate::wire::limits::{MAX_FRAME_BYTES, MAX_LABEL_BYTES, MAX_OFFERS};
use crate::wire::{
    Cluster, Common, Complaint, ErrorCode, FromTracker, HaveChunks, Incarnation, List, NodeInfo, Purpose,
    Register, Registered, Role, ToTracker, TrackerAddress, Update, Variant,
};

/// For what has to happen, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

type Theirs = Messages<ToTracker, FromTracker>;

/// A tracker that is a listening socket.
struct Fake(TcpListener);

impl Fake {
    fn new() -> Fake {
        Fake(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    fn addr(&self) -> String {
        self.0.local_addr().unwrap().to_string()
    }

    /// The next connection, up to its REGISTER.
    fn register(&self) -> (Theirs, u32, Register) {
        let (stream, _) = self.0.accept().unwrap();
        let part = |theirs| (theirs == Role::Member).then_some(Role::Tracker);
        let session = net::welcome(stream, &Identity::tool(Keyring::none()), Side::Tracker, part).unwrap();
        let mut line = Theirs::new(session, Side::Tracker);
        line.set_timeout(Some(PATIENCE)).unwrap();
        let (request, ToTracker::Register(register)) = line.receive().unwrap() else { panic!("no REGISTER") };
        (line, request, register)
    }

    /// The next connection, registered.
    fn member(&self) -> Theirs {
        let (mut line, request, _) = self.register();
        line.send(request, &Registered { lease_ms: 60_000, epoch: 1 }.into()).unwrap();
        line
    }
}

/// What the peer has.
struct Here(Vec<Offer>, Vec<Part>);

impl Registry for Here {
    fn offers(&self) -> Vec<Offer> {
        self.0.clone()
    }

    fn parts(&self) -> Vec<Part> {
        self.1.clone()
    }

    fn load(&self) -> (u16, u16) {
        (0, 0)
    }

    fn listens(&self) -> (u16, Vec<Address>) {
        (7, Vec::new())
    }
}

fn start(here: Here, addrs: &[String]) -> (Trackers, Arc<Stop>) {
    let (trackers, stop) = (Trackers::new(addrs).unwrap(), Stop::new());
    let here: Arc<dyn Registry> = Arc::new(here);
    trackers.start(&Identity::tool(Keyring::none()), &here, &stop).unwrap();
    (trackers, stop)
}

fn nothing() -> Here {
    Here(Vec::new(), Vec::new())
}

fn id(number: u8) -> FileId {
    FileId([number; 32])
}

fn offer(number: u8) -> Offer {
    let name = Name::new("file");
    Offer { name, id: id(number), size: 1, total: 1, chunks: 1, complete: true, original: true, modified: 0 }
}

fn question(number: u8) -> Locate {
    let (name, missing) = (Name::default(), List::default());
    Locate { name, id: id(number), purpose: Purpose::Fetch, max: 1, missing }
}

/// An answer that can be told from others.
fn located(number: u8) -> Located {
    let variant = Variant { id: id(number), ..Variant::sample("file") };
    Located { variants: List::new(vec![variant]), near: List::default() }
}

fn refusal(code: ErrorCode) -> FromTracker {
    Common::error(code, "no").into()
}

/// The next message that is no question about other trackers; for whoever does not understand those there are none.
fn heard(line: &mut Theirs) -> (u32, ToTracker) {
    loop {
        match line.receive().unwrap() {
            (request, ToTracker::GetCluster(_)) => line.send(request, &Common::Ok.into()).unwrap(),
            other => return other,
        }
    }
}

/// The next message that is no sign of life either; those are answered.
fn next(line: &mut Theirs) -> (u32, ToTracker) {
    loop {
        match heard(line) {
            (request, ToTracker::Heartbeat(_)) => line.send(request, &Common::Ok.into()).unwrap(),
            other => return other,
        }
    }
}

/// Answers the next message with OK, and says what it was.
fn agree(line: &mut Theirs) -> ToTracker {
    let (request, message) = next(line);
    line.send(request, &Common::Ok.into()).unwrap();
    message
}

fn gained(number: u8, ranges: &[Run]) -> ToTracker {
    HaveChunks { id: id(number), view: View::Bytes, gained: List::new(ranges.to_vec()) }.into()
}

#[test]
fn a_link_registers_all_there_is_and_then_tells_what_changes_in_order() {
    let fake = Fake::new();
    let part = ((id(1), View::Bytes), vec![Run::new(Chunk(0), 1)]);
    let (trackers, stop) = start(Here(vec![offer(1)], vec![part]), &[fake.addr()]);
    let (mut line, request, register) = fake.register();
    assert_eq!((register.port, register.offers.into_vec()), (7, vec![offer(1)]));
    line.send(request, &Registered { lease_ms: 60_000, epoch: 1 }.into()).unwrap();
    assert_eq!(agree(&mut line), gained(1, &[Run::new(Chunk(0), 1)]));
    trackers.update(&[offer(2)], &[(Name::new("old"), id(3))]);
    trackers.have((id(2), View::Bytes), &[Run::new(Chunk(4), 2)]);
    let report = Report { peer: PeerId([9; 16]), id: id(1), chunk: Chunk(0), complaint: Complaint::Dead };
    trackers.report(&report);
    let removed = List::new(vec![(Name::new("old"), id(3))]);
    let update = Update { added: List::new(vec![offer(2)]), removed };
    assert_eq!(agree(&mut line), update.into());
    assert_eq!(agree(&mut line), gained(2, &[Run::new(Chunk(4), 2)]));
    assert_eq!(agree(&mut line), report.into());
    assert_eq!(trackers.states(), [(fake.addr(), true)]);
    stop.stop();
    let (_, last) = next(&mut line);
    assert_eq!(last, Common::Leave.into());
    drop(line);
    assert!(stop.wait(PATIENCE));
}

#[test]
fn a_question_that_is_refused_fails_alone() {
    let fake = Fake::new();
    let (trackers, _stop) = start(nothing(), &[fake.addr()]);
    let mut line = fake.member();
    let refused = trackers.locate(&question(0));
    let answered = trackers.locate(&question(1));
    let (request, asked) = next(&mut line);
    assert_eq!(asked, question(0).into());
    line.send(request, &refusal(ErrorCode::BadName)).unwrap();
    let report = Report { peer: PeerId([9; 16]), id: id(1), chunk: Chunk(0), complaint: Complaint::Dead };
    trackers.report(&report);
    let (request, asked) = next(&mut line);
    assert_eq!(asked, question(1).into(), "on the same link");
    line.send(request, &located(1).into()).unwrap();
    assert_eq!(answered.recv_timeout(PATIENCE), Ok(located(1)));
    assert!(refused.recv_timeout(PATIENCE).is_err(), "there is no answer to wait for");
    let (request, reported) = next(&mut line);
    assert_eq!(reported, report.into());
    line.send(request, &refusal(ErrorCode::BadName)).unwrap();
    trackers.have((id(2), View::Bytes), &[Run::new(Chunk(4), 2)]);
    assert_eq!(agree(&mut line), gained(2, &[Run::new(Chunk(4), 2)]));
    assert!(trackers.any_connected());
}

#[test]
fn what_comes_before_an_answer_is_not_taken_for_it() {
    let fake = Fake::new();
    let (trackers, _stop) = start(nothing(), &[fake.addr()]);
    let mut line = fake.member();
    let answers = trackers.locate(&question(1));
    let (request, _) = next(&mut line);
    line.send(9, &Common::Ping.into()).unwrap();
    line.send(request + 100, &located(2).into()).unwrap();
    line.send(request, &located(1).into()).unwrap();
    assert_eq!(line.receive().unwrap(), (9, Common::Pong.into()));
    assert_eq!(answers.recv_timeout(PATIENCE), Ok(located(1)));
    assert!(answers.recv_timeout(PATIENCE).is_err());
}

#[test]
fn each_tracker_answers_for_itself_and_one_that_is_dead_keeps_nobody_waiting() {
    let (living, dead, other) = (Fake::new(), Fake::new(), Fake::new());
    let dead_addr = dead.addr();
    drop(dead);
    let (trackers, _stop) = start(nothing(), &[living.addr(), dead_addr.clone(), other.addr()]);
    let (mut first, mut second) = (living.member(), other.member());
    let answers = trackers.locate(&question(1));
    let (to_second, _) = next(&mut second);
    second.send(to_second, &located(2).into()).unwrap();
    assert_eq!(answers.recv_timeout(PATIENCE), Ok(located(2)), "the one that answers first is heard first");
    let (to_first, _) = next(&mut first);
    first.send(to_first, &located(1).into()).unwrap();
    assert_eq!(answers.recv_timeout(PATIENCE), Ok(located(1)));
    assert_eq!(trackers.states(), [(living.addr(), true), (dead_addr, false), (other.addr(), true)]);
    assert!(trackers.any_connected());
}

#[test]
fn a_link_that_breaks_is_made_anew_with_pauses_and_all_is_told_again() {
    let fake = Fake::new();
    let begun = Instant::now();
    let (trackers, _stop) = start(Here(vec![offer(1)], Vec::new()), &[fake.addr()]);
    for _ in 0..3 {
        let (mut line, request, _) = fake.register();
        line.send(request, &refusal(ErrorCode::Limit)).unwrap();
    }
    // What waits is forgotten: it is part of what is registered, and who asks is not kept waiting.
    trackers.have((id(1), View::Bytes), &[Run::new(Chunk(0), 1)]);
    assert!(trackers.locate(&question(2)).recv_timeout(PATIENCE).is_err());
    let (mut line, request, register) = fake.register();
    let least = (FIRST_PAUSE + FIRST_PAUSE * 2 + FIRST_PAUSE * 4) / 2;
    assert!(begun.elapsed() >= least, "pauses double, with jitter: {:?}", begun.elapsed());
    assert_eq!(register.offers.into_vec(), [offer(1)]);
    let answers = trackers.locate(&question(1));
    line.send(request, &Registered { lease_ms: 60_000, epoch: 1 }.into()).unwrap();
    let (request, asked) = next(&mut line);
    assert_eq!(asked, question(1).into());
    line.send(request, &located(1).into()).unwrap();
    assert_eq!(answers.recv_timeout(PATIENCE), Ok(located(1)));
    drop(line);
    assert_eq!(fake.register().2.offers.into_vec(), [offer(1)], "a tracker may have forgotten all");
}

#[test]
fn a_lease_that_has_ended_is_registered_anew() {
    let fake = Fake::new();
    let (_trackers, _stop) = start(nothing(), &[fake.addr()]);
    let (mut line, request, _) = fake.register();
    line.send(request, &Registered { lease_ms: 1, epoch: 1 }.into()).unwrap();
    let (request, beat) = heard(&mut line);
    assert!(matches!(beat, ToTracker::Heartbeat(_)), "{beat:?}");
    line.send(request, &refusal(ErrorCode::NotRegistered)).unwrap();
    fake.register();
}

#[test]
fn lists_that_are_longer_than_a_frame_are_cut() {
    let mut names: Vec<Name> = (0..MAX_OFFERS + 3).map(|number| Name::new(number.to_string())).collect();
    let rest = split_for_frame(&mut names, |name| name);
    assert_eq!((names.len(), rest.len()), (MAX_OFFERS, 3));
    let long = "x".repeat(4000);
    let mut names: Vec<Name> = (0..MAX_OFFERS).map(|_| Name::new(long.as_str())).collect();
    let rest = split_for_frame(&mut names, |name| name);
    let bytes: usize = names.iter().map(|name| name.len() + 64).sum();
    assert!(bytes <= MAX_FRAME_BYTES / 2 && bytes + 4064 > MAX_FRAME_BYTES / 2 - 64 - MAX_LABEL_BYTES);
    assert_eq!(names.len() + rest.len(), MAX_OFFERS);
}

/// What the first of these says of all of them.
fn cluster(epoch: u32, members: &[&Fake]) -> Cluster {
    let node = |(place, member): (usize, &&Fake)| NodeInfo {
        node: place as u16 + 1,
        address: TrackerAddress::new(member.addr()),
        key: PublicKey::NONE,
        votes: true,
        incarnation: Incarnation(1),
        replaced: false,
        heard_ms: 1,
        epoch,
        applied: 1,
    };
    Cluster { epoch, leader: 1, node: 1, nodes: List::new(members.iter().enumerate().map(node).collect()) }
}

/// Answers the next question about other trackers.
fn tell(line: &mut Theirs, cluster: Cluster) {
    loop {
        match line.receive().unwrap() {
            (request, ToTracker::GetCluster(_)) => return line.send(request, &cluster.into()).unwrap(),
            (request, _) => line.send(request, &Common::Ok.into()).unwrap(),
        }
    }
}

#[test]
fn who_is_one_with_a_given_tracker_is_told_all_as_well_until_that_says_otherwise() {
    let (given, other) = (Fake::new(), Fake::new());
    let (trackers, stop) = start(Here(vec![offer(1)], Vec::new()), &[given.addr()]);
    let (begun, hears) = crossbeam_channel::unbounded();
    trackers
        .follow(move |line| {
            begun.send(line.addr().to_owned()).unwrap();
            Ok(())
        })
        .unwrap();
    let (mut line, request, _) = given.register();
    line.send(request, &Registered { lease_ms: 200, epoch: 1 }.into()).unwrap();
    tell(&mut line, cluster(1, &[&given, &other]));
    let (mut second, request, register) = other.register();
    assert_eq!(register.offers.into_vec(), [offer(1)]);
    second.send(request, &Registered { lease_ms: 60_000, epoch: 1 }.into()).unwrap();
    assert_eq!(hears.iter().take(2).collect::<Vec<_>>(), [given.addr(), other.addr()]);
    tell(&mut line, cluster(2, &[&given]));
    // Signs of life of the given one go on meanwhile.
    let answering = std::thread::spawn(move || {
        while line.receive().is_ok_and(|(request, _)| line.send(request, &Common::Ok.into()).is_ok()) {}
    });
    assert_eq!(next(&mut second).1, Common::Leave.into());
    assert_eq!(trackers.states().into_iter().map(|(addr, _)| addr).collect::<Vec<_>>(), [given.addr()]);
    stop.stop();
    answering.join().unwrap();
}
