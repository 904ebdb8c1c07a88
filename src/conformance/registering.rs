//! What a tracker answers to those who register, and how registrations end: sections 8.2, 10.2 and 13.1.

use super::check::{Check, Checked, checks, eventually, holds, same};
use super::client::{Client, Hello, frame};
use super::directory::{
    AS_TREE, DEAD, FETCH, Hash, INSPECT, all_names, any_hash, any_prefix, have, locate, located, member,
    offer, register, the_variant,
};
use super::fields::Body;
use super::numbers::{MAX_FRAME_BYTES, MEMBER, code, id};
use super::target::Target;

pub(super) const CHECKS: &[Check<Target>] = checks! {
    "10.2": what_needs_a_registration_says_so_and_the_connection_goes_on;
    "6.1": unsafe_names_are_refused_and_nothing_is_registered, awkward_names_are_taken_as_they_are;
    "8.2": offers_that_cannot_be_true_are_refused, update_takes_away_and_adds_or_does_neither,
        an_incomplete_content_grows_until_its_holder_seeds, have_is_checked, stated_addresses_are_told;
    "2": an_address_that_nobody_can_dial_is_malformed;
    "3.5": leave_and_a_cut_end_the_registration;
    "10.2": a_peer_that_answers_ping_keeps_its_registration, a_peer_that_is_silent_is_taken_over_within_two_seconds;
    "8.2": registering_again_forgets_what_was_before;
    "7": frames_up_to_the_limit_are_taken;
    "3.5": leave_as_a_notice_has_no_answer;
    "3.3": what_asks_needs_a_number;
};

fn what_needs_a_registration_says_so_and_the_connection_goes_on(target: &Target) -> Checked {
    let mut client = target.greet()?;
    for (id, body) in [
        (id::UPDATE, Body::new().list(&[]).list(&[])),
        (id::TRACKER_HAVE, have(any_hash(), &[])),
        (id::HEARTBEAT, Body::new().u16(0).u16(0).u64(0)),
        (id::REPORT, Body::new().raw(&[9; 16]).raw(&any_hash()).u32(0).u8(DEAD)),
    ] {
        same!(client.ask(id, &body)?.error()?, code::NOT_REGISTERED, "{id:02x}");
    }
    client.is_alive()?;
    Ok(())
}

fn unsafe_names_are_refused_and_nothing_is_registered(target: &Target) -> Checked {
    let mut client = target.greet()?;
    let hash = any_hash();
    let long_part = "x".repeat(256);
    for name in ["", "/", "/etc/passwd", "..", "a/../b", "./a", "a//b", "a//", "a\0b", ".p2p/x", &long_part] {
        let offers = [offer(&any_prefix(), hash, true), offer(name, hash, true)];
        same!(client.ask(id::REGISTER, &register(1, &offers))?.error()?, code::BAD_NAME, "{name:?}");
        let question = locate(name, [0; 32], INSPECT, 0, &[]);
        same!(client.ask(id::LOCATE, &question)?.error()?, code::BAD_NAME, "{name:?}");
    }
    let heartbeat = Body::new().u16(0).u16(0).u64(0);
    same!(client.ask(id::HEARTBEAT, &heartbeat)?.error()?, code::NOT_REGISTERED);
    holds!(located(&mut client, &locate("", hash, INSPECT, 0, &[]))?.0.is_empty());
    Ok(())
}

fn awkward_names_are_taken_as_they_are(target: &Target) -> Checked {
    let prefix = any_prefix();
    let names = ["a b", "\"'\n\t", "ünïcode/\u{1f600}", "...", "*?[", "-", "x".repeat(255).as_str()]
        .map(|name| format!("{prefix}/{name}"));
    let offers: Vec<Body> = names.iter().map(|name| offer(name, any_hash(), true)).collect();
    let _seeder = member(target, 1, &offers)?;
    let mut guest = target.greet()?;
    for name in &names {
        same!(the_variant(&mut guest, name, [0; 32], INSPECT)?.name, *name);
    }
    Ok(())
}

