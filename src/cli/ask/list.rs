//! `p2p ls`: what the swarm has.

use crate::api::Listed;
use crate::cli::failure::Failure;
use crate::cli::reach::short;
use crate::cli::reach::tracker::{self, Tracker};
use crate::cli::show::output;
use crate::cli::show::table::{Align, Table};
use crate::cli::show::words::size;
use crate::cli::typed::args::LsArgs;
use crate::cli::typed::what::typed;
use crate::content::is_pattern;
use crate::say;
use crate::wire::Entry;

/// `p2p ls [PATTERN]`
pub(crate) fn ls(args: &LsArgs) -> Result<(), Failure> {
    let mut trackers = tracker::connect(&args.asking.trackers.trackers, args.asking.wait)?;
    let view = View::of(args.pattern.as_deref(), args.recursive);
    let mut below = false;
    let mut wanted = |entry: Entry, show: &mut dyn FnMut(Entry) -> Result<(), Failure>| {
        below |= view.is_below(&entry.name);
        if view.shows(&entry.name) { show(entry) } else { Ok(()) }
    };
    let past = |name: &str| view.past(name);
    if let ([tracker], true) = (&mut trackers[..], args.asking.json) {
        // As they come, however many there are.
        let mut show = |entry: Entry| output::json(&Listed::from(&entry));
        tracker.list_past(&view.question(), past, |entry| wanted(entry, &mut show))?;
        return all_told(&trackers);
    }
    let columns = [
        ("NAME", Align::Left),
        ("SIZE", Align::Right),
        ("SEEDERS", Align::Right),
        ("LEECHERS", Align::Right),
        ("ID", Align::Left),
        ("VERSION", Align::Left),
    ];
    let mut entries: Vec<Entry> = Vec::new();
    let mut keep = |entry: Entry| {
        entries.push(entry);
        Ok(())
    };
    tracker::of_any(&mut trackers, |tracker| {
        tracker.list_past(&view.question(), past, |entry| wanted(entry, &mut keep))
    })?;
    if trackers.len() > 1 {
        merge(&mut entries);
    }
    if args.asking.json {
        entries.iter().try_for_each(|entry| output::json(&Listed::from(entry)))?;
        return all_told(&trackers);
    }
    let digits = short::digits(entries.iter().map(|entry| entry.id));
    let mut table = Table::new(columns);
    for entry in &entries {
        let line = Listed::from(entry);
        let numbers = [size(line.size), line.seeders.to_string(), line.leechers.to_string()];
        let [bytes, seeders, leechers] = numbers;
        let version = line.version.map_or_else(String::new, |version| version.to_string());
        table.row([typed(&line.name), bytes, seeders, leechers, line.id[..digits].to_owned(), version]);
    }
    if entries.iter().all(|entry| entry.version == 0) {
        table.leave_out_last();
    }
    output::line(&table.render(output::columns()))?;
    if below {
        say::note("there is more in the folders: `p2p ls FOLDER/` lists one of them, `p2p ls -r` everything");
    }
    all_told(&trackers)
}

/// That was all; or it is said why there may be more.
fn all_told(trackers: &[Tracker]) -> Result<(), Failure> {
    tracker::as_far_as_known(trackers, Some(()), "").map(drop)
}

/// What several trackers have, in order of name and id: a name that means different things at different trackers is
/// there once for each.
fn merge(all: &mut Vec<Entry>) {
    let key = |entry: &Entry| (entry.name.to_string(), entry.id, entry.size, entry.total);
    all.sort_by_cached_key(key);
    all.dedup_by(|next, known| {
        let same = key(next) == key(known);
        if same {
            // The same peers, as a rule: they register with every tracker they have.
            known.seeders = known.seeders.max(next.seeders);
            known.leechers = known.leechers.max(next.leechers);
        }
        same
    });
}

