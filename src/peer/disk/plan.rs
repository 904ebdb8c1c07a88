//! What a transfer makes: its distinct files, the names they get, folders and links; and how it may treat what is
//! there. All of it is known before anything is touched, and does not change.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::content::{
    ChunkSet, FileId, Filter, Geometry, Layout, LeftOut, Looks, Missing, Reason, Run, SafeName, Tree,
    TreeError, TreeKind, leads_inside,
};

/// How a destination is treated.
#[derive(Debug, Clone, Copy)]
pub(in crate::peer) struct Manner {
    /// Different files that are in the way are replaced.
    pub(in crate::peer) force: bool,
    /// What is put there is noted.
    pub(in crate::peer) noted: bool,
    /// What was put there before, and nobody changed, is replaced.
    pub(in crate::peer) own: bool,
    /// What was put there before, and nobody changed, goes to the trash if it is not put there again.
    pub(in crate::peer) delete: bool,
    /// A file gets the mode and time that its sources say, where no listing says them.
    pub(in crate::peer) told: bool,
    /// A finished file is on the disk, not only in memory, before it gets its name.
    pub(in crate::peer) fsync: bool,
}

/// One path that a file of the transfer gets.
#[derive(Debug)]
pub(super) struct Name {
    pub(super) path: String,
    /// Its mode and time, if a listing says them.
    pub(super) looks: Option<Looks>,
    /// Its number among all names of the plan.
    pub(super) number: usize,
}

/// One more name of a file that has one already.
#[derive(Debug)]
pub(super) struct HardLink {
    pub(super) name: Name,
    /// The path of the file.
    pub(super) of: String,
    /// Which file it is.
    pub(super) file: usize,
}

/// One distinct file of the transfer.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) id: FileId,
    pub(super) geometry: Geometry,
    pub(super) names: Vec<Name>,
}

/// What to fetch and how to name it.
#[derive(Debug)]
pub(in crate::peer) struct Plan {
    pub(in crate::peer) layout: Arc<Layout>,
    pub(super) slots: Vec<Slot>,
    /// The folders, each before what is in it.
    pub(in crate::peer) folders: Vec<(String, Looks)>,
    /// Symbolic links, and what is written in them.
    pub(super) links: Vec<(String, String)>,
    pub(super) hard_links: Vec<HardLink>,
    /// The mode of the destination itself, if it is made for this.
    pub(super) root_mode: Option<u16>,
    /// What the source has and nobody can fetch.
    pub(in crate::peer) left_out: LeftOut,
    /// The tree's name, if it is one.
    pub(super) named: Option<String>,
    /// It is not all that the tree lists, and other parts of it may lie there.
    pub(super) filtered: bool,
}

impl Plan {
    /// One file, as `name` in the destination folder.
    pub(in crate::peer) fn file(id: FileId, geometry: Geometry, name: &str) -> Option<Plan> {
        let layout = Arc::new(Layout::new(vec![geometry])?);
        let name = Name { path: name.to_owned(), looks: None, number: 0 };
        let slots = vec![Slot { id, geometry, names: vec![name] }];
        let (folders, links, hard_links) = (Vec::new(), Vec::new(), Vec::new());
        let left_out = LeftOut::default();
        let (root_mode, named, filtered) = (None, None, false);
        Some(Plan { layout, slots, folders, links, hard_links, root_mode, left_out, named, filtered })
    }

    /// Each path that a file gets, and which file it is, in order of paths.
    pub(in crate::peer) fn files_by_path(&self) -> Vec<(String, usize)> {
        let files = self.slots.iter().enumerate();
        let named =
            files.flat_map(|(file, slot)| slot.names.iter().map(move |name| (name.path.clone(), file)));
        let linked = self.hard_links.iter().map(|link| (link.name.path.clone(), link.file));
        let mut paths: Vec<_> = named.chain(linked).collect();
        paths.sort_unstable();
        paths
    }

    /// All that a tree lists.
    pub(in crate::peer) fn tree(tree: &Tree) -> Result<Plan, TreeError> {
        Plan::placed(tree, tree.mode(), &|path| Some(path.to_owned()))
    }

