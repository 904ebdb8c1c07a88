//! One content, from the moment it has been found.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::choice::Choice;
use super::fetchers::Fetchers;
use super::progress::Progress;
use super::summary::Summary;
use super::{dest, follow, part, union};
use crate::cli::failure::Failure;
use crate::cli::reach::daemon::{Daemon, went_away};
use crate::cli::run::signals::Stop;
use crate::cli::show::output;
use crate::cli::show::words::{shown, size};
use crate::cli::typed::args::GetArgs;
use crate::cli::typed::what::What;
use crate::peer::{Dest, Got, Want};
use crate::say;

/// All that is known once the content has been found.
pub(super) struct Job<'a> {
    pub(super) what: &'a What,
    pub(super) choice: Choice,
    pub(super) stop: &'a Stop,
    pub(super) args: &'a GetArgs,
    /// Where to, as it was typed.
    pub(super) dest: &'a Path,
    /// How long it took to find it.
    pub(super) waited: Duration,
}

/// A line of `get --dry-run --json`.
#[derive(Debug, Serialize)]
struct Would<'a> {
    would: Plan<'a>,
}

#[derive(Debug, Serialize)]
struct Plan<'a> {
    name: &'a str,
    ids: Vec<String>,
    /// Bytes of all its files, if that is known.
    size: Option<u64>,
    path: String,
}

