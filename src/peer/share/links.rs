//! The links that are followed: what happens where one leads, happens under its path too. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::record::{parent, range_at};
use super::scan::Followed;

/// Links, found from both their ends.
#[derive(Debug, Default)]
pub(super) struct Links {
    /// From the path that people see to where it leads.
    by_shown: BTreeMap<Arc<str>, Arc<str>>,
    /// From where they lead to the paths that people see.
    by_target: BTreeSet<(Arc<str>, Arc<str>)>,
}

impl Links {
    pub(super) fn new(links: Vec<Followed>) -> Links {
        let mut new = Links::default();
        links.into_iter().for_each(|link| new.enter(link));
        new
    }

    /// All links at `scope` and below it are these.
    pub(super) fn renew(&mut self, scope: &str, links: Vec<Followed>) {
        let old: Vec<_> = range_at(&self.by_shown, scope).map(|(shown, _)| shown.clone()).collect();
        for shown in old {
            if let Some(target) = self.by_shown.remove(&shown) {
                self.by_target.remove(&(target, shown));
            }
        }
        links.into_iter().for_each(|link| self.enter(link));
    }

    fn enter(&mut self, Followed { shown, target }: Followed) {
        if let Some(before) = self.by_shown.insert(shown.clone(), target.clone()) {
            self.by_target.remove(&(before, shown.clone()));
        }
        self.by_target.insert((target, shown));
    }

    /// The paths under which links show what lies at `path`, or something below it.
    pub(super) fn leading_to(&self, path: &str) -> Vec<Arc<str>> {
        let mut out = Vec::new();
        let mut target = path;
        while !target.is_empty() {
            let rest = &path[target.len()..];
            let shown = self.to(target).filter(|(at, _)| **at == *target);
            out.extend(shown.map(|(_, shown)| Arc::from(format!("{shown}{rest}"))));
            target = parent(target);
        }
        if !path.is_empty() {
            let below = format!("{path}/");
            let shown = self.to(&below).take_while(|(at, _)| at.starts_with(&below));
            out.extend(shown.map(|(_, shown)| shown.clone()));
        }
        out
    }

    /// Links by where they lead, from this path on.
    fn to(&self, target: &str) -> impl Iterator<Item = &(Arc<str>, Arc<str>)> {
        self.by_target.range((Arc::from(target), Arc::from(""))..)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn followed(links: &[(&str, &str)]) -> Vec<Followed> {
        let link = |(shown, target): &(&str, &str)| Followed {
            shown: Arc::from(*shown),
            target: Arc::from(*target),
        };
        links.iter().map(link).collect()
    }

    fn leading_to(links: &Links, path: &str) -> Vec<String> {
        let mut shown: Vec<String> = links.leading_to(path).iter().map(ToString::to_string).collect();
        shown.sort();
        shown
    }

    #[test]
    fn what_lies_at_above_and_below_a_target_is_shown_by_its_links() {
        let links = Links::new(followed(&[("l", "d"), ("m/f", "d/f"), ("n", "d-d"), ("k", "d"), ("up", "")]));
        assert_eq!(leading_to(&links, "d"), ["k", "l", "m/f"]);
        assert_eq!(leading_to(&links, "d/f"), ["k/f", "l/f", "m/f"]);
        assert_eq!(leading_to(&links, "d/f/g"), ["k/f/g", "l/f/g", "m/f/g"]);
        assert_eq!(leading_to(&links, "d-d/x"), ["n/x"]);
        assert_eq!(leading_to(&links, "d-"), [""; 0]);
        assert_eq!(leading_to(&links, ""), [""; 0], "everything is looked at anyway");
    }

    #[test]
    fn links_at_and_below_a_path_are_replaced_and_no_others() {
        let all = [("a", "x"), ("a/b", "x"), ("a-", "x"), ("a0", "x"), ("b", "x")];
        let mut links = Links::new(followed(&all));
        links.renew("a", followed(&[("a/c", "x"), ("b", "y")]));
        assert_eq!(leading_to(&links, "x"), ["a-", "a/c", "a0"]);
        assert_eq!(leading_to(&links, "y"), ["b"]);
        links.renew("a/", Vec::new());
        links.renew("", followed(&[("z", "x")]));
        assert_eq!(leading_to(&links, "x"), ["z"]);
        assert_eq!((links.by_shown.len(), links.by_target.len()), (1, 1));
    }
}
