//! What the tests of connections share, and tests of how one begins and carries messages.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use super::secure::{Expected, Keyring};
use super::trace::Side;
use super::*;
use crate::content::PeerId;
use crate::wire::{
    Common, ErrorCode, FromTracker, GetStatus, Hello, Message, Preface, Role, ToTracker, limits,
};

mod closed;

const LONG: Duration = Duration::from_secs(3600);

/// A connection, both of its ends, and where the first one seems to be.
pub(crate) fn pair() -> (TcpStream, TcpStream, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (far, addr) = listener.accept().unwrap();
    (near, far, addr)
}

/// What somebody says of itself who is called "far".
pub(crate) fn hello() -> Hello {
    named("far").hello(Role::Ask)
}

/// A connection behind the HELLO of the far end, and of what came with that; and that end.
pub(crate) fn greeted(rest: &[u8]) -> (Session<Arc<TcpStream>>, TcpStream) {
    let (far, near, addr) = pair();
    (Session::plain(Arc::new(near), addr, hello(), rest.into()), far)
}

fn named(name: &str) -> Identity {
    Identity::new(Keyring::none(), PeerId::random(), name.to_owned(), 7)
}

/// What comes of both sides when one greets as `role` and the other chooses.
fn meet(
    (me, role): (&Identity, Role),
    (them, choice): (&Identity, Option<Role>),
) -> (Result<Session, NetError>, Result<Session, NetError>) {
    let (near, far, _) = pair();
    std::thread::scope(|scope| {
        let far = scope.spawn(|| welcome(far, them, Side::Tracker, |_| choice));
        (greet(near, (me, role), Expected::Anybody, Side::Tracker, LONG), far.join().unwrap())
    })
}

#[test]
fn each_side_hears_who_the_other_is() {
    for role in Role::ALL {
        let (me, them) = (named("me"), named("them"));
        let (near, far) = meet((&me, *role), (&them, Some(role.counterpart())));
        let (near, far) = (near.unwrap().theirs, far.unwrap().theirs);
        assert_eq!((&*near.name, near.role, near.peer), ("them", role.counterpart(), them.peer.get()));
        assert_eq!((&*far.name, far.role, far.peer, far.listen_port), ("me", *role, me.peer.get(), 7));
    }
}

#[test]
fn who_is_not_wanted_or_not_the_one_dialled_is_told() {
    let (me, them) = (named("me"), named("them"));
    let (near, far) = meet((&me, Role::Member), (&them, None));
    assert!(matches!(near, Err(NetError::Refused { code: ErrorCode::Unexpected, .. })));
    assert!(matches!(far, Err(NetError::Unexpected("HELLO role"))));
    let (near, far) = meet((&me, Role::Member), (&them, Some(Role::Serve)));
    assert!(matches!(near, Err(NetError::Role(Role::Tracker))));
    assert!(far.is_ok(), "it finds out when it reads on");
    let (near, far) = meet((&me, Role::Ask), (&me, Some(Role::Serve)));
    assert!(matches!(near, Err(NetError::Refused { code: ErrorCode::Myself, .. })));
    assert!(matches!(far, Err(NetError::Myself)));
}

#[test]
fn who_speaks_another_version_or_nothing_is_no_use() {
    let mut hello = named("me").hello(Role::Member);
    for (min, max) in [(limits::MAX_VERSION + 1, u16::MAX), (0, limits::MIN_VERSION - 1)] {
        (hello.min_version, hello.max_version) = (min, max);
        let (near, far, _) = pair();
        let mut bytes = bytes::BytesMut::from(&Preface::OURS.encode()[..]);
        Common::from(hello.clone()).put_frame(1, &mut bytes);
        std::io::Write::write_all(&mut &near, &bytes).unwrap();
        let met = welcome(far, &named("them"), Side::Tracker, |_| Some(Role::Tracker));
        assert!(matches!(met, Err(NetError::Version(a, b)) if (a, b) == (min, max)));
    }
    let (near, _far, _) = pair();
    let met =
        greet(near, (&named("me"), Role::Ask), Expected::Anybody, Side::Fetch, Duration::from_millis(20));
    assert!(matches!(met, Err(NetError::TimedOut)));
}

type Asking = Messages<FromTracker, ToTracker>;
type Answering = Messages<ToTracker, FromTracker>;

fn linked() -> (Asking, Answering) {
    let (near, far, addr) = pair();
    let session = |stream| Session::plain(stream, addr, hello(), bytes::BytesMut::new());
    (Asking::new(session(near), Side::Tracker), Answering::new(session(far), Side::Tracker))
}

#[test]
fn a_call_answers_pings_and_passes_over_what_is_not_its_answer() {
    let (mut asking, mut answering) = linked();
    answering.queue(9, &Common::Ping.into());
    answering.queue(7, &Common::Pong.into());
    answering.queue(1, &Common::Ok.into());
    answering.flush().unwrap();
    assert_eq!(asking.call(&GetStatus {}.into()).unwrap(), Common::Ok.into());
    assert_eq!(answering.receive().unwrap(), (1, GetStatus {}.into()));
    assert_eq!(answering.receive().unwrap(), (9, Common::Pong.into()));
    answering.queue(2, &Common::Leave.into());
    answering.flush().unwrap();
    assert_eq!(asking.call(&GetStatus {}.into()).unwrap(), Common::Leave.into(), "requests are numbered");
}

#[test]
fn the_last_words_of_the_other_side_are_an_answer_too() {
    let (mut asking, answering) = linked();
    answering.end(&NetError::TimedOut);
    let FromTracker::Common(Common::Error(problem)) = asking.call(&GetStatus {}.into()).unwrap() else {
        panic!("that is what it said")
    };
    assert_eq!((problem.code, &*problem.detail), (ErrorCode::TimedOut, "no answer came in time"));
    assert!(matches!(asking.receive(), Err(NetError::Closed)));
}

#[test]
fn a_message_that_does_not_come_in_time_may_still_come() {
    let (mut asking, mut answering) = linked();
    asking.set_timeout(Some(Duration::from_millis(20))).unwrap();
    assert!(matches!(asking.receive(), Err(NetError::TimedOut)));
    asking.set_timeout(None).unwrap();
    answering.send(5, &Common::Ping.into()).unwrap();
    assert_eq!(asking.receive().unwrap(), (5, Common::Ping.into()));
    assert_eq!((asking.received().unwrap(), asking.partial_bytes()), (None, 0));
}

#[test]
fn what_is_no_address_cannot_be_dialled_and_a_port_in_use_not_be_listened_on() {
    let listener = listen("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    assert!(dial(&addr).is_ok());
    assert_eq!(listen(&addr).unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
    assert!(dial("no port").is_err());
}

#[test]
fn an_error_that_only_later_versions_name_is_told_by_its_number() {
    let Common::Error(problem) = Common::error(ErrorCode::Unknown(77), "no") else { unreachable!() };
    assert_eq!(NetError::from(problem).to_string(), "the other side says error 77: no");
}
