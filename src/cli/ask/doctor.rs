//! `p2p doctor`: whether this machine, a folder on it and the trackers are fit for use, and what narrows a fetch: one line for
//! each thing that was looked at, with what to do.

use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant, UNIX_EPOCH};

use rustix::process::{Resource, getrlimit};
use serde::Serialize;

use crate::api::{Exit, PeerStatus, SourceReason, SourceReport, TransferState, TransferStatus};
use crate::cli::failure::{Failure, reason};
use crate::cli::reach::asking::{Wait, ask_each};
use crate::cli::reach::daemon::Daemon;
use crate::cli::reach::tracker::Tracker;
use crate::cli::show::output;
use crate::cli::show::words::{count, elapsed, per_second, rate, shown, size};
use crate::cli::typed::nodes::DoctorArgs;
use crate::cli::typed::values::Patience;
use crate::clock::since_1970;
use crate::content::{FileId, SafeName};
use crate::owner;

/// What is written to see how fast the disk is, and hashed to see how fast this machine is.
const SAMPLE_BYTES: usize = 8 << 20;
/// Slower than this, the disk is what everything waits for.
const SLOW_DISK: f64 = 10e6;
/// Slower than this, a fast network is waiting for the hash.
const SLOW_HASH: f64 = 100e6;
/// Less free space than this is as good as none.
const LITTLE_SPACE: u64 = 1 << 30;
/// Fewer free inodes than this are as good as none.
const FEW_INODES: u64 = 10_000;
/// Fewer open files than this are a dozen connections.
const FEW_FILES: u64 = 1024;
/// How long trackers are waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// A clock that shows less than this (2025) was never set.
const A_YEAR_AGO: u64 = 1_735_689_600;
/// Folders that are counted against the system's limit of watches, before it is left at that.
const MOST_COUNTED: u64 = 1_000_000;
/// A fetch that is this near to its limit is held by it.
const NEAR_LIMIT: f64 = 0.8;

/// What came of looking at something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Ok,
    Warn,
    Fail,
}

/// Something that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Check {
    /// What.
    check: &'static str,
    verdict: Verdict,
    /// What was seen.
    says: String,
    /// What to do about it, unless it is well.
    remedy: Option<String>,
}

impl Check {
    fn ok(check: &'static str, says: String) -> Check {
        Check { check, verdict: Verdict::Ok, says, remedy: None }
    }

    fn warn(check: &'static str, says: String, remedy: &str) -> Check {
        Check { check, verdict: Verdict::Warn, says, remedy: Some(remedy.to_owned()) }
    }

    fn fail(check: &'static str, says: String, remedy: &str) -> Check {
        Check { check, verdict: Verdict::Fail, says, remedy: Some(remedy.to_owned()) }
    }

    /// Well, or a warning.
    fn unless(bad: bool, check: &'static str, says: String, remedy: &str) -> Check {
        if bad { Check::warn(check, says, remedy) } else { Check::ok(check, says) }
    }

    fn line(&self) -> String {
        let mark = match self.verdict {
            Verdict::Ok => "ok  ",
            Verdict::Warn => "warn",
            Verdict::Fail => "FAIL",
        };
        let remedy = self.remedy.as_ref().map(|remedy| format!("\n      {remedy}")).unwrap_or_default();
        format!("{mark}  {}: {}{remedy}", self.check, self.says)
    }
}

/// `p2p doctor [FOLDER]`
pub(crate) fn doctor(args: &DoctorArgs) -> Result<(), Failure> {
    let mut failed = false;
    let mut tell = |checks: Vec<Check>| -> Result<(), Failure> {
        for check in checks {
            failed |= check.verdict == Verdict::Fail;
            output::answer(args.json, &check, || check.line())?;
        }
        Ok(())
    };
    tell(vec![version(), clock(), files()])?;
    tell(trackers(&args.trackers.trackers))?;
    let mut paces = Paces::default();
    if !args.quick {
        let (hash, pace) = hash();
        paces.hash = Some(pace);
        tell(vec![hash])?;
    }
    if let Some(folder) = &args.folder {
        let (checks, pace) = of_folder(folder, args.quick);
        paces.disk = pace;
        tell(checks)?;
        tell(of_peer(folder, &args.trackers.trackers, paces))?;
    }
    if failed { Err(Failure::quiet(Exit::Other)) } else { Ok(()) }
}

fn version() -> Check {
    Check::ok("version", format!("p2p {}", env!("CARGO_PKG_VERSION")))
}

fn clock() -> Check {
    let since = since_1970();
    let now = humantime::format_rfc3339_seconds(UNIX_EPOCH + since).to_string();
    Check::unless(since.as_secs() < A_YEAR_AGO, "clock", now, "set it: times of files and logs are wrong")
}

