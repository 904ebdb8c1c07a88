//! Who is dialled, who is forgotten, and when.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn peer(number: u8) -> PeerId {
    PeerId([number; 16])
}

fn suggested(numbers: std::ops::RangeInclusive<u8>, max: usize) -> Neighbours {
    let mut neighbours = Neighbours::new(max, 1);
    numbers.for_each(|number| neighbours.suggest(peer(number), format!("h:{number}")));
    neighbours
}

#[test]
fn dials_up_to_its_degree_and_backs_off() {
    let start = Instant::now();
    let mut neighbours = suggested(1..=3, 2);
    let mut first = neighbours.dial(start);
    assert_eq!(first.len(), 1, "half of the places are kept free");
    let now = start + KEPT_FREE;
    first.extend(neighbours.dial(now));
    assert_eq!(first.len(), 2);
    assert_eq!(neighbours.dial(now), []);
    neighbours.ended(first[0].0, Outcome::Failed, now);
    let second = neighbours.dial(now);
    assert_eq!(second.len(), 1);
    assert_ne!(second[0].0, first[0].0, "the one that failed waits");
    neighbours.ended(second[0].0, Outcome::Banned, now);
    assert_eq!([first[0].0, second[0].0].map(|peer| neighbours.is_shunned(peer)), [false, true]);
    let third = neighbours.dial(now + FIRST_PAUSE);
    assert_eq!(third.len(), 1);
    assert_eq!(third[0].0, first[0].0);
}

#[test]
fn who_does_not_answer_keeps_no_place_for_long() {
    let start = Instant::now();
    let mut neighbours = suggested(1..=3, 1);
    let mute = neighbours.dial(start);
    assert_eq!(mute.len(), 1);
    assert_eq!(neighbours.dial(start + PLACE_PATIENCE / 2), []);
    let second = neighbours.dial(start + PLACE_PATIENCE);
    assert_eq!(second.len(), 1, "another is tried beside");
    neighbours.opened(second[0].0);
    assert_eq!(neighbours.dial(start + PLACE_PATIENCE * 3), [], "who answers keeps the place");
}

#[test]
fn somebody_is_expected_until_all_who_were_named_have_said_what_they_have_or_do_not_answer() {
    let start = Instant::now();
    let mut neighbours = suggested(1..=3, 6);
    assert!(neighbours.expects(), "nobody was dialled yet");
    assert_eq!(neighbours.dial(start).len(), 3);
    neighbours.opened(peer(1));
    neighbours.ended(peer(2), Outcome::Failed, start);
    assert!(neighbours.expects());
    let late = start + PLACE_PATIENCE;
    let _again = neighbours.dial(late);
    neighbours.ended(peer(2), Outcome::Failed, late);
    assert!(!neighbours.expects(), "one has it, one failed, and one is long in the making");
}

#[test]
fn who_asks_us_gets_a_place_that_was_kept_free() {
    let now = Instant::now();
    let mut neighbours = suggested(1..=4, 4);
    assert_eq!(neighbours.dial(now).len(), 2);
    neighbours.met(peer(9), "h:9".into());
    assert_eq!(neighbours.dial(now), [(peer(9), "h:9".into())]);
}

#[test]
fn late_comers_are_neighbours_as_often_as_early_ones() {
    let now = Instant::now();
    let (mut early, mut late) = (0, 0);
    for seed in 0..200 {
        let mut neighbours = Neighbours::new(4, seed);
        let mut connected: Vec<PeerId> = Vec::new();
        for number in 1..=16 {
            neighbours.met(peer(number), format!("h:{number}"));
            for (dialled, _) in neighbours.dial(now) {
                neighbours.opened(dialled);
                connected.push(dialled);
            }
            for closed in neighbours.to_close() {
                neighbours.ended(closed, Outcome::Useless, now);
                let at = connected.iter().position(|other| *other == closed).unwrap();
                connected.remove(at);
            }
        }
        assert_eq!((connected.len(), neighbours.connections()), (4, 4));
        early += connected.iter().filter(|other| other.0[0] <= 8).count();
        late += connected.iter().filter(|other| other.0[0] > 8).count();
    }
    assert!((350..450).contains(&early) && (350..450).contains(&late), "{early} early, {late} late");
}

