//! The exit codes of the program. A running peer gives them too, for the fetches that it was handed.

use std::process::ExitCode;

use serde::{Deserialize, Serialize};

/// The exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "u8", from = "u8")]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Anything that has no code of its own.
    Other = 1,
    /// What was typed or configured makes no sense.
    Usage = 2,
    /// Nobody shares what was asked for.
    NotFound = 3,
    /// No tracker, or nobody who has it, can be reached.
    Unreachable = 4,
    /// What arrived is not what was asked for.
    Integrity = 5,
    /// All that the listing has is here, but the listing leaves things out.
    Partial = 6,
    /// Too few trackers of a cluster are there to agree; what was asked for may have been done or not.
    NoQuorum = 7,
    /// Of a node: a later start of it was let in.
    Fenced = 75,
    /// Stopped by SIGINT or SIGTERM.
    Interrupted = 130,
}

impl Exit {
    /// The table for `--help`.
    pub(crate) const HELP: &str = "Exit codes: 0 done, 1 other failure, 2 bad usage, 3 not found, \
        4 nobody can be reached, 5 integrity failure, \
         6 fetched but for what its source left out, 7 too few trackers of the cluster are there, \
         75 another start of this node was let in, 130 interrupted.";
}

impl From<Exit> for u8 {
    fn from(exit: Exit) -> u8 {
        exit as u8
    }
}

/// What failed with a number that is no code here, 0 among them, failed otherwise.
impl From<u8> for Exit {
    fn from(code: u8) -> Exit {
        let failures = [
            Exit::Usage,
            Exit::NotFound,
            Exit::Unreachable,
            Exit::Integrity,
            Exit::Partial,
            Exit::NoQuorum,
            Exit::Fenced,
            Exit::Interrupted,
        ];
        failures.into_iter().find(|exit| *exit as u8 == code).unwrap_or(Exit::Other)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_itself_again_and_any_other_number_is_another_failure() {
        let known: Vec<(u8, Exit)> = (0..=u8::MAX)
            .map(|code| (code, Exit::from(code)))
            .filter(|(_, exit)| *exit != Exit::Other)
            .collect();
        let all = [
            (2, Exit::Usage),
            (3, Exit::NotFound),
            (4, Exit::Unreachable),
            (5, Exit::Integrity),
            (6, Exit::Partial),
            (7, Exit::NoQuorum),
            (75, Exit::Fenced),
            (130, Exit::Interrupted),
        ];
        assert_eq!(known, all);
        assert!(known.iter().all(|(code, exit)| u8::from(*exit) == *code));
        assert_eq!(serde_json::to_string(&Exit::Integrity).unwrap(), "5");
    }
}
