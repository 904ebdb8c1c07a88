//! A part of a folder: the files that `--include` and `--exclude` leave of it, each fetched by its own id.
//!
//! The listing is fetched first, and proved by its id, so that the paths are those of one version.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::fetchers::Fetchers;
use super::job::Job;
use super::listing;
use super::summary::Summary;
use crate::cli::failure::{Failure, reason};
use crate::cli::reach::daemon::{Daemon, went_away};
use crate::cli::show::output;
use crate::cli::show::words::{count, shown, size};
use crate::cli::typed::args::GetArgs;
use crate::content::{FileId, Pattern, SafeName, Tree, TreeEntry, TreeKind};
use crate::peer::Want;
use crate::say;

/// A file of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Member {
    path: SafeName,
    size: u64,
    id: FileId,
}

/// Fetches what is wanted of the folder to `path`, or says that it would.
pub(super) fn fetch(
    job: &Job<'_>,
    path: &Path,
    by_daemon: bool,
    fetchers: &mut Fetchers<'_>,
) -> Result<Option<Summary>, Failure> {
    let GetArgs { include, exclude, dry_run, wait, .. } = job.args;
    let name = &job.choice.name;
    job.stop.graceful();
    let mut wanted = Vec::new();
    for id in &job.choice.ids {
        let tree = listing::fetch(fetchers.asking(job.trackers())?, *id, job.stop, *wait)?;
        wanted.extend(members(&tree, &|path, folder| is_wanted(include, exclude, path, folder)));
    }
    if wanted.is_empty() {
        return Err(Failure::not_found(format!(
            "nothing in {name} is what --include and --exclude leave of it"
        )));
    }
    if *dry_run {
        return would(job, path, &wanted).map(|()| None);
    }
    say::note(&format!("{} of {name}, {}", count(wanted.len() as u64, "file"), size(bytes(&wanted))));
    let mut summary = Summary::new(name, path);
    for member in &wanted {
        let to = place(path, &member.path)?;
        let full = format!("{}{}", name.as_str(), member.path.as_str());
        let called = SafeName::new(full).unwrap_or_else(|_| member.path.clone());
        let want = Want { id: member.id, name: called, size: Some(member.size), inside: None };
        match by_daemon {
            true => job.hand(want, Daemon::around(&to).ok_or_else(went_away)?, &to, &mut summary)?,
            false => job.run(want, &to, fetchers, &mut summary)?,
        }
    }
    Ok(Some(summary))
}

fn would(job: &Job<'_>, path: &Path, wanted: &[Member]) -> Result<(), Failure> {
    for member in wanted {
        let to = path.join(member.path.as_str()).to_string_lossy().into_owned();
        let name = format!("{}{}", job.choice.name.as_str(), member.path.as_str());
        let line = serde_json::json!({"would": {"name": name, "ids": [member.id.to_string()], "size": member.size, "path": to}});
        output::answer(job.args.json, &line, || {
            format!("would get {}, {}: {}", shown(&name), size(member.size), shown(&to))
        })?;
    }
    Ok(())
}

fn bytes(members: &[Member]) -> u64 {
    members.iter().map(|member| member.size).sum()
}

/// What of a folder's paths is wanted: what a pattern of `include` covers, or everything if there is none, but for what one
/// of `exclude` covers.
fn is_wanted(include: &[Pattern], exclude: &[Pattern], path: &str, is_folder: bool) -> bool {
    let covered = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.covers(path, is_folder));
    (include.is_empty() || covered(include)) && !covered(exclude)
}

/// The files of a tree that are wanted, each under every one of its names.
fn members(tree: &Tree, is_wanted: &dyn Fn(&str, bool) -> bool) -> Vec<Member> {
    let file = |of: &SafeName| {
        let found = tree.entries().iter().find(|entry| entry.path == *of);
        found.and_then(
            |entry| if let TreeKind::File { size, id, .. } = entry.kind { Some((size, id)) } else { None },
        )
    };
    let member = |TreeEntry { path, kind }: &TreeEntry| {
        let (size, id) = match kind {
            TreeKind::File { size, id, .. } => (*size, *id),
            TreeKind::HardLink(of) => file(of)?,
            TreeKind::Folder(_) | TreeKind::Link(_) => return None,
        };
        is_wanted(path.as_str(), false).then(|| Member { path: path.clone(), size, id })
    };
    tree.entries().iter().filter_map(member).collect()
}

/// Where a file goes; the folders on the way are made, and none of them may be a link.
fn place(root: &Path, path: &SafeName) -> Result<PathBuf, Failure> {
    let failed = |at: &Path, error: io::Error| {
        Failure::other(format!("cannot make the folder {}: {}", at.display(), reason(&error)))
    };
    let mut at = root.to_owned();
    fs::create_dir_all(&at).map_err(|error| failed(&at, error))?;
    let mut parts = path.as_str().split('/').peekable();
    while let Some(part) = parts.next() {
        at.push(part);
        if parts.peek().is_none() {
            break;
        }
        match fs::symlink_metadata(&at) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => return Err(Failure::other(format!("{} is in the way: it is no folder", at.display()))),
            Err(_) => fs::create_dir(&at).map_err(|error| failed(&at, error))?,
        }
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::{LeftOut, Looks};

    fn patterns(texts: &[&str]) -> Vec<Pattern> {
        texts.iter().map(|text| Pattern::new(text).unwrap()).collect()
    }

    fn tree() -> Tree {
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
        Tree::new(0o755, entries.map(entry).into(), LeftOut::default()).unwrap()
    }

    fn left(include: &[&str], exclude: &[&str]) -> Vec<String> {
        let (include, exclude) = (patterns(include), patterns(exclude));
        let members = members(&tree(), &|path, folder| is_wanted(&include, &exclude, path, folder));
        members.iter().map(|member| member.path.as_str().to_owned()).collect()
    }

    #[test]
    fn files_are_left_by_their_names_and_by_the_folders_they_are_in() {
        assert_eq!(left(&["*.jpg"], &[]), ["a.jpg", "d/c.jpg"]);
        assert_eq!(left(&[], &["d/"]), ["a.jpg", "b.txt"]);
        assert_eq!(left(&["d"], &["*.txt"]), ["d/c.jpg"]);
        assert_eq!(left(&["/*.jpg", "e.txt"], &[]), ["a.jpg", "d/e.txt"]);
        assert!(left(&["x"], &[]).is_empty());
    }

    #[test]
    fn folders_on_the_way_are_made_and_no_link_is_followed() {
        let root = tempfile::tempdir().unwrap();
        let name = |text: &str| SafeName::new(text).unwrap();
        assert_eq!(place(root.path(), &name("a/b/c")).unwrap(), root.path().join("a/b/c"));
        assert!(root.path().join("a/b").is_dir() && !root.path().join("a/b/c").exists());
        std::os::unix::fs::symlink("/", root.path().join("l")).unwrap();
        assert!(place(root.path(), &name("l/tmp/c")).is_err());
        assert!(place(root.path(), &name("l")).is_ok(), "what is in its own place, the fetch says");
    }
}
