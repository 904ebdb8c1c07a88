//! What of all that is published is meant: a name, a version, a part of it.

use crate::cli::failure::Failure;
use crate::content::{SafeName, shown, version_in};

/// What was typed: `NAME[@VERSION][/PATH/INSIDE]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sought {
    /// All of it but for the version and what is behind that.
    pub(crate) name: String,
    /// 0 for the latest.
    pub(crate) number: u32,
    /// What is behind the version.
    pub(crate) inside: Option<String>,
}

/// A name under which something may be on record: none that stands for a version of another.
///
/// # Errors
/// Bad usage.
pub(crate) fn on_record(name: SafeName) -> Result<SafeName, Failure> {
    match version_in(name.as_str()) {
        None => Ok(name),
        Some((at, number, _)) => Err(Failure::usage(format!(
            "`{name}` would stand for version {number} of `{}`, so nothing is put on record under it; --as gives it another name",
            shown(&name.as_str()[..at])
        ))),
    }
}

impl Sought {
    /// Understands it: the last `@` before a number that ends there, or at a `/`, says which version.
    pub(crate) fn parse(text: &str) -> Sought {
        match version_in(text) {
            Some((at, number, inside)) => {
                let inside = Some(inside.to_owned()).filter(|inside| !inside.is_empty());
                Sought { name: text[..at].to_owned(), number, inside }
            }
            None => Sought { name: text.to_owned(), number: 0, inside: None },
        }
    }

    /// The names that may be meant by the whole of it: a file's, and a folder's.
    pub(crate) fn names(&self) -> Vec<SafeName> {
        let whole = self.readings().into_iter().filter(|(_, inside)| inside.is_none());
        whole.filter_map(|(name, _)| SafeName::new(name).ok()).collect()
    }

    /// Nothing is on record as that.
    pub(crate) fn nothing(&self) -> Failure {
        let name = shown(&self.name);
        Failure::not_found(match self.number {
            0 => format!("nothing is published as {name}; `p2p ls` lists what there is"),
            number => format!("there is no version {number} of {name}; `p2p versions {name}` lists them"),
        })
    }

    /// The names that may be meant, with what is then meant of them, the likeliest first: the whole text, as a file and
    /// as a folder, and each folder that it could lead into.
    pub(crate) fn readings(&self) -> Vec<(String, Option<String>)> {
        let whole = self.name.trim_end_matches('/');
        let folder = (format!("{whole}/"), self.inside.clone());
        let file = (whole.to_owned(), None);
        if self.inside.is_some() {
            return vec![folder];
        }
        let both = if self.name.ends_with('/') { vec![folder] } else { vec![file, folder] };
        let within = whole
            .rmatch_indices('/')
            .map(|(at, _)| (format!("{}/", &whole[..at]), Some(self.name[at + 1..].to_owned())));
        both.into_iter().chain(within.filter(|_| self.number == 0)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sought(name: &str, number: u32, inside: Option<&str>) -> Sought {
        Sought { name: name.to_owned(), number, inside: inside.map(str::to_owned) }
    }

    #[test]
    fn a_version_is_a_number_behind_an_at_sign() {
        for (text, expected) in [
            ("a", sought("a", 0, None)),
            ("a/b/", sought("a/b/", 0, None)),
            ("a@3", sought("a", 3, None)),
            ("a/@3", sought("a/", 3, None)),
            ("a@3/b/c", sought("a", 3, Some("b/c"))),
            ("a@3/", sought("a", 3, None)),
            ("a@3/b@4", sought("a@3/b", 4, None)),
            ("me@home", sought("me@home", 0, None)),
            ("me@home@12", sought("me@home", 12, None)),
            ("a@0", sought("a@0", 0, None)),
            ("a@3x", sought("a@3x", 0, None)),
            ("a@99999999999", sought("a@99999999999", 0, None)),
        ] {
            assert_eq!(Sought::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn what_stands_for_a_version_is_no_name_on_record() {
        for (name, is_one) in [("a", true), ("a@x", true), ("a@2x/b", true), ("a@2", false), ("a@2/", false)]
        {
            assert_eq!(on_record(SafeName::new(name).unwrap()).is_ok(), is_one, "{name}");
        }
    }

    #[test]
    fn a_path_may_lead_into_a_folder() {
        let readings = |text| -> Vec<String> {
            let said = |(name, inside): (String, Option<String>)| match inside {
                Some(inside) => format!("{name} {inside}"),
                None => name,
            };
            Sought::parse(text).readings().into_iter().map(said).collect()
        };
        assert_eq!(readings("a"), ["a", "a/"]);
        assert_eq!(readings("a/"), ["a/"]);
        assert_eq!(readings("a/b/c"), ["a/b/c", "a/b/c/", "a/b/ c", "a/ b/c"]);
        assert_eq!(readings("a/b/"), ["a/b/", "a/ b/"]);
        assert_eq!(readings("a@2"), ["a", "a/"]);
        assert_eq!(readings("a@2/b/c"), ["a/ b/c"]);
    }
}
