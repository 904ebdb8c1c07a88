//! Handshakes and records against each other, and against Noise as snow has it.

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use ring::aead::MAX_TAG_LEN;

use super::*;
use crate::content::{NoKey, PublicKey, base32};
use crate::wire::limits::{MAX_RECORD_BYTES, REKEY_RECORDS};

const PREFACE: [u8; 8] = *b"p2p/\0\x01\x01\0"; // of mode 1

fn identity(nth: u8) -> Identity {
    Identity::new(Secret::from([nth; 32]))
}

fn opening(nth: u8) -> Opening {
    Opening { psk: Psk::of_swarm(&Secret::from([nth; 32])), purpose: Purpose::Member }
}

/// Both ends of a connection, and what was sent for it: by the dialler, the accepter, the dialler.
fn meet(suite: Suite) -> (Tunnel, Tunnel, [Vec<u8>; 3]) {
    let (me, them, key) = (identity(1), identity(2), opening(9));
    let expected = Expected::Key(them.public());
    let (mut near, first) = Dialling::begin(PREFACE, suite, (&me, &key), expected).unwrap();
    let mut far = Accepting::begin(PREFACE, suite, (&them, &key)).unwrap();
    let (taken, second) = far.answer(&first[16..]).unwrap().unwrap();
    assert_eq!(taken, first.len() - 16);
    let (taken, third, near) = near.finish(&second).unwrap().unwrap();
    assert_eq!(taken, second.len());
    let (taken, far) = far.finish(&third).unwrap().unwrap();
    assert_eq!(taken, third.len());
    (near, far, [first, second, third])
}

/// What opens of these bytes, and how many of them are left.
fn open(opener: &mut Opener, bytes: &[u8]) -> Result<(Vec<u8>, usize), Broken> {
    let (mut bytes, mut end, mut sealed) = (bytes.to_vec(), 0, 0);
    opener.open(&mut bytes, &mut end, &mut sealed)?;
    Ok((bytes[..end].to_vec(), bytes.len() - sealed))
}

fn sealed(sealer: &mut Sealer, plain: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    sealer.seal(plain, &mut out).unwrap();
    assert_eq!(out.len(), sealed_len(plain.len()));
    out.to_vec()
}

#[test]
fn both_sides_learn_each_others_key_and_talk_both_ways() {
    for suite in Suite::ALL {
        let (mut near, mut far, sent) = meet(suite);
        assert_eq!(sent.map(|bytes| bytes.len()), [8 + 8 + 2 + 48, 2 + 96, 2 + 64]);
        assert_eq!((near.proven.key, far.proven.key), (identity(2).public(), identity(1).public()));
        assert_eq!((near.proven.suite, far.proven.purpose), (suite, Purpose::Member));
        for plain in [&b"x"[..], &[7; MAX_RECORD_BYTES], &[8; 3 * MAX_RECORD_BYTES + 1]] {
            assert_eq!(open(&mut far.opener, &sealed(&mut near.sealer, plain)).unwrap(), (plain.to_vec(), 0));
            assert_eq!(open(&mut near.opener, &sealed(&mut far.sealer, plain)).unwrap(), (plain.to_vec(), 0));
        }
    }
}

#[test]
fn who_does_not_know_the_key_is_told_no_more_than_who_names_another() {
    let (me, them) = (identity(1), identity(2));
    let (_, first) = Dialling::begin(PREFACE, Suite::Aes, (&me, &opening(9)), Expected::Anybody).unwrap();
    for (preface, suite, key) in [
        (PREFACE, Suite::Aes, opening(8)),
        (PREFACE, Suite::ChaCha, opening(9)),
        (*b"p2p/\0\x01\x02\0", Suite::Aes, opening(9)),
    ] {
        let mut far = Accepting::begin(preface, suite, (&them, &key)).unwrap();
        assert_eq!(far.answer(&first[16..]).unwrap_err(), SecureError::UnknownSwarm);
        assert!(far.finish(&first[16..]).is_err());
    }
}

