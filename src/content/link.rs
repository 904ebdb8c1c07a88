//! The two ways to hand a content to somebody: a `p2p:` link and a `NAME.p2p` descriptor.

use std::fmt;
use std::str::FromStr;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Serialize};

use super::endpoint::Endpoint;
use super::id::{FileId, IdError};
use super::name::{NameError, SafeName};

const SCHEME: &str = "p2p:";
/// What must not stand bare in the value of a query.
const VALUE: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'&')
    .add(b'\'')
    .add(b'+')
    .add(b'<')
    .add(b'>')
    .add(b'=');

/// A content and where to ask for it: `p2p:<id>?name=…&size=…&tracker=host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The content.
    pub id: FileId,
    /// Its name; a tree's ends with `/`.
    pub name: Option<SafeName>,
    /// Bytes of all its files.
    pub size: Option<u64>,
    /// Trackers to ask, `host:port`.
    pub trackers: Vec<String>,
}

/// Why a text is not a link or descriptor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// It does not start with `p2p:`.
    #[error("a link starts with `{SCHEME}`")]
    Scheme,
    /// The id is not one.
    #[error(transparent)]
    Id(#[from] IdError),
    /// The name is not safe.
    #[error("the name is refused: {0}")]
    Name(#[from] NameError),
    /// The size is not a number.
    #[error("the size is not a number of bytes")]
    Size,
    /// No content of this size has this id.
    #[error("no file of that size has that id")]
    Impossible,
    /// A tracker is not `HOST:PORT`.
    #[error("a tracker in it is not HOST:PORT")]
    Tracker,
    /// A value is not UTF-8 after decoding.
    #[error("a value is not UTF-8")]
    NotUtf8,
    /// The descriptor is not the TOML it should be.
    #[error("the descriptor is not valid: {0}")]
    Toml(String),
    /// The descriptor is of a version not known here.
    #[error("descriptor version {0} is not supported")]
    Version(u32),
}

impl Link {
    /// The link, unless what strangers wrote into it cannot be.
    fn checked(self) -> Result<Link, LinkError> {
        // All files of a tree can be empty, though its listing is not; without a name it may be one.
        let file = self.name.as_ref().is_some_and(|name| !name.is_tree());
        let possible = |size| self.id.can_be_of(size) || (size == 0 && !file);
        if !self.size.is_none_or(possible) {
            return Err(LinkError::Impossible);
        }
        match self.trackers.iter().all(|tracker| tracker.parse::<Endpoint>().is_ok()) {
            true => Ok(self),
            false => Err(LinkError::Tracker),
        }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}", self.id)?;
        let mut separator = '?';
        let mut pair = |f: &mut fmt::Formatter<'_>, key: &str, value: &str| {
            let written = write!(f, "{separator}{key}={}", utf8_percent_encode(value, VALUE));
            separator = '&';
            written
        };
        if let Some(name) = &self.name {
            pair(f, "name", name.as_str())?;
        }
        if let Some(size) = self.size {
            pair(f, "size", &size.to_string())?;
        }
        self.trackers.iter().try_for_each(|tracker| pair(f, "tracker", tracker))
    }
}

impl FromStr for Link {
    type Err = LinkError;

    /// Unknown keys are ignored, so that later versions can add some.
    fn from_str(text: &str) -> Result<Link, LinkError> {
        let rest = text.strip_prefix(SCHEME).ok_or(LinkError::Scheme)?;
        let (id, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut link = Link { id: id.parse()?, name: None, size: None, trackers: Vec::new() };
        for (key, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            let value = percent_decode_str(value).decode_utf8().map_err(|_| LinkError::NotUtf8)?;
            match key {
                "name" => link.name = Some(SafeName::new(value)?),
                "size" => link.size = Some(value.parse().map_err(|_| LinkError::Size)?),
                "tracker" => link.trackers.push(value.into_owned()),
                _ => {}
            }
        }
        link.checked()
    }
}

/// The text of a `NAME.p2p` file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Descriptor {
    version: u32,
    name: String,
    size: u64,
    id: String,
    trackers: Vec<String>,
}

impl Descriptor {
    /// What descriptor files' names end with.
    pub const EXTENSION: &str = "p2p";
    /// Most bytes of a descriptor.
    pub const MAX_BYTES: u64 = 64 << 10;
    const VERSION: u32 = 1;

    /// The descriptor that says the same as `link`, whose files have `size` bytes; a missing name becomes the id.
    pub fn new(link: &Link, size: u64) -> Descriptor {
        Descriptor {
            version: Descriptor::VERSION,
            name: link.name.as_ref().map_or_else(|| link.id.to_string(), |name| name.as_str().to_owned()),
            size,
            id: link.id.to_string(),
            trackers: link.trackers.clone(),
        }
    }

