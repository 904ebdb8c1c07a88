//! LIST: names that match a pattern, gathered a page at a time, and each page a step at a time.
//!
//! The value that carries the question remembers how far it came. Names that come or go meanwhile may be missed.

use super::contents::Contents;
use super::glob::Glob;
use super::names::Names;
use super::work::{NAME_WORK, Step};
use crate::wire::{Entry, Name, limits};

/// Bytes of entries after which a page is full: with the variants of one more name it is in a frame.
const PAGE_BYTES: usize = limits::MAX_FRAME_BYTES / 2;
/// Bytes of an entry beside its name.
const ENTRY_BYTES: usize = 2 + 32 + 8 + 8 + 4 + 4;

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
            entries: Vec::new(),
            more: false,
        }
    }

    fn is_full(&self) -> bool {
        self.entries.len() >= self.limit || self.bytes >= PAGE_BYTES
    }

    /// Looks at the next names. Returns true when the page is done.
    pub(super) fn look(&mut self, names: &Names, contents: &Contents) -> bool {
        let prefix = self.pattern.prefix().to_vec();
        let mut step = Step::default();
        for name in names.texts(&self.after, &prefix) {
            if step.is_over() {
                return false;
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
                self.add_entries(name, names, contents);
            }
            self.after.clear();
            self.after.extend_from_slice(name);
        }
        true
    }

    /// Adds every content that a name stands for; as many as LOCATE would show.
    fn add_entries(&mut self, name: &[u8], names: &Names, contents: &Contents) {
        for pair in names.meant_by(name, |_| 0).into_iter().take(limits::MAX_VARIANTS) {
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
            });
        }
    }
}
