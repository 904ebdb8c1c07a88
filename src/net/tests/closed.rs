//! Closed connections: who comes in, who is told what, and how messages and chunks go through.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::Instant;

use bytes::BytesMut;

use super::*;
use crate::net::bulk::{Bulk, Filled};
use crate::net::secure::{self, Psk, Purpose, Secret, SecureError};
use crate::net::wake::Wake;
use crate::wire::{FromServer, GetLoad, PrefaceError, ToServer};

/// The node with this number, a member of the swarm with that one.
fn node(number: u8, swarm: u8) -> Identity {
    let key = Psk::of_swarm(&Secret::from([swarm; 32]));
    Identity::tool(Keyring::new(identity(number), key, Purpose::Member))
}

fn identity(number: u8) -> secure::Identity {
    secure::Identity::new(Secret::from([number; 32]))
}

fn open() -> Identity {
    Identity::tool(Keyring::none())
}

type Met = (Result<Session<Handle>, NetError>, Result<Session<Handle>, NetError>);

fn meet_as(me: &Identity, them: &Identity, expected: Expected) -> Met {
    let (near, far, _) = pair();
    std::thread::scope(|scope| {
        let far = scope.spawn(|| welcome(Handle::from(far), them, Side::Serve, |_| Some(Role::Serve)));
        let near = greet(Handle::from(near), (me, Role::Ask), expected, Side::Fetch, LONG);
        (near, far.join().unwrap())
    })
}

fn met() -> (Session<Handle>, Session<Handle>) {
    let (near, far) = meet_as(&node(1, 9), &node(2, 9), Expected::Peer(identity(2).public().peer_id()));
    (near.unwrap(), far.unwrap())
}

#[test]
fn each_side_knows_the_others_key_and_has_the_id_of_its_own() {
    let (near, far) = met();
    for (session, other) in [(&near, 2), (&far, 1)] {
        let proven = session.proven().unwrap();
        assert_eq!((proven.key, proven.purpose), (identity(other).public(), Purpose::Member));
        assert_eq!(session.theirs.peer, proven.key.peer_id());
    }
}

#[test]
fn who_is_no_member_learns_that_and_nothing_else() {
    let told = |me: &Identity, them: &Identity| match meet_as(me, them, Expected::Anybody) {
        (Err(NetError::Refused { code, .. }), Err(why)) => (code, why),
        other => panic!("{other:?}"),
    };
    let (code, why) = told(&node(1, 8), &node(2, 9));
    assert!(code == ErrorCode::UnknownSwarm && matches!(why, NetError::Secure(SecureError::UnknownSwarm)));
    let (code, why) = told(&open(), &node(2, 9));
    assert!(code == ErrorCode::UnsupportedMode && matches!(why, NetError::SwarmIsClosed));
    let (code, why) = told(&node(1, 9), &open());
    assert!(code == ErrorCode::UnsupportedMode && matches!(why, NetError::SwarmIsOpen));
    let revoking = node(2, 9);
    revoking.keyring.set_revoked([identity(1).public()]);
    let (near, far) = meet_as(&node(1, 9), &revoking, Expected::Anybody);
    assert!(matches!(near, Err(NetError::Refused { code: ErrorCode::Revoked, .. })), "{near:?}");
    assert!(matches!(far, Err(NetError::Secure(SecureError::Revoked))));
}

#[test]
fn a_dialler_says_nothing_to_another_than_it_dialled_or_to_who_was_put_out() {
    let (near, far) = meet_as(&node(1, 9), &node(2, 9), Expected::Key(identity(3).public()));
    assert!(matches!(near, Err(NetError::Secure(SecureError::Impostor))));
    assert!(matches!(far, Err(NetError::Closed)), "{far:?}");
    let revoking = node(1, 9);
    revoking.keyring.set_revoked([identity(2).public()]);
    let (near, far) = meet_as(&revoking, &node(2, 9), Expected::Anybody);
    assert!(matches!(near, Err(NetError::Secure(SecureError::Revoked))));
    assert!(matches!(far, Err(NetError::Closed)));
}

#[test]
fn a_hello_with_another_id_than_that_of_the_key_is_refused() {
    let mut liar = node(1, 9);
    liar.peer = OwnId::from(identity(3).public());
    let (near, far) = meet_as(&liar, &node(2, 9), Expected::Anybody);
    assert!(matches!(far, Err(NetError::Secure(SecureError::Impostor))));
    assert!(matches!(near, Err(NetError::Refused { code: ErrorCode::Impostor, .. })), "{near:?}");
    let (near, far) = meet_as(&node(2, 9), &liar, Expected::Key(identity(1).public()));
    assert!(matches!(near, Err(NetError::Secure(SecureError::Impostor))));
    assert!(far.is_ok(), "it finds out when it reads on");
}

