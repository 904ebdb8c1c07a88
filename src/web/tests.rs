//! What pages answer, route by route: each function behind a route is called as a request that was let in calls it.

mod accounts;
mod closed;
mod peer;
mod tracker;

use std::task::{Context, Poll, Waker};

use hyper::Method;
use hyper::header::{HeaderMap, HeaderName};
use serde_json::Value;

use super::accounts::{Role, Who};
use super::answer::{Answer, Body};
use super::request::{Asked, query, segments};
use super::routes::{Found, How};
use super::*;
use crate::tracker::{self as role, Tracker};

/// A request of an admin for nothing.
pub(super) fn asked() -> Asked {
    Asked {
        places: Vec::new(),
        query: query(""),
        headers: HeaderMap::new(),
        body: Default::default(),
        who: Some(Who { account: "ann".to_owned(), role: Role::Admin, session: None }),
        from: IpAddr::from([10, 0, 0, 7]),
        secure: false,
        clock: drive::Clock::default(),
    }
}

/// What came of a request.
struct Said {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Said {
    fn of(answer: Answer) -> Said {
        let response = answer.response();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let mut body = Vec::new();
        match response.into_body() {
            Body::Whole(bytes) => body.extend_from_slice(&bytes),
            Body::Source(mut source) => {
                let mut context = Context::from_waker(Waker::noop());
                loop {
                    match source.next(&mut context) {
                        Poll::Ready(Some(piece)) => body.extend_from_slice(&piece.unwrap()),
                        Poll::Ready(None) => break,
                        Poll::Pending => std::thread::yield_now(),
                    }
                }
            }
        }
        Said { status, headers, body }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// What stands under a key of each item of a list.
    fn items(&self, key: &str) -> Vec<String> {
        let json = self.json();
        let items = json["items"].as_array().unwrap_or_else(|| panic!("{json}"));
        items
            .iter()
            .map(|item| item[key].as_str().map_or_else(|| item[key].to_string(), str::to_owned))
            .collect()
    }

    /// The status and the sentence of why it was not done.
    fn refused(&self) -> (u16, String) {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}", self.text());
        let problem = self.json();
        assert_eq!(problem["status"], self.status);
        (self.status, problem["detail"].as_str().unwrap().to_owned())
    }
}

/// The page of somebody.
pub(super) struct Page {
    pub(super) site: Site,
}

impl Page {
    pub(super) fn of(house: House) -> Page {
        let keeps = Keep::new(&house, None);
        let accounts = (Accounts::new(keeps.read().unwrap()), keeps);
        let addr = SocketAddr::from(([127, 0, 0, 1], 9780));
        let also = Also::new(&[], None);
        Page { site: Site::new(house, Names::default(), (addr, addr), None, also, accounts, 1 << 20) }
    }

    /// What an admin gets.
    fn ask(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Said {
        let (path, query_text) = target.split_once('?').unwrap_or((target, ""));
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let found = routes::find(&self.site.house, &method, &segments(path).unwrap());
        let Found::Route(route, places) = found else { panic!("{method} {path} leads nowhere") };
        let How::Call(call) = route.how else { panic!("{method} {path} is no call") };
        let header = |(name, value): &(&str, &str)| {
            (name.parse::<HeaderName>().unwrap(), value.parse::<hyper::header::HeaderValue>().unwrap())
        };
        let asked = Asked {
            places,
            query: query(query_text),
            headers: headers.iter().map(header).collect(),
            body: body.to_owned().into(),
            ..asked()
        };
        Said::of(call(&self.site, &asked).unwrap_or_else(Answer::from))
    }

    fn get(&self, target: &str) -> Said {
        self.ask("GET", &format!("/api/v1/{target}"), &[], "")
    }

    fn send(&self, method: &str, target: &str, body: &str) -> Said {
        self.ask(method, &format!("/api/v1/{target}"), &[], body)
    }

    /// What the last change was noted as.
    fn noted(&self) -> String {
        self.site.latest().unwrap().what
    }
}

/// A tracker at a free port.
pub(super) fn tracker() -> Tracker {
    role::start(role::Config { listen: "127.0.0.1:0".to_owned(), ..role::Config::default() }).unwrap()
}