    /// What a filter takes of a tree, with the folders that it lies in. `None` if that is nothing.
    pub(in crate::peer) fn filtered(tree: &Tree, filter: &Filter) -> Result<Option<Plan>, TreeError> {
        let mut taken = HashSet::new();
        let mut any = false;
        for entry in tree.entries() {
            let (path, is_folder) = (entry.path.path(), matches!(entry.kind, TreeKind::Folder(_)));
            if filter.takes(path, is_folder) {
                any |= !is_folder;
                taken.insert(path);
                taken.extend(path.match_indices('/').map(|(end, _)| &path[..end]).filter(|_| !is_folder));
            }
        }
        let plan = Plan::placed(tree, tree.mode(), &|path| taken.contains(path).then(|| path.to_owned()))?;
        let missing = plan.left_out.named().iter().filter(|missing| filter.takes(&missing.path, false));
        let left_out = LeftOut::new(missing.cloned());
        Ok(any.then_some(Plan { left_out, filtered: true, ..plan }))
    }

    /// What a tree has at a path: the file there, as `name` in the destination folder, or all that is in the folder
    /// there, if the path ends with `/`. `None` if there is no such.
    pub(in crate::peer) fn part(tree: &Tree, at: &SafeName, name: &str) -> Result<Option<Plan>, TreeError> {
        let entry = tree.entries().iter().find(|entry| entry.path.path() == at.path());
        match (entry.map(|entry| &entry.kind), at.is_tree()) {
            (Some(TreeKind::Folder(looks)), true) => {
                let within = |path: &str| Some(path.strip_prefix(at.path())?.strip_prefix('/')?.to_owned());
                Plan::placed(tree, looks.mode, &within).map(Some)
            }
            (Some(TreeKind::File { .. } | TreeKind::HardLink(_)), false) => {
                let file = |path: &str| (path == at.path()).then(|| name.to_owned());
                let plan = Plan::placed(tree, tree.mode(), &file)?;
                Ok(Some(Plan { root_mode: None, left_out: LeftOut::default(), ..plan }))
            }
            _ => Ok(None),
        }
    }

    /// What a tree lists, where `place` puts it; what it puts nowhere has its chunks in the layout, and no name.
    fn placed(tree: &Tree, mode: u16, place: &dyn Fn(&str) -> Option<String>) -> Result<Plan, TreeError> {
        let members = tree.layout()?;
        let mut slots: Vec<Slot> = members
            .ids
            .iter()
            .zip(members.layout.files())
            .map(|(id, geometry)| Slot { id: *id, geometry: *geometry, names: Vec::new() })
            .collect();
        let (mut folders, mut links, mut hard_links) = (Vec::new(), Vec::new(), Vec::new());
        // How a file looks, all its names share.
        let mut looks_of = HashMap::new();
        let mut numbers = 0..;
        let mut name = |path, looks| Name { path, looks, number: numbers.next().unwrap_or_default() };
        let mut outside = Vec::new();
        for (entry, file) in tree.entries().iter().zip(&members.file_of) {
            if let TreeKind::File { looks, .. } = &entry.kind {
                looks_of.insert(entry.path.as_str(), *looks);
            }
            let Some(path) = place(entry.path.as_str()) else { continue };
            match (&entry.kind, *file) {
                (TreeKind::Folder(looks), _) => folders.push((path, *looks)),
                // Of a part it may lead out, though not of the whole.
                (TreeKind::Link(target), _) if leads_inside(&path, target) => {
                    links.push((path, target.to_string()));
                }
                (TreeKind::Link(_), _) => outside.push(Missing { path, reason: Reason::Outside }),
                (TreeKind::File { looks, .. }, Some(file)) => {
                    slots[file].names.push(name(path, Some(*looks)));
                }
                (TreeKind::HardLink(of), Some(file)) => {
                    let name = name(path, looks_of.get(of.as_str()).copied());
                    match place(of.as_str()) {
                        Some(of) => hard_links.push(HardLink { name, of, file }),
                        None => slots[file].names.push(name),
                    }
                }
                (TreeKind::File { .. } | TreeKind::HardLink(_), None) => return Err(TreeError::HardLink),
            }
        }
        let (layout, root_mode) = (Arc::new(members.layout), Some(mode));
        let left_out = if outside.is_empty() { tree.left_out().clone() } else { LeftOut::new(outside) };
        let (named, filtered) = (None, false);
        Ok(Plan { layout, slots, folders, links, hard_links, root_mode, left_out, named, filtered })
    }

    /// With the tree's name.
    pub(in crate::peer) fn named(self, name: &str) -> Plan {
        Plan { named: Some(name.to_owned()), ..self }
    }

