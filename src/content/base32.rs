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
