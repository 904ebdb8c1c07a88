//! Short ids: the first digits of an id, which stand for it as long as no other begins so.

use std::collections::BTreeSet;

use super::tracker::{self, Tracker};
use crate::cli::failure::Failure;
use crate::cli::typed::values::Patience;
use crate::cli::typed::what::{What, short_id};
use crate::content::FileId;

/// Digits that are shown: among a million ids two that begin so are a rare thing.
const SHOWN: usize = 12;
/// Digits of an id.
const ALL: usize = 64;
/// Most ids that are named where a short one stands for several.
const MAX_NAMED: usize = 8;

/// How many digits tell all of these ids apart.
pub(crate) fn digits(ids: impl Iterator<Item = FileId>) -> usize {
    let ids: BTreeSet<String> = ids.map(|id| id.to_string()).collect();
    let alike = |(a, b): (&String, &String)| a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    let most = ids.iter().zip(ids.iter().skip(1)).map(alike).max().unwrap_or(0);
    SHOWN.max(most + 1).min(ALL)
}

/// What a text means, as [`What::parse`] has it, with the whole id in place of a short one. A name that looks like one
/// is that name, if there is one.
pub(crate) fn what(text: &str, configured: &[String], patience: Patience) -> Result<What, Failure> {
    if let Some(start) = short_id(text) {
        let nothing = format!("nobody is known who shares anything whose id begins with {start}");
        let mut trackers = tracker::connect(configured, patience)?;
        let id = that_begins(&mut trackers, start)?;
        let id = tracker::as_far_as_known(&trackers, id, &nothing)?;
        let nobody = || Failure::not_found(format!("nobody shares anything whose id begins with {start}"));
        return id.map(What::Id).ok_or_else(nobody);
    }
    let what = What::parse(text)?;
    let What::Name(name) = &what else { return Ok(what) };
    if !FileId::may_begin_with(name.as_str()) {
        return Ok(what);
    }
    let mut trackers = tracker::connect(configured, patience)?;
    for name in [name.as_str().to_owned(), format!("{}/", name.path())] {
        let mut is_there = false;
        tracker::of_any(&mut trackers, |tracker| {
            is_there |= !tracker.locate(&name, FileId::NONE)?.variants.is_empty();
            Ok(())
        })?;
        if is_there {
            return Ok(what);
        }
    }
    let id = that_begins(&mut trackers, name.as_str())?;
    Ok(id.map_or(what, What::Id))
}

/// The one id in the trackers' listings that begins so, if there is one.
fn that_begins(trackers: &mut [Tracker], start: &str) -> Result<Option<FileId>, Failure> {
    let all = begin_with(trackers, &start.to_ascii_lowercase())?;
    if all.len() > 1 {
        let ids: String = all.iter().take(MAX_NAMED).map(|id| format!("\n  {id}")).collect();
        return Err(Failure::usage(format!(
            "{start} is the beginning of several ids; give more of it:{ids}"
        )));
    }
    Ok(all.first().copied())
}

/// All ids in the trackers' listings that begin so, in order.
fn begin_with(trackers: &mut [Tracker], start: &str) -> Result<Vec<FileId>, Failure> {
    let mut found = BTreeSet::new();
    tracker::of_any(trackers, |tracker| {
        tracker.list("*", |entry| {
            if entry.id.to_string().starts_with(start) {
                found.insert(entry.id);
            }
            Ok(())
        })
    })?;
    Ok(found.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_digits_are_shown_that_all_differ() {
        let of = |last: u8, at: usize| {
            let mut id = FileId([7; 32]);
            id.0[at] = last;
            id
        };
        assert_eq!(digits([of(1, 0), of(2, 0)].into_iter()), SHOWN);
        assert_eq!(digits([of(0x10, 10), of(0x11, 10), of(0x11, 10)].into_iter()), 22);
        assert_eq!(digits([of(1, 31), of(2, 31)].into_iter()), ALL);
        assert_eq!(digits(std::iter::empty()), SHOWN);
    }
}