#[test]
fn the_only_holder_gets_two_connections() {
    let mut neighbours = Neighbours::new(8, 1);
    neighbours.suggest(peer(1), "h:1".into());
    assert_eq!(neighbours.dial(Instant::now()).len(), 2);
    assert_eq!(neighbours.to_close(), []);
    neighbours.suggest(peer(2), "h:2".into());
    assert_eq!(neighbours.to_close(), [peer(1)], "one is enough when there are others");
    neighbours.ended(peer(1), Outcome::Useless, Instant::now());
    assert_eq!(neighbours.to_close(), []);
}

#[test]
fn a_peer_that_is_named_again_is_known_once_and_by_its_new_address() {
    let now = Instant::now();
    let mut neighbours = Neighbours::new(4, 1);
    assert!(!neighbours.knows(peer(1)));
    neighbours.suggest(peer(1), "old:1".into());
    neighbours.suggest(peer(2), "h:2".into());
    neighbours.suggest(peer(1), "h:1".into());
    assert!(neighbours.knows(peer(1)) && !neighbours.knows(peer(3)));
    assert_eq!(neighbours.spare(now), 2);
    let mut dialled = neighbours.dial(now);
    dialled.sort();
    assert_eq!(dialled, [(peer(1), "h:1".into()), (peer(2), "h:2".into())]);
    assert_eq!((neighbours.spare(now), neighbours.connections()), (0, 2));
}

#[test]
fn only_so_many_are_remembered() {
    let mut neighbours = Neighbours::new(4, 1);
    let id = |number: u16| {
        PeerId([[number.to_be_bytes()[0]; 8], [number.to_be_bytes()[1]; 8]].concat().try_into().unwrap())
    };
    (0..300).for_each(|number| neighbours.suggest(id(number), format!("h:{number}")));
    assert!(neighbours.knows(id(255)) && !neighbours.knows(id(256)));
    assert_eq!(neighbours.spare(Instant::now()), MAX_CANDIDATES);
}

#[test]
fn each_end_has_its_pause() {
    let now = Instant::now();
    let ms = Duration::from_millis;
    for seed in 0..50 {
        let mut neighbours = Neighbours::new(4, seed);
        neighbours.suggest(peer(1), String::new());
        let mut pause = |outcome, after: Option<&str>, least: u64, most: u64| {
            if after == Some("it worked") {
                neighbours.gave(peer(1));
            }
            neighbours.opened(peer(1));
            neighbours.ended(peer(1), outcome, now);
            assert_eq!(neighbours.spare(now + ms(least) - ms(1)), 0, "{outcome:?} {least}");
            assert_eq!(neighbours.spare(now + ms(most)), 1, "{outcome:?} {most}");
        };
        for most in [200, 400, 800, 1600, 3200, 6400, 12_800, 15_000, 15_000] {
            pause(Outcome::Failed, None, most / 2, most);
        }
        pause(Outcome::NotHere, None, 1000, 2000);
        pause(Outcome::Failed, Some("it worked"), 100, 200);
        pause(Outcome::NotHere, None, 200, 400);
        pause(Outcome::Useless, None, 15_000, 15_000);
        pause(Outcome::Banned, None, 300_000, 300_000);
        pause(Outcome::Foreign, None, 3_600_000, 3_600_000);
        pause(Outcome::NotYet, None, 500, 500);
        pause(Outcome::Failed, None, 400, 800);
    }
}

