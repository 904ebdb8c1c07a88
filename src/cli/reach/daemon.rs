//! The running peer of a folder, asked over its local socket.
//!
//! One request a connection: a line of JSON; answers are lines of JSON too.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::api::control::{Answer, Fault, Get, Limit, Offered, Order, Request, SOCKET, Steer};
use crate::api::{PeerStatus, Report, TransferStatus};
use crate::cli::failure::Failure;
use crate::cli::typed::values::Period;
use crate::content::{FileId, Rate, SafeName};
use crate::local;
use crate::owner;
use crate::peer::{Dest, Want, control_folders};

/// How long a running peer may be silent: it answers at once, and tells of a transfer several times a second.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection to a running peer.
#[derive(Debug)]
pub(crate) struct Daemon {
    stream: BufReader<UnixStream>,
}

/// What a running peer tells about a transfer.
#[derive(Debug)]
pub(crate) enum Told {
    /// How far it is.
    Status(TransferStatus),
    /// It is done.
    Done(Report),
}

impl Daemon {
    /// The peer that is sharing `folder` itself, if one is running.
    pub(crate) fn of_folder(folder: &Path) -> Option<Daemon> {
        control_folders(folder).iter().find_map(|state| Daemon::listening_in(state, folder))
    }

    fn listening_in(state: &Path, folder: &Path) -> Option<Daemon> {
        let stream = local::connect(state, SOCKET, owner::of_folder(folder), PATIENCE)?;
        Some(Daemon { stream: BufReader::new(stream) })
    }

    /// The peer that is sharing the folder that `path` is in, nearest first.
    pub(crate) fn around(path: &Path) -> Option<Daemon> {
        let path = existing(path)?;
        path.ancestors().find_map(Daemon::of_folder)
    }

    /// What the peer is doing.
    pub(crate) fn status(&mut self) -> Result<PeerStatus, Failure> {
        match self.ask(&Request::Status {})? {
            Answer::Status(status) => Ok(status),
            _ => Err(strange("to another question")),
        }
    }

    /// What the peer's shared folder calls a content, if it is in it.
    pub(crate) fn holds(&mut self, id: FileId) -> Result<Option<SafeName>, Failure> {
        match self.ask(&Request::Holds { id: id.to_string() })? {
            Answer::Holds(name) => Ok(name.and_then(|name| SafeName::new(name).ok())),
            _ => Err(strange("to another question")),
        }
    }

    /// What the peer shares of a file or folder as it lies there now, by its resolved path.
    pub(crate) fn offer(&mut self, path: &Path) -> Result<Option<Offered>, Failure> {
        match self.ask(&Request::Offer { path: path.to_owned() })? {
            Answer::Offer(offer) => Ok(offer),
            _ => Err(strange("to another question")),
        }
    }

    /// Has fetches go on in another way; how they are then.
    pub(crate) fn steer(
        &mut self,
        which: Option<&str>,
        order: Order,
    ) -> Result<Vec<TransferStatus>, Failure> {
        match self.ask(&Request::Steer(Steer { which: which.map(str::to_owned), order }))? {
            Answer::Steered(transfers) => Ok(transfers),
            _ => Err(strange("to another question")),
        }
    }

    /// Has the peer send or receive at other rates; how it is then.
    pub(crate) fn limit(&mut self, limit: Limit) -> Result<PeerStatus, Failure> {
        match self.ask(&Request::Limit(limit))? {
            Answer::Status(status) => Ok(status),
            _ => Err(strange("to another question")),
        }
    }

    /// A link that opens the peer's page, once.
    #[cfg(feature = "web")]
    pub(crate) fn login(&mut self) -> Result<String, Failure> {
        match self.ask(&Request::Login {})? {
            Answer::Login(link) => Ok(link),
            _ => Err(strange("to another question")),
        }
    }

