//! Whose a registration is, and when it ends.

use super::*;

fn expired(directory: &mut Directory, now: Instant) -> Vec<PeerId> {
    directory.expire(now).into_iter().map(|(peer, _)| peer).collect()
}

#[test]
fn a_lease_ends_without_a_sign_of_life() {
    let start = Instant::now();
    let mut directory = directory(start);
    join(&mut directory, peer(1), &[offer("f", 1, 1, true)], start);
    join(&mut directory, peer(2), &[offer("f", 1, 1, true)], start);
    directory.touch(peer(2), start + LEASE / 2);
    assert_eq!(expired(&mut directory, start + LEASE - Duration::from_nanos(1)), []);
    assert_eq!(expired(&mut directory, start + LEASE), [peer(1).peer]);
    // Out of the answers at once, even before its contents are cleared away.
    assert_eq!(locate(&mut directory, Wanted::Name("f"), start)[0].holders.len(), 1);
    assert_eq!(directory.update(peer(1), &[], &[], start), Err(Denial::NotRegistered));
    assert_eq!(expired(&mut directory, start + LEASE + LEASE / 2), [peer(2).peer]);
    while directory.sweep(1) {}
    assert_eq!(locate(&mut directory, Wanted::Name("f"), start), []);
}

#[test]
fn a_registration_belongs_to_its_connection() {
    let now = Instant::now();
    let mut directory = directory(now);
    let (old, new) = (Sender { connection: 1, ..peer(1) }, Sender { connection: 2, ..peer(1) });
    join(&mut directory, old, &[offer("old", 1, 1, true)], now);
    directory.leave(new);
    assert_eq!(directory.have(new, (FileId([1; 32]), View::Bytes), &[], now), Err(Denial::NotRegistered));
    directory.leave(old);
    join(&mut directory, new, &[offer("new", 2, 1, true)], now);
    directory.leave(old);
    while directory.sweep(9) {}
    assert_eq!(directory.have(old, (FileId([2; 32]), View::Bytes), &[], now), Err(Denial::NotRegistered));
    assert_eq!(locate(&mut directory, Wanted::Name("old"), now), []);
    assert_eq!(locate(&mut directory, Wanted::Name("new"), now)[0].seeders, 1);
}

#[test]
fn who_is_contested_is_asked_and_keeps_its_registration_with_any_word() {
    let now = Instant::now();
    let (soon, mut directory) = (now + Duration::from_millis(1), directory(now));
    let came_again = |connection| Sender { connection, ..peer(1) };
    join(&mut directory, peer(1), &[offer("f", 1, 1, true)], now);
    let register = |directory: &mut Directory, connection, now| {
        directory.register(came_again(connection), Profile::default(), now)
    };
    assert_eq!(register(&mut directory, 2, soon), Err(Contested { ping: Some(1) }));
    assert_eq!(directory.heartbeat(came_again(2), Load::default(), soon), Err(Denial::NotRegistered));
    let (answers, late) = (soon + Duration::from_millis(1), soon + LEASE / 2);
    directory.touch(peer(1), answers);
    assert_eq!(register(&mut directory, 3, late), Err(Contested { ping: Some(1) }), "it is asked anew");
    assert_eq!(register(&mut directory, 4, late + LEASE / 2), Ok(false), "and has been silent since");
    assert_eq!(directory.heartbeat(peer(1), Load::default(), late), Err(Denial::NotRegistered));
    assert_eq!(directory.heartbeat(came_again(4), Load::default(), late), Ok(()));
}

#[test]
fn who_left_is_in_nobodys_way_and_nobody_is_in_its_own() {
    let now = Instant::now();
    let mut directory = directory(now);
    join(&mut directory, peer(1), &[offer("f", 1, 1, true)], now);
    assert_eq!(directory.register(peer(1), Profile::default(), now), Ok(false), "on its own connection");
    directory.leave(peer(1));
    let came_again = Sender { connection: 3, ..peer(1) };
    assert_eq!(directory.register(came_again, Profile::default(), now), Ok(true));
}

#[test]
fn peers_are_paged_in_order() {
    let now = Instant::now();
    let mut directory = directory(now);
    (1..=5).for_each(|number| join(&mut directory, peer(number), &[], now));
    let (page, more) = directory.peers(peer(2).peer, 2, Origin::default(), now + Duration::from_millis(7));
    let ids: Vec<_> = page.iter().map(|info| (info.peer, info.silent_ms)).collect();
    assert_eq!((ids, more), (vec![(peer(3).peer, 7), (peer(4).peer, 7)], true));
    assert!(!directory.peers(peer(3).peer, 2, Origin::default(), now).1);
}