/// What a closed node answers to these bytes.
fn answer_to(bytes: &[u8]) -> (Vec<u8>, Result<Session<Handle>, NetError>) {
    let (mut near, far, _) = pair();
    std::thread::scope(|scope| {
        let me = node(2, 9);
        let far = scope.spawn(move || {
            welcome(Handle::from(far), &me, Side::Serve, |_| Some(Role::Serve)).inspect(|session| {
                let _ = session.stream.stream().shutdown(Shutdown::Write);
            })
        });
        near.write_all(bytes).unwrap();
        let mut said = Vec::new();
        let _ = near.read_to_end(&mut said);
        (said, far.join().unwrap())
    })
}

#[test]
fn a_closed_node_speaks_plain_with_nobody() {
    let mut hello = BytesMut::from(&Preface::OURS.encode()[..]);
    Common::from(open().hello(Role::Ask)).put_frame(1, &mut hello);
    let (said, met) = answer_to(&hello);
    assert!(met.is_err() && said.starts_with(&Preface::OURS.encode()));
    assert_eq!(said[12], 0x02, "an ERROR, and no HELLO");
    let mut other = Preface::of_mode(3).encode().to_vec();
    other.extend_from_slice(&[0; 80]);
    assert!(matches!(answer_to(&other).1, Err(NetError::Preface(PrefaceError::Mode(3)))));
    let unknown = [&Preface::of_mode(1).encode()[..], &[7; 80]].concat();
    let id = node(2, 9).keyring.dials().unwrap().psk.id();
    let known = [&Preface::of_mode(2).encode()[..], &id.0, &[0, 48], &[7; 48]].concat();
    let (unknown, known) = (answer_to(&unknown), answer_to(&known));
    for met in [&unknown.1, &known.1] {
        assert!(matches!(met, Err(NetError::Secure(SecureError::UnknownSwarm))));
    }
    assert_eq!(unknown.0, known.0, "who knows the key's id learns no more than who does not");
}

#[test]
fn a_dialler_with_a_key_takes_no_plain_session() {
    for mode in [0, 2, 3] {
        let (near, mut far, _) = pair();
        let mut answer = BytesMut::from(&Preface::of_mode(mode).encode()[..]);
        Common::from(open().hello(Role::Serve)).put_frame(1, &mut answer);
        far.write_all(&answer).unwrap();
        let met = greet(near, (&node(1, 9), Role::Ask), Expected::Anybody, Side::Fetch, LONG);
        match mode {
            0 => assert!(matches!(met, Err(NetError::Unexpected("HELLO in the clear"))), "{met:?}"),
            _ => assert!(matches!(met, Err(NetError::Preface(PrefaceError::Mode(_))))),
        }
    }
}

