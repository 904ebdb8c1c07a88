//! Which source may be asked for whichever chunk it thinks best.

use crate::content::{ChunkSet, PeerId};

/// True if a source that comes now, a connection to `peer` that has `have`, may choose: it is whole, and of the others,
/// each told by its peer and whether it was whole when it came, none is whole but of the same peer. Two that choose
/// would choose the same chunks.
pub(crate) fn may_choose(
    peer: PeerId,
    have: &ChunkSet,
    mut others: impl Iterator<Item = (PeerId, bool)>,
) -> bool {
    have.is_full() && others.all(|(other, whole)| other == peer || !whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_whole_peer_may() {
        let (me, other) = (PeerId([1; 16]), PeerId([2; 16]));
        let (whole, part) = (ChunkSet::full(2), ChunkSet::empty(2));
        assert!(may_choose(me, &whole, std::iter::empty()));
        assert!(!may_choose(me, &part, std::iter::empty()));
        assert!(may_choose(me, &whole, [(other, false), (me, true)].into_iter()));
        assert!(!may_choose(me, &whole, [(me, true), (other, true)].into_iter()));
    }
}