    /// Hands a fetch over; [`Daemon::told`] tells how it goes. Hanging up does not stop it.
    pub(crate) fn get(&mut self, want: &Want, dest: Dest) -> Result<(), Failure> {
        self.say(&Request::Get(Box::new(Get {
            id: want.id.to_string(),
            name: want.name.as_str().to_owned(),
            size: want.size,
            inside: want.inside.as_ref().map(|inside| inside.as_str().to_owned()),
            include: want.filter.include.iter().map(ToString::to_string).collect(),
            exclude: want.filter.exclude.iter().map(ToString::to_string).collect(),
            dest: std::path::absolute(&dest.path).unwrap_or(dest.path),
            force: dest.force,
            own: dest.own,
            delete: dest.delete,
            wait_ms: dest.wait.map(|wait| wait.as_millis() as u64),
            waited_ms: dest.waited.as_millis() as u64,
            down: dest.down.map(Rate::get),
            refresh_ms: dest.refresh.map(|refresh| refresh.as_millis() as u64),
        })))
    }

    /// The next that the peer tells of the fetch.
    pub(crate) fn told(&mut self) -> Result<Told, Failure> {
        match self.hear()? {
            Answer::Fetching(status) => Ok(Told::Status(status)),
            Answer::Done(report) => Ok(Told::Done(report)),
            _ => Err(strange("to another question")),
        }
    }

    /// A handle that hangs up from another thread.
    pub(crate) fn handle(&self) -> Option<UnixStream> {
        self.stream.get_ref().try_clone().ok()
    }

    fn ask(&mut self, request: &Request) -> Result<Answer, Failure> {
        self.say(request)?;
        self.hear()
    }

    fn say(&mut self, request: &Request) -> Result<(), Failure> {
        let mut line = serde_json::to_vec(request)
            .map_err(|error| Failure::usage(format!("the running peer cannot be told that: {error}")))?;
        line.push(b'\n');
        local::say(self.stream.get_ref(), &line).map_err(|error| lost(&error))
    }

    /// An answer; a fault is this command's own.
    fn hear(&mut self) -> Result<Answer, Failure> {
        let mut line = String::new();
        match self.stream.read_line(&mut line) {
            Ok(1..) => match serde_json::from_str(&line) {
                Ok(Answer::Error(fault)) => Err(failure(fault)),
                Ok(answer) => Ok(answer),
                Err(error) => Err(strange(&error.to_string())),
            },
            Ok(0) => Err(went_away()),
            Err(error) => Err(lost(&error)),
        }
    }
}

/// What it means that the running peer could not be spoken to or heard.
fn lost(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::NotConnected => {
            Failure::unreachable(format!(
                "the running peer has not answered for {}: it hangs or was stopped; wake it up or end it, then try again",
                Period(PATIENCE)
            ))
        }
        _ => went_away(),
    }
}

/// The failure of asking the peer of a folder when none is running.
pub(crate) fn nobody_shares(folder: &Path) -> Failure {
    let folder = folder.display();
    Failure::unreachable(format!("no peer is sharing {folder}; start one with `p2p peer {folder}`"))
}

pub(crate) fn went_away() -> Failure {
    Failure::unreachable("the running peer went away; what it has proved is kept, start it again to go on")
}

fn strange(what: &str) -> Failure {
    Failure::other(format!("the running peer answered strangely: {what}; is it of another version?"))
}

fn failure(Fault { code, message, no_folder }: Fault) -> Failure {
    Failure::new(code, message).with_no_folder(no_folder)
}

