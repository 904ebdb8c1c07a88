//! What is above a limit or has no meaning is refused, and before anything is allocated for it.

use bytes::Bytes;

use crate::wire::limits::*;
use crate::wire::*;

/// A body that is only a length or count, with none of what it announces: the limit must be what
/// is complained about, so it was looked at before anything else.
fn over_limit<M: Message>(id: u8, head: &[&[u8]], limit_of_got: (usize, usize)) {
    let (limit, got) = limit_of_got;
    match M::decode(id, head.concat().into()) {
        Err(DecodeError::OverLimit { limit: l, got: g, .. }) => {
            assert_eq!((l, g), (limit, got), "0x{id:02x}")
        }
        other => panic!("0x{id:02x}: {other:?}"),
    }
}

fn text_above(limit: usize) -> ([u8; 2], (usize, usize)) {
    ((limit as u16 + 1).to_be_bytes(), (limit, limit + 1))
}

#[test]
fn texts_above_their_limit_are_refused_before_they_are_read() {
    let (name, both) = text_above(MAX_NAME_BYTES);
    over_limit::<ToTracker>(0x13, &[&name], both);
    over_limit::<ToTracker>(0x14, &[&name], both);
    over_limit::<ToTracker>(0x14, &[&[0, 0], &name], both);
    over_limit::<ToTracker>(0x10, &[&[0, 0], &[0; 4], &[0, 0, 0, 1], &name], both);
    let (label, both) = text_above(MAX_LABEL_BYTES);
    over_limit::<Common>(0x01, &[&[0; 12], &[1], &[0; 18], &label], both);
    over_limit::<ToTracker>(0x28, &[&label], both);
    let (address, both) = text_above(MAX_ADDRESS_BYTES);
    over_limit::<FromTracker>(0x43, &[&[0; 8], &[0, 0, 0, 1], &address], both);
    let (detail, both) = text_above(MAX_DETAIL_BYTES);
    over_limit::<Common>(0x02, &[&[0, 1], &detail], both);
}

/// [`over_limit`] for a count of list items behind `head`.
fn list_over_limit<M: Message>(id: u8, head: &[u8], limit: usize) {
    let count = (limit as u32 + 1).to_be_bytes();
    over_limit::<M>(id, &[head, &count], (limit, limit + 1));
}

#[test]
fn lists_above_their_limit_are_refused_before_they_are_read() {
    list_over_limit::<ToTracker>(0x10, &[0; 2], MAX_ADDRESSES);
    list_over_limit::<ToTracker>(0x10, &[0; 6], MAX_OFFERS);
    list_over_limit::<ToTracker>(0x11, &[], MAX_OFFERS);
    list_over_limit::<ToTracker>(0x11, &[0; 4], MAX_OFFERS);
    list_over_limit::<ToTracker>(0x12, &[0; 33], MAX_RANGES);
    list_over_limit::<ToServer>(0x56, &[0; 2], MAX_RANGES);
    list_over_limit::<FromServer>(0x75, &[0; 2], MAX_RANGES);
    list_over_limit::<ToTracker>(0x2f, &[0; 12 + 2 + 2 + 1 + 1 + 8 + 4], MAX_NODE_ROLES);
    list_over_limit::<FromTracker>(0x47, &[0; 16 + 4 + 1], 1);
    list_over_limit::<FromTracker>(0x68, &[0], MAX_PAGE_NODES);
    list_over_limit::<FromTracker>(0x31, &[], MAX_VARIANTS);
    list_over_limit::<FromTracker>(0x31, &[0; 4], MAX_NEAR);
    list_over_limit::<FromTracker>(0x32, &[], MAX_ENTRIES);
    list_over_limit::<FromTracker>(0x34, &[], MAX_PEERS);
    let before_holders = [&[0, 0, 0, 1][..], &[0; 2 + 32 + 8 + 8 + 4 + 4 + 4 + 1 + 1 + 8 + 4 + 1]].concat();
    list_over_limit::<FromTracker>(0x31, &before_holders, MAX_HOLDERS);
    list_over_limit::<ToTracker>(0x1b, &[], MAX_KEPT);
    list_over_limit::<ToTracker>(0x26, &[], MAX_RECORDS);
    list_over_limit::<FromTracker>(0x39, &[0; 16], MAX_DUTIES);
    let before_sources = [&[0; 16][..], &[0, 0, 0, 1], &[3], &[0; 32 + 1 + 8 + 8 + 4]].concat();
    list_over_limit::<FromTracker>(0x39, &before_sources, MAX_DUTY_SOURCES);
    let before_published = [&[0; 16][..], &[0, 0, 0, 1], &[6], &[0; 32 + 1]].concat();
    list_over_limit::<FromTracker>(0x39, &before_published, MAX_REMEMBERED);
    list_over_limit::<FromTracker>(0x3c, &[], 1);
    list_over_limit::<FromTracker>(0x3d, &[], MAX_RECORDS);
    list_over_limit::<FromTracker>(0x3f, &[0; 4 + 4 + 32 + 1], MAX_PAGE_STORES);
    list_over_limit::<FromTracker>(0x40, &[], MAX_PAGE_STORES);
    list_over_limit::<FromTracker>(0x41, &[&[0; 2][..], &[1], &[0; 2 + 4 + 32]].concat(), MAX_TRACKERS);
    let before_graces = [&[1][..], &[0; 2 + 4 + 32]].concat();
    list_over_limit::<FromTracker>(0x42, &before_graces, MAX_GRACES);
    list_over_limit::<FromTracker>(0x42, &[&before_graces[..], &[0; 4]].concat(), MAX_REVOKED);
    list_over_limit::<FromTracker>(0x43, &[0; 8], MAX_TRACKERS);
    list_over_limit::<FromTracker>(0x44, &[], MAX_PAGE_MEMBERS);
    list_over_limit::<FromTracker>(0x45, &[0; 4 + 32], MAX_GRACES);
    list_over_limit::<FromTracker>(0x45, &[0; 4 + 32 + 4], MAX_REVOKED);
    list_over_limit::<ToTracker>(0x25, &[0; 4], MAX_NODES);
    list_over_limit::<FromTracker>(0x37, &[0; 4 + 2 + 2], MAX_NODES_SEEN);
    let before_bitmap = [&[0; 12][..], &[2]].concat();
    list_over_limit::<FromServer>(0x70, &before_bitmap, MAX_CHUNKS as usize / 8);
}

