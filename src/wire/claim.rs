//! What a message claims of a content beside its id.

use super::message::{Offer, Variant};
use crate::content::Claim;

impl Offer {
    /// What its sender claims.
    pub fn claim(&self) -> Claim {
        Claim { size: self.size, total: self.total, chunks: self.chunks }
    }
}

impl Variant {
    /// What its holders claim.
    pub fn claim(&self) -> Claim {
        Claim { size: self.size, total: self.total, chunks: self.chunks }
    }

    /// True if what its holders claim can be true.
    pub fn is_possible(&self) -> bool {
        self.claim().is_possible(&self.id, self.name.ends_with('/'))
    }
}
