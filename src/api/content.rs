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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::content::code::Shape;
    use crate::content::{FileId, PeerId};
    use crate::wire::{Label, List, Name, Policy};

    const ID: FileId = FileId([0xab; 32]);

    fn entry(version: u32) -> Entry {
        Entry { name: Name::new("d/"), id: ID, size: 40, total: 5000, seeders: 2, leechers: 3, version }
    }

    /// What programs read: each number under its name, the size that of all files, no version where none is published.
    #[test]
    fn what_is_listed_has_the_size_of_all_files() {
        let id = "ab".repeat(32);
        let listed = |version| serde_json::to_value(Listed::from(&entry(version))).unwrap();
        let said = json!({"name": "d/", "id": id, "size": 5000, "seeders": 2, "leechers": 3, "version": 4});
        assert_eq!(listed(4), said);
        assert_eq!(listed(0)["version"], json!(null));
    }

    #[test]
    fn what_is_found_says_who_has_it_and_where_that_is_reached() {
        let address = |ip: &str, port| Address::new(ip.parse().unwrap(), port).unwrap();
        let holder = |addresses| Holder {
            peer: PeerId([1; 16]),
            name: Label::new("anna"),
            addresses: List::new(addresses),
            have: 5,
            uploads: 6,
            downloads: 7,
            original: true,
        };
        let holders = vec![holder(vec![address("10.0.0.1", 80), address("fd00::1", 81)]), holder(vec![])];
        let variant = Variant {
            name: Name::new("d/"),
            id: ID,
            size: 40,
            total: 5000,
            chunks: 9,
            seeders: 2,
            leechers: 3,
            original: false,
            agreed: true,
            modified: 8,
            version: 4,
            code: None,
            holders: List::new(holders),
        };
        let found = serde_json::to_value(Found::from(&variant)).unwrap();
        let peer = "01".repeat(16);
        let anna = json!({
            "peer": peer, "name": "anna", "address": "10.0.0.1:80", "addresses": ["10.0.0.1:80", "[fd00::1]:81"],
            "have": 5, "uploads": 6, "downloads": 7, "original": true,
        });
        assert_eq!(found["holders"][0], anna);
        assert_eq!(
            [&found["holders"][1]["address"], &found["holders"][1]["addresses"]],
            [&json!(null), &json!([])],
            "one that cannot be dialled"
        );
        let numbers = ["size", "chunks", "seeders", "leechers", "modified", "version"];
        assert_eq!(numbers.map(|number| found[number].as_u64()), [5000, 9, 2, 3, 8, 4].map(Some));
        assert_eq!((&found["original"], &found["id"]), (&json!(false), &json!("ab".repeat(32))));
    }

    #[test]
    fn a_version_says_how_it_is_kept() {
        let kept = |policy| {
            let version = Version {
                number: 3,
                id: ID,
                size: 40,
                total: 5000,
                chunks: 9,
                policy,
                stamp_ms: 77,
                publisher: Label::new("anna"),
            };
            let said = serde_json::to_value(PublishedVersion::new("d/", &version)).unwrap();
            let numbers = ["version", "size", "published_ms"].map(|number| said[number].as_u64());
            assert_eq!((numbers, &said["publisher"]), ([3, 5000, 77].map(Some), &json!("anna")));
            (said["copies"].as_u64(), said.get("code").cloned())
        };
        assert_eq!(kept(Policy::NONE), (Some(0), None));
        assert_eq!(kept(Policy::copies(1).unwrap()), (Some(1), None));
        assert_eq!(kept(Policy::copies(3).unwrap()), (Some(3), None));
        let coded = Policy::coded(Shape::new(4, 2).unwrap(), FileId([7; 32]), None);
        assert_eq!(kept(coded), (Some(1), Some(json!("4+2"))));
    }
}
