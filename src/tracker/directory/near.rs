//! Near matches: names like one that is not there, looked for a step at a time.
//!
//! The value that carries the question remembers how far it came. Names that come or go meanwhile may be missed.

use std::collections::BTreeSet;

use super::names::{Names, last_part};
use super::work::{MAX_WORK_A_STEP, NAME_WORK, Step};
use crate::wire::{Name, limits};

/// Most work to find near matches: some fifty thousand names of common length.
const MAX_NEAR_WORK: usize = 48 * MAX_WORK_A_STEP;
/// Work of comparing one byte of a name with the name wanted.
const BYTE_WORK: usize = 4;

/// Near matches of a name that is not there, being gathered.
#[derive(Debug)]
pub struct Near {
    wanted: Vec<u8>,
    after: Vec<u8>,
    work: usize,
    best: BTreeSet<(u32, Vec<u8>)>,
}

impl Near {
    /// Looks for names like this one.
    pub fn new(wanted: &str) -> Near {
        Near {
            wanted: wanted.to_ascii_lowercase().into_bytes(),
            after: Vec::new(),
            work: 0,
            best: BTreeSet::new(),
        }
    }

    /// The names found, the nearest first.
    pub fn names(self) -> Vec<Name> {
        self.best.into_iter().map(|(_, name)| Name::new(String::from_utf8_lossy(&name))).collect()
    }

    /// Looks at the next names. Returns true when the search is over.
    pub(super) fn look(&mut self, names: &Names) -> bool {
        let mut step = Step::default();
        for name in names.texts(&self.after, b"") {
            if step.is_over() {
                self.work += step.work();
                return self.work >= MAX_NEAR_WORK;
            }
            step.does(NAME_WORK);
            if self.after != name {
                step.does(BYTE_WORK * (name.len() + self.wanted.len()));
                self.consider(name);
                self.after.clear();
                self.after.extend_from_slice(name);
            }
        }
        true
    }

    fn consider(&mut self, name: &[u8]) {
        let Some(score) = unlikeness(&self.wanted, &name.to_ascii_lowercase()) else {
            return;
        };
        if self.best.len() < limits::MAX_NEAR || self.best.last().is_some_and(|(worst, _)| score < *worst) {
            self.best.insert((score, name.to_vec()));
        }
        if self.best.len() > limits::MAX_NEAR {
            self.best.pop_last();
        }
    }
}

/// How unlike a name is to the one wanted (both in ASCII lower case); `None` if they are not near. Takes a time that
/// grows as their lengths do, whatever is in them.
fn unlikeness(wanted: &[u8], name: &[u8]) -> Option<u32> {
    /// Below this many bytes a name is a part of too many others to say anything.
    const MIN_PART: usize = 3;
    /// And what is less than a third of the whole says little of it.
    const MOST_TIMES: usize = 3;
    /// A part of the name is further off than the most typing errors.
    const PART: u32 = 10;
    let (wanted_base, name_base) = (last_part(wanted), last_part(name));
    if wanted_base == name_base {
        return Some(0);
    }
    if let Some(errors) = typing_errors(wanted, name).or_else(|| typing_errors(wanted_base, name_base)) {
        return Some(errors);
    }
    let (wanted_text, name_text) = (String::from_utf8_lossy(wanted_base), String::from_utf8_lossy(name_base));
    let part = |whole: &str, part: &str| {
        part.len() >= MIN_PART && whole.len() <= part.len() * MOST_TIMES && whole.contains(part)
    };
    let near = part(&name_text, &wanted_text) || part(&wanted_text, &name_text);
    near.then(|| PART + name.len().abs_diff(wanted.len()) as u32)
}

/// Most typing errors that are looked for.
const MAX_ERRORS: usize = 3;

