//! What all connections to a page share: whose page it is, who may do what, and what happened.

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use data_encoding::HEXLOWER;
use serde::Serialize;

use super::accounts::{Accounts, Secret};
use super::answer::Problem;
use super::assets;
use super::guard::Names;
pub(super) use super::house::House;
use super::hub::Hub;
use super::keep::Keep;
use super::request::Asked;
use super::series::Series;
use super::ticket::{TicketKey, Used};
use super::tls::Tls;
pub(super) use crate::clock::since_1970_ms as now;
use crate::content::shown;
use crate::net::secure;
use crate::peer::Hand;
use crate::threads::lock;
use crate::tracker::chronicle::{Event, Kind, Who};
use crate::wire::{Common, ErrorCode, FromTracker, ToTracker};

/// So many of the last changes are told of.
const MAX_ACTIVITY: usize = 1_000;

/// Something that was changed here, and by whom; or who came or went.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Activity {
    /// Which it is, from the start on.
    pub(super) number: u64,
    /// Milliseconds since 1970.
    pub(super) at: u64,
    /// `change`, or what it is that came or went: `peer`, `store`, `node`.
    pub(super) kind: &'static str,
    /// Who changed it; empty of what nobody changed.
    pub(super) account: String,
    /// What came or went: its id, and what it calls itself.
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    pub(super) from: String,
    pub(super) what: String,
}

impl From<&Event> for Activity {
    fn from(event: &Event) -> Activity {
        let Who { kind, id, name, from } = &event.who;
        let kind = match kind {
            Kind::Peer => "peer",
            Kind::Store => "store",
            Kind::Node => "node",
        };
        Activity {
            number: event.number,
            at: event.at_ms,
            kind,
            account: String::new(),
            id: Some(HEXLOWER.encode(id)),
            name: Some(name.clone()),
            from: from.map_or_else(String::new, |from| from.to_string()),
            what: event.what.to_owned(),
        }
    }
}

/// Other pages, which go on when this one is gone.
#[derive(Debug)]
pub(super) struct Also {
    pub(super) pages: Vec<String>,
    /// By what they believe each other; none: who goes on there logs in again.
    pub(super) key: Option<TicketKey>,
    /// What a browser may load from where.
    pub(super) policy: String,
}

impl Also {
    pub(super) fn new(pages: &[String], secret: Option<&[u8]>) -> Also {
        let connect = format!("connect-src 'self' {}", pages.join(" "));
        let policy = assets::POLICY.replace("connect-src 'self'", connect.trim_end());
        Also { pages: pages.to_vec(), key: secret.map(TicketKey::of), policy }
    }
}

/// What all connections share.
pub(super) struct Site {
    pub(super) house: House,
    pub(super) names: Names,
    pub(super) addr: SocketAddr,
    /// The same, where others find it.
    shown: SocketAddr,
    pub(super) tls: Option<Tls>,
    pub(super) also: Also,
    pub(super) used_tickets: Mutex<Used>,
    pub(super) accounts: Mutex<Accounts>,
    /// Where tokens and users are kept.
    pub(super) keeps: Keep,
    pub(super) hub: Hub,
    pub(super) series: Mutex<Series>,
    activity: Mutex<VecDeque<Activity>>,
    activities: AtomicU64,
    /// Requests answered, by the first digit of their status.
    pub(super) answered: [AtomicU64; 6],
    /// What takes long to gather, for those who ask for the next part of it.
    pub(super) gathered: super::gathered::Gathered,
    pub(super) started: Instant,
    /// What is fetched for who reads it here, and how many bytes of it may lie about.
    pub(super) passing: Arc<super::passing::Passing>,
    pub(super) cache_bytes: u64,
    /// What stores are to keep, as was asked for here.
    pub(super) storing: Arc<super::storing::Storing>,
    /// Descriptors that were handed in, the oldest first.
    pub(super) handed_in: Mutex<Vec<super::handed_in::HandedIn>>,
    /// Links that give one content to whoever has them.
    pub(super) gifts: super::gifts::Gifts,
    /// One password at a time is tried: each takes 19 MiB.
    pub(super) kitchen: Mutex<()>,
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site").field("addr", &self.addr).finish_non_exhaustive()
    }
}

