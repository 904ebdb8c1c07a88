//! One line of a doctor: what was looked at, what was seen, and what to do about it.

use serde::Serialize;

/// What came of looking at something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    Ok,
    Warn,
    Fail,
}

/// Something that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Check {
    /// What.
    pub(super) check: &'static str,
    pub(super) verdict: Verdict,
    /// What was seen.
    pub(super) says: String,
    /// What to do about it, unless it is well.
    remedy: Option<String>,
    /// What others showed, if they were asked for the same.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    others: Vec<Other>,
}

/// What another one showed: a tracker, or a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Other {
    /// Which.
    pub(super) who: String,
    /// How far its clock is ahead of this machine's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ahead_ms: Option<i64>,
    /// Program and version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) software: Option<String>,
}

impl Check {
    pub(super) fn ok(check: &'static str, says: String) -> Check {
        Check { check, verdict: Verdict::Ok, says, remedy: None, others: Vec::new() }
    }

    pub(super) fn warn(check: &'static str, says: String, remedy: &str) -> Check {
        Check { verdict: Verdict::Warn, remedy: Some(remedy.to_owned()), ..Check::ok(check, says) }
    }

    pub(super) fn fail(check: &'static str, says: String, remedy: &str) -> Check {
        Check { verdict: Verdict::Fail, remedy: Some(remedy.to_owned()), ..Check::ok(check, says) }
    }

    /// Well, or a warning.
    pub(super) fn unless(bad: bool, check: &'static str, says: String, remedy: &str) -> Check {
        if bad { Check::warn(check, says, remedy) } else { Check::ok(check, says) }
    }

    /// The same, with what others showed.
    pub(super) fn beside(self, others: Vec<Other>) -> Check {
        Check { others, ..self }
    }

    pub(super) fn line(&self) -> String {
        let mark = match self.verdict {
            Verdict::Ok => "ok  ",
            Verdict::Warn => "warn",
            Verdict::Fail => "FAIL",
        };
        let remedy = self.remedy.as_ref().map(|remedy| format!("\n      {remedy}")).unwrap_or_default();
        format!("{mark}  {}: {}{remedy}", self.check, self.says)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_a_line_with_what_to_do() {
        assert_eq!(Check::ok("hash", "fast".to_owned()).line(), "ok    hash: fast");
        assert_eq!(
            Check::fail("disk", "full".to_owned(), "make room").line(),
            "FAIL  disk: full\n      make room"
        );
        assert_eq!(Check::unless(true, "clock", "1970".to_owned(), "set it").verdict, Verdict::Warn);
    }
}
