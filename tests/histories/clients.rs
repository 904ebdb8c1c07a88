//! Clients: commands, one after the other, each with an address of one of the trackers; what they asked and heard is
//! written down.

use std::collections::HashMap;
use std::process::Output;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use fastrand::Rng;
use p2p::content::FileId;
use serde_json::Value;
use tempfile::TempDir;

use super::history::History;
use super::names::{Answer, Call};
use crate::support::command;

/// How long a command waits for trackers: longer than any of them is away.
const WAIT: &str = "20s";
/// Bytes of each content.
const SIZE: usize = 8;

const DONE: i32 = 0;
const OTHER: i32 = 1;
const NOT_FOUND: i32 = 3;

/// What clients share.
#[derive(Debug)]
pub(crate) struct Clients {
    /// All that they asked.
    pub(crate) history: History,
    /// True once they are to end.
    pub(crate) over: AtomicBool,
    addresses: Vec<String>,
    names: Vec<String>,
    /// The number of the next content.
    next: AtomicU64,
    /// The number of each content, by its id.
    numbers: Mutex<HashMap<String, u64>>,
}

impl Clients {
    /// Of trackers at these addresses.
    pub(crate) fn new(addresses: Vec<String>, names: usize) -> Clients {
        Clients {
            history: History::new(),
            over: AtomicBool::new(false),
            addresses,
            names: (0..names).map(|name| format!("name{name}")).collect(),
            next: AtomicU64::new(1),
            numbers: Mutex::default(),
        }
    }

    /// One client, until all are to end.
    pub(crate) fn run(&self, seed: u64) {
        let mut rng = Rng::with_seed(seed);
        let home = TempDir::new().expect("a temporary folder");
        let mut latest = 0;
        while !self.over.load(Ordering::Relaxed) {
            let name = &self.names[rng.usize(..self.names.len())];
            let call = match rng.u8(..100) {
                0..45 => {
                    let content = if rng.u8(..5) == 0 { latest } else { 0 };
                    latest = if content == 0 { self.next.fetch_add(1, Ordering::Relaxed) } else { content };
                    let expect = if rng.u8(..5) == 0 { rng.u32(1..6) } else { 0 };
                    Call::Publish { content: latest, expect }
                }
                45..55 => Call::Remove { number: rng.u32(1..6) },
                55..60 => Call::Remove { number: 0 },
                _ => Call::List,
            };
            self.ask(&home, rng.usize(..self.addresses.len()), name, call);
        }
    }

    /// Reads every name at one of the trackers.
    pub(crate) fn read_all(&self, which: usize) {
        let home = TempDir::new().expect("a temporary folder");
        for name in &self.names {
            self.ask(&home, which, name, Call::List);
        }
    }

    fn ask(&self, home: &TempDir, which: usize, name: &str, call: Call) {
        let numbered = |number: u32| if number == 0 { name.to_owned() } else { format!("{name}@{number}") };
        let mut args: Vec<String> = match &call {
            Call::Publish { content, expect } => {
                let (link, expect) = (self.link(*content), expect.to_string());
                ["publish", &link, "--as", name, "--expect", &expect].map(str::to_owned).to_vec()
            }
            Call::Remove { number } => vec!["rm".to_owned(), numbered(*number)],
            Call::List | Call::Latest => vec!["versions".to_owned(), name.to_owned()],
        };
        args.extend(
            ["--open", "--json", "--wait", WAIT, "--tracker", &self.addresses[which]].map(str::to_owned),
        );
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let begun = self.history.begin(name, call.clone());
        let output = command(&args, home.path()).output().expect("the binary runs");
        if let Some(answer) = self.answer(&call, &output) {
            self.history.end(begun, answer);
        }
    }

    /// A link of a file with this content.
    fn link(&self, content: u64) -> String {
        let id = FileId::of(&content.to_be_bytes()).to_string();
        let link = format!("p2p:{id}?name=content&size={SIZE}");
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner).insert(id, content);
        link
    }

    /// What a command says; none if it does not know.
    fn answer(&self, call: &Call, output: &Output) -> Option<Answer> {
        let lines: Vec<Value> =
            String::from_utf8_lossy(&output.stdout).lines().filter_map(|line| line.parse().ok()).collect();
        let number = |key: &str| lines.first()?[key].as_u64().map(|number| number as u32);
        match (output.status.code()?, call) {
            (DONE, Call::Publish { .. }) => {
                let fresh = lines.first()?["fresh"].as_bool()?;
                Some(Answer::Published { number: number("version")?, fresh })
            }
            (DONE, Call::Remove { .. }) => Some(Answer::Removed(number("removed")?)),
            (DONE, Call::List | Call::Latest) if lines.is_empty() => Some(Answer::NotFound),
            (DONE, Call::List | Call::Latest) => {
                let numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
                let version = |line: &Value| {
                    Some((line["version"].as_u64()? as u32, *numbers.get(line["id"].as_str()?)?))
                };
                Some(Answer::Versions(lines.iter().rev().map(version).collect::<Option<_>>()?))
            }
            (NOT_FOUND, _) => Some(Answer::NotFound),
            (OTHER, Call::Publish { .. }) => {
                let text = String::from_utf8_lossy(&output.stderr);
                let (_, rest) = text.split_once("the latest version is ")?;
                Some(Answer::Conflict { latest: rest.split(',').next()?.parse().ok()? })
            }
            _ => None,
        }
    }
}
