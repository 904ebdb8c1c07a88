//! Asking trackers, as a tool that shares nothing.

use crate::cli::reach::swarm;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;

use crate::cli::failure::{Failure, net_reason};
use crate::cli::show::words::shown;
use crate::cli::typed::address::is_far;
use crate::cli::typed::values::Patience;
use crate::content::FileId;
use crate::content::PeerId;
use crate::net::trace::Side;
use crate::net::{self, Identity, Messages, NetError};
use crate::say;
use crate::threads;
use crate::wire::{
    Common, Entry, ErrorCode, FromTracker, GetHealth, GetList, GetMembers, GetPeers, GetStatus, GetStores,
    Health, List, Locate, Located, MemberInfo, MemberKey, Name, PeerInfo, Purpose, Renew, Role, Status,
    StoreInfo, ToTracker, limits,
};

/// How long a tracker may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// What a tracker that is there may take to answer, however little patience there is.
const MOMENT: Duration = Duration::from_secs(2);
/// How long others that were asked are waited for once one has what is sought.
const GRACE: Duration = Duration::from_millis(100);
/// How often an absent tracker is tried again.
const RETRY: Duration = Duration::from_millis(500);

/// A connection to one tracker.
#[derive(Debug)]
pub(crate) struct Tracker {
    /// As it was given.
    pub(crate) address: String,
    link: Link,
}

type Link = Messages<FromTracker, ToTracker>;

/// A wait for somebody who is not there yet: says so once, and how long it lasts.
#[derive(Debug)]
pub(crate) struct Wait {
    patience: Patience,
    start: Instant,
    told: bool,
}

impl Wait {
    pub(crate) fn new(patience: Patience) -> Wait {
        Wait { patience, start: Instant::now(), told: false }
    }

    /// Until when an answer is waited for: somebody who is there has a moment even when there is no patience.
    fn until(&self) -> Option<Instant> {
        let most = self.patience.limit()?.saturating_sub(self.start.elapsed()).max(MOMENT);
        Instant::now().checked_add(most)
    }

    /// Waits until it is time to try again; false once patience is over.
    pub(crate) fn again(&mut self, why: &str) -> bool {
        let waited = self.start.elapsed();
        if self.patience.is_over(waited) {
            return false;
        }
        if !self.told {
            say::note(&format!("{why}; waiting, --wait is {}", self.patience));
            self.told = true;
        }
        thread::sleep(match self.patience {
            Patience::For(most) => RETRY.min(most - waited),
            Patience::Forever => RETRY,
        });
        true
    }
}

/// Connects to all trackers that can be reached, trying again for as long as patience lasts if none can. Once one is
/// there the others have but a moment.
pub(crate) fn connect(trackers: &[String], patience: Patience) -> Result<Vec<Tracker>, Failure> {
    let mut wait = Wait::new(patience);
    loop {
        let (mut reached, mut failures) = (Vec::new(), Vec::new());
        let mut answers = ask_each(trackers, &wait, Tracker::connect);
        while let Some((address, answer)) = answers.next() {
            match answer {
                Ok(tracker) => {
                    answers.hurry();
                    reached.push(tracker);
                }
                Err(reason) => failures.push(format!("{address} ({reason})")),
            }
        }
        let failures = failures.join(", ");
        let is_open = || failures.contains(&NetError::SwarmIsOpen.to_string());
        if reached.is_empty() && !swarm::is_closed() && is_open() {
            return Err(Failure::usage(format!("not asked: the tracker at {failures}")));
        }
        if !reached.is_empty() {
            if !failures.is_empty() {
                say::note(&format!("not asked: the tracker at {failures}"));
            }
            reached.sort_by_key(|tracker| trackers.iter().position(|address| *address == tracker.address));
            return Ok(reached);
        }
        if !wait.again(&format!("no tracker at {failures}")) {
            return Err(nobody(&failures));
        }
    }
}

/// Connects to the first tracker in the list that can be reached.
pub(crate) fn connect_to_one(trackers: &[String], patience: Patience) -> Result<Tracker, Failure> {
    let first = connect(trackers, patience)?.into_iter().next();
    first.ok_or_else(|| nobody(&trackers.join(", ")))
}

/// Asks all of them; what one does not answer the others may.
pub(crate) fn of_any(
    trackers: &mut [Tracker],
    mut ask: impl FnMut(&mut Tracker) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let (mut answered, mut failed) = (false, None);
    for tracker in trackers {
        match ask(tracker) {
            Ok(()) => answered = true,
            Err(failure) => _ = failed.get_or_insert(failure),
        }
    }
    match failed {
        Some(failure) if !answered => return Err(failure),
        Some(failure) => failure.print(),
        None => {}
    }
    Ok(())
}

