//! What files that grew held before: still their beginning. Pure.
//!
//! A log that grows all the time is read again and again, and each time it is another content. Whoever began to
//! fetch what it was must be able to end: it is served on, each chunk proved, though nobody is told of it any more.

use std::collections::VecDeque;

use super::record::Source;
use crate::content::FileId;

/// Most contents remembered. One file that never rests is read once a minute, so this lasts for hours.
const MAX_EARLIER: usize = 256;

/// What files held before they grew, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Earlier {
    contents: VecDeque<(FileId, Source)>,
}

impl Earlier {
    /// Remembers a content, and gives the one that has no room any more.
    pub(super) fn keep(&mut self, id: FileId, source: Source) -> Option<FileId> {
        let full = self.contents.len() >= MAX_EARLIER;
        let dropped = full.then(|| self.contents.pop_front()).flatten().map(|(id, _)| id);
        self.contents.push_back((id, source));
        dropped.filter(|id| self.sources_of(*id).next().is_none())
    }

    /// The file at `path` is not what it was.
    pub(super) fn forget(&mut self, path: &str) {
        self.contents.retain(|(_, source)| *source.path != *path);
    }

    /// Where a content lies that was kept.
    pub(super) fn sources_of(&self, id: FileId) -> impl Iterator<Item = &Source> {
        self.contents.iter().filter(move |(at, _)| *at == id).map(|(_, source)| source)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::peer::stamp::Stamp;

    fn source(path: &str) -> Source {
        Source { path: Arc::from(path), stamp: Stamp { size: 1, mtime_ns: 0, inode: 0, ctime_ns: 0 } }
    }

    #[test]
    fn the_oldest_goes_first_and_a_path_at_once() {
        let id = |n: usize| FileId::of(&n.to_le_bytes());
        let mut earlier = Earlier::default();
        assert_eq!(earlier.keep(id(0), source("other")), None);
        for n in 1..MAX_EARLIER {
            assert_eq!(earlier.keep(id(n), source("log")), None);
        }
        assert_eq!(earlier.keep(id(1), source("log")), Some(id(0)));
        assert_eq!(earlier.keep(id(3), source("other")), None, "it is kept a second time");
        earlier.forget("log");
        assert_eq!(earlier.contents, [(id(3), source("other"))]);
    }
}
