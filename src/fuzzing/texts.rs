//! What people hand each other as text: names, links, descriptors, the configuration file, keys.

use std::path::{Component, Path};

use crate::cli;
use crate::content::{Descriptor, Link, SafeName};
use crate::peer::Latencies;

/// A name that passes goes down, part by part, whatever the system makes of it.
pub(super) fn name(bytes: &[u8], _: &Path) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(name) = SafeName::new(text) else { return };
    assert_eq!(name.as_str(), text);
    assert!(name.as_str().len() <= SafeName::MAX_BYTES && !text.contains('\0'));
    let parts: Vec<_> = Path::new(name.path()).components().collect();
    assert!(!parts.is_empty() && parts.iter().all(|part| matches!(part, Component::Normal(_))), "{text:?}");
    assert_eq!(parts.len(), name.path().split('/').count());
    assert_eq!(parts.last(), Some(&Component::Normal(name.base().as_ref())));
    assert!(parts.iter().all(|part| part.as_os_str() != SafeName::STATE_FOLDER));
    assert!(!name.to_string().contains(char::is_control), "a terminal is safe from it");
}

/// A link that is understood reads back from what is written for it.
pub(super) fn link(bytes: &[u8], _: &Path) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(link) = text.parse::<Link>() else { return };
    let written = link.to_string();
    assert_eq!(written.parse(), Ok(link), "{written}");
    assert!(!written.contains(|c: char| c.is_control() || c == ' '), "{written:?} can be pasted");
}

/// The same for a descriptor.
pub(super) fn descriptor(bytes: &[u8], _: &Path) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(link) = Descriptor::parse(text) else { return };
    let written = Descriptor::new(&link, link.size.unwrap_or(0)).to_string();
    assert_eq!(Descriptor::parse(&written), Ok(link), "{written}");
}

/// A configuration file is taken or refused in one sentence.
pub(super) fn config(bytes: &[u8], _: &Path) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Err(sentence) = cli::check_config(text) {
        assert!(!sentence.is_empty() && !sentence.contains('\n'), "{sentence:?} is one line");
    }
}

/// A link to join by that is understood reads back from what is written for it; else it is refused in one line that shows
/// nothing of it.
pub(super) fn join_link(bytes: &[u8], _: &Path) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Err(sentence) = cli::check_join_link(text) {
        assert!(!sentence.is_empty() && !sentence.contains('\n'), "{sentence:?} is one line");
    }
}

/// The same for a file of keys.
pub(super) fn swarm_file(bytes: &[u8], _: &Path) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Err(sentence) = cli::check_swarm_file(text) {
        assert!(!sentence.is_empty() && !sentence.contains('\n'), "{sentence:?} is one line");
    }
}

/// So is a file of latencies.
pub(super) fn latencies(bytes: &[u8], _: &Path) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Err(error) = Latencies::parse(text) {
        assert!(!error.to_string().is_empty());
    }
}