    /// Every file's path with what is put there.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, FileId)> {
        let files = self.slots.iter().flat_map(|slot| slot.names.iter().map(|name| (&*name.path, slot.id)));
        files.chain(self.hard_links.iter().map(|link| (&*link.name.path, self.slots[link.file].id)))
    }

    /// Every path that a file or a symbolic link gets.
    pub(super) fn paths(&self) -> HashSet<&str> {
        let links = self.links.iter().map(|(path, _)| &**path);
        self.all().map(|(path, _)| path).chain(links).collect()
    }

    /// All names that files get, the first of each before its others.
    pub(super) fn names(&self) -> impl Iterator<Item = &Name> {
        let others = self.hard_links.iter().map(|link| &link.name);
        self.slots.iter().flat_map(|slot| &slot.names).chain(others)
    }

    /// The file's id.
    pub(in crate::peer) fn id_of(&self, file: usize) -> FileId {
        self.slots[file].id
    }

    /// How many distinct files there are.
    pub(in crate::peer) fn files(&self) -> usize {
        self.slots.len()
    }

    /// How many of them are made.
    pub(in crate::peer) fn files_made(&self) -> usize {
        self.slots.iter().filter(|slot| !slot.names.is_empty()).count()
    }

    /// The chunks of the files that are made.
    pub(in crate::peer) fn wanted(&self) -> ChunkSet {
        let mut wanted = ChunkSet::empty(self.layout.chunks());
        let made = self.slots.iter().enumerate().filter(|(_, slot)| !slot.names.is_empty());
        made.for_each(|(file, slot)| {
            wanted.add_runs(&[Run::new(self.layout.first_of(file), slot.geometry.chunks())]);
        });
        wanted
    }
}

