//! `p2p conformance`: whether a tracker, a peer or a command that fetches keeps to the protocol.

use serde::Serialize;

use crate::cli::failure::Failure;
use crate::cli::reach::swarm;
use crate::cli::show::output;
use crate::cli::show::words::{count, shown};
use crate::cli::typed::args::{Checked, ConformanceArgs};
use crate::conformance::{self, ASK, Fault, MEMBER, Outcome, Shared};

/// One line of `conformance --json`.
#[derive(Debug, Serialize)]
struct Line<'a> {
    check: &'a str,
    /// Of docs/PROTOCOL.md.
    section: &'a str,
    /// Nothing if it was skipped.
    ok: Option<bool>,
    expected: Option<&'a str>,
    came: Option<&'a str>,
    skipped: Option<&'a str>,
}

/// What all checks come to.
#[derive(Debug, Default)]
struct Tally {
    all: u64,
    failed: u64,
    /// Why nothing more is said: an answer could not be written.
    unsaid: Option<Failure>,
}

/// `p2p conformance HOST:PORT --role ROLE`, `p2p conformance --role asker -- COMMAND…`
pub(crate) fn conformance(args: &ConformanceArgs) -> Result<(), Failure> {
    let mut tally = Tally::default();
    let mut tell = |outcome: Outcome| tally.hear(&outcome, args.json);
    let target = args.target.as_deref().unwrap_or_default();
    match (args.role, target) {
        (Checked::Asker, "") => {
            let secret = swarm::secret().map(|secret| *secret.expose());
            conformance::asker(&args.command, secret, args.patience.0, &mut tell);
        }
        (Checked::Asker, _) => {
            return Err(Failure::usage("an asker is checked by its command: `-- COMMAND…`"));
        }
        (_, "") => return Err(Failure::usage("only an asker is a command; where does this one listen?")),
        (role, _) if let Some(secret) = swarm::secret() => {
            let role = if matches!(role, Checked::Tracker) { MEMBER } else { ASK };
            conformance::closed(target, role, *secret.expose(), args.patience.0, &mut tell);
        }
        (Checked::Tracker, _) => conformance::tracker(target, args.patience.0, &mut tell),
        (Checked::Server, _) => conformance::server(target, &shared(args), args.patience.0, &mut tell),
    }
    tally.verdict()
}

/// What a server is said to share.
fn shared(args: &ConformanceArgs) -> Shared {
    let mut shared = Shared { tree: args.tree.map(|tree| tree.0), ..Shared::default() };
    if let (Some(id), Some(size)) = (args.id, args.size) {
        (shared.id, shared.size) = (id.0, size);
    }
    shared
}

impl Tally {
    fn hear(&mut self, outcome: &Outcome, json: bool) {
        self.all += 1;
        self.failed += u64::from(matches!(outcome.result, Err(Fault::Other { .. })));
        if self.unsaid.is_none() {
            self.unsaid = output::answer(json, &line(outcome), || words(outcome)).err();
        }
    }

    fn verdict(self) -> Result<(), Failure> {
        match (self.unsaid, self.failed) {
            (Some(failure), _) => Err(failure),
            (None, 0) => Ok(()),
            (None, failed) => Err(Failure::other(format!("{failed} of {} failed", count(self.all, "check")))),
        }
    }
}

fn words(Outcome { name, section, result }: &Outcome) -> String {
    let (word, why) = match result {
        Ok(()) => ("ok", String::new()),
        Err(fault @ Fault::Other { .. }) => ("FAILED", format!(": {}", shown(&fault.to_string()))),
        Err(Fault::Skipped(why)) => ("skipped", format!(": {why}")),
    };
    format!("{word:7}  {section:4}  {name}{why}")
}

fn line<'a>(Outcome { name, section, result }: &'a Outcome) -> Line<'a> {
    let line = Line { check: name, section, ok: Some(true), expected: None, came: None, skipped: None };
    match result {
        Ok(()) => line,
        Err(Fault::Other { expected, came }) => {
            Line { ok: Some(false), expected: Some(expected), came: Some(came), ..line }
        }
        Err(Fault::Skipped(why)) => Line { ok: None, skipped: Some(why), ..line },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(result: Result<(), Fault>) -> Outcome {
        Outcome { name: "it holds".to_owned(), section: "3.2", result }
    }

    #[test]
    fn a_check_is_a_line() {
        let other = Fault::Other { expected: "PONG".to_owned(), came: "the \x1bend".to_owned() };
        let outcomes =
            [outcome(Ok(())), outcome(Err(other)), outcome(Err(Fault::Skipped("no tree was named")))];
        let said = outcomes.each_ref().map(words);
        assert_eq!(said[0], "ok       3.2   it holds");
        assert_eq!(said[1], "FAILED   3.2   it holds: expected PONG; came the \\u{1b}end");
        assert_eq!(said[2], "skipped  3.2   it holds: no tree was named");
        let json = outcomes.each_ref().map(|outcome| serde_json::to_value(line(outcome)).unwrap());
        assert_eq!(json.map(|line| line["ok"].clone()), [true.into(), false.into(), serde_json::Value::Null]);
    }

    #[test]
    fn one_that_fails_is_a_failure_and_one_that_is_skipped_is_none() {
        let tally = |failed| Tally { all: 3, failed, unsaid: None }.verdict();
        assert!(tally(0).is_ok());
        assert_eq!(tally(1).unwrap_err().to_string(), "1 of 3 checks failed");
    }
}
