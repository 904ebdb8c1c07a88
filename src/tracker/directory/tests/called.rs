//! Who is called: whoever cannot be dialled, and has what somebody wants who can be.

use super::*;

const ID: FileId = FileId([1; 32]);

fn origin(number: u8) -> Origin {
    Origin::from(IpAddr::from([10, 0, 0, number]))
}

/// One that nobody can dial has so many chunks of two, and waits to be called.
fn hidden(directory: &mut Directory, number: u8, have: u32, now: Instant) {
    let profile = Profile { from: origin(number), ..Profile::default() };
    directory.register(peer(number), profile, now).unwrap();
    directory.update(peer(number), &[], &[offer("f", 1, 2, have == 2)], now).unwrap();
    if have == 1 {
        directory.have(peer(number), (ID, View::Bytes), &[Run::new(Chunk(0), 1)], now).unwrap();
    }
    assert_eq!(called(directory, number, now), []);
}

/// By whom a peer is called, and where those can be dialled; without anybody it waits.
fn called(directory: &mut Directory, number: u8, now: Instant) -> Vec<(PeerId, String)> {
    let said = |Call { id, peer, addresses }: Call| {
        assert_eq!(id, ID);
        (peer, addresses.iter().map(Address::to_string).collect())
    };
    directory.calls(peer(number), origin(number), now).into_iter().map(said).collect()
}

/// The connections that are to be woken when a peer asks for holders; how many it was told.
fn woken(
    directory: &mut Directory,
    asker: u8,
    wanted: Wanted<'_>,
    purpose: Purpose,
    now: Instant,
) -> (Vec<u64>, usize) {
    let (asker, from) = (peer(asker).peer, origin(asker));
    let query = Query { wanted, purpose, max: 0, missing: None, asker, from };
    let holders = directory.locate(&query, now).iter().map(|variant| variant.holders.len()).sum();
    let mut woken = directory.take_woken();
    woken.sort_unstable();
    (woken, holders)
}

fn fetches(directory: &mut Directory, asker: u8, now: Instant) -> (Vec<u64>, usize) {
    woken(directory, asker, Wanted::Id(ID), Purpose::Fetch, now)
}

#[test]
fn who_has_some_of_it_and_cannot_be_dialled_is_called_by_who_wants_it() {
    let now = Instant::now();
    let mut directory = directory(now);
    [(2, 2), (3, 0), (4, 1)].into_iter().for_each(|(number, have)| hidden(&mut directory, number, have, now));
    join(&mut directory, peer(1), &[], now);
    assert_eq!(fetches(&mut directory, 1, now), (vec![2, 4], 0), "who has nothing yet is of no use");
    assert_eq!(directory.take_woken(), [0; 0], "they are told once");
    let by = [(peer(1).peer, "10.0.0.1:7".to_owned())];
    assert_eq!((called(&mut directory, 2, now), called(&mut directory, 4, now)), (by.to_vec(), by.to_vec()));
    assert_eq!((called(&mut directory, 2, now), called(&mut directory, 3, now)), (vec![], vec![]));
}

#[test]
fn nobody_is_called_while_enough_can_be_dialled() {
    let now = Instant::now();
    for (dialled, expected) in [(3, vec![2]), (4, vec![])] {
        let mut directory = directory(now);
        hidden(&mut directory, 2, 2, now);
        join(&mut directory, peer(1), &[], now);
        (11..11 + dialled)
            .for_each(|number| join(&mut directory, peer(number), &[offer("f", 1, 2, true)], now));
        assert_eq!(fetches(&mut directory, 1, now), (expected, usize::from(dialled)));
        assert_eq!(called(&mut directory, 11, now), [], "it can be dialled");
    }
}

#[test]
fn no_more_than_four_are_called_for_a_question() {
    let now = Instant::now();
    let mut directory = directory(now);
    (11..20).for_each(|number| hidden(&mut directory, number, 2, now));
    join(&mut directory, peer(1), &[], now);
    assert_eq!(fetches(&mut directory, 1, now).0.len(), 4);
}

#[test]
fn only_who_is_registered_can_be_dialled_and_fetches_by_id_calls_anybody() {
    let now = Instant::now();
    let mut directory = directory(now);
    hidden(&mut directory, 2, 2, now);
    let nobody = (vec![], 0);
    assert_eq!(fetches(&mut directory, 1, now), nobody, "it is not registered");
    hidden(&mut directory, 3, 0, now);
    assert_eq!(fetches(&mut directory, 3, now), nobody, "it cannot be dialled either");
    join(&mut directory, peer(1), &[], now);
    assert_eq!(woken(&mut directory, 1, Wanted::Id(ID), Purpose::Inspect, now).0, [0; 0], "it only looks");
    assert_eq!(woken(&mut directory, 1, Wanted::Name("f"), Purpose::Fetch, now).0, [0; 0], "by name");
    directory.leave(peer(2));
    assert_eq!(fetches(&mut directory, 1, now), nobody, "it is gone");
}

#[test]
fn a_call_is_told_where_the_peer_registered_and_only_while_the_caller_is_there() {
    let now = Instant::now();
    let mut directory = directory(now);
    hidden(&mut directory, 2, 2, now);
    join(&mut directory, peer(1), &[], now);
    assert_eq!(fetches(&mut directory, 1, now).0, [2]);
    assert_eq!(directory.calls(peer(2), origin(9), now), [], "whoever asks there is another");
    assert_eq!(directory.calls(peer(9), origin(9), now), [], "nobody knows it");
    directory.leave(peer(1));
    assert_eq!(called(&mut directory, 2, now), []);
}

#[test]
fn who_is_called_dead_over_a_content_may_dial_who_says_so() {
    let now = Instant::now();
    for (about, expected) in [(ID, vec![2]), (FileId::NONE, vec![])] {
        let mut directory = directory(now);
        hidden(&mut directory, 2, 2, now);
        join(&mut directory, peer(1), &[], now);
        let look = directory.report(peer(1), peer(2).peer, Complaint::Dead, (about, Chunk(0)), now);
        assert_eq!((look, directory.take_woken()), (Ok(None), expected));
    }
}
