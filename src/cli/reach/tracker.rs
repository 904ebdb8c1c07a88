//! Asking trackers, as a tool that shares nothing.

use std::time::Duration;

use super::asking::{Wait, ask_or_others};
use super::young::Young;
use super::{known, swarm};
use crate::api::Exit;
use crate::cli::failure::{Failure, net_reason};
use crate::cli::show::words::shown;
use crate::cli::typed::address::is_far;
use crate::cli::typed::values::Patience;
use crate::content::PeerId;
use crate::content::{FileId, PublicKey};
use crate::net::trace::Side;
use crate::net::{self, Identity, Messages, NetError};
use crate::say;
use crate::wire::{
    Cluster, Common, Entry, ErrorCode, FromTracker, GetCluster, GetHealth, GetList, GetMembers, GetPeers,
    GetStatus, GetStores, Health, List, Locate, Located, MemberInfo, Name, PeerInfo, Purpose, Renew, Role,
    Status, StoreInfo, ToTracker, limits,
};

/// How long a tracker may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection to one tracker.
#[derive(Debug)]
pub(crate) struct Tracker {
    /// As it was given.
    pub(crate) address: String,
    /// It had just come back when it was connected to for who has what.
    young: Option<Young>,
    link: Link,
}

type Link = Messages<FromTracker, ToTracker>;

/// Connects to all trackers that can be reached, to ask them who has what, trying again for as long as patience lasts if none
/// can, or one has just come back. Once one is there the others have but a moment. In place of one that is dead, or has just
/// come back, another is reached that is one with it.
pub(crate) fn connect(trackers: &[String], patience: Patience) -> Result<Vec<Tracker>, Failure> {
    let mut wait = Wait::new(patience);
    loop {
        let reached = reach(trackers, &[], &mut wait, Tracker::connect_to_ask)?;
        match young(&reached) {
            Some(young) if wait.again(&young.to_string()) => {}
            _ => return Ok(reached),
        }
    }
}

/// What these trackers found, if that is all there can be: what is said of it where one of them has just come back.
///
/// # Errors
/// They found `nothing`, and others who ask later may find it.
pub(crate) fn as_far_as_known<T>(
    trackers: &[Tracker],
    found: Option<T>,
    nothing: &str,
) -> Result<Option<T>, Failure> {
    match (young(trackers), &found) {
        (Some(young), None) => return Err(young.failure(nothing)),
        (Some(young), Some(_)) => say::note(&young.to_string()),
        (None, _) => {}
    }
    Ok(found)
}

fn young(trackers: &[Tracker]) -> Option<&Young> {
    trackers.iter().find_map(|tracker| tracker.young.as_ref())
}

/// Connects to the first tracker in the list that can be reached, or another that is one with it.
pub(crate) fn connect_to_one(trackers: &[String], patience: Patience) -> Result<Tracker, Failure> {
    connect_but(trackers, &[], patience)
}

/// The same; those in `tried` are the last choice.
pub(crate) fn connect_but(
    trackers: &[String],
    tried: &[String],
    patience: Patience,
) -> Result<Tracker, Failure> {
    let first = reach(trackers, tried, &mut Wait::new(patience), Tracker::connect)?.into_iter().next();
    first.ok_or_else(|| nobody(&trackers.join(", ")))
}

fn reach(
    trackers: &[String],
    tried: &[String],
    wait: &mut Wait,
    connect: fn(&str) -> Result<Tracker, String>,
) -> Result<Vec<Tracker>, Failure> {
    loop {
        let (mut reached, mut failures) = (Vec::new(), Vec::new());
        let mut answers =
            ask_or_others(trackers, tried, wait, |tracker: &Tracker| tracker.young.is_none(), connect);
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
        if let (true, Some(failure)) = (reached.is_empty(), never(&failures)) {
            return Err(failure);
        }
        if !reached.is_empty() {
            if !failures.is_empty() && tried.is_empty() {
                say::note(&format!("not asked: the tracker at {failures}"));
            }
            let place = |address: &String| trackers.iter().position(|other| other == address);
            reached.sort_by_key(|tracker: &Tracker| {
                let address = &tracker.address;
                (tried.contains(address), place(address).unwrap_or(trackers.len()))
            });
            return Ok(reached);
        }
        if !wait.again(&format!("no tracker at {failures}")) {
            return Err(nobody(&failures));
        }
    }
}

