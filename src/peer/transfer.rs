//! One content on its way here.
//!
//! `underway` is the transfer: what is known of its `sources` and what they are asked for, the chunks that come in
//! (`intake`, by their `proofs`), who hears of them (`follower`) and its `end`; `shown` is what people see of it. `connection` is the thread of one
//! source, from `opening` on; what may be asked for at a time goes through an `inlet`; `link` is what others see of it,
//! `requests` what it asks for, and `untold` what it asks anew.

pub(super) mod connection;
mod end;
mod follower;
mod inlet;
mod intake;
mod landing;
mod ledger;
mod link;
pub(super) mod manifest;
mod opening;
mod outcome;
pub(super) mod probe;
mod proofs;
mod requests;
mod shown;
mod sources;
mod status;
mod underway;
mod untold;

pub(super) use end::End;
pub(super) use follower::Follower;
pub(super) use inlet::Inlet;
pub(super) use landing::{Hold, Landing, Lying};
pub(super) use outcome::FetchEnd;
pub(super) use underway::Transfer;
#[cfg(test)]
pub(super) use underway::tests::transfer as of_one_byte;

#[cfg(test)]
mod tests;
