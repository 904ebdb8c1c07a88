//! `p2p create`: the descriptor and link of a file or folder, without sharing it.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use crate::cli::failure::{Failure, reason};
use crate::cli::reach::daemon::Daemon;
use crate::cli::reach::locate;
use crate::cli::run::scan::Scan;
use crate::cli::run::scratch;
use crate::cli::run::share::link_name;
use crate::cli::run::signals::Stop;
use crate::cli::show::output;
use crate::cli::show::words::shown;
use crate::cli::typed::args::CreateArgs;
use crate::cli::typed::values::Patience;
use crate::cli::typed::what::What;
use crate::content::{Descriptor, FileId, Link, SafeName};
use crate::peer::PeerError;
use crate::peer::share::{self, Selection, Share};
use crate::say;
use crate::wire::Offer;

/// `create --json`
#[derive(Debug, Serialize)]
struct Line {
    name: String,
    id: String,
    /// Bytes of all files.
    size: u64,
    link: String,
    descriptor: PathBuf,
}

/// `p2p create PATH`
pub(crate) fn create(args: &CreateArgs) -> Result<(), Failure> {
    // A signal ends it at once, and leaves nothing behind.
    let _stop = Stop::install()?;
    let path = fs::canonicalize(&args.path)
        .map_err(|_| Failure::usage(format!("there is no file or folder {}", args.path.display())))?;
    let name = link_name(&path)?;
    let output = args.output.clone().unwrap_or_else(|| default_output(&name));
    let offer = describe(&path, &name, args.selection.of(&path)?)?;
    let trackers = args.trackers.trackers.clone();
    let link = Link { id: offer.id, name: Some(name), size: Some(offer.total), trackers };
    write(&output, &Descriptor::new(&link, offer.total).to_string(), args.force)?;
    let is_shared = is_shared_from(&path, link.id) || is_known(&link);
    report(&link, &offer.name, output, args.json)?;
    if !is_shared {
        say::note(&format!(
            "nobody shares it yet, and until somebody does the link leads nowhere: `p2p share {}` does",
            shown(&args.path.to_string_lossy())
        ));
    }
    Ok(())
}

/// True if a running peer of this machine has it in the folder that it lies in.
fn is_shared_from(path: &Path, id: FileId) -> bool {
    Daemon::around(path).is_some_and(|mut peer| peer.holds(id).is_ok_and(|name| name.is_some()))
}

/// True if a tracker that is there knows somebody who has it.
fn is_known(link: &Link) -> bool {
    let at_once = Patience::For(Duration::ZERO);
    !link.trackers.is_empty() && locate::resolve(&What::Link(link.clone()), &[], at_once).is_ok()
}

/// Hashes what is at `path` as if to share it, but leaves nothing beside it.
fn describe(path: &Path, name: &SafeName, selection: Selection) -> Result<Offer, Failure> {
    let scratch = scratch::folder()?;
    let config = share::Config {
        folder: path.to_owned(),
        prefix: name.is_tree().then(|| name.as_str().to_owned()),
        state: scratch.path().to_owned(),
        selection,
        watch: false,
        threads: 0,
    };
    let mut scan = Scan::new();
    let share = Share::open(config, &mut |progress| scan.tell(progress)).map_err(PeerError::from)?;
    let offer = share.offers().into_iter().find(|offer| *offer.name == *name.as_str());
    offer.ok_or_else(|| Failure::other(format!("{} cannot be read", path.display())))
}

fn default_output(name: &SafeName) -> PathBuf {
    PathBuf::from(format!("{}.{}", name.base(), Descriptor::EXTENSION))
}

fn write(path: &Path, text: &str, force: bool) -> Result<(), Failure> {
    let opened = OpenOptions::new().write(true).create(true).create_new(!force).truncate(true).open(path);
    opened.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            Failure::other(format!("{} exists; --force overwrites it, -o names another", path.display()))
        }
        _ => Failure::other(format!("cannot write {}: {}", path.display(), reason(&error))),
    })
}

fn report(link: &Link, name: &str, descriptor: PathBuf, json: bool) -> Result<(), Failure> {
    let line = Line {
        name: name.to_owned(),
        id: link.id.to_string(),
        size: link.size.unwrap_or(0),
        link: link.to_string(),
        descriptor,
    };
    output::answer(json, &line, || format!("wrote {}\n{link}", line.descriptor.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Exit;

    #[test]
    fn a_descriptor_is_called_after_what_it_describes_and_overwrites_nothing_unasked() {
        assert_eq!(default_output(&SafeName::new("a/photos/").unwrap()), Path::new("photos.p2p"));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.p2p");
        write(&path, "one, long", false).unwrap();
        let failure = write(&path, "two", false).unwrap_err();
        assert_eq!(failure.exit, Exit::Other);
        assert!(failure.to_string().contains("--force overwrites it"), "{failure}");
        write(&path, "two", true).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        assert!(write(&folder.path().join("none/a"), "", true).is_err());
    }
}
