//! Where a fetch lands: the folders it makes, its right to what is unfinished there, and what of all that
//! stays when it fails.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::{FetchError, Halt};
use super::handle::Course;
use super::means::Means;
use crate::peer::config::state_beside;
use crate::peer::disk::{DiskError, Partial, folder_error, is_begun, sweep};
use crate::peer::transfer::Transfer;

/// How often it is looked whether somebody else is done with the same fetch.
const LOOK: Duration = Duration::from_millis(50);
/// Where the listing itself is while it is unfinished.
const UNFINISHED_LISTING: &str = "listing";

/// The place of one fetch, which is its alone while this lives.
#[derive(Debug)]
pub(super) struct Landing {
    /// The folder that everything is put into.
    pub(super) root: PathBuf,
    partial: Partial,
    /// Folders that were made for it, the innermost first.
    made: Vec<PathBuf>,
}

impl Landing {
    /// Takes the place for a content of this size. While the very same is being fetched to the very same
    /// place, by whomever, this waits for the end of that: then it is here, or it is gone on with.
    pub(super) fn claim(means: &Means, job: &Course, size: u64) -> Result<Landing, FetchError> {
        let dest = &job.dest.path;
        let parent = || dest.parent().filter(|parent| !parent.as_os_str().is_empty());
        let (root, base) = match job.want.makes_folder() {
            true => (dest.as_path(), None),
            false => (parent().unwrap_or(Path::new(".")), dest.file_name()),
        };
        let root_at = root.display().to_string();
        let at = |error: io::Error| FetchError::from(folder_error(&root_at, error));
        let mut told = false;
        loop {
            let made = make_folders(root).map_err(at)?;
            let state = means.state.clone().map_or_else(|| state_beside(root), Ok).map_err(at)?;
            let real = fs::canonicalize(root).map_err(at)?.join(base.unwrap_or_default());
            sweep(&state, means.limits.keep_partial);
            let state_at = state.display().to_string();
            let claimed = Partial::claim(&state, job.want.id, &format!("{size} {}\n", real.display()));
            if let Some(partial) = claimed.map_err(DiskError::at(&state_at))? {
                job.set_joined(false);
                return Ok(Landing { root: root.to_owned(), partial, made });
            }
            if !told {
                tracing::debug!("{} is being fetched there already; waiting for that", job.want.id);
                told = true;
                job.set_joined(true);
            }
            if !job.pause(LOOK) {
                return Err(FetchError::Interrupted);
            }
        }
    }

    /// The folder of its unfinished files.
    pub(super) fn unfinished(&self) -> &Path {
        self.partial.path()
    }

    /// The folder of a listing's unfinished file; the listing goes beside it.
    pub(super) fn unfinished_listing(&self) -> PathBuf {
        self.partial.path().join(UNFINISHED_LISTING)
    }

    /// What a tree's listing is called beside its unfinished files.
    pub(super) const LISTING: &str = "tree";

    /// The fetch failed: what a resume will use is kept, and nothing else.
    pub(super) fn give_up(self, content: Option<&Transfer>, halt: &Halt) {
        let begun = self.partial.is_begun() || content.is_some_and(Transfer::has_proved);
        let listed = || {
            let listing = fs::symlink_metadata(self.partial.path().join(Landing::LISTING));
            listing.is_ok() || is_begun(&self.unfinished_listing())
        };
        let useful = match halt {
            Halt::Superseded => false,
            Halt::Failed(FetchError::Integrity(_) | FetchError::BadTree(_) | FetchError::Changed { .. }) => {
                false
            }
            Halt::Failed(
                FetchError::Interrupted | FetchError::NobodyReached(_) | FetchError::Internal(_),
            ) => begun || content.is_none() && listed(),
            Halt::Failed(
                FetchError::NotFound(_)
                | FetchError::NothingOf(_)
                | FetchError::Exists(_)
                | FetchError::Disk(_),
            ) => begun,
        };
        if !useful {
            self.partial.clear();
            let _ = self.made.iter().try_for_each(fs::remove_dir);
        }
    }
}

/// Makes a folder and those above it; those that were not there, the innermost first.
fn make_folders(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let missing = |folder: &&Path| !folder.as_os_str().is_empty() && !folder.exists();
    let made = folder.ancestors().take_while(missing).map(Path::to_owned).collect();
    fs::create_dir_all(folder)?;
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::super::handle::Job;
    use super::super::means::alone;
    use super::super::want::sought;
    use super::*;
    use crate::api::TransferState;

    #[test]
    fn what_was_made_for_a_fetch_that_found_nothing_goes_and_what_was_there_stays() {
        let folder = tempfile::tempdir().unwrap();
        let means = alone();
        for (at, left) in [("new/er/f", "new"), ("f", ".p2p")] {
            let (want, dest) = sought("f", folder.path().join(at));
            let (job, _alive) = Course::new(1, want, dest);
            let landing = Landing::claim(&means, &job, 5).unwrap();
            let unfinished = landing.unfinished().to_owned();
            assert!(unfinished.starts_with(folder.path()) && unfinished.is_dir());
            landing.give_up(None, &Halt::Failed(FetchError::NotFound("f".into())));
            assert!(!unfinished.exists(), "{}", unfinished.display());
            assert!(left == ".p2p" || !folder.path().join(left).exists());
        }
        assert!(folder.path().is_dir());
    }

    #[test]
    fn the_very_same_fetch_has_its_place_alone_and_who_waits_for_it_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let means = std::sync::Arc::new(alone());
        let start =
            || Course::new(1, sought("f", folder.path().join("f")).0, sought("f", folder.path().join("f")).1);
        let ((first, _alive), (second, _waits)) = (start(), start());
        let landing = Landing::claim(&means, &first, 5).unwrap();
        let (waiting, used) = (second.clone(), means.clone());
        let waiting = std::thread::spawn(move || Landing::claim(&used, &waiting, 5).map(drop));
        while Job(second.clone()).status().state != TransferState::Joined {
            std::thread::yield_now();
        }
        drop(landing);
        waiting.join().unwrap().unwrap();
        assert_eq!(Job(second).status().state, TransferState::Locating, "it goes on by itself");
        let landing = Landing::claim(&means, &first, 5).unwrap();
        let (third, _also) = start();
        Job(third.clone()).cancel();
        assert!(matches!(Landing::claim(&means, &third, 5), Err(FetchError::Interrupted)));
        drop(landing);
    }
}
