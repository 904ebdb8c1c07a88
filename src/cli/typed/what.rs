//! WHAT: the ways to say which content is meant.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::cli::failure::{Failure, reason};
use crate::cli::typed::options::DEFAULT_TRACKER;
use crate::content::{Descriptor, FileId, Link, SafeName, is_pattern, shown};
use crate::wire::Variant;

/// Before a text that is a name, whatever it looks like.
const NAME: &str = "name:";
/// What a link begins with.
const LINK: &str = "p2p:";
/// Before a text that is an id.
const ID: &str = "id:";

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    /// By name.
    Name(SafeName),
    /// By id.
    Id(FileId),
    /// By link or descriptor, which say that somebody has it and may name trackers.
    Link(Link),
}

impl What {
    /// Understands WHAT: what is said to be a name or an id, a link, an id, a descriptor file, or else a name.
    pub(crate) fn parse(text: &str) -> Result<What, Failure> {
        if let Some(name) = text.strip_prefix(NAME) {
            return SafeName::new(name)
                .map(What::Name)
                .map_err(|error| Failure::usage(format!("`{}` is no name: {error}", shown(name))));
        }
        if let Some(id) = text.strip_prefix(ID) {
            return id.parse().map(What::Id).map_err(|_| {
                Failure::usage(format!(
                    "`{}` is no id, which has 64 hexadecimal digits, nor the first {} or more of one",
                    shown(id),
                    FileId::MIN_SHORT_DIGITS
                ))
            });
        }
        if text.starts_with(LINK) {
            let link = text.parse();
            return link
                .map(What::Link)
                .map_err(|error| Failure::usage(format!("`{}` is not a link: {error}", shown(text))));
        }
        if let Ok(id) = text.parse() {
            return Ok(What::Id(id));
        }
        let path = Path::new(text);
        if path.extension().is_some_and(|extension| extension == Descriptor::EXTENSION) && path.is_file() {
            return descriptor(path).map(What::Link);
        }
        SafeName::new(text).map(What::Name).map_err(|error| {
            Failure::usage(format!(
                "`{}` is no name: {error}; give a name, an id, a p2p: link or a NAME.p2p file",
                shown(text)
            ))
        })
    }

    /// The link's trackers, then those of the configuration; the default only if there is no other.
    pub(crate) fn trackers(&self, configured: &[String]) -> Vec<String> {
        let mut all = match self {
            What::Link(link) => link.trackers.clone(),
            _ => Vec::new(),
        };
        if !all.is_empty() && configured == [DEFAULT_TRACKER] {
            return all;
        }
        for tracker in configured {
            if !all.contains(tracker) {
                all.push(tracker.clone());
            }
        }
        all
    }

    /// How it is called in sentences.
    pub(crate) fn label(&self) -> String {
        match self {
            What::Name(name) => name.to_string(),
            What::Id(id) => id.to_string(),
            What::Link(link) => link.name.as_ref().map_or_else(|| link.id.to_string(), ToString::to_string),
        }
    }

    /// Bytes of all its files, where a link says so.
    pub(crate) fn size(&self) -> Option<u64> {
        match self {
            What::Link(link) => link.size,
            What::Name(_) | What::Id(_) => None,
        }
    }

    /// True if the variant has the size that is wanted: nothing else is tried.
    pub(crate) fn has_size(&self, variant: &Variant) -> bool {
        let total = if variant.name.ends_with('/') { variant.total } else { variant.size };
        self.size().is_none_or(|size| size == total)
    }
}

/// True of a text that does not say itself whether it is a name, an id or a link.
pub(crate) fn is_plain(text: &str) -> bool {
    ![NAME, ID, LINK].iter().any(|start| text.starts_with(start))
}

/// What is said to be an id, if it is the beginning of one.
pub(crate) fn short_id(text: &str) -> Option<&str> {
    text.strip_prefix(ID).filter(|id| FileId::may_begin_with(id))
}

/// A name as it can be typed: with `name:` before it if it looks like something else.
pub(crate) fn typed(name: &str) -> String {
    let looks_otherwise = !is_plain(name)
        || is_pattern(name)
        || name.parse::<FileId>().is_ok()
        || Path::new(name).extension().is_some_and(|extension| extension == Descriptor::EXTENSION);
    format!("{}{}", if looks_otherwise { NAME } else { "" }, shown(name))
}

fn descriptor(path: &Path) -> Result<Link, Failure> {
    let failed = |what: String| Failure::usage(format!("`{}` is not a descriptor: {what}", path.display()));
    let mut text = String::new();
    let read =
        File::open(path).and_then(|file| file.take(Descriptor::MAX_BYTES + 1).read_to_string(&mut text));
    match read {
        Ok(bytes) if bytes as u64 > Descriptor::MAX_BYTES => Err(failed("it is too large".into())),
        Ok(_) => Descriptor::parse(&text).map_err(|error| failed(error.to_string())),
        Err(error) => Err(failed(reason(&error))),
    }
}

/// The name as that of a folder or of a file.
pub(crate) fn as_kind(name: &SafeName, tree: bool) -> Result<SafeName, Failure> {
    let end = if tree { "/" } else { "" };
    SafeName::new(format!("{}{end}", name.path()))
        .map_err(|error| Failure::usage(format!("`{name}` is no name: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Exit;

    #[test]
    fn what_can_be_said_in_many_ways() {
        let id = FileId::of(b"x");
        assert_eq!(What::parse(&id.to_string()).unwrap(), What::Id(id));
        assert!(matches!(What::parse(&format!("p2p:{id}")).unwrap(), What::Link(link) if link.id == id));
        assert!(matches!(What::parse("photos/").unwrap(), What::Name(name) if name.is_tree()));
        for bad in ["", "../x", "/etc", "p2p:12", "./photos"] {
            assert_eq!(What::parse(bad).unwrap_err().exit, Exit::Usage, "{bad:?}");
        }
    }

    #[test]
    fn a_name_can_look_like_anything() {
        let id = FileId::of(b"x").to_string();
        assert_eq!(What::parse(&format!("id:{id}")).unwrap(), What::Id(FileId::of(b"x")));
        assert_eq!(What::parse("id:x").unwrap_err().exit, Exit::Usage);
        assert_eq!((short_id("id:4662aad9"), short_id("4662aad9")), (Some("4662aad9"), None));
        assert_eq!((short_id("id:466"), short_id(&format!("id:{id}"))), (None, None));
        assert_eq!(What::parse("name:../x").unwrap_err().exit, Exit::Usage);
        for name in [&*id, "p2p:x", "name:x", "id:x", "x.p2p", "a*"] {
            let what = What::parse(&typed(name)).unwrap();
            assert_eq!(what, What::Name(SafeName::new(name).unwrap()), "{name}");
            assert_ne!(typed(name), name);
        }
        assert_eq!(typed("photos/a"), "photos/a");
    }

    #[test]
    fn a_links_trackers_come_first_and_once() {
        let link = format!("p2p:{}?tracker=a:1&tracker=b:2", FileId::of(b"x"));
        let what = What::parse(&link).unwrap();
        assert_eq!(what.trackers(&["b:2".into(), "c:3".into()]), ["a:1", "b:2", "c:3"]);
        assert_eq!(what.trackers(&[DEFAULT_TRACKER.into()]), ["a:1", "b:2"]);
    }
}
