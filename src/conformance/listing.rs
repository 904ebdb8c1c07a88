//! What a tracker lists, page by page: LIST, GET_STATUS and GET_PEERS of sections 8.2 and 8.3.

use super::check::{Check, Checked, checks, holds, same};
use super::directory::{INSPECT, Member, all_names, any_hash, any_prefix, locate, located, member, offer};
use super::fields::Body;
use super::numbers::id;
use super::target::Target;

pub(super) const CHECKS: &[Check<Target>] = checks! {
    "8.2": patterns_match_as_said, pages_together_have_every_name_once_in_order;
    "8.3": answers_stay_within_a_frame_however_long_the_names, status_counts, peers_are_listed_page_by_page;
};

fn patterns_match_as_said(target: &Target) -> Checked {
    let prefix = any_prefix();
    let all = ["a.txt", "b.txt", "bb.txt", "d/a.txt", "ü.txt"];
    let offers: Vec<Body> =
        all.iter().map(|name| offer(&format!("{prefix}/{name}"), any_hash(), true)).collect();
    let mut member = member(target, 1, &offers)?;
    for (pattern, expected) in [
        (format!("{prefix}/*"), &all[..]),
        (prefix.clone(), &all),
        (format!("{prefix}/?.txt"), &["a.txt", "b.txt", "ü.txt"]),
        (format!("{prefix}/*a.txt"), &["a.txt", "d/a.txt"]),
        (format!("{}*b.txt", &prefix[..prefix.len() - 1]), &["b.txt", "bb.txt"]),
        (format!("{prefix}/??.txt"), &["bb.txt"]),
        (format!("{prefix}/A.txt"), &[]),
        (format!("{prefix}/*?*.md"), &[]),
    ] {
        let names = all_names(&mut member.client, &pattern, 100)?.0;
        let expected: Vec<String> = expected.iter().map(|name| format!("{prefix}/{name}")).collect();
        same!(names, expected, "{pattern}");
    }
    Ok(())
}

fn pages_together_have_every_name_once_in_order(target: &Target) -> Checked {
    let prefix = any_prefix();
    let expected: Vec<String> = (0..500).map(|n| format!("{prefix}/{n:04}")).collect();
    let offers: Vec<Body> = expected.iter().rev().map(|name| offer(name, any_hash(), true)).collect();
    let mut member = member(target, 1, &offers)?;
    for limit in [1, 7, 499, 500, 501, u16::MAX] {
        let (names, pages) = all_names(&mut member.client, &format!("{prefix}/*"), limit)?;
        same!(names, expected, "by {limit}");
        holds!(limit > 500 || pages >= 500 / usize::from(limit), "{pages} pages of {limit}");
    }
    Ok(())
}

fn answers_stay_within_a_frame_however_long_the_names(target: &Target) -> Checked {
    let prefix = any_prefix();
    let long = vec!["x".repeat(250); 15].join("/");
    let expected: Vec<String> = (0..400).map(|n| format!("{prefix}/{n:04}/{long}")).collect();
    let hash = any_hash();
    let offers: Vec<Body> = expected.iter().map(|name| offer(name, hash, true)).collect();
    let mut member = member(target, 1, &offers[..100])?;
    for part in offers[100..].chunks(100) {
        member.client.call(id::UPDATE, &Body::new().list(part).list(&[]), id::OK)?;
    }
    let (names, pages) = all_names(&mut member.client, &format!("{prefix}/*"), 1000)?;
    holds!(names == expected && pages > 1, "{} names on {pages} pages", names.len());
    holds!(!located(&mut member.client, &locate("", hash, INSPECT, 0, &[]))?.0.is_empty());
    Ok(())
}

fn status_counts(target: &Target) -> Checked {
    let mut guest = target.greet()?;
    let mut status = || {
        guest.call(id::GET_STATUS, &Body::new(), id::STATUS)?.fields(|fields| {
            let (_uptime, epoch) = (fields.u64(), fields.u64());
            let (peers, names) = (fields.u32(), fields.u32());
            let counts = (epoch, peers, names, fields.u64(), fields.u64());
            let _settling = fields.u32();
            (counts, fields.u64())
        })
    };
    let ((epoch, ..), clock) = status()?;
    let hash = any_hash();
    let mut member =
        member(target, 1, &[offer(&any_prefix(), hash, true), offer(&any_prefix(), hash, true)])?;
    located(&mut member.client, &locate("", hash, INSPECT, 0, &[]))?;
    let ((same, peers, names, registrations, located), later) = status()?;
    same!(same, epoch, "as long as the tracker runs");
    holds!(later >= clock && later > 0, "a clock that goes on, and not from {clock} to {later} ms");
    holds!(peers >= 1 && names >= 2 && registrations >= 2 && located >= 1);
    Ok(())
}

fn peers_are_listed_page_by_page(target: &Target) -> Checked {
    let members: Vec<Member> = (0..5).map(|n| member(target, 4000 + n, &[])).collect::<Checked<_>>()?;
    let mut guest = target.greet()?;
    let mut all: Vec<([u8; 16], u16)> = Vec::new();
    loop {
        let after = all.last().map_or([0; 16], |(peer, _)| *peer);
        let body = Body::new().raw(&after).u16(2);
        let (page, more) = guest.call(id::GET_PEERS, &body, id::PEERS)?.fields(|fields| {
            let page = fields.list(2, |fields| {
                let (peer, _name, addresses) = (fields.peer(), fields.text(), fields.addresses());
                let (_offers, _uploads, _downloads) = (fields.u32(), fields.u16(), fields.u16());
                let _silent_ms = fields.u32();
                (peer, addresses.first().map_or(0, |(_, port)| *port))
            });
            (page, fields.flag())
        })?;
        all.extend(page);
        if !more {
            break;
        }
    }
    holds!(all.is_sorted_by(|a, b| a.0 < b.0), "in order of id");
    for (member, port) in members.iter().zip(4000..) {
        holds!(all.contains(&(member.peer, port)));
    }
    Ok(())
}
