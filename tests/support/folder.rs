//! Folders full of the sizes and names that go wrong.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// Bytes of the smallest chunk, the size at which one chunk becomes two.
pub const CHUNK_BYTES: usize = 64 << 10;

/// `len` bytes that differ from chunk to chunk and from `seed` to `seed`: byte `i` is
/// `(i + i / 251 + seed)` modulo 256.
pub fn pattern(len: usize, seed: u8) -> Vec<u8> {
    (0..len).map(|i| ((i + i / 251) as u8).wrapping_add(seed)).collect()
}

/// A folder to share, which removes itself.
#[derive(Debug)]
pub struct Sample {
    folder: TempDir,
    files: Vec<(String, Vec<u8>)>,
}

impl Sample {
    /// An empty folder.
    pub fn empty() -> Sample {
        Sample { folder: TempDir::new().expect("a temporary folder"), files: Vec::new() }
    }

    /// Files of every size around a chunk, awkward names, equal contents, an executable, an empty folder.
    pub fn awkward() -> Sample {
        let mut sample = Sample::empty();
        for (name, len) in [
            ("empty", 0),
            ("one byte", 1),
            ("chunk-1", CHUNK_BYTES - 1),
            ("chunk", CHUNK_BYTES),
            ("chunk+1", CHUNK_BYTES + 1),
            ("large.bin", (3 << 20) + 123),
            ("tree/a", 70_000),
            ("tree/b c/\"quoted\"\n", 5),
            ("tree/b c/ünïcode", 200_000),
            ("tree/run.sh", 20),
        ] {
            sample.add(name, pattern(len, name.len() as u8));
        }
        sample.add("tree/a again", pattern(70_000, "tree/a".len() as u8));
        fs::create_dir(sample.path().join("tree/nothing")).expect("an empty folder");
        let script = sample.path().join("tree/run.sh");
        fs::set_permissions(script, Permissions::from_mode(0o755)).expect("an executable");
        sample
    }

    /// Writes a file, with the folders on its way.
    pub fn add(&mut self, name: &str, content: Vec<u8>) -> PathBuf {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().expect("a file has a folder")).expect("the file's folder");
        fs::write(&path, &content).expect("the file");
        self.files.push((name.to_owned(), content));
        path
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The files' names and contents.
    pub fn files(&self) -> &[(String, Vec<u8>)] {
        &self.files
    }

    /// Fails the test unless each file below `prefix` is in `folder` under the rest of its name.
    #[track_caller]
    pub fn expect_copy(&self, prefix: &str, folder: &Path) {
        for (name, content) in &self.files {
            if let Some(rest) = name.strip_prefix(prefix) {
                let copy = fs::read(folder.join(rest)).unwrap_or_else(|error| panic!("{name}: {error}"));
                assert!(copy == *content, "{name} differs");
            }
        }
    }
}
