//! Several trackers as one, as their clients see them: what they were told is held against what could have been.

mod checked;
mod clients;
mod history;
mod linear;
mod names;
#[path = "../namespaces/mod.rs"]
mod namespaces;
mod pace;
mod returning;
mod size;
mod storm;
#[path = "../support/mod.rs"]
mod support;
mod trackers;
