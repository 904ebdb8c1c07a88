//! The first look at a share: what the walk finds, joined with what the index remembers; the rest is
//! hashed. Returns when everything is known.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;

use super::catalogue::{Catalogue, Change, Delta};
use super::config::{Config, Progress, ShareError};
use super::core::Core;
use super::hash::{Report, hash_all};
use super::index::{Busy, Index};
use super::job::{Job, Outcome};
use super::left_out::{Notice, private_line};
use super::mailbox::Mailbox;
use super::reading::{is_passing, unread};
use super::record::{Record, Row, Rows, below};
use super::scan::Scan;
use super::selection::{IGNORE_FILE, MAX_IGNORE_BYTES, Selection};
use super::state::State;
use super::walk::{Visitor, Walker};
use super::watch::Watches;
use crate::content::{Geometry, Reason, SafeName, shown};
use crate::peer::got::Got;
use crate::peer::stamp::Shape;
use crate::wire::limits;

/// How often what was hashed is written down: what a kill can cost.
const COMMIT_EVERY: Duration = Duration::from_secs(2);

/// How long an index may be busy before another peer is to blame: a process that was killed while it
/// wrote holds its lock until the write is on the disk.
const BUSY_PATIENCE: Duration = Duration::from_secs(2);
const BUSY_RETRY: Duration = Duration::from_millis(20);

/// What the walk and the index say together.
#[derive(Debug, Default, PartialEq, Eq)]
struct Joined {
    known: Vec<(Arc<str>, Record)>,
    jobs: Vec<Job>,
    /// Files that are known by their looks, and to be hashed again all the same.
    doubted: Vec<Arc<str>>,
    /// Rows whose path has gone or holds something else.
    stale: Vec<(Box<str>, Row)>,
}

