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
    fn runs_join_neighbours() {
        assert_eq!(ranges([1, 2, 3, 7, 9, 10]), [(1, 3), (7, 1), (9, 2)]);
        assert_eq!(ChunkSet::full(70).ranges(), [(0, 70)]);
        assert_eq!(named(&[(0, 4), (2, u32::MAX), (9, 1), (0, 0)], 5), 4 + 3 + 1 + 1);
    }
}