#[test]
fn a_dialler_does_not_say_who_it_is_to_another_than_it_dialled() {
    let (me, them, key) = (identity(1), identity(2), opening(9));
    for (expected, met) in [
        (Expected::Key(them.public()), true),
        (Expected::Peer(them.public().peer_id()), true),
        (Expected::Key(me.public()), false),
        (Expected::Peer(me.public().peer_id()), false),
    ] {
        let (mut near, first) = Dialling::begin(PREFACE, Suite::Aes, (&me, &key), expected).unwrap();
        let mut far = Accepting::begin(PREFACE, Suite::Aes, (&them, &key)).unwrap();
        let (_, second) = far.answer(&first[16..]).unwrap().unwrap();
        match near.finish(&second) {
            Ok(finished) => assert!(met && finished.is_some()),
            Err(error) => assert!(!met && error == SecureError::Impostor),
        }
    }
}

#[test]
fn messages_may_come_in_pieces() {
    let (me, them, key) = (identity(1), identity(2), opening(9));
    let (mut near, first) = Dialling::begin(PREFACE, Suite::Aes, (&me, &key), Expected::Anybody).unwrap();
    let first = &first[16..];
    let mut far = Accepting::begin(PREFACE, Suite::Aes, (&them, &key)).unwrap();
    assert!((0..first.len()).all(|some| far.answer(&first[..some]).unwrap().is_none()));
    let (_, second) = far.answer(first).unwrap().unwrap();
    assert!((0..second.len()).all(|some| near.finish(&second[..some]).unwrap().is_none()));
    let (_, third, _) = near.finish(&second).unwrap().unwrap();
    assert!((0..third.len()).all(|some| far.finish(&third[..some]).unwrap().is_none()));
    assert!(far.finish(&third).unwrap().is_some());
}

#[test]
fn no_bit_of_a_record_may_change_and_none_be_left_out_doubled_moved_or_cut() {
    for suite in Suite::ALL {
        let trial = |change: &dyn Fn(&mut Vec<Vec<u8>>)| {
            let mut sealer = Sealer::new(suite, &[3; 32]).unwrap();
            let mut records: Vec<_> =
                [&b"one"[..], b"two", b"three"].map(|plain| sealed(&mut sealer, plain)).into();
            change(&mut records);
            open(&mut Opener::new(suite, &[3; 32]).unwrap(), &records.concat())
        };
        let record = sealed(&mut Sealer::new(suite, &[3; 32]).unwrap(), b"one");
        assert_eq!(trial(&|_| {}).unwrap(), (b"onetwothree".to_vec(), 0));
        for bit in 0..8 * record.len() {
            let flipped = trial(&|records| records[0][bit / 8] ^= 1 << (bit % 8));
            assert!(flipped.is_err() || flipped.unwrap().0.is_empty(), "it may wait for more of it");
        }
        assert!(trial(&|records| drop(records.remove(0))).is_err());
        assert!(trial(&|records| records.insert(0, records[0].clone())).is_err());
        assert!(trial(&|records| records.swap(0, 1)).is_err());
        assert!(trial(&|records| records[0].truncate(record.len() - 1)).is_err());
        let cut = trial(&|records| records[2].truncate(9)).unwrap();
        assert_eq!(cut, (b"onetwo".to_vec(), 9), "it waits for the rest");
    }
}

#[test]
fn a_record_has_one_byte_and_no_more_than_the_limit() {
    let (mut near, mut far, _) = meet(Suite::Aes);
    for length in [0, MAX_TAG_LEN, MAX_RECORD_BYTES + MAX_TAG_LEN + 1] {
        assert_eq!(open(&mut far.opener, &(length as u16).to_be_bytes()), Err(Broken));
    }
    for plain in [0, MAX_RECORD_BYTES + 1] {
        assert_eq!(near.sealer.seal_in_place(&mut vec![0; plain + RECORD_OVERHEAD]), Err(Broken));
    }
    assert_eq!(near.sealer.seal_in_place(&mut [0; 3]), Err(Broken));
}

#[test]
fn plaintext_lands_behind_what_was_opened_before() {
    let (mut near, mut far, _) = meet(Suite::ChaCha);
    let (one, two) = (sealed(&mut near.sealer, b"one"), sealed(&mut near.sealer, b"two"));
    let mut bytes = [b"kept....", &one[..], &two[..5]].concat();
    let (mut end, mut at) = (4, 8);
    far.opener.open(&mut bytes, &mut end, &mut at).unwrap();
    assert_eq!((&bytes[..end], at), (&b"keptone"[..], 8 + one.len()));
    bytes.extend_from_slice(&two[5..]);
    far.opener.open(&mut bytes, &mut end, &mut at).unwrap();
    assert_eq!((&bytes[..end], at), (&b"keptonetwo"[..], bytes.len()));
}

