//! The map of the house: who imports whom, read from the source.
//!
//! A room is a file, or a folder with all that is in it; `x.rs` beside a folder `x/` is a room inside `x/`. An
//! import is an arrow between the two rooms in which its ends lie, in the innermost folder that has both. No
//! folder may have a circle of arrows: then there is an order in which all arrows point down. What only tests
//! see (`#[cfg(test)]`) does not count.
//!
//! ARCHITECTURE.md has the map as it is measured here; `P2P_WRITE_MAP=1 cargo test --test map` renews it.

#[path = "map/size.rs"]
mod size;
#[path = "map/source.rs"]
mod source;
#[path = "map/tables.rs"]
mod tables;

use std::collections::{BTreeMap, BTreeSet};

use source::{House, read};

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
            for (from, targets) in circles(&arrows) {
                for to in targets {
                    found.push(format!("{folder}: {from} -> {to}: {}", why[&(from.clone(), to.clone())]));
                }
            }
        }
    }
    assert!(found.is_empty(), "{} arrows in circles:\n{}", found.len(), found.join("\n"));
}

/// Rooms that decide and do no I/O, and what of the house they may import besides themselves.
const PURE: &[(&str, &[&str])] = &[
    ("content", &[]),
    ("wire", &["content"]),
    ("swarm", &["content", "wire"]),
    ("peer/lend/vault/slot", &["content"]),
    ("peer/lend/vault/entry", &["content", "peer/lend/vault/slot"]),
    ("peer/lend/vault/quota", &[]),
    ("peer/lend/vault/pieces", &["content", "storage/log", "peer/lend/vault/slot"]),
    (
        "peer/lend/vault/catalogue",
        &[
            "content",
            "storage/log",
            "peer/lend/vault/entry",
            "peer/lend/vault/pieces",
            "peer/lend/vault/slot",
        ],
    ),
    ("rescue", &["content", "wire"]),
    ("node/role", &["rescue"]),
    ("node/rescuer", &["content", "wire", "rescue"]),
    ("node/plan", &["node/rescuer", "node/role"]),
    ("node/roles", &["node/plan", "node/role"]),
    ("tracker/tables", &["content", "wire"]),
    ("web/accounts", &[]),
    ("web/guard", &["web/accounts"]),
    ("web/series", &[]),
    ("web/ticket", &["web/accounts"]),
    ("web/zip", &[]),
    ("tracker/directory", &["content", "wire", "tracker/tables"]),
    ("tracker/records/outcome", &["wire"]),
    ("tracker/records/pages", &["wire", "tracker/records/outcome"]),
    ("tracker/records/roster", &["content", "wire", "net/secure", "tracker/records/outcome"]),
    ("tracker/records/seen", &["content", "wire", "tracker/records/outcome"]),
    ("tracker/records/nodes", &["wire", "rescue", "tracker/records/outcome"]),
    (
        "tracker/records/command",
        &[
            "content",
            "wire",
            "tracker/records/nodes",
            "tracker/records/pages",
            "tracker/records/roster",
            "tracker/records/seen",
        ],
    ),
    ("tracker/records/clients", &["wire", "tracker/records/outcome"]),
    (
        "tracker/records/machine",
        &[
            "content",
            "wire",
            "tracker/records/command",
            "rescue",
            "tracker/records/clients",
            "tracker/records/nodes",
            "tracker/records/outcome",
            "tracker/records/pages",
            "tracker/records/roster",
            "tracker/records/seen",
        ],
    ),
    ("tracker/nodes", &["content", "wire", "rescue", "tracker/records"]),
    ("tracker/chronicle", &["content", "wire", "rescue", "tracker/records"]),
    ("tracker/roles", &["wire"]),
    ("tracker/keeping", &["content", "wire", "tracker/records"]),
    (
        "tracker/session",
        &[
            "content",
            "wire",
            "tracker/chronicle",
            "tracker/cluster",
            "tracker/directory",
            "rescue",
            "tracker/keeping",
            "tracker/nodes",
            "tracker/recorder",
            "tracker/records",
            "tracker/roles",
            "tracker/shared",
        ],
    ),
];

/// What a room that only decides has no business with: sockets, files, threads, locks, clocks.
const IMPURE: &[&str] = &[
    "Instant::now",
    "SystemTime",
    ".elapsed",
    "std::env",
    "std::fs",
    "std::net::TcpListener",
    "std::net::TcpStream",
    "std::net::UdpSocket",
    "std::os",
    "std::process",
    "std::sync::Condvar",
    "std::sync::Mutex",
    "std::sync::RwLock",
    "std::sync::atomic",
    "std::sync::mpsc",
    "std::thread",
    "std::time::SystemTime",
    "crossbeam_channel",
    "rustix",
    "signal_hook",
    "socket2",
    "tempfile",
];

