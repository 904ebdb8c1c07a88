//! What a message claims of a content beside its id.

use super::tracker::{Offer, Variant};
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