fn offers_that_cannot_be_true_are_refused(target: &Target) -> Checked {
    let mut member = member(target, 1, &[])?;
    let (file, tree) = (any_prefix(), any_prefix() + "/");
    let about = |name: &str, hash: Hash, size: u64, total: u64, chunks: u32| {
        Body::new().text(name).raw(&hash).u64(size).u64(total).u32(chunks).u8(1).u8(1).u64(0)
    };
    let claim = |name: &str, size: u64, total: u64, chunks: u32| about(name, any_hash(), size, total, chunks);
    for bad in [
        claim(&file, 200_000, 200_000, 3),
        claim(&file, 200_000, 200_000, 5),
        claim(&file, 200_000, 200_001, 4),
        claim(&file, 0, 0, 1),
        claim(&file, (1 << 44) + 1, (1 << 44) + 1, 1 << 20),
        claim(&file, u64::MAX, u64::MAX, u32::MAX),
        claim(&tree, 100, 100, (1 << 21) + 1),
        claim(&tree, (256 << 20) + 1, 100, 1),
        claim(&file, 0, 0, 0),
        claim(&tree, 0, 0, 0),
        about(&file, *blake3::hash(b"").as_bytes(), 1, 1, 1),
        about(&file, [0; 32], 1, 1, 1),
    ] {
        let update = Body::new().list(&[bad]).list(&[]);
        same!(member.client.ask(id::UPDATE, &update)?.error()?, code::MALFORMED);
    }
    let good = [
        about(&file, *blake3::hash(b"").as_bytes(), 0, 0, 0),
        claim(&file, 1 << 44, 1 << 44, 1 << 20),
        claim(&tree, 100, 1 << 50, 9),
    ];
    member.client.call(id::UPDATE, &Body::new().list(&good).list(&[]), id::OK)?;
    Ok(())
}

fn update_takes_away_and_adds_or_does_neither(target: &Target) -> Checked {
    let prefix = any_prefix();
    let [old, new, other] = ["old", "new", "other"].map(|name| format!("{prefix}/{name}"));
    let hash = any_hash();
    let removed = |name: &str| Body::new().text(name).raw(&hash);
    let mut member = member(target, 1, &[offer(&old, hash, true)])?;
    let update = Body::new().list(&[offer(&new, hash, true)]).list(&[removed(&old), removed(&other)]);
    member.client.call(id::UPDATE, &update, id::OK)?;
    let names = |client: &mut Client| all_names(client, &format!("{prefix}/*"), 100).map(|listed| listed.0);
    same!(names(&mut member.client)?, [&*new]);
    let broken =
        Body::new().list(&[offer(&other, hash, true), offer("..", hash, true)]).list(&[removed(&new)]);
    same!(member.client.ask(id::UPDATE, &broken)?.error()?, code::BAD_NAME);
    same!(names(&mut member.client)?, [new]);
    Ok(())
}

fn an_incomplete_content_grows_until_its_holder_seeds(target: &Target) -> Checked {
    let (name, hash) = (any_prefix(), any_hash());
    let mut leecher = member(target, 4001, &[offer(&name, hash, false)])?;
    let mut guest = target.greet()?;
    let mut counts = |expected: (u32, u32, u32)| {
        let variant = the_variant(&mut guest, &name, [0; 32], INSPECT)?;
        same!((variant.seeders, variant.leechers, variant.holders[0].have), expected);
        Ok(())
    };
    counts((0, 1, 0))?;
    leecher.client.call(id::TRACKER_HAVE, &have(hash, &[(1, 2)]), id::OK)?;
    counts((0, 1, 2))?;
    leecher.client.call(id::TRACKER_HAVE, &have(hash, &[(1, 1), (3, 1)]), id::OK)?;
    counts((0, 1, 3))?;
    leecher.client.call(id::TRACKER_HAVE, &have(hash, &[(0, 1)]), id::OK)?;
    counts((1, 0, 4))?;
    Ok(())
}

