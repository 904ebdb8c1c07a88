//! What trackers, and the nodes that they know of, show beside this machine: whether they answer, their clocks, their versions.

use std::time::{Duration, Instant, UNIX_EPOCH};

use super::check::{Check, Other};
use crate::cli::ask::nodes;
use crate::cli::reach::asking::{Wait, ask_each};
use crate::cli::reach::client::Client;
use crate::cli::reach::tracker::Tracker;
use crate::cli::reach::{known, swarm};
use crate::cli::show::words::{count, elapsed, shown};
use crate::cli::typed::values::Patience;
use crate::clock::since_1970;
use crate::net::SOFTWARE;

/// How long trackers are waited for.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// A clock that shows less than this (2025) was never set.
const A_YEAR_AGO: u64 = 1_735_689_600;
/// Clocks that are further apart show different times: those that are set over the network differ by a tenth of a second at
/// most.
const CLOCKS_APART: Duration = Duration::from_secs(2);
/// How all versions of this program call themselves.
const OURS: &str = "p2p/";

/// A tracker that has answered.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Seen {
    pub(super) address: String,
    /// Program and version, as it says.
    software: String,
    peers: u32,
    connected: Duration,
    answered: Duration,
    /// Seconds that its clock is ahead of this machine's, if its answer was as long under way as the question.
    ahead: f64,
}

impl Seen {
    fn ask(address: &str) -> Result<Seen, String> {
        let start = Instant::now();
        let mut tracker = Tracker::connect(address)?;
        let connected = start.elapsed();
        let (start, asked) = (Instant::now(), since_1970());
        let status = tracker.status().map_err(|failure| failure.to_string())?;
        let answered = start.elapsed();
        let shows = Duration::from_millis(status.clock_ms);
        Ok(Seen {
            address: address.to_owned(),
            software: shown(tracker.software()),
            peers: status.peers,
            connected,
            answered,
            ahead: shows.as_secs_f64() - (asked + answered / 2).as_secs_f64(),
        })
    }

    fn says(&self) -> String {
        format!(
            "{} answers in {}, after {} to connect; it knows {}",
            self.address,
            elapsed(self.answered),
            elapsed(self.connected),
            count(u64::from(self.peers), "peer")
        )
    }

    /// As much as `ahead` may be wrong.
    fn within(&self) -> f64 {
        self.answered.as_secs_f64() / 2.0
    }
}

/// Each tracker, and each that is one with it: whether its name means something, whether it answers, as what, and how far it is.
pub(super) fn trackers(named: &[String]) -> (Vec<Check>, Vec<Seen>) {
    let (mut checks, mut seen) = (Vec::new(), Vec::new());
    let mut ask = |all: &[String]| {
        for (address, answer) in ask_each(all, &Wait::new(Patience::For(PATIENCE)), Seen::ask) {
            match answer {
                Ok(tracker) => {
                    checks.push(Check::ok("tracker", tracker.says()));
                    seen.push(tracker);
                }
                Err(why) => checks.push(Check::fail(
                    "tracker",
                    format!("{address}: {why}"),
                    "start it (`p2p tracker`), name another (--tracker, P2P_TRACKER), or open the way to its port",
                )),
            }
        }
    };
    ask(named);
    // What they are one with, they have said by now.
    let all = known::clusters(named, &swarm::keyring().unwrap_or_default()).into_iter().flatten();
    let others: Vec<String> = all.filter(|address| !named.contains(address)).collect();
    if !others.is_empty() {
        ask(&others);
    }
    (checks, seen)
}

/// What this machine's clock shows, beside those of trackers.
pub(super) fn clock(seen: &[Seen]) -> Check {
    let since = since_1970();
    let now = humantime::format_rfc3339_seconds(UNIX_EPOCH + since).to_string();
    if since.as_secs() < A_YEAR_AGO {
        return Check::warn("clock", now, "set it: times of files and logs are wrong");
    }
    compared(now, seen)
}

/// The same: which of them is off, and by how much. More than half of all, this machine's among them, know what time it is.
fn compared(now: String, seen: &[Seen]) -> Check {
    let apart = |one: f64, other: f64, within: f64| (one - other).abs() > CLOCKS_APART.as_secs_f64() + within;
    let off: Vec<&Seen> = seen.iter().filter(|one| apart(one.ahead, 0.0, one.within())).collect();
    let agree = |one: &&&Seen| {
        let like = |other: &&&Seen| !apart(one.ahead, other.ahead, one.within() + other.within());
        off.iter().filter(like).count()
    };
    let against = off.iter().map(|one| agree(&one)).max().unwrap_or(0);
    let (of_this, all) = (1 + seen.len() - off.len(), 1 + seen.len());
    let others = seen.iter().map(|one| Other {
        who: format!("tracker {}", one.address),
        ahead_ms: Some((one.ahead * 1000.0).round() as i64),
        software: None,
    });
    let others = others.collect();
    if off.is_empty() {
        let with = match seen.len() {
            0 => String::new(),
            1 => "; so says 1 tracker".to_owned(),
            trackers => format!("; so say {trackers} trackers"),
        };
        return Check::ok("clock", format!("{now}{with}")).beside(others);
    }
    let by = |one: &&Seen| {
        let time = elapsed(Duration::from_secs_f64(one.ahead.abs()));
        format!(
            "that of tracker {} is {time} {}",
            one.address,
            if one.ahead > 0.0 { "ahead" } else { "behind" }
        )
    };
    let says = format!("{now}; {}", off.iter().map(by).collect::<Vec<_>>().join(", "));
    let remedy = if against * 2 > all {
        "set this machine's clock: most others agree on another time"
    } else if of_this * 2 > all {
        "set the clock of that tracker's machine: most others agree with this one; versions and invites go by trackers' clocks"
    } else {
        "set whichever is wrong: versions and invites go by trackers' clocks, times of files by this one"
    };
    Check::warn("clock", says, remedy).beside(others)
}

