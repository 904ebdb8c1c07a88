//! Answers on standard output.

use std::io::{self, Write};

use serde::Serialize;

use super::Failure;

/// Writes one line and sends it off.
pub(super) fn line(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()?;
    Ok(())
}

/// Writes one JSON object on a line of its own and sends it off.
pub(super) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(value)
        .map_err(|error| Failure::other(format!("cannot write the answer as JSON: {error}")))?;
    line(&text)
}
