//! Codes that people hand each other: 16 random bytes and 2 that tell a mistyped one, in 29 letters and digits.

use std::fmt;

use zeroize::Zeroizing;

use super::psk::Psk;
use super::secret::Secret;
use crate::content::base32;

/// Random bytes of a code: too many to guess, even for who has recorded a handshake.
const BYTES: usize = 16;
const CHECK_BYTES: usize = 2;
/// What the check, and the secret of a share, are derived under.
const CHECK: &str = "p2p v1 code check";
const SHARE: &str = "p2p v1 share secret";
/// Letters between two hyphens.
const GROUP: usize = 5;

/// The secret of an invite, or of one share.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Code(Zeroizing<[u8; BYTES]>);

impl Code {
    /// One that nobody knows.
    ///
    /// # Errors
    /// The system has no random bytes.
    pub(crate) fn random() -> std::io::Result<Code> {
        let secret = Secret::random()?;
        let mut bytes = Zeroizing::new([0; BYTES]);
        bytes.copy_from_slice(&secret.expose()[..BYTES]);
        Ok(Code(bytes))
    }

    /// The code that somebody typed; `None` if it is none, or mistyped.
    pub(crate) fn parse(text: &str) -> Option<Code> {
        let all = base32::decode(text)?;
        let (bytes, check) = all.split_first_chunk::<BYTES>()?;
        (check == check_of(bytes)).then(|| Code(Zeroizing::new(*bytes)))
    }

    /// As it is typed; whoever reads it can use it.
    pub(crate) fn reveal(&self) -> Zeroizing<String> {
        let letters = base32::encode(&[&self.0[..], &check_of(&self.0)].concat());
        let groups: Vec<&str> =
            letters.as_bytes().chunks(GROUP).filter_map(|group| str::from_utf8(group).ok()).collect();
        Zeroizing::new(groups.join("-"))
    }

    /// What those begin with who join by an invite of it.
    pub(crate) fn invite(&self) -> Psk {
        Psk::of_invite(&self.0[..])
    }

    /// What all begin with who have to do with a share of it.
    pub(crate) fn share(&self) -> Psk {
        Psk::of_swarm(&Secret::from(blake3::derive_key(SHARE, &self.0[..])))
    }
}

fn check_of(bytes: &[u8; BYTES]) -> [u8; CHECK_BYTES] {
    let [first, second, ..] = blake3::derive_key(CHECK, bytes);
    [first, second]
}

/// That there is one, and nothing of it.
impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_29_letters_and_digits_and_reads_back_however_it_is_typed() {
        let code = Code::random().unwrap();
        let text = code.reveal();
        assert_eq!(text.chars().filter(|c| *c != '-').count(), 29);
        for typed in [text.to_string(), text.to_lowercase(), text.replace('-', ""), text.replace('0', "O")] {
            assert_eq!(Code::parse(&typed), Some(code.clone()), "{typed}");
        }
        assert_eq!(format!("{code:?}"), "Code");
    }

    #[test]
    fn one_letter_wrong_is_no_code() {
        let text = Code::random().unwrap().reveal().replace('-', "");
        for at in 0..text.len() {
            let mut wrong = text.clone().into_bytes();
            wrong[at] = if wrong[at] == b'7' { b'8' } else { b'7' };
            assert_eq!(Code::parse(std::str::from_utf8(&wrong).unwrap()), None, "{at}");
        }
        for text in ["", "7", &text[1..], &format!("{text}7"), "ü"] {
            assert_eq!(Code::parse(text), None, "{text}");
        }
    }
}