fn files() -> Check {
    let most = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let remedy = "raise the limit (ulimit -Hn, LimitNOFILE= of a service): each connection takes up to three";
    Check::unless(most < FEW_FILES, "open files", format!("{most} at once"), remedy)
}

/// Each tracker: whether its name means something, whether it answers, as what, and how far it is.
fn trackers(all: &[String]) -> Vec<Check> {
    let asked = |address: &str| {
        let start = Instant::now();
        let mut tracker = Tracker::connect(address)?;
        let connected = start.elapsed();
        let start = Instant::now();
        let status = tracker.status().map_err(|failure| failure.to_string())?;
        Ok((connected, start.elapsed(), status.peers))
    };
    let wait = Wait::new(Patience::For(PATIENCE));
    let judged = ask_each(all, &wait, asked).map(|(address, answer)| match answer {
        Ok((connected, answered, peers)) => Check::ok(
            "tracker",
            format!(
                "{address} answers in {}, after {} to connect; it knows {}",
                elapsed(answered),
                elapsed(connected),
                count(u64::from(peers), "peer")
            ),
        ),
        Err(why) => Check::fail(
            "tracker",
            format!("{address}: {why}"),
            "start it (`p2p tracker`), name another (--tracker, P2P_TRACKER), or open the way to its port",
        ),
    });
    judged.collect()
}

/// How fast this machine is, in bytes a second, as far as that was measured.
#[derive(Debug, Clone, Copy, Default)]
struct Paces {
    /// Proves what came, on one core.
    hash: Option<f64>,
    /// Puts it on the disk itself.
    disk: Option<f64>,
}

fn hash() -> (Check, f64) {
    let sample = vec![7; SAMPLE_BYTES];
    let start = Instant::now();
    let _ = FileId::of(&sample);
    let took = start.elapsed();
    let fast = SAMPLE_BYTES as f64 / took.as_secs_f64().max(1e-6);
    let says = format!("{} on one core", rate(SAMPLE_BYTES as u64, took));
    let remedy = "every byte is hashed: this machine is slow, or busy, or this is a build for tests";
    (Check::unless(fast < SLOW_HASH, "hash", says, remedy), fast)
}

/// What there is to say of it, and how fast its disk is, if that was measured.
fn of_folder(folder: &Path, quick: bool) -> (Vec<Check>, Option<f64>) {
    if !folder.is_dir() {
        let says = format!("there is no folder {}", folder.display());
        return (vec![Check::fail("folder", says, "make it first")], None);
    }
    let mut checks = vec![permissions(folder), space(folder), watches(folder)];
    if quick {
        return (checks, None);
    }
    let (disk, pace) = disk(folder);
    checks.push(disk);
    (checks, pace)
}

/// Whether it can be written, and its state is nobody else's.
fn permissions(folder: &Path) -> Check {
    if let Err(error) = tempfile::tempfile_in(folder) {
        let says = format!("{} cannot be written: {}", folder.display(), reason(&error));
        return Check::fail("folder", says, "who runs the peer must be able to write there");
    }
    let state = folder.join(SafeName::STATE_FOLDER);
    if let Some(user) = owner::stranger(&state) {
        let says = format!("{} belongs to another user ({user})", state.display());
        return Check::fail("folder", says, "it is not used; remove it, or run as that user");
    }
    let open = fs::symlink_metadata(&state).is_ok_and(|state| state.mode() & 0o077 != 0);
    Check::unless(
        open,
        "folder",
        format!(
            "{} can be written, its state is {}",
            folder.display(),
            if open { "open to others" } else { "private" }
        ),
        "chmod 700 it: others can see what is shared, and hide it",
    )
}

fn space(folder: &Path) -> Check {
    let stat = match rustix::fs::statvfs(folder) {
        Ok(stat) => stat,
        Err(error) => {
            let says = format!("{} cannot be asked: {error}", folder.display());
            return Check::fail("space", says, "is it still mounted?");
        }
    };
    let (free, inodes) = (stat.f_bavail.saturating_mul(stat.f_frsize), stat.f_favail);
    // Some file systems have no fixed number of them, and say 0 of 0.
    let few = stat.f_files > 0 && inodes < FEW_INODES;
    let says = match stat.f_files {
        0 => format!("{} free", size(free)),
        _ => format!("{} and {inodes} inodes free", size(free)),
    };
    Check::unless(free < LITTLE_SPACE || few, "space", says, "make room before it is fetched into")
}