/// The nearest part of `path` that exists, resolved.
fn existing(path: &Path) -> Option<PathBuf> {
    let path = std::path::absolute(path).ok()?;
    path.ancestors().find_map(|part| fs::canonicalize(part).ok())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::api::Exit;
    use crate::content::Filter;

    /// A peer that gives these answers, and what it has been asked.
    fn peer(answers: &str) -> (Daemon, BufReader<UnixStream>) {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(answers.as_bytes()).unwrap();
        theirs.shutdown(std::net::Shutdown::Write).unwrap();
        (Daemon { stream: BufReader::new(ours) }, BufReader::new(theirs))
    }

    fn line(answer: &Answer) -> String {
        format!("{}\n", serde_json::to_string(answer).unwrap())
    }

    #[test]
    fn a_fetch_is_told_of_until_it_is_done() {
        let status = TransferStatus::of("a");
        let report = Report::of("a");
        let answers = line(&Answer::Fetching(status.clone())) + &line(&Answer::Done(report.clone()));
        let (mut daemon, mut peer) = peer(&answers);
        let filter = Filter { include: vec!["*.a".parse().unwrap()], ..Filter::default() };
        let (name, size, inside) = (SafeName::new("a").unwrap(), Some(1), None);
        let want = Want { id: FileId::of(b"x"), name, size, inside, filter };
        let dest = Dest {
            path: "/d/a".into(),
            force: false,
            own: true,
            delete: false,
            wait: Some(Duration::from_millis(1500)),
            waited: Duration::from_millis(20),
            down: Rate::new(7),
            refresh: Some(Duration::from_secs(5)),
        };
        daemon.get(&want, dest).unwrap();
        assert!(matches!(daemon.told().unwrap(), Told::Status(told) if told == status));
        assert!(matches!(daemon.told().unwrap(), Told::Done(told) if told == report));
        let mut asked = String::new();
        peer.read_line(&mut asked).unwrap();
        let get = Get {
            id: FileId::of(b"x").to_string(),
            name: "a".to_owned(),
            size: Some(1),
            inside: None,
            include: vec!["*.a".to_owned()],
            exclude: Vec::new(),
            dest: "/d/a".into(),
            force: false,
            own: true,
            delete: false,
            wait_ms: Some(1500),
            waited_ms: 20,
            down: Some(7),
            refresh_ms: Some(5000),
        };
        assert_eq!(serde_json::from_str::<Request>(&asked).unwrap(), Request::Get(Box::new(get)));
    }

    #[test]
    fn a_fault_is_a_failure_with_its_exit_code() {
        let fault = Fault { code: Exit::Integrity, message: "bad bytes".to_owned(), no_folder: true };
        let failure = peer(&line(&Answer::Error(fault))).0.told().unwrap_err();
        assert_eq!((failure.exit, failure.to_string()), (Exit::Integrity, "bad bytes".to_owned()));
        assert!(failure.is_no_folder());
    }

    #[test]
    fn a_content_has_the_name_that_the_peer_calls_it_if_it_is_one() {
        let holds = |name: Option<&str>| {
            let answer = Answer::Holds(name.map(str::to_owned));
            peer(&line(&answer)).0.holds(FileId::of(b"x")).unwrap().map(|name| name.as_str().to_owned())
        };
        assert_eq!(holds(Some("d/a")).as_deref(), Some("d/a"));
        assert_eq!((holds(Some("../a")), holds(None)), (None, None));
    }

    #[test]
    fn what_is_no_answer_and_who_says_none_is_told_apart() {
        let failure = |answers: &str| peer(answers).0.status().unwrap_err();
        assert_eq!(failure("").exit, Exit::Unreachable);
        assert_eq!(failure("what?\n").exit, Exit::Other);
        let strange = failure(&line(&Answer::Holds(None)));
        assert_eq!(strange.exit, Exit::Other);
        assert!(strange.to_string().starts_with("the running peer answered strangely"), "{strange}");
        let hangs = lost(&io::Error::from(io::ErrorKind::TimedOut));
        assert!(hangs.to_string().contains("has not answered for 5s"), "{hangs}");
        assert_eq!(lost(&io::Error::from(io::ErrorKind::BrokenPipe)).to_string(), went_away().to_string());
    }

    #[test]
    fn what_is_not_there_yet_is_below_what_is() {
        let folder = tempfile::tempdir().unwrap();
        let real = fs::canonicalize(folder.path()).unwrap();
        assert_eq!(existing(&folder.path().join("a/b")), Some(real));
        assert!(Daemon::of_folder(folder.path()).is_none());
    }
}
