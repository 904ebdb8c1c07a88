//! A change of the records, asked for until a tracker says that it is made, over as many connections as that takes, at
//! whichever trackers are one: the same client and number make it the same change.

use super::asking::Wait;
use super::tracker::{self, Tracker, nobody};
use crate::cli::failure::Failure;
use crate::cli::typed::sought::Sought;
use crate::cli::typed::values::Patience;
use crate::content::SafeName;
use crate::wire::{ClientId, Common, ErrorCode, FromTracker, Message, Name, Resolve, ToTracker, Version};

/// Who asks for changes: one run of a tool.
#[derive(Debug)]
pub(crate) struct Client {
    id: ClientId,
    /// The number of the last change.
    seq: u64,
    trackers: Vec<String>,
    patience: Patience,
    link: Option<Tracker>,
    /// Trackers that gave no answer, since one did.
    tried: Vec<String>,
}

impl Client {
    pub(crate) fn new(trackers: &[String], patience: Patience) -> Client {
        Client {
            id: ClientId::random(),
            seq: 0,
            trackers: trackers.to_vec(),
            patience,
            link: None,
            tried: Vec::new(),
        }
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

    /// Asks the first tracker that can be reached. Where one goes away, or says that too few of its cluster are there,
    /// another is asked, and all of them again, for as long as patience lasts.
    ///
    /// # Errors
    /// When a tracker refuses, or none can be reached, or none can agree with the others of its cluster.
    pub(crate) fn ask(&mut self, question: &ToTracker) -> Result<FromTracker, Failure> {
        let answer = self.put(question)?;
        self.accept(answer)
    }

    /// The answer, or what it says of why there is none.
    pub(crate) fn accept(&self, answer: FromTracker) -> Result<FromTracker, Failure> {
        let address = self.link.as_ref().map_or("", |tracker| &*tracker.address);
        tracker::accept(address, answer)
    }

    /// The same as [`Client::ask`], where the answer may be a refusal.
    pub(crate) fn put(&mut self, question: &ToTracker) -> Result<FromTracker, Failure> {
        let mut wait = Wait::new(self.patience);
        let mut is_first_round = true;
        let mut last: Option<(String, Failure)> = None;
        loop {
            let mut tracker = match self.link.take() {
                Some(tracker) => tracker,
                None => tracker::connect_but(&self.trackers, &self.tried, self.patience)?,
            };
            let address = tracker.address.clone();
            let nobody_else = self.tried.contains(&address);
            if let Some((why, failure)) = last.take()
                && (nobody_else || !is_first_round && wait.is_over())
            {
                self.tried.clear();
                is_first_round = false;
                if !wait.again(&why) {
                    return Err(failure);
                }
            }
            last = Some(match tracker.ask_once(question) {
                Some(answer) if is_an_end(&answer) => {
                    self.tried.clear();
                    self.link = Some(tracker);
                    return Ok(answer);
                }
                answer => {
                    let refused = answer.and_then(|answer| tracker::accept(&address, answer).err());
                    let why = match &refused {
                        Some(failure) => failure.to_string(),
                        None => format!("the tracker at {address} went away"),
                    };
                    (why, refused.unwrap_or_else(|| nobody(&format!("{address} (it went away)"))))
                }
            });
            self.tried.push(address);
        }
    }
}

/// False of an answer that another tracker, or the same one later, may give otherwise: what was asked for may have been done.
fn is_an_end(answer: &FromTracker) -> bool {
    let FromTracker::Common(Common::Error(error)) = answer else { return true };
    !matches!(error.code, ErrorCode::NoQuorum | ErrorCode::Stopping)
}

/// The failure of an answer that belongs to another question.
pub(crate) fn strange(answer: &FromTracker) -> Failure {
    Failure::other(format!("the tracker answered with {}", answer.label()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_tracker_may_say_otherwise_is_no_end() {
        let error = |code| Common::error(code, "no").into();
        assert!(is_an_end(&Common::Ok.into()) && is_an_end(&error(ErrorCode::Conflict)));
        assert!(!is_an_end(&error(ErrorCode::NoQuorum)) && !is_an_end(&error(ErrorCode::Stopping)));
    }
}
