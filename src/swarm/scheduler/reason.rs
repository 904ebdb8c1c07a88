//! Why a source is, or is not, asked: in words.

use std::fmt;
use std::time::Duration;

/// Why a source is used, or why it is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// A chunk asked of it would be here soonest.
    Cheapest,
    /// The cheaper ones have as much in flight as they can deliver in time.
    Helps,
    /// It has delivered, and owes nothing now.
    Delivered,
    /// A chunk would take so long here, and so long at the best other source.
    Slower(Duration, Duration),
    /// It has no chunk that is still wanted.
    NothingWanted,
    /// All was asked of others before.
    NotNeeded,
    /// It refused, and is left alone for a moment.
    Busy,
    /// It owes chunks and says nothing.
    Silent,
    /// It sent so many chunks that were wrong.
    Banned(u32),
    /// The connection has ended.
    Gone,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Cheapest => f.write_str("cheapest"),
            Reason::Helps => f.write_str("the cheaper ones have as much to do as they can"),
            Reason::Delivered => f.write_str("has delivered what it was asked for"),
            Reason::Slower(here, there) => {
                write!(f, "slower: would take {} against {}", Rounded(*here), Rounded(*there))
            }
            Reason::NothingWanted => f.write_str("has nothing that is still wanted"),
            Reason::NotNeeded => f.write_str("not needed: all was asked of others"),
            Reason::Busy => f.write_str("busy: it refused, and is left alone for a moment"),
            Reason::Silent => f.write_str("silent: it owes chunks and says nothing"),
            Reason::Banned(1) => f.write_str("banned: 1 corrupt chunk"),
            Reason::Banned(count) => write!(f, "banned: {count} corrupt chunks"),
            Reason::Gone => f.write_str("gone: the connection has ended"),
        }
    }
}

/// A duration with two digits that matter.
struct Rounded(Duration);

impl fmt::Display for Rounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_secs_f64() {
            long if long >= 9.95 => write!(f, "{long:.0} s"),
            seconds if seconds >= 0.1 => write!(f, "{seconds:.1} s"),
            short if short >= 0.01 => write!(f, "{:.0} ms", short * 1e3),
            tiny => write!(f, "{:.1} ms", tiny * 1e3),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_sentences() {
        let ms = Duration::from_millis;
        let said = |here, there| Reason::Slower(ms(here), ms(there)).to_string();
        assert_eq!(said(1234, 310), "slower: would take 1.2 s against 0.3 s");
        assert_eq!(said(25, 4), "slower: would take 25 ms against 4.0 ms");
        assert_eq!(said(20_000, 90), "slower: would take 20 s against 90 ms");
        assert_eq!(Reason::Banned(3).to_string(), "banned: 3 corrupt chunks");
    }
}
