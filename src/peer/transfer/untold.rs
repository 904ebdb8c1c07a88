//! Of which files a source did not know mode and time when it opened them: it may have been told since, and is asked
//! again before the first chunk that it gained is asked for. Pure.

use std::collections::{BTreeMap, BTreeSet};

/// Files, by their number in the transfer.
#[derive(Debug, Default)]
pub(super) struct Untold {
    files: BTreeSet<usize>,
    /// Which file was asked for anew by which request.
    asked: BTreeMap<u32, usize>,
}

impl Untold {
    pub(super) fn of(files: impl IntoIterator<Item = usize>) -> Untold {
        Untold { files: files.into_iter().collect(), asked: BTreeMap::new() }
    }

    /// The source gained chunks of a file. True if it is to be asked again, which is so once.
    pub(super) fn gains(&mut self, file: usize) -> bool {
        self.files.remove(&file)
    }

    /// It is, by this request.
    pub(super) fn asks(&mut self, request: u32, file: usize) {
        self.asked.insert(request, file);
    }

    /// The file that a request was about, which has its answer now; none if it was about none.
    pub(super) fn answered(&mut self, request: u32) -> Option<usize> {
        self.asked.remove(&request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_asked_once_of_what_it_did_not_know_and_heard_once() {
        let mut untold = Untold::of([0, 2]);
        assert_eq!([1, 2, 2].map(|file| untold.gains(file)), [false, true, false]);
        untold.asks(7, 2);
        assert_eq!([6, 7, 7].map(|request| untold.answered(request)), [None, Some(2), None]);
        assert!(untold.gains(0));
    }
}
