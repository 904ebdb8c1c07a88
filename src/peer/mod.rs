//! A peer: shares a folder, serves chunks, fetches files.

pub mod share;
