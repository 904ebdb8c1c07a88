//! How requests to a tracker may come: byte by byte, and many at once (section 3.3).

use super::check::{Check, Checked, checks, same};
use super::client::frame;
use super::directory::{FETCH, INSPECT, any_hash, any_prefix, have, locate, member, offer, register};
use super::fields::Body;
use super::numbers::id;
use super::target::Target;

pub(super) const CHECKS: &[Check<Target>] = checks! {
    "3.3": a_session_may_come_byte_by_byte, a_thousand_pipelined_requests_are_answered_in_order;
};

fn a_session_may_come_byte_by_byte(target: &Target) -> Checked {
    let (name, hash) = (any_prefix(), any_hash());
    let mut client = target.greet()?;
    client.trickle(&frame(id::REGISTER, 2, &register(4001, &[offer(&name, hash, true)])));
    same!(client.answer_to(2)?.id, id::REGISTERED);
    client.trickle(&frame(id::LOCATE, 3, &locate(&name, [0; 32], INSPECT, 0, &[])));
    same!(client.answer_to(3)?.id, id::LOCATED);
    Ok(())
}

fn a_thousand_pipelined_requests_are_answered_in_order(target: &Target) -> Checked {
    let (name, hash) = (any_prefix(), any_hash());
    let mut member = member(target, 4001, &[offer(&name, hash, false)])?;
    let kinds: [(u8, Body, u8); 7] = [
        (id::LOCATE, locate(&name, [0; 32], FETCH, 1, &[]), id::LOCATED),
        (id::UPDATE, Body::new().list(&[]).list(&[]), id::OK),
        (id::TRACKER_HAVE, have(hash, &[(0, 1)]), id::OK),
        (id::LIST, Body::new().text(&name).text("").u16(1), id::LISTING),
        (id::HEARTBEAT, Body::new().u16(0).u16(0).u64(0), id::OK),
        (id::GET_STATUS, Body::new(), id::STATUS),
        (id::LOCATE, locate("..", [0; 32], FETCH, 1, &[]), id::ERROR),
    ];
    let requests: Vec<(u32, &(u8, Body, u8))> = (100..1100).zip(kinds.iter().cycle()).collect();
    let bytes: Vec<u8> =
        requests.iter().flat_map(|(number, (id, body, _))| frame(*id, *number, body)).collect();
    member.client.send(&bytes);
    for (number, (_, _, answer)) in requests {
        same!(member.client.answer_to(number)?.id, *answer);
    }
    Ok(())
}
