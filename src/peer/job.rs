//! Fetches: what is sought, the thread that sees it to its end, and how far each is for others to see.

mod after;
mod contest;
mod decode;
mod dialled;
mod driver;
mod error;
mod handle;
mod here;
mod jobs;
mod landing;
mod means;
mod older;
mod running;
mod settle;
mod succession;
mod want;

pub(super) use decode::{Decoder, Decoding};
pub(super) use dialled::{Gate, came};
pub use error::FetchError;
pub use handle::Job;
pub(super) use jobs::Jobs;
pub(super) use means::Means;
#[cfg(test)]
pub(super) use means::alone;
pub(super) use running::start;
pub use want::{Dest, Want};
