//! The power is cut while a vault works: of what was not synced, any block may be on the disk or not.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use p2p::storage::witness::{self, Seen};

use super::world::{Model, World, open, seed};

const QUOTA: u64 = 32 << 20;
const BLOCK: usize = 4096;

type Files = BTreeMap<PathBuf, Vec<u8>>;

/// The disk at a moment: what is surely on it, and what was written.
#[derive(Debug, Clone)]
struct Image {
    synced: Files,
    written: Files,
}

/// What is known of the disk, and its images at some moments.
#[derive(Debug, Default)]
struct Disk {
    folder: PathBuf,
    synced: Files,
    images: Vec<Image>,
    /// One of so many moments is kept.
    each: u32,
    rng: fastrand::Rng,
}

impl Disk {
    fn written(&self) -> Files {
        let inside = fs::read_dir(&self.folder).expect("a vault").flatten();
        inside.map(|entry| (entry.path(), fs::read(entry.path()).expect("a file"))).collect()
    }

    fn keep_image(&mut self) {
        if self.rng.u32(..self.each) == 0 {
            let image = Image { synced: self.synced.clone(), written: self.written() };
            self.images.push(image);
        }
    }

    fn see(&mut self, seen: Seen<'_>) {
        match seen {
            Seen::Synced(path) => {
                self.keep_image();
                self.synced.insert(path.to_owned(), fs::read(path).expect("what was synced"));
            }
            Seen::Renamed(from, to) => {
                // Before the folder is synced, either name may be on the disk; what is in the files is.
                let image = Image { synced: self.synced.clone(), written: self.synced.clone() };
                self.images.push(image);
                let moved = self.synced.remove(from).expect("it was synced");
                self.synced.insert(to.to_owned(), moved);
                let image = Image { synced: self.synced.clone(), written: self.synced.clone() };
                self.images.push(image);
            }
        }
    }
}

impl Image {
    /// Puts on a disk what may be there when the power comes back.
    fn settle(&self, folder: &Path, rng: &mut fastrand::Rng) {
        fs::create_dir_all(folder).expect("a folder");
        for (path, written) in &self.written {
            let name = path.file_name().expect("a name");
            let synced = self.synced.get(path);
            if synced.is_none() && rng.bool() {
                continue; // nor its name
            }
            let synced = synced.map(Vec::as_slice).unwrap_or_default();
            let len = match rng.u8(..3) {
                0 => written.len(),
                1 => synced.len(),
                _ => rng.usize(synced.len().min(written.len())..=synced.len().max(written.len())),
            };
            let mut bytes = vec![0; len];
            for at in (0..len).step_by(BLOCK) {
                let end = (at + BLOCK).min(len);
                let from: &[u8] = if rng.bool() { written } else { synced };
                let there = from.get(at..from.len().min(end)).unwrap_or_default();
                bytes[at..at + there.len()].copy_from_slice(there);
            }
            fs::write(folder.join(name), bytes).expect("a file");
        }
    }
}

/// Cuts the power at so many points, and looks at what is left each time.
fn cuts(times: usize) {
    let place =
        tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a temporary folder");
    let folder = place.path().join("vault");
    let (world, mut rng) = (World::new(), fastrand::Rng::with_seed(seed()));
    let vault = open(&folder, QUOTA);
    let disk = Disk { folder: folder.clone(), each: 12, rng: rng.fork(), ..Disk::default() };
    let disk = Rc::new(RefCell::new(disk));
    let start = disk.borrow().written();
    disk.borrow_mut().synced = start;
    let (mut model, mut cut) = (Model::new(), 0);
    while cut < times {
        let op = world.op(&model, &mut rng);
        let after = world.after(&model, &op);
        let sees = disk.clone();
        witness::call(Some(Box::new(move |seen| sees.borrow_mut().see(seen))));
        world.apply(&vault, &op).expect("there is room");
        witness::call(None);
        for image in std::mem::take(&mut disk.borrow_mut().images) {
            look(&world, &image, (&model, &after), &place.path().join("cut"), &mut rng);
            cut += 1;
        }
        model = after;
    }
    assert_eq!(world.kept(&vault), model);
    println!("the power was cut {cut} times");
}

/// What is left after a cut holds what was acknowledged, and goes on.
fn look(
    world: &World,
    image: &Image,
    (before, after): (&Model, &Model),
    folder: &Path,
    rng: &mut fastrand::Rng,
) {
    image.settle(folder, rng);
    let vault = open(folder, QUOTA);
    let kept = world.kept(&vault);
    world.expect_between(&kept, before, after);
    let mut model = kept;
    for _ in 0..3 {
        let op = world.op(&model, rng);
        world.apply(&vault, &op).expect("there is room");
        model = world.after(&model, &op);
    }
    drop(vault);
    let vault = open(folder, QUOTA);
    assert_eq!(world.kept(&vault), model);
    drop(vault);
    fs::remove_dir_all(folder).expect("it can go");
}

#[test]
fn after_10_power_cuts_nothing_acknowledged_is_wrong_or_gone() {
    cuts(10);
}

#[test]
#[ignore = "the long run"]
fn after_a_thousand_power_cuts_nothing_acknowledged_is_wrong_or_gone() {
    cuts(1000);
}