/// Bytes to add, take or change to get from one to the other, if they are few for the length.
fn typing_errors(a: &[u8], b: &[u8]) -> Option<u32> {
    /// Longer names are compared by their parts only.
    const MOST_BYTES: usize = 64;
    let most = match a.len() {
        0..3 => return None,
        3..6 => 1,
        6..12 => 2,
        _ => MAX_ERRORS,
    };
    if a.len() > MOST_BYTES || b.len() > MOST_BYTES || a.len().abs_diff(b.len()) > most {
        return None;
    }
    // Row `i` of the table: the distance of the first `i` bytes of `a` from each beginning of `b`, as far as it is
    // small; so only beginnings about as long are looked at.
    let far = most as u32 + 1;
    let mut row: [u32; MOST_BYTES + 1] = std::array::from_fn(|at| (at as u32).min(far));
    for (i, byte) in a.iter().enumerate() {
        let (from, to) = ((i + 1).saturating_sub(most), (i + 1 + most).min(b.len()));
        let mut diagonal = from.checked_sub(1).map_or(far, |at| row[at]);
        let (mut left, mut least) = (far, far);
        for (at, cell) in row.iter_mut().enumerate().take(to + 1).skip(from) {
            let change = match at.checked_sub(1) {
                Some(before) => diagonal + u32::from(*byte != b[before]),
                None => far,
            };
            diagonal = *cell;
            left = change.min(diagonal + 1).min(left + 1).min(far);
            *cell = left;
            least = least.min(left);
        }
        if least == far {
            return None;
        }
    }
    Some(row[b.len()]).filter(|distance| *distance < far)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn likeness_has_three_grounds() {
        assert_eq!(unlikeness(b"a/report.pdf", b"b/c/report.pdf"), Some(0), "the same base name");
        assert_eq!(unlikeness(b"report/", b"b/report"), Some(0), "a tree and a file");
        assert_eq!(unlikeness(b"reprot.pdf", b"x/report.pdf"), Some(2), "typing errors");
        assert_eq!(unlikeness(b"report", b"report-2024.pdf"), Some(19), "a part");
        assert_eq!(unlikeness(b"a/my-report-2024.pdf", b"b/report"), Some(22), "a part the other way round");
        assert_eq!(unlikeness(b"a/my-report-2024s.pdf", b"b/report"), None, "a part, but less than a third");
        assert_eq!(unlikeness(b"report", b"our-reports-2024.pdf"), None, "that, the other way round");
        assert_eq!(unlikeness(b"report", b"holiday.jpg"), None);
        assert_eq!(unlikeness(b"ab", b"cab.txt"), None, "too short to be a part");
        assert_eq!(unlikeness(b"abc", b"dabc.txt"), Some(15));
    }

    /// The stupid version: tries everything.
    fn twin(a: &[u8], b: &[u8]) -> u32 {
        match (a.split_first(), b.split_first()) {
            (None, _) => b.len() as u32,
            (_, None) => a.len() as u32,
            (Some((x, a_rest)), Some((y, b_rest))) => {
                let change = twin(a_rest, b_rest) + u32::from(x != y);
                change.min(twin(a, b_rest) + 1).min(twin(a_rest, b) + 1)
            }
        }
    }

    #[test]
    fn typing_errors_are_counted_as_the_stupid_version_does() {
        let mut rng = fastrand::Rng::with_seed(9);
        let mut seen = [0; 4];
        for _ in 0..3_000 {
            let a: Vec<u8> = (0..rng.usize(..8)).map(|_| rng.u8(b'a'..=b'c')).collect();
            let mut b = a.clone();
            for _ in 0..rng.usize(..4) {
                let (at, letter) = (rng.usize(..=b.len()), rng.u8(b'a'..=b'c'));
                if rng.bool() || at == b.len() {
                    b.insert(at, letter);
                } else {
                    b.remove(at);
                }
            }
            let most = [0, 0, 0, 1, 1, 1, 2, 2][a.len()];
            let errors = Some(twin(&a, &b)).filter(|errors| *errors <= most && a.len() >= 3);
            assert_eq!(typing_errors(&a, &b), errors, "{a:?} {b:?}");
            seen[errors.map_or(3, |errors| errors as usize)] += 1;
        }
        assert!(seen.iter().all(|times| *times > 100), "{seen:?}");
    }

    #[test]
    fn how_many_typing_errors_are_few_depends_on_the_length() {
        let errors = |a: &str, b: &str| typing_errors(a.as_bytes(), b.as_bytes());
        assert_eq!(errors("ab", "ab"), None);
        assert_eq!((errors("abcde", "abXde"), errors("abcde", "aXXde")), (Some(1), None));
        assert_eq!((errors("abcdefgh", "abXXefgh"), errors("abcdefgh", "aXXXefgh")), (Some(2), None));
        assert_eq!(
            (errors("abcdefghijkl", "abcdefghi"), errors("abcdefghijkl", "abcdefgh")),
            (Some(3), None)
        );
        let long = "x".repeat(64);
        assert_eq!(errors(&long, &format!("{}y", &long[..63])), Some(1));
        assert_eq!((errors(&long, &"x".repeat(65)), errors(&"x".repeat(65), &long)), (None, None));
    }

    #[test]
    fn the_nearest_are_kept_whatever_the_order() {
        let mut near = Near::new("Report");
        let parts: Vec<String> = (0..20).map(|n| format!("{}report", "x".repeat(n + 5))).collect();
        parts.iter().rev().for_each(|name| near.consider(name.as_bytes()));
        near.consider(b"rebort");
        near.consider(b"holiday");
        let names: Vec<String> = near.names().into_iter().map(Name::into_string).collect();
        let nearest = std::iter::once("rebort").chain(parts.iter().map(|name| &**name));
        assert_eq!(names, nearest.take(limits::MAX_NEAR).collect::<Vec<_>>());
    }
}
