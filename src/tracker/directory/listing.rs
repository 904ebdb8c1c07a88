//! LIST: names that match a pattern, gathered a page at a time, and each page a step at a time.
//!
//! The value that carries the question remembers how far it came. Names that come or go meanwhile may be missed.

use fastrand::Rng;

use super::crowd;
use super::glob::Glob;
use super::roll::Roll;
use super::rows::PairRow;
use super::work::{CONTENT_WORK, MAX_PAGE_WORK, NAME_WORK, Step};
use crate::wire::{Entry, Name, limits};

/// Bytes of entries after which a page is full: with the variants of one more name it is in a frame.
pub const PAGE_BYTES: usize = limits::MAX_FRAME_BYTES / 2;
/// Bytes of an entry beside its name.
const ENTRY_BYTES: usize = 2 + 32 + 8 + 8 + 4 + 4 + 4;

/// A page of a listing that is being gathered.
///
/// A page ends between names, never between the contents of one name: so "after this name" is
/// enough to ask for the next, and nothing is lost between two pages.
#[derive(Debug)]
pub struct Page {
    pattern: Glob,
    limit: usize,
    /// The last name looked at.
    after: Vec<u8>,
    bytes: usize,
    work: usize,
    /// The entries so far.
    pub entries: Vec<Entry>,
    /// True if a full page ended before the names did.
    pub more: bool,
}

impl Page {
    /// A page of about `limit` names that match `pattern` and come after `after`.
    pub fn new(pattern: &str, after: &str, limit: usize) -> Page {
        Page {
            pattern: Glob::new(pattern),
            limit: limit.clamp(1, limits::MAX_ENTRIES - limits::MAX_VARIANTS + 1),
            after: after.as_bytes().to_vec(),
            bytes: 0,
            work: 0,
            entries: Vec::new(),
            more: false,
        }
    }

    fn is_full(&self) -> bool {
        self.entries.len() >= self.limit || self.bytes >= PAGE_BYTES
    }

    /// The last name looked at.
    pub fn reached(&self) -> &[u8] {
        &self.after
    }

    /// Looks at the next names. Returns true when the page is done.
    pub(super) fn look(&mut self, roll: &Roll, rng: &mut Rng) -> bool {
        let names = roll.names();
        let prefix = self.pattern.prefix().as_bytes().to_vec();
        let mut step = Step::default();
        for name in names.texts(&self.after, &prefix) {
            if step.is_over() {
                self.work += step.work();
                self.more = self.work >= MAX_PAGE_WORK;
                return self.more;
            }
            if !name.starts_with(&prefix) {
                return true;
            }
            step.does(NAME_WORK);
            if self.after == name {
                continue;
            }
            step.does(name.len() * self.pattern.words());
            if self.pattern.is_match(name) {
                if self.is_full() {
                    self.more = true;
                    return true;
                }
                step.does(self.add_entries(name, roll, rng));
            }
            self.after.clear();
            self.after.extend_from_slice(name);
        }
        true
    }

    /// Adds every content that a name stands for; as many as LOCATE would show. Returns the work that it was.
    fn add_entries(&mut self, name: &[u8], roll: &Roll, rng: &mut Rng) -> usize {
        let (names, contents) = (roll.names(), roll.contents());
        let mut pairs = names.meant_by(name, |crowd| rng.usize(..crowd));
        let work = pairs.len() * CONTENT_WORK;
        crowd::thin_out(roll, rng, &mut pairs, |pair| names.content(*pair));
        pairs.sort_by_cached_key(|pair: &PairRow| {
            let content = names.content(*pair);
            (*contents.id(content), contents.claim(content))
        });
        for pair in pairs {
            let content = names.content(pair);
            let ((seeders, leechers), claim) = (contents.counts(content), contents.claim(content));
            self.bytes += ENTRY_BYTES + name.len();
            self.entries.push(Entry {
                name: Name::new(String::from_utf8_lossy(name)),
                id: *contents.id(content),
                size: claim.size,
                total: claim.total,
                seeders: seeders as u32,
                leechers: leechers as u32,
                version: 0,
            });
        }
        work
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;
    use crate::content::FileId;
    use crate::wire::{FromTracker, List, Listing, Message};

    #[test]
    fn an_entry_takes_so_many_bytes_beside_its_name() {
        let (name, id) = (Name::new("abc"), FileId([1; 32]));
        let entry = Entry { name, id, size: 1, total: 1, seeders: 1, leechers: 1, version: 0 };
        let bytes = |entries| {
            let mut out = BytesMut::new();
            FromTracker::Listing(Listing { entries: List::new(entries), more: false }).put_body(&mut out);
            out.len()
        };
        assert_eq!(bytes(vec![entry]) - bytes(Vec::new()), ENTRY_BYTES + 3);
    }
}
