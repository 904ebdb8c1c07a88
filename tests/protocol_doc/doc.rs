//! Reads `docs/PROTOCOL.md`: its sections, tables and blocks.

pub const DOC: &str = include_str!("../../docs/PROTOCOL.md");

/// The text from one heading to the next of the same or a higher level.
pub fn section(heading: &str) -> &'static str {
    let start = DOC.find(&format!("\n{heading}")).unwrap_or_else(|| panic!("no section {heading:?}")) + 1;
    let depth = heading.bytes().take_while(|byte| *byte == b'#').count();
    let ends = |line: &str| {
        let hashes = line.bytes().take_while(|byte| *byte == b'#').count();
        (1..=depth).contains(&hashes) && line.as_bytes().get(hashes) == Some(&b' ')
    };
    let mut end = start + DOC[start..].find('\n').expect("a line ends");
    let mut fenced = false;
    for line in DOC[end..].split_inclusive('\n') {
        fenced ^= line.starts_with("```");
        if !fenced && ends(line) {
            break;
        }
        end += line.len();
    }
    &DOC[start..end]
}

/// The cells of every row of every table in `text`, without code marks; heads and rules left out.
pub fn rows(text: &str) -> Vec<Vec<String>> {
    let lines: Vec<&str> = text.lines().collect();
    let is_row = |at: usize| lines.get(at).is_some_and(|line| line.starts_with('|'));
    let is_head = |at: usize| lines.get(at + 1).is_some_and(|line| line.starts_with("|--"));
    let is_rule = |at: usize| lines[at].starts_with("|--");
    let cells = |line: &str| {
        let line = line.trim().trim_start_matches('|').trim_end_matches('|');
        line.split('|').map(|cell| cell.trim().replace('`', "")).collect()
    };
    (0..lines.len())
        .filter(|at| is_row(*at) && !is_head(*at) && !is_rule(*at))
        .map(|at| cells(lines[at]))
        .collect()
}

/// The contents of every fenced block of a language in `text`.
pub fn blocks(text: &'static str, language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    let inside = |rest: &'static str| rest.split("```").next().unwrap_or_default();
    text.match_indices(&fence).map(|(at, _)| inside(&text[at + fence.len()..])).collect()
}

/// Hexadecimal digits as bytes; everything behind `#` is a comment.
pub fn unhex(text: &'static str) -> Vec<u8> {
    let bare = |line: &'static str| line.split('#').next().unwrap_or_default().split_whitespace();
    let digits: String = text.lines().flat_map(bare).collect();
    assert!(digits.len().is_multiple_of(2), "half a byte in {text}");
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal digits");
    (0..digits.len()).step_by(2).map(byte).collect()
}