#[test]
fn words_of_other_threads_go_between_the_messages_of_a_connection() {
    let (near, far) = met();
    let handle = near.stream.clone();
    let mut asking = Messages::<FromServer, ToServer>::new(near, Side::Fetch);
    let mut answering = Messages::<ToServer, FromServer>::new(far, Side::Serve);
    assert!(handle.interject(7, &Common::Ping));
    std::thread::scope(|scope| {
        scope.spawn(|| (0..200).filter(|number| handle.interject(*number, &Common::Ping)).count());
        for _ in 0..200 {
            asking.request(&GetLoad {}.into()).unwrap();
        }
    });
    drop((asking, handle));
    let (mut pings, mut asked) = (0, 0);
    while let Ok((_, message)) = answering.receive() {
        match message {
            ToServer::Common(Common::Ping) => pings += 1,
            ToServer::GetLoad(_) => asked += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(asked, 200);
    assert!(pings > 0, "{pings}");
}

fn bulks() -> (Bulk<FromServer>, Bulk<ToServer>) {
    let (near, far) = met();
    let shared = |session: Session<Handle>| Session {
        stream: session.stream.socket(),
        addr: session.addr,
        theirs: session.theirs,
        rest: session.rest,
        sealing: session.sealing,
    };
    let wake = || Arc::new(Wake::new().unwrap());
    let serving = Bulk::new(shared(far), Side::Serve, wake()).unwrap().0;
    (serving, Bulk::new(shared(near), Side::Fetch, wake()).unwrap().0)
}

/// Takes in all that comes until there are so many bytes.
fn receive(from: &mut Bulk<FromServer>, to: &mut Bulk<ToServer>, bytes: usize) -> Vec<u8> {
    let mut got = Vec::new();
    while got.len() < bytes {
        from.flush(false).unwrap();
        to.wait(true, false, Some(Instant::now() + Duration::from_millis(10))).unwrap();
        if to.fill().unwrap() != Filled::Nothing {
            // Not all of it at once, so that some is left in front of what comes next.
            let taken = to.arrived().len().div_ceil(2);
            got.extend_from_slice(&to.arrived()[..taken]);
            to.consume(taken);
        }
        let rest = to.arrived().len();
        if got.len() + rest >= bytes {
            got.extend_from_slice(to.arrived());
            to.consume(rest);
        }
    }
    got
}

#[test]
fn messages_and_files_arrive_as_they_were_sent() {
    let (mut serving, mut fetching) = bulks();
    let content: Vec<u8> =
        (0..3_000_001_u32).map(|nth| (nth.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&content).unwrap();
    let mut expected = BytesMut::new();
    for (request, piece) in [(1, usize::MAX), (2, 1), (3, 70_000), (4, 300_000)] {
        serving.queue(request, Common::Ok);
        FromServer::from(Common::Ok).put_frame(request, &mut expected);
        serving.data_follows();
        serving.queue(0, Common::Pong);
        let (mut offset, end) = (7, if piece == 1 { 50 } else { content.len() as u64 });
        let mut got = Vec::new();
        while offset < end {
            let left = (end - offset) as usize;
            if !serving.flush(true).unwrap()
                || serving.send_file(&file, &mut offset, left.min(piece)).unwrap().is_none()
            {
                got.extend(receive(&mut serving, &mut fetching, 1));
            }
        }
        assert_eq!(offset, end);
        serving.data_left();
        expected.extend_from_slice(&content[7..end as usize]);
        FromServer::from(Common::Pong).put_frame(0, &mut expected);
        got.extend(receive(&mut serving, &mut fetching, expected.len() - got.len()));
        assert!(got == expected, "{request}");
        expected.clear();
        assert_eq!(serving.unsent_bytes(), 0);
    }
    let mut end = content.len() as u64;
    assert_eq!(serving.send_file(&file, &mut end, 5).unwrap(), Some(0), "it is over");
}

#[test]
fn what_the_socket_does_not_take_waits_and_goes_first() {
    let (mut serving, mut fetching) = bulks();
    let file = tempfile::tempfile().unwrap();
    file.set_len(64 << 20).unwrap();
    let mut offset = 0;
    while serving.send_file(&file, &mut offset, 1 << 20).unwrap().is_some() {}
    assert!(serving.unsent_bytes() > 0 && !serving.has_room().unwrap());
    serving.queue(1, Common::Ok);
    let mut ok = BytesMut::new();
    FromServer::from(Common::Ok).put_frame(1, &mut ok);
    let got = receive(&mut serving, &mut fetching, offset as usize + ok.len());
    assert!(got[..offset as usize].iter().all(|byte| *byte == 0) && got[offset as usize..] == ok);
}

#[test]
fn a_bit_that_flips_on_the_way_ends_a_connection_without_a_word() {
    let (mut serving, far) = {
        let (near, far) = met();
        let session = Session {
            stream: near.stream.socket(),
            addr: near.addr,
            theirs: near.theirs,
            rest: near.rest,
            sealing: near.sealing,
        };
        (Bulk::<ToServer>::new(session, Side::Fetch, Arc::new(Wake::new().unwrap())).unwrap().0, far)
    };
    // What the other side's socket sends that is no record of it.
    far.stream
        .stream()
        .write_all(&[0, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20])
        .unwrap();
    serving.wait(true, false, Some(Instant::now() + LONG)).unwrap();
    let error = serving.fill().unwrap_err();
    assert!(matches!(error, NetError::Secure(SecureError::Record(_))));
    assert!(serving.arrived().is_empty());
    serving.end(&error);
    let mut said = Vec::new();
    far.stream.stream().read_to_end(&mut said).unwrap();
    assert!(said.is_empty());
}

#[test]
fn who_has_not_heard_of_the_new_key_is_reached_by_the_one_before_while_that_lets_in() {
    let new = || Psk::of_swarm(&Secret::from([8; 32]));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let reached = |grace: Duration| {
        let (me, them) = (node(1, 9), node(2, 9));
        let old = me.keyring.dials().unwrap();
        me.keyring.set(new(), [(old, Some(Instant::now() + grace))]);
        std::thread::scope(|scope| {
            let times = if grace.is_zero() { 1 } else { 2 };
            let (listener, them) = (&listener, &them);
            let answers = move || {
                let (stream, _) = listener.accept().unwrap();
                welcome(Handle::from(stream), them, Side::Serve, |_| Some(Role::Serve))
            };
            let answering = scope.spawn(move || (0..times).map(|_| answers()).collect::<Vec<_>>());
            let peer = (identity(2).public().peer_id(), &[addr][..]);
            let reached = crate::net::reach(peer, (&me, Role::Ask), Side::Fetch, &mut |_| true);
            (reached.is_ok(), answering.join().unwrap().pop().unwrap().is_ok())
        })
    };
    assert_eq!(reached(LONG), (true, true));
    assert_eq!(reached(Duration::ZERO), (false, false), "nobody else than members has a key that is over");
}

#[test]
fn a_connection_on_which_nothing_moves_ends_soon_after_the_other_side_was_put_out() {
    let (me, gone) = (node(1, 9), identity(2).public());
    let (near, _far) = meet_as(&me, &node(2, 9), Expected::Anybody);
    let Session { stream, addr, theirs, rest, sealing } = near.unwrap();
    let session = Session { stream: stream.socket(), addr, theirs, rest, sealing };
    let (mut bulk, _) = Bulk::<ToServer>::new(session, Side::Fetch, Arc::new(Wake::new().unwrap())).unwrap();
    let began = Instant::now();
    me.keyring.set_revoked([gone]);
    let ended = bulk.wait(true, false, None).unwrap_err();
    assert!(matches!(ended, NetError::Secure(SecureError::Revoked)), "{ended}");
    assert!(began.elapsed() < Duration::from_secs(10));
}
