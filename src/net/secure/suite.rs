//! The two suites of closed swarms: which ciphers a connection uses.

use ring::aead::NONCE_LEN;

/// A record's nonce.
pub(super) type Nonce = [u8; NONCE_LEN];

/// What seals a connection; the dialler chooses, and both sides speak both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suite {
    /// AES-256-GCM: fast where the processor has AES.
    Aes,
    /// ChaCha20-Poly1305: fast everywhere else.
    ChaCha,
}

impl Suite {
    /// All of them.
    pub const ALL: [Suite; 2] = [Suite::Aes, Suite::ChaCha];

    /// The faster one on this machine.
    pub fn best() -> Suite {
        if has_aes() { Suite::Aes } else { Suite::ChaCha }
    }

    /// The suite of a preface's mode, if it is one's.
    pub fn of_mode(mode: u8) -> Option<Suite> {
        Suite::ALL.into_iter().find(|suite| suite.mode() == mode)
    }

    /// Its mode in the preface.
    pub fn mode(self) -> u8 {
        match self {
            Suite::Aes => 1,
            Suite::ChaCha => 2,
        }
    }

    /// Its name as Noise has it (<https://noiseprotocol.org/noise.html>, section 8).
    pub fn noise(self) -> &'static str {
        match self {
            Suite::Aes => "Noise_XXpsk0_25519_AESGCM_SHA256",
            Suite::ChaCha => "Noise_XXpsk0_25519_ChaChaPoly_SHA256",
        }
    }

    /// The nonce of a record by its number (Noise, sections 12.3 and 12.4).
    pub(super) fn nonce(self, number: u64) -> Nonce {
        let number = match self {
            Suite::Aes => number.to_be_bytes(),
            Suite::ChaCha => number.to_le_bytes(),
        };
        let mut nonce = [0; NONCE_LEN];
        nonce[4..].copy_from_slice(&number);
        nonce
    }
}

#[cfg(target_arch = "x86_64")]
fn has_aes() -> bool {
    std::arch::is_x86_feature_detected!("aes") && std::arch::is_x86_feature_detected!("pclmulqdq")
}

#[cfg(target_arch = "aarch64")]
fn has_aes() -> bool {
    std::arch::is_aarch64_feature_detected!("aes")
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn has_aes() -> bool {
    false
}