fn have_is_checked(target: &Target) -> Checked {
    let (name, hash) = (any_prefix(), any_hash());
    let mut member = member(target, 1, &[offer(&name, hash, false)])?;
    for bad in [&[(0, 5)][..], &[(4, 1)], &[(u32::MAX, 2)], &[(0, 4), (0, 1)]] {
        same!(member.client.ask(id::TRACKER_HAVE, &have(hash, bad))?.error()?, code::MALFORMED, "{bad:?}");
    }
    let tree = Body::new().raw(&hash).u8(AS_TREE).ranges(&[(0, 1)]);
    same!(member.client.ask(id::TRACKER_HAVE, &tree)?.error()?, code::NOT_REGISTERED, "it is a file");
    let unknown = member.client.ask(id::TRACKER_HAVE, &have(any_hash(), &[(0, 1)]))?;
    same!(unknown.error()?, code::NOT_REGISTERED);
    member.client.is_alive()?;
    Ok(())
}

fn stated_addresses_are_told(target: &Target) -> Checked {
    let (name, hash) = (any_prefix(), any_hash());
    let mut client = target.greet()?;
    let addresses = [
        Body::new().address([192, 0, 2, 1], 4001),
        Body::new().address([169, 254, 7, 7], 4002),
        Body::new().raw(&[0x20, 1, 0xd, 0xb8]).raw(&[0; 11]).u8(1).u16(4003),
    ];
    let body = Body::new().u16(0).list(&addresses).list(&[offer(&name, hash, true)]);
    let registered = client.call(id::REGISTER, &body, id::REGISTERED)?;
    let (lease_ms, _epoch) = registered.fields(|fields| (fields.u32(), fields.u64()))?;
    holds!(lease_ms > 0, "a lease");
    let variant = the_variant(&mut target.greet()?, &name, [0; 32], INSPECT)?;
    let told = variant.holders.iter().flat_map(|holder| &holder.addresses);
    let mut told: Vec<String> = told.map(|(ip, port)| format!("{ip} {port}")).collect();
    told.sort();
    // Who asks is on the machine of the peer: it hears of addresses that mean nothing elsewhere, too.
    same!(told, ["169.254.7.7 4002", "192.0.2.1 4001", "2001:db8::1 4003"]);
    Ok(())
}

fn an_address_that_nobody_can_dial_is_malformed(target: &Target) -> Checked {
    let nobody = [
        Body::new().address([10, 0, 0, 1], 0),
        Body::new().address([0, 0, 0, 0], 4001),
        Body::new().address([224, 0, 0, 1], 4001),
        Body::new().raw(&[0; 16]).u16(4001),
        Body::new().u8(0xff).raw(&[2; 15]).u16(4001),
    ];
    for address in nobody {
        let mut client = target.greet()?;
        client.request(id::REGISTER, &Body::new().u16(4001).list(&[address]).list(&[]));
        client.ends_with(code::MALFORMED)?;
    }
    Ok(())
}

fn leave_and_a_cut_end_the_registration(target: &Target) -> Checked {
    let (name, hash) = (any_prefix(), any_hash());
    let mut guest = target.greet()?;
    let mut leaving = member(target, 4001, &[offer(&name, hash, true)])?;
    leaving.client.call(id::LEAVE, &Body::new(), id::OK)?;
    holds!(located(&mut guest, &locate(&name, [0; 32], INSPECT, 0, &[]))?.0.is_empty());
    leaving.client.has_ended()?;
    drop(member(target, 4001, &[offer(&name, hash, true)])?);
    eventually("that the tracker notices the cut", target.patience, || {
        Ok(located(&mut guest, &locate(&name, [0; 32], INSPECT, 0, &[]))?.0.is_empty().then_some(()))
    })?;
    Ok(())
}

/// One peer on two connections: the old one has registered `first`, the new one wants to register `second`.
struct Contest {
    prefix: String,
    first: String,
    second: String,
    old: Client,
    new: Client,
    /// The new one's REGISTER.
    claim: Body,
}

fn contest(target: &Target) -> Checked<Contest> {
    let prefix = any_prefix();
    let [first, second] = ["first", "second"].map(|name| format!("{prefix}/{name}"));
    let hash = any_hash();
    let hello = Hello::new(MEMBER);
    let (mut old, new) = (target.greet_as(&hello)?, target.greet_as(&hello)?);
    old.call(id::REGISTER, &register(4001, &[offer(&first, hash, true)]), id::REGISTERED)?;
    let claim = register(4002, &[offer(&second, hash, true)]);
    Ok(Contest { prefix, first, second, old, new, claim })
}

