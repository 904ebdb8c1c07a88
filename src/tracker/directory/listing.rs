//! LIST and near matches: questions that look at many names, answered a slice at a time.
//!
//! Each call looks at a bounded number of names, so that the lock is never held for long; the value
//! that carries the question remembers how far it came. Names that come or go meanwhile may be missed.

use std::collections::BTreeSet;

use super::Directory;
use super::glob::Glob;
use super::locate::MAX_VARIANTS_SEEN;
use crate::wire::{Entry, Name, limits};

/// Work of one call: about a third of a millisecond.
const SLICE_WORK: usize = 1 << 18;
/// Work of passing over a name, where looking at one of its bytes is 1.
const NAME_WORK: usize = 64;
/// Bytes of entries after which a page is full: with the variants of one more name it is in a frame.
const PAGE_BYTES: usize = limits::MAX_FRAME_BYTES / 2;
/// Bytes of an entry beside its name.
const ENTRY_BYTES: usize = 2 + 32 + 8 + 8 + 4 + 4;
/// Most work to find near matches: some fifty thousand names of common length.
const MAX_NEAR_WORK: usize = 16 * SLICE_WORK;

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
}

/// Near matches of a name that is not there, being gathered.
#[derive(Debug)]
pub struct Near {
    wanted: Vec<u8>,
    after: Vec<u8>,
    work: usize,
    best: BTreeSet<(u32, Vec<u8>)>,
}

impl Near {
    /// Looks for names like this one.
    pub fn new(wanted: &str) -> Near {
        Near {
            wanted: wanted.to_ascii_lowercase().into_bytes(),
            after: Vec::new(),
            work: 0,
            best: BTreeSet::new(),
        }
    }

    /// The names found, the nearest first.
    pub fn names(self) -> Vec<Name> {
        let text = |name: Vec<u8>| Name::new(String::from_utf8_lossy(&name).into_owned());
        self.best.into_iter().map(|(_, name)| text(name)).collect()
    }

    fn consider(&mut self, name: &[u8]) {
        let Some(score) = unlikeness(&self.wanted, name) else {
            return;
        };
        if self.best.len() < limits::MAX_NEAR || self.best.last().is_some_and(|(worst, _)| score < *worst) {
            self.best.insert((score, name.to_vec()));
        }
        if self.best.len() > limits::MAX_NEAR {
            self.best.pop_last();
        }
    }
}

impl Directory {
    /// Looks at the next names. Returns true when the page is done.
    pub fn list(&self, page: &mut Page) -> bool {
        let prefix = page.pattern.prefix().to_vec();
        let mut work = 0;
        for name in self.names.texts(&page.after, &prefix) {
            if work >= SLICE_WORK {
                return false;
            }
            if !name.starts_with(&prefix) {
                return true;
            }
            work += NAME_WORK + name.len() * page.pattern.words();
            let seen = page.after == name;
            if !seen && page.pattern.is_match(name) {
                if page.is_full() {
                    page.more = true;
                    return true;
                }
                self.add_entries(name, page);
            }
            page.after.clear();
            page.after.extend_from_slice(name);
        }
        true
    }

    /// Adds every content that a name stands for; as many as LOCATE would show.
    fn add_entries(&self, name: &[u8], page: &mut Page) {
        let mut pairs: Vec<u32> = self.names.with_name(name).take(MAX_VARIANTS_SEEN).collect();
        self.names.that_count(&mut pairs);
        for pair in pairs.into_iter().take(limits::MAX_VARIANTS) {
            let content = self.names.content(pair);
            let ((seeders, leechers), claim) = (self.contents.counts(content), self.contents.claim(content));
            page.bytes += ENTRY_BYTES + name.len();
            page.entries.push(Entry {
                name: Name::new(String::from_utf8_lossy(name)),
                id: *self.contents.id(content),
                size: claim.size,
                total: claim.total,
                seeders: seeders as u32,
                leechers: leechers as u32,
            });
        }
    }

    /// Looks at the next names. Returns true when the search is over.
    pub fn near(&self, near: &mut Near) -> bool {
        let mut work = 0;
        for name in self.names.texts(&near.after, b"") {
            if work >= SLICE_WORK {
                near.work += work;
                return near.work >= MAX_NEAR_WORK;
            }
            work += NAME_WORK + name.len();
            if near.after != name {
                near.consider(name);
                near.after.clear();
                near.after.extend_from_slice(name);
            }
        }
        true
    }
}

/// How unlike a name is to the one wanted (in ASCII lower case); `None` if they are not near.
fn unlikeness(wanted: &[u8], name: &[u8]) -> Option<u32> {
    /// Below this many bytes a name is a part of too many others to say anything.
    const MIN_PART: usize = 3;
    /// A part of the name is further off than the most typing errors.
    const PART: u32 = 10;
    let name = name.to_ascii_lowercase();
    let (wanted_base, name_base) = (base(wanted), base(&name));
    if wanted_base == name_base {
        return Some(0);
    }
    if let Some(errors) = typing_errors(wanted, &name).or_else(|| typing_errors(wanted_base, name_base)) {
        return Some(errors);
    }
    let part = |whole: &[u8], part: &[u8]| {
        part.len() >= MIN_PART && whole.windows(part.len()).any(|window| window == part)
    };
    let near = part(name_base, wanted_base) || part(wanted_base, name_base);
    near.then(|| PART + name.len().abs_diff(wanted.len()) as u32)
}

/// The last part of a name, without a tree's `/`.
pub(super) fn base(name: &[u8]) -> &[u8] {
    let path = name.strip_suffix(b"/").unwrap_or(name);
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

/// Bytes to add, take or change to get from one to the other, if they are few for the length.
fn typing_errors(a: &[u8], b: &[u8]) -> Option<u32> {
    /// Longer names are compared by their parts only.
    const MOST_BYTES: usize = 64;
    let most = match a.len() {
        0..3 => return None,
        3..6 => 1,
        6..12 => 2,
        _ => 3,
    };
    if a.len() > MOST_BYTES || b.len() > MOST_BYTES || a.len().abs_diff(b.len()) > most {
        return None;
    }
    // Row `i` of the table: the distance of the first `i` bytes of `a` from each beginning of `b`.
    let mut row: [u32; MOST_BYTES + 1] = std::array::from_fn(|at| at as u32);
    for (i, byte) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i as u32 + 1;
        for (at, other) in b.iter().enumerate() {
            let change = diagonal + u32::from(byte != other);
            diagonal = row[at + 1];
            row[at + 1] = change.min(diagonal + 1).min(row[at] + 1);
        }
        if row[..=b.len()].iter().all(|distance| *distance > most as u32) {
            return None;
        }
    }
    Some(row[b.len()]).filter(|distance| *distance <= most as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn likeness_has_three_grounds() {
        assert_eq!(unlikeness(b"a/report.pdf", b"b/c/Report.PDF"), Some(0), "the same base name");
        assert_eq!(unlikeness(b"reprot.pdf", b"x/report.pdf"), Some(2), "typing errors");
        assert_eq!(unlikeness(b"report", b"report-2024.pdf"), Some(19), "a part");
        assert_eq!(unlikeness(b"report", b"holiday.jpg"), None);
        assert_eq!(unlikeness(b"ab", b"cab.txt"), None);
    }
}
