//! Runs of chunks as they come in messages: the first and how many. Pure.

use super::geometry::Chunk;

/// A run of chunks. One from outside may be empty, lie on others and reach past every end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Run {
    /// The first chunk.
    pub first: Chunk,
    /// How many there are.
    pub count: u32,
}

impl Run {
    /// So many chunks from `first` on.
    pub const fn new(first: Chunk, count: u32) -> Run {
        Run { first, count }
    }

    /// How many chunks a view has at least that has these: the number after the last, or the largest there is.
    pub fn end(self) -> u32 {
        self.first.0.saturating_add(self.count)
    }

    /// Those of its chunks that a view of `len` has.
    pub fn below(self, len: u32) -> impl ExactSizeIterator<Item = Chunk> {
        (self.first.0..self.end().min(len)).map(Chunk)
    }
}

/// Those chunks of runs from outside that a view of `len` has: `len` of them at most, so that runs that lie on
/// each other cost their sender more than whoever reads them.
pub fn chunks(runs: &[Run], len: u32) -> impl Iterator<Item = Chunk> + '_ {
    runs.iter().flat_map(move |run| run.below(len)).take(len as usize)
}

/// Ascending chunks as runs.
pub fn of(chunks: impl IntoIterator<Item = Chunk>) -> Vec<Run> {
    let mut out: Vec<Run> = Vec::new();
    for chunk in chunks {
        match out.last_mut() {
            Some(run) if run.end() == chunk.0 => run.count += 1,
            _ => out.push(Run::new(chunk, 1)),
        }
    }
    out
}

/// The chunks that the runs name, in order and each once: however many runs lie on each other, what is left of them
/// is no more than their chunks.
pub fn joined(runs: &[Run]) -> Vec<Run> {
    let mut runs: Vec<Run> = runs.iter().copied().filter(|run| run.count > 0).collect();
    runs.sort_unstable();
    let mut out: Vec<Run> = Vec::new();
    for run in runs {
        match out.last_mut() {
            Some(last) if run.first.0 <= last.end() => last.count = run.end().max(last.end()) - last.first.0,
            _ => out.push(Run::new(run.first, run.end() - run.first.0)),
        }
    }
    out
}

/// How many chunks of `len` the runs name, repetitions and all; an empty run counts, for it is work too.
pub fn named(runs: &[Run], len: u32) -> u64 {
    runs.iter().map(|run| run.below(len).len().max(1) as u64).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::ChunkSet;

    fn runs<const N: usize>(runs: [(u32, u32); N]) -> [Run; N] {
        runs.map(|(first, count)| Run::new(Chunk(first), count))
    }

    #[test]
    fn runs_from_outside_are_bounded() {
        let read = chunks(&runs([(0, 2), (4, 9), (7, u32::MAX)]), 6).collect::<Vec<_>>();
        assert_eq!(read, [0, 1, 4, 5].map(Chunk));
        assert_eq!(chunks(&runs([(0, u32::MAX); 4096]), 100).count(), 100);
    }

    #[test]
    fn runs_that_lie_on_each_other_are_joined() {
        assert_eq!(joined(&runs([(0, 1 << 21); 4096])), runs([(0, 1 << 21)]));
        let mixed = runs([(9, 1), (4, 2), (0, 2), (2, 1), (5, 3), (20, 0)]);
        assert_eq!(joined(&mixed), runs([(0, 3), (4, 4), (9, 1)]));
        let endless = runs([(3, 9), (4, 2), (u32::MAX, u32::MAX), (7, u32::MAX)]);
        assert_eq!(joined(&endless), runs([(3, u32::MAX - 3)]));
        assert_eq!(joined(&[]), []);
    }

    #[test]
    fn runs_join_neighbours() {
        assert_eq!(of([1, 2, 3, 7, 9, 10].map(Chunk)), runs([(1, 3), (7, 1), (9, 2)]));
        assert_eq!(ChunkSet::full(70).runs(), runs([(0, 70)]));
        assert_eq!(named(&runs([(0, 4), (2, u32::MAX), (9, 1), (0, 0)]), 5), 4 + 3 + 1 + 1);
    }
}
