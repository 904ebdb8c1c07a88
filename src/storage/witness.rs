//! Who sees what was put on the disk: a test that cuts the power. Nobody else.

use std::path::Path;

/// What has happened to a file, or is about to be told of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen<'a> {
    /// All that was written to it is on the disk, and so is its name.
    Synced(&'a Path),
    /// The first is called the second now; which of both names is on the disk is not known.
    Renamed(&'a Path, &'a Path),
}

#[cfg(feature = "lab")]
mod lab {
    use std::cell::RefCell;

    use super::Seen;

    /// Hears of what this thread does.
    pub type Witness = Box<dyn FnMut(Seen<'_>)>;

    thread_local! {
        static WITNESS: RefCell<Option<Witness>> = const { RefCell::new(None) };
    }

    /// From now on this witness hears of what this thread does, or nobody.
    pub fn call(witness: Option<Witness>) {
        WITNESS.set(witness);
    }

    pub(crate) fn tell(seen: Seen<'_>) {
        WITNESS.with_borrow_mut(|witness| {
            if let Some(witness) = witness {
                witness(seen);
            }
        });
    }
}

#[cfg(feature = "lab")]
pub(crate) use lab::tell;
#[cfg(feature = "lab")]
pub use lab::{Witness, call};

/// Nobody is told.
#[cfg(not(feature = "lab"))]
pub(crate) fn tell(_seen: Seen<'_>) {}
