//! `p2p download`: a version that stores keep, or a part of one, by the engine of `get`.

use super::fetchers::Fetchers;
use super::found::Found;
use super::listing;
use crate::cli::failure::Failure;
use crate::cli::reach::client::Client;
use crate::cli::reach::locate;
use crate::cli::run::signals::Stop;
use crate::cli::typed::args::GetArgs;
use crate::cli::typed::sought::Sought;
use crate::cli::typed::what::What;
use crate::content::{Link, SafeName, Tree, TreeKind, shown};
use crate::wire::Version;

/// What is published as that.
#[derive(Debug)]
struct Published {
    /// The name that it is published under.
    name: SafeName,
    version: Version,
    /// What of it is wanted, if not all.
    inside: Option<SafeName>,
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
            Some(inside) if !args.filter().is_open() => {
                return Err(Failure::usage(format!(
                    "--include and --exclude choose from all of {}, not from {inside} in it",
                    published.name
                )));
            }
            Some(_) => {
                let peer = fetchers.asking(trackers.clone())?;
                let tree = listing::fetch(peer, published.version.id, stop, args.wait)?;
                Some(published.part_of(&tree)?)
            }
            None => None,
        };
        Ok(Found { label: text.clone(), what: What::Name(published.name), kinds: vec![variants], part })
    };
    texts.iter().map(one).collect()
}

/// What is published as what was typed.
fn resolve(text: &str, args: &GetArgs) -> Result<Published, Failure> {
    let sought = Sought::parse(text);
    let mut client = Client::new(&args.trackers.trackers, args.wait);
    for (name, inside) in sought.readings() {
        let Ok(name) = SafeName::new(name) else { continue };
        if let Some(version) = client.resolve(&name, sought.number)? {
            let inside = inside.map(SafeName::new).transpose();
            let inside = inside.map_err(|error| {
                Failure::usage(format!("what is asked for of {name} is no path: {error}"))
            })?;
            return Ok(Published { name, version, inside });
        }
    }
    Err(sought.nothing())
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
