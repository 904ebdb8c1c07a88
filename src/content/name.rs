//! The one function that decides whether a name from outside may be used as a path.

use std::borrow::Borrow;
use std::fmt;

/// Why a name is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// No name at all.
    #[error("it is empty")]
    Empty,
    /// Above [`SafeName::MAX_BYTES`], or a part above [`SafeName::MAX_PART_BYTES`].
    #[error("it is too long")]
    TooLong,
    /// It starts with `/`.
    #[error("it is an absolute path")]
    Absolute,
    /// It has an empty part, `.` or `..`.
    #[error("it has a part that is empty, `.` or `..`")]
    Dots,
    /// It has a NUL byte.
    #[error("it has a NUL byte")]
    Nul,
    /// A part is the name of this program's own state folder.
    #[error("`.p2p` is reserved")]
    Reserved,
}

/// A `/`-separated relative path that stays inside the folder it is joined to.
///
/// A tree's name ends with one `/`. Symbolic links are the business of whoever opens the path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SafeName(String);

impl SafeName {
    /// Longest name, in bytes.
    pub const MAX_BYTES: usize = 4096;
    /// Longest part of a name, in bytes: what file systems take.
    pub const MAX_PART_BYTES: usize = 255;
    /// The folder in which this program keeps its state, never shared.
    pub const STATE_FOLDER: &str = ".p2p";

    /// Checks `name`.
    ///
    /// # Errors
    /// [`NameError`] says what is wrong with it.
    pub fn new(name: impl Into<String>) -> Result<SafeName, NameError> {
        let name = name.into();
        if name.len() > SafeName::MAX_BYTES {
            return Err(NameError::TooLong);
        }
        if name.starts_with('/') {
            return Err(NameError::Absolute);
        }
        let path = name.strip_suffix('/').unwrap_or(&name);
        if path.is_empty() {
            return Err(NameError::Empty);
        }
        path.split('/').try_for_each(check_part)?;
        Ok(SafeName(name))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True for the name of a tree.
    pub fn is_tree(&self) -> bool {
        self.0.ends_with('/')
    }

    /// The name without a tree's `/`.
    pub fn path(&self) -> &str {
        self.0.strip_suffix('/').unwrap_or(&self.0)
    }

    /// The last part.
    pub fn base(&self) -> &str {
        self.path().rsplit('/').next().unwrap_or_default()
    }
}

fn check_part(part: &str) -> Result<(), NameError> {
    match part {
        "" | "." | ".." => Err(NameError::Dots),
        part if is_reserved(part) => Err(NameError::Reserved),
        part if part.contains('\0') => Err(NameError::Nul),
        part if part.len() > SafeName::MAX_PART_BYTES => Err(NameError::TooLong),
        _ => Ok(()),
    }
}

/// True if a part of a path is the state folder's name, or is so where case, and dots or spaces at the end, do not
/// count: as on FAT, on NTFS, and in folders of ext4 that were made so.
pub(super) fn is_reserved(part: &str) -> bool {
    part.trim_end_matches(['.', ' ']).eq_ignore_ascii_case(SafeName::STATE_FOLDER)
}

/// True for what must not reach a terminal as it is: control characters, and those that end lines or turn the
/// direction of writing.
pub fn misleads(c: char) -> bool {
    let turns =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || c.is_control()
}

/// Where `@NUMBER` in a text says which version is meant of the name before it, the number, and what is behind that: a path in
/// the version. It is the last `@` before a number that ends there, or at a `/`.
pub fn version_in(text: &str) -> Option<(usize, u32, &str)> {
    text.rmatch_indices('@').find_map(|(at, _)| {
        let behind = &text[at + 1..];
        let digits = behind.find(|c: char| !c.is_ascii_digit()).unwrap_or(behind.len());
        let number: u32 = behind[..digits].parse().ok().filter(|number| *number > 0)?;
        let rest = &behind[digits..];
        (rest.is_empty() || rest.starts_with('/')).then(|| (at, number, rest.trim_start_matches('/')))
    })
}

/// Text of strangers as it is shown: it stays on its line and reads in the order in which it is written, because what
/// [`misleads`] is escaped.
pub fn shown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if misleads(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// Names are compared as their texts are.
impl Borrow<str> for SafeName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SafeName {
    /// The name as it is [`shown`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_relative_paths() {
        for name in ["a", "a/b c/ü\"'\n", "photos/", "...", "a..b", ".hidden", ".p2p-1", "p2p", ".p2p.d"] {
            assert_eq!(SafeName::new(name).as_ref().map(SafeName::as_str), Ok(name));
        }
    }

    #[test]
    fn what_ends_a_line_or_turns_the_writing_is_escaped_and_its_neighbours_are_not() {
        let bad = "\0\t\n\r\u{1b}\u{7f}\u{85}\u{61c}\u{200e}\u{200f}\u{2028}\u{2029}\u{202a}\u{202e}\u{2066}\u{2069}";
        let good = " ~\u{a0}\u{61b}\u{61d}\u{200d}\u{2010}\u{2027}\u{202f}\u{2065}\u{206a}\u{fc}\u{5b57}";
        assert_eq!(bad.chars().filter(|c| !misleads(*c)).collect::<String>(), "");
        assert_eq!(good.chars().filter(|c| misleads(*c)).collect::<String>(), "");
        assert_eq!(shown(good), good);
        assert_eq!(shown("a\u{202e}b\n\u{5b57}"), "a\\u{202e}b\\n\u{5b57}");
    }

    #[test]
    fn refuses_what_could_leave_the_folder() {
        let cases = [
            ("", NameError::Empty),
            ("/", NameError::Absolute),
            ("/etc/passwd", NameError::Absolute),
            ("..", NameError::Dots),
            ("a/../../b", NameError::Dots),
            ("./a", NameError::Dots),
            ("a//b", NameError::Dots),
            ("a//", NameError::Dots),
            ("a\0b", NameError::Nul),
            (".p2p/index", NameError::Reserved),
            ("a/.p2p/", NameError::Reserved),
            ("a/.P2p", NameError::Reserved),
            (".P2P. ./x", NameError::Reserved),
        ];
        for (name, error) in cases {
            assert_eq!(SafeName::new(name), Err(error), "{name:?}");
        }
        assert_eq!(SafeName::new("x".repeat(256)), Err(NameError::TooLong));
        assert_eq!(SafeName::new("x/".repeat(2049)), Err(NameError::TooLong));
    }
}
