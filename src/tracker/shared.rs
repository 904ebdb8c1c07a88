//! The directory behind its lock, which is taken for one bounded step at a time.

use std::sync::{Mutex, MutexGuard};

use super::directory::Directory;
use crate::threads;

/// Contents of a peer that is gone cleared away under one lock.
const SWEEP: usize = 128;

/// The directory, shared by all sessions.
#[derive(Debug)]
pub struct Shared(Mutex<Directory>);

impl Shared {
    /// Shares a directory.
    pub fn new(directory: Directory) -> Shared {
        Shared(Mutex::new(directory))
    }

    /// The directory, for one bounded step.
    pub fn lock(&self) -> MutexGuard<'_, Directory> {
        threads::lock(&self.0)
    }

    /// Clears away what peers that are gone have left.
    pub fn sweep(&self) {
        while self.lock().sweep(SWEEP) {}
    }
}
