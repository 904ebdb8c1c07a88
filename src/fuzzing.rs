//! What the fuzzers run: for everything that comes from outside a function that takes any bytes, and
//! panics when a promise about them is broken.
//!
//! Public so that `tests/fuzz.rs` (a short run, on every test) and the package in `fuzz/` (guided by
//! coverage, for as long as one likes) run the very same; the program itself uses nothing of it. What is
//! private to a module is reached by a function `fuzz` inside that module, so nothing else becomes
//! visible for the sake of a test.

mod files;
mod proofs;
mod sealed;
mod streams;
mod texts;

use std::path::Path;

/// Something that takes bytes from outside.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name: also that of its corpus, `fuzz/corpus/NAME`.
    pub name: &'static str,
    /// Panics if it breaks a promise on these bytes. May use the folder, which is its own and nobody
    /// else's at the time, and leaves it as it was.
    pub run: fn(&[u8], &Path),
}

macro_rules! targets {
    ($($(#[$doc:meta])* $name:literal => $run:expr,)*) => {
        /// Every target.
        pub const TARGETS: &[Target] = &[$($(#[$doc])* Target { name: $name, run: $run }),*];
    };
}

targets! {
    "to-tracker" => streams::to_tracker,
    "from-tracker" => streams::from_tracker,
    "to-server" => streams::to_server,
    "from-server" => streams::from_server,
    "hello" => streams::hello,
    "chunk-head" => streams::chunk_head,
    "bitmap" => streams::bitmap,
    "session" => streams::session,
    "handshake" => sealed::handshake,
    "opener" => sealed::opener,
    "name" => texts::name,
    "link" => texts::link,
    "descriptor" => texts::descriptor,
    "config" => texts::config,
    "join-link" => texts::join_link,
    "swarm-file" => texts::swarm_file,
    "latencies" => texts::latencies,
    "tree" => files::tree,
    "proof" => proofs::proof,
    "place" => files::place,
    "journal" => files::journal,
    "index" => files::index,
    "got" => files::got,
}

/// The target of that name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.iter().copied().find(|target| target.name == name)
}

/// Numbers taken off the front of the bytes; 0 when they are used up.
struct Numbers<'a>(&'a [u8]);

impl Numbers<'_> {
    fn u8(&mut self) -> u8 {
        self.0.split_off_first().copied().unwrap_or(0)
    }

    fn u16(&mut self) -> u16 {
        u16::from_be_bytes([self.u8(), self.u8()])
    }

    fn u32(&mut self) -> u32 {
        u32::from(self.u16()) << 16 | u32::from(self.u16())
    }
}