#[test]
fn records_are_noises_transport_messages_and_their_key_is_replaced_as_noise_has_it() {
    for (suite, records) in [(Suite::Aes, REKEY_RECORDS + 2), (Suite::ChaCha, 3)] {
        let mut sealer = Sealer::new(suite, &[3; 32]).unwrap();
        let mut opener = Opener::new(suite, &[3; 32]).unwrap();
        let mut cipher = cipher_of_snow(suite, [3; 32]);
        let mut record = [0; 1 + RECORD_OVERHEAD];
        for number in 0..records {
            record[2] = 7;
            sealer.seal_in_place(&mut record).unwrap();
            if number == REKEY_RECORDS {
                cipher.rekey();
            }
            if number < 3 || number + 3 > REKEY_RECORDS {
                let mut plain = [0; 1 + MAX_TAG_LEN];
                assert_eq!(cipher.decrypt(number, &[], &record[2..], &mut plain).unwrap(), 1);
                assert_eq!(plain[0], 7);
            }
            let (mut end, mut sealed) = (0, 0);
            opener.open(&mut record, &mut end, &mut sealed).unwrap();
            assert_eq!((record[0], end, sealed), (7, 1, record.len()));
        }
    }
}

fn cipher_of_snow(suite: Suite, key: [u8; 32]) -> Box<dyn snow::types::Cipher> {
    use snow::params::CipherChoice;
    use snow::resolvers::{CryptoResolver, RingResolver};
    let choice = match suite {
        Suite::Aes => CipherChoice::AESGCM,
        Suite::ChaCha => CipherChoice::ChaChaPoly,
    };
    let mut cipher = RingResolver.resolve_cipher(&choice).unwrap();
    cipher.set(&key);
    cipher
}

#[test]
fn a_keyring_knows_what_is_dialled_with_and_for_how_long() {
    let now = Instant::now();
    let later = now + Duration::from_secs(1);
    let key = |nth| Psk::of_swarm(&Secret::from([nth; 32]));
    let open = Keyring::none();
    assert!(!open.is_closed() && open.dials().is_none() && open.answers(key(1).id(), now).is_none());
    let ring = Keyring::new(identity(1), key(1), Purpose::Member);
    let purpose = |nth, now| ring.answers(key(nth).id(), now).map(|opening| opening.purpose);
    assert_eq!((purpose(1, now), purpose(2, now)), (Some(Purpose::Member), None));
    let member = |nth, until| (Opening { psk: key(nth), purpose: Purpose::Member }, Some(until));
    let later_still = later + Duration::from_secs(1);
    ring.set(key(3), [member(2, later_still), member(1, later)]);
    assert_eq!((purpose(1, now), purpose(1, later)), (Some(Purpose::Member), None));
    assert_eq!(ring.dials().unwrap().psk.id(), key(3).id());
    assert_eq!(ring.dials_before(now).unwrap().psk.id(), key(2).id());
    ring.set(key(2), []);
    assert_eq!((purpose(1, now), purpose(3, now)), (None, None), "what is not named any more is over");
    ring.allow(key(1), Purpose::Renew, None);
    let invite = Psk::of_invite(&[5; 16]);
    ring.clone().allow(invite.clone(), Purpose::Join, Some(later));
    assert_eq!(purpose(1, later), Some(Purpose::Renew));
    assert_eq!(ring.answers(invite.id(), now).unwrap().purpose, Purpose::Join);
    assert!(ring.answers(invite.id(), later).is_none());
    ring.allow(key(9), Purpose::Renew, None);
    let before = |most| ring.before(most).iter().map(|opening| opening.psk.id()).collect::<Vec<_>>();
    assert_eq!(before(9), [key(1).id(), key(9).id()], "as they were named, and no invite");
    assert_eq!((before(1), Keyring::none().before(9).len()), (vec![key(1).id()], 0));
    let gone = identity(7).public();
    ring.set_revoked([gone]);
    assert!(ring.is_revoked(&gone) && !ring.is_revoked(&identity(8).public()));
    ring.pin("tracker:1", gone);
    assert_eq!(ring.tracker_at("tracker:1"), Expected::Key(gone));
    assert_eq!(ring.tracker_at("tracker:2"), Expected::Anybody);
}