#[test]
fn half_of_the_places_are_kept_for_those_who_ask_us_at_first() {
    let start = Instant::now();
    let mut neighbours = suggested(1..=9, 5);
    assert_eq!(neighbours.dial(start).len(), 3);
    assert_eq!(neighbours.dial(start + KEPT_FREE - Duration::from_millis(1)), []);
    assert_eq!(neighbours.dial(start + KEPT_FREE).len(), 2);
    assert_eq!(neighbours.dial(start + KEPT_FREE), []);
    // Who asks us takes none of the others' half, whether it was named before or not.
    let mut neighbours = suggested(1..=1, 4);
    neighbours.met(peer(1), "h:1".into());
    neighbours.met(peer(2), "h:2".into());
    assert_eq!(neighbours.dial(start).len(), 2);
    (3..=9).for_each(|number| neighbours.suggest(peer(number), format!("h:{number}")));
    assert_eq!(neighbours.dial(start).len(), 2);
    assert_eq!(neighbours.dial(start + KEPT_FREE), [], "all places are taken");
}

/// Whether any of many newcomers gets the place of the only neighbour.
fn gives_way(prepare: impl Fn(&mut Neighbours)) -> bool {
    let now = Instant::now();
    let mut neighbours = suggested(1..=1, 1);
    neighbours.suggest(peer(2), "h:2".into());
    neighbours.ended(peer(2), Outcome::Banned, now);
    assert_eq!(neighbours.dial(now).len(), 1);
    prepare(&mut neighbours);
    (3..200).any(|number| {
        neighbours.suggest(peer(number), format!("h:{number}"));
        let dialled = neighbours.dial(now);
        assert_eq!(dialled.len(), neighbours.to_close().len());
        !dialled.is_empty()
    })
}

#[test]
fn a_neighbour_that_works_and_lacks_something_gives_way_to_newcomers() {
    assert!(gives_way(|neighbours| neighbours.opened(peer(1))));
    assert!(!gives_way(|_| {}), "nobody knows yet what it is good for");
    let whole = |neighbours: &mut Neighbours| {
        neighbours.opened(peer(1));
        neighbours.is_whole(peer(1));
    };
    assert!(!gives_way(whole), "what leaves the seeder must reach many");
}

#[test]
fn each_place_goes_to_one_newcomer_at_a_time() {
    let now = Instant::now();
    let mut neighbours = suggested(1..=1, 1);
    neighbours.suggest(peer(2), "h:2".into());
    neighbours.ended(peer(2), Outcome::Banned, now);
    assert_eq!(neighbours.dial(now).len(), 1);
    neighbours.opened(peer(1));
    (3..200).for_each(|number| neighbours.suggest(peer(number), format!("h:{number}")));
    assert_eq!(neighbours.dial(now).len(), 1, "of many newcomers");
    assert_eq!(neighbours.to_close(), [peer(1)]);
    assert_eq!(neighbours.connections(), 1, "the one that goes is not counted");
    neighbours.ended(peer(1), Outcome::Useless, now);
    assert_eq!((neighbours.to_close().len(), neighbours.connections()), (0, 1));
}

#[test]
fn a_newcomer_that_finds_a_place_takes_nobody_elses() {
    let now = Instant::now();
    let mut neighbours = suggested(1..=2, 2);
    let dialled = [neighbours.dial(now), neighbours.dial(now + KEPT_FREE)].concat();
    assert_eq!(dialled.len(), 2);
    [1, 2].into_iter().for_each(|number| neighbours.opened(peer(number)));
    (3..200).for_each(|number| neighbours.suggest(peer(number), format!("h:{number}")));
    neighbours.ended(peer(1), Outcome::Failed, now + KEPT_FREE);
    let dialled = neighbours.dial(now + KEPT_FREE);
    assert!((1..=2).contains(&dialled.len()), "{dialled:?}");
    assert_eq!(neighbours.connections(), 2);
}

#[test]
fn one_of_two_connections_may_end_and_the_other_works_on() {
    let start = Instant::now();
    let mut neighbours = suggested(1..=1, 1);
    assert_eq!(neighbours.dial(start).len(), 2);
    neighbours.opened(peer(1));
    neighbours.ended(peer(1), Outcome::Failed, start);
    assert_eq!(neighbours.connections(), 1);
    neighbours.suggest(peer(2), "h:2".into());
    assert_eq!(neighbours.dial(start + PLACE_PATIENCE), [], "it is not one that does not answer");
    neighbours.ended(peer(1), Outcome::Failed, start);
    assert_eq!(neighbours.dial(start + PLACE_PATIENCE).len(), 1);
}

