//! The records as bytes: what a journal begins with instead of all commands that led there.
//!
//! Layout, as fields of the protocol: format, authority, term, slot of the last command, how many names and clients
//! follow. A name: name, number of its next version, its versions, who made it. A client: client, its last command's
//! number, outcome and slot. Then the roster, the stores, the nodes, and who may come in to pages. The first format had no roster, and no
//! makers of names, the second no stores, the third no nodes, the fourth nobody who may come in.

use std::collections::BTreeSet;

use bytes::{Bytes, BytesMut};

use super::clients::Last;
use super::machine::Records;
use super::nodes::Nodes;
use super::pages::Pages;
use super::roster::Roster;
use super::seen::AllSeen;
use crate::content::{PublicKey, SafeName};
use crate::wire::{ClientId, Cursor, DecodeError, Field, List, Version, limits, put_list};

const FORMAT: u8 = 5;
const WITHOUT_PAGES: u8 = 4;
const WITHOUT_NODES: u8 = 3;
const WITHOUT_STORES: u8 = 2;
const WITHOUT_ROSTER: u8 = 1;

type Versions = List<Version, { limits::MAX_VERSIONS }>;

impl Records {
    /// All of it as bytes.
    pub fn snapshot(&self) -> Bytes {
        let mut out = BytesMut::new();
        (FORMAT, (self.authority, (self.term, self.applied))).put(&mut out);
        (self.names.len() as u64, self.clients.len() as u32).put(&mut out);
        for (name, row) in &self.names {
            (name.clone(), row.next).put(&mut out);
            put_list(&row.versions, &mut out);
            row.owner.put(&mut out);
        }
        for (client, last) in self.clients.iter() {
            (client, (last.seq, (last.outcome, last.slot))).put(&mut out);
        }
        self.roster.put(&mut out);
        self.stores.put(&mut out);
        self.nodes.put(&mut out);
        self.pages.put(&mut out);
        out.freeze()
    }

    /// What [`Records::snapshot`] made of it.
    ///
    /// # Errors
    /// These bytes are none.
    pub fn restore(bytes: Bytes) -> Result<Records, DecodeError> {
        let mut from = Cursor::new(bytes);
        let mut records = Records::default();
        let (format, (authority, (term, applied))) = <(u8, _)>::take(&mut from)?;
        if ![FORMAT, WITHOUT_PAGES, WITHOUT_NODES, WITHOUT_STORES, WITHOUT_ROSTER].contains(&format) {
            return Err(DecodeError::BadValue { what: "a snapshot's format", got: format.into() });
        }
        (records.authority, records.term, records.applied) = (authority, term, applied);
        let (names, clients) = <(u64, u32)>::take(&mut from)?;
        for _ in 0..names {
            let name = records.restore_name(&mut from)?;
            if format > WITHOUT_ROSTER {
                let owner = PublicKey::take(&mut from)?;
                records.names.entry(name).and_modify(|row| row.owner = owner);
            }
        }
        for _ in 0..clients {
            let (client, (seq, (outcome, slot))) = <(ClientId, _)>::take(&mut from)?;
            records.clients.remember(client, Last { seq, outcome, slot });
        }
        if format > WITHOUT_ROSTER {
            records.roster = Roster::take(&mut from)?;
        }
        if format > WITHOUT_STORES {
            records.stores = AllSeen::take(&mut from)?;
        }
        if format > WITHOUT_NODES {
            records.nodes = Nodes::take(&mut from)?;
        }
        if format > WITHOUT_PAGES {
            records.pages = Pages::take(&mut from)?;
        }
        from.finish()?;
        Ok(records)
    }

    fn restore_name(&mut self, from: &mut Cursor) -> Result<SafeName, DecodeError> {
        let (name, next) = <(SafeName, u32)>::take(from)?;
        for version in Versions::take(from)?.into_vec() {
            let got = version.number.into();
            if !self.add(&name, version, &mut BTreeSet::new()) {
                return Err(DecodeError::BadValue { what: "a version that there is room for", got });
            }
        }
        if let Some(row) = self.names.get_mut(&name) {
            row.next = next;
        }
        Ok(name)
    }
}
