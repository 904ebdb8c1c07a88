//! Latency that is imposed on purpose: how long the way between two named peers is, and the line on which
//! requests wait for it.
//!
//! What waits, waits for its own time: nothing on another connection, and no other request of the same
//! one, is held up by it. Reads no clock and no file.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use serde::Deserialize;

/// The longest latency that can be asked for, in milliseconds.
const MAX_LATENCY_MS: u64 = 5000;
/// Most messages on their way on one connection.
const MAX_ON_THE_WAY: usize = 16 << 10;

/// Latencies between peers, by their names; the same both ways.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Latencies {
    default: Duration,
    pairs: BTreeMap<(String, String), Duration>,
}

/// Why a text does not tell latencies.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LatencyError {
    /// It is not TOML, or has other keys.
    #[error("line {line}: {message}")]
    Syntax {
        /// Where, from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// A latency is too long.
    #[error("{0} ms between {1}: a latency is 0 to {MAX_LATENCY_MS} ms")]
    TooLong(u64, String),
    /// A pair is of one peer with itself.
    #[error("{0} is in a pair with itself")]
    Self_(String),
    /// Two entries for one pair.
    #[error("the pair of {0} and {1} is there twice")]
    Twice(String, String),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    default: u64,
    #[serde(default)]
    pairs: Vec<(String, String, u64)>,
}

fn ordered(one: &str, other: &str) -> (String, String) {
    match one <= other {
        true => (one.to_owned(), other.to_owned()),
        false => (other.to_owned(), one.to_owned()),
    }
}

impl Latencies {
    /// Reads `default = MS` and `pairs = [["NAME", "NAME", MS], …]`.
    ///
    /// # Errors
    /// [`LatencyError`] says what is wrong, and where.
    pub fn parse(text: &str) -> Result<Latencies, LatencyError> {
        let file: File = toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or("");
            let line = before.matches('\n').count() + 1;
            LatencyError::Syntax { line, message: error.message().trim_end().replace('\n', ", ") }
        })?;
        let mut latencies = Latencies { default: checked(file.default, "others")?, pairs: BTreeMap::new() };
        for (one, other, ms) in file.pairs {
            if one == other {
                return Err(LatencyError::Self_(one));
            }
            let latency = checked(ms, &format!("{one} and {other}"))?;
            if latencies.pairs.insert(ordered(&one, &other), latency).is_some() {
                return Err(LatencyError::Twice(one, other));
            }
        }
        Ok(latencies)
    }

    /// How much later an answer from one of these to the other arrives.
    pub fn between(&self, one: &str, other: &str) -> Duration {
        self.pairs.get(&ordered(one, other)).copied().unwrap_or(self.default)
    }
}

fn checked(ms: u64, whose: &str) -> Result<Duration, LatencyError> {
    match ms <= MAX_LATENCY_MS {
        true => Ok(Duration::from_millis(ms)),
        false => Err(LatencyError::TooLong(ms, whose.to_owned())),
    }
}

/// What is on its way to one end of a connection, each until its own time.
#[derive(Debug)]
pub(in crate::peer) struct Line<T> {
    latency: Duration,
    on_the_way: VecDeque<(Instant, T)>,
}

impl<T> Line<T> {
    /// A line of this length; none if it is 0, so that what needs none costs none.
    pub(in crate::peer) fn of(latency: Duration) -> Option<Line<T>> {
        (!latency.is_zero()).then(|| Line { latency, on_the_way: VecDeque::new() })
    }

    /// Sets off something; it is handed back if too much is on its way.
    pub(in crate::peer) fn push(&mut self, item: T, now: Instant) -> Result<(), T> {
        if self.on_the_way.len() >= MAX_ON_THE_WAY {
            return Err(item);
        }
        self.on_the_way.push_back((now + self.latency, item));
        Ok(())
    }

    /// The next that is there by now.
    pub(in crate::peer) fn pop(&mut self, now: Instant) -> Option<T> {
        self.on_the_way.pop_front_if(|(due, _)| *due <= now).map(|(_, item)| item)
    }

    /// When the next is there.
    pub(in crate::peer) fn next_due(&self) -> Option<Instant> {
        self.on_the_way.front().map(|(due, _)| *due)
    }

    /// All that will not arrive any more.
    pub(in crate::peer) fn lost(&self) -> impl Iterator<Item = &T> {
        self.on_the_way.iter().map(|(_, item)| item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_tells_pairs_and_what_holds_for_others() {
        let text =
            "default = 20\npairs = [\n  [\"bob\", \"alice\", 120],\n  [\"alice\", \"carol\", 5000],\n]\n";
        let latencies = Latencies::parse(text).unwrap();
        let ms = |one, other| latencies.between(one, other).as_millis();
        assert_eq!((ms("alice", "bob"), ms("bob", "alice"), ms("carol", "alice")), (120, 120, 5000));
        assert_eq!((ms("bob", "carol"), ms("", "nobody")), (20, 20));
        assert_eq!(Latencies::parse(""), Ok(Latencies::default()));
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        let fault = |text| Latencies::parse(text).unwrap_err().to_string();
        assert_eq!(fault("default = 5001"), "5001 ms between others: a latency is 0 to 5000 ms");
        assert_eq!(
            fault("pairs = [[\"a\", \"b\", 9999]]"),
            "9999 ms between a and b: a latency is 0 to 5000 ms"
        );
        assert_eq!(fault("pairs = [[\"a\", \"a\", 1]]"), "a is in a pair with itself");
        assert_eq!(
            fault("pairs = [[\"a\", \"b\", 1], [\"b\", \"a\", 2]]"),
            "the pair of b and a is there twice"
        );
        assert!(fault("\n\nlatency = 3").starts_with("line 3: unknown field `latency`"));
        assert!(fault("default = 1\npairs = [[\"a\", 3]]").starts_with("line 2: "));
        assert!(fault("default = -1").starts_with("line 1: "));
    }

    #[test]
    fn each_waits_for_its_own_time() {
        let start = Instant::now();
        let ms = |count| Duration::from_millis(count);
        let mut line = Line::of(ms(100)).unwrap();
        assert_eq!(line.push('a', start), Ok(()));
        assert_eq!(line.push('b', start + ms(10)), Ok(()));
        assert_eq!((line.pop(start + ms(99)), line.next_due()), (None, Some(start + ms(100))));
        assert_eq!((line.pop(start + ms(100)), line.pop(start + ms(100))), (Some('a'), None));
        assert_eq!(line.lost().collect::<Vec<_>>(), [&'b']);
        assert_eq!((line.pop(start + ms(110)), line.next_due()), (Some('b'), None));
        assert!(Line::<u8>::of(Duration::ZERO).is_none());
    }

    #[test]
    fn a_line_is_bounded() {
        let now = Instant::now();
        let mut line = Line::of(Duration::from_secs(1)).unwrap();
        (0..MAX_ON_THE_WAY).for_each(|at| assert_eq!(line.push(at, now), Ok(())));
        assert_eq!(line.push(7, now), Err(7));
    }
}
