//! Who may come in to the pages of trackers: users, with their passwords as they are kept, and tokens of programs. They are
//! on record beside the members, so each tracker that has the records lets the same in.
//!
//! What a role is, pages say; here it is a number.

use std::collections::BTreeMap;
use std::fmt;

use bytes::BytesMut;

use super::outcome::{Outcome, Refused};
use crate::wire::{Cursor, DecodeError, Field, Label, layout};

/// Most users, and most tokens.
const MAX_USERS: usize = 256;
/// Most tokens.
const MAX_TOKENS: usize = 256;

/// A password as it is kept: nobody comes from there to it in less than years, and it is not shown all the same.
#[derive(Clone, PartialEq, Eq)]
pub struct KeptPassword(pub Label);

impl fmt::Debug for KeptPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("password")
    }
}

impl Field for KeptPassword {
    fn put(&self, out: &mut BytesMut) {
        self.0.put(out);
    }
    fn take(from: &mut Cursor) -> Result<KeptPassword, DecodeError> {
        Field::take(from).map(KeptPassword)
    }
}

layout! {
    /// A user may come in, or may do something else from now on, or has another password.
    SetUser {
        /// What he is called.
        name: Label,
        /// The number of his role.
        role: u8,
        /// His password as it is kept; empty: he has yet to choose one.
        password: KeptPassword,
    }
}

layout! {
    /// A user may come in no more.
    RemoveUser {
        /// What he is called.
        name: Label,
    }
}

layout! {
    /// A program may come in.
    AddToken {
        /// The BLAKE3 hash of its token, in hexadecimal.
        hash: Label,
        /// What it is called.
        name: Label,
        /// The number of its role.
        role: u8,
        /// Until when, in milliseconds since 1970.
        until_ms: u64,
        /// When it was made.
        now_ms: u64,
    }
}

layout! {
    /// A program may come in no more.
    EndToken {
        /// The BLAKE3 hash of its token, in hexadecimal.
        hash: Label,
    }
}

/// A user: the number of his role, and his password as it is kept.
type User = (u8, KeptPassword);
/// A token: what it is called, the number of its role, until when.
type Token = (Label, (u8, u64));

/// All who may come in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pages {
    /// By name.
    pub users: BTreeMap<String, User>,
    /// By the hash of each.
    pub tokens: BTreeMap<String, Token>,
}

impl Pages {
    pub(super) fn set_user(&mut self, set: &SetUser) -> Outcome {
        if self.users.len() >= MAX_USERS && !self.users.contains_key(&*set.name) {
            return Outcome::Refused(Refused::Full);
        }
        self.users.insert(set.name.to_string(), (set.role, set.password.clone()));
        Outcome::Noted
    }

    pub(super) fn remove_user(&mut self, remove: &RemoveUser) -> Outcome {
        self.users.remove(&*remove.name);
        Outcome::Noted
    }

    pub(super) fn add_token(&mut self, add: &AddToken) -> Outcome {
        self.tokens.retain(|_, (_, (_, until))| *until > add.now_ms);
        if self.tokens.len() >= MAX_TOKENS && !self.tokens.contains_key(&*add.hash) {
            return Outcome::Refused(Refused::Full);
        }
        self.tokens.insert(add.hash.to_string(), (add.name.clone(), (add.role, add.until_ms)));
        Outcome::Noted
    }

    pub(super) fn end_token(&mut self, end: &EndToken) -> Outcome {
        self.tokens.remove(&*end.hash);
        Outcome::Noted
    }
}

impl Field for Pages {
    fn put(&self, out: &mut BytesMut) {
        (self.users.len() as u32, self.tokens.len() as u32).put(out);
        self.users.iter().for_each(|(name, user)| (Label::new(name), user.clone()).put(out));
        self.tokens.iter().for_each(|(hash, token)| (Label::new(hash), token.clone()).put(out));
    }
    fn take(from: &mut Cursor) -> Result<Pages, DecodeError> {
        let (users, tokens) = <(u32, u32)>::take(from)?;
        let mut pages = Pages::default();
        for _ in 0..users {
            let (name, user) = <(Label, User)>::take(from)?;
            pages.users.insert(name.to_string(), user);
        }
        for _ in 0..tokens {
            let (hash, token) = <(Label, Token)>::take(from)?;
            pages.tokens.insert(hash.to_string(), token);
        }
        Ok(pages)
    }
}

#[cfg(test)]
mod tests {
    use super::super::command::Command;
    use super::super::machine::Records;
    use super::*;

    fn set(name: &str, role: u8, password: &str) -> Command {
        let (name, password) = (Label::new(name), KeptPassword(Label::new(password)));
        Command::SetUser(SetUser { name, role, password })
    }

    fn add(hash: &str, until_ms: u64, now_ms: u64) -> Command {
        let (hash, name) = (Label::new(hash), Label::new("ci"));
        Command::AddToken(AddToken { hash, name, role: 1, until_ms, now_ms })
    }

    #[test]
    fn users_and_tokens_are_on_record_until_they_go_or_end() {
        let (mut records, mut slot) = (Records::default(), 0);
        let mut apply = |records: &mut Records, command: Command| {
            slot += 1;
            let (number, bytes) = command.encode();
            assert_eq!(Command::decode(number, bytes).as_ref(), Ok(&command));
            let outcome = records.apply(slot, &command).outcome;
            assert_eq!(Records::restore(records.snapshot()).as_ref(), Ok(&*records));
            outcome
        };
        assert_eq!(apply(&mut records, set("anna", 1, "")), Outcome::Noted);
        assert_eq!(apply(&mut records, set("anna", 2, "$argon2id$x")), Outcome::Noted);
        assert_eq!(records.pages().users["anna"].0, 2);
        assert_eq!(apply(&mut records, add("aa", 10, 5)), Outcome::Noted);
        assert_eq!(apply(&mut records, add("bb", 30, 20)), Outcome::Noted);
        assert_eq!(records.pages().tokens.keys().collect::<Vec<_>>(), ["bb"], "the other has ended");
        for number in 1..MAX_USERS {
            assert_eq!(apply(&mut records, set(&number.to_string(), 1, "")), Outcome::Noted);
        }
        assert_eq!(apply(&mut records, set("one more", 1, "")), Outcome::Refused(Refused::Full));
        assert_eq!(apply(&mut records, set("anna", 3, "")), Outcome::Noted, "he is there");
        apply(&mut records, Command::RemoveUser(RemoveUser { name: Label::new("anna") }));
        apply(&mut records, Command::EndToken(EndToken { hash: Label::new("bb") }));
        assert!(!records.pages().users.contains_key("anna") && records.pages().tokens.is_empty());
    }

    #[test]
    fn a_password_is_not_shown() {
        let shown = format!("{:?}", set("anna", 1, "$argon2id$x"));
        assert!(!shown.contains("argon2id"), "{shown}");
    }
}
