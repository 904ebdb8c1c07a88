//! Who is in a closed swarm.

use serde::{Deserialize, Serialize};

use crate::content::PublicKey;
use crate::wire::{MemberInfo, MemberRole};

/// A member of a closed swarm: a key in its roster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolled {
    /// What it is called.
    pub name: String,
    /// Its public key.
    pub key: String,
    /// `reader`, `publisher`, `admin` or `tracker`.
    pub role: String,
    /// Of a publisher: how the names begin that it may give; empty for any.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prefix: String,
    /// The key of who invited or entered it; none if it was there at the founding.
    pub by: Option<String>,
    /// True if it is one more key of that member.
    pub own: bool,
    /// Since when, in milliseconds since 1970.
    pub since_ms: u64,
    /// True if it is connected to the tracker that was asked.
    pub here: bool,
}

impl From<&MemberInfo> for Enrolled {
    fn from(member: &MemberInfo) -> Enrolled {
        Enrolled {
            name: member.name.to_string(),
            key: member.key.to_string(),
            role: role_word(member.standing.role).to_owned(),
            prefix: member.standing.prefix.to_string(),
            by: (member.by != PublicKey::NONE).then(|| member.by.to_string()),
            own: member.own,
            since_ms: member.since_ms,
            here: member.here,
        }
    }
}

/// A role, as people read and write it.
pub fn role_word(role: MemberRole) -> &'static str {
    match role {
        MemberRole::Reader => "reader",
        MemberRole::Publisher => "publisher",
        MemberRole::Admin => "admin",
        MemberRole::Tracker => "tracker",
    }
}

/// The role that is called so.
pub fn role_of(word: &str) -> Option<MemberRole> {
    MemberRole::ALL.iter().copied().find(|role| role_word(*role) == word)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::wire::{Label, Name, Standing};

    #[test]
    fn a_role_is_read_by_the_word_that_is_written_for_it() {
        let words: Vec<&str> = MemberRole::ALL.iter().map(|role| role_word(*role)).collect();
        assert_eq!(words, ["reader", "publisher", "admin", "tracker"]);
        assert!(MemberRole::ALL.iter().all(|role| role_of(role_word(*role)) == Some(*role)));
        assert_eq!([role_of("king"), role_of("Admin"), role_of("")], [None; 3]);
    }

    #[test]
    fn who_was_there_at_the_founding_was_invited_by_nobody() {
        let member = |by, prefix: &str| MemberInfo {
            key: PublicKey([1; 32]),
            name: Label::new("anna"),
            standing: Standing { role: MemberRole::Publisher, prefix: Name::new(prefix) },
            by,
            own: true,
            since_ms: 5,
            here: true,
        };
        let said = |by, prefix: &str| serde_json::to_value(Enrolled::from(&member(by, prefix))).unwrap();
        let key = PublicKey([1; 32]).to_string();
        let first = json!({"name": "anna", "key": key, "role": "publisher", "by": null, "own": true, "since_ms": 5, "here": true});
        assert_eq!(said(PublicKey::NONE, ""), first);
        let invited = said(PublicKey([2; 32]), "photos/");
        assert_eq!(
            (&invited["by"], &invited["prefix"]),
            (&json!(PublicKey([2; 32]).to_string()), &json!("photos/"))
        );
    }
}
