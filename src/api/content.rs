//! What is said of contents: what is listed, who has it, what is on record.

use serde::{Deserialize, Serialize};

use crate::content::Address;
use crate::wire::{Entry, Holder, Variant, Version};

/// One name and the content that it stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// The name; a tree's ends with `/`.
    pub name: String,
    /// The content's id.
    pub id: String,
    /// Bytes of all files.
    pub size: u64,
    /// Peers that have all of it.
    pub seeders: u32,
    /// Peers that have a part.
    pub leechers: u32,
    /// The latest version, if the name is published.
    pub version: Option<u32>,
}

impl From<&Entry> for Listed {
    fn from(entry: &Entry) -> Listed {
        Listed {
            name: entry.name.to_string(),
            id: entry.id.to_string(),
            size: entry.total,
            seeders: entry.seeders,
            leechers: entry.leechers,
            version: (entry.version != 0).then_some(entry.version),
        }
    }
}

/// One content under a name, and who has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// The name; a tree's ends with `/`.
    pub name: String,
    /// The content's id.
    pub id: String,
    /// Bytes of all files.
    pub size: u64,
    /// Chunks of it.
    pub chunks: u32,
    /// Peers that have all of it.
    pub seeders: u32,
    /// Peers that have a part.
    pub leechers: u32,
    /// True if somebody put it there; false if all who have it have fetched it.
    pub original: bool,
    /// When it was last changed, in seconds since 1970; 0 if nobody says.
    pub modified: u64,
    /// The version, if the name is published and this is its latest.
    pub version: Option<u32>,
    /// Some of those who have it.
    pub holders: Vec<HolderReport>,
}

/// Who has some of a content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HolderReport {
    /// The peer's id.
    pub peer: String,
    /// Its name.
    pub name: String,
    /// `host:port`, or nothing if it cannot be dialled.
    pub address: Option<String>,
    /// Where to dial it, those to be tried first in front.
    pub addresses: Vec<String>,
    /// Chunks it has.
    pub have: u32,
    /// Uploads it serves now.
    pub uploads: u16,
    /// Downloads it runs now.
    pub downloads: u16,
    /// True if its user put it there; false if it was fetched.
    pub original: bool,
}

impl From<&Variant> for Found {
    fn from(variant: &Variant) -> Found {
        Found {
            name: variant.name.to_string(),
            id: variant.id.to_string(),
            size: variant.total,
            chunks: variant.chunks,
            seeders: variant.seeders,
            leechers: variant.leechers,
            original: variant.original,
            modified: variant.modified,
            version: (variant.version != 0).then_some(variant.version),
            holders: variant.holders.iter().map(HolderReport::from).collect(),
        }
    }
}

impl From<&Holder> for HolderReport {
    fn from(holder: &Holder) -> HolderReport {
        HolderReport {
            peer: holder.peer.to_string(),
            name: holder.name.to_string(),
            address: holder.addresses.first().map(Address::to_string),
            addresses: holder.addresses.iter().map(Address::to_string).collect(),
            have: holder.have,
            uploads: holder.uploads,
            downloads: holder.downloads,
            original: holder.original,
        }
    }
}

/// One version on record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedVersion {
    /// The name.
    pub name: String,
    /// Its number.
    pub version: u32,
    /// The content's id.
    pub id: String,
    /// Bytes of all files.
    pub size: u64,
    /// How many stores keep each part of it; 0 if none promised to, 1 if it is kept as a code.
    pub copies: u8,
    /// The code that it is kept by, as `4+2`; none if it is kept as copies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// When it was published, in milliseconds since 1970.
    pub published_ms: u64,
    /// Who published it.
    pub publisher: String,
}

impl PublishedVersion {
    /// From what is on record under `name`.
    pub fn new(name: &str, version: &Version) -> PublishedVersion {
        PublishedVersion {
            name: name.to_owned(),
            version: version.number,
            id: version.id.to_string(),
            size: version.total,
            copies: match version.policy.coding() {
                Some(_) => 1,
                None if version.policy.promises() => version.policy.m() + 1,
                None => 0,
            },
            code: version.policy.coding().map(|coding| coding.shape.to_string()),
            published_ms: version.stamp_ms,
            publisher: version.publisher.to_string(),
        }
    }
}