/// Which names are shown: those that match a pattern; or one level of folders, or all that is below it.
#[derive(Debug, PartialEq, Eq)]
enum View<'a> {
    Matching(&'a str),
    /// What lies directly in the folder of this name, which ends with `/`; the top if it is empty.
    Level(&'a str),
    Below(&'a str),
}

impl<'a> View<'a> {
    fn of(pattern: Option<&'a str>, recursive: bool) -> View<'a> {
        let folder = match pattern {
            None => Some(""),
            Some(pattern) => Some(pattern).filter(|pattern| pattern.ends_with('/') && !is_pattern(pattern)),
        };
        match (folder, pattern) {
            (Some(folder), _) if recursive => View::Below(folder),
            (Some(folder), _) => View::Level(folder),
            (None, pattern) => View::Matching(pattern.unwrap_or_default()),
        }
    }

    /// The pattern that trackers are asked for.
    fn question(&self) -> String {
        match self {
            View::Matching(pattern) => (*pattern).to_owned(),
            View::Level(folder) | View::Below(folder) => format!("{folder}*"),
        }
    }

    fn shows(&self, name: &str) -> bool {
        match self {
            View::Level(_) => !self.is_below(name),
            View::Matching(_) | View::Below(_) => true,
        }
    }

    /// True of what lies in a folder of the level.
    fn is_below(&self, name: &str) -> bool {
        let View::Level(folder) = self else { return false };
        let rest = name.strip_prefix(folder).unwrap_or_default();
        rest.trim_end_matches('/').contains('/')
    }

    /// Behind which name to go on, so that what lies deep is not listed page by page.
    fn past(&self, name: &str) -> Option<String> {
        let View::Level(folder) = self else { return None };
        let (inner, deep) = name.strip_prefix(folder)?.split_once('/')?;
        (!deep.is_empty()).then(|| format!("{folder}{inner}/{}", char::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::FileId;
    use crate::wire::Name;

    #[test]
    fn a_level_is_what_lies_in_a_folder_and_a_pattern_is_everything_that_matches() {
        let top = View::of(None, false);
        assert!(top.shows("a") && top.shows("d/") && !top.shows("d/a") && !top.shows("d/e/"));
        let level = View::of(Some("d/"), false);
        assert!(level.shows("d/") && level.shows("d/a") && level.shows("d/e/") && !level.shows("d/e/f"));
        assert_eq!((top.question(), level.question()), ("*".to_owned(), "d/*".to_owned()));
        assert!(View::of(Some("d/"), true).shows("d/e/f"));
        assert_eq!(View::of(Some("d/*"), true), View::Matching("d/*"));
        assert_eq!(View::of(Some("d"), false), View::Matching("d"));
    }

    #[test]
    fn what_lies_deep_is_passed_over() {
        let past = |view: &View<'_>, name: &str| view.past(name).map(|past| past > format!("{name}zz"));
        let top = View::of(None, false);
        assert_eq!((past(&top, "d/e/f"), past(&top, "d/"), past(&top, "a")), (Some(true), None, None));
        assert_eq!(top.past("d/e/f").unwrap(), format!("d/{}", char::MAX));
        let level = View::of(Some("d/"), false);
        assert_eq!(
            (past(&level, "d/e/f"), past(&level, "d/e/"), past(&level, "d/a")),
            (Some(true), None, None)
        );
    }

    #[test]
    fn a_line_has_the_bytes_of_all_files() {
        let id = FileId::of(b"x");
        let entry =
            Entry { name: Name::new("d/"), id, size: 40, total: 500, seeders: 2, leechers: 1, version: 0 };
        let expected =
            format!(r#"{{"name":"d/","id":"{id}","size":500,"seeders":2,"leechers":1,"version":null}}"#);
        assert_eq!(serde_json::to_string(&Listed::from(&entry)).unwrap(), expected);
    }

    #[test]
    fn what_several_trackers_have_is_one_listing_and_what_they_say_differently_is_in_it_twice() {
        let entry = |name: &str, id: &[u8], seeders| Entry {
            name: Name::new(name),
            id: FileId::of(id),
            size: 1,
            total: 1,
            seeders,
            leechers: 0,
            version: 0,
        };
        let mut all =
            vec![entry("b", b"x", 1), entry("a", b"x", 2), entry("b", b"x", 3), entry("a", b"y", 1)];
        merge(&mut all);
        let told: Vec<(&str, u32)> = all.iter().map(|entry| (&*entry.name, entry.seeders)).collect();
        assert_eq!(told.len(), 3);
        assert_eq!(told[2], ("b", 3));
        assert!(told[..2].iter().all(|(name, _)| *name == "a"));
    }
}
