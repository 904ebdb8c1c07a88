//! What originals make of a name, and what copies do.

use super::*;

fn copy(name: &str, content: u8) -> Offer {
    Offer { original: false, modified: 9, ..offer(name, content, 1, true) }
}

fn ids(variants: &[Variant]) -> Vec<u8> {
    variants.iter().map(|variant| variant.id.0[0]).collect()
}

fn listed(directory: &mut Directory) -> Vec<(String, u8)> {
    let mut page = Page::new("", "", 1000);
    assert!(directory.list(&mut page));
    page.entries.iter().map(|entry| (entry.name.to_string(), entry.id.0[0])).collect()
}

#[test]
fn a_name_means_its_originals_and_copies_stand_in_for_none() {
    let now = Instant::now();
    let mut directory = directory(now);
    let named = |directory: &mut Directory| ids(&locate(directory, Wanted::Name("f"), now));
    join(&mut directory, peer(1), &[copy("f", 1)], now);
    join(&mut directory, peer(2), &[copy("f", 1)], now);
    join(&mut directory, peer(3), &[copy("f", 2)], now);
    assert_eq!(named(&mut directory), [1, 2], "only copies: all of them");
    join(&mut directory, peer(4), &[offer("f", 3, 1, true)], now);
    assert_eq!(named(&mut directory), [3]);
    assert_eq!(listed(&mut directory), [("f".into(), 3)]);
    let old = locate(&mut directory, Wanted::Id(FileId([1; 32])), now);
    assert_eq!(
        (old[0].seeders, old[0].original, old[0].holders.len()),
        (2, false, 2),
        "still found by its id"
    );
    let fetched = Offer { complete: false, ..copy("f", 3) };
    directory.update(peer(1), &[], &[fetched], now).unwrap();
    let new = locate(&mut directory, Wanted::Name("f"), now);
    let holders: Vec<_> = new[0].holders.iter().map(|holder| (holder.peer, holder.original)).collect();
    assert_eq!(holders, [(peer(4).peer, true), (peer(1).peer, false)]);
    directory.leave(peer(4));
    while directory.sweep(9) {}
    assert_eq!(named(&mut directory), [1, 2, 3], "the last original is gone");
}

#[test]
fn a_copy_becomes_an_original_and_an_original_stays_one() {
    let now = Instant::now();
    let mut directory = directory(now);
    join(&mut directory, peer(1), &[copy("f", 1), copy("g", 1)], now);
    join(&mut directory, peer(2), &[Offer { modified: 5, ..offer("f", 2, 1, true) }], now);
    directory.update(peer(1), &[], &[Offer { modified: 3, ..offer("f", 1, 1, true) }], now).unwrap();
    directory.update(peer(1), &[], &[copy("f", 1)], now).unwrap();
    let both = locate(&mut directory, Wanted::Name("f"), now);
    let seen: Vec<_> =
        both.iter().map(|variant| (variant.id.0[0], variant.original, variant.modified)).collect();
    assert_eq!(seen, [(1, true, 3), (2, true, 5)], "an original's time, not that of the copy it was");
    let f = |content| [(Name::new("f"), FileId([content; 32]))];
    directory.update(peer(1), &f(1), &[copy("f", 1)], now).unwrap();
    assert_eq!(ids(&locate(&mut directory, Wanted::Name("f"), now)), [2], "removed, it is a copy again");
    directory.update(peer(2), &f(2), &[], now).unwrap();
    assert_eq!(ids(&locate(&mut directory, Wanted::Name("f"), now)), [1]);
}

#[test]
fn a_name_is_as_new_as_its_newest_original_and_without_one_as_its_newest_copy() {
    let now = Instant::now();
    let mut directory = directory(now);
    for (number, original, modified, expected) in [
        (1, false, 5, 5),
        (2, false, 3, 5),
        (3, true, 2, 2),
        (4, true, 4, 4),
        (5, true, 1, 4),
        (6, false, 9, 4),
    ] {
        let offer = Offer { original, modified, ..offer("f", 1, 1, true) };
        join(&mut directory, peer(number), &[offer], now);
        assert_eq!(locate(&mut directory, Wanted::Name("f"), now)[0].modified, expected, "{number}");
    }
}

#[test]
fn what_originals_call_a_content_is_agreed_on_whatever_copies_say() {
    let now = Instant::now();
    let mut directory = directory(now);
    let shown = |directory: &mut Directory| {
        let found = locate(directory, Wanted::Id(FileId([1; 32])), now);
        (found[0].name.to_string(), found[0].agreed)
    };
    join(&mut directory, peer(1), &[copy(".a", 1), copy("x/z", 1)], now);
    assert_eq!(shown(&mut directory), (".a".into(), false), "copies alone, which do not agree");
    join(&mut directory, peer(2), &[offer("y/z", 1, 1, true)], now);
    assert_eq!(shown(&mut directory), ("y/z".into(), true));
    join(&mut directory, peer(3), &[offer("b/z", 1, 1, true)], now);
    assert_eq!(shown(&mut directory), ("b/z".into(), true), "only the last part counts");
    join(&mut directory, peer(4), &[offer(".bashrc", 1, 1, true)], now);
    assert_eq!(shown(&mut directory), (".bashrc".into(), false));
    let many: Vec<Offer> = (0..99).map(|n| offer(&format!("{n}/z"), 2, 1, true)).collect();
    join(&mut directory, peer(5), &many, now);
    assert!(!locate(&mut directory, Wanted::Id(FileId([2; 32])), now)[0].agreed, "too many to tell");
}
