//! What was acknowledged.

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;

use super::content::Content;

/// What things are uploaded as.
pub(crate) const NAMES: [&str; 4] = ["a.bin", "b.bin", "c/", "d/"];

/// Versions that are on record, and those that were removed.
#[derive(Debug, Default)]
pub(crate) struct Model {
    versions: BTreeMap<&'static str, BTreeMap<u32, Content>>,
    gone: BTreeSet<(&'static str, u32)>,
    /// The last number that a name's versions were given.
    last: BTreeMap<&'static str, u32>,
}

impl Model {
    /// The number and content of the latest version.
    pub(crate) fn latest(&self, name: &str) -> Option<(u32, &Content)> {
        self.versions.get(name)?.last_key_value().map(|(number, content)| (*number, content))
    }

    /// An upload was acknowledged with this number. Numbers count up, and the latest content again makes none.
    #[track_caller]
    pub(crate) fn stored(&mut self, name: &'static str, content: Content, number: u32, fresh: bool) {
        // Numbering goes with the last version of a name, and no sooner.
        let last = self.latest(name).and(self.last.get(name)).copied().unwrap_or(0);
        match self.latest(name) {
            Some((latest, same)) if *same == content => {
                assert_eq!(number, latest, "{name}: the same content again is the same version");
            }
            latest => {
                assert!(fresh, "{name}: version {number} is new");
                if latest.is_some() {
                    assert_eq!(number, last + 1, "{name}: versions count up, over what was removed");
                }
            }
        }
        self.last.insert(name, number.max(last));
        self.gone.remove(&(name, number)); // it may have been given before numbering began anew
        self.versions.entry(name).or_default().insert(number, content);
    }

    /// A version was removed.
    pub(crate) fn removed(&mut self, name: &'static str, number: u32) {
        if let Some(versions) = self.versions.get_mut(name) {
            versions.remove(&number);
            if versions.is_empty() {
                self.versions.remove(name);
            }
        }
        self.gone.insert((name, number));
    }

    /// Any version.
    pub(crate) fn any(&self, rng: &mut Rng) -> Option<(&'static str, u32, Content)> {
        let (name, number, content) = rng.choice(self.all().collect::<Vec<_>>())?;
        Some((name, number, content.clone()))
    }

    /// All versions.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&'static str, u32, &Content)> {
        let versions = self.versions.iter();
        versions.flat_map(|(name, all)| all.iter().map(|(number, content)| (*name, *number, content)))
    }

    /// The numbers of a name's versions, the latest first.
    pub(crate) fn numbers(&self, name: &str) -> Vec<u32> {
        self.versions.get(name).map_or_else(Vec::new, |all| all.keys().rev().copied().collect())
    }

    /// What was removed and is not there again.
    pub(crate) fn gone(&self) -> impl Iterator<Item = &(&'static str, u32)> {
        self.gone.iter()
    }
}