#[test]
fn an_identity_is_made_once_and_kept_from_others() {
    let folder = tempfile::tempdir().unwrap();
    let made = Identity::load_or_make(folder.path()).unwrap();
    assert_eq!(Identity::load_or_make(folder.path()).unwrap().public(), made.public());
    assert_ne!(Identity::random().unwrap().public(), made.public());
    let path = folder.path().join(identity::FILE);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
    let refused = Identity::load_or_make(folder.path()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::PermissionDenied);
    assert!(refused.to_string().contains("chmod 600"), "{refused}");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    std::fs::write(&path, [1; 31]).unwrap();
    assert_eq!(Identity::load_or_make(folder.path()).unwrap_err().kind(), ErrorKind::InvalidData);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left there");
}

#[test]
fn what_is_secret_is_not_shown() {
    let secret = Secret::from([0xab; 32]);
    let shown = format!("{secret:?} {:?} {:?}", identity(0xab), Psk::of_swarm(&secret));
    assert!(!shown.contains("171, 171") && !shown.to_lowercase().contains("abab"), "{shown}");
    let (near, _, _) = meet(Suite::Aes);
    assert!(format!("{near:?}").len() < 400);
}

#[test]
fn keys_are_typed_as_crockford_has_it() {
    assert_eq!(&**base32::encode(&[0xff, 0, 0x42]), "ZW044");
    for text in ["ZW044", "zw044", "ZW-o4-4"] {
        assert_eq!(base32::decode(text).unwrap().as_slice(), [0xff, 0, 0x42], "{text}");
    }
    assert_eq!(
        base32::decode("lI1L").map(|bytes| bytes.to_vec()),
        base32::decode("1111").map(|bytes| bytes.to_vec())
    );
    for text in ["ZW045", "U0", "Z W", "é"] {
        assert!(base32::decode(text).is_none(), "{text}");
    }
    let key = identity(1).public();
    assert_eq!(key.to_string().parse::<PublicKey>(), Ok(key));
    assert_eq!(key.to_string().len(), 52);
    assert_eq!("".parse::<PublicKey>(), Err(NoKey));
}

/// All that is sent until both sides have said something, with one bit of it changed.
#[test]
fn no_bit_of_a_session_may_change() {
    let (me, them, key) = (identity(1), identity(2), opening(9));
    let session = |flip: usize| -> Option<()> {
        let mut sent = 0;
        let mut carry = |mut bytes: Vec<u8>| {
            if let Some(byte) = (flip / 8).checked_sub(sent).and_then(|at| bytes.get_mut(at)) {
                *byte ^= 1 << (flip % 8);
            }
            sent += bytes.len();
            bytes
        };
        let (mut near, first) = Dialling::begin(PREFACE, Suite::Aes, (&me, &key), Expected::Anybody).unwrap();
        let first = carry(first);
        let preface = *first.first_chunk::<8>()?;
        let suite = Suite::of_mode(preface[6]).filter(|_| preface[..6] == PREFACE[..6] && preface[7] == 0)?;
        let id = KeyId(first[8..16].try_into().ok()?);
        let mut far =
            (id == key.psk.id()).then(|| Accepting::begin(preface, suite, (&them, &key)).unwrap())?;
        let (_, second) = far.answer(&first[16..]).ok()??;
        let second = carry([&preface[..], &second].concat());
        let (_, third, mut near) = (second[..8] == PREFACE).then(|| near.finish(&second[8..]))?.ok()??;
        let (_, mut far) = far.finish(&carry(third)).ok()??;
        assert_eq!((near.proven.key, far.proven.key), (them.public(), me.public()));
        for text in [&b"HELLO"[..], b"and a request"] {
            let heard = open(&mut far.opener, &carry(sealed(&mut near.sealer, text))).ok()?.0;
            (!heard.is_empty()).then(|| assert_eq!(heard, text))?;
            let heard = open(&mut near.opener, &carry(sealed(&mut far.sealer, text))).ok()?.0;
            (!heard.is_empty()).then(|| assert_eq!(heard, text))?;
        }
        Some(())
    };
    let bits = 8 * ([66, 106, 66].iter().sum::<usize>() + 2 * (sealed_len(5) + sealed_len(13)));
    assert!(session(bits).is_some(), "nothing is changed");
    for flip in 0..bits {
        assert!(session(flip).is_none(), "bit {flip}");
    }
}
