//! What is uploaded: a file, or a folder of a few.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use fastrand::Rng;

/// Most bytes of a file.
const MOST: usize = 1 << 20;
/// When all was changed last.
const AGE: Duration = Duration::from_secs(1_700_000_000);
const MOST_FILES: usize = 12;

/// A file's bytes, under the empty path, or a folder's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Content {
    files: BTreeMap<String, Vec<u8>>,
}

impl Content {
    /// Something to have under this name.
    pub(crate) fn new(name: &str, rng: &mut Rng) -> Content {
        let mut files = BTreeMap::new();
        if name.ends_with('/') {
            for _ in 0..rng.usize(1..=MOST_FILES) {
                let path = format!("{}/{}", rng.u8(..3), rng.u8(..100));
                let len = rng.usize(..=100_000);
                files.insert(path, bytes(len, rng));
            }
        } else {
            let len = rng.usize(1..=MOST);
            files.insert(String::new(), bytes(len, rng));
        }
        Content { files }
    }

    /// The same but for a few bytes of one file, or for one file.
    pub(crate) fn changed(&self, rng: &mut Rng) -> Content {
        let mut changed = self.clone();
        let paths: Vec<_> = changed.files.keys().cloned().collect();
        let path = rng.choice(paths).expect("a file");
        let file = changed.files.get_mut(&path).expect("it");
        file.push(rng.u8(..));
        let at = rng.usize(..file.len());
        file[at] ^= 1;
        changed
    }

    /// True if it is to be kept as shards of a code: every other file.
    pub(crate) fn is_coded(&self) -> bool {
        self.files.get("").is_some_and(|bytes| bytes.len().is_multiple_of(2))
    }

    /// Puts it there. It looks the same each time, so that it is the same content to those who share it.
    pub(crate) fn write(&self, path: &Path) {
        for (inside, bytes) in &self.files {
            let file = if inside.is_empty() { path.to_owned() } else { path.join(inside) };
            fs::create_dir_all(file.parent().expect("a folder")).expect("the folder");
            fs::write(&file, bytes).expect("the file");
        }
        for inside in self.files.keys().filter(|inside| !inside.is_empty()) {
            path.join(inside).ancestors().take_while(|above| above.starts_with(path)).for_each(age);
        }
        age(path);
    }

    /// Fails the test unless this, all of it, is there.
    #[track_caller]
    pub(crate) fn expect_at(&self, path: &Path) {
        for (inside, bytes) in &self.files {
            let file = if inside.is_empty() { path.to_owned() } else { path.join(inside) };
            let there = fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            assert!(there == *bytes, "{} differs", file.display());
        }
    }
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes: usize = self.files.values().map(Vec::len).sum();
        write!(f, "{} files, {bytes} bytes", self.files.len())
    }
}

fn age(path: &Path) {
    let file = File::open(path).expect("what was made");
    file.set_modified(UNIX_EPOCH + AGE).expect("its time");
}

/// Half of them compress and repeat, as real ones do.
fn bytes(len: usize, rng: &mut Rng) -> Vec<u8> {
    if rng.bool() {
        return vec![rng.u8(..4); len];
    }
    let mut bytes = vec![0; len];
    rng.fill(&mut bytes);
    bytes
}
