//! What the numbers of the directory's rows are of: a type for each table, because the tables point at each other.

use crate::tracker::tables::slab::Row;

/// Stands for the peers.
#[derive(Debug)]
pub(super) enum Peers {}

/// Stands for the contents.
#[derive(Debug)]
pub(super) enum Contents {}

/// Stands for the pairs of name and content.
#[derive(Debug)]
pub(super) enum Pairs {}

pub(super) type PeerRow = Row<Peers>;
pub(super) type ContentRow = Row<Contents>;
pub(super) type PairRow = Row<Pairs>;