/// Whether all folders can be watched: else changes are found by looking.
fn watches(folder: &Path) -> Check {
    let read = fs::read_to_string("/proc/sys/fs/inotify/max_user_watches");
    let most: Option<u64> = read.ok().and_then(|text| text.trim().parse().ok());
    let folders = folders_in(folder);
    let says = match most {
        Some(most) => format!("{} of {most} that this user may have", count(folders, "folder")),
        None => count(folders, "folder"),
    };
    let remedy = "raise fs.inotify.max_user_watches: what is not watched is found later, by looking";
    Check::unless(most.is_some_and(|most| folders > most / 2), "watches", says, remedy)
}

/// Links are not followed.
fn folders_in(folder: &Path) -> u64 {
    let (mut found, mut left) = (1, vec![folder.to_owned()]);
    while let Some(folder) = left.pop().filter(|_| found < MOST_COUNTED) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                found += 1;
                left.push(entry.path());
            }
        }
    }
    found
}

/// How fast bytes get onto the disk itself.
fn disk(folder: &Path) -> (Check, Option<f64>) {
    let start = Instant::now();
    let written = tempfile::tempfile_in(folder).and_then(|mut file| {
        file.write_all(&vec![7; SAMPLE_BYTES])?;
        file.sync_all()
    });
    let took = start.elapsed();
    match written {
        Ok(()) => {
            let fast = SAMPLE_BYTES as f64 / took.as_secs_f64().max(1e-6);
            let says = format!("{} to the disk itself", rate(SAMPLE_BYTES as u64, took));
            let remedy = "a fetch is no faster than the disk it goes to";
            (Check::unless(fast < SLOW_DISK, "disk", says, remedy), Some(fast))
        }
        Err(error) => {
            let says = format!("cannot be written: {}", reason(&error));
            (Check::fail("disk", says, "look at its system's log"), None)
        }
    }
}

/// The peer that shares the folder, if one runs: its trackers, whether others can dial it, its fetches.
fn of_peer(folder: &Path, trackers: &[String], paces: Paces) -> Vec<Check> {
    let Some(mut daemon) = Daemon::of_folder(folder) else {
        return vec![Check::ok("peer", format!("none is sharing {}", folder.display()))];
    };
    let status = match daemon.status() {
        Ok(status) => status,
        Err(failure) => {
            return vec![Check::fail("peer", failure.to_string(), "end it, and start it again")];
        }
    };
    let away: Vec<&str> =
        status.trackers.iter().filter(|tracker| !tracker.connected).map(|tracker| &*tracker.addr).collect();
    let says = format!("{} listens on {}", shown(&status.name), status.addr);
    let mut checks = vec![match away.is_empty() {
        true => Check::ok("peer", format!("{says}, and its trackers know it")),
        false => Check::warn(
            "peer",
            format!("{says}; not connected: {}", away.join(", ")),
            "see the trackers above",
        ),
    }];
    checks.extend(dialled(&status, trackers));
    let underway = |transfer: &&TransferStatus| transfer.seconds > 0.0 && !has_ended(transfer.state);
    checks.extend(status.transfers.iter().filter(underway).map(|transfer| narrow(transfer, paces)));
    checks
}

/// Where the trackers say that others can dial it.
fn dialled(status: &PeerStatus, trackers: &[String]) -> Option<Check> {
    let wait = Wait::new(Patience::For(PATIENCE));
    let asked = |address: &str| {
        let mut tracker = Tracker::connect(address)?;
        tracker.peers().map_err(|failure| failure.to_string())
    };
    let all = ask_each(trackers, &wait, asked).filter_map(|(_, answer)| answer.ok()).flatten();
    let its: Vec<_> = all.filter(|peer| *peer.name == *status.name).collect();
    if its.is_empty() {
        return None;
    }
    let at: Vec<String> =
        its.iter().flat_map(|peer| peer.addresses.iter()).map(ToString::to_string).collect();
    Some(match at.is_empty() {
        false => Check::ok("reached", format!("others dial it at {}", at.join(", "))),
        true => Check::warn(
            "reached",
            "others cannot dial it; the tracker calls it when it is wanted".to_owned(),
            "open its port, or say where it is with --advertise: else two such peers cannot reach each other",
        ),
    })
}

fn has_ended(state: TransferState) -> bool {
    matches!(state, TransferState::Done | TransferState::Failed | TransferState::Cancelled)
}