/// Which versions of the program trackers run, and the agents of the nodes that they know of; none if nobody says.
pub(super) fn versions(seen: &[Seen]) -> Option<Check> {
    let trackers = seen.iter().map(|one| (format!("tracker {}", one.address), one.software.clone()));
    let addresses: Vec<String> = seen.iter().map(|one| one.address.clone()).collect();
    let nodes = match addresses.is_empty() {
        true => Vec::new(),
        // Who leads them may be away: then nobody says, and that is seen elsewhere.
        false => {
            nodes::all(&mut Client::new(&addresses, Patience::For(Duration::ZERO))).unwrap_or_default().0
        }
    };
    let nodes = nodes.iter().map(|node| (format!("node {}", shown(&node.name)), shown(&node.software)));
    let all: Vec<(String, String)> = trackers.chain(nodes).filter(|(_, runs)| !runs.is_empty()).collect();
    (!all.is_empty()).then(|| told(SOFTWARE, all))
}

/// Whether all run the same as this.
fn told(own: &str, all: Vec<(String, String)>) -> Check {
    let differ = all.iter().filter(|(_, runs)| runs != own);
    let differing: Vec<String> = differ.clone().map(|(who, runs)| format!("{who} runs {runs}")).collect();
    let is_another = differ.clone().any(|(_, runs)| runs.starts_with(OURS));
    let says = match differing.is_empty() {
        true => format!("{own} here and at {}", count(all.len() as u64, "other")),
        false => format!("{own}; {}", differing.join(", ")),
    };
    let other = |(who, software)| Other { who, ahead_ms: None, software: Some(software) };
    let others = all.into_iter().map(other).collect();
    let remedy = "bring them to one version: what only the newer know, the others cannot do";
    Check::unless(is_another, "versions", says, remedy).beside(others)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::ask::doctor::check::Verdict;

    /// A tracker that is so many seconds ahead, and took a tenth of one to answer.
    fn seen(address: &str, ahead: f64) -> Seen {
        Seen {
            address: address.to_owned(),
            software: SOFTWARE.to_owned(),
            peers: 0,
            connected: Duration::ZERO,
            answered: Duration::from_millis(100),
            ahead,
        }
    }

    #[track_caller]
    fn holds(all: &[Seen], verdict: Verdict, says: &str, remedy: &str) {
        let check = compared("now".to_owned(), all);
        assert_eq!((check.verdict, &*check.says), (verdict, says));
        let told = check.line();
        assert!(told.contains(remedy), "{told}");
    }

    #[test]
    fn a_clock_that_is_off_is_named_with_by_how_much() {
        holds(&[], Verdict::Ok, "now", "");
        holds(&[seen("a", 2.0), seen("b", -1.9)], Verdict::Ok, "now; so say 2 trackers", "");
        let (off, behind) = (seen("a", 12.0), seen("b", -90.0));
        holds(
            std::slice::from_ref(&off),
            Verdict::Warn,
            "now; that of tracker a is 12.0 s ahead",
            "whichever is wrong",
        );
        let one = [off.clone(), seen("b", 0.0)];
        holds(&one, Verdict::Warn, "now; that of tracker a is 12.0 s ahead", "that tracker's machine");
        let all = [off.clone(), seen("b", 12.5)];
        let says = "now; that of tracker a is 12.0 s ahead, that of tracker b is 12.5 s ahead";
        holds(&all, Verdict::Warn, says, "this machine's clock");
        let says = "now; that of tracker a is 12.0 s ahead, that of tracker b is 90.0 s behind";
        holds(&[off, behind], Verdict::Warn, says, "whichever is wrong");
    }

    #[test]
    fn what_an_answer_took_is_no_difference_of_clocks() {
        let slow = Seen { answered: Duration::from_secs(4), ..seen("a", 3.9) };
        holds(&[slow], Verdict::Ok, "now; so says 1 tracker", "");
    }

    #[test]
    fn another_version_of_the_program_is_named_and_another_program_is_nothing_wrong() {
        let of = |all: &[(&str, &str)]| {
            let all = all.iter().map(|(who, runs)| ((*who).to_owned(), (*runs).to_owned()));
            told("p2p/2", all.collect())
        };
        let check = of(&[("tracker a", "p2p/2"), ("node b", "p2p/2")]);
        assert_eq!((check.verdict, &*check.says), (Verdict::Ok, "p2p/2 here and at 2 others"));
        let check = of(&[("tracker a", "p2p/1"), ("node b", "p2p/2")]);
        assert_eq!((check.verdict, &*check.says), (Verdict::Warn, "p2p/2; tracker a runs p2p/1"));
        let check = of(&[("tracker a", "other/1")]);
        assert_eq!((check.verdict, &*check.says), (Verdict::Ok, "p2p/2; tracker a runs other/1"));
        let json = serde_json::to_value(&check).unwrap();
        assert_eq!(json["others"], serde_json::json!([{"who": "tracker a", "software": "other/1"}]));
    }
}