/// The failure of asking trackers of which none can be reached.
pub(crate) fn nobody(failures: &str) -> Failure {
    Failure::unreachable(format!(
        "no tracker can be reached at {failures}; start one with `p2p tracker`, or name another with --tracker"
    ))
}

/// Asks all trackers at once, so that one that hangs holds up nobody: their answers, or why there is none, as they
/// come, then those that said nothing while there was patience.
pub(crate) fn ask_each<T: Send + 'static, F: Fn(&str) -> Result<T, String> + Clone + Send + 'static>(
    trackers: &[String],
    wait: &Wait,
    ask: F,
) -> Answers<T> {
    let (tell, told) = crossbeam_channel::unbounded();
    for address in trackers {
        let (ask, address, tell) = (ask.clone(), address.clone(), tell.clone());
        let asking = move || {
            let answer = ask(&address);
            let _ = tell.send((address, answer)); // nobody may want to know any more
        };
        if let Err(error) = threads::named("ask").connection(asking) {
            tracing::warn!("no thread to ask a tracker: {error}");
        }
    }
    Answers { told, silent: trackers.to_vec(), until: wait.until() }
}

/// The answers of trackers that are asked at once.
pub(crate) struct Answers<T> {
    told: Receiver<(String, Result<T, String>)>,
    /// Those that have not answered.
    silent: Vec<String>,
    until: Option<Instant>,
}

impl<T> Answers<T> {
    /// There is what was sought: the others have [`GRACE`] from now on.
    pub(crate) fn hurry(&mut self) {
        let soon = Instant::now() + GRACE;
        self.until = Some(self.until.map_or(soon, |until| until.min(soon)));
    }
}

impl<T> Iterator for Answers<T> {
    type Item = (String, Result<T, String>);

    fn next(&mut self) -> Option<(String, Result<T, String>)> {
        let answer = match self.until {
            Some(until) => self.told.recv_deadline(until).ok(),
            None => self.told.recv().ok(),
        };
        match answer {
            Some((address, answer)) => {
                self.silent.retain(|other| *other != address);
                Some((address, answer))
            }
            None => self.silent.pop().map(|address| (address, Err(NetError::TimedOut.to_string()))),
        }
    }
}

impl Tracker {
    /// Connects to the tracker at `address`, or says why not.
    pub(crate) fn connect(address: &str) -> Result<Tracker, String> {
        let link = Tracker::dial(address).map_err(|error| net_reason(&error))?;
        Ok(Tracker { address: address.to_owned(), link })
    }

    fn dial(address: &str) -> Result<Link, NetError> {
        let stream = net::dial(address).map_err(NetError::Io)?;
        let me = Identity::tool(swarm::keyring().map_err(NetError::Io)?);
        let expected = me.keyring.tracker_at(address);
        let session = net::greet(stream, (&me, Role::Member), expected, Side::Tracker, net::HELLO_TIMEOUT)?;
        if session.proven().is_none() && !swarm::is_open() && is_far(address) {
            return Err(NetError::SwarmIsOpen);
        }
        let link = Messages::new(session, Side::Tracker);
        link.set_timeout(Some(ANSWER_TIMEOUT))?;
        Ok(link)
    }

    /// Who has the content called `name`, or with this id if `name` is empty.
    pub(crate) fn locate(&mut self, name: &str, id: FileId) -> Result<Located, Failure> {
        let question = Locate {
            name: Name::new(name),
            id,
            purpose: Purpose::Inspect,
            max: limits::MAX_HOLDERS as u16,
            missing: List::default(),
        };
        match self.ask(question)? {
            FromTracker::Located(located) => Ok(located),
            other => Err(self.strange(&other)),
        }
    }

    /// Calls `each` for every entry whose name matches, in order.
    pub(crate) fn list(
        &mut self,
        pattern: &str,
        each: impl FnMut(Entry) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        self.list_past(pattern, |_| None, each)
    }

    /// The same; `past` says of the last name of a page behind which name to go on, if what comes next is not wanted.
    pub(crate) fn list_past(
        &mut self,
        pattern: &str,
        past: impl Fn(&str) -> Option<String>,
        mut each: impl FnMut(Entry) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut after = Name::default();
        loop {
            let limit = limits::MAX_ENTRIES as u16;
            let page = match self.ask(GetList { pattern: Name::new(pattern), after: after.clone(), limit })? {
                FromTracker::Listing(page) => page,
                other => return Err(self.strange(&other)),
            };
            let last = page.entries.last().map(|entry| entry.name.clone());
            let more = page.more;
            page.entries.into_vec().into_iter().try_for_each(&mut each)?;
            match last {
                // A tracker that repeats itself must not keep this loop going for ever.
                Some(last) if more && *last > *after => after = past(&last).map_or(last, Name::new),
                _ => return Ok(()),
            }
        }
    }

