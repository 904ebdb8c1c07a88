//! Several peers share different trees under one name: asked to, they become one folder if no path says otherwise,
//! and no hidden file is in some of them only: among many, nobody would look for it.

use std::collections::BTreeMap;

use super::choice::Choice;
use super::listing;
use crate::cli::failure::Failure;
use crate::cli::run::signals::Stop;
use crate::cli::typed::values::Patience;
use crate::content::{FileId, SafeName, Tree, TreeEntry, TreeKind};
use crate::peer::Peer;

/// Most conflicts listed.
const MAX_LISTED: usize = 20;

/// Fetches the listings and refuses if two of them have different files at one path.
pub(super) fn check(peer: &Peer, choice: &Choice, stop: &Stop, patience: Patience) -> Result<(), Failure> {
    let listing = |id: &FileId| listing::fetch(peer, *id, stop, patience);
    let trees = choice.ids.iter().map(listing).collect::<Result<Vec<_>, _>>()?;
    let conflicts = conflicts(&trees);
    if conflicts.is_empty() {
        return Ok(());
    }
    let rest = conflicts.len().saturating_sub(MAX_LISTED);
    let more = if rest > 0 { format!("\n  and {rest} more") } else { String::new() };
    let paths: String = conflicts.iter().take(MAX_LISTED).map(|path| format!("\n  {path}")).collect();
    let ids: String = choice.ids.iter().map(|id| format!("\n  {id}")).collect();
    Err(Failure::usage(format!(
        "several folders are called {}, and they differ at:{paths}{more}\nask for one of them by its id:{ids}",
        choice.name
    )))
}

/// What is at a path, if it is no folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content<'a> {
    File(FileId),
    Link(&'a str),
}

/// The contents of a tree by path; none for folders.
fn contents(tree: &Tree) -> BTreeMap<&SafeName, Option<Content<'_>>> {
    let mut contents = BTreeMap::new();
    for TreeEntry { path, kind } in tree.entries() {
        let content = match kind {
            TreeKind::Folder(_) => None,
            TreeKind::File { id, .. } => Some(Content::File(*id)),
            TreeKind::Link(target) => Some(Content::Link(target)),
            // The file comes before its other names.
            TreeKind::HardLink(of) => contents.get(of).copied().flatten(),
        };
        contents.insert(path, content);
    }
    contents
}

/// Paths at which the trees cannot be united: different files, a file where another tree has a folder, or
/// something hidden that not all have.
fn conflicts(trees: &[Tree]) -> Vec<SafeName> {
    let mut all: BTreeMap<&SafeName, Option<Content<'_>>> = BTreeMap::new();
    let mut bad = std::collections::BTreeSet::new();
    for (path, content) in trees.iter().flat_map(contents) {
        if *all.entry(path).or_insert(content) != content {
            bad.insert(path.clone());
        }
    }
    let mut hidden: BTreeMap<&SafeName, usize> = BTreeMap::new();
    let entries = trees.iter().flat_map(Tree::entries);
    for entry in entries.filter(|entry| entry.path.as_str().split('/').any(|part| part.starts_with('.'))) {
        *hidden.entry(&entry.path).or_default() += 1;
    }
    bad.extend(
        hidden.into_iter().filter(|(_, in_trees)| *in_trees < trees.len()).map(|(path, _)| path.clone()),
    );
    bad.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::{LeftOut, Looks};

    /// A tree of files with these contents; what has none is a folder.
    fn tree(entries: &[(&str, &str)]) -> Tree {
        let looks = Looks { mode: 0o644, mtime_ns: 0 };
        let entry = |(path, content): &(&str, &str)| TreeEntry {
            path: SafeName::new(*path).unwrap(),
            kind: if content.is_empty() {
                TreeKind::Folder(looks)
            } else {
                let (size, id) = (content.len() as u64, FileId::of(content.as_bytes()));
                TreeKind::File { looks, size, id }
            },
        };
        Tree::new(0o755, entries.iter().map(entry).collect(), LeftOut::default()).unwrap()
    }

    fn between(a: &[(&str, &str)], b: &[(&str, &str)]) -> Vec<String> {
        conflicts(&[tree(a), tree(b)]).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn equal_and_separate_paths_unite() {
        assert!(
            between(
                &[("a", "x"), ("d", ""), ("d/b", "y")],
                &[("a", "x"), ("d", ""), ("d/c", "z"), ("e", "")]
            )
            .is_empty()
        );
        assert!(between(&[("d", "")], &[("d", ""), ("d/c", "z")]).is_empty());
    }

    #[test]
    fn what_is_hidden_must_be_in_all() {
        assert!(between(&[(".a", "x"), ("b", "y")], &[(".a", "x")]).is_empty());
        assert_eq!(
            between(&[("d", ""), ("d/.git", ""), ("d/.git/hook", "x")], &[("d", ""), (".b", "")]),
            [".b", "d/.git", "d/.git/hook"]
        );
    }

    #[test]
    fn different_files_and_files_for_folders_do_not() {
        assert_eq!(between(&[("a", "x"), ("b", "x")], &[("a", "y"), ("b", "x")]), ["a"]);
        assert_eq!(between(&[("d", "x")], &[("d", ""), ("d/c", "z")]), ["d"]);
        assert_eq!(between(&[("d", "x")], &[("d", "")]), ["d"]);
    }
}
