//! How a command fails: one sentence and one exit code. Everything that can go wrong below is mapped to them here.

use std::fmt;
use std::io;

use crate::api::Exit;
use crate::net::NetError;
use crate::node::{AgentError, ServiceError};
use crate::peer::{FetchError, PeerError};
use crate::say;
use crate::storage::OwnedError;
use crate::storage::log::LogError;
use crate::tracker::StartError;
use crate::tracker::records::JournalError;

/// Why a command did not do what it was asked for.
#[derive(Debug)]
pub struct Failure {
    /// How the process exits.
    pub exit: Exit,
    /// What happened, to what, and what can be done; empty if everything has been said.
    sentence: String,
    /// What there is to choose from, for `--json`.
    choices: serde_json::Value,
    /// What was to be a folder is none.
    no_folder: bool,
}

impl Failure {
    pub(crate) fn new(exit: Exit, sentence: impl Into<String>) -> Failure {
        Failure { exit, sentence: sentence.into(), choices: serde_json::Value::Null, no_folder: false }
    }

    /// With what there is to choose from.
    pub(crate) fn with_choices(mut self, choices: impl serde::Serialize) -> Failure {
        self.choices = serde_json::to_value(choices).unwrap_or_default();
        self
    }

    /// Says so if what was to be a folder is none.
    pub(crate) fn with_no_folder(mut self, no_folder: bool) -> Failure {
        self.no_folder = no_folder;
        self
    }

    /// True if what was to be a folder is none.
    pub(crate) fn is_no_folder(&self) -> bool {
        self.no_folder
    }

    /// What there is to choose from; null where that is not the trouble.
    pub(crate) fn choices(&self) -> &serde_json::Value {
        &self.choices
    }

    pub(crate) fn usage(sentence: impl Into<String>) -> Failure {
        Failure::new(Exit::Usage, sentence)
    }

    pub(crate) fn unreachable(sentence: impl Into<String>) -> Failure {
        Failure::new(Exit::Unreachable, sentence)
    }

    pub(crate) fn not_found(sentence: impl Into<String>) -> Failure {
        Failure::new(Exit::NotFound, sentence)
    }

    pub(crate) fn other(sentence: impl Into<String>) -> Failure {
        Failure::new(Exit::Other, sentence)
    }

    /// There is no room for a thread that this process cannot do without.
    pub(crate) fn no_thread(error: io::Error) -> Failure {
        Failure::other(format!("cannot start a thread: {}", reason(&error)))
    }

    /// There is no room for the thread of a fetch.
    pub(crate) fn cannot_start(error: io::Error) -> Failure {
        Failure::other(format!("cannot start the fetch: {}", reason(&error)))
    }

    /// Everything that had to be said has been said.
    pub(crate) fn quiet(exit: Exit) -> Failure {
        Failure::new(exit, "")
    }

    /// Writes the sentence on standard error.
    pub fn print(&self) {
        if !self.sentence.is_empty() {
            say::failure(&format!("p2p: {self}"));
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

/// Writing an answer failed. A reader that has seen enough (`p2p ls | head`) needs no sentence.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::quiet(Exit::Other),
            _ => Failure::other(format!("cannot write the answer: {}", reason(&error))),
        }
    }
}

/// The words of an I/O error without the number behind them.
pub(crate) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let words = text.split(" (os error").next().unwrap_or(&text);
    let mut chars = words.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

/// The words of a connection's failure.
pub(crate) fn net_reason(error: &NetError) -> String {
    match error {
        NetError::Io(error) => reason(error),
        other => other.to_string(),
    }
}

/// What to do about an address that cannot be listened on.
fn cannot_listen(address: &str, error: &io::Error) -> Failure {
    let remedy = match error.kind() {
        io::ErrorKind::AddrInUse => "; choose another with --listen, port 0 takes any free one",
        io::ErrorKind::AddrNotAvailable => "; it is no address of this machine",
        io::ErrorKind::PermissionDenied => "; choose a port above 1023",
        _ => "",
    };
    Failure::other(format!("cannot listen on {address}: {}{remedy}", reason(error)))
}

/// What to do about records that cannot be read.
fn remedy(unusable: &JournalError) -> &'static str {
    match unusable {
        JournalError::Folder(OwnedError::Busy(_)) => "; a tracker that runs has it",
        JournalError::Log(LogError::Damaged { .. }) => {
            "; keep the file, and start with an empty --data folder and --recover: what stores keep comes back"
        }
        JournalError::Unknown { .. } => "; a later version of p2p wrote it",
        _ => "",
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Failure {
        match &error {
            StartError::Listen { listen, source } => cannot_listen(listen, source),
            StartError::Records(unusable) => Failure::other(format!("{error}{}", remedy(unusable))),
            _ => Failure::other(error.to_string()),
        }
    }
}

impl From<ServiceError> for Failure {
    fn from(error: ServiceError) -> Failure {
        Failure::other(error.to_string())
    }
}

impl From<AgentError> for Failure {
    fn from(error: AgentError) -> Failure {
        match &error {
            AgentError::State(OwnedError::Busy(_)) => Failure::other(format!(
                "{error}; an agent that runs has it, `p2p node status` shows its roles"
            )),
            AgentError::State(_) => {
                Failure::other(format!("{error}; name another place as `state` in [node]"))
            }
            AgentError::Io(error) => Failure::other(format!("cannot start the agent: {}", reason(error))),
        }
    }
}

impl From<PeerError> for Failure {
    fn from(error: PeerError) -> Failure {
        match &error {
            PeerError::Listen(address, error) => cannot_listen(address, error),
            PeerError::Advertise(_) => Failure::usage(error.to_string()),
            PeerError::State { path, error } => Failure::other(format!(
                "cannot keep this peer's state in {}: {}; name another folder with --temp",
                path.display(),
                reason(error)
            )),
            _ => Failure::other(error.to_string()),
        }
    }
}

impl From<FetchError> for Failure {
    fn from(error: FetchError) -> Failure {
        Failure::new(error.exit(), error.to_string()).with_no_folder(error.is_no_folder())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_words() {
        assert_eq!(reason(&io::Error::from_raw_os_error(111)), "connection refused");
        assert_eq!(reason(&io::Error::from_raw_os_error(2)), "no such file or directory");
    }

    #[test]
    fn a_reader_that_has_seen_enough_needs_no_sentence() {
        let failure = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!((failure.exit, failure.to_string()), (Exit::Other, String::new()));
        let full = Failure::from(io::Error::from_raw_os_error(28));
        assert_eq!(full.to_string(), "cannot write the answer: no space left on device");
    }

    #[test]
    fn an_address_that_cannot_be_listened_on_has_a_remedy() {
        let said = |kind| cannot_listen("h:1", &io::Error::from(kind)).to_string();
        assert!(said(io::ErrorKind::AddrInUse).ends_with("port 0 takes any free one"));
        assert!(said(io::ErrorKind::AddrNotAvailable).ends_with("it is no address of this machine"));
        assert!(said(io::ErrorKind::PermissionDenied).ends_with("choose a port above 1023"));
        assert!(said(io::ErrorKind::Other).starts_with("cannot listen on h:1: "));
    }

    #[test]
    fn a_fetch_that_failed_exits_as_it_says() {
        let failure = Failure::from(FetchError::BadTree(crate::content::TreeError::Magic));
        assert_eq!((failure.exit, failure.is_no_folder()), (Exit::Integrity, true));
        assert_eq!(Failure::from(FetchError::Interrupted).exit, Exit::Interrupted);
        assert!(!Failure::from(FetchError::NotFound("a".to_owned())).is_no_folder());
    }
}
