//! Who has what is meant, according to the trackers.

use std::sync::Arc;
use std::time::Duration;

use crate::api::Exit;
use crate::cli::failure::Failure;
use crate::cli::reach::asking::{Answers, Wait, ask_or_others};
use crate::cli::reach::tracker::{self, Tracker};
use crate::cli::reach::young::Young;
use crate::cli::show::words::count;
use crate::cli::typed::values::Patience;
use crate::cli::typed::what::{What, typed};
use crate::content::{FileId, Link};
use crate::wire::{Holder, List, Variant};

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
                let never = tracker::never(&failures);
                let hope = never.is_none();
                let failure = never.unwrap_or_else(|| tracker::nobody(&failures));
                (failure, format!("no tracker at {failures}"), hope)
            }
            Round::NotFound { near, settled, young, others } => {
                let why = match is_link(what) {
                    true if others => other_sizes(what),
                    true => format!("nobody who has {} is there", what.label()),
                    false => {
                        format!("the tracker has just started and knows nobody who has {}", what.label())
                    }
                };
                let failure = match young {
                    _ if others => Failure::new(Exit::Unreachable, why.clone()),
                    Some(young) => young.failure(&format!("nobody is known who shares {}", what.label())),
                    None => not_found(what, &near),
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
        /// One that has come back, if one has: others have it more often than not.
        young: Option<Young>,
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
    /// It has nothing, and has just come back.
    young: Option<Young>,
}

fn ask_all(what: &What, trackers: &[String], wait: &Wait) -> Round {
    let asked = Arc::new(what.clone());
    let suffices = |said: &Said| said.young.is_none();
    let answers = ask_or_others(trackers, &[], wait, suffices, move |address| ask_one(&asked, address));
    judge(what, answers, Answers::hurry)
}

/// What the answers of several trackers come to. `hurry` is called once one of them has what is meant.
fn judge<I: Iterator<Item = (String, Result<Said, String>)>>(
    what: &What,
    mut answers: I,
    hurry: impl Fn(&mut I),
) -> Round {
    let mut found: Vec<Variant> = Vec::new();
    let mut failures = Vec::new();
    let mut answered = false;
    let (mut settled, mut young) = (true, None);
    let mut near = Vec::new();
    let mut others = false;
    while let Some((address, answer)) = answers.next() {
        match answer {
            Ok(Said { variants, .. }) if variants.iter().any(|variant| what.has_size(variant)) => {
                let variants = variants.into_iter().filter(|variant| what.has_size(variant));
                variants.for_each(|variant| merge(&mut found, variant));
                hurry(&mut answers);
            }
            Ok(said) => {
                answered = true;
                others |= !said.variants.is_empty();
                near.extend(said.near);
                settled &= said.uptime >= SETTLING;
                young = young.or(said.young);
            }
            Err(reason) => failures.push(format!("{address} ({reason})")),
        }
    }
    if !found.is_empty() {
        return Round::Found(found);
    }
    if answered {
        Round::NotFound { near, settled, young, others }
    } else {
        Round::Nobody(failures.join(", "))
    }
}

/// Adds what a tracker says to what others have said. What is another content under the same name stays another.
fn merge(found: &mut Vec<Variant>, variant: Variant) {
    let claim = |variant: &Variant| (variant.id, variant.size, variant.total, variant.chunks);
    let same = |known: &&mut Variant| known.name == variant.name && claim(known) == claim(&variant);
    let Some(known) = found.iter_mut().find(same) else { return found.push(variant) };
    let mut holders = std::mem::take(&mut known.holders).into_vec();
    let new = variant.holders.into_vec().into_iter();
    let known_as = |holders: &[Holder], peer| holders.iter().any(|holder: &Holder| holder.peer == peer);
    let new: Vec<Holder> = new.filter(|holder| !known_as(&holders, holder.peer)).collect();
    holders.extend(new);
    let whole = holders.iter().filter(|holder| holder.have >= variant.chunks).count() as u32;
    known.seeders = known.seeders.max(variant.seeders).max(whole);
    known.leechers = known.leechers.max(variant.leechers).max(holders.len() as u32 - whole);
    known.holders = List::new(holders);
    known.original |= variant.original;
    known.agreed &= variant.agreed;
    known.modified = known.modified.max(variant.modified);
}

/// Asks one tracker.
fn ask_one(what: &What, address: &str) -> Result<Said, String> {
    let mut tracker = Tracker::connect(address)?;
    let (mut variants, near) = ask(what, &mut tracker).map_err(|failure| failure.to_string())?;
    variants.retain(Variant::is_possible);
    let status = if variants.is_empty() { tracker.status().ok() } else { None };
    let uptime = status.as_ref().map_or(SETTLING, |status| Duration::from_millis(status.uptime_ms));
    let young = status.and_then(|status| Young::seen(address, &status));
    Ok(Said { variants, near, uptime, young })
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
    let near = located.near.iter().map(|name| typed(name)).collect();
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
    use crate::content::{PeerId, SafeName};
    use crate::wire::Label;

    fn variant(total: u64) -> Variant {
        Variant { size: total, total, ..Variant::sample("a") }
    }

    fn has(totals: &[u64]) -> Result<Said, String> {
        Ok(Said { variants: totals.iter().copied().map(variant).collect(), ..Said::default() })
    }

    fn lacks(near: &str, uptime: Duration) -> Result<Said, String> {
        Ok(Said { near: vec![near.to_owned()], uptime, ..Said::default() })
    }

    fn judged(what: &What, answers: Vec<Result<Said, String>>) -> Round {
        let answers = answers.into_iter().enumerate().map(|(place, answer)| (format!("t{place}"), answer));
        judge(what, answers, |_| {})
    }

    fn named() -> What {
        What::Name(SafeName::new("a").unwrap())
    }

    fn link(size: u64) -> What {
        What::Link(format!("p2p:{}?size={size}", FileId::of(b"x")).parse().unwrap())
    }

    #[test]
    fn what_all_trackers_say_is_put_together() {
        let answers = vec![Err("refused".to_owned()), lacks("b", SETTLING), has(&[1, 2]), has(&[2, 3])];
        assert_eq!(judged(&named(), answers), Round::Found(vec![variant(1), variant(2), variant(3)]));
    }

    #[test]
    fn holders_that_different_trackers_know_are_holders_of_one_content() {
        let holder = |number: u8, have| Holder {
            peer: PeerId([number; 16]),
            name: Label::default(),
            addresses: List::default(),
            have,
            uploads: 0,
            downloads: 0,
            original: false,
        };
        let with = |holders: Vec<Holder>, seeders, leechers| Variant {
            holders: List::new(holders),
            seeders,
            leechers,
            ..variant(1)
        };
        let mut found = vec![with(vec![holder(1, 1)], 1, 0)];
        merge(&mut found, with(vec![holder(1, 1), holder(2, 1), holder(3, 0)], 2, 1));
        assert_eq!(found, [with(vec![holder(1, 1), holder(2, 1), holder(3, 0)], 2, 1)]);
        merge(&mut found, Variant { id: FileId::of(b"y"), ..variant(1) });
        assert_eq!(found.len(), 2, "another content under the same name");
    }

    #[test]
    fn only_the_size_that_a_link_names_is_it() {
        assert_eq!(judged(&link(2), vec![has(&[1, 2])]), Round::Found(vec![variant(2)]));
        let others = Round::NotFound { near: Vec::new(), settled: false, young: None, others: true };
        assert_eq!(judged(&link(2), vec![has(&[1])]), others);
    }

    #[test]
    fn one_tracker_that_has_just_started_gives_hope() {
        let round =
            |young| judged(&named(), vec![lacks("b", SETTLING), lacks("c", young), Err(String::new())]);
        let near = || vec!["b".to_owned(), "c".to_owned()];
        let just_short = SETTLING - Duration::from_nanos(1);
        let not_found = |settled, young| Round::NotFound { near: near(), settled, young, others: false };
        assert_eq!(round(SETTLING), not_found(true, None));
        assert_eq!(round(just_short), not_found(false, None));
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
