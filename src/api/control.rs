//! What is said on the local socket of a running peer: one JSON request on a line, JSON answers on lines.
//!
//! A status and a question are answered once. A fetch is answered with how far it is, now and then, and at the end
//! with [`Answer::Done`] or [`Answer::Error`].

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::exit::Exit;
use super::peer::PeerStatus;
use super::transfer::{Report, TransferStatus};
use crate::wire::Offer;

/// The socket's name in its folder.
pub const SOCKET: &str = "control.sock";

/// What a running peer is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// How it is.
    Status {},
    /// What the shared folder calls a content.
    Holds {
        /// The content.
        id: String,
    },
    /// What is shared of a file or folder as it lies there now.
    Offer {
        /// Its resolved path.
        path: PathBuf,
    },
    /// To fetch.
    Get(Box<Get>),
    /// To go on with fetches that are under way in another way.
    Steer(Steer),
    /// To send or receive at other rates.
    Limit(Limit),
    /// For a link that lets its page be opened, once.
    Login {},
}

/// A content that is shared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offered {
    /// It.
    pub id: String,
    /// Its bytes; of a folder, of its listing.
    pub size: u64,
    /// Bytes of all its files.
    pub total: u64,
    /// Chunks of all its files.
    pub chunks: u32,
}

impl Offered {
    /// As it is registered.
    pub fn of(offer: &Offer) -> Offered {
        Offered { id: offer.id.to_string(), size: offer.size, total: offer.total, chunks: offer.chunks }
    }
}

/// How fetches that are under way are to go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Steer {
    /// Which: a name, or the beginning of an id; none: all.
    #[serde(default)]
    pub which: Option<String>,
    /// What they are to do.
    pub order: Order,
}

/// What a fetch is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// To end; what is proved is kept for next time.
    Cancel,
    /// To ask for nothing more until it is to go on.
    Pause,
    /// To go on.
    Resume,
    /// To receive at most so many bytes a second; none: as many as come.
    Down(Option<u64>),
}

/// The rates of a peer; of one that is not said nothing changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// Bytes a second received, of all downloads; 0: no limit.
    #[serde(default)]
    pub down: Option<u64>,
    /// Bytes a second sent, of all uploads; 0: no limit.
    #[serde(default)]
    pub up: Option<u64>,
}

/// What to fetch, and where to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Get {
    /// The content.
    pub id: String,
    /// Its name; a tree's ends with `/`.
    pub name: String,
    /// Bytes of all its files, if that was said along with the id.
    pub size: Option<u64>,
    /// What of a tree is wanted, if not all: a path in it, of a folder with `/` at its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inside: Option<String>,
    /// Of all that is in the tree, only what one of these patterns covers, if there are any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<String>,
    /// Not what one of these covers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// The file or folder to make: an absolute path.
    pub dest: PathBuf,
    /// Different files that are in the way are replaced.
    pub force: bool,
    /// What was fetched there before, and nobody changed since, is replaced.
    #[serde(default)]
    pub own: bool,
    /// What an older version put there, and nobody changed since, goes to the trash if this one lacks it.
    #[serde(default)]
    pub delete: bool,
    /// How long to wait while no tracker or source can be reached; none: for ever.
    pub wait_ms: Option<u64>,
    /// How much of that has been waited already.
    #[serde(default)]
    pub waited_ms: u64,
    /// At most so many bytes a second of this fetch; none: as many as come.
    #[serde(default)]
    pub down: Option<u64>,
    /// How often trackers are asked for other sources; none: as often as the peer does.
    #[serde(default)]
    pub refresh_ms: Option<u64>,
}

/// What it answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// How the peer is.
    Status(PeerStatus),
    /// What the shared folder calls the content, if it is in it.
    Holds(Option<String>),
    /// What is shared of the file or folder, if it is.
    Offer(Option<Offered>),
    /// The fetches that go on in another way, as they are then.
    Steered(Vec<TransferStatus>),
    /// A link that lets the peer's page be opened, once.
    Login(String),
    /// How far the fetch is.
    Fetching(TransferStatus),
    /// The fetch is done.
    Done(Report),
    /// It could not be done.
    Error(Fault),
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// The exit code of a tool that fails with this.
    pub code: Exit,
    /// What happened, in a sentence.
    pub message: String,
    /// What was to be a folder is none.
    #[serde(default)]
    pub no_folder: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_lines_of_json() {
        let get = Get {
            id: "1f".into(),
            name: "a".into(),
            size: None,
            inside: None,
            include: Vec::new(),
            exclude: Vec::new(),
            dest: "/d/a".into(),
            force: true,
            own: false,
            delete: false,
            wait_ms: Some(30_000),
            waited_ms: 7,
            down: Some(5),
            refresh_ms: None,
        };
        let steer =
            |which: Option<&str>, order| Request::Steer(Steer { which: which.map(str::to_owned), order });
        let lines = [
            (Request::Status {}, r#"{"status":{}}"#),
            (Request::Holds { id: "1f".into() }, r#"{"holds":{"id":"1f"}}"#),
            (Request::Offer { path: "/d/a".into() }, r#"{"offer":{"path":"/d/a"}}"#),
            (
                Request::Get(Box::new(get)),
                r#"{"get":{"id":"1f","name":"a","size":null,"dest":"/d/a","force":true,"own":false,"delete":false,"wait_ms":30000,"waited_ms":7,"down":5,"refresh_ms":null}}"#,
            ),
            (steer(Some("a"), Order::Cancel), r#"{"steer":{"which":"a","order":"cancel"}}"#),
            (steer(None, Order::Down(Some(5))), r#"{"steer":{"which":null,"order":{"down":5}}}"#),
            (Request::Limit(Limit { down: Some(0), up: None }), r#"{"limit":{"down":0,"up":null}}"#),
            (Request::Login {}, r#"{"login":{}}"#),
        ];
        for (request, line) in lines {
            assert_eq!(serde_json::to_string(&request).unwrap(), line);
            assert_eq!(serde_json::from_str::<Request>(line).unwrap(), request);
        }
    }

    #[test]
    fn what_is_not_known_is_refused_and_what_came_later_may_be_missing() {
        let read = |line: &str| serde_json::from_str::<Request>(line);
        assert!(read(r#"{"status":{"all":true}}"#).is_err());
        assert!(read(r#"{"stop":{}}"#).is_err());
        let least = r#"{"get":{"id":"1f","name":"a","dest":"/d/a","force":false}}"#;
        assert!(
            matches!(read(least).unwrap(), Request::Get(get) if !get.own && !get.delete && get.waited_ms == 0 && get.down.is_none())
        );
    }

    #[test]
    fn a_fault_has_an_exit_code() {
        let line = r#"{"error":{"code":5,"message":"bad bytes","no_folder":true}}"#;
        let fault = Fault { code: Exit::Integrity, message: "bad bytes".into(), no_folder: true };
        assert_eq!(serde_json::to_string(&Answer::Error(fault.clone())).unwrap(), line);
        assert_eq!(serde_json::from_str::<Answer>(line).unwrap(), Answer::Error(fault));
    }
}
