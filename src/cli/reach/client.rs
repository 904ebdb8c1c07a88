//! A change of the records, asked for until a tracker says that it is made, over as many connections as that takes:
//! the same client and number make it the same change.

use super::tracker::{self, Tracker, Wait, nobody};
use crate::cli::failure::Failure;
use crate::cli::typed::sought::Sought;
use crate::cli::typed::values::Patience;
use crate::content::SafeName;
use crate::wire::{ClientId, FromTracker, Message, Name, Resolve, ToTracker, Version};

/// Who asks for changes: one run of a tool.
#[derive(Debug)]
pub(crate) struct Client {
    id: ClientId,
    /// The number of the last change.
    seq: u64,
    trackers: Vec<String>,
    patience: Patience,
    link: Option<Tracker>,
}

impl Client {
    pub(crate) fn new(trackers: &[String], patience: Patience) -> Client {
        Client { id: ClientId::random(), seq: 0, trackers: trackers.to_vec(), patience, link: None }
    }

    /// The next change: who makes it, and its number.
    pub(crate) fn change(&mut self) -> (ClientId, u64) {
        self.seq += 1;
        (self.id, self.seq)
    }

    /// A version that is on record; of number 0 the latest.
    ///
    /// # Errors
    /// As of [`Client::ask`].
    pub(crate) fn resolve(&mut self, name: &SafeName, number: u32) -> Result<Option<Version>, Failure> {
        match self.ask(&Resolve { name: Name::new(name.as_str()), number }.into())? {
            FromTracker::Resolved(resolved) => Ok(resolved.versions.into_vec().pop()),
            other => Err(strange(&other)),
        }
    }

    /// The name under which what was typed is on record: a file's or a folder's.
    ///
    /// # Errors
    /// When there is none, and as of [`Client::ask`].
    pub(crate) fn named(&mut self, sought: &Sought) -> Result<SafeName, Failure> {
        for name in sought.names() {
            if self.resolve(&name, sought.number)?.is_some() {
                return Ok(name);
            }
        }
        Err(sought.nothing())
    }

    /// Asks the first tracker that can be reached; one that goes away is asked again when it is back, or another, for
    /// as long as patience lasts.
    ///
    /// # Errors
    /// When the tracker refuses, or none can be reached.
    pub(crate) fn ask(&mut self, question: &ToTracker) -> Result<FromTracker, Failure> {
        let mut wait = Wait::new(self.patience);
        loop {
            let mut tracker = match self.link.take() {
                Some(tracker) => tracker,
                None => tracker::connect_to_one(&self.trackers, self.patience)?,
            };
            match tracker.ask_once(question) {
                Some(answer) => {
                    let answer = tracker.accept(answer);
                    self.link = Some(tracker);
                    return answer;
                }
                None if wait.again(&format!("the tracker at {} went away", tracker.address)) => {}
                None => return Err(nobody(&format!("{} (it went away)", tracker.address))),
            }
        }
    }
}

/// The failure of an answer that belongs to another question.
pub(crate) fn strange(answer: &FromTracker) -> Failure {
    Failure::other(format!("the tracker answered with {}", answer.label()))
}