fn a_peer_that_answers_ping_keeps_its_registration(target: &Target) -> Checked {
    let Contest { prefix, first, second, mut old, mut new, claim } = contest(target)?;
    let mut guest = target.greet()?;
    for _ in 0..2 {
        same!(new.ask(id::REGISTER, &claim)?.error()?, code::IN_USE);
        let ping = old.read()?;
        same!((ping.id, ping.request == 0, ping.body.len()), (id::PING, false, 0));
        old.send(&frame(id::PONG, ping.request, &Body::new()));
        old.is_alive()?;
    }
    let heartbeat = Body::new().u16(0).u16(0).u64(0);
    same!(new.ask(id::HEARTBEAT, &heartbeat)?.error()?, code::NOT_REGISTERED);
    same!(all_names(&mut guest, &format!("{prefix}/*"), 100)?.0, [&*first]);
    drop(old);
    eventually("REGISTERED, once who has gone is in nobody's way", target.patience, || {
        Ok((new.ask(id::REGISTER, &claim)?.id == id::REGISTERED).then_some(()))
    })?;
    same!(all_names(&mut guest, &format!("{prefix}/*"), 100)?.0, [second]);
    Ok(())
}

fn a_peer_that_is_silent_is_taken_over_within_two_seconds(target: &Target) -> Checked {
    let Contest { prefix, second, mut old, mut new, claim, .. } = contest(target)?;
    same!(new.ask(id::REGISTER, &claim)?.error()?, code::IN_USE);
    eventually("REGISTERED, for the newcomer", target.patience, || {
        Ok((new.ask(id::REGISTER, &claim)?.id == id::REGISTERED).then_some(()))
    })?;
    let mut guest = target.greet()?;
    let names = |client: &mut Client| all_names(client, &format!("{prefix}/*"), 100).map(|listed| listed.0);
    same!(names(&mut guest)?, [&*second]);
    same!(old.read()?.id, id::PING);
    let heartbeat = Body::new().u16(0).u16(0).u64(0);
    same!(old.ask(id::HEARTBEAT, &heartbeat)?.error()?, code::NOT_REGISTERED);
    old.call(id::LEAVE, &Body::new(), id::OK)?;
    old.has_ended()?;
    new.call(id::HEARTBEAT, &heartbeat, id::OK)?;
    same!(names(&mut guest)?, [second]);
    Ok(())
}

fn registering_again_forgets_what_was_before(target: &Target) -> Checked {
    let prefix = any_prefix();
    let [first, second] = ["first", "second"].map(|name| format!("{prefix}/{name}"));
    let mut member = member(target, 1, &[offer(&first, any_hash(), true)])?;
    let again = register(1, &[offer(&second, any_hash(), true), offer(&second, any_hash(), true)]);
    member.client.call(id::REGISTER, &again, id::REGISTERED)?;
    let names = all_names(&mut member.client, &format!("{prefix}/*"), 100)?.0;
    same!(names, [second.clone(), second]);
    Ok(())
}

fn frames_up_to_the_limit_are_taken(target: &Target) -> Checked {
    let prefix = any_prefix();
    let long = vec!["x".repeat(250); 4].join("/");
    let offers: Vec<Body> =
        (0..900).map(|n| offer(&format!("{prefix}/{n}/{long}"), any_hash(), true)).collect();
    let body = register(1, &offers);
    holds!((900 << 10..MAX_FRAME_BYTES).contains(&body.0.len()), "{} bytes", body.0.len());
    target.greet()?.call(id::REGISTER, &body, id::REGISTERED)?;
    Ok(())
}

fn leave_as_a_notice_has_no_answer(target: &Target) -> Checked {
    let mut client = target.greet()?;
    client.send(&frame(id::LEAVE, 0, &Body::new()));
    client.has_ended()?;
    Ok(())
}

fn what_asks_needs_a_number(target: &Target) -> Checked {
    let asks = [
        (id::REGISTER, register(1, &[])),
        (id::LOCATE, locate("x", [0; 32], FETCH, 1, &[])),
        (id::GET_STATUS, Body::new()),
        (id::PING, Body::new()),
    ];
    for (kind, body) in asks {
        let mut client = target.greet()?;
        client.send(&frame(kind, 0, &body));
        client.ends_with(code::UNEXPECTED)?;
    }
    Ok(())
}
