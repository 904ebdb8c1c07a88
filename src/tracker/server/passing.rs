//! Questions that only the tracker that leads can answer: passed on to it, again and again while the member has patience.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::BytesMut;

use super::nodes::{Line, Nodes};
use crate::content::{PeerId, PublicKey};
use crate::net::NetError;
use crate::threads::lock;
use crate::tracker::cluster::{Member, Node};
use crate::tracker::recorder::View;
use crate::tracker::records::Command;
use crate::tracker::session::{Caller, Session, need_of};
use crate::wire::limits::MAX_WAIT_MS;
use crate::wire::{
    BetweenNodes, ChangePages, Common, ErrorCode, Forward, Forwarded, FromTracker, Label, Message, Passed,
    ToTracker,
};

/// How long is waited for a leader where the question does not say.
const PATIENCE: Duration = Duration::from_secs(5);
/// After so long it is looked again whether there is a leader, or still the same.
pub(super) const LOOK: Duration = Duration::from_millis(25);
/// How much longer than the member waits the leader may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a tracker may take to say HELLO to who passes something on.
const HELLO_PATIENCE: Duration = Duration::from_secs(1);
/// Connections to the leader that are kept while nothing is asked.
const MAX_IDLE: usize = 16;

/// The way to the tracker that leads.
#[derive(Debug)]
pub(in crate::tracker) struct Passing {
    pub(super) nodes: Arc<Nodes>,
    idle: Mutex<Vec<Kept>>,
}

/// A connection to another tracker for what is passed on, by its number.
#[derive(Debug)]
struct Kept {
    node: Node,
    number: u64,
    line: Line,
}

impl Passing {
    pub(super) fn new(nodes: Arc<Nodes>) -> Passing {
        Passing { nodes, idle: Mutex::default() }
    }

    /// The connections that are kept are of no use any more.
    pub(super) fn stop(&self) {
        lock(&self.idle).clear();
    }

    /// The answer of whoever leads; none if it is this tracker that does. `goes_on` waits so long, and is false when nobody waits for the
    /// answer any more. As long as nobody does it is waited, up to what the question
    /// says.
    pub(in crate::tracker) fn ask(
        &self,
        (session, message): (&Session, &ToTracker),
        goes_on: &dyn Fn(Duration) -> bool,
        until: Instant,
    ) -> Result<Option<FromTracker>, NetError> {
        self.ask_leader(&forward(session, message).into(), goes_on, until)
    }

    /// The same of a change of who may come in to pages.
    pub(in crate::tracker) fn change_pages(
        &self,
        change: &Command,
        goes_on: &dyn Fn(Duration) -> bool,
        until: Instant,
    ) -> Result<Option<FromTracker>, NetError> {
        let (number, body) = change.encode();
        self.ask_leader(&ChangePages { change: number, body: Passed(body) }.into(), goes_on, until)
    }

    fn ask_leader(
        &self,
        question: &BetweenNodes,
        goes_on: &dyn Fn(Duration) -> bool,
        until: Instant,
    ) -> Result<Option<FromTracker>, NetError> {
        let mut last = None;
        loop {
            let view = self.nodes.several.view();
            if view.leads {
                return Ok(None);
            }
            for member in whom(&view) {
                match self.once(member, question, goes_on) {
                    Ok(answer) if !is_no_quorum(&answer) => return Ok(Some(answer)),
                    Ok(answer) => last = Some(answer),
                    Err(error) => tracing::debug!("tracker {}: {error}", member.node),
                }
            }
            if Instant::now() >= until {
                return Ok(Some(last.unwrap_or_else(|| self.nobody())));
            }
            if !goes_on(LOOK) {
                return Err(NetError::Closed);
            }
        }
    }

    /// The answer where nobody leads.
    fn nobody(&self) -> FromTracker {
        let missing = self.nodes.several.view().missing();
        let why = missing.unwrap_or_else(|| "they have not agreed on a leader yet".to_owned());
        Common::error(ErrorCode::NoQuorum, format!("no tracker leads the cluster: {why}")).into()
    }

    /// Asks a tracker once, on a connection that is there or a new one.
    fn once(
        &self,
        to: &Member,
        question: &BetweenNodes,
        goes_on: &dyn Fn(Duration) -> bool,
    ) -> Result<FromTracker, NetError> {
        let kept = {
            let mut idle = lock(&self.idle);
            let at = idle.iter().position(|kept| kept.node == to.node);
            at.map(|at| idle.swap_remove(at))
        };
        // Any other answer is none: it may have ended while it was kept.
        if let Some(answered @ (Ok(_) | Err(NetError::TimedOut))) =
            kept.map(|kept| self.on(kept, question, goes_on))
        {
            return answered;
        }
        let (number, line) = self.nodes.connect(to, HELLO_PATIENCE)?;
        self.on(Kept { node: to.node, number, line }, question, goes_on)
    }