/// The narrow place of a fetch, as far as that is seen from outside: nobody has it, its limit, this machine's proving or
/// disk, those who have it, or else what is between them and here.
fn narrow(transfer: &TransferStatus, paces: Paces) -> Check {
    let name = shown(&transfer.name);
    let sources: Vec<&SourceReport> = transfer.sources.iter().filter(|source| source.connected).collect();
    let lately: f64 = sources.iter().map(|source| source.rate).sum();
    let connected = sources.len() as u64;
    if transfer.state == TransferState::Paused {
        return Check::ok("fetch", format!("{name} is paused"));
    }
    if connected == 0 {
        let waiting = match transfer.waiting_for.is_empty() {
            true => "anybody who has it".to_owned(),
            false => transfer.waiting_for.join(", "),
        };
        let says = format!("{name} waits for {}", shown(&waiting));
        return Check::warn("fetch", says, "start who has it; `p2p find` shows who that is");
    }
    let from = format!("{name} gets {} from {}", per_second(lately), count(connected, "peer"));
    let near = |pace: Option<f64>| pace.filter(|pace| lately >= NEAR_LIMIT * pace).map(per_second);
    let limit = near(transfer.limit.map(|limit| limit as f64));
    let (proof, disk) = (near(paces.hash), near(paces.disk));
    let busy = sources.iter().filter(|source| serves_others(source)).count() as u64;
    let what = match (limit, proof, disk) {
        (Some(limit), ..) => format!("its limit of {limit} is what holds it"),
        (_, Some(pace), _) => format!("to prove what comes is what holds it, at {pace}"),
        (.., Some(pace)) => format!("the disk is what holds it, at {pace}"),
        _ if busy == connected => "they serve others as well, and that is what holds it".to_owned(),
        _ => format!(
            "the way from them is what holds it, or what they can send ({busy} of them {} others as well); `p2p why` shows \
             what each of them gives",
            if busy == 1 { "serves" } else { "serve" }
        ),
    };
    Check::ok("fetch", format!("{from}: {what}"))
}

/// True if a source says that it has much else to do.
fn serves_others(source: &SourceReport) -> bool {
    source.reason == SourceReason::Busy || source.uploads.is_some_and(|uploads| uploads > 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_a_line_with_what_to_do() {
        assert_eq!(Check::ok("hash", "fast".to_owned()).line(), "ok    hash: fast");
        assert_eq!(
            Check::fail("disk", "full".to_owned(), "make room").line(),
            "FAIL  disk: full\n      make room"
        );
        assert_eq!(Check::unless(true, "clock", "1970".to_owned(), "set it").verdict, Verdict::Warn);
    }

    #[test]
    fn a_folder_is_looked_at_and_what_is_wrong_with_it_is_said() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("a/b")).unwrap();
        assert_eq!(folders_in(folder.path()), 3);
        assert_eq!(permissions(folder.path()).verdict, Verdict::Ok);
        let state = folder.path().join(SafeName::STATE_FOLDER);
        fs::create_dir(&state).unwrap();
        fs::set_permissions(&state, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        assert_eq!(permissions(folder.path()).verdict, Verdict::Warn);
        assert_eq!(disk(folder.path()).0.check, "disk");
        let gone = of_folder(&folder.path().join("none"), true);
        assert_eq!((gone.0.len(), gone.0[0].verdict, gone.1), (1, Verdict::Fail, None));
    }

    #[test]
    fn what_a_fetch_waits_for_is_said() {
        let alone = TransferStatus { seconds: 1.0, ..TransferStatus::of("a") };
        let none = Paces::default();
        assert_eq!(narrow(&alone, none).verdict, Verdict::Warn);
        assert!(narrow(&alone, none).says.ends_with("waits for anybody who has it"));
        let paused = TransferStatus { state: TransferState::Paused, ..alone.clone() };
        assert_eq!(narrow(&paused, none).says, "a is paused");
        let source = |uploads| SourceReport {
            peer: "00".to_owned(),
            name: "s".to_owned(),
            addr: "h:1".to_owned(),
            bytes: 0,
            chunks: 0,
            corrupt: 0,
            rate: 1e6,
            round_trip_ms: 1.0,
            cost_ms: 1.0,
            inflight_bytes: 0,
            useful: 1,
            connected: true,
            uploads: Some(uploads),
            reason: SourceReason::Cheapest,
            why: String::new(),
        };
        let fetch =
            |uploads, limit| TransferStatus { sources: vec![source(uploads)], limit, ..alone.clone() };
        let holds = |fetch: &TransferStatus, paces, what: &str| {
            let says = narrow(fetch, paces).says;
            assert!(says.starts_with("a gets ") && says.contains(what), "{what}: {says}");
        };
        let slow = Some(1.1e6);
        holds(&fetch(1, Some(1_000_000)), Paces { hash: slow, disk: slow }, "its limit of ");
        holds(&fetch(1, None), Paces { hash: slow, disk: slow }, "to prove what comes ");
        holds(&fetch(1, None), Paces { hash: None, disk: slow }, "the disk is ");
        holds(&fetch(2, None), Paces { hash: Some(9e9), disk: Some(9e9) }, "they serve others ");
        holds(&fetch(1, None), none, "the way from them ");
    }
}
