//! Whether a folder is worth being coded. Pure.
//!
//! Of each member the last chunk is filled up to the size of the largest chunks of all, and parity is worked out of that. So of
//! many small files it may be as large as copies of them are, which are read without it.

use super::stripes::{Shape, Stripes};
use crate::content::Layout;

/// Why a folder is kept as copies, though a code was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Plain {
    /// It has too few chunks.
    #[error("it is too small for a code {0}")]
    Small(Shape),
    /// As many may be lost as have data: nobody would know then what is in it.
    #[error("a folder needs a code of which more shards are data than parity")]
    Even,
    /// The parity would be no smaller than the copies.
    #[error("its files are so small that the parity of a code {shape} would be no smaller than copies")]
    Dear {
        /// The code.
        shape: Shape,
        /// Bytes of the parity.
        parity: u64,
        /// Bytes of all copies but one.
        copies: u64,
    },
}

/// How the members of a folder are coded.
///
/// # Errors
/// [`Plain`]: copies that survive the same losses are better.
pub fn of_folder(shape: Shape, members: &Layout) -> Result<Stripes, Plain> {
    if shape.k() <= shape.m() {
        return Err(Plain::Even);
    }
    let stripes = Stripes::of_members(shape, members.chunks(), members.size_of_chunks());
    let stripes = stripes.ok_or(Plain::Small(shape))?;
    let (parity, copies) = (stripes.parity().size(), members.size() * u64::from(shape.m()));
    if parity < copies { Ok(stripes) } else { Err(Plain::Dear { shape, parity, copies }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Geometry;

    const KIB: u64 = 1 << 10;

    fn folder(k: u8, m: u8, sizes: &[u64]) -> Result<u64, Plain> {
        let members = Layout::new(sizes.iter().filter_map(|size| Geometry::of(*size)).collect()).unwrap();
        of_folder(Shape::new(k, m).unwrap(), &members).map(|stripes| stripes.parity().size() / KIB)
    }

    #[test]
    fn large_files_are_coded_and_small_ones_are_not() {
        assert_eq!(folder(4, 2, &[32 * KIB * KIB; 8]), Ok(128 * KIB), "half of it");
        assert_eq!(folder(4, 2, &[17 * KIB; 640]), Ok(640 * 32), "and copies twice 17 of each");
        let shape = Shape::new(4, 2).unwrap();
        let dear = Plain::Dear { shape, parity: 640 * 32 * KIB, copies: 640 * 32 * KIB };
        assert_eq!(folder(4, 2, &[16 * KIB; 640]), Err(dear), "what costs the same is read without a code");
        // One large file makes the chunks of all of them large.
        let mut sizes = vec![100 * KIB; 640];
        assert!(folder(4, 2, &sizes).is_ok());
        sizes.push(1 << 33);
        assert_eq!(folder(4, 2, &sizes).map(|parity| parity > 4 * KIB * KIB), Ok(true));
        sizes.extend([100 * KIB; 40_000]);
        assert!(matches!(folder(4, 2, &sizes), Err(Plain::Dear { .. })));
    }

    #[test]
    fn what_is_too_small_or_has_no_more_data_than_parity_is_not_coded() {
        let shape = Shape::new(4, 2).unwrap();
        assert_eq!(folder(4, 2, &[64 * KIB, 128 * KIB]), Err(Plain::Small(shape)));
        assert_eq!(folder(4, 2, &[]), Err(Plain::Small(shape)));
        assert_eq!(folder(2, 2, &[32 * KIB * KIB; 8]), Err(Plain::Even));
    }
}
