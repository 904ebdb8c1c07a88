//! Who has what is meant, according to the trackers.

use std::sync::Arc;
use std::time::Duration;

use crate::api::Exit;
use crate::cli::failure::Failure;
use crate::cli::reach::tracker::{self, Tracker, Wait};
use crate::cli::show::words::{count, shown};
use crate::cli::typed::values::Patience;
use crate::cli::typed::what::What;
use crate::content::{FileId, Link};
use crate::wire::Variant;

/// A tracker younger than this may not have heard of everybody yet.
const SETTLING: Duration = Duration::from_secs(5);

/// Every content that WHAT stands for, with who has it: at least one. Tries every tracker, and again for
/// as long as patience lasts, if there is a reason to hope.
pub(crate) fn resolve(
    what: &What,
    configured: &[String],
    patience: Patience,
) -> Result<Vec<Variant>, Failure> {
    let trackers = what.trackers(configured);
    let mut wait = Wait::new(patience);
    loop {
        let (failure, why, hope) = match ask_all(what, &trackers, &wait) {
            Round::Found(variants) => return Ok(variants),
            Round::Nobody(failures) => {
                (tracker::nobody(&failures), format!("no tracker at {failures}"), true)
            }
            Round::NotFound { near, settled, others } => {
                let why = match is_link(what) {
                    true if others => other_sizes(what),
                    true => format!("nobody who has {} is there", what.label()),
                    false => {
                        format!("the tracker has just started and knows nobody who has {}", what.label())
                    }
                };
                let failure = if others {
                    Failure::new(Exit::Unreachable, why.clone())
                } else {
                    not_found(what, &near)
                };
                (failure, why, !settled || is_link(what))
            }
        };
        if !hope || !wait.again(&why) {
            return Err(failure);
        }
    }
}

/// What all trackers together say.
#[derive(Debug, PartialEq, Eq)]
enum Round {
    Found(Vec<Variant>),
    NotFound {
        near: Vec<String>,
        /// False if a tracker has just started, and may hear of it yet.
        settled: bool,
        /// True if some claim it with another size than the one wanted.
        others: bool,
    },
    /// No tracker answered: what was wrong with each.
    Nobody(String),
}

/// What one tracker says.
#[derive(Debug, Default)]
struct Said {
    /// What it has of what is meant.
    variants: Vec<Variant>,
    /// What is called nearly so.
    near: Vec<String>,
    /// For how long it has been up, as far as that matters.
    uptime: Duration,
}

fn ask_all(what: &What, trackers: &[String], wait: &Wait) -> Round {
    let asked = Arc::new(what.clone());
    judge(what, tracker::ask_each(trackers, wait, move |address| ask_one(&asked, address)))
}

/// What the answers of several trackers come to; the first that has what is meant is enough.
fn judge(what: &What, answers: impl Iterator<Item = (String, Result<Said, String>)>) -> Round {
    let mut failures = Vec::new();
    let mut answered = false;
    let mut settled = true;
    let mut near = Vec::new();
    let mut others = false;
    for (address, answer) in answers {
        match answer {
            Ok(Said { variants, .. }) if variants.iter().any(|variant| what.has_size(variant)) => {
                return Round::Found(variants.into_iter().filter(|variant| what.has_size(variant)).collect());
            }
            Ok(said) => {
                answered = true;
                others |= !said.variants.is_empty();
                near.extend(said.near);
                settled &= said.uptime >= SETTLING;
            }
            Err(reason) => failures.push(format!("{address} ({reason})")),
        }
    }
    if answered { Round::NotFound { near, settled, others } } else { Round::Nobody(failures.join(", ")) }
}

/// Asks one tracker.
fn ask_one(what: &What, address: &str) -> Result<Said, String> {
    let mut tracker = Tracker::connect(address)?;
    let (mut variants, near) = ask(what, &mut tracker).map_err(|failure| failure.to_string())?;
    variants.retain(Variant::is_possible);
    let uptime = if variants.is_empty() {
        tracker.status().map_or(SETTLING, |status| Duration::from_millis(status.uptime_ms))
    } else {
        SETTLING
    };
    Ok(Said { variants, near, uptime })
}

/// The contents that one tracker has, or else what is called nearly so.
fn ask(what: &What, tracker: &mut Tracker) -> Result<(Vec<Variant>, Vec<String>), Failure> {
    let located = match what {
        What::Id(id) | What::Link(Link { id, .. }) => tracker.locate("", *id)?,
        What::Name(name) => tracker.locate(name.as_str(), FileId::NONE)?,
    };
    if let (What::Name(name), true) = (what, located.variants.is_empty()) {
        // `photos` for `photos/`: what people type.
        if !name.is_tree() {
            let folder = tracker.locate(&format!("{name}/", name = name.as_str()), FileId::NONE)?;
            if !folder.variants.is_empty() {
                return Ok((folder.variants.into_vec(), Vec::new()));
            }
        }
    }
    let near = located.near.iter().map(|name| shown(name)).collect();
    Ok((located.variants.into_vec(), near))
}

