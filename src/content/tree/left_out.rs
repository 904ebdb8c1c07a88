//! What a folder has and its listing has not, and why. Pure.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::content::name::shown;

/// Why something was left out of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum Reason {
    /// It cannot be read.
    Unreadable = 1,
    /// It is a pipe, a socket or a device.
    Special = 2,
    /// It has a name that is not UTF-8, or that is not allowed, or is a symbolic link to one.
    Name = 3,
    /// It is a symbolic link that itself leads out of the folder, or to what is not shared.
    Outside = 4,
    /// It is being changed, or was not read yet.
    Changing = 5,
    /// It is larger than any file may be, or nested too deeply, or one too many.
    TooLarge = 6,
}

impl Reason {
    const ALL: [Reason; 6] = [
        Reason::Unreadable,
        Reason::Special,
        Reason::Name,
        Reason::Outside,
        Reason::Changing,
        Reason::TooLarge,
    ];

    pub(super) fn of(code: u8) -> Option<Reason> {
        Reason::ALL.into_iter().find(|reason| *reason as u8 == code)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::Unreadable => "cannot be read",
            Reason::Special => "is a pipe, socket or device",
            Reason::Name => "has a name or target that cannot be told",
            Reason::Outside => "is a link that leads outside",
            Reason::Changing => "is still changing",
            Reason::TooLarge => "is too large or too deep",
        })
    }
}

/// Something that was left out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Missing {
    /// Its path for a person to read; not a path to use.
    pub path: String,
    /// Why.
    pub reason: Reason,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", shown(&self.path), self.reason)
    }
}

/// What was left out of a tree: the first by name, the rest as a number.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LeftOut {
    named: Vec<Missing>,
    more: u32,
}

impl LeftOut {
    /// Most that are named.
    pub const MAX_NAMED: usize = 64;
    /// Longest name, in bytes; what is longer is cut.
    pub const MAX_NAME_BYTES: usize = 1024;

    /// The list of these, in any order.
    pub fn new(all: impl IntoIterator<Item = Missing>) -> LeftOut {
        let mut named: Vec<Missing> = all
            .into_iter()
            .map(|Missing { path, reason }| Missing { path: readable(&path), reason })
            .collect();
        named.sort_unstable();
        // Cut names may have become equal.
        named.dedup_by(|a, b| a.path == b.path);
        let more = named.len().saturating_sub(LeftOut::MAX_NAMED);
        named.truncate(LeftOut::MAX_NAMED);
        LeftOut { named, more: u32::try_from(more).unwrap_or(u32::MAX) }
    }

    /// As it was read; `None` if no list is written so.
    pub(super) fn read(named: Vec<Missing>, more: u32) -> Option<LeftOut> {
        let fits = |missing: &Missing| readable(&missing.path) == missing.path && !missing.path.is_empty();
        let sorted = named.is_sorted_by(|a, b| a.path < b.path);
        let counted = named.len() == LeftOut::MAX_NAMED || (named.len() < LeftOut::MAX_NAMED && more == 0);
        (sorted && counted && named.iter().all(fits)).then_some(LeftOut { named, more })
    }

    /// The first of them, in order of path.
    pub fn named(&self) -> &[Missing] {
        &self.named
    }

    /// How many there are besides.
    pub fn more(&self) -> u32 {
        self.more
    }

    /// True if this may be what is missing at `path`: it, a folder above it, or one of those that are not named.
    pub fn may_cover(&self, path: &str) -> bool {
        let path = readable(path);
        /// The longest that one character becomes.
        const LONGEST: usize = 10;
        // What is so long may have been cut.
        let covers = |missing: &Missing| {
            let rest = path.strip_prefix(missing.path.trim_end_matches('/'));
            rest.is_some_and(|rest| {
                rest.is_empty()
                    || rest.starts_with('/')
                    || missing.path.len() + LONGEST > LeftOut::MAX_NAME_BYTES
            })
        };
        self.more > 0 || self.named.iter().any(covers)
    }

    /// The same in a sentence: `left out: pipe is a pipe, …` or `3 things are left out: …`. Empty if nothing is.
    pub fn sentence(&self) -> String {
        const NAMED: usize = 3;
        let named: Vec<String> = self.named.iter().take(NAMED).map(ToString::to_string).collect();
        let more = match self.count().saturating_sub(named.len() as u64) {
            0 => String::new(),
            more => format!(", and {more} more"),
        };
        match self.count() {
            0 => String::new(),
            1 => format!("left out: {}", named.concat()),
            count => format!("{count} things are left out: {}{more}", named.join(", ")),
        }
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.named.len() as u64 + u64::from(self.more)
    }
}

