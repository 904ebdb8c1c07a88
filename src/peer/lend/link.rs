//! What is to be said to one tracker of what is kept, and whether it may give duties now.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};

use super::agenda::Content;
use crate::peer::trackers::Line;
use crate::threads::lock;
use crate::wire::{Decline, Term};

/// One tracker, as a store sees it.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) line: Line,
    state: Mutex<State>,
    nudge: Sender<()>,
    nudged: Receiver<()>,
}

#[derive(Debug, Default)]
struct State {
    /// In which it gives duties; none while it is away, or is not served.
    term: Option<Term>,
    /// True if another term has begun there: it is to be told anew what this is and keeps.
    again: bool,
    news: News,
}

/// What it has not been told yet.
#[derive(Debug, Default)]
pub(super) struct News {
    /// Contents of which other chunks are kept than it knows, and how many they have.
    pub(super) changed: BTreeMap<Content, u32>,
    pub(super) declined: Vec<Decline>,
}

impl News {
    pub(super) fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.declined.is_empty()
    }
}

impl Link {
    pub(super) fn new(line: Line) -> Link {
        let (nudge, nudged) = crossbeam_channel::bounded(1);
        Link { line, state: Mutex::default(), nudge, nudged }
    }

    /// The term in which it gives duties, if it does.
    pub(super) fn term(&self) -> Option<Term> {
        lock(&self.state).term
    }

    /// From now on it gives duties in this term, or none. What was to be said is part of what it is told then.
    pub(super) fn set_term(&self, term: Option<Term>) {
        *lock(&self.state) = State { term, again: false, news: News::default() };
    }

    /// Another term has begun there, or begins soon: from now on it gives no duties until the two have met again.
    pub(super) fn meets_again(&self) {
        *lock(&self.state) = State { term: None, again: true, news: News::default() };
        let _ = self.nudge.try_send(());
    }

    /// True if the two are to meet again.
    pub(super) fn is_to_meet(&self) -> bool {
        lock(&self.state).again
    }

    /// Other chunks of a content are kept than before.
    pub(super) fn changed(&self, content: Content, chunks: u32) {
        self.tell(|news| {
            news.changed.insert(content, chunks);
        });
    }

    /// A duty is not done.
    pub(super) fn declined(&self, decline: Decline) {
        self.tell(|news| news.declined.push(decline));
    }

    fn tell(&self, tell: impl FnOnce(&mut News)) {
        let mut state = lock(&self.state);
        if state.term.is_some() {
            tell(&mut state.news);
            let _ = self.nudge.try_send(());
        }
    }

    /// What is to be said now.
    pub(super) fn take(&self) -> News {
        std::mem::take(&mut lock(&self.state).news)
    }

    /// Waits until there is something to say, but not for longer than this.
    pub(super) fn wait(&self, patience: Duration) {
        let _ = self.nudged.recv_timeout(patience);
    }
}
