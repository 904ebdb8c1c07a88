//! Has a content fetched for who reads it on the page: found through the trackers, and waited for until there is something to
//! send.

use std::time::{Duration, Instant};

use bytesize::ByteSize;

use super::answer::Problem;
use super::passing::{self, Opened, Reader, full};
use super::site::Site;
use super::swarm;
use crate::content::{FileId, SafeName};
use crate::peer::Hand;

/// How long the first bytes may take.
const PATIENCE: Duration = Duration::from_secs(90);
/// How often it is looked for them.
const LOOK: Duration = Duration::from_millis(20);

/// Has a content fetched that is not here, and waits until its first bytes can be read, or its listing.
pub(super) fn bring(site: &Site, id: FileId) -> Result<(Reader, Opened), Problem> {
    let peer = site.peer()?;
    let reader = match site.passing.join(id) {
        Some(reader) => reader,
        None => begin(site, peer, id)?,
    };
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(opened) = passing::open(peer, id, reader.is_folder) {
            return Ok((reader, opened));
        }
        let gone = || Problem::conflict("it was given up; try again");
        match site.passing.job(id).ok_or_else(gone)?.wait(LOOK) {
            Some(Err(error)) => return Err(Problem::unreachable(format!("it cannot be fetched: {error}"))),
            Some(Ok(_)) => std::thread::sleep(LOOK),
            None => {}
        }
        if Instant::now() >= until {
            return Err(Problem::unreachable("nobody who has it can be reached now").after(30));
        }
    }
}

fn begin(site: &Site, peer: &Hand, id: FileId) -> Result<Reader, Problem> {
    let found = swarm::content(site, &id.to_string())?;
    let name = SafeName::new(&*found.name);
    let name = name.map_err(|error| Problem::bad(format!("no name for a file: {error}")))?;
    if found.size > site.cache_bytes {
        return Err(full(format!(
            "it has {}, and {} are kept of what is only read here (--web-cache); fetch it instead",
            ByteSize(found.size),
            ByteSize(site.cache_bytes)
        )));
    }
    let state = peer.state().ok_or_else(|| Problem::conflict("this peer has no place for it"))?;
    let what = (id, found.size, name.is_tree());
    site.passing.begin((state, site.cache_bytes), what, |path| peer.bring(id, name, path))
}