    /// All registered peers in order of id.
    pub(crate) fn peers(&mut self) -> Result<Vec<PeerInfo>, Failure> {
        let limit = limits::MAX_PEERS as u16;
        in_pages(
            |peer: &PeerInfo| peer.peer,
            |after| match self.ask(GetPeers { after: after.unwrap_or(PeerId([0; 16])), limit })? {
                FromTracker::Peers(page) => Ok((page.peers.into_vec(), page.more)),
                other => Err(self.strange(&other)),
            },
        )
    }

    /// All stores in order of id.
    pub(crate) fn stores(&mut self) -> Result<Vec<StoreInfo>, Failure> {
        let limit = limits::MAX_PAGE_STORES as u16;
        in_pages(
            |store: &StoreInfo| store.peer,
            |after| match self.ask(GetStores { after: after.unwrap_or(PeerId([0; 16])), limit })? {
                FromTracker::Stores(page) => Ok((page.stores.into_vec(), page.more)),
                other => Err(self.strange(&other)),
            },
        )
    }

    /// How safe is what is published under a name; of everything if it is empty.
    pub(crate) fn health(&mut self, name: &str) -> Result<Health, Failure> {
        match self.ask(GetHealth { name: Name::new(name) })? {
            FromTracker::Health(health) => Ok(health),
            other => Err(self.strange(&other)),
        }
    }

    /// How the tracker is.
    pub(crate) fn status(&mut self) -> Result<Status, Failure> {
        match self.ask(GetStatus {})? {
            FromTracker::Status(status) => Ok(status),
            other => Err(self.strange(&other)),
        }
    }

    /// All members in order of key.
    pub(crate) fn members(&mut self) -> Result<Vec<MemberInfo>, Failure> {
        let limit = limits::MAX_PAGE_MEMBERS as u16;
        in_pages(
            |member: &MemberInfo| member.key,
            |after| match self.ask(GetMembers { after: after.unwrap_or(MemberKey::NONE), limit })? {
                FromTracker::Members(page) => Ok((page.members.into_vec(), page.more)),
                other => Err(self.strange(&other)),
            },
        )
    }

    /// An answer, if one comes: the connection is of no use otherwise.
    pub(crate) fn ask_once(&mut self, question: &ToTracker) -> Option<FromTracker> {
        self.call(question).ok()
    }

    /// The answer. If the swarm has another key than that of this connection, it is asked for, and asked with again.
    fn call(&mut self, question: &ToTracker) -> Result<FromTracker, NetError> {
        let answer = self.link.call(question)?;
        if !matches!(&answer, FromTracker::Common(Common::Error(error)) if error.code == ErrorCode::UnknownSwarm)
        {
            return Ok(answer);
        }
        match self.link.call(&Renew {}.into())? {
            FromTracker::Renewed(renewed) => swarm::renewed(Some(renewed.standing.role), &renewed.epoch),
            FromTracker::Common(Common::Error(error)) => return Err(error.into()),
            _ => return Ok(answer),
        }
        self.link = Tracker::dial(&self.address)?;
        self.link.call(question)
    }

    /// The answer, or what it says of why there is none.
    pub(super) fn accept(&self, answer: FromTracker) -> Result<FromTracker, Failure> {
        let FromTracker::Common(Common::Error(error)) = answer else { return Ok(answer) };
        let detail = shown(&error.detail);
        Err(match error.code {
            ErrorCode::NoStores => Failure::unreachable(detail),
            ErrorCode::NotFound => Failure::not_found(detail),
            ErrorCode::NoSpace | ErrorCode::Conflict => Failure::other(detail),
            code => Failure::other(format!("the tracker at {} says {code}: {detail}", self.address)),
        })
    }

    fn ask(&mut self, question: impl Into<ToTracker>) -> Result<FromTracker, Failure> {
        match self.call(&question.into()) {
            Ok(answer) => self.accept(answer),
            Err(error) => Err(Failure::unreachable(format!(
                "the tracker at {} went away: {}; try again",
                self.address,
                net_reason(&error)
            ))),
        }
    }