impl Slot {
    pub(super) fn label(&self) -> &str {
        self.names.first().map_or("a file", |name| &name.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::TreeEntry;

    const LOOKS: Looks = Looks { mode: 0o644, mtime_ns: 1 };

    #[test]
    fn a_tree_is_planned_with_all_its_names() {
        let file = |byte| TreeKind::File { looks: LOOKS, size: 5, id: FileId([byte; 32]) };
        let entries = [
            ("a", file(1)),
            ("b", file(1)),
            ("c", TreeKind::HardLink(SafeName::new("a").unwrap())),
            ("d", TreeKind::Folder(LOOKS)),
            ("d/e", file(2)),
            ("l", TreeKind::Link("d/e".into())),
        ];
        let entry = |(path, kind)| TreeEntry { path: SafeName::new(path).unwrap(), kind };
        let tree = Tree::new(0o750, entries.map(entry).into(), LeftOut::default()).unwrap();
        let plan = Plan::tree(&tree).unwrap();
        assert_eq!((plan.files(), plan.root_mode, plan.named.as_deref()), (2, Some(0o750), None));
        assert_eq!(plan.folders, [("d".to_owned(), LOOKS)]);
        assert_eq!(plan.links, [("l".to_owned(), "d/e".to_owned())]);
        let one = plan.slots.iter().position(|slot| slot.id == FileId([1; 32])).unwrap();
        assert_eq!((plan.id_of(one), plan.slots[one].label()), (FileId([1; 32]), "a"));
        let link = &plan.hard_links[0];
        assert_eq!((&*link.of, link.file, &*link.name.path, link.name.looks), ("a", one, "c", Some(LOOKS)));
        let mut numbers: Vec<usize> = plan.names().map(|name| name.number).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, [0, 1, 2, 3]);
        let mut all: Vec<(&str, u8)> = plan.all().map(|(path, id)| (path, id.0[0])).collect();
        all.sort_unstable();
        assert_eq!(all, [("a", 1), ("b", 1), ("c", 1), ("d/e", 2)]);
        assert_eq!(plan.paths(), HashSet::from(["a", "b", "c", "d/e", "l"]));
        assert_eq!(plan.named("t/").named.as_deref(), Some("t/"));
    }

    /// The files of a part with their names, folders, links and hard links, in a line; and what is left out.
    fn part(at: &str) -> Option<String> {
        let file = |byte| TreeKind::File { looks: LOOKS, size: 5, id: FileId([byte; 32]) };
        let hard = |of| TreeKind::HardLink(SafeName::new(of).unwrap());
        let entries = [
            ("a", file(1)),
            ("d", TreeKind::Folder(Looks { mode: 0o700, ..LOOKS })),
            ("d/b", file(2)),
            ("d/e", TreeKind::Folder(LOOKS)),
            ("d/e/in", TreeKind::Link("../b".into())),
            ("d/e/out", TreeKind::Link("../../a".into())),
            ("d/h", hard("d/b")),
            ("d/i", hard("a")),
            ("dx", file(3)),
        ];
        let entry = |(path, kind)| TreeEntry { path: SafeName::new(path).unwrap(), kind };
        let tree = Tree::new(0o750, entries.map(entry).into(), LeftOut::default()).unwrap();
        let plan = Plan::part(&tree, &SafeName::new(at).unwrap(), "new").unwrap()?;
        assert_eq!(plan.layout.chunks(), 3, "chunks are numbered as in the whole");
        assert_eq!(plan.wanted().count() as usize, plan.files_made());
        let mut all: Vec<String> = plan.all().map(|(path, id)| format!("{path}={}", id.0[0])).collect();
        all.sort();
        let folders = plan.folders.iter().map(|(path, _)| format!("{path}/"));
        let links = plan.links.iter().map(|(path, target)| format!("{path}>{target}"));
        let hard = plan.hard_links.iter().map(|link| format!("{}~{}", link.name.path, link.of));
        let out = plan.left_out.named().iter().map(|missing| format!("!{}", missing.path));
        let mode = plan.root_mode.map(|mode| format!("{mode:o}"));
        Some(
            all.into_iter()
                .chain(folders)
                .chain(links)
                .chain(hard)
                .chain(out)
                .chain(mode)
                .collect::<Vec<_>>()
                .join(" "),
        )
    }

    #[test]
    fn a_part_is_a_file_or_all_of_a_folder() {
        assert_eq!(part("d/b").as_deref(), Some("new=2"));
        assert_eq!(part("d/i").as_deref(), Some("new=1"), "a file by another name");
        assert_eq!(part("d/").as_deref(), Some("b=2 h=2 i=1 e/ e/in>../b h~b !e/out 700"));
        assert_eq!(part("d/e/").as_deref(), Some("!in !out 644"));
        for none in ["d", "a/", "x", "d/e/in", "d/x/"] {
            assert_eq!(part(none), None, "{none}");
        }
    }

    #[test]
    fn a_filter_leaves_files_with_the_folders_on_the_way_to_them() {
        let file = |byte| TreeKind::File { looks: LOOKS, size: 5, id: FileId([byte; 32]) };
        let entries = [
            ("a.jpg", file(1)),
            ("b.txt", TreeKind::HardLink(SafeName::new("a.jpg").unwrap())),
            ("d", TreeKind::Folder(LOOKS)),
            ("d/c.jpg", file(2)),
            ("d/e", TreeKind::Folder(LOOKS)),
            ("d/e/f.txt", file(3)),
            ("l", TreeKind::Link("d".into())),
        ];
        let entry = |(path, kind)| TreeEntry { path: SafeName::new(path).unwrap(), kind };
        let missing = |path: &str| Missing { path: path.to_owned(), reason: Reason::Changing };
        let left_out = LeftOut::new([missing("d/g.jpg"), missing("h.txt")]);
        let tree = Tree::new(0o750, entries.map(entry).into(), left_out).unwrap();
        let left = |include: &[&str], exclude: &[&str]| {
            let all = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
            let filter = Filter { include: all(include), exclude: all(exclude) };
            let plan = Plan::filtered(&tree, &filter).unwrap()?;
            assert_eq!(plan.layout.chunks(), 3, "chunks are numbered as in the whole");
            let folders = plan.folders.iter().map(|(path, _)| format!("{path}/"));
            let mut paths: Vec<String> = plan.paths().into_iter().map(str::to_owned).chain(folders).collect();
            paths.extend(plan.left_out.named().iter().map(|missing| format!("!{}", missing.path)));
            paths.sort();
            Some((paths.join(" "), plan.wanted().count()))
        };
        let is = |left: Option<(String, u32)>, paths: &str, wanted| {
            assert_eq!(left, Some((paths.to_owned(), wanted)));
        };
        is(left(&["*.jpg"], &[]), "!d/g.jpg a.jpg d/ d/c.jpg", 2);
        is(left(&["*.txt"], &[]), "!h.txt b.txt d/ d/e/ d/e/f.txt", 2);
        is(left(&[], &["d/"]), "!h.txt a.jpg b.txt l", 1);
        is(left(&["d"], &["*.txt"]), "!d/g.jpg d/ d/c.jpg d/e/", 1);
        assert_eq!(left(&["x"], &[]), None);
        assert_eq!(left(&["e"], &["*.txt"]), None, "a folder alone is nothing");
    }

    #[test]
    fn a_file_has_one_name_and_no_looks() {
        let plan = Plan::file(FileId([3; 32]), Geometry::of(200_000).unwrap(), "f").unwrap();
        let name = &plan.slots[0].names[0];
        assert_eq!((plan.files(), plan.root_mode, &*name.path, name.looks), (1, None, "f", None));
        assert_eq!((plan.layout.size(), plan.paths()), (200_000, HashSet::from(["f"])));
    }
}
