//! Keys as people see and type them: Crockford's base32, which has no letters that look like digits.
//!
//! <https://www.crockford.com/base32.html>: small letters, `I` and `L` for 1, `O` for 0, and hyphens anywhere are read, too.

use std::sync::LazyLock;

use data_encoding::{Encoding, Specification};
use zeroize::Zeroizing;

static CROCKFORD: LazyLock<Encoding> = LazyLock::new(|| {
    let mut how = Specification::new();
    how.symbols.push_str("0123456789ABCDEFGHJKMNPQRSTVWXYZ");
    how.translate.from.push_str("abcdefghjkmnpqrstvwxyzIiLlOo");
    how.translate.to.push_str("ABCDEFGHJKMNPQRSTVWXYZ111100");
    how.ignore.push('-');
    how.encoding().unwrap_or(data_encoding::BASE32) // a constant that the tests read
});

/// The bytes as capital letters and digits, eight for five bytes.
pub fn encode(bytes: &[u8]) -> Zeroizing<String> {
    Zeroizing::new(CROCKFORD.encode(bytes))
}

/// The bytes that a text stands for; none if it stands for none.
pub fn decode(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    CROCKFORD.decode(text.as_bytes()).ok().map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_capital_letters_and_digits_and_read_back_however_they_are_typed() {
        let bytes = [0x00, 0x44, 0x32, 0x14, 0xc7];
        assert_eq!([&*encode(&bytes), &encode(&[0xff]), &encode(&[])], ["01234567", "ZW", ""]);
        for typed in ["01234567", "0123-4567-", "OI234567", "oL234567", "0i234567"] {
            assert_eq!(decode(typed).as_deref().map(Vec::as_slice), Some(&bytes[..]), "{typed}");
        }
        assert_eq!(decode("zw").as_deref(), decode("ZW").as_deref());
        for wrong in ["u", "0", "ZZ", "ü", "01234567 ", "0123456="] {
            assert!(decode(wrong).is_none(), "{wrong}");
        }
    }
}