    fn on(
        &self,
        mut kept: Kept,
        question: &BetweenNodes,
        goes_on: &dyn Fn(Duration) -> bool,
    ) -> Result<FromTracker, NetError> {
        let answered = self.answer(&mut kept, question, goes_on);
        let mut idle = lock(&self.idle);
        if answered.is_ok() && idle.len() < MAX_IDLE {
            idle.push(kept);
        } else {
            drop(idle);
            self.nodes.forget(kept.number);
        }
        answered
    }

    /// The answer to one question; none is waited for of a tracker that does not lead any more, or for who is gone.
    fn answer(
        &self,
        Kept { node, line, .. }: &mut Kept,
        question: &BetweenNodes,
        goes_on: &dyn Fn(Duration) -> bool,
    ) -> Result<FromTracker, NetError> {
        let until = Instant::now() + Duration::from_millis(MAX_WAIT_MS.into()) + ANSWER_TIMEOUT;
        line.set_timeout(Some(LOOK))?;
        let request = line.request(question)?;
        loop {
            match line.receive() {
                Ok((number, BetweenNodes::Forwarded(Forwarded { message, body }))) if number == request => {
                    return Ok(FromTracker::decode(message, body.0)?);
                }
                Ok((_, BetweenNodes::Common(Common::Error(problem)))) => return Err(problem.into()),
                Ok((_, other)) => return Err(NetError::Unexpected(other.label())),
                Err(NetError::TimedOut) if Instant::now() < until => {
                    let leads = self.nodes.several.view().leader;
                    if leads.is_some_and(|leader| leader != *node) || !goes_on(Duration::ZERO) {
                        return Err(NetError::TimedOut);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// Who is to be asked: the leader. A tracker without a vote does not know it, and asks all members that it is connected to.
fn whom(view: &View) -> Vec<&Member> {
    match view.leader {
        _ if !view.votes() => {
            view.members.iter().filter(|member| view.other(member.node).is_some()).collect()
        }
        Some(leader) if leader != view.node => view.member(leader).into_iter().collect(),
        _ => Vec::new(),
    }
}

/// Until when a member waits that asks this, if only who leads can answer it.
pub(in crate::tracker) fn patience(message: &ToTracker, now: Instant) -> Option<Instant> {
    let said = match message {
        ToTracker::Store(store) => store.wait_ms,
        ToTracker::ChangeMembers(change) => change.wait_ms,
        _ => 0,
    };
    let said = Duration::from_millis(said.min(MAX_WAIT_MS).into());
    need_of(message).then(|| now + said.max(PATIENCE))
}

/// True if it is known only that this tracker does not lead, or not any more.
pub(in crate::tracker) fn is_no_quorum(answer: &FromTracker) -> bool {
    matches!(answer, FromTracker::Common(Common::Error(problem)) if problem.code == ErrorCode::NoQuorum)
}

fn forward(session: &Session, message: &ToTracker) -> Forward {
    let mut body = BytesMut::new();
    message.put_body(&mut body);
    let (key, invite, late) = match session.caller() {
        Caller::Anybody => (PublicKey::NONE, 0, false),
        Caller::Member(key) => (key, 0, false),
        Caller::Invited(key, invite) => (key, invite, false),
        Caller::Late(key) => (key, 0, true),
    };
    let (peer, name) = session.who();
    Forward { peer, name, key, invite, late, message: message.id(), body: Passed(body.freeze()) }
}

/// Who is said to ask.
pub(super) fn asker(forward: &Forward) -> (PeerId, Label, Caller) {
    let caller = match forward.key {
        PublicKey::NONE => Caller::Anybody,
        key if forward.late => Caller::Late(key),
        key if forward.invite != 0 => Caller::Invited(key, forward.invite),
        key => Caller::Member(key),
    };
    (forward.peer, forward.name.clone(), caller)
}

/// The answer as it goes back.
pub(super) fn forwarded(answer: &FromTracker) -> Forwarded {
    let mut body = BytesMut::new();
    answer.put_body(&mut body);
    Forwarded { message: answer.id(), body: Passed(body.freeze()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::tests::hello;
    use crate::tracker::directory::Origin;
    use crate::wire::{GetList, Name, Resolve};

    #[test]
    fn who_asks_is_passed_on_with_what_it_asked() {
        let hello = hello();
        let message = ToTracker::from(Resolve { name: Name::new("a"), number: 0 });
        let key = PublicKey([7; 32]);
        for caller in [Caller::Anybody, Caller::Member(key), Caller::Invited(key, 5), Caller::Late(key)] {
            let session = Session::new(1, Origin::default(), &hello).of(caller, 0);
            let forward = forward(&session, &message);
            assert_eq!(asker(&forward), (hello.peer, hello.name.clone(), caller));
            assert_eq!(ToTracker::decode(forward.message, forward.body.0), Ok(message.clone()));
        }
    }

    #[test]
    fn only_what_the_leader_answers_waits_for_one() {
        let now = Instant::now();
        let resolve = Resolve { name: Name::new("a"), number: 0 }.into();
        assert_eq!(patience(&resolve, now), Some(now + PATIENCE));
        let list = GetList { pattern: Name::new("*"), after: Name::default(), limit: 9 }.into();
        assert_eq!(patience(&list, now), None);
    }
}
