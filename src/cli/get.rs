//! `p2p get`: find it, fetch it, say how it went.
//!
//! The fetch is done by the peer that shares the destination's folder, if one is running, else by a peer
//! inside this process, which shares what it has while it runs.

mod choice;
mod dest;
mod follow;
mod progress;
mod summary;
mod table;
mod union;

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::api::Exit;
use crate::cli::failure::Failure;
use crate::cli::reach::daemon::Daemon;
use crate::cli::reach::locate::resolve;
use crate::cli::run::engine::start_fetcher;
use crate::cli::run::signals::Stop;
use crate::cli::show::output;
use crate::cli::typed::args::GetArgs;
use crate::cli::typed::what::What;
use crate::peer::{Dest, Got, Peer};
use crate::say;
use crate::wire::{List, Name, Variant};
use choice::{Choice, Wish};
use progress::Progress;
use summary::Summary;

/// `p2p get WHAT [DEST]`
pub(crate) fn get(args: GetArgs) -> Result<(), Failure> {
    let json = args.json;
    let outcome = fetch(args);
    // What is there has been said, and what is not.
    if let Err(failure) = &outcome
        && json
        && failure.exit != Exit::Partial
    {
        let _ = output::json(&summary::fault(failure)); // the exit code tells it too
    }
    outcome
}

fn fetch(args: GetArgs) -> Result<(), Failure> {
    let stop = Stop::install()?;
    let what = What::parse(&args.what)?;
    dest::check(&args.dest)?;
    let start = Instant::now();
    let variants = match here(&what, &args)? {
        Some(variant) => vec![variant],
        None => resolve(&what, &args.trackers.trackers, args.wait)?,
    };
    let wish = wish(&args);
    let variants = choice::of_whom(&what, &wish, variants)?;
    let mut kinds = choice::by_kind(&what, variants).into_iter().peekable();
    while let Some(variants) = kinds.next() {
        let choice = choice::choose(&what, &wish, &variants)?;
        let job = Job { what: &what, choice, stop: &stop, args: &args, waited: start.elapsed() };
        match job.fetch() {
            Err(failure) if failure.is_no_folder() && kinds.peek().is_some() => {}
            outcome => return outcome,
        }
    }
    Ok(())
}

fn wish(args: &GetArgs) -> Wish {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let GetArgs { from, newest, union, called, .. } = args;
    Wish { from: from.clone(), newest: *newest, union: *union, called: called.clone(), now }
}

/// What the peer that shares DEST's folder has already, told as a tracker would: none needs to be asked for it.
fn here(what: &What, args: &GetArgs) -> Result<Option<Variant>, Failure> {
    let (id, said) = match what {
        What::Id(id) => (*id, None),
        What::Link(link) => (link.id, link.name.as_ref()),
        _ => return Ok(None),
    };
    if args.from.is_some() {
        return Ok(None);
    }
    let Some(mut daemon) = Daemon::around(&args.dest) else { return Ok(None) };
    let Some(held) = daemon.holds(id)? else { return Ok(None) };
    // A file may be wanted as the folder that it lists, and the other way round.
    if said.is_some_and(|said| said.is_tree() != held.is_tree()) {
        return Ok(None);
    }
    Ok(Some(Variant {
        name: Name::new(held.as_str()),
        id,
        size: 0,
        total: 0,
        chunks: 0,
        seeders: 0,
        leechers: 0,
        original: true,
        agreed: true,
        modified: 0,
        holders: List::default(),
    }))
}

/// All that is known once the content has been found.
struct Job<'a> {
    what: &'a What,
    choice: Choice,
    stop: &'a Stop,
    args: &'a GetArgs,
    /// How long it took to find it.
    waited: Duration,
}

