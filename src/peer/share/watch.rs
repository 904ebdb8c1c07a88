//! The watch: one inotify watch on each folder of a share, and what their events say changed.
//!
//! Knows which watch stands for which folder, nothing of contents. The invariant: a folder is watched
//! before it is listed, so that what appears in it is either in the listing or an event; and when the
//! kernel loses events or watches run out, that is told as a change of everything.

use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

use crate::content::SafeName;

use super::record::{below, join};
use crate::threads::lock;

/// The watches of one share.
pub(super) struct Watches {
    root: PathBuf,
    /// None if the system had none left: then everything is looked at now and then.
    inotify: Option<OwnedFd>,
    /// The folder of each watch, as a path below the root without links.
    folders: Mutex<HashMap<i32, Arc<str>>>,
    blind: AtomicBool,
}

impl Watches {
    pub(super) fn new(root: PathBuf) -> Watches {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK);
        if let Err(error) = &inotify {
            tracing::warn!(
                "no folder can be watched (see fs.inotify.max_user_instances): {error}; looking at everything now and then instead"
            );
        }
        let blind = AtomicBool::new(inotify.is_err());
        Watches { root, inotify: inotify.ok(), folders: Mutex::default(), blind }
    }

    /// Watches a folder; again after it was moved, so that its watch stands for its new path.
    pub(super) fn add(&self, folder: &str) {
        let flags = WatchFlags::MODIFY
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::ATTRIB
            | WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF
            | WatchFlags::ONLYDIR;
        let Some(inotify) = &self.inotify else { return };
        // The lock is held over the call, so that no event of this watch is read before it is known.
        let mut folders = lock(&self.folders);
        match inotify::add_watch(inotify, below(&self.root, folder), flags) {
            Ok(watch) => drop(folders.insert(watch, Arc::from(folder))),
            Err(Errno::NOSPC | Errno::NOMEM) => {
                if !self.blind.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        folder,
                        "no more folders can be watched (see fs.inotify.max_user_watches); looking at everything now and then instead"
                    );
                }
            }
            // A folder that cannot be watched cannot be listed either, which is warned of there.
            Err(_) => {}
        }
    }

    /// Forgets folders that are not there any more: those moved away would go on sending events.
    pub(super) fn forget(&self, is_gone: impl Fn(&str) -> bool) {
        let Some(inotify) = &self.inotify else { return };
        lock(&self.folders).retain(|watch, folder| {
            let gone = is_gone(folder);
            if gone {
                // The kernel may have dropped it already.
                let _ = inotify::remove_watch(inotify, *watch);
            }
            !gone
        });
    }

    /// What is readable when an event waits.
    pub(super) fn events(&self) -> Option<BorrowedFd<'_>> {
        self.inotify.as_ref().map(AsFd::as_fd)
    }

    /// True if something may change without an event.
    pub(super) fn is_blind(&self) -> bool {
        self.blind.load(Ordering::Relaxed)
    }

    /// Before everything is looked at, which finds out again what cannot be watched.
    pub(super) fn open_eyes(&self) {
        self.blind.store(self.inotify.is_none() || !self.root.is_dir(), Ordering::Relaxed);
    }

    /// Gives each path that has an event waiting to `touch`; the empty path if events were lost.
    pub(super) fn read(&self, mut touch: impl FnMut(Arc<str>)) {
        let mut buffer = [MaybeUninit::uninit(); 16 << 10];
        let Some(inotify) = &self.inotify else { return };
        let mut reader = inotify::Reader::new(inotify, &mut buffer);
        // Ends with `WouldBlock` when no event waits.
        while let Ok(event) = reader.next() {
            let flags = event.events();
            if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
                touch(Arc::from(""));
                continue;
            }
            let mut folders = lock(&self.folders);
            let folder = match flags.contains(ReadFlags::IGNORED) {
                true => folders.remove(&event.wd()),
                false => folders.get(&event.wd()).cloned(),
            };
            drop(folders);
            let Some(folder) = folder else { continue };
            if folder.is_empty() && flags.intersects(ReadFlags::IGNORED | ReadFlags::MOVE_SELF) {
                self.blind.store(true, Ordering::Relaxed); // until the shared folder is there again
            }
            match event.file_name().map(|name| name.to_str()) {
                Some(Ok(name)) if name != SafeName::STATE_FOLDER => touch(join(&folder, name).into()),
                Some(_) => {}
                // A folder's own events are in the one above too, as far as they matter.
                None if folder.is_empty() => touch(folder),
                None => {}
            }
        }
    }
}