impl Site {
    pub(super) fn new(
        house: House,
        names: Names,
        (addr, shown): (SocketAddr, SocketAddr),
        tls: Option<Tls>,
        also: Also,
        (accounts, keeps): (Accounts, Keep),
        cache_bytes: u64,
    ) -> Site {
        Site {
            house,
            names,
            addr,
            shown,
            tls,
            also,
            used_tickets: Mutex::default(),
            accounts: Mutex::new(accounts),
            keeps,
            hub: Hub::default(),
            series: Mutex::default(),
            activity: Mutex::default(),
            activities: AtomicU64::default(),
            answered: Default::default(),
            gathered: super::gathered::Gathered::default(),
            passing: Arc::default(),
            storing: Arc::default(),
            cache_bytes,
            started: Instant::now(),
            handed_in: Mutex::default(),
            gifts: Default::default(),
            kitchen: Mutex::default(),
        }
    }

    /// Asks a tracker: this one, or the first of the peer's that answers.
    pub(super) fn ask(&self, question: impl Into<ToTracker>) -> Result<FromTracker, Problem> {
        ask(&self.house, question)
    }

    /// Asks this tracker by word of the first admin of its swarm, as its owner may.
    pub(super) fn ask_as_admin(&self, question: impl Into<ToTracker>) -> Result<FromTracker, Problem> {
        match &self.house {
            House::Tracker(tracker) => answered(tracker.ask_as_admin(question.into())),
            House::Peer(_) => Err(Problem::missing("this is the page of a peer")),
        }
    }

    /// The peer whose page this is.
    pub(super) fn peer(&self) -> Result<&Hand, Problem> {
        match &self.house {
            House::Peer(peer) => Ok(peer),
            House::Tracker(_) => Err(Problem::missing("this is the page of a tracker")),
        }
    }

    /// Notes a change: one line in the log, and one row on the page.
    pub(super) fn note(&self, asked: &Asked, what: impl Into<String>) {
        let (account, from, what) = (asked.account().to_owned(), asked.from.to_string(), what.into());
        tracing::info!("page: {} at {from}: {}", shown(&account), shown(&what));
        let number = match &self.house {
            House::Tracker(tracker) => tracker.chronicle().number(),
            House::Peer(_) => self.activities.fetch_add(1, Ordering::Relaxed) + 1,
        };
        let mut activity = lock(&self.activity);
        let (kind, id, name) = ("change", None, None);
        activity.push_back(Activity { number, at: now(), kind, account, id, name, from, what });
        if activity.len() > MAX_ACTIVITY {
            activity.pop_front();
        }
    }

    /// What was changed, and at a tracker who came and went, in no order.
    pub(super) fn activity(&self) -> Vec<Activity> {
        let mut all: Vec<Activity> = lock(&self.activity).iter().cloned().collect();
        if let House::Tracker(tracker) = &self.house {
            all.extend(tracker.chronicle().events().map(Activity::from));
        }
        all
    }

    /// The last of it.
    pub(super) fn latest(&self) -> Option<Activity> {
        let changed = lock(&self.activity).back().cloned();
        let happened = match &self.house {
            House::Tracker(tracker) => tracker.chronicle().latest().map(Activity::from),
            House::Peer(_) => None,
        };
        changed.into_iter().chain(happened).max_by_key(|row| row.number)
    }

    /// A link that lets the owner in, once within ten minutes.
    pub(super) fn login_link(&self) -> String {
        let secret = secret();
        lock(&self.accounts).add_login(Secret::of(&secret), now());
        format!("{}#in={secret}", self.url())
    }

    /// Where it is, as others type it.
    pub(super) fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}/", self.shown)
    }

    /// How long this page has been there.
    pub(super) fn uptime(&self) -> Duration {
        self.started.elapsed()
    }
}

/// As [`Site::ask`], of who is not at the page.
pub(super) fn ask(house: &House, question: impl Into<ToTracker>) -> Result<FromTracker, Problem> {
    let question = question.into();
    let answer = match house {
        House::Tracker(tracker) => Some(tracker.ask(question)),
        House::Peer(peer) => peer.ask(&question),
    };
    answered(answer.ok_or_else(|| Problem::unreachable("no tracker of this peer can be reached now"))?)
}

/// What a tracker answered, if that is not why it does not.
fn answered(answer: FromTracker) -> Result<FromTracker, Problem> {
    let FromTracker::Common(Common::Error(error)) = answer else { return Ok(answer) };
    let detail = shown(&error.detail);
    Err(match error.code {
        ErrorCode::NotFound => Problem::missing(detail),
        ErrorCode::Conflict => Problem::conflict(detail),
        ErrorCode::NoQuorum => Problem::unreachable(detail),
        _ => Problem::bad(format!("the tracker says {}: {detail}", error.code)),
    })
}

/// 160 random bits of the system, as text.
pub(super) fn secret() -> String {
    match secure::Secret::random() {
        Ok(random) => HEXLOWER.encode(&random.expose()[..20]),
        Err(error) => panic!("the system has no random numbers: {error}"),
    }
}