impl Job<'_> {
    fn fetch(&self) -> Result<(), Failure> {
        let Choice { name, ids, note, by_strangers, .. } = &self.choice;
        if let Some(note) = note {
            say::note(note);
        }
        let path = dest::path(&self.args.dest, name, ids)?;
        if *by_strangers && self.args.force && path != self.args.dest && path.exists() {
            return Err(Failure::usage(format!(
                "{} is there, and nobody here said that it may be replaced: those who share {} call it {name}; \
                 give it a name with --as, or name the file to make",
                path.display(),
                self.what.label(),
            )));
        }
        self.check_delete(&path)?;
        match Daemon::around(&path) {
            Some(daemon) => {
                self.check_handed_over(&path)?;
                self.hand_over(daemon, &path)
            }
            None => self.run(&path),
        }
    }

    /// Fetches with a peer of this process.
    fn run(&self, path: &Path) -> Result<(), Failure> {
        let peer = self.start()?;
        self.stop.graceful();
        let outcome = self.run_with(&peer, path);
        peer.stop();
        outcome
    }

    fn run_with(&self, peer: &Peer, path: &Path) -> Result<(), Failure> {
        self.check_union(peer)?;
        let mut summary = Summary::new(&self.choice.name, path);
        for want in self.choice.wants() {
            let mut progress = Progress::new(self.args.json, &self.choice.name, self.args.wait);
            let job = peer.fetch(want, self.dest(path)).map_err(Failure::cannot_start)?;
            summary.add(&follow::job(&job, &mut progress, self.stop)?);
        }
        summary.print(self.args.json)?;
        self.seed()?;
        summary.verdict(self.args.allow_partial)
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

    /// Lets the running peer fetch; only the check of several trees is done here.
    fn hand_over(&self, first: Daemon, path: &Path) -> Result<(), Failure> {
        if self.choice.is_union() {
            let peer = self.start()?;
            let checked = self.check_union(&peer);
            peer.stop();
            checked?;
        }
        self.stop.graceful();
        let mut summary = Summary::new(&self.choice.name, path);
        let mut daemon = Some(first);
        for want in self.choice.wants() {
            let mut daemon = daemon
                .take()
                .or_else(|| Daemon::around(path))
                .ok_or_else(crate::cli::reach::daemon::went_away)?;
            let mut progress = Progress::new(self.args.json, &self.choice.name, self.args.wait);
            daemon.get(&want, self.dest(path))?;
            summary.add(&follow::daemon(daemon, &mut progress, self.stop)?);
        }
        summary.print(self.args.json)?;
        summary.verdict(self.args.allow_partial)
    }

    fn start(&self) -> Result<Peer, Failure> {
        start_fetcher(&self.args.engine, self.what.trackers(&self.args.trackers.trackers))
    }

    fn dest(&self, path: &Path) -> Dest {
        let own = self.is_named_here(path);
        let GetArgs { force, delete, wait, .. } = *self.args;
        Dest { path: path.to_owned(), force, own, delete, wait: wait.limit(), waited: self.waited }
    }

    /// What somebody else chose the name of, by a link too, does not take the place of anything.
    fn is_named_here(&self, path: &Path) -> bool {
        matches!(self.what, What::Name(_)) || self.args.called.is_some() || path == self.args.dest
    }

    /// Only from a folder that is meant, and was filled by an older version of this, anything is to go.
    fn check_delete(&self, path: &Path) -> Result<(), Failure> {
        let name = &self.choice.name;
        if !self.args.delete {
            return Ok(());
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

    fn check_union(&self, peer: &Peer) -> Result<(), Failure> {
        if self.choice.is_union() {
            union::check(peer, &self.choice, self.stop, self.args.wait)
        } else {
            Ok(())
        }
    }

    /// Stays to share, if asked to. A signal is how that ends as a rule, so it is no failure.
    fn seed(&self) -> Result<(), Failure> {
        let until = match (self.args.seed, self.args.seed_for) {
            (true, _) => None,
            (false, Some(period)) => Some(Instant::now() + period.0),
            (false, None) => return Ok(()),
        };
        say::note(&format!(
            "sharing {} {}",
            self.choice.name,
            match until {
                None => "until stopped".to_owned(),
                Some(_) => self.args.seed_for.map_or_else(String::new, |period| format!("for {period}")),
            }
        ));
        self.stop.wait_until(until);
        Ok(())
    }
}
