//! The directory's rules one by one, in virtual time.

use std::net::{IpAddr, Ipv4Addr};

use super::*;
use crate::content::{Address, ChunkSet, Run};
use crate::wire::{Name, Purpose, Variant};

mod called;
mod choice;
mod crowds;
mod doubt;
mod leases;
mod lookups;
mod names;
mod originals;
mod requests;
mod twin;

const LEASE: Duration = Duration::from_secs(30);

fn peer(number: u8) -> Sender {
    Sender { connection: u64::from(number), peer: PeerId([number; 16]) }
}

fn offer(name: &str, content: u8, chunks: u32, complete: bool) -> Offer {
    let size = u64::from(chunks) << 16;
    let id = FileId([content; 32]);
    Offer { name: Name::new(name), id, size, total: size, chunks, complete, original: true, modified: 0 }
}

fn directory(start: Instant) -> Directory {
    Directory::new(LEASE, Bounds::default(), 1, start)
}

/// One who listens on port 7 where it comes from.
fn at(from: impl Into<IpAddr>) -> Profile {
    let listens = Listens { port: 7, ..Listens::default() };
    Profile { listens, from: Origin::from(from.into()), ..Profile::default() }
}

fn join(directory: &mut Directory, sender: Sender, offers: &[Offer], now: Instant) {
    let from = IpAddr::V4(Ipv4Addr::new(10, 0, 0, sender.connection as u8));
    let profile = Profile { name: format!("p{}", sender.connection), ..at(from) };
    directory.register(sender, profile, now).unwrap();
    directory.update(sender, &[], offers, now).unwrap();
}

fn locate(directory: &mut Directory, wanted: Wanted<'_>, now: Instant) -> Vec<Variant> {
    let query = Query {
        wanted,
        purpose: Purpose::Inspect,
        max: 0,
        missing: None,
        asker: PeerId([0; 16]),
        from: Origin::default(),
    };
    directory.locate(&query, now)
}

fn fetch(directory: &mut Directory, asker: Sender, missing: &[Run], now: Instant) -> Vec<PeerId> {
    let wanted = Wanted::Name("f");
    let mut chunks = ChunkSet::empty(64);
    chunks.add_runs(missing);
    let missing = (!missing.is_empty()).then_some(&chunks);
    let query = Query {
        wanted,
        purpose: Purpose::Fetch,
        max: 0,
        missing,
        asker: asker.peer,
        from: Origin::default(),
    };
    let variants = directory.locate(&query, now);
    variants.iter().flat_map(|variant| variant.holders.iter().map(|holder| holder.peer)).collect()
}
