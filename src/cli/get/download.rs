//! `p2p download`: a version that stores keep, or a part of one, by the engine of `get`.

use super::fetchers::Fetchers;
use super::found::Found;
use super::listing;
use crate::cli::failure::Failure;
use crate::cli::reach::client::Client;
use crate::cli::reach::locate;
use crate::cli::run::signals::Stop;
use crate::cli::typed::args::GetArgs;
use crate::cli::typed::what::What;
use crate::content::{Link, SafeName, Tree, TreeKind, shown};
use crate::wire::{FromTracker, Message, Name, Resolve, Version};

/// What was typed: `NAME[@VERSION][/PATH/INSIDE]`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sought {
    /// All of it but for the version and what is behind that.
    name: String,
    /// 0 for the latest.
    number: u32,
    /// What is behind the version.
    inside: Option<String>,
}

/// What is published as that.
#[derive(Debug)]
struct Published {
    /// The name that it is published under.
    name: SafeName,
    version: Version,
    /// What of it is wanted, if not all.
    inside: Option<SafeName>,
}

impl Sought {
    /// Understands it: the last `@` before a number that ends there, or at a `/`, says which version.
    fn parse(text: &str) -> Sought {
        let numbered = text.rmatch_indices('@').find_map(|(at, _)| {
            let behind = &text[at + 1..];
            let digits = behind.find(|c: char| !c.is_ascii_digit()).unwrap_or(behind.len());
            let number: u32 = behind[..digits].parse().ok().filter(|number| *number > 0)?;
            let rest = &behind[digits..];
            (rest.is_empty() || rest.starts_with('/')).then(|| (at, number, rest.trim_start_matches('/')))
        });
        match numbered {
            Some((at, number, inside)) => {
                let inside = Some(inside.to_owned()).filter(|inside| !inside.is_empty());
                Sought { name: text[..at].to_owned(), number, inside }
            }
            None => Sought { name: text.to_owned(), number: 0, inside: None },
        }
    }

    /// The names that may be meant, with what is then meant of them, the likeliest first: the whole text, as a file and
    /// as a folder, and each folder that it could lead into.
    fn readings(&self) -> Vec<(String, Option<String>)> {
        let whole = self.name.trim_end_matches('/');
        let folder = (format!("{whole}/"), self.inside.clone());
        let file = (whole.to_owned(), None);
        if self.inside.is_some() {
            return vec![folder];
        }
        let both = if self.name.ends_with('/') { vec![folder] } else { vec![file, folder] };
        let within = whole
            .rmatch_indices('/')
            .map(|(at, _)| (format!("{}/", &whole[..at]), Some(self.name[at + 1..].to_owned())));
        both.into_iter().chain(within.filter(|_| self.number == 0)).collect()
    }
}

/// Everything that is meant by these texts, as it is published.
pub(super) fn all(
    args: &GetArgs,
    texts: &[String],
    stop: &Stop,
    fetchers: &mut Fetchers<'_>,
) -> Result<Vec<Found>, Failure> {
    if let (Some(_), ..) | (_, true, _) | (.., true) = (&args.from, args.newest, args.union) {
        return Err(Failure::usage(
            "a published name has one latest version: --from, --newest and --union are for `get`",
        ));
    }
    let trackers = &args.trackers.trackers;
    let one = |text: &String| {
        let published = resolve(text, args)?;
        let variants = locate::resolve(&What::Link(published.link()), trackers, args.wait)?;
        let part = match &published.inside {
            Some(_) => {
                let peer = fetchers.asking(trackers.clone())?;
                let tree = listing::fetch(peer, published.version.id, stop, args.wait)?;
                Some(published.part_of(&tree)?)
            }
            None => None,
        };
        let what = What::Name(published.name);
        Ok(Found { label: text.clone(), what, kinds: vec![variants], part })
    };
    texts.iter().map(one).collect()
}

