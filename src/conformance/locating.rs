//! Whom a tracker names: sections 8.3, 13.2, 13.3 and 13.4.

use super::check::{Check, Checked, Fault, checks, holds, same};
use super::directory::{
    CORRUPT, DEAD, FETCH, Hash, Holder, INSPECT, MISSING, MODIFIED, Member, any_hash, any_prefix, have,
    listing, locate, located, member, offer, offer_as, the_variant,
};
use super::fields::Body;
use super::numbers::id;
use super::target::Target;

pub(super) const CHECKS: &[Check<Target>] = checks! {
    "8.3": a_registered_content_is_found_by_name_and_by_id;
    "8.2": what_nobody_has_is_an_empty_answer;
    "13.3": a_name_that_is_nearly_right_is_suggested, locate_can_ask_for_holders_of_missing_chunks,
        for_fetching_only_others_that_can_be_dialled_are_named, max_limits_the_holders_and_counts_stay_whole;
    "13.2": two_contents_under_one_name_are_both_shown, a_name_means_its_originals;
    "13.4": reports_are_taken_and_do_not_remove_a_living_peer;
    "8.2": load_travels_from_heartbeats_to_answers;
};

fn a_registered_content_is_found_by_name_and_by_id(target: &Target) -> Checked {
    let (name, hash) = (any_prefix(), any_hash());
    let seeder = member(target, 4001, &[offer(&name, hash, true)])?;
    let mut guest = target.greet()?;
    let by_name = the_variant(&mut guest, &name, [0; 32], INSPECT)?;
    same!(by_name.sizes, (200_000, 200_000, 4));
    same!((by_name.name.as_str(), by_name.hash), (name.as_str(), hash));
    same!((by_name.seeders, by_name.leechers), (1, 0));
    let [holder] = &by_name.holders[..] else { return Err(Fault::new("one holder", format!("{by_name:?}"))) };
    same!((holder.peer, holder.have), (seeder.peer, 4));
    same!(holder.name, "conformance");
    holds!(matches!(holder.addresses[..], [(_, 4001)]), "the connection's address: {holder:?}");
    same!(the_variant(&mut guest, "", hash, INSPECT)?, by_name);
    same!(the_variant(&mut guest, &name, [0; 32], FETCH)?, by_name);
    Ok(())
}

fn port_of(holder: &Holder) -> Option<u16> {
    holder.addresses.first().map(|(_, port)| *port)
}

fn what_nobody_has_is_an_empty_answer(target: &Target) -> Checked {
    let mut client = target.greet()?;
    let (variants, near) = located(&mut client, &locate("", any_hash(), INSPECT, 0, &[]))?;
    same!((variants.len(), near.len()), (0, 0));
    let (variants, _) = located(&mut client, &locate(&any_prefix(), [0; 32], INSPECT, 0, &[]))?;
    holds!(variants.is_empty());
    Ok(())
}

fn a_name_that_is_nearly_right_is_suggested(target: &Target) -> Checked {
    let prefix = any_prefix();
    let name = format!("{prefix}/holiday-pictures.zip");
    let _seeder = member(target, 4001, &[offer(&name, any_hash(), true)])?;
    let wrong = format!("{prefix}/holyday-pictures.zip");
    let (variants, near) = located(&mut target.greet()?, &locate(&wrong, [0; 32], INSPECT, 0, &[]))?;
    holds!(variants.is_empty());
    holds!(near.contains(&name), "{name} among what is near, not {near:?}");
    Ok(())
}

fn locate_can_ask_for_holders_of_missing_chunks(target: &Target) -> Checked {
    let (name, hash) = (any_prefix(), any_hash());
    let mut low = member(target, 4001, &[offer(&name, hash, false)])?;
    low.client.call(id::TRACKER_HAVE, &have(hash, &[(0, 2)]), id::OK)?;
    let mut high = member(target, 4002, &[offer(&name, hash, false)])?;
    high.client.call(id::TRACKER_HAVE, &have(hash, &[(2, 2)]), id::OK)?;
    let mut guest = target.greet()?;
    for purpose in [INSPECT, FETCH] {
        let mut holders = |missing: &[(u32, u32)]| {
            let (variants, _) = located(&mut guest, &locate(&name, [0; 32], purpose, 256, missing))?;
            same!(variants[0].leechers, 2, "all are counted");
            let mut ports: Vec<u16> = variants[0].holders.iter().filter_map(port_of).collect();
            ports.sort_unstable();
            Ok(ports)
        };
        same!(holders(&[])?, [4001, 4002]);
        same!(holders(&[(0, 1)])?, [4001]);
        same!(holders(&[(3, 1)])?, [4002]);
        same!(holders(&[(1, 2)])?, [4001, 4002]);
    }
    Ok(())
}

fn for_fetching_only_others_that_can_be_dialled_are_named(target: &Target) -> Checked {
    let (name, hash) = (any_prefix(), any_hash());
    let offers = [offer(&name, hash, true)];
    let (mut seeder, _hidden) = (member(target, 4001, &offers)?, member(target, 0, &offers)?);
    let seen = the_variant(&mut seeder.client, &name, [0; 32], INSPECT)?;
    same!((seen.seeders, seen.holders.len()), (2, 2));
    let own = the_variant(&mut seeder.client, &name, [0; 32], FETCH)?;
    same!((own.seeders, own.holders.len()), (2, 0));
    same!(the_variant(&mut target.greet()?, &name, [0; 32], FETCH)?.holders.len(), 1);
    Ok(())
}