    fn strange(&self, answer: &FromTracker) -> Failure {
        use crate::wire::Message;
        Failure::other(format!("the tracker at {} answered with {}", self.address, answer.label()))
    }
}

/// Everything that is told in pages, in the order of its `place`: `ask` is told behind which place the next page begins,
/// and says whether there is more behind that.
pub(crate) fn in_pages<T, K: Copy + PartialOrd>(
    place: impl Fn(&T) -> K,
    mut ask: impl FnMut(Option<K>) -> Result<(Vec<T>, bool), Failure>,
) -> Result<Vec<T>, Failure> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let (page, more) = ask(after)?;
        all.extend(page);
        let last = all.last().map(&place);
        // A tracker that repeats itself must not keep this loop going for ever.
        if !more || last <= after {
            return Ok(all);
        }
        after = last;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Exit;

    #[test]
    fn a_tracker_that_hangs_holds_up_nobody_and_is_named_last() {
        let (_hold, held) = crossbeam_channel::bounded::<()>(0);
        let trackers = ["hangs", "is", "is not"].map(str::to_owned);
        let ask = move |address: &str| match address {
            "hangs" => held.recv().map_err(|error| error.to_string()),
            "is" => Ok(()),
            _ => Err("refused".to_owned()),
        };
        let wait = Wait::new(Patience::For(Duration::ZERO));
        let mut answers: Vec<_> = ask_each(&trackers, &wait, ask).collect();
        let last = answers.pop().unwrap();
        assert_eq!(last, ("hangs".to_owned(), Err(NetError::TimedOut.to_string())));
        answers.sort_unstable();
        assert_eq!(answers, [("is".to_owned(), Ok(())), ("is not".to_owned(), Err("refused".to_owned()))]);
    }

    #[test]
    fn once_one_has_it_the_others_have_but_a_moment() {
        let (_hold, held) = crossbeam_channel::bounded::<()>(0);
        let trackers = ["hangs", "is"].map(str::to_owned);
        let ask = move |address: &str| match address {
            "hangs" => held.recv().map_err(|error| error.to_string()),
            _ => Ok(()),
        };
        let began = Instant::now();
        let mut answers = ask_each(&trackers, &Wait::new(Patience::Forever), ask);
        assert_eq!(answers.next(), Some(("is".to_owned(), Ok(()))));
        answers.hurry();
        assert_eq!(answers.next(), Some(("hangs".to_owned(), Err(NetError::TimedOut.to_string()))));
        assert_eq!(answers.next(), None);
        assert!(began.elapsed() >= GRACE && began.elapsed() < MOMENT, "{:?}", began.elapsed());
    }

    #[test]
    fn pages_are_put_together_until_the_last_or_one_that_was_there_before() {
        let all = |pages: &[(&[u8], bool)]| {
            let (mut pages, mut asked) = (pages.iter(), Vec::new());
            let told = in_pages(
                |number: &u8| *number,
                |after| {
                    asked.push(after);
                    let (page, more) = pages.next().expect("a page");
                    Ok((page.to_vec(), *more))
                },
            );
            (told.unwrap(), asked)
        };
        assert_eq!(all(&[(&[], false)]), (vec![], vec![None]));
        assert_eq!(all(&[(&[], true)]), (vec![], vec![None]), "more of nothing");
        assert_eq!(all(&[(&[1, 2], true), (&[3], false)]), (vec![1, 2, 3], vec![None, Some(2)]));
        assert_eq!(
            all(&[(&[0], true), (&[0], true)]),
            (vec![0, 0], vec![None, Some(0)]),
            "it repeats itself"
        );
    }

    #[test]
    fn there_is_a_moment_even_without_patience_and_no_end_to_endless_patience() {
        let left = |patience| Wait::new(patience).until().map(|until| until - Instant::now());
        let within = |left: Option<Duration>, most: Duration| left.is_some_and(|left| left <= most);
        assert!(within(left(Patience::For(Duration::ZERO)), MOMENT));
        assert!(left(Patience::For(Duration::from_secs(600))) > Some(Duration::from_secs(500)));
        assert_eq!(left(Patience::Forever), None);
    }

    #[test]
    fn patience_ends() {
        assert!(!Wait::new(Patience::For(Duration::ZERO)).again("why"));
        let mut wait = Wait::new(Patience::For(Duration::from_millis(1)));
        let mut tries = 0;
        while wait.again("a test waits for nobody") {
            tries += 1;
        }
        assert!((0..=2).contains(&tries), "{tries}");
        let failure = nobody("a:1 (refused)");
        assert_eq!(failure.exit, Exit::Unreachable);
    }
}