/// What is published as what was typed.
fn resolve(text: &str, args: &GetArgs) -> Result<Published, Failure> {
    let sought = Sought::parse(text);
    let mut client = Client::new(&args.trackers.trackers, args.wait);
    for (name, inside) in sought.readings() {
        let Ok(name) = SafeName::new(name) else { continue };
        let question = Resolve { name: Name::new(name.as_str()), number: sought.number };
        let found = match client.ask(&question.into())? {
            FromTracker::Resolved(resolved) => resolved.versions.into_vec().pop(),
            other => return Err(Failure::other(format!("the tracker answered with {}", other.label()))),
        };
        if let Some(version) = found {
            let inside = inside.map(SafeName::new).transpose();
            let inside = inside.map_err(|error| {
                Failure::usage(format!("what is asked for of {name} is no path: {error}"))
            })?;
            return Ok(Published { name, version, inside });
        }
    }
    let name = shown(&sought.name);
    Err(Failure::not_found(match sought.number {
        0 => format!("nothing is published as {name}; `p2p ls` lists what there is"),
        number => format!("there is no version {number} of {name}; `p2p versions {name}` lists them"),
    }))
}

impl Published {
    /// The same as a link.
    fn link(&self) -> Link {
        let Version { id, total, .. } = self.version;
        Link { id, name: Some(self.name.clone()), size: Some(total), trackers: Vec::new() }
    }

    /// The path of what is wanted of its listing; a folder's ends with `/`.
    fn part_of(&self, tree: &Tree) -> Result<SafeName, Failure> {
        let inside = self.inside.as_ref().map_or("", |inside| inside.path());
        let entry = tree.entries().iter().find(|entry| entry.path.path() == inside);
        let name = match entry.map(|entry| &entry.kind) {
            Some(TreeKind::Folder(_)) => format!("{inside}/"),
            Some(TreeKind::File { .. } | TreeKind::HardLink(_)) => inside.to_owned(),
            Some(TreeKind::Link(target)) => {
                return Err(Failure::usage(format!(
                    "{inside} is a link to {} in {}; ask for that, or for the folder that both are in",
                    shown(target),
                    self.name
                )));
            }
            None => String::new(),
        };
        let version = self.version.number;
        SafeName::new(name).map_err(|_| {
            Failure::not_found(format!("there is no {inside} in version {version} of {}", self.name))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sought(name: &str, number: u32, inside: Option<&str>) -> Sought {
        Sought { name: name.to_owned(), number, inside: inside.map(str::to_owned) }
    }

    #[test]
    fn a_version_is_a_number_behind_an_at_sign() {
        for (text, expected) in [
            ("a", sought("a", 0, None)),
            ("a/b/", sought("a/b/", 0, None)),
            ("a@3", sought("a", 3, None)),
            ("a/@3", sought("a/", 3, None)),
            ("a@3/b/c", sought("a", 3, Some("b/c"))),
            ("a@3/", sought("a", 3, None)),
            ("a@3/b@4", sought("a@3/b", 4, None)),
            ("me@home", sought("me@home", 0, None)),
            ("me@home@12", sought("me@home", 12, None)),
            ("a@0", sought("a@0", 0, None)),
            ("a@3x", sought("a@3x", 0, None)),
            ("a@99999999999", sought("a@99999999999", 0, None)),
        ] {
            assert_eq!(Sought::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn a_path_may_lead_into_a_folder() {
        let readings = |text| -> Vec<String> {
            let said = |(name, inside): (String, Option<String>)| match inside {
                Some(inside) => format!("{name} {inside}"),
                None => name,
            };
            Sought::parse(text).readings().into_iter().map(said).collect()
        };
        assert_eq!(readings("a"), ["a", "a/"]);
        assert_eq!(readings("a/"), ["a/"]);
        assert_eq!(readings("a/b/c"), ["a/b/c", "a/b/c/", "a/b/ c", "a/ b/c"]);
        assert_eq!(readings("a/b/"), ["a/b/", "a/ b/"]);
        assert_eq!(readings("a@2"), ["a", "a/"]);
        assert_eq!(readings("a@2/b/c"), ["a/ b/c"]);
    }
}