fn other_sizes(what: &What) -> String {
    let wanted = what.size().map_or_else(String::new, |size| format!(" of {}", count(size, "byte")));
    format!(
        "{} is offered, but not with the size{wanted} that the link says; nothing else is tried",
        what.label()
    )
}

fn is_link(what: &What) -> bool {
    matches!(what, What::Link(_))
}

fn not_found(what: &What, near: &[String]) -> Failure {
    if is_link(what) {
        return Failure::new(
            Exit::Unreachable,
            format!(
                "nobody who has {} can be reached now; try again later, or with --wait forever",
                what.label()
            ),
        );
    }
    let hint = match near {
        [] => "`p2p ls` lists what there is".to_owned(),
        near => format!("did you mean {}?", near.join(", ")),
    };
    Failure::not_found(format!("nobody shares {}; {hint}", what.label()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::SafeName;
    use crate::wire::{List, Name};

    fn variant(total: u64) -> Variant {
        Variant {
            name: Name::new("a"),
            id: FileId::of(b"x"),
            size: total,
            total,
            chunks: 1,
            seeders: 1,
            leechers: 0,
            original: true,
            agreed: true,
            modified: 0,
            holders: List::default(),
        }
    }

    fn has(totals: &[u64]) -> Result<Said, String> {
        Ok(Said { variants: totals.iter().copied().map(variant).collect(), ..Said::default() })
    }

    fn lacks(near: &str, uptime: Duration) -> Result<Said, String> {
        Ok(Said { near: vec![near.to_owned()], uptime, ..Said::default() })
    }

    fn judged(what: &What, answers: Vec<Result<Said, String>>) -> Round {
        judge(what, answers.into_iter().enumerate().map(|(place, answer)| (format!("t{place}"), answer)))
    }

    fn named() -> What {
        What::Name(SafeName::new("a").unwrap())
    }

    fn link(size: u64) -> What {
        What::Link(format!("p2p:{}?size={size}", FileId::of(b"x")).parse().unwrap())
    }

    #[test]
    fn the_first_tracker_that_has_it_is_enough() {
        let answers = vec![Err("refused".to_owned()), lacks("b", SETTLING), has(&[1, 2]), has(&[3])];
        assert_eq!(judged(&named(), answers), Round::Found(vec![variant(1), variant(2)]));
    }

    #[test]
    fn only_the_size_that_a_link_names_is_it() {
        assert_eq!(judged(&link(2), vec![has(&[1, 2])]), Round::Found(vec![variant(2)]));
        let others = Round::NotFound { near: Vec::new(), settled: false, others: true };
        assert_eq!(judged(&link(2), vec![has(&[1])]), others);
    }

    #[test]
    fn one_tracker_that_has_just_started_gives_hope() {
        let round =
            |young| judged(&named(), vec![lacks("b", SETTLING), lacks("c", young), Err(String::new())]);
        let near = || vec!["b".to_owned(), "c".to_owned()];
        let just_short = SETTLING - Duration::from_nanos(1);
        assert_eq!(round(SETTLING), Round::NotFound { near: near(), settled: true, others: false });
        assert_eq!(round(just_short), Round::NotFound { near: near(), settled: false, others: false });
    }

    #[test]
    fn what_was_wrong_with_each_is_said_if_none_answers() {
        let answers = vec![Err("refused".to_owned()), Err("timed out".to_owned())];
        assert_eq!(judged(&named(), answers), Round::Nobody("t0 (refused), t1 (timed out)".to_owned()));
    }

    #[test]
    fn who_says_that_somebody_has_it_is_told_that_nobody_is_there() {
        let failure = not_found(&link(2), &[]);
        assert_eq!(failure.exit, Exit::Unreachable);
        assert!(failure.to_string().contains("--wait forever"), "{failure}");
        let failure = not_found(&named(), &["b".to_owned(), "c".to_owned()]);
        assert_eq!(failure.exit, Exit::NotFound);
        assert_eq!(failure.to_string(), "nobody shares a; did you mean b, c?");
        assert_eq!(not_found(&named(), &[]).to_string(), "nobody shares a; `p2p ls` lists what there is");
        assert!(other_sizes(&link(2)).contains("not with the size of 2 bytes"));
    }
}
