//! What others say of a living peer, and others who say that they are it: it stays where it is.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::client::{Body, Client, Frame, Hello, MEMBER, code, id};
use crate::lab::{DONE, Lab};
use crate::support::{Daemon, Sample, eventually, pattern};

const DEAD: u8 = 1;
const MISSING: u8 = 2;
const CORRUPT: u8 = 3;

/// A silent peer would have lost its place by then.
const LONGER_THAN_PATIENCE: Duration = Duration::from_millis(2500);
/// Files of one chunk in the shared folder, beside a larger one.
const SMALL: usize = 20;

fn shared() -> (Sample, Vec<u8>) {
    let mut sample = Sample::empty();
    let big = pattern(3_000_000, 9);
    sample.add("big", big.clone());
    (0..SMALL).for_each(|file| _ = sample.add(&format!("small{file}"), pattern(50_000, file as u8)));
    (sample, big)
}

/// A connection to the tracker that says to be `peer`; a new one if none is given.
fn connect(lab: &Lab, peer: Option<[u8; 16]>) -> Client {
    let hello = Hello::new(MEMBER);
    Client::greet(&lab.tracker.target(), &Hello { peer: peer.unwrap_or(hello.peer), ..hello }).unwrap().0
}

fn register(client: &mut Client, port: u16) -> Frame {
    client.ask(id::REGISTER, &crate::client::register(port, &[])).unwrap()
}

/// A registered member that only complains.
fn reporter(lab: &Lab) -> Client {
    let mut client = connect(lab, None);
    assert_eq!(register(&mut client, 1).id, id::REGISTERED);
    client
}

fn report(by: &mut Client, of: [u8; 16], about: [u8; 32], complaint: u8) {
    by.call(id::REPORT, &Body::new().raw(&of).raw(&about).u32(0).u8(complaint), id::OK).unwrap();
}

/// The one registered peer that can be dialled at `port`.
fn peer_at(lab: &Lab, port: u16) -> [u8; 16] {
    let peers =
        connect(lab, None).call(id::GET_PEERS, &Body::new().raw(&[0; 16]).u16(1000), id::PEERS).unwrap();
    let found = peers
        .fields(|fields| {
            let found = fields.list(1000, |fields| {
                let peer = fields.peer();
                let (_name, addresses) = (fields.text(), fields.addresses());
                let _load = (fields.u32(), fields.u16(), fields.u16(), fields.u32());
                (peer, addresses.first().map(|(_, port)| *port))
            });
            fields.flag();
            found
        })
        .unwrap();
    found.iter().find(|(_, at)| *at == Some(port)).expect("the peer is registered").0
}

/// How many peers the tracker names to who would fetch `name`.
fn named(lab: &Lab, name: &str) -> u32 {
    let locate = Body::new().text(name).raw(&[0; 32]).u8(1).u16(16).ranges(&[]);
    let located = connect(lab, None).call(id::LOCATE, &locate, id::LOCATED).unwrap();
    let mut fields = crate::client::Fields::new(&located.body);
    assert_eq!(fields.u32(), 1, "one variant");
    let _what = (fields.text(), fields.hash(), fields.u64(), fields.u64(), fields.u32());
    let _who = (fields.u32(), fields.u32(), fields.flag(), fields.flag(), fields.u64(), fields.u32());
    assert_eq!(fields.u8(), 0, "no code");
    fields.u32()
}

fn lab_with_a_peer() -> (Lab, Daemon, [u8; 16], (Sample, Vec<u8>)) {
    let lab = Lab::new();
    let (sample, big) = shared();
    let peer = lab.peer(&sample, "peer", &[]);
    lab.wait_for_seeders("big", 1);
    let known = peer_at(&lab, peer.addr().port());
    (lab, peer, known, (sample, big))
}

#[test]
fn complaints_hide_no_living_peer_and_unmake_no_seeder() {
    let (lab, _peer, accused, (sample, big)) = lab_with_a_peer();
    let mut reporters = [reporter(&lab), reporter(&lab), reporter(&lab)];
    for by in &mut reporters {
        (0..3).for_each(|_| report(by, accused, [0; 32], DEAD));
        for (_, content) in sample.files() {
            let id = *blake3::hash(content).as_bytes();
            report(by, accused, id, MISSING);
            report(by, accused, id, CORRUPT);
        }
    }
    assert_eq!(named(&lab, "big"), 1);
    for file in 0..SMALL {
        assert_eq!(lab.seeders(&format!("small{file}")), 1);
    }
    lab.get("big", &["--wait", "20s"]).expect(DONE);
    lab.expect_file("big", &big);
}

#[test]
fn who_has_anothers_id_does_not_take_its_place_while_it_lives() {
    let (lab, peer, known, _shared) = lab_with_a_peer();
    let mut copy = connect(&lab, Some(known));
    let claiming = Instant::now();
    while claiming.elapsed() < LONGER_THAN_PATIENCE {
        assert_eq!(register(&mut copy, 1).error().unwrap(), code::IN_USE);
        std::thread::sleep(Duration::from_millis(50));
    }
    drop(copy);
    assert_eq!((named(&lab, "big"), peer_at(&lab, peer.addr().port())), (1, known));
    assert!(!peer.log().contains("trying again"), "{}", peer.log());
    // A peer whose first connection is dead without a word comes back on another.
    peer.signal(Signal::STOP);
    let mut again = connect(&lab, Some(known));
    eventually("it is taken over", || {
        let answer = register(&mut again, 4242);
        (answer.id == id::REGISTERED).then_some(())
    });
    assert_eq!(peer_at(&lab, 4242), known);
    // Who wakes up to that says so, and does without that id: whoever knows it could keep it for ever.
    peer.signal(Signal::CONT);
    let answering = answer_pings(again);
    peer.wait_for_log("another peer with the id of this one is registered there and lives");
    lab.wait_for_seeders("big", 1);
    assert_ne!(peer_at(&lab, peer.addr().port()), known);
    lab.get("big", &["--wait", "20s"]).expect(DONE);
    drop(answering);
}

/// Answers PING for the rest of the test.
fn answer_pings(mut client: Client) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        while let Some(frame) = client.try_read().unwrap() {
            if frame.id == id::PING {
                client.send(&crate::client::frame(id::PONG, frame.request, &Body::new()));
            }
        }
    })
}
