//! The last lines that a role wrote. Pure.

use std::collections::VecDeque;

/// Lines kept of each role.
const LINES: usize = 200;
/// Longest part of a line that is kept.
const MAX_LINE_CHARS: usize = 500;

/// The last lines of one role.
#[derive(Debug, Default)]
pub(super) struct Tail(VecDeque<String>);

impl Tail {
    /// One more line.
    pub(super) fn push(&mut self, line: &str) {
        if self.0.len() == LINES {
            self.0.pop_front();
        }
        self.0.push_back(line.chars().take(MAX_LINE_CHARS).collect());
    }

    /// The last so many.
    pub(super) fn last(&self, count: usize) -> Vec<String> {
        self.0.iter().skip(self.0.len().saturating_sub(count)).cloned().collect()
    }

    /// All that are kept.
    pub(super) fn all(&self) -> Vec<String> {
        self.last(LINES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_and_of_a_long_one_its_beginning() {
        let mut tail = Tail::default();
        (0..1000).for_each(|number| tail.push(&number.to_string()));
        assert_eq!((tail.all().len(), tail.last(2)), (LINES, vec!["998".to_owned(), "999".to_owned()]));
        tail.push(&"x".repeat(1000));
        assert_eq!(tail.last(1)[0].len(), MAX_LINE_CHARS);
    }
}