fn max_limits_the_holders_and_counts_stay_whole(target: &Target) -> Checked {
    let (name, hash) = (any_prefix(), any_hash());
    let members: Vec<Member> =
        (0..20).map(|n| member(target, 4000 + n, &[offer(&name, hash, true)])).collect::<Checked<_>>()?;
    let mut guest = target.greet()?;
    for (purpose, max, expected) in
        [(INSPECT, 3, 3), (INSPECT, u16::MAX, 20), (FETCH, 3, 3), (FETCH, 0, 16), (FETCH, 256, 20)]
    {
        let (variants, _) = located(&mut guest, &locate(&name, [0; 32], purpose, max, &[]))?;
        same!((variants[0].seeders, variants[0].holders.len()), (20, expected), "{purpose} {max}");
    }
    let (first, again) = (
        the_variant(&mut guest, &name, [0; 32], INSPECT)?,
        the_variant(&mut guest, &name, [0; 32], INSPECT)?,
    );
    same!(first, again, "INSPECT does not change its order");
    drop(members);
    Ok(())
}

fn two_contents_under_one_name_are_both_shown(target: &Target) -> Checked {
    let (name, one, two) = (any_prefix(), any_hash(), any_hash());
    let _first = member(target, 4001, &[offer(&name, one, true)])?;
    let _second = member(target, 4002, &[offer(&name, two, true)])?;
    let mut guest = target.greet()?;
    let (variants, _) = located(&mut guest, &locate(&name, [0; 32], INSPECT, 0, &[]))?;
    let mut found: Vec<Hash> = variants.iter().map(|variant| variant.hash).collect();
    found.sort_unstable();
    let mut expected = [one, two];
    expected.sort_unstable();
    same!(found, expected);
    same!(the_variant(&mut guest, "", two, INSPECT)?.holders.first().and_then(port_of), Some(4002));
    let (entries, more) = listing(&mut guest, &name, "", 1)?;
    let listed: Vec<Hash> = entries.iter().map(|entry| entry.hash).collect();
    same!((listed, more), (expected.to_vec(), false), "one page, in order of id");
    Ok(())
}

fn a_name_means_its_originals(target: &Target) -> Checked {
    let (name, old, new) = (any_prefix(), any_hash(), any_hash());
    let mut copier = member(target, 4001, &[offer_as(&name, old, true, false)])?;
    let stand_in = the_variant(&mut copier.client, &name, [0; 32], INSPECT)?;
    same!((stand_in.hash, stand_in.original, stand_in.holders[0].original), (old, false, false));
    let mut author = member(target, 4002, &[offer(&name, new, true)])?;
    let made = the_variant(&mut author.client, &name, [0; 32], INSPECT)?;
    same!((made.hash, made.original, made.modified), (new, true, MODIFIED));
    let (entries, _) = listing(&mut author.client, &name, "", 9)?;
    same!(entries.iter().map(|entry| entry.hash).collect::<Vec<_>>(), [new]);
    let by_id = the_variant(&mut author.client, "", old, FETCH)?;
    same!((by_id.seeders, by_id.original, by_id.holders.len()), (1, false, 1), "copies serve their id");
    let update = Body::new().list(&[offer(&name, old, true)]).list(&[]);
    copier.client.call(id::UPDATE, &update, id::OK)?;
    let (both, _) = located(&mut author.client, &locate(&name, [0; 32], INSPECT, 0, &[]))?;
    same!(both.len(), 2, "it was made an original");
    Ok(())
}

fn reports_are_taken_and_do_not_remove_a_living_peer(target: &Target) -> Checked {
    let (name, hash) = (any_prefix(), any_hash());
    let accused = member(target, 4001, &[offer(&name, hash, true)])?;
    let mut reporter = member(target, 4002, &[])?;
    let mut report = |complaint: u8, chunk: u32| {
        let body = Body::new().raw(&accused.peer).raw(&hash).u32(chunk).u8(complaint);
        reporter.client.call(id::REPORT, &body, id::OK).map(drop)
    };
    for _ in 0..10 {
        report(DEAD, 0)?;
        report(CORRUPT, 1)?;
    }
    report(MISSING, u32::MAX)?;
    let mut guest = target.greet()?;
    let variant = the_variant(&mut guest, &name, [0; 32], FETCH)?;
    same!((variant.seeders, variant.holders.len()), (1, 1));
    report(MISSING, 2)?;
    let variant = the_variant(&mut guest, &name, [0; 32], INSPECT)?;
    same!((variant.seeders, variant.leechers, variant.holders[0].have), (1, 0, 4));
    let stranger = Body::new().raw(&[9; 16]).raw(&hash).u32(0).u8(CORRUPT);
    reporter.client.call(id::REPORT, &stranger, id::OK)?;
    Ok(())
}

fn load_travels_from_heartbeats_to_answers(target: &Target) -> Checked {
    let (name, hash) = (any_prefix(), any_hash());
    let mut member = member(target, 4001, &[offer(&name, hash, true)])?;
    member.client.call(id::HEARTBEAT, &Body::new().u16(3).u16(2).u64(1 << 40), id::OK)?;
    same!(the_variant(&mut member.client, &name, [0; 32], INSPECT)?.holders[0].load, (3, 2));
    Ok(())
}
