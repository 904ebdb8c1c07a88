//! Who has what is meant, according to the trackers.

use std::sync::Arc;
use std::time::Duration;

use crate::api::Exit;
use crate::cli::failure::{Failure, net_reason};
use crate::cli::reach::tracker::{self, Tracker, Wait};
use crate::cli::show::words::{count, shown};
use crate::cli::typed::values::Patience;
use crate::cli::typed::what::What;
use crate::content::{FileId, Link};
use crate::net::NetError;
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
                let failure = match others {
                    true => Failure::new(Exit::Unreachable, why.clone()),
                    false => not_found(what, &near),
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

fn ask_all(what: &What, trackers: &[String], wait: &Wait) -> Round {
    let mut failures = Vec::new();
    let mut settled = true;
    let mut near = Vec::new();
    let mut others = false;
    let what = Arc::new(what.clone());
    let asked = what.clone();
    for (address, answer) in tracker::ask_each(trackers, wait, move |address| ask_one(&asked, address)) {
        match answer.unwrap_or_else(|| Err(NetError::TimedOut.to_string())) {
            Ok((variants, _, _)) if variants.iter().any(|variant| what.has_size(variant)) => {
                return Round::Found(variants.into_iter().filter(|variant| what.has_size(variant)).collect());
            }
            Ok((variants, similar, uptime)) => {
                others |= !variants.is_empty();
                near.extend(similar);
                settled &= uptime >= SETTLING;
            }
            Err(reason) => failures.push(format!("{address} ({reason})")),
        }
    }
    match failures.len() == trackers.len() {
        true => Round::Nobody(failures.join(", ")),
        false => Round::NotFound { near, settled, others },
    }
}

/// What one tracker has, what is called nearly so, and for how long the tracker has been up.
fn ask_one(what: &What, address: &str) -> Result<(Vec<Variant>, Vec<String>, Duration), String> {
    let mut tracker = Tracker::connect(address).map_err(|error| net_reason(&error))?;
    let (mut variants, near) = ask(what, &mut tracker).map_err(|failure| failure.to_string())?;
    variants.retain(Variant::is_possible);
    let uptime = match variants.is_empty() {
        true => tracker.status().map_or(SETTLING, |status| Duration::from_millis(status.uptime_ms)),
        false => SETTLING,
    };
    Ok((variants, near, uptime))
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
