//! What is found, listed and nearly found by name.

use super::*;

#[test]
fn both_contents_of_a_name_are_found_and_a_content_under_all_its_names() {
    let now = Instant::now();
    let mut directory = directory(now);
    join(&mut directory, peer(1), &[offer("f", 1, 1, true), offer("g", 1, 1, true)], now);
    join(&mut directory, peer(2), &[offer("f", 2, 1, true)], now);
    join(&mut directory, peer(3), &[offer("h", 2, 1, true)], now);
    let variants = locate(&mut directory, Wanted::Name("f"), now);
    let found: Vec<_> = variants.iter().map(|variant| (variant.id.0[0], variant.seeders)).collect();
    assert_eq!(found, [(2, 2), (1, 1)], "the content that more peers have comes first");
    let by_id = locate(&mut directory, Wanted::Id(FileId([1; 32])), now);
    assert_eq!((by_id.len(), &*by_id[0].name, by_id[0].seeders), (1, "f", 1));
}

#[test]
fn pages_lose_no_variant() {
    let now = Instant::now();
    let mut directory = directory(now);
    for number in 1..=5 {
        let offers: Vec<Offer> =
            (0..40).map(|name| offer(&format!("d/{name:02}"), number, 1, true)).collect();
        join(&mut directory, peer(number), &offers, now);
    }
    join(&mut directory, peer(6), &[offer("c", 1, 1, true), offer("e", 1, 1, true)], now);
    let (mut after, mut entries, mut pages) = (String::new(), Vec::new(), 0);
    loop {
        let mut page = Page::new("d/*", &after, 7);
        while !directory.list(&mut page) {}
        entries.extend(page.entries.iter().map(|entry| (entry.name.to_string(), entry.id)));
        pages += 1;
        if !page.more {
            break;
        }
        after = page.entries.last().unwrap().name.to_string();
    }
    assert_eq!((entries.len(), pages), (200, 20));
    assert!(entries.is_sorted());
}

#[test]
fn near_matches_come_nearest_first_and_in_slices() {
    let now = Instant::now();
    let mut directory = directory(now);
    let mut offers: Vec<Offer> = (0..900).map(|name| offer(&format!("bulk/{name:04}"), 1, 1, true)).collect();
    offers.push(offer("x/report.pdf", 2, 1, true));
    offers.push(offer("reprot.pdf", 3, 1, true));
    offers.push(offer("old-report.pdf.gz", 4, 1, true));
    join(&mut directory, peer(1), &offers, now);
    let mut near = Near::new("a/Report.pdf");
    while !directory.near(&mut near) {}
    let names: Vec<String> = near.names().into_iter().map(Name::into_string).collect();
    assert_eq!(names, ["x/report.pdf", "reprot.pdf", "old-report.pdf.gz"]);
}

#[test]
fn names_are_tidied_up_without_losing_one() {
    let now = Instant::now();
    let mut directory = directory(now);
    let name = |number: u32| format!("{}/{number}", "long".repeat(30));
    let all: Vec<Offer> = (0..16_000).map(|number| offer(&name(number), 1, 1, true)).collect();
    join(&mut directory, peer(1), &[], now);
    all.chunks(1000).for_each(|offers| directory.update(peer(1), &[], offers, now).unwrap());
    let removed: Vec<_> = all.iter().skip(1).step_by(2).chain(all.iter().step_by(4)).collect();
    for offer in &removed {
        directory.update(peer(1), &[(offer.name.clone(), offer.id)], &[], now).unwrap();
    }
    for (number, offer) in all.iter().enumerate() {
        let found = locate(&mut directory, Wanted::Name(&offer.name), now).len();
        assert_eq!(found, usize::from(number % 4 == 2), "{number}");
    }
}

/// Names that all are long, as many as it takes to fill several steps.
fn long_names(directory: &mut Directory, count: usize, now: Instant) -> Vec<String> {
    let long = "x".repeat(200);
    let names: Vec<String> = (0..count).map(|number| format!("{long}/{long}/{long}/{number:05}")).collect();
    let offers: Vec<Offer> = names.iter().map(|name| offer(name, 1, 1, true)).collect();
    join(directory, peer(1), &[], now);
    offers.chunks(1000).for_each(|offers| directory.update(peer(1), &[], offers, now).unwrap());
    names
}

#[test]
fn a_listing_takes_steps_and_a_page_ends_when_it_is_full() {
    let now = Instant::now();
    let mut directory = directory(now);
    let names = long_names(&mut directory, 3000, now);
    let mut page = Page::new("*2999", "", 10);
    let mut steps = 1;
    while !directory.list(&mut page) {
        steps += 1;
    }
    assert!((6..20).contains(&steps), "{steps} steps");
    assert_eq!(page.entries.iter().map(|entry| entry.name.to_string()).collect::<Vec<_>>(), names[2999..]);
    assert!(!page.more);
    let mut all = Page::new("", "", usize::MAX);
    while !directory.list(&mut all) {}
    let bytes: usize = all.entries.iter().map(|entry| entry.name.len()).sum();
    let half = wire::limits::MAX_FRAME_BYTES / 2;
    assert!(all.more && bytes <= half && bytes > half * 4 / 5, "{bytes} bytes");
    let mut least = Page::new("", "", 0);
    while !directory.list(&mut least) {}
    assert_eq!((least.entries.len(), least.more), (1, true));
}

#[test]
fn near_matches_are_not_looked_for_without_end() {
    let now = Instant::now();
    let mut directory = directory(now);
    long_names(&mut directory, 6000, now);
    let wanted = ["w/report.pdf", "y/report.pdf"];
    let offers = wanted.map(|name| offer(name, 2, 1, true));
    directory.update(peer(1), &[], &offers, now).unwrap();
    let mut near = Near::new("report.pdf");
    let mut steps = 1;
    while !directory.near(&mut near) {
        steps += 1;
    }
    let names: Vec<String> = near.names().into_iter().map(Name::into_string).collect();
    assert_eq!((names, steps), (vec![wanted[0].to_owned()], 48));
}

#[test]
fn a_page_begins_behind_the_last_name_of_the_one_before() {
    let now = Instant::now();
    let mut directory = directory(now);
    let offers = ["b", "c", "cc", "d"].map(|name| offer(name, 1, 1, true));
    join(&mut directory, peer(1), &offers, now);
    let mut listed = |pattern, after| {
        let mut page = Page::new(pattern, after, 9);
        assert!(directory.list(&mut page));
        page.entries.iter().map(|entry| entry.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(listed("c*", ""), ["c", "cc"]);
    assert_eq!(listed("c*", "c"), ["cc"], "as long as what all begin with");
    assert_eq!(listed("c*", "b"), ["c", "cc"]);
    assert_eq!(listed("*", "c"), ["cc", "d"]);
}