#[test]
fn an_address_is_one_candidate_whoever_is_said_to_be_there() {
    let now = Instant::now();
    let mut neighbours = Neighbours::new(8, 1);
    (1..=100).for_each(|number| neighbours.suggest(peer(number), "victim:80".into()));
    neighbours.suggest(peer(200), "h:2".into());
    assert_eq!(neighbours.spare(now), 2);
    assert!(neighbours.knows(peer(100)) && !neighbours.knows(peer(99)));
    let mut dialled = neighbours.dial(now);
    dialled.sort();
    assert_eq!(dialled, [(peer(100), "victim:80".into()), (peer(200), "h:2".into())]);
    neighbours.suggest(peer(1), "victim:80".into());
    assert!(!neighbours.knows(peer(1)), "the address is another's, who is dialled");
    neighbours.ended(peer(100), Outcome::Foreign, now);
    neighbours.met(peer(1), "victim:80".into());
    assert!(neighbours.knows(peer(1)));
    assert_eq!(neighbours.dial(now + FOREIGN - SECOND), [], "the pause is the address's");
    neighbours.suggest(peer(200), "victim:80".into());
    assert_eq!(neighbours.addresses().len(), 2, "nobody moves to where another is");
}

#[test]
fn who_moves_is_known_by_the_new_address_alone() {
    let mut neighbours = Neighbours::new(8, 1);
    neighbours.suggest(peer(1), "h:1".into());
    neighbours.met(peer(1), "h:2".into());
    assert_eq!(neighbours.addresses(), ["h:2"]);
    neighbours.suggest(peer(2), "h:1".into());
    assert_eq!(neighbours.addresses(), ["h:2", "h:1"]);
}

fn id(number: u16) -> PeerId {
    let mut id = [7; 16];
    id[..2].copy_from_slice(&number.to_be_bytes());
    PeerId(id)
}

/// All places for candidates are taken.
fn full(mutual: u16) -> Neighbours {
    let mut neighbours = Neighbours::new(256, 1);
    for number in 0..256 {
        let addr = format!("h:{number}");
        if number < mutual { neighbours.met(id(number), addr) } else { neighbours.suggest(id(number), addr) }
    }
    neighbours
}

#[test]
fn what_fails_makes_room_and_what_was_done_is_remembered() {
    let now = Instant::now();
    let mut neighbours = full(0);
    let dialled = neighbours.dial(now);
    assert_eq!(dialled.len(), MOST_DIALS);
    neighbours.suggest(id(300), "h:300".into());
    assert!(!neighbours.knows(id(300)), "nobody has failed");
    let [failed, banned, foreign, ..] = &dialled[..] else { panic!("there are more") };
    neighbours.ended(failed.0, Outcome::Failed, now);
    neighbours.ended(banned.0, Outcome::Banned, now);
    neighbours.ended(foreign.0, Outcome::Foreign, now);
    for (number, gone) in [(300, foreign), (301, banned), (302, failed)] {
        neighbours.suggest(id(number), format!("h:{number}"));
        assert!(neighbours.knows(id(number)) && !neighbours.knows(gone.0));
    }
    neighbours.suggest(id(303), "h:303".into());
    assert!(!neighbours.knows(id(303)));
    // There is room again, though not for those who did something.
    let next = neighbours.dial(now + SECOND);
    next.iter().for_each(|(peer, _)| neighbours.ended(*peer, Outcome::Failed, now));
    for (number, gone, again) in [(400, foreign, false), (401, banned, false), (402, failed, true)] {
        neighbours.suggest(id(number), gone.1.clone());
        assert_eq!(neighbours.knows(id(number)), again);
    }
    assert_eq!(neighbours.candidates.len(), MAX_CANDIDATES);
    assert_eq!(neighbours.addresses.len(), MAX_CANDIDATES);
    let _ = neighbours.dial(now + BAN);
    neighbours.suggest(id(403), banned.1.clone());
    neighbours.suggest(id(404), foreign.1.clone());
    assert!(neighbours.knows(id(403)) && !neighbours.knows(id(404)));
}

