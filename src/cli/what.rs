//! WHAT: the ways to say which content is meant, and who has it according to the trackers.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::args::DEFAULT_TRACKER;
use super::failure::{net_reason, reason};
use super::swarm::{self, Tracker, Wait};
use super::units::{Patience, count, shown};
use super::{Exit, Failure};
use crate::content::{Descriptor, FileId, Link, SafeName};
use crate::net::NetError;
use crate::wire::Variant;

/// Before a text that is a name, whatever it looks like.
const NAME: &str = "name:";
/// What a link begins with.
const LINK: &str = "p2p:";
/// Before a text that is an id.
const ID: &str = "id:";

/// A tracker younger than this may not have heard of everybody yet.
const SETTLING: Duration = Duration::from_secs(5);

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    /// By name.
    Name(SafeName),
    /// By id.
    Id(FileId),
    /// By link or descriptor, which say that somebody has it and may name trackers.
    Link(Link),
}

impl What {
    /// Understands WHAT: what is said to be a name or an id, a link, an id, a descriptor file, or else a name.
    pub(super) fn parse(text: &str) -> Result<What, Failure> {
        if let Some(name) = text.strip_prefix(NAME) {
            return SafeName::new(name)
                .map(What::Name)
                .map_err(|error| Failure::usage(format!("`{}` is no name: {error}", shown(name))));
        }
        if let Some(id) = text.strip_prefix(ID) {
            return id.parse().map(What::Id).map_err(|_| {
                Failure::usage(format!("`{}` is no id, which has 64 hexadecimal digits", shown(id)))
            });
        }
        if text.starts_with(LINK) {
            let link = text.parse();
            return link
                .map(What::Link)
                .map_err(|error| Failure::usage(format!("`{}` is not a link: {error}", shown(text))));
        }
        if let Ok(id) = text.parse() {
            return Ok(What::Id(id));
        }
        let path = Path::new(text);
        if path.extension().is_some_and(|extension| extension == Descriptor::EXTENSION) && path.is_file() {
            return descriptor(path).map(What::Link);
        }
        SafeName::new(text).map(What::Name).map_err(|error| {
            Failure::usage(format!(
                "`{}` is no name: {error}; give a name, an id, a p2p: link or a NAME.p2p file",
                shown(text)
            ))
        })
    }

    /// The link's trackers, then those of the configuration; the default only if there is no other.
    pub(super) fn trackers(&self, configured: &[String]) -> Vec<String> {
        let mut all = match self {
            What::Link(link) => link.trackers.clone(),
            _ => Vec::new(),
        };
        if !all.is_empty() && configured == [DEFAULT_TRACKER] {
            return all;
        }
        for tracker in configured {
            if !all.contains(tracker) {
                all.push(tracker.clone());
            }
        }
        all
    }

    /// How it is called in sentences.
    pub(super) fn label(&self) -> String {
        match self {
            What::Name(name) => name.to_string(),
            What::Id(id) => id.to_string(),
            What::Link(link) => link.name.as_ref().map_or_else(|| link.id.to_string(), ToString::to_string),
        }
    }

    /// Bytes of all its files, where a link says so.
    pub(super) fn size(&self) -> Option<u64> {
        match self {
            What::Link(link) => link.size,
            What::Name(_) | What::Id(_) => None,
        }
    }

    /// True if the variant has the size that is wanted: nothing else is tried.
    fn has_size(&self, variant: &Variant) -> bool {
        let total = if variant.name.ends_with('/') { variant.total } else { variant.size };
        self.size().is_none_or(|size| size == total)
    }

