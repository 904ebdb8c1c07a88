//! Answers on standard output.

use serde::Serialize;

use crate::cli::failure::Failure;
use crate::content::misleads;
use crate::say;

/// Writes one line and sends it off. An answer that is not taken is a failure.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    Ok(say::answer(text)?)
}

/// Writes one JSON object on a line of its own and sends it off.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(value)
        .map_err(|error| Failure::other(format!("cannot write the answer as JSON: {error}")))?;
    line(&for_a_terminal(&text))
}

/// The same JSON, with nothing in it that a terminal would obey or that would mislead who reads it. Such characters
/// are in strings alone, where `\u` stands for them.
fn for_a_terminal(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if misleads(c) {
            out.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    out
}

/// Answers with one JSON object if that was asked for, else in words.
pub(crate) fn answer(
    json: bool,
    value: &impl Serialize,
    words: impl FnOnce() -> String,
) -> Result<(), Failure> {
    if json { self::json(value) } else { line(&words()) }
}

/// Answers with several things; between two in words is an empty line.
pub(crate) fn answers<T, V: Serialize>(
    json: bool,
    things: &[T],
    value: impl Fn(&T) -> V,
    words: impl Fn(&T) -> String,
) -> Result<(), Failure> {
    for (place, thing) in things.iter().enumerate() {
        let gap = if place > 0 { "\n" } else { "" };
        answer(json, &value(thing), || format!("{gap}{}", words(thing)))?;
    }
    Ok(())
}

/// Columns of the terminal that shows the answers, if it is one.
pub(crate) fn columns() -> Option<u16> {
    say::answer_columns()
}

/// Says that something which runs until it is stopped is ready. It does its work whether or not anybody
/// wants to know.
pub(crate) fn ready(text: &str) {
    if let Err(error) = say::answer(text) {
        tracing::warn!("cannot say on standard output that it is ready: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_says_the_same_and_a_terminal_is_safe_from_it() {
        for text in [
            "a\u{9b}31mb",
            "\u{7f}",
            "\u{202e}gpj.exe",
            "\u{61c}\u{2028}\u{2069}",
            "\x1b]0;t\x07\n",
            "ü \\ \" 写真",
        ] {
            let json = for_a_terminal(&serde_json::to_string(text).unwrap());
            assert!(!json.contains(misleads), "{json}");
            assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }
        assert_eq!(for_a_terminal("\"\u{9b}ü\""), "\"\\u009bü\"");
    }
}
