//! A published name as an object of which histories are checked: versions with numbers, as `docs/PROTOCOL.md` 13.5 has
//! them. Written from its words, not from the tracker's code.

use super::linear::Object;

/// What is published under one name, and the number that comes next.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Versions {
    /// Numbers and contents, ascending.
    list: Vec<(u32, u64)>,
    /// The last number that was given, as long as there is a version.
    last: u32,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Call {
    /// Publish a content; if the latest version is `expect`, or 0 for whichever.
    Publish { content: u64, expect: u32 },
    /// Take away the version of this number; 0 for all.
    Remove { number: u32 },
    /// Which versions are there?
    List,
    /// Which version is the latest?
    Latest,
}

/// What is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It is the version of this number, and was not the latest before if it is fresh.
    Published { number: u32, fresh: bool },
    /// The latest version is another.
    Conflict { latest: u32 },
    /// So many are gone.
    Removed(u32),
    /// There is nothing like that.
    NotFound,
    /// Numbers and contents, ascending.
    Versions(Vec<(u32, u64)>),
}

/// A published name.
#[derive(Debug)]
pub(crate) struct Name;

impl Object for Name {
    type State = Versions;
    type Call = Call;
    type Answer = Answer;

    fn step(state: &Versions, call: &Call, answer: Option<&Answer>) -> Option<Versions> {
        let mut state = state.clone();
        let said = state.carry_out(call);
        answer.is_none_or(|answer| *answer == said).then_some(state)
    }
}

impl Versions {
    /// What is said to a call, after it was carried out.
    pub(crate) fn carry_out(&mut self, call: &Call) -> Answer {
        match *call {
            Call::Publish { content, expect } => self.publish(content, expect),
            Call::Remove { number } => self.remove(number),
            Call::List if self.list.is_empty() => Answer::NotFound,
            Call::List => Answer::Versions(self.list.clone()),
            Call::Latest => match self.list.last() {
                Some(latest) => Answer::Versions(vec![*latest]),
                None => Answer::NotFound,
            },
        }
    }

    fn publish(&mut self, content: u64, expect: u32) -> Answer {
        let latest = self.list.last().copied();
        if let Some((number, _)) = latest.filter(|(_, latest)| *latest == content) {
            return Answer::Published { number, fresh: false };
        }
        let latest = latest.map_or(0, |(number, _)| number);
        if expect != 0 && expect != latest {
            return Answer::Conflict { latest };
        }
        self.last += 1;
        self.list.push((self.last, content));
        Answer::Published { number: self.last, fresh: true }
    }

    fn remove(&mut self, number: u32) -> Answer {
        let before = self.list.len();
        self.list.retain(|(other, _)| number != 0 && *other != number);
        let removed = before - self.list.len();
        if self.list.is_empty() {
            *self = Versions::default(); // a name of which nothing is left counts from 1 again
        }
        match removed {
            0 => Answer::NotFound,
            removed => Answer::Removed(removed as u32),
        }
    }
}
