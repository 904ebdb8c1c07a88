//! Checks: what each is called, which section of `docs/PROTOCOL.md` it holds a program to, and how one ends.

use std::fmt::{self, Debug};
use std::thread;
use std::time::{Duration, Instant};

/// Most characters of a value that are shown: enough to see what it is.
const MAX_SHOWN: usize = 240;
/// The pause between two questions of [`eventually`].
const ASK_AGAIN: Duration = Duration::from_millis(5);

/// What comes of a check, or of a step of it.
pub type Checked<T = ()> = Result<T, Fault>;

/// Why a check did not come to its good end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The other side did otherwise.
    #[error("expected {expected}; came {came}")]
    Other {
        /// What the document says.
        expected: String,
        /// What the other side did.
        came: String,
    },
    /// There is nothing to check it with, for this reason.
    #[error("{0}")]
    Skipped(&'static str),
}

impl Fault {
    pub(super) fn new(expected: impl Into<String>, came: impl Into<String>) -> Fault {
        Fault::Other { expected: shortened(&expected.into()), came: shortened(&came.into()) }
    }

    pub(super) fn differs(what: fmt::Arguments<'_>, came: &dyn Debug, expected: &dyn Debug) -> Fault {
        Fault::new(format!("{what} {expected:02x?}"), format!("{came:02x?}"))
    }
}

/// The beginning of a long text.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Ends the check unless something holds, which the words behind it say.
macro_rules! holds {
    ($condition:expr $(,)?) => { holds!($condition, "{}", stringify!($condition)) };
    ($condition:expr, $($words:tt)+) => {
        if !$condition {
            return Err($crate::conformance::check::Fault::new(format!($($words)+), "something else"));
        }
    };
}
pub(super) use holds;

/// Ends the check unless what came is what was expected; the words before that say what it is.
macro_rules! same {
    ($came:expr, $expected:expr $(,)?) => { same!($came, $expected, "{} is", stringify!($came)) };
    ($came:expr, $expected:expr, $($words:tt)+) => {
        match (&$came, &$expected) {
            (came, expected) => if *came != *expected {
                let words = format_args!($($words)+);
                return Err($crate::conformance::check::Fault::differs(words, came, expected));
            }
        }
    };
}
pub(super) use same;

/// One thing that the document says, tried.
pub(super) struct Check<S> {
    /// The sentence, with `_` for spaces.
    pub(super) name: &'static str,
    /// The section of the document.
    pub(super) section: &'static str,
    pub(super) run: fn(&S) -> Checked,
}

/// A list of checks, by the section that each belongs to.
macro_rules! checks {
    ($($section:literal: $($check:ident),+;)+) => {
        &[$($($crate::conformance::check::Check { name: stringify!($check), section: $section, run: $check }),+),+]
    };
}
pub(super) use checks;

/// Asks until there is an answer; for so long.
pub(super) fn eventually<T>(
    what: &str,
    patience: Duration,
    mut ask: impl FnMut() -> Checked<Option<T>>,
) -> Checked<T> {
    let until = Instant::now() + patience;
    loop {
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        if Instant::now() >= until {
            return Err(Fault::new(what, format!("nothing of it within {patience:?}")));
        }
        thread::sleep(ASK_AGAIN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_is(came: u8) -> Checked {
        same!(came, 2);
        holds!(came < 3, "less than three");
        Ok(())
    }

    #[test]
    fn a_fault_says_what_was_expected_and_what_came() {
        assert_eq!(two_is(2), Ok(()));
        assert_eq!(two_is(255).unwrap_err().to_string(), "expected came is 02; came ff");
        let long = Fault::new("x", "ü".repeat(1000)).to_string();
        assert!(long.ends_with('…') && long.chars().count() < 300, "{long}");
    }

    #[test]
    fn what_does_not_come_is_not_waited_for_for_ever() {
        let mut asked = 0;
        let answer = eventually("the third", Duration::from_secs(30), || {
            asked += 1;
            Ok((asked == 3).then_some(asked))
        });
        assert_eq!(answer, Ok(3));
        assert!(eventually("it", Duration::ZERO, || Ok(None::<()>)).is_err());
    }
}
