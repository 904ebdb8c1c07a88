//! Which content is meant by what the trackers found. Pure.

use std::collections::BTreeMap;

use crate::cli::Failure;
use crate::cli::units::{count, shown, size};
use crate::cli::what::What;
use crate::content::{FileId, Link, SafeName};
use crate::wire::Variant;

/// The content to fetch: one, or several trees under one name.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Choice {
    /// What it is called.
    pub(super) name: SafeName,
    /// Its ids.
    pub(super) ids: Vec<FileId>,
}

impl Choice {
    /// True if several trees become one folder.
    pub(super) fn is_union(&self) -> bool {
        self.ids.len() > 1
    }
}

/// Chooses. Two files under one name are not chosen between: they are listed.
pub(super) fn choose(what: &What, variants: Vec<Variant>) -> Result<Choice, Failure> {
    let name = name_of(what, &variants)?;
    let mut contents: BTreeMap<FileId, &Variant> = BTreeMap::new();
    for variant in &variants {
        contents.entry(variant.id).or_insert(variant);
    }
    if contents.len() > 1 && !name.is_tree() {
        return Err(ambiguous(&name, contents.values().copied()));
    }
    Ok(Choice { name, ids: contents.into_keys().collect() })
}

/// The name from the link, or the first the trackers know; it must be safe wherever it comes from.
fn name_of(what: &What, variants: &[Variant]) -> Result<SafeName, Failure> {
    if let What::Link(Link { name: Some(name), .. }) = what {
        return Ok(name.clone());
    }
    let name = variants.first().map_or("", |variant| &*variant.name);
    SafeName::new(name).map_err(|error| {
        Failure::other(format!(
            "the name `{}` from the network is refused: {error}; nothing was written",
            shown(name)
        ))
    })
}

fn ambiguous<'a>(name: &SafeName, contents: impl Iterator<Item = &'a Variant>) -> Failure {
    let line = |variant: &Variant| {
        let holders: Vec<_> = variant.holders.iter().take(3).map(|holder| shown(&holder.name)).collect();
        let seeders = count(u64::from(variant.seeders), "seeder");
        format!("\n  {}  {}  {seeders}  {}", variant.id, size(variant.total), holders.join(", "))
    };
    let lines: String = contents.map(line).collect();
    Failure::usage(format!("several contents are called {name}; ask for one of them by its id:{lines}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Exit;
    use crate::wire::{List, Name};

    fn variant(name: &str, content: &[u8]) -> Variant {
        Variant {
            name: Name::new(name),
            id: FileId::of(content),
            size: content.len() as u64,
            total: content.len() as u64,
            chunks: 1,
            seeders: 1,
            leechers: 0,
            original: true,
            agreed: true,
            modified: 0,
            holders: List::default(),
        }
    }

    fn named(name: &str) -> What {
        What::Name(SafeName::new(name).unwrap())
    }

    #[test]
    fn one_content_is_taken() {
        let choice = choose(&named("a"), vec![variant("a", b"x")]).unwrap();
        assert_eq!((choice.name.as_str(), choice.ids), ("a", vec![FileId::of(b"x")]));
    }

    #[test]
    fn two_files_under_one_name_are_listed() {
        let failure = choose(&named("a"), vec![variant("a", b"x"), variant("a", b"y")]).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        assert!(failure.to_string().contains(&FileId::of(b"y").to_string()));
    }

    #[test]
    fn two_trees_under_one_name_are_united() {
        let choice = choose(&named("a/"), vec![variant("a/", b"x"), variant("a/", b"y")]).unwrap();
        assert!(choice.is_union());
    }

    #[test]
    fn one_content_under_two_names_is_one() {
        let what = What::Id(FileId::of(b"x"));
        assert_eq!(choose(&what, vec![variant("a", b"x"), variant("b", b"x")]).unwrap().ids.len(), 1);
    }

    #[test]
    fn an_unsafe_name_is_refused() {
        let what = What::Id(FileId::of(b"x"));
        assert_eq!(choose(&what, vec![variant("../a", b"x")]).unwrap_err().exit, Exit::Other);
    }
}
