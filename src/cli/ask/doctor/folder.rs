//! Whether a folder is fit to be shared or fetched into.

use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Instant;

use super::check::Check;
use crate::cli::failure::reason;
use crate::cli::show::words::{count, rate, size};
use crate::content::SafeName;
use crate::owner;

/// What is written to see how fast the disk is.
const SAMPLE_BYTES: usize = 8 << 20;
/// Slower than this, the disk is what everything waits for.
const SLOW_DISK: f64 = 10e6;
/// Less free space than this is as good as none.
const LITTLE_SPACE: u64 = 1 << 30;
/// Fewer free inodes than this are as good as none.
const FEW_INODES: u64 = 10_000;
/// Folders that are counted against the system's limit of watches, before it is left at that.
const MOST_COUNTED: u64 = 1_000_000;

/// What there is to say of it, and how fast its disk is, if that was measured.
pub(super) fn of_folder(folder: &Path, quick: bool) -> (Vec<Check>, Option<f64>) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::ask::doctor::check::Verdict;

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
}
