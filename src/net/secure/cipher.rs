//! One key of a suite, and what it does to a single record.
//!
//! ring does that everywhere but in one case: AES-256-GCM on a processor with AVX-512. There AWS-LC takes two thirds of ring's
//! time, and on any other x86-64 that has VAES twice as long (docs/BENCHMARKS.md).

use ring::aead::{self, Aad, LessSafeKey, MAX_TAG_LEN, UnboundKey};

use super::suite::{Nonce, Suite};

/// Seals and opens records with one key.
pub(super) enum Cipher {
    Ring(Box<LessSafeKey>),
    #[cfg(target_arch = "x86_64")]
    Wide(aws_lc_rs::aead::LessSafeKey),
}

impl Cipher {
    /// The one that is faster on this machine. None if the library refuses the key, which has the only length there is.
    pub(super) fn new(suite: Suite, key: &[u8; 32]) -> Option<Cipher> {
        #[cfg(target_arch = "x86_64")]
        if suite == Suite::Aes && has_avx512() {
            return Cipher::wide(key);
        }
        Cipher::ring(suite, key)
    }

    fn ring(suite: Suite, key: &[u8; 32]) -> Option<Cipher> {
        let algorithm = match suite {
            Suite::Aes => &aead::AES_256_GCM,
            Suite::ChaCha => &aead::CHACHA20_POLY1305,
        };
        let key = UnboundKey::new(algorithm, key).ok()?;
        Some(Cipher::Ring(Box::new(LessSafeKey::new(key))))
    }

    #[cfg(target_arch = "x86_64")]
    fn wide(key: &[u8; 32]) -> Option<Cipher> {
        use aws_lc_rs::aead::{AES_256_GCM, LessSafeKey, UnboundKey};
        UnboundKey::new(&AES_256_GCM, key).map(LessSafeKey::new).map(Cipher::Wide).ok()
    }

    /// Seals `text` where it lies, and says its tag; none when it is longer than the cipher allows.
    pub(super) fn seal(&self, nonce: Nonce, text: &mut [u8]) -> Option<[u8; MAX_TAG_LEN]> {
        match self {
            Cipher::Ring(key) => {
                let nonce = aead::Nonce::assume_unique_for_key(nonce);
                let tag = key.seal_in_place_separate_tag(nonce, Aad::empty(), text).ok()?;
                tag.as_ref().try_into().ok()
            }
            #[cfg(target_arch = "x86_64")]
            Cipher::Wide(key) => {
                use aws_lc_rs::aead::{Aad, Nonce};
                let nonce = Nonce::assume_unique_for_key(nonce);
                let tag = key.seal_in_place_separate_tag(nonce, Aad::empty(), text).ok()?;
                tag.as_ref().try_into().ok()
            }
        }
    }

    /// Opens what lies in `around` from `begins` on, its tag behind it, and moves it to the front. How long it is; none if it is
    /// not what was sealed so.
    pub(super) fn open(&self, nonce: Nonce, around: &mut [u8], begins: usize) -> Option<usize> {
        let opened = match self {
            Cipher::Ring(key) => {
                let nonce = aead::Nonce::assume_unique_for_key(nonce);
                key.open_within(nonce, Aad::empty(), around, begins..).ok()?
            }
            #[cfg(target_arch = "x86_64")]
            Cipher::Wide(key) => {
                use aws_lc_rs::aead::{Aad, Nonce};
                let nonce = Nonce::assume_unique_for_key(nonce);
                key.open_within(nonce, Aad::empty(), around, begins..).ok()?
            }
        };
        Some(opened.len())
    }
}

/// What AWS-LC's fast code for this needs; without it, it takes one that is slower than ring's.
#[cfg(target_arch = "x86_64")]
fn has_avx512() -> bool {
    use std::arch::is_x86_feature_detected as has;
    has!("avx512f")
        && has!("avx512bw")
        && has!("avx512dq")
        && has!("avx512vl")
        && has!("vaes")
        && has!("vpclmulqdq")
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;
    use crate::wire::limits::MAX_RECORD_BYTES;

    /// Any machine has either: which one is faster is another question.
    fn both() -> [Cipher; 2] {
        [Cipher::ring(Suite::Aes, &[7; 32]).unwrap(), Cipher::wide(&[7; 32]).unwrap()]
    }

    fn sealed(cipher: &Cipher, nonce: Nonce, plain: &[u8]) -> Vec<u8> {
        let mut text = plain.to_vec();
        let tag = cipher.seal(nonce, &mut text).unwrap();
        [&text[..], &tag].concat()
    }

    #[test]
    fn what_one_seals_the_other_opens() {
        let plain: Vec<u8> = (0..MAX_RECORD_BYTES).map(|at| (at * at / 7) as u8).collect();
        let [ring, wide] = both();
        // All lengths around what is worked on at a time, and the longest.
        for len in (1..=300).chain([4095, MAX_RECORD_BYTES - 1, MAX_RECORD_BYTES]) {
            let nonce = Suite::Aes.nonce(len as u64);
            let bytes = sealed(&ring, nonce, &plain[..len]);
            assert_eq!(bytes, sealed(&wide, nonce, &plain[..len]), "{len} bytes");
            for (cipher, begins) in
                [(&ring, 0), (&wide, 0), (&ring, 18), (&wide, 2), (&wide, 18), (&wide, 70)]
            {
                let mut around = [&vec![9; begins][..], &bytes].concat();
                assert_eq!(cipher.open(nonce, &mut around, begins), Some(len), "{len} bytes from {begins}");
                assert_eq!(around[..len], plain[..len], "{len} bytes from {begins}");
            }
        }
    }

    #[test]
    fn neither_opens_what_was_changed_or_has_another_number() {
        let nonce = Suite::Aes.nonce(5);
        for cipher in both() {
            let bytes = sealed(&cipher, nonce, &[1; 200]);
            for at in 0..bytes.len() {
                let mut changed = bytes.clone();
                changed[at] ^= 1;
                assert_eq!(cipher.open(nonce, &mut changed, 0), None, "byte {at}");
            }
            assert_eq!(cipher.open(Suite::Aes.nonce(6), &mut bytes.clone(), 0), None);
            assert_eq!(cipher.open(nonce, &mut bytes[..bytes.len() - 1].to_vec(), 0), None);
            assert_eq!(cipher.open(nonce, &mut bytes[..MAX_TAG_LEN - 1].to_vec(), 0), None, "not even a tag");
            assert_eq!(cipher.open(nonce, &mut bytes.clone(), 0), Some(200));
        }
    }
}
