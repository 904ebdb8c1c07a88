//! Which content is meant by what the trackers found, and what it is called. Pure.
//!
//! A name that was typed is taken; one that strangers made for an id is taken only if they agree on it
//! and it is not hidden. So nobody can have a file put where its owner does not look for it.

use std::collections::BTreeMap;

use crate::cli::failure::Failure;
use crate::cli::show::words::shown;
use crate::cli::typed::what::{What, as_kind};
use crate::content::{FileId, Filter, Link, SafeName};
use crate::peer::Want;
use crate::wire::{Holder, Variant};

use super::table::{self, Choosable};

/// Digits of a peer's id that are enough to name it, if they are one peer's.
const MIN_ID_DIGITS: usize = 4;

/// How to choose between several contents, and what to call the one.
#[derive(Debug, Default, Clone)]
pub(super) struct Wish {
    /// The peer whose original is wanted: its name, or the beginning of its id.
    pub(super) from: Option<String>,
    /// The content that was changed last is wanted.
    pub(super) newest: bool,
    /// Several folders may become one.
    pub(super) union: bool,
    /// What it is to be called.
    pub(super) called: Option<SafeName>,
    /// Seconds since 1970.
    pub(super) now: u64,
}

/// The content to fetch: one, or several trees under one name.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Choice {
    /// What it is called.
    pub(super) name: SafeName,
    /// True if whoever shares it made the name, and nobody here typed it.
    pub(super) by_strangers: bool,
    /// What is to be said about the name.
    pub(super) note: Option<String>,
    /// Its ids.
    pub(super) ids: Vec<FileId>,
    /// Bytes of all its files, if a link says so.
    pub(super) size: Option<u64>,
    /// The same as those who have it say.
    pub(super) bytes: Option<u64>,
    /// What of a tree is wanted, if not all, and what the tree is called.
    pub(super) part: Option<(SafeName, SafeName)>,
    /// What of all that is in a tree.
    pub(super) filter: Filter,
}

impl Choice {
    /// True if several trees become one folder.
    pub(super) fn is_union(&self) -> bool {
        self.ids.len() > 1
    }

    /// What to ask a peer for, in order.
    pub(super) fn wants(&self) -> impl Iterator<Item = Want> + '_ {
        let (inside, name) = match &self.part {
            Some((inside, tree)) => (Some(inside), tree),
            None => (None, &self.name),
        };
        let want = move |id: &FileId| Want {
            id: *id,
            name: name.clone(),
            size: self.size,
            inside: inside.cloned(),
            filter: self.filter.clone(),
        };
        self.ids.iter().map(want)
    }
}

/// Of what was found, what the peer has that is wished for; all, if none is.
pub(super) fn of_whom(what: &What, wish: &Wish, variants: Vec<Variant>) -> Result<Vec<Variant>, Failure> {
    match &wish.from {
        Some(peer) => from(peer, what, variants),
        None => Ok(variants),
    }
}

/// What is claimed as a folder and as a file of one id that was asked for without a name: only its bytes tell
/// which it is. What to try first, and then: every listing says that it is one, and no file has to.
pub(super) fn by_kind(what: &What, variants: Vec<Variant>) -> Vec<Vec<Variant>> {
    let nameless = matches!(what, What::Id(_) | What::Link(Link { name: None, .. }));
    let (folders, files): (Vec<_>, Vec<_>) =
        variants.into_iter().partition(|variant| nameless && variant.name.ends_with('/'));
    match (folders.is_empty(), files.is_empty()) {
        (true, _) => vec![files],
        (_, true) => vec![folders],
        _ => vec![folders, files],
    }
}

/// Chooses. Between two contents under one name only who asks can: they are listed.
pub(super) fn choose(what: &What, wish: &Wish, variants: &[Variant]) -> Result<Choice, Failure> {
    let called = name_of(what, wish, variants)?;
    let mut contents: BTreeMap<FileId, Vec<&Variant>> = BTreeMap::new();
    for variant in variants {
        contents.entry(variant.id).or_default().push(variant);
    }
    let mut rows: Vec<Choosable> =
        contents.into_values().map(|claims| Choosable::new(&claims, wish.now)).collect();
    // The name of a folder and of a file are two; both may be looked at by one id.
    if wish.newest {
        let newest = rows.iter().map(Choosable::modified).max();
        rows.retain(|row| Some(row.modified()) == newest);
    }
    let one = rows.len() == 1 || (wish.union && called.name.is_tree());
    if !one {
        return Err(table::ambiguous(&called.name, &rows));
    }
    let ids = rows.iter().map(Choosable::id).collect();
    let bytes = variants.first().filter(|_| one && rows.len() == 1).map(|variant| variant.total);
    let Called { name, by_strangers, note } = called;
    let (part, filter) = (None, Filter::default());
    Ok(Choice { name, by_strangers, note, ids, size: what.size(), bytes, part, filter })
}