/// The failure of who none of the trackers that were tried answers, or will: an open one is not asked, and who was put out is
/// not answered.
pub(super) fn never(failures: &str) -> Option<Failure> {
    if !swarm::is_closed() && failures.contains(&NetError::SwarmIsOpen.to_string()) {
        return Some(Failure::usage(format!("not asked: the tracker at {failures}")));
    }
    failures.contains(&format!("says {}", ErrorCode::Revoked)).then(swarm::is_put_out)
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

impl Tracker {
    /// Connects to the tracker at `address`, or says why not.
    pub(crate) fn connect(address: &str) -> Result<Tracker, String> {
        let link = Tracker::dial(address).map_err(|error| net_reason(&error))?;
        let mut tracker = Tracker { address: address.to_owned(), young: None, link };
        if known::is_due(address) {
            let _ = tracker.ask_once(&GetCluster {}.into()); // which is remembered
        }
        Ok(tracker)
    }

    /// The same, and sees whether it has just come back.
    fn connect_to_ask(address: &str) -> Result<Tracker, String> {
        let mut tracker = Tracker::connect(address)?;
        let status = tracker.status().map_err(|failure| failure.to_string())?;
        tracker.young = Young::seen(address, &status);
        Ok(tracker)
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

    /// Program and version, as it says.
    pub(crate) fn software(&self) -> &str {
        &self.link.theirs.software
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

    /// Which trackers are one with this.
    pub(crate) fn cluster(&mut self) -> Result<Cluster, Failure> {
        match self.ask(GetCluster {})? {
            FromTracker::Cluster(cluster) => Ok(cluster),
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
            |after| match self.ask(GetMembers { after: after.unwrap_or(PublicKey::NONE), limit })? {
                FromTracker::Members(page) => Ok((page.members.into_vec(), page.more)),
                other => Err(self.strange(&other)),
            },
        )
    }

    /// An answer, if one comes: the connection is of no use otherwise.
    pub(crate) fn ask_once(&mut self, question: &ToTracker) -> Option<FromTracker> {
        self.call(question).ok()
    }

    /// The answer; what it says of trackers that are one, whatever was asked for, is remembered.
    fn call(&mut self, question: &ToTracker) -> Result<FromTracker, NetError> {
        let answer = self.call_by_the_newest_key(question)?;
        if let FromTracker::Cluster(cluster) = &answer {
            known::remember(&self.address, cluster);
        }
        Ok(answer)
    }

    /// The answer. If the swarm has another key than that of this connection, it is asked for, and asked with again.
    fn call_by_the_newest_key(&mut self, question: &ToTracker) -> Result<FromTracker, NetError> {
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

    fn ask(&mut self, question: impl Into<ToTracker>) -> Result<FromTracker, Failure> {
        match self.call(&question.into()) {
            Ok(answer) => accept(&self.address, answer),
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

/// The answer, or what it says of why there is none.
pub(super) fn accept(address: &str, answer: FromTracker) -> Result<FromTracker, Failure> {
    let FromTracker::Common(Common::Error(error)) = answer else { return Ok(answer) };
    let detail = shown(&error.detail);
    Err(match error.code {
        ErrorCode::NoStores => Failure::unreachable(detail),
        ErrorCode::NotFound => Failure::not_found(detail),
        ErrorCode::NoQuorum => {
            Failure::new(Exit::NoQuorum, format!("the trackers cannot agree: {detail}; try again later"))
        }
        ErrorCode::NoSpace | ErrorCode::Conflict => Failure::other(detail),
        code => Failure::other(format!("the tracker at {} says {code}: {detail}", address)),
    })
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
    fn whom_nobody_can_reach_is_named() {
        let failure = nobody("a:1 (refused)");
        assert_eq!(failure.exit, Exit::Unreachable);
        assert!(failure.to_string().contains("a:1 (refused)"));
    }
}