#[test]
fn proofs_above_their_limits_are_refused_before_they_are_read() {
    let run = (MAX_PROOF_RUN as u16 + 1).to_be_bytes();
    over_limit::<FromServer>(0x71, &[&[0; 4], &run, &[0]], (MAX_PROOF_RUN, MAX_PROOF_RUN + 1));
    let path = [MAX_PROOF_PATH as u8 + 1];
    over_limit::<FromServer>(0x71, &[&[0; 4], &[0; 2], &path], (MAX_PROOF_PATH, MAX_PROOF_PATH + 1));
    let head = [&[0; 8][..], &run, &path].concat();
    assert!(matches!(ChunkHead::peek(&head), Err(DecodeError::OverLimit { .. })));
}

#[test]
fn numbers_without_a_meaning_are_refused() {
    fn bad<M: Message + PartialEq>(id: u8, body: &[&[u8]], what: &'static str, got: u64) {
        assert_eq!(M::decode(id, body.concat().into()), Err(DecodeError::BadValue { what, got }));
    }
    bad::<ToServer>(0x53, &[&[0, 1], &[0; 4], &[0, 1], &[2], &[0]], "a flag", 2);
    bad::<ToServer>(0x50, &[&[0, 1], &[0; 32], &[9]], "View", 9);
    bad::<FromServer>(0x73, &[&[0]], "Refusal", 0);
    bad::<ToTracker>(0x1c, &[&[0; 32], &[0], &[9]], "Reluctance", 9);
    bad::<ToTracker>(0x2a, &[&[0; 16 + 8 + 32], &[9]], "MemberRole", 9);
    bad::<FromTracker>(0x39, &[&[0; 16], &[0, 0, 0, 1], &[9]], "Duty", 9);
    bad::<FromServer>(0x70, &[&[0; 12], &[3]], "a bitmap's form", 3);
    let set_id = [1, 0o4755_u16.to_be_bytes()[0], 0o4755_u16.to_be_bytes()[1]];
    bad::<FromServer>(0x70, &[&[0; 12], &[1], &set_id, &[0; 8]], "a mode", 0o4755);
    bad::<FromServer>(0x70, &[&[0; 12], &[1], &[2]], "a flag", 2);
    let before_policy = [&[0; 16 + 8][..], &[0; 2 + 4 + 32 + 8 + 8 + 4]].concat();
    for (policy, got) in [([0, 1], 1), ([MAX_SHARDS + 1, 0], 0x1100), ([1, MAX_PARITY + 1], 0x109)] {
        bad::<ToTracker>(0x27, &[&before_policy, &policy], "a policy", got);
    }
}

#[test]
fn an_error_that_only_later_versions_name_is_one_all_the_same() {
    let later = Common::decode(0x02, Bytes::from_static(&[0, 77, 0, 2, b'n', b'o'])).unwrap();
    assert_eq!(later, Common::error(ErrorCode::Unknown(77), "no"));
    assert_eq!(
        (ErrorCode::Unknown(77).to_string(), ErrorCode::Limit.to_string()),
        ("error 77".into(), "LIMIT".into())
    );
}

#[test]
fn a_text_is_utf8() {
    let body = Bytes::from_static(&[0, 1, 0, 2, 0xc3, 0x28]);
    assert_eq!(Common::decode(0x02, body), Err(DecodeError::NotUtf8));
}