/// The variants that the peer has as originals; those it has, if it has none.
fn from(peer: &str, what: &What, mut variants: Vec<Variant>) -> Result<Vec<Variant>, Failure> {
    let all = || variants.iter().flat_map(|variant| variant.holders.iter());
    let mut meant: Vec<&Holder> = all().filter(|holder| is_meant(holder, peer)).collect();
    meant.sort_by_key(|holder| holder.peer);
    meant.dedup_by_key(|holder| holder.peer);
    let wanted = match meant[..] {
        [one] => one.peer,
        [] => {
            let mut names: Vec<String> = all().map(|holder| shown(&holder.name)).collect();
            names.sort();
            names.dedup();
            let sentence =
                format!("no peer `{}` has {}; there are: {}", shown(peer), what.label(), names.join(", "));
            return Err(Failure::not_found(sentence));
        }
        _ => {
            let ids: String =
                meant.iter().map(|holder| format!("\n  {}  {}", holder.peer, shown(&holder.name))).collect();
            let sentence = format!("several peers are called {}; say which by its id:{ids}", shown(peer));
            return Err(Failure::usage(sentence));
        }
    };
    let has = |variant: &Variant, original: bool| {
        variant.holders.iter().any(|holder| holder.peer == wanted && (holder.original || !original))
    };
    let made = variants.iter().any(|variant| has(variant, true));
    variants.retain(|variant| has(variant, made));
    Ok(variants)
}

fn is_meant(holder: &Holder, peer: &str) -> bool {
    let id =
        || peer.len() >= MIN_ID_DIGITS && holder.peer.to_string().starts_with(&peer.to_ascii_lowercase());
    *holder.name == *peer || id()
}

/// What the content is called, and who says so.
struct Called {
    name: SafeName,
    by_strangers: bool,
    note: Option<String>,
}

impl Called {
    fn typed(name: SafeName) -> Called {
        Called { name, by_strangers: false, note: None }
    }
}

fn name_of(what: &What, wish: &Wish, variants: &[Variant]) -> Result<Called, Failure> {
    let is_tree = variants.first().is_some_and(|variant| variant.name.ends_with('/'));
    if let Some(name) = &wish.called {
        return as_kind(name, is_tree).map(Called::typed);
    }
    match what {
        What::Name(name) => as_kind(name, is_tree).map(Called::typed),
        What::Link(Link { name: Some(name), .. }) if !is_hidden(name.base()) => {
            Ok(Called::typed(name.clone()))
        }
        What::Link(Link { id, name: Some(name), .. }) => Ok(Called {
            note: Some(hidden_note(name.base())),
            ..Called::typed(as_kind(&of_id(id)?, name.is_tree())?)
        }),
        What::Id(id) | What::Link(Link { id, .. }) => by_strangers(id, is_tree, variants),
    }
}

/// By id alone: the name that all agree on who make one, or else the id.
fn by_strangers(id: &FileId, is_tree: bool, variants: &[Variant]) -> Result<Called, Failure> {
    let made = variants.iter().any(|variant| variant.original);
    let counts = |variant: &&Variant| variant.original == made && variant.name.ends_with('/') == is_tree;
    let names: Vec<Option<SafeName>> = variants
        .iter()
        .filter(counts)
        .map(|variant| SafeName::new(&*variant.name).ok().filter(|_| variant.agreed))
        .collect();
    let agreed = match &names[..] {
        [Some(first), rest @ ..] => {
            let alike =
                |other: &Option<SafeName>| other.as_ref().is_some_and(|other| other.base() == first.base());
            rest.iter().all(alike).then(|| first.clone())
        }
        _ => None,
    };
    let by_id = |note| Ok(Called { note, ..Called::typed(as_kind(&of_id(id)?, is_tree)?) });
    match agreed {
        Some(name) if is_hidden(name.base()) => by_id(Some(hidden_note(name.base()))),
        Some(name) => Ok(Called { name, by_strangers: true, note: None }),
        None if variants.is_empty() => by_id(None),
        None => {
            by_id(Some("it has no name that all who share it agree on; it is called by its id".to_owned()))
        }
    }
}

fn hidden_note(base: &str) -> String {
    format!("it is called by its id, for `{}` would be hidden; `--as` calls it that", shown(base))
}