#[test]
fn those_who_ask_us_leave_room_for_whom_trackers_name() {
    let now = Instant::now();
    let mut neighbours = full(256);
    assert_eq!(neighbours.candidates.len(), MAX_MUTUAL);
    neighbours.suggest(id(300), "h:300".into());
    assert!(neighbours.knows(id(300)));
    let (asked, _) = neighbours.dial(now).remove(0);
    neighbours.ended(asked, Outcome::Failed, now);
    neighbours.met(id(301), "h:301".into());
    assert!(neighbours.knows(id(301)) && !neighbours.knows(asked), "what failed among them makes room");
    neighbours.met(id(302), "h:302".into());
    assert!(!neighbours.knows(id(302)), "theirs are taken, though others have room");
    let mut neighbours = Neighbours::new(256, 1);
    (0..MAX_MUTUAL as u16).for_each(|number| neighbours.suggest(id(number), format!("h:{number}")));
    neighbours.met(id(300), "h:300".into());
    assert!(neighbours.knows(id(300)), "those whom trackers name have places of their own");
}

#[test]
fn only_so_many_are_dialled_in_a_second() {
    let start = Instant::now();
    let mut neighbours = full(0);
    let first = neighbours.dial(start);
    assert_eq!(first.len(), MOST_DIALS);
    first.iter().for_each(|(peer, _)| neighbours.ended(*peer, Outcome::Failed, start));
    assert_eq!(neighbours.dial(start + DIALS_IN - Duration::from_millis(1)), []);
    assert_eq!(neighbours.dial(start + DIALS_IN).len(), MOST_DIALS);
    assert_eq!(neighbours.dial(start + DIALS_IN), []);
}

#[test]
fn a_peer_with_several_addresses_is_one_candidate_and_each_of_them_is_a_dial() {
    let now = Instant::now();
    let mut neighbours = Neighbours::new(8, 1);
    let others = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    neighbours.suggest(peer(1), "h:1".into());
    neighbours.is_also_at(peer(1), others(&["h:1", "v:1", "w:1"]));
    neighbours.is_also_at(peer(2), others(&["v:2"]));
    assert_eq!(neighbours.others(peer(1)), others(&["v:1", "w:1"]));
    assert_eq!(neighbours.others(peer(2)), others(&[]), "nobody suggested it");
    assert_eq!(neighbours.dial(now), [(peer(1), "h:1".into()), (peer(1), "h:1".into())]);
    assert_eq!(neighbours.dials.len(), 6, "it is the only one, and has two connections");
    neighbours.is_unreached(peer(1), "h:1: refused".into());
    assert_eq!(neighbours.unreached(), [(peer(1), "h:1: refused".to_owned())]);
    neighbours.gave(peer(1));
    assert_eq!(neighbours.unreached(), []);
}

#[test]
fn who_comes_itself_has_one_connection_and_is_not_dialled_where_it_came_from() {
    let now = Instant::now();
    let mut neighbours = Neighbours::new(2, 1);
    assert!(neighbours.comes(peer(1), "h:1", now));
    neighbours.opened(peer(1));
    assert!(!neighbours.comes(peer(1), "h:2", now), "it is connected");
    neighbours.ended(peer(1), Outcome::Failed, now);
    assert_eq!(neighbours.dial(now + LONGEST_PAUSE), []);
    assert!(neighbours.comes(peer(1), "h:2", now + LONGEST_PAUSE));
    neighbours.ended(peer(1), Outcome::Banned, now);
    assert!(!neighbours.comes(peer(1), "h:3", now), "for what it did");
    neighbours.suggest(peer(1), "h:4".into());
    assert_eq!(neighbours.dial(now + BAN).len(), 2, "there it can be dialled");
    assert!(!neighbours.comes(peer(1), "h:5", now + BAN), "all places are taken");
    assert!(!neighbours.comes(peer(2), "h:6", now + BAN));
}
