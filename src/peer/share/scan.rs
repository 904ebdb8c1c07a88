//! What a walk found. A value, in which the threads of a walk each gather their part.

use std::io;
use std::sync::Arc;

use super::record::{Found, Symlink};
use crate::content::{Looks, Reason};

/// What a walk found at and below one path: files and folders in order of path.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// Where the walk began; empty for everything.
    pub(super) scope: Arc<str>,
    pub(super) files: Vec<(Arc<str>, Found)>,
    pub(super) folders: Vec<(Arc<str>, Looks)>,
    /// The folders on the way to the scope: what changes in a folder changes its time.
    pub(super) above: Vec<(Arc<str>, Looks)>,
    /// Symbolic links, also those on the way to the scope, with what is to be written in them.
    pub(super) links: Vec<(Arc<str>, Symlink)>,
    /// The same links, with where each leads: what happens there, happens here.
    pub(super) followed: Vec<Followed>,
    /// What cannot be shared.
    pub(super) left_out: Vec<(Arc<str>, Reason)>,
    /// What is hidden or a key, and not shared for that.
    pub(super) private: Vec<Arc<str>>,
    /// A folder to which too many links lead from one to the next.
    pub(super) endless: Option<Arc<str>>,
    /// What could not be looked at, with all below it: nothing was learned of that.
    pub(super) unseen: Vec<(Arc<str>, io::Error)>,
}

/// A symbolic link that is followed: the path that people see, and the path it leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Followed {
    pub(super) shown: Arc<str>,
    pub(super) target: Arc<str>,
}

impl Scan {
    /// True if a file is all that was found, where the walk began.
    pub(super) fn is_of_a_file(&self) -> bool {
        self.files.first().is_some_and(|(first, _)| *first == self.scope)
    }

    /// Takes in what another thread of the same walk found.
    pub(super) fn extend(&mut self, part: Scan) {
        let Scan { scope: _, files, folders, above, links, followed, left_out, private, endless, unseen } =
            part;
        self.files.extend(files);
        self.folders.extend(folders);
        self.above.extend(above);
        self.links.extend(links);
        self.followed.extend(followed);
        self.left_out.extend(left_out);
        self.private.extend(private);
        self.endless = self.endless.take().or(endless);
        self.unseen.extend(unseen);
    }

    /// Puts files and folders in order.
    pub(super) fn sort(&mut self) {
        self.files.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        self.folders.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        self.private.sort_unstable();
    }
}