impl Job<'_> {
    /// Where it goes, and the running peer that shares that place, if there is one; all that is in the way is said.
    pub(super) fn place(&self) -> Result<(PathBuf, Option<Daemon>), Failure> {
        let Choice { name, ids, note, by_strangers, .. } = &self.choice;
        if let Some(note) = note {
            say::note(note);
        }
        let path = dest::path(self.dest, name, ids)?;
        if *by_strangers && self.args.force && path != self.dest && path.exists() {
            return Err(Failure::usage(format!(
                "{} is there, and nobody here said that it may be replaced: those who share {} call it {name}; \
                 give it a name with --as, or name the file to make",
                path.display(),
                self.what.label(),
            )));
        }
        self.check_delete(&path)?;
        let daemon = Daemon::around(&path);
        if daemon.is_some() {
            self.check_handed_over(&path)?;
        }
        Ok((path, daemon))
    }

    /// Fetches all of it, or says that it would.
    pub(super) fn fetch(
        &self,
        path: &Path,
        daemon: Option<Daemon>,
        fetchers: &mut Fetchers<'_>,
    ) -> Result<Option<Summary>, Failure> {
        if self.args.dry_run {
            if self.choice.filter.is_open() {
                self.would(path)?;
            } else {
                let peer = fetchers.asking(self.trackers())?;
                part::would(peer, &self.choice, path, self.args, self.stop)?;
            }
            return Ok(None);
        }
        self.check_union(fetchers)?;
        self.stop.graceful();
        let mut summary = Summary::new(&self.choice.name, path);
        match daemon {
            Some(daemon) => self.hand_over(daemon, path, &mut summary)?,
            None => {
                for want in self.choice.wants() {
                    self.run(want, path, fetchers, &mut summary)?;
                }
            }
        }
        Ok(Some(summary))
    }

    /// Says what would be fetched.
    fn would(&self, path: &Path) -> Result<(), Failure> {
        let Choice { name, ids, bytes, .. } = &self.choice;
        let ids = ids.iter().map(ToString::to_string).collect();
        let plan = Plan { name: name.as_str(), ids, size: *bytes, path: path.to_string_lossy().into_owned() };
        output::answer(self.args.json, &Would { would: plan }, || {
            let bytes = bytes.map_or_else(String::new, |bytes| format!(", {}", size(bytes)));
            format!("would get {name}{bytes}: {}", shown(&path.to_string_lossy()))
        })
    }

    /// Fetches with a peer of this process.
    fn run(
        &self,
        want: Want,
        path: &Path,
        fetchers: &mut Fetchers<'_>,
        summary: &mut Summary,
    ) -> Result<(), Failure> {
        let peer = fetchers.asking(self.trackers())?;
        let mut progress = Progress::new(self.args.json, &want.name, self.args.wait);
        let job = peer.fetch(want, self.to(path)).map_err(Failure::cannot_start)?;
        summary.add(&follow::job(&job, &mut progress, self.stop)?);
        Ok(())
    }

    /// What was typed and a running peer cannot go by is refused rather than ignored.
    fn check_handed_over(&self, path: &Path) -> Result<(), Failure> {
        if self.args.typed.is_empty() {
            return Ok(());
        }
        let typed = self.args.typed.join(", ");
        Err(Failure::usage(format!(
            "a running peer shares the folder that {} is in and fetches it by its own options, so {typed} would not \
             hold; leave that out here and give it to that peer, or end the peer first",
            path.display()
        )))
    }

    /// Lets the running peer fetch.
    fn hand_over(&self, first: Daemon, path: &Path, summary: &mut Summary) -> Result<(), Failure> {
        let mut daemon = Some(first);
        for want in self.choice.wants() {
            let daemon = daemon.take().or_else(|| Daemon::around(path)).ok_or_else(went_away)?;
            self.hand(want, daemon, path, summary)?;
        }
        Ok(())
    }

    /// Lets it fetch one content.
    fn hand(
        &self,
        want: Want,
        mut daemon: Daemon,
        path: &Path,
        summary: &mut Summary,
    ) -> Result<(), Failure> {
        let mut progress = Progress::new(self.args.json, &want.name, self.args.wait);
        daemon.get(&want, self.to_be_handed(path))?;
        summary.add(&follow::daemon(daemon, &mut progress, self.stop)?);
        Ok(())
    }

    /// Whom a peer of this process asks.
    pub(super) fn trackers(&self) -> Vec<String> {
        self.what.trackers(&self.args.trackers.trackers)
    }

    fn to(&self, path: &Path) -> Dest {
        let own = self.is_named_here(path);
        let GetArgs { force, delete, wait, .. } = *self.args;
        // A peer of this process has these for all that it does.
        let (down, refresh) = (None, None);
        let (path, wait, waited) = (path.to_owned(), wait.limit(), self.waited);
        Dest { path, force, own, delete, wait, waited, down, refresh }
    }

    /// The same for a running peer, which goes by what was typed here.
    fn to_be_handed(&self, path: &Path) -> Dest {
        let is_typed = |option: &str| self.args.typed_of_it.iter().any(|typed| typed == option);
        let down = self.args.engine.down.filter(|_| is_typed("--down"));
        let refresh = is_typed("--refresh").then_some(self.args.engine.refresh.0);
        Dest { down, refresh, ..self.to(path) }
    }

    /// What somebody else chose the name of, by a link too, does not take the place of anything.
    fn is_named_here(&self, path: &Path) -> bool {
        matches!(self.what, What::Name(_)) || self.args.called.is_some() || path == self.dest
    }

    /// Only from a folder that is meant, and was filled by an older version of this, anything is to go.
    fn check_delete(&self, path: &Path) -> Result<(), Failure> {
        let name = &self.choice.name;
        if !self.args.delete {
            return Ok(());
        }
        if !self.args.filter().is_open() {
            return Err(Failure::usage("--delete is for whole folders, not with --include or --exclude"));
        }
        if !name.is_tree() {
            return Err(Failure::usage(format!("--delete is for folders, and {name} is a file")));
        }
        if !self.is_named_here(path) && path.exists() {
            return Err(Failure::usage(format!(
                "{} is there, and nobody here said that anything in it may go; give it a name with --as, or name \
                 the folder itself",
                path.display()
            )));
        }
        let got = Got::read(path);
        if got.has_tree() && !got.is_tree(name, &self.choice.ids) {
            Err(Failure::usage(format!(
                "{} was not filled by {name} but by another folder, so nothing in it is deleted for {name}; \
                 name another place",
                path.display()
            )))
        } else {
            Ok(())
        }
    }

    /// Several trees are compared by a peer of this process, whoever fetches them.
    fn check_union(&self, fetchers: &mut Fetchers<'_>) -> Result<(), Failure> {
        if self.choice.is_union() {
            let peer = fetchers.asking(self.trackers())?;
            union::check(peer, &self.choice, self.stop, self.args.wait)
        } else {
            Ok(())
        }
    }
}
