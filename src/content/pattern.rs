//! Patterns of paths, as people write them: what is taken, and what is not. Pure.
//!
//! As in `.gitignore`: a pattern without `/` is that of a name at any depth, one with `/` that of a path from the top.
//! `*` and `?` stand for characters of one name, the name `**` for any folders; a `/` at the end is for folders only.

use std::fmt;
use std::str::FromStr;

/// Longest pattern in bytes: that of a path.
const MAX_BYTES: usize = 4096;
/// The part of a pattern that stands for any folders, or none.
const ANY_FOLDERS: &str = "**";

/// One pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// The patterns of the names on the way.
    parts: Vec<String>,
    /// The way begins at the top.
    anchored: bool,
    /// It is of folders.
    folders: bool,
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn new(text: &str) -> Result<Pattern, &'static str> {
        let body = text.strip_suffix('/').unwrap_or(text);
        let (anchored, folders) = (body.contains('/'), body.len() < text.len());
        let body = body.strip_prefix('/').unwrap_or(body);
        match body {
            "" => Err("a pattern has something in it"),
            _ if body.len() > MAX_BYTES => Err("a pattern has at most 4096 bytes"),
            _ => Ok(Pattern { parts: body.split('/').map(str::to_owned).collect(), anchored, folders }),
        }
    }

    /// True if it is that of what lies at `path`, whose parts are divided by `/`.
    pub fn matches(&self, path: &str, is_folder: bool) -> bool {
        let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
        (is_folder || !self.folders) && is_way(&self.parts, if self.anchored { path } else { name })
    }

    /// True if it is that of `path`, or of a folder that it lies in.
    pub fn covers(&self, path: &str, is_folder: bool) -> bool {
        let mut above = path.match_indices('/').map(|(end, _)| &path[..end]);
        self.matches(path, is_folder) || above.any(|folder| self.matches(folder, true))
    }
}

impl FromStr for Pattern {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Pattern, &'static str> {
        Pattern::new(text)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (start, end) = (if self.anchored { "/" } else { "" }, if self.folders { "/" } else { "" });
        write!(f, "{start}{}{end}", self.parts.join("/"))
    }
}

/// What is taken of the paths in a folder: what a pattern of `include` covers, or everything if there is none, but for
/// what one of `exclude` covers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// What is taken.
    pub include: Vec<Pattern>,
    /// What is not, whatever `include` says.
    pub exclude: Vec<Pattern>,
}

impl Filter {
    /// True if it takes everything.
    pub fn is_open(&self) -> bool {
        self.include.is_empty() && self.exclude.is_empty()
    }

    /// True if it takes what lies at `path`.
    pub fn takes(&self, path: &str, is_folder: bool) -> bool {
        let covered = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.covers(path, is_folder));
        (self.include.is_empty() || covered(&self.include)) && !covered(&self.exclude)
    }
}

/// True if a text says more than one name: it has a character that stands for others.
pub fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?'])
}

/// Whether a path is what the patterns of its names say.
fn is_way(patterns: &[String], path: &str) -> bool {
    let names: Vec<&str> = path.split('/').collect();
    let any = |pattern: &String| pattern == ANY_FOLDERS;
    reaches_end(patterns, any, names.len(), |pattern, at| is_name(pattern, names[at]))
}

/// Whether a name is what a pattern says.
fn is_name(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let any = |c: &char| *c == '*';
    reaches_end(&pattern, any, name.len(), |c, at| *c == '?' || *c == name[at])
}

/// Whether the steps of a pattern lead to the end of something of `len` pieces: those that stand for any number of
/// them do, the others for one that fits. Takes time of both lengths multiplied, whatever the pattern.
fn reaches_end<T>(
    steps: &[T],
    any: impl Fn(&T) -> bool,
    len: usize,
    fits: impl Fn(&T, usize) -> bool,
) -> bool {
    // The places that can have been come to.
    let mut places = vec![false; len + 1];
    places[0] = true;
    for step in steps {
        if any(step) {
            (0..len).for_each(|at| places[at + 1] |= places[at]);
        } else {
            (0..len).rev().for_each(|at| places[at + 1] = places[at] && fits(step, at));
            places[0] = false;
        }
    }
    places[len]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(pattern: &str, path: &str) -> bool {
        Pattern::new(pattern).unwrap().matches(path, false)
    }

    #[test]
    fn a_name_is_meant_at_any_depth_and_a_path_from_the_top() {
        assert!(is("*.jpg", "a.jpg") && is("*.jpg", "d/e/a.jpg") && !is("*.jpg", "a.jpg/x"));
        assert!(is("d/*.jpg", "d/a.jpg") && !is("d/*.jpg", "d/e/a.jpg") && !is("d/*.jpg", "x/d/a.jpg"));
        assert!(is("/a", "a") && !is("/a", "d/a"));
        assert!(is("?", "ü") && !is("?", "") && !is("a?", "a"));
        assert!(is("a*b*c", "a-b-b-c") && !is("a*b*c", "a-c-b"));
    }

    #[test]
    fn any_folders_are_none_or_many() {
        for path in ["a", "d/a", "d/e/a"] {
            assert!(is("**/a", path), "{path}");
        }
        assert!(is("d/**/a", "d/a") && is("d/**/a", "d/e/f/a") && !is("d/**/a", "a"));
        assert!(is("d/**", "d/e/f") && !is("d/**", "e/f"));
    }

    #[test]
    fn what_lies_in_a_folder_is_covered_with_it() {
        let build = Pattern::new("build/").unwrap();
        assert!(build.matches("a/build", true) && !build.matches("a/build", false));
        assert!(build.covers("a/build/x", false) && !build.covers("a/builds/x", false));
        assert!(Pattern::new("*.tmp").unwrap().covers("a.tmp/x/y", false));
    }

    #[test]
    fn a_pattern_is_written_as_one_that_says_the_same() {
        for text in ["*.jpg", "/a", "a/", "/a/b", "/a/**/", "b?"] {
            assert_eq!(Pattern::new(text).unwrap().to_string(), text);
        }
        assert_eq!(Pattern::new("a/b").unwrap().to_string(), "/a/b");
    }

    #[test]
    fn a_filter_takes_what_is_included_and_not_excluded() {
        let all = |texts: &[&str]| texts.iter().map(|text| Pattern::new(text).unwrap()).collect();
        let filter =
            |include: &[&str], exclude: &[&str]| Filter { include: all(include), exclude: all(exclude) };
        assert!(filter(&[], &[]).is_open() && filter(&[], &[]).takes("d/a", false));
        let some = filter(&["*.jpg", "d"], &["*.txt"]);
        assert!(!some.is_open() && some.takes("e/a.jpg", false) && some.takes("d/x", false));
        assert!(!some.takes("e/x", false) && !some.takes("d/x.txt", false));
        assert!(!filter(&[], &["d/"]).takes("d/a", false) && filter(&[], &["d/"]).takes("d", false));
    }

    #[test]
    fn a_pattern_may_be_as_bad_as_it_likes() {
        let (pattern, name) = ("*a".repeat(1000), "a".repeat(999));
        assert!(!is(&pattern, &name));
        assert!(Pattern::new("").is_err() && Pattern::new("/").is_err());
        assert!(Pattern::new(&"x".repeat(4097)).is_err());
        assert!(is_pattern("a?") && is_pattern("*") && !is_pattern("a[b]"));
    }
}
