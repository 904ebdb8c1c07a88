//! One exchange with keys that are no secret, for the document and for programs that are written from it.

use bytes::BytesMut;

use super::expected::Expected;
use super::handshake::{Accepting, Dialling};
use super::identity::Identity;
use super::psk::{Opening, Psk, Purpose};
use super::records::{Opener, Sealer};
use super::secret::Secret;
use super::suite::Suite;
use crate::content::PublicKey;
use crate::wire::Preface;
use crate::wire::limits::REKEY_RECORDS;

/// Every byte of the secret of the swarm, of the static private keys of dialler and accepter, and of their ephemeral ones.
pub const KEYS: [u8; 5] = [1, 2, 3, 4, 5];
/// What each record carries.
pub const TEXT: &[u8] = b"p2p";

/// What is sent, and who the sides are.
#[derive(Debug)]
pub struct Exchange {
    /// By the dialler, the accepter, and the dialler again.
    pub messages: [Vec<u8>; 3],
    /// By the dialler: its first record, and the first one behind a REKEY.
    pub records: [Vec<u8>; 2],
    /// Of dialler and accepter.
    pub keys: [PublicKey; 2],
}

/// The exchange with this suite; none if it does not come about.
pub fn exchange(suite: Suite) -> Option<Exchange> {
    let [swarm, dialler, accepter, near, far] = KEYS.map(|byte| [byte; 32]);
    let (me, them) = (Identity::new(Secret::from(dialler)), Identity::new(Secret::from(accepter)));
    let opening = Opening { psk: Psk::of_swarm(&Secret::from(swarm)), purpose: Purpose::Member };
    let preface = Preface::of_mode(suite.mode()).encode();
    let expected = Expected::Key(them.public());
    let (mut near, first) =
        Dialling::begin_with(preface, suite, (&me, &opening), expected, Some(&near)).ok()?;
    let mut far = Accepting::begin_with(preface, suite, (&them, &opening), Some(&far)).ok()?;
    let (_, second) = far.answer(first.get(preface.len() + opening.psk.id().0.len()..)?).ok()??;
    let (_, third, tunnel) = near.finish(&second).ok()??;
    far.finish(&third).ok()??;
    let second = [&preface[..], &second].concat();
    let mut sealer = tunnel.sealer;
    let record = record(&mut sealer)?;
    sealer.pass_over(REKEY_RECORDS - 1).ok()?;
    let records = [record, self::record(&mut sealer)?];
    Some(Exchange { messages: [first, second, third], records, keys: [me.public(), them.public()] })
}

/// The two ends of one direction of a connection.
pub fn pair(suite: Suite) -> Option<(Sealer, Opener)> {
    Sealer::new(suite, &[6; 32]).ok().zip(Opener::new(suite, &[6; 32]).ok())
}

fn record(sealer: &mut Sealer) -> Option<Vec<u8>> {
    let mut out = BytesMut::new();
    sealer.seal(TEXT, &mut out).ok()?;
    Some(out.to_vec())
}