fn is_hidden(base: &str) -> bool {
    base.starts_with('.')
}

/// An id as a name.
pub(super) fn of_id(id: &FileId) -> Result<SafeName, Failure> {
    SafeName::new(id.to_string()).map_err(|error| Failure::other(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Exit;
    use crate::content::PeerId;
    use crate::wire::{Label, List, Name};

    fn holder(name: &str, number: u8, original: bool) -> Holder {
        Holder {
            peer: PeerId([number; 16]),
            name: Label::new(name),
            addresses: List::default(),
            have: 1,
            uploads: 0,
            downloads: 0,
            original,
        }
    }

    fn variant(name: &str, content: &[u8]) -> Variant {
        Variant {
            name: Name::new(name),
            id: FileId::of(content),
            size: content.len() as u64,
            total: content.len() as u64,
            chunks: 1,
            seeders: 1,
            leechers: 0,
            original: true,
            agreed: true,
            modified: u64::from(content[0]),
            version: 0,
            code: None,
            holders: List::new(vec![holder(&String::from_utf8_lossy(content), content[0], true)]),
        }
    }

    fn named(name: &str) -> What {
        What::Name(SafeName::new(name).unwrap())
    }

    fn wish() -> Wish {
        Wish { now: 1000, ..Wish::default() }
    }

    /// Chooses from what the peer has that is wished for.
    fn choose(what: &What, wish: &Wish, variants: Vec<Variant>) -> Result<Choice, Failure> {
        super::choose(what, wish, &of_whom(what, wish, variants)?)
    }

    fn chosen(what: &What, wish: &Wish, variants: &[Variant]) -> Vec<FileId> {
        choose(what, wish, variants.to_vec()).unwrap().ids
    }

    fn called(what: &What, variants: &[Variant]) -> (String, bool) {
        let choice = choose(what, &wish(), variants.to_vec()).unwrap();
        (choice.name.as_str().to_owned(), choice.by_strangers)
    }

    #[test]
    fn one_content_is_taken() {
        let choice = choose(&named("a"), &wish(), vec![variant("a", b"x")]).unwrap();
        assert_eq!((choice.name.as_str(), choice.ids), ("a", vec![FileId::of(b"x")]));
        let folder = choose(&named("a"), &wish(), vec![variant("a/", b"x")]).unwrap();
        assert_eq!(folder.name.as_str(), "a/", "what people type for a folder");
    }

    #[test]
    fn two_contents_are_listed_files_and_folders_alike() {
        for name in ["a", "a/"] {
            let both = vec![variant(name, b"x"), variant(name, b"y")];
            let failure = choose(&named(name), &wish(), both.clone()).unwrap_err();
            assert_eq!(failure.exit, Exit::Usage);
            let text = failure.to_string();
            assert!(text.contains(&FileId::of(b"y").to_string()) && text.contains("--newest"), "{text}");
            let united = choose(&named(name), &Wish { union: true, ..wish() }, both);
            assert_eq!(united.is_ok_and(|choice| choice.is_union()), name == "a/", "only folders unite");
        }
    }

    #[test]
    fn the_newest_is_chosen_and_no_time_to_come_is_newer_than_now() {
        let newest = Wish { newest: true, ..wish() };
        let both = [variant("a", b"x"), variant("a", b"y")];
        assert_eq!(chosen(&named("a"), &newest, &both), [FileId::of(b"y")]);
        let late = |content: &[u8], modified| Variant { modified, ..variant("a", content) };
        let two = vec![late(b"x", 1000), late(b"y", u64::MAX)];
        assert_eq!(choose(&named("a"), &newest, two).unwrap_err().exit, Exit::Usage);
    }

    #[test]
    fn a_peer_is_named_by_name_or_id() {
        let of = |peer: &str| Wish { from: Some(peer.to_owned()), ..wish() };
        let mut both = [variant("a", b"x"), variant("a", b"y")];
        assert_eq!(chosen(&named("a"), &of("y"), &both), [FileId::of(b"y")]);
        assert_eq!(chosen(&named("a"), &of("7878"), &both), [FileId::of(b"x")]);
        let failure = choose(&named("a"), &of("z"), both.to_vec()).unwrap_err();
        assert_eq!(failure.exit, Exit::NotFound);
        // A copy that the peer has, too, is not what it made.
        let holders = vec![holder("x", b'x', true), holder("y", b'y', false)];
        both[0].holders = List::new(holders);
        assert_eq!(chosen(&named("a"), &of("y"), &both), [FileId::of(b"y")]);
        both[0].holders = List::new(vec![holder("y", 9, true)]);
        let failure = choose(&named("a"), &of("y"), both.to_vec()).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        assert!(failure.to_string().contains("several peers are called y"), "{failure}");
    }

    #[test]
    fn by_id_it_is_called_what_all_agree_on_or_by_its_id() {
        let id = FileId::of(b"x");
        let what = What::Id(id);
        let own = (id.to_string(), false);
        let not = |variant: Variant| Variant { agreed: false, ..variant };
        let copy = |variant: Variant| Variant { original: false, ..variant };
        assert_eq!(called(&what, &[variant("d/a", b"x")]), ("d/a".to_owned(), true));
        assert_eq!(called(&what, &[variant("a", b"x"), copy(variant("b", b"x"))]), ("a".to_owned(), true));
        assert_eq!(called(&what, &[variant("a", b"x"), variant("b", b"x")]), own);
        assert_eq!(called(&what, &[not(variant("a", b"x"))]), own);
        assert_eq!(called(&what, &[variant("d/.bashrc", b"x")]), own);
        assert_eq!(called(&what, &[variant("../a", b"x")]), own);
        assert_eq!(called(&what, &[variant(".ssh/", b"x")]), (format!("{id}/"), false));
    }

    #[test]
    fn what_was_typed_is_what_it_is_called() {
        let id = FileId::of(b"x");
        let hidden = Wish { called: Some(SafeName::new(".bashrc").unwrap()), ..wish() };
        let choice = choose(&What::Id(id), &hidden, vec![variant("a", b"x")]).unwrap();
        assert_eq!((choice.name.as_str(), choice.by_strangers), (".bashrc", false));
        assert_eq!(called(&named(".bashrc"), &[variant(".bashrc", b"x")]), (".bashrc".to_owned(), false));
        let link = |name: &str| What::Link(format!("p2p:{id}?name={name}").parse().unwrap());
        assert_eq!(called(&link("b"), &[variant("a", b"x")]), ("b".to_owned(), false));
        assert_eq!(called(&link(".b"), &[variant("a", b"x")]), (id.to_string(), false));
    }

    #[test]
    fn only_what_has_no_name_may_be_a_folder_first_and_then_a_file() {
        let id = FileId::of(b"x");
        let (folder, file) = (variant("d/", b"x"), variant("f", b"x"));
        let kinds = |what: &What, wish: &Wish, variants: &[&Variant]| {
            let variants = variants.iter().map(|variant| (*variant).clone()).collect();
            by_kind(what, of_whom(what, wish, variants).unwrap())
        };
        let both = [&file, &folder];
        let nameless = [What::Id(id), What::Link(format!("p2p:{id}").parse().unwrap())];
        for what in &nameless {
            let expected = [vec![folder.clone()], vec![file.clone()]];
            assert_eq!(kinds(what, &wish(), &both), expected);
            assert_eq!(kinds(what, &wish(), &[&file]), [vec![file.clone()]]);
            assert_eq!(kinds(what, &wish(), &[&folder]), [vec![folder.clone()]]);
        }
        let link = What::Link(format!("p2p:{id}?name=f").parse().unwrap());
        for what in [named("f"), link] {
            assert_eq!(kinds(&what, &wish(), &both), [vec![file.clone(), folder.clone()]]);
        }
        // Whose it is to be is asked before.
        let other = Variant { holders: List::new(vec![holder("z", b'z', true)]), ..folder.clone() };
        let from = Wish { from: Some("x".to_owned()), ..wish() };
        assert_eq!(kinds(&What::Id(id), &from, &[&file, &other]), [vec![file.clone()]]);
    }

    #[test]
    fn each_of_several_is_wanted_under_the_one_name_and_with_the_size_of_a_link() {
        let both = vec![variant("a/", b"x"), variant("a/", b"y")];
        let united = choose(&named("a/"), &Wish { union: true, ..wish() }, both).unwrap();
        let wanted: Vec<Want> = united.wants().collect();
        let mut ids: Vec<FileId> = wanted.iter().map(|want| want.id).collect();
        ids.sort();
        let mut expected = [FileId::of(b"x"), FileId::of(b"y")];
        expected.sort();
        assert_eq!(ids, expected);
        assert!(wanted.iter().all(|want| want.name.as_str() == "a/" && want.size.is_none()));
        let link = What::Link(format!("p2p:{}?size=1", FileId::of(b"x")).parse().unwrap());
        let one = choose(&link, &wish(), vec![variant("a", b"x")]).unwrap();
        assert!(!one.is_union());
        assert_eq!(one.wants().map(|want| want.size).collect::<Vec<_>>(), [Some(1)]);
    }
}