    fn ask(&self, tracker: &mut Tracker) -> Result<(Vec<Variant>, Vec<String>), Failure> {
        let located = match self {
            What::Id(id) | What::Link(Link { id, .. }) => tracker.locate("", *id)?,
            What::Name(name) => tracker.locate(name.as_str(), FileId::NONE)?,
        };
        if let (What::Name(name), true) = (self, located.variants.is_empty()) {
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
}

/// A name as it can be typed: with `name:` before it if it looks like something else.
pub(super) fn typed(name: &str) -> String {
    let looks_otherwise = [NAME, ID, LINK].iter().any(|start| name.starts_with(start))
        || name.parse::<FileId>().is_ok()
        || Path::new(name).extension().is_some_and(|extension| extension == Descriptor::EXTENSION);
    format!("{}{}", if looks_otherwise { NAME } else { "" }, shown(name))
}

fn descriptor(path: &Path) -> Result<Link, Failure> {
    let failed = |what: String| Failure::usage(format!("`{}` is not a descriptor: {what}", path.display()));
    let mut text = String::new();
    let read =
        File::open(path).and_then(|file| file.take(Descriptor::MAX_BYTES + 1).read_to_string(&mut text));
    match read {
        Ok(bytes) if bytes as u64 > Descriptor::MAX_BYTES => Err(failed("it is too large".into())),
        Ok(_) => Descriptor::parse(&text).map_err(|error| failed(error.to_string())),
        Err(error) => Err(failed(reason(&error))),
    }
}

/// Every content that WHAT stands for, with who has it: at least one. Tries every tracker, and again for
/// as long as patience lasts, if there is a reason to hope.
pub(super) fn resolve(
    what: &What,
    configured: &[String],
    patience: Patience,
) -> Result<Vec<Variant>, Failure> {
    let trackers = what.trackers(configured);
    let mut wait = Wait::new(patience);
    loop {
        let (failure, why, hope) = match ask_all(what, &trackers, &wait) {
            Round::Found(variants) => return Ok(variants),
            Round::Nobody(failures) => (swarm::nobody(&failures), format!("no tracker at {failures}"), true),
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
    for (address, answer) in swarm::ask_each(trackers, wait, move |address| ask_one(&asked, address)) {
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
    let (mut variants, near) = what.ask(&mut tracker).map_err(|failure| failure.to_string())?;
    variants.retain(Variant::is_possible);
    let uptime = match variants.is_empty() {
        true => tracker.status().map_or(SETTLING, |status| Duration::from_millis(status.uptime_ms)),
        false => SETTLING,
    };
    Ok((variants, near, uptime))
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

    #[test]
    fn what_can_be_said_in_many_ways() {
        let id = FileId::of(b"x");
        assert_eq!(What::parse(&id.to_string()).unwrap(), What::Id(id));
        assert!(matches!(What::parse(&format!("p2p:{id}")).unwrap(), What::Link(link) if link.id == id));
        assert!(matches!(What::parse("photos/").unwrap(), What::Name(name) if name.is_tree()));
        for bad in ["", "../x", "/etc", "p2p:12", "./photos"] {
            assert_eq!(What::parse(bad).unwrap_err().exit, Exit::Usage, "{bad:?}");
        }
    }

    #[test]
    fn a_name_can_look_like_anything() {
        let id = FileId::of(b"x").to_string();
        assert_eq!(What::parse(&format!("id:{id}")).unwrap(), What::Id(FileId::of(b"x")));
        assert_eq!(What::parse("id:x").unwrap_err().exit, Exit::Usage);
        assert_eq!(What::parse("name:../x").unwrap_err().exit, Exit::Usage);
        for name in [&*id, "p2p:x", "name:x", "id:x", "x.p2p"] {
            let what = What::parse(&typed(name)).unwrap();
            assert_eq!(what, What::Name(SafeName::new(name).unwrap()), "{name}");
            assert_ne!(typed(name), name);
        }
        assert_eq!(typed("photos/a"), "photos/a");
    }

    #[test]
    fn a_links_trackers_come_first_and_once() {
        let link = format!("p2p:{}?tracker=a:1&tracker=b:2", FileId::of(b"x"));
        let what = What::parse(&link).unwrap();
        assert_eq!(what.trackers(&["b:2".into(), "c:3".into()]), ["a:1", "b:2", "c:3"]);
        assert_eq!(what.trackers(&[DEFAULT_TRACKER.into()]), ["a:1", "b:2"]);
    }
}