/// A path as a line of text: control characters escaped, and no longer than allowed.
fn readable(path: &str) -> String {
    let mut out = String::new();
    for c in path.chars() {
        let len = out.len();
        match c.is_control() {
            true => out.extend(c.escape_default()),
            false => out.push(c),
        }
        if out.len() > LeftOut::MAX_NAME_BYTES {
            out.truncate(len);
            break;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(path: &str) -> Missing {
        Missing { path: path.to_owned(), reason: Reason::Special }
    }

    #[test]
    fn the_first_are_named_and_the_rest_counted() {
        let all = (0..100).rev().map(|n| missing(&format!("{n:03}")));
        let left_out = LeftOut::new(all);
        assert_eq!((left_out.named().len(), left_out.more(), left_out.count()), (64, 36, 100));
        assert_eq!(left_out.named()[1].path, "001");
        assert_eq!(LeftOut::read(left_out.named().to_vec(), 36), Some(left_out));
    }

    #[test]
    fn names_are_one_line_of_bounded_length() {
        let left_out = LeftOut::new([missing("a\nb\u{1b}[2J"), missing(&"ü\n".repeat(2000))]);
        assert_eq!(left_out.named()[0].path, "a\\nb\\u{1b}[2J");
        assert!(left_out.named()[1].path.len() <= LeftOut::MAX_NAME_BYTES);
        assert_eq!(LeftOut::read(left_out.named().to_vec(), 0), Some(left_out));
    }

    #[test]
    fn a_name_of_the_longest_is_whole() {
        let longest = "a".repeat(LeftOut::MAX_NAME_BYTES);
        let left_out = LeftOut::new([missing(&longest), missing(&format!("b{longest}"))]);
        assert_eq!(left_out.named()[0].path, longest);
        assert_eq!(left_out.named()[1].path, format!("b{}", &longest[1..]));
    }

    #[test]
    fn what_may_be_missing_is_it_and_what_is_below_it() {
        let left_out = LeftOut::new([missing("d"), missing("e/f/"), missing("g\n")]);
        let covered = ["d", "d/x", "dx", "e", "e/f", "e/f/x", "e/fx", "g\n", "g", ""];
        let covered = covered.map(|path| left_out.may_cover(path));
        assert_eq!(covered, [true, true, false, false, true, true, false, true, false, false]);
        let too_many = LeftOut::new((0..=LeftOut::MAX_NAMED).map(|n| missing(&n.to_string())));
        assert!(too_many.may_cover("anything"), "it may be the one that is not named");
    }

    #[test]
    fn of_a_name_that_may_have_been_cut_the_rest_is_not_known() {
        let covers = |len: usize| LeftOut::new([missing(&"a".repeat(len))]).may_cover(&"a".repeat(2000));
        let cut = LeftOut::MAX_NAME_BYTES;
        assert_eq!([cut - 10, cut - 9, cut, 2000].map(covers), [false, true, true, true]);
    }

    #[test]
    fn a_sentence_names_three_at_most_and_counts_the_others() {
        let says = |paths: &[&str]| LeftOut::new(paths.iter().map(|path| missing(path))).sentence();
        let is = |path: &str| format!("{path} is a pipe, socket or device");
        assert_eq!(says(&[]), "");
        assert_eq!(says(&["a"]), format!("left out: {}", is("a")));
        assert_eq!(says(&["b", "a"]), format!("2 things are left out: {}, {}", is("a"), is("b")));
        let three = ["a", "b", "c"].map(is).join(", ");
        assert_eq!(says(&["a", "b", "c"]), format!("3 things are left out: {three}"));
        assert_eq!(says(&["a", "b", "c", "d"]), format!("4 things are left out: {three}, and 1 more"));
        let many = LeftOut::new((0..100).map(|n| missing(&format!("{n:03}"))));
        assert!(many.sentence().ends_with("002 is a pipe, socket or device, and 97 more"), "named or not");
    }

    #[test]
    fn each_reason_is_said_in_words_of_its_own_and_found_again_by_its_number() {
        let said = Reason::ALL.map(|reason| Missing { path: "a\u{202e}b".to_owned(), reason }.to_string());
        assert_eq!(said[3], "a\\u{202e}b is a link that leads outside", "it reads as it is written");
        let words: std::collections::BTreeSet<&String> = said.iter().collect();
        assert_eq!(words.len(), Reason::ALL.len());
        let known = (0..=u8::MAX).filter_map(Reason::of);
        assert_eq!(known.collect::<Vec<_>>(), Reason::ALL);
    }

    #[test]
    fn a_list_has_one_form() {
        let bad = [
            LeftOut::read(vec![missing("b"), missing("a")], 0),
            LeftOut::read(vec![missing("a"), missing("a")], 0),
            LeftOut::read(vec![missing("a\n")], 0),
            LeftOut::read(vec![missing("")], 0),
            LeftOut::read(vec![missing("a")], 1),
        ];
        assert!(bad.iter().all(Option::is_none), "{bad:?}");
    }
}
