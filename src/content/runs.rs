//! Runs of chunks as they come in messages: the first number and how many. Pure.

/// The chunk numbers below `len` in runs from outside: `len` of them at most, so that runs that lie on
/// each other cost their sender more than whoever reads them.
pub fn numbers(runs: &[(u32, u32)], len: u32) -> impl Iterator<Item = u32> + '_ {
    let run = move |(first, count): &(u32, u32)| *first..first.saturating_add(*count).min(len);
    runs.iter().flat_map(run).take(len as usize)
}

/// Ascending numbers as runs of first and count.
pub fn ranges(chunks: impl IntoIterator<Item = u32>) -> Vec<(u32, u32)> {
    let mut out: Vec<(u32, u32)> = Vec::new();
    for chunk in chunks {
        match out.last_mut() {
            Some((first, count)) if *first + *count == chunk => *count += 1,
            _ => out.push((chunk, 1)),
        }
    }
    out
}

/// The chunks that the runs name, in order and each once: however many runs lie on each other, what is left of them
/// is no more than their chunks.
pub fn joined(runs: &[(u32, u32)]) -> Vec<(u32, u32)> {
    let mut runs: Vec<(u32, u32)> = runs.iter().copied().filter(|(_, count)| *count > 0).collect();
    runs.sort_unstable();
    let mut out: Vec<(u32, u32)> = Vec::new();
    for (first, count) in runs {
        let end = first.saturating_add(count);
        match out.last_mut() {
            Some((start, length)) if first <= *start + *length => {
                *length = end.max(*start + *length) - *start
            }
            _ => out.push((first, end - first)),
        }
    }
    out
}

/// How many chunks of `len` the runs name, repetitions and all; an empty run counts, for it is work too.
pub fn named(runs: &[(u32, u32)], len: u32) -> u64 {
    let clipped = |first: u32, count: u32| first.saturating_add(count).min(len).saturating_sub(first);
    runs.iter().map(|(first, count)| u64::from(clipped(*first, *count).max(1))).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::ChunkSet;

    #[test]
    fn runs_from_outside_are_bounded() {
        let read = |runs: &[(u32, u32)], len| numbers(runs, len).collect::<Vec<_>>();
        assert_eq!(read(&[(0, 2), (4, 9), (7, u32::MAX)], 6), [0, 1, 4, 5]);
        assert_eq!(numbers(&[(0, u32::MAX); 4096], 100).count(), 100);
    }

    #[test]
    fn runs_that_lie_on_each_other_are_joined() {
        assert_eq!(joined(&[(0, 1 << 21); 4096]), [(0, 1 << 21)]);
        assert_eq!(joined(&[(9, 1), (4, 2), (0, 2), (2, 1), (5, 3), (20, 0)]), [(0, 3), (4, 4), (9, 1)]);
        assert_eq!(joined(&[(3, 9), (4, 2), (u32::MAX, u32::MAX), (7, u32::MAX)]), [(3, u32::MAX - 3)]);
        assert_eq!(joined(&[]), []);
    }

    #[test]
    fn runs_join_neighbours() {
        assert_eq!(ranges([1, 2, 3, 7, 9, 10]), [(1, 3), (7, 1), (9, 2)]);
        assert_eq!(ChunkSet::full(70).ranges(), [(0, 70)]);
        assert_eq!(named(&[(0, 4), (2, u32::MAX), (9, 1), (0, 0)], 5), 4 + 3 + 1 + 1);
    }
}
