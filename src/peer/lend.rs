//! Lending space to others: what a store keeps.

pub mod vault;
