//! A part of a folder, which `--include` and `--exclude` leave of it: what would be fetched, file by file.
//!
//! The listing is fetched for that, and proved by its id, so that the paths are those of one version.

use std::path::Path;

use super::choice::Choice;
use super::listing;
use crate::cli::failure::Failure;
use crate::cli::run::signals::Stop;
use crate::cli::show::output;
use crate::cli::show::words::{shown, size};
use crate::cli::typed::args::GetArgs;
use crate::content::{FileId, Filter, SafeName, Tree, TreeEntry};
use crate::peer::Peer;

/// A file of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Member {
    path: SafeName,
    size: u64,
    id: FileId,
}

/// Says what would be fetched of the folder to `path`.
pub(super) fn would(
    peer: &Peer,
    choice: &Choice,
    path: &Path,
    args: &GetArgs,
    stop: &Stop,
) -> Result<(), Failure> {
    let name = &choice.name;
    let mut wanted = Vec::new();
    for id in &choice.ids {
        let tree = listing::fetch(peer, *id, stop, args.wait)?;
        wanted.extend(members(&tree, &choice.filter));
    }
    if wanted.is_empty() {
        return Err(Failure::not_found(format!(
            "nothing in {name} is what --include and --exclude leave of it"
        )));
    }
    for Member { path: inside, size: bytes, id } in &wanted {
        let to = path.join(inside.as_str()).to_string_lossy().into_owned();
        let name = format!("{}{}", name.as_str(), inside.as_str());
        let line =
            serde_json::json!({"would": {"name": name, "ids": [id.to_string()], "size": bytes, "path": to}});
        output::answer(args.json, &line, || {
            format!("would get {}, {}: {}", shown(&name), size(*bytes), shown(&to))
        })?;
    }
    Ok(())
}

/// The files of a tree that are wanted, each under every one of its names.
fn members(tree: &Tree, filter: &Filter) -> Vec<Member> {
    let member = |entry: &TreeEntry| {
        let (size, id) = tree.content_of(entry)?;
        let path = &entry.path;
        filter.takes(path.as_str(), false).then(|| Member { path: path.clone(), size, id })
    };
    tree.entries().iter().filter_map(member).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::{LeftOut, Looks, TreeKind};

    #[test]
    fn files_are_left_under_each_of_their_names() {
        let looks = Looks { mode: 0o644, mtime_ns: 0 };
        let file = |content: &str| TreeKind::File { looks, size: 1, id: FileId::of(content.as_bytes()) };
        let entries = [
            ("a.jpg", file("1")),
            ("b.txt", TreeKind::HardLink(SafeName::new("a.jpg").unwrap())),
            ("d", TreeKind::Folder(looks)),
            ("d/c.jpg", file("2")),
            ("d/e.txt", file("3")),
            ("l", TreeKind::Link("d".into())),
        ];
        let entry = |(path, kind)| TreeEntry { path: SafeName::new(path).unwrap(), kind };
        let tree = Tree::new(0o755, entries.map(entry).into(), LeftOut::default()).unwrap();
        let left = |filter: &Filter| {
            let members = members(&tree, filter);
            members.iter().map(|member| member.path.as_str().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(left(&Filter::default()), ["a.jpg", "b.txt", "d/c.jpg", "d/e.txt"]);
        let exclude = vec!["d/".parse().unwrap()];
        assert_eq!(left(&Filter { exclude, ..Filter::default() }), ["a.jpg", "b.txt"]);
    }
}
