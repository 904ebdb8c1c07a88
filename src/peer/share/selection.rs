//! What of a folder its user wants to share. Pure.
//!
//! Hidden files and folders, and what is named like a private key, are not taken by themselves: people share a folder and
//! forget what else is in it. Patterns say what else is not; a file in the folder has them in the form of `.gitignore`.

use crate::content::Pattern;

/// The file of patterns, in the shared folder itself.
pub(super) const IGNORE_FILE: &str = ".p2pignore";
/// Most bytes of it that are read.
pub(super) const MAX_IGNORE_BYTES: u64 = 64 << 10;

/// Names that private keys have by custom.
const KEY_NAMES: &[&str] = &["id_rsa", "id_dsa", "id_ecdsa", "id_ed25519", "id_ecdsa_sk", "id_ed25519_sk"];
/// How the names of files end that hold private keys or passwords.
const KEY_ENDS: &[&str] = &[".pem", ".key", ".p12", ".pfx", ".ppk", ".jks", ".keystore", ".kdbx"];

/// Why something is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is hidden, or named like a key, and nobody said that it is to be shared.
    Private,
    /// A pattern says so.
    Said,
}

/// A line of the file of patterns.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    pattern: Pattern,
    /// It takes back what others say.
    takes: bool,
}

/// What is taken of a folder. By default all but what is hidden or a key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// What is hidden or a key, too.
    all: bool,
    /// What is not, whatever else is said.
    exclude: Vec<Pattern>,
    rules: Vec<Rule>,
}

impl Selection {
    /// `all`: what is hidden or a key, too; but nothing that one of `exclude` is the pattern of.
    pub fn new(all: bool, exclude: Vec<Pattern>) -> Selection {
        Selection { all, exclude, rules: Vec::new() }
    }

    /// True if nobody said anything.
    pub(super) fn is_default(&self) -> bool {
        *self == Selection::default()
    }

    /// With what the file of patterns says. The last line that fits is what counts; those that are none are returned.
    pub(super) fn with_ignore_file(mut self, text: &str) -> (Selection, Vec<&str>) {
        let mut bad = Vec::new();
        let lines = text.lines().map(str::trim_end).filter(|line| !line.is_empty() && !line.starts_with('#'));
        for line in lines {
            let (takes, text) = line.strip_prefix('!').map_or((false, line), |text| (true, text));
            match Pattern::new(text) {
                Ok(pattern) => self.rules.push(Rule { pattern, takes }),
                Err(_) => bad.push(line),
            }
        }
        (self, bad)
    }

    /// Why what lies at `path` is not taken, if it is not. Of the folders that it lies in is not spoken.
    pub(super) fn refuses(&self, path: &str, is_folder: bool) -> Option<Refusal> {
        if self.exclude.iter().any(|pattern| pattern.matches(path, is_folder)) {
            return Some(Refusal::Said);
        }
        match self.rules.iter().rev().find(|rule| rule.pattern.matches(path, is_folder)) {
            Some(rule) => (!rule.takes).then_some(Refusal::Said),
            None => (!self.all && is_private(path, is_folder)).then_some(Refusal::Private),
        }
    }

    /// True if it, or a folder that it lies in, is not taken.
    pub(super) fn hides(&self, path: &str, is_folder: bool) -> bool {
        let mut above = path.match_indices('/').map(|(end, _)| &path[..end]);
        self.refuses(path, is_folder).is_some() || above.any(|folder| self.refuses(folder, true).is_some())
    }
}

fn is_private(path: &str, is_folder: bool) -> bool {
    let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
    let lower = name.to_ascii_lowercase();
    let is_key = KEY_NAMES.contains(&&*lower) || KEY_ENDS.iter().any(|end| lower.ends_with(end));
    name.starts_with('.') || (is_key && !is_folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(text: &str) -> Selection {
        let (selection, bad) = Selection::default().with_ignore_file(text);
        assert!(bad.is_empty(), "{bad:?}");
        selection
    }

    #[test]
    fn what_is_hidden_or_a_key_is_taken_only_if_all_is() {
        let (some, all) = (Selection::default(), Selection { all: true, ..Selection::default() });
        for (path, is_folder) in
            [(".env", false), ("a/.git", true), ("ssh/id_rsa", false), ("a/Server.PEM", false)]
        {
            assert_eq!(some.refuses(path, is_folder), Some(Refusal::Private), "{path}");
            assert_eq!(all.refuses(path, is_folder), None, "{path}");
        }
        for (path, is_folder) in [("a", false), ("id_rsa.pub", false), ("talk.key", true), ("a.b", false)] {
            assert_eq!(some.refuses(path, is_folder), None, "{path}");
        }
        assert!(some.hides(".git/config", false) && !some.hides("git/config", false));
    }

    #[test]
    fn the_last_line_that_fits_counts() {
        let lines = selection("# drafts\n*.tmp\nbuild/\n!keep.tmp\n!.env\n");
        assert_eq!(lines.refuses("d/a.tmp", false), Some(Refusal::Said));
        assert_eq!(lines.refuses("d/keep.tmp", false), None);
        assert_eq!(
            (lines.refuses("build", true), lines.refuses("build", false)),
            (Some(Refusal::Said), None)
        );
        assert_eq!(
            (lines.refuses(".env", false), lines.refuses(".envrc", false)),
            (None, Some(Refusal::Private))
        );
        let excluded = Selection { exclude: vec![Pattern::new("keep.*").unwrap()], ..lines };
        assert_eq!(excluded.refuses("d/keep.tmp", false), Some(Refusal::Said), "whatever else is said");
    }

    #[test]
    fn what_is_no_pattern_is_told() {
        let long = "x".repeat(5000);
        let text = format!("a\n/\n{long}\n");
        assert_eq!(Selection::default().with_ignore_file(&text).1, ["/", &long]);
    }
}
