//! Patterns of names: which names trackers have that match one.

use std::collections::BTreeSet;

use super::tracker;
use crate::cli::failure::Failure;
use crate::cli::typed::values::Patience;
use crate::cli::typed::what::is_plain;
use crate::content::{Pattern, SafeName, is_pattern, shown};

/// A pattern of whole names, from their beginning.
#[derive(Debug)]
pub(crate) struct Names {
    text: String,
    pattern: Pattern,
}

/// What a text says as a pattern, if it is one: it has a `*` or `?`, and nothing says that it is a name, an id or a link.
pub(crate) fn pattern(text: &str) -> Option<Names> {
    let pattern = Pattern::new(&format!("/{text}")).ok()?;
    (is_plain(text) && is_pattern(text)).then(|| Names { text: text.to_owned(), pattern })
}

impl Names {
    fn has(&self, name: &SafeName) -> bool {
        self.pattern.matches(name.path(), name.is_tree())
    }
}

/// Every name that matches, in order; at least one.
pub(crate) fn matching(
    names: &Names,
    trackers: &[String],
    patience: Patience,
) -> Result<Vec<SafeName>, Failure> {
    let nothing = format!("nobody is known who shares anything that matches {}", shown(&names.text));
    // A tracker's `*` stands for more; it asks for no `/` at the end of a folder's name.
    let question = format!("{}*", names.text.trim_end_matches('/'));
    let mut trackers = tracker::connect(trackers, patience)?;
    let mut found = BTreeSet::new();
    tracker::of_any(&mut trackers, |tracker| {
        tracker.list(&question, |entry| {
            found.extend(SafeName::new(&*entry.name).ok().filter(|name| names.has(name)));
            Ok(())
        })
    })?;
    let found = Some(found).filter(|found| !found.is_empty());
    let found = tracker::as_far_as_known(&trackers, found, &nothing)?;
    found.map(|found| found.into_iter().collect()).ok_or_else(|| {
        Failure::not_found(format!(
            "nobody shares anything that matches {}; `p2p ls -r` lists what there is",
            shown(&names.text)
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_of_whole_names_and_only_where_nothing_else_is_said() {
        let names = pattern("photos/*.jpg").unwrap();
        let has = |name: &str| names.has(&SafeName::new(name).unwrap());
        assert!(
            has("photos/a.jpg")
                && !has("photos/2024/a.jpg")
                && !has("my/photos/a.jpg")
                && has("photos/a.jpg/")
        );
        assert!(pattern("*/").unwrap().has(&SafeName::new("d/").unwrap()));
        assert!(!pattern("*/").unwrap().has(&SafeName::new("d").unwrap()));
        for text in ["photos/", "name:a*", "p2p:1f?name=a", "id:1?"] {
            assert!(pattern(text).is_none(), "{text}");
        }
    }
}
