//! The map of the house: who imports whom, read from the source.
//!
//! A room is a file, or a folder with all that is in it; `x.rs` beside a folder `x/` is a room inside `x/`. An
//! import is an arrow between the two rooms in which its ends lie, in the innermost folder that has both. No
//! folder may have a circle of arrows: then there is an order in which all arrows point down. What only tests
//! see (`#[cfg(test)]`) does not count.

#[path = "map/source.rs"]
mod source;

use std::collections::{BTreeMap, BTreeSet};

use source::{House, read};

/// Folders whose rooms still run in a circle, to be cured one after the other.
const KNOWN: &[&str] = &["src/peer/serve"];

/// Arrows between the rooms of one folder.
type Arrows = BTreeMap<String, BTreeSet<String>>;

/// What is known of one folder: its arrows, and for each one import that it comes from.
#[derive(Default)]
struct Folder {
    arrows: Arrows,
    why: BTreeMap<(String, String), String>,
}

/// For each folder, the arrows between the rooms in it, with one import that each comes from.
fn folders(house: &House) -> BTreeMap<String, Folder> {
    let mut folders: BTreeMap<String, Folder> = BTreeMap::new();
    for (from, targets) in &house.imports {
        for (to, import) in targets {
            let (a, b): (Vec<&str>, Vec<&str>) = (from.split('/').collect(), to.split('/').collect());
            let shared = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
            let (Some(here), Some(there)) = (a.get(shared), b.get(shared)) else { continue };
            let Folder { arrows, why } = folders.entry(a[..shared].join("/")).or_default();
            arrows.entry((*here).to_owned()).or_default().insert((*there).to_owned());
            why.entry(((*here).to_owned(), (*there).to_owned()))
                .or_insert_with(|| format!("{from} uses {import} of {to}"));
        }
    }
    folders
}

/// Takes away rooms that import nothing that is left, until none is left or only circles are, and what leads to them.
fn circles(arrows: &Arrows) -> Arrows {
    let mut left = arrows.clone();
    loop {
        let ends: Vec<String> = left
            .iter()
            .filter(|(_, targets)| !targets.iter().any(|target| left.contains_key(target)))
            .map(|(room, _)| room.clone())
            .collect();
        if ends.is_empty() {
            break;
        }
        ends.iter().for_each(|end| drop(left.remove(end)));
    }
    // And those that nothing left imports.
    loop {
        let wanted: BTreeSet<String> = left.values().flatten().cloned().collect();
        let before = left.len();
        left.retain(|room, _| wanted.contains(room));
        if left.len() == before {
            let rooms: BTreeSet<String> = left.keys().cloned().collect();
            left.values_mut().for_each(|targets| targets.retain(|target| rooms.contains(target)));
            return left;
        }
    }
}

#[test]
fn no_circles() {
    let mut found = Vec::new();
    for root in ["src", "benches", "tests/support"] {
        for (folder, Folder { arrows, why }) in folders(&read(root)) {
            let folder = format!("{root}/{folder}");
            if KNOWN.contains(&folder.as_str()) {
                continue;
            }
            for (from, targets) in circles(&arrows) {
                for to in targets {
                    found.push(format!("{folder}: {from} -> {to}: {}", why[&(from.clone(), to.clone())]));
                }
            }
        }
    }
    assert!(found.is_empty(), "{} arrows in circles:\n{}", found.len(), found.join("\n"));
}
