//! Answers on standard output.

use serde::Serialize;

use crate::cli::failure::Failure;
use crate::say;

/// Writes one line and sends it off. An answer that is not taken is a failure.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    Ok(say::answer(text)?)
}

/// Writes one JSON object on a line of its own and sends it off.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(value)
        .map_err(|error| Failure::other(format!("cannot write the answer as JSON: {error}")))?;
    line(&text)
}

/// Says that something which runs until it is stopped is ready. It does its work whether or not anybody
/// wants to know.
pub(crate) fn ready(text: &str) {
    if let Err(error) = say::answer(text) {
        tracing::warn!("cannot say on standard output that it is ready: {error}");
    }
}
