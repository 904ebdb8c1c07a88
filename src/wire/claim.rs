//! What a message claims of a content beside its id.

use super::from_tracker::Variant;
use super::to_tracker::Offer;
use crate::content::Claim;

impl Offer {
    /// What its sender claims.
    pub fn claim(&self) -> Claim {
        Claim { size: self.size, total: self.total, chunks: self.chunks, tree: self.name.ends_with('/') }
    }
}

impl Variant {
    /// What its holders claim.
    pub fn claim(&self) -> Claim {
        Claim { size: self.size, total: self.total, chunks: self.chunks, tree: self.name.ends_with('/') }
    }

    /// True if what its holders claim can be true.
    pub fn is_possible(&self) -> bool {
        self.claim().is_possible(&self.id)
    }
}

#[cfg(test)]
mod samples {
    use super::Variant;
    use crate::content::FileId;
    use crate::wire::{List, Name};

    impl Variant {
        /// A file of one byte that one peer has.
        pub(crate) fn sample(name: &str) -> Variant {
            Variant {
                name: Name::new(name),
                id: FileId::of(b"x"),
                size: 1,
                total: 1,
                chunks: 1,
                seeders: 1,
                leechers: 0,
                original: true,
                agreed: true,
                modified: 0,
                version: 0,
                code: None,
                holders: List::default(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holders_claim_of_a_name_is_possible_or_not() {
        let variant =
            |name: &str, size, chunks| Variant { size, total: size, chunks, ..Variant::sample(name) };
        assert!(variant("f", 70_000, 2).is_possible() && !variant("f", 70_000, 3).is_possible());
        assert!(variant("f/", 70_000, 3).is_possible(), "a tree's chunks are those of its files");
        let Claim { size, total, chunks, tree } = variant("f/", 70_000, 3).claim();
        assert_eq!((size, total, chunks, tree), (70_000, 70_000, 3, true));
    }
}