fn is_in(room: &str, folder: &str) -> bool {
    room == folder || room.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

#[test]
fn what_decides_does_nothing_else() {
    let house = read("src");
    let mut found = Vec::new();
    for (pure, allowed) in PURE {
        let rooms = house.imports.iter().filter(|(room, _)| is_in(room, pure));
        let mut any = false;
        for (room, imports) in rooms {
            any = true;
            let strange = |target: &&String| {
                !is_in(target, pure) && !allowed.iter().any(|allowed| is_in(target, allowed))
            };
            found.extend(imports.keys().filter(strange).map(|target| format!("{room} imports {target}")));
            let impure = |path: &&String| IMPURE.iter().any(|impure| is_path_in(path, impure));
            found.extend(house.paths[room].iter().filter(impure).map(|path| format!("{room} uses {path}")));
        }
        assert!(any, "no room {pure}");
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

fn is_path_in(path: &str, module: &str) -> bool {
    path == module || path.strip_prefix(module).is_some_and(|rest| rest.starts_with("::"))
}

/// How far down from a room the longest way of arrows leads.
fn height(room: &str, arrows: &Arrows, heights: &mut BTreeMap<String, usize>) -> usize {
    if let Some(height) = heights.get(room) {
        return *height;
    }
    // Against circles, which another test finds.
    heights.insert(room.to_owned(), 0);
    let below = arrows.get(room).into_iter().flatten();
    let height = below.map(|target| 1 + height(target, arrows, heights)).max().unwrap_or(0);
    heights.insert(room.to_owned(), height);
    height
}

/// Columns of the map in ARCHITECTURE.md.
const WIDTH: usize = 118;

/// The map: for each folder its rooms, each above those it imports, with what each says of itself.
fn picture(root: &str) -> String {
    let house = read(root);
    let folders = folders(&house);
    let mut rooms: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in house.imports.keys() {
        let parts: Vec<&str> = file.split('/').collect();
        for depth in 0..parts.len() {
            rooms.entry(parts[..depth].join("/")).or_default().insert(parts[depth].to_owned());
        }
    }
    let mut drawn = String::new();
    draw(root, "", &house, &rooms, &folders, &mut drawn);
    drawn
}

fn draw(
    root: &str,
    folder: &str,
    house: &House,
    rooms: &BTreeMap<String, BTreeSet<String>>,
    folders: &BTreeMap<String, Folder>,
    drawn: &mut String,
) {
    let nothing = Folder::default();
    let arrows = &folders.get(folder).unwrap_or(&nothing).arrows;
    let mut heights = BTreeMap::new();
    let mut order: Vec<&String> = rooms[folder].iter().collect();
    order.sort_by_key(|room| (usize::MAX - height(room, arrows, &mut heights), room.as_str()));
    let path = |room: &str| if folder.is_empty() { room.to_owned() } else { format!("{folder}/{room}") };
    let title = if folder.is_empty() { format!("{root}/") } else { format!("{root}/{folder}/") };
    if !drawn.is_empty() {
        drawn.push('\n');
    }
    drawn.push_str(&title);
    drawn.push('\n');
    for room in &order {
        let place = path(room);
        let is_folder = rooms.contains_key(&place);
        let page = format!("{place}/{room}");
        let is_page = folder.rsplit('/').next() == Some(room.as_str());
        if is_page && !arrows.contains_key(*room) {
            continue;
        }
        let says = if is_page {
            "on top of these"
        } else {
            house.says.get(if is_folder { &page } else { &place }).map_or("", String::as_str)
        };
        let name = if is_folder { format!("{room}/") } else { (*room).clone() };
        let uses: Vec<&str> = arrows.get(*room).into_iter().flatten().map(String::as_str).collect();
        let mut line = format!("  {name:<14} {says}");
        if !uses.is_empty() {
            line.push_str(" > ");
            line.push_str(&uses.join(" "));
        }
        wrap(&line, drawn);
    }
    for room in order {
        let place = path(room);
        if rooms.contains_key(&place) {
            draw(root, &place, house, rooms, folders, drawn);
        }
    }
}

fn wrap(line: &str, drawn: &mut String) {
    let mut width = 0;
    for (at, word) in line.split(' ').enumerate() {
        if width + 1 + word.chars().count() > WIDTH {
            drawn.push_str("\n                 ");
            width = 17;
        } else if at > 0 {
            drawn.push(' ');
            width += 1;
        }
        drawn.push_str(word);
        width += word.chars().count();
    }
    drawn.push('\n');
}

/// What stands in ARCHITECTURE.md before and after the map.
const FENCE: (&str, &str) = ("```text map\n", "```\n");

#[test]
fn the_map_in_architecture_is_the_house() {
    let measured = picture("src");
    println!("{measured}");
    let document = std::fs::read_to_string("ARCHITECTURE.md").unwrap();
    let (before, rest) = document.split_once(FENCE.0).expect("ARCHITECTURE.md has a map");
    let (drawn, after) = rest.split_once(FENCE.1).expect("the map ends");
    if drawn != measured && std::env::var_os("P2P_WRITE_MAP").is_some() {
        let renewed = [before, FENCE.0, &measured, FENCE.1, after].concat();
        return std::fs::write("ARCHITECTURE.md", renewed).unwrap();
    }
    let differs = measured.lines().zip(drawn.lines()).find(|(measured, drawn)| measured != drawn);
    assert!(
        drawn == measured,
        "ARCHITECTURE.md shows another house, first here: {differs:?}; renew it by P2P_WRITE_MAP=1 cargo test --test map"
    );
}
