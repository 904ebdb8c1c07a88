//! LIST over what is published and what is registered, as one page: a published name is what was published last under it,
//! whatever others register under it.

use std::collections::BTreeSet;
use std::ops::Bound;

use super::stores;
use crate::tracker::directory::{Directory, Glob, MAX_PAGE_WORK, NAME_WORK, PAGE_BYTES, Page, Step};
use crate::tracker::records::Records;
use crate::tracker::shared::Shared;
use crate::wire::{self, Entry, List, Name, Version, limits};

/// A page that is being gathered.
#[derive(Debug)]
pub(super) struct Listing {
    published: Names,
    registered: Page,
}

/// Published names of a page that is being gathered.
#[derive(Debug)]
struct Names {
    pattern: Glob,
    limit: usize,
    /// The last name looked at.
    after: String,
    found: Vec<(String, Version)>,
    bytes: usize,
    work: usize,
    /// All were looked at, or the page is full.
    done: bool,
    /// True if a full page ended before the names did.
    more: bool,
}

impl Names {
    /// Looks at the next names; true when all are done that belong to the page.
    fn look(&mut self, records: &Records) -> bool {
        let prefix = self.pattern.prefix().to_owned();
        let start = match self.after < prefix {
            true => Bound::Included(prefix.as_str()),
            false => Bound::Excluded(self.after.as_str()),
        };
        let mut step = Step::default();
        let mut after = None;
        self.done = true;
        for (name, version) in records.names(start).take_while(|(name, _)| name.as_str().starts_with(&prefix))
        {
            if step.is_over() {
                self.more = self.work + step.work() >= MAX_PAGE_WORK;
                self.done = self.more;
                break;
            }
            let name = name.as_str();
            step.does(NAME_WORK + name.len() * self.pattern.words());
            if self.pattern.is_match(name.as_bytes()) {
                if self.found.len() >= self.limit || self.bytes >= PAGE_BYTES {
                    self.more = true;
                    break;
                }
                self.bytes += name.len();
                self.found.push((name.to_owned(), version.clone()));
            }
            after = Some(name);
        }
        if let Some(after) = after {
            self.after = after.to_owned();
        }
        self.work += step.work();
        self.done
    }
}

impl Listing {
    /// A page of about `limit` names that match `pattern` and come after `after`.
    pub(super) fn new(pattern: &str, after: &str, limit: usize) -> Listing {
        let published = Names {
            pattern: Glob::new(pattern),
            limit: limit.clamp(1, limits::MAX_ENTRIES),
            after: after.to_owned(),
            found: Vec::new(),
            bytes: 0,
            work: 0,
            done: false,
            more: false,
        };
        Listing { published, registered: Page::new(pattern, after, limit) }
    }

    /// Looks at the next published names; true when there are no more for this page.
    pub(super) fn look_at_published(&mut self, records: &Records) -> bool {
        self.published.done || self.published.look(records)
    }

    /// Looks at the next registered names; true when there are no more for this page.
    pub(super) fn look_at_registered(&mut self, directory: &mut Directory) -> bool {
        directory.list(&mut self.registered)
    }

    /// The page; `None` if all of its work was done without a name to go on from.
    pub(super) fn page(self, shared: &Shared) -> Option<wire::Listing> {
        let Listing { published, registered } = self;
        // Behind where one of them ended there may be more of it.
        let ends = [(published.more, published.after.as_bytes()), (registered.more, registered.reached())];
        let end = ends.iter().filter(|(more, _)| *more).map(|(_, end)| *end).min();
        let within = |name: &str| end.is_none_or(|end| name.as_bytes() <= end);
        let names: BTreeSet<&str> = published.found.iter().map(|(name, _)| name.as_str()).collect();
        let more = end.is_some();
        let others = registered.entries.iter().filter(|entry| !names.contains(&*entry.name)).cloned();
        let found = published.found.iter().map(|(name, version)| entry(name, version, shared));
        let mut all: Vec<Entry> = others.chain(found).filter(|entry| within(&entry.name)).collect();
        all.sort_by(|a, b| (&*a.name, a.id).cmp(&(&*b.name, b.id)));
        let cut = cut(&all, published.limit);
        let cut_short = cut < all.len();
        all.truncate(cut);
        (!more || !all.is_empty()).then(|| wire::Listing { entries: List::new(all), more: more || cut_short })
    }
}

/// How many of these make a page, which ends between two names.
fn cut(entries: &[Entry], limit: usize) -> usize {
    let mut bytes = 0;
    for (at, pair) in entries.windows(2).enumerate() {
        bytes += pair[0].name.len();
        if (at + 1 >= limit || bytes >= PAGE_BYTES) && *pair[0].name != *pair[1].name {
            return at + 1;
        }
    }
    entries.len()
}

/// What is listed of a published name.
fn entry(name: &str, version: &Version, shared: &Shared) -> Entry {
    let peers = shared.lock().counts(&version.id, &version.claim(name));
    let stores = stores::counts(shared, (version.id, Version::view(name)), version.chunks);
    Entry {
        name: Name::new(name),
        id: version.id,
        size: version.size,
        total: version.total,
        seeders: peers.0 + stores.0,
        leechers: peers.1 + stores.1,
        version: version.number,
    }
}

#[cfg(test)]
mod tests;
