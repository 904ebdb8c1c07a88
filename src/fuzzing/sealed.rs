//! What comes before and behind a closed connection's handshake.

use std::path::Path;

use super::Numbers;
use crate::net::secure::{
    Accepting, Dialling, Expected, Identity, Opening, Psk, Purpose, Secret, Suite, vectors,
};
use crate::wire::Preface;
use crate::wire::limits::MAX_RECORD_BYTES;

fn identity(number: u8) -> Identity {
    Identity::new(Secret::from([number; 32]))
}

fn suite(numbers: &mut Numbers<'_>) -> Suite {
    Suite::ALL[usize::from(numbers.u8()) % Suite::ALL.len()]
}

/// Who does not know the key gets through no step of a handshake, on either side, and nothing is read behind its end.
pub(super) fn handshake(bytes: &[u8], _: &Path) {
    let mut numbers = Numbers(bytes);
    let suite = suite(&mut numbers);
    let bytes = numbers.0;
    let opening = Opening { psk: Psk::of_swarm(&Secret::from([9; 32])), purpose: Purpose::Member };
    let preface = Preface::of_mode(suite.mode()).encode();
    let (me, them) = (identity(1), identity(2));
    if let Ok(mut far) = Accepting::begin(preface, suite, (&them, &opening)) {
        assert!(!matches!(far.answer(bytes), Ok(Some(_))), "message 1");
        assert!(!matches!(far.finish(bytes), Ok(Some(_))), "message 3");
    }
    if let Ok((mut near, _)) = Dialling::begin(preface, suite, (&me, &opening), Expected::Anybody) {
        assert!(!matches!(near.finish(bytes), Ok(Some(_))), "message 2");
    }
}

/// What was not sealed does not open, whatever comes before it: of these bytes nothing is plaintext but what was sealed.
pub(super) fn opener(bytes: &[u8], _: &Path) {
    let mut numbers = Numbers(bytes);
    let suite = suite(&mut numbers);
    let good = usize::from(numbers.u8()) % 4;
    let Some((mut sealer, mut opener)) = vectors::pair(suite) else { return };
    let (mut stream, mut sealed) = (bytes::BytesMut::new(), Vec::new());
    for nth in 0..good {
        let plain = vec![nth as u8; 1 + usize::from(numbers.u16()) % MAX_RECORD_BYTES];
        if sealer.seal(&plain, &mut stream).is_ok() {
            sealed.extend(plain);
        }
    }
    let whole = stream.len();
    stream.extend_from_slice(numbers.0);
    let pieces = 1 + usize::from(bytes.len() as u16) * 7;
    let (mut buffer, mut end, mut at) = (Vec::new(), 0, 0);
    for piece in stream.chunks(pieces) {
        buffer.extend_from_slice(piece);
        let opened = opener.open(&mut buffer, &mut end, &mut at);
        assert!(end <= at && at <= buffer.len() && buffer[..end] == sealed[..end]);
        if opened.is_err() {
            break;
        }
    }
    if buffer.len() >= whole {
        assert_eq!(buffer[..end], sealed[..], "all that was sealed, and no more");
    }
}