    /// Reads a descriptor as the link that says the same.
    ///
    /// # Errors
    /// [`LinkError`] says what is wrong with it.
    pub fn parse(text: &str) -> Result<Link, LinkError> {
        let descriptor: Descriptor =
            toml::from_str(text).map_err(|error| LinkError::Toml(error.message().to_owned()))?;
        if descriptor.version != Descriptor::VERSION {
            return Err(LinkError::Version(descriptor.version));
        }
        let link = Link {
            id: descriptor.id.parse()?,
            name: Some(SafeName::new(descriptor.name)?),
            size: Some(descriptor.size),
            trackers: descriptor.trackers,
        };
        link.checked()
    }
}

impl fmt::Display for Descriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&toml::to_string(self).map_err(|_| fmt::Error)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link() -> Link {
        Link {
            id: FileId::of(b"x"),
            name: Some(SafeName::new("a b/50% ü&=?#\n.txt").unwrap()),
            size: Some(7),
            trackers: vec!["host:9700".into(), "[::1]:1".into()],
        }
    }

    #[test]
    fn a_link_reads_back() {
        assert_eq!(link().to_string().parse(), Ok(link()));
        assert!(!link().to_string().contains([' ', '\n']));
    }

    #[test]
    fn a_descriptor_reads_back() {
        let text = Descriptor::new(&link(), 7).to_string();
        assert_eq!(Descriptor::parse(&text), Ok(link()));
    }

    #[test]
    fn refuses_bad_links() {
        assert_eq!("http:x".parse::<Link>(), Err(LinkError::Scheme));
        assert_eq!("p2p:12".parse::<Link>(), Err(LinkError::Id(IdError)));
        let id = FileId::of(b"x");
        let name = format!("p2p:{id}?name=../x").parse::<Link>();
        assert_eq!(name, Err(LinkError::Name(NameError::Dots)));
        assert_eq!(format!("p2p:{id}?size=-1").parse::<Link>(), Err(LinkError::Size));
        for tracker in ["", "a", "a%00b:1", "a%1b[2J:1", "a b:1", "a:x"] {
            let link = format!("p2p:{id}?tracker={tracker}").parse::<Link>();
            assert_eq!(link, Err(LinkError::Tracker), "{tracker}");
        }
    }

    #[test]
    fn a_size_that_no_content_of_the_id_has_is_refused() {
        let (id, nothing) = (FileId::of(b"x"), FileId::NOTHING);
        for bad in [format!("p2p:{id}?name=a&size=0"), format!("p2p:{nothing}?size=1")] {
            assert_eq!(bad.parse::<Link>(), Err(LinkError::Impossible), "{bad}");
        }
        for good in [format!("p2p:{id}?name=a/&size=0"), format!("p2p:{nothing}?name=a&size=0")] {
            assert!(good.parse::<Link>().is_ok(), "{good}");
        }
        let lie = Link { size: Some(0), name: Some(SafeName::new("a").unwrap()), ..link() };
        assert_eq!(Descriptor::parse(&Descriptor::new(&lie, 0).to_string()), Err(LinkError::Impossible));
    }

    #[test]
    fn the_longest_name_and_many_trackers_fit_into_a_descriptor() {
        // A control character takes six bytes there.
        let parts = vec!["\u{1}".repeat(SafeName::MAX_PART_BYTES); SafeName::MAX_BYTES.div_ceil(256)];
        let name = SafeName::new(&parts.join("/")[..SafeName::MAX_BYTES - 1]).unwrap();
        let trackers = (0..16).map(|nth| format!("{}:{nth}", "a".repeat(255))).collect();
        let link = Link { name: Some(name), trackers, ..link() };
        let text = Descriptor::new(&link, 7).to_string();
        assert!(text.len() as u64 <= Descriptor::MAX_BYTES, "{} bytes", text.len());
        assert_eq!(Descriptor::parse(&text), Ok(link));
    }

    #[test]
    fn a_descriptor_of_another_version_or_with_more_in_it_is_refused() {
        let text = Descriptor::new(&link(), 7).to_string();
        let later = text.replacen("version = 1", "version = 2", 1);
        assert_eq!(Descriptor::parse(&later), Err(LinkError::Version(2)));
        let more = Descriptor::parse(&format!("more = 1\n{text}"));
        assert!(matches!(more, Err(LinkError::Toml(_))), "{more:?}");
        assert!(matches!(Descriptor::parse("version = 1"), Err(LinkError::Toml(_))));
    }

    #[test]
    fn of_a_link_what_is_not_known_is_passed_over_and_what_is_no_text_refused() {
        let id = FileId::of(b"x");
        let read = |query: &str| format!("p2p:{id}?{query}").parse::<Link>();
        let bare = Link { id, name: None, size: None, trackers: Vec::new() };
        assert_eq!((read("later=1&x"), bare.to_string()), (Ok(bare), format!("p2p:{id}")));
        assert_eq!(read("name=%ff"), Err(LinkError::NotUtf8));
        assert_eq!(read("size=1&size=2").map(|link| link.size), Ok(Some(2)), "the last one counts");
        assert_eq!(read("size=18446744073709551616"), Err(LinkError::Size));
    }
}