/// Finds out what there is. What of it the user was told is in the notice.
pub(super) fn look(
    config: Config,
    changes: Sender<Change>,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<(Core, Notice), ShareError> {
    let threads = match config.threads {
        0 => thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    let (root, only) = resolve(&config)?;
    let (index, rows) =
        open_index(&config.state).map_err(|Busy| ShareError::Busy { path: config.folder.clone() })?;
    let watches = config.watch.then(|| Arc::new(Watches::new(root.clone())));
    let walker = walker(&config, root, only, threads, watches.clone());
    let mut scan = walker.scan("");
    // Before anything is hashed, which may take long.
    let mut notice = Notice::default();
    tell(&scan, &mut notice);
    let mut seen = Delta {
        folders_new: std::mem::take(&mut scan.folders),
        links: some(std::mem::take(&mut scan.links)),
        left_out: some(std::mem::take(&mut scan.left_out)),
        ..Delta::default()
    };
    let links = std::mem::take(&mut scan.followed);
    let unseen = std::mem::take(&mut scan.unseen);
    let Joined { known, jobs, doubted, stale } = join(scan, rows, &index);
    let mailbox = Mailbox::new()?;
    mailbox.post(doubted);
    for (path, _) in unseen {
        seen.left_out.push((path.clone(), Some(Reason::Changing)));
        mailbox.post([path]);
    }
    seen.entered = known;
    hash_unknown(&walker, &index, &mailbox, threads, jobs, progress, &mut seen)?;
    let mut catalogue = Catalogue::new(config.prefix);
    let folders = seen.folders_new.iter().map(|(folder, _)| &**folder);
    for folder in folders.chain([""]) {
        catalogue.set_got(folder, Got::read(&below(&walker.root, folder)));
    }
    catalogue.apply(seen);
    catalogue.renew_all();
    tidy(&index, &catalogue, stale);
    if let Some(line) = notice.of(catalogue.left_out()) {
        tracing::warn!("{line}");
    }
    let state = State::new(catalogue, links);
    Ok((Core::new(walker, threads, index, state, changes, mailbox, watches), notice))
}

/// Says what is not shared of what was found.
fn tell(scan: &Scan, notice: &mut Notice) {
    if let Some(line) = private_line(&scan.private) {
        tracing::warn!("{line}");
    }
    if let Some(path) = &scan.endless {
        tracing::warn!(
            "{path}: links lead from folder to folder without end; they are shared as links, and not followed"
        );
    }
    let left_out = scan.left_out.iter().cloned().collect();
    if let Some(line) = notice.of(&left_out) {
        tracing::warn!("{line}");
    }
}

fn some<V>(found: Vec<(Arc<str>, V)>) -> Vec<(Arc<str>, Option<V>)> {
    found.into_iter().map(|(path, value)| (path, Some(value))).collect()
}

/// Opens the index; if it is busy, again for as long as a killed process may take to let go of it.
fn open_index(state: &Path) -> Result<(Index, Rows), Busy> {
    let deadline = Instant::now() + BUSY_PATIENCE;
    loop {
        match Index::open(state) {
            Err(Busy) if Instant::now() < deadline => thread::sleep(BUSY_RETRY),
            opened => return opened,
        }
    }
}

/// The folder to walk, and the only file in it that is shared if it is a file.
fn resolve(config: &Config) -> Result<(PathBuf, Option<String>), ShareError> {
    let unsuitable = |reason| ShareError::Unsuitable { path: config.folder.clone(), reason };
    if let Some(prefix) = &config.prefix {
        let checked = SafeName::new(prefix.as_str()).map(|name| name.is_tree());
        match checked {
            Ok(true) => {}
            Ok(false) => return Err(unsuitable("the prefix must end with `/`")),
            Err(source) => return Err(ShareError::Prefix { prefix: prefix.clone(), source }),
        }
    }
    let of_folder = |source| ShareError::Folder { path: config.folder.clone(), source };
    let path = fs::canonicalize(&config.folder).map_err(of_folder)?;
    if path.is_dir() {
        fs::read_dir(&path).map_err(of_folder)?;
        return Ok((path, None));
    }
    if !path.is_file() {
        return Err(unsuitable("it is neither a file nor a folder"));
    }
    if fs::File::open(&path).map_err(of_folder)?.metadata().map_err(of_folder)?.len() > Geometry::MAX_SIZE {
        return Err(unsuitable("it is larger than any file may be"));
    }
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.filter(|name| SafeName::new(*name).is_ok());
    let name = name.ok_or_else(|| unsuitable("its name is not UTF-8 or is reserved"))?.to_owned();
    let folder = path.parent().map(Path::to_owned).unwrap_or_default();
    Ok((folder, Some(name)))
}

fn walker(
    config: &Config,
    root: PathBuf,
    only: Option<String>,
    threads: usize,
    watches: Option<Arc<Watches>>,
) -> Walker {
    let state = fs::canonicalize(&config.state).ok();
    let state = state.as_ref().and_then(|state| state.strip_prefix(&root).ok()).and_then(Path::to_str);
    let visitor = watches.map(|watches| -> Box<Visitor> { Box::new(move |folder| watches.add(folder)) });
    Walker {
        state: state.map(str::to_owned),
        root,
        only,
        prefix: config.prefix.clone().unwrap_or_default(),
        threads,
        most: limits::MAX_OFFERS_PER_PEER,
        visitor,
        selection: selection(config),
    }
}

/// What its user wants to share, by what was said and by the file of patterns in the folder.
fn selection(config: &Config) -> Selection {
    let path = config.folder.join(IGNORE_FILE);
    let mut text = String::new();
    let read = fs::File::open(&path).and_then(|file| file.take(MAX_IGNORE_BYTES).read_to_string(&mut text));
    if let Err(error) = read
        && error.kind() != io::ErrorKind::NotFound
        && config.folder.is_dir()
    {
        tracing::warn!("{} cannot be read, and leaves nothing out: {error}", path.display());
    }
    let (selection, bad) = config.selection.clone().with_ignore_file(&text);
    for line in bad {
        tracing::warn!("{}: `{}` is no pattern", path.display(), shown(line));
    }
    selection
}

/// Joins two lists that are both in order of path. A file that was renamed since is known by its looks.
fn join(scan: Scan, rows: Rows, index: &Index) -> Joined {
    let mut out = Joined::default();
    let mut rows = rows.into_iter().peekable();
    for (path, found) in scan.files {
        while let Some(row) = rows.next_if(|(at, _)| **at < *path) {
            out.stale.push(row);
        }
        match rows.next_if(|(at, _)| **at == *path) {
            Some((_, row)) if row.stamp == found.stamp => out.known.push((path, found.with_id(row.id))),
            Some((_, row)) if row.stamp.may_be(&found.stamp) => {
                out.doubted.push(path.clone());
                out.known.push((path, found.hashed_as(row.stamp, row.id)));
            }
            row => {
                out.stale.extend(row);
                out.jobs.push(Job { path, found });
            }
        }
    }
    out.stale.extend(rows);
    recognise(&mut out, index);
    out
}

fn recognise(joined: &mut Joined, index: &Index) {
    let gone: HashMap<Shape, Row> = joined.stale.iter().map(|(_, row)| (row.stamp.shape(), *row)).collect();
    let (known, doubted) = (&mut joined.known, &mut joined.doubted);
    joined.jobs.retain(|job| {
        let Some(row) = gone.get(&job.found.stamp.shape()) else { return true };
        let record = job.found.hashed_as(row.stamp, row.id);
        index.put(&job.path, &record, Vec::new());
        doubted.push(job.path.clone());
        known.push((job.path.clone(), record));
        false
    });
}

fn hash_unknown(
    walker: &Walker,
    index: &Index,
    mailbox: &Mailbox,
    threads: usize,
    jobs: Vec<Job>,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    seen: &mut Delta,
) -> Result<(), ShareError> {
    if jobs.is_empty() {
        return Ok(());
    }
    let bytes = jobs.iter().map(|job| job.found.stamp.size).sum();
    let mut now = Progress { files: jobs.len() as u64, bytes, ..Progress::default() };
    let stop = AtomicBool::new(progress(now).is_break());
    let (mut told, mut committed) = (Instant::now(), Instant::now());
    hash_all(&walker.root, jobs, threads, &stop, |report| {
        match report {
            Report::Read(bytes) => now.bytes_done = bytes,
            Report::Done(job, outcome) => {
                now.files_done += 1;
                enter(index, mailbox, job, outcome, seen);
            }
        }
        if told.elapsed() >= Duration::from_millis(100) {
            told = Instant::now();
            if progress(now).is_break() {
                stop.store(true, Ordering::Relaxed);
            }
        }
        if committed.elapsed() >= COMMIT_EVERY || index.is_worth_a_commit() {
            index.commit();
            committed = Instant::now();
        }
    });
    match stop.into_inner() {
        true => Err(ShareError::Stopped),
        false => {
            let _ = progress(Progress { bytes_done: now.bytes, ..now });
            Ok(())
        }
    }
}

fn enter(index: &Index, mailbox: &Mailbox, job: Job, outcome: Outcome, seen: &mut Delta) {
    match outcome {
        Outcome::Hashed(record, hashes) => {
            index.put(&job.path, &record, hashes);
            seen.entered.push((job.path, record));
        }
        Outcome::Failed(error) if !is_passing(&error) => seen.left_out.push((job.path, unread(&error))),
        // It is looked at again, and left out until then.
        Outcome::Unstable | Outcome::Failed(_) => {
            seen.left_out.push((job.path.clone(), Some(Reason::Changing)));
            mailbox.post([job.path]);
        }
        Outcome::Stopped => {}
    }
}

/// Forgets rows of paths that went and chunk hashes of contents that went.
fn tidy(index: &Index, catalogue: &Catalogue, stale: Vec<(Box<str>, Row)>) {
    index.remove(stale.iter().map(|(path, _)| &**path).filter(|path| catalogue.file(path).is_none()));
    index.commit();
    index.prune(catalogue.hashed_contents(), |id| catalogue.has_file(id));
    index.commit();
}

#[cfg(test)]
mod tests {
    use super::super::record::Found;
    use super::*;
    use crate::content::FileId;
    use crate::peer::stamp::Stamp;

    fn found(inode: u64) -> Found {
        Found { stamp: Stamp { size: 5, mtime_ns: 1, inode, ctime_ns: 1 }, mode: 0o644, linked: false }
    }

    fn row(path: &str, inode: u64) -> (Box<str>, Row) {
        (Box::from(path), Row { stamp: found(inode).stamp, id: FileId([inode as u8; 32]) })
    }

    #[test]
    fn what_looks_as_it_did_is_known_even_under_another_name() {
        let state = tempfile::tempdir().unwrap();
        let (index, _) = Index::open(state.path()).unwrap();
        let files = [("a", 1), ("c", 9), ("d", 4), ("e", 5)];
        let scan = Scan {
            files: files.map(|(path, inode)| (Arc::from(path), found(inode))).to_vec(),
            ..Scan::default()
        };
        let rows = vec![row("a", 1), row("b", 5), row("c", 3), row("f", 6)];
        let joined = join(scan, rows, &index);
        let known: Vec<_> = joined.known.iter().map(|(path, record)| (&**path, record.id.0[0])).collect();
        assert_eq!(known, [("a", 1), ("e", 5)]);
        let jobs: Vec<_> = joined.jobs.iter().map(|job| &*job.path).collect();
        assert_eq!(jobs, ["c", "d"]);
        let stale: Vec<_> = joined.stale.iter().map(|(path, _)| &**path).collect();
        assert_eq!(stale, ["b", "c", "f"]);
    }
}
