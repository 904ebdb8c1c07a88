//! Asks one holder to prove the size that it claims of a content: by the last chunk, whose hash tells where it
//! begins and ends. Nothing is written; at most one chunk is moved.

use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::connection::{MAX_CHUNK_FRAME_BYTES, chunk_head};
use crate::content::{Chunk, ChunkHash, ChunkHasher, ChunkIndex, FileId, Geometry, PeerId, chunk_hasher};
use crate::net::bulk::{Bulk, Filled, MAX_UNTAKEN_BYTES};
use crate::net::trace::Side;
use crate::net::wake::Wake;
use crate::net::{Identity, NetError, Session};
use crate::peer::dialling::{Missed, reach};
use crate::swarm::claims::Verdict;
use crate::swarm::dials::Dials;
use crate::wire::{
    ChunkHead, Common, FromServer, GetChunk, HEADER_BYTES, Open, RawHeader, Role, ToServer, Urgency, View,
};

/// The one content of the connection, and its requests.
const SLOT: u16 = 0;
const OPEN: u32 = 1;
const CHUNK: u32 = 2;
/// A holder may be silent for so long.
const PATIENCE: Duration = Duration::from_secs(10);
/// And take so long for all of it, however steadily it sends: the largest chunk at a slow link's rate.
const LONGEST: Duration = Duration::from_secs(60);
/// How often it is looked whether the answer is still wanted.
const LOOK: Duration = Duration::from_millis(100);

/// What a holder has to show for its claim that `id` has `size` bytes; ends soon after `over` is set.
pub(in crate::peer) fn ask(
    me: &Identity,
    dials: &Mutex<Dials>,
    (id, size): (FileId, u64),
    holder: (PeerId, &[SocketAddr]),
    over: &AtomicBool,
) -> Verdict {
    let geometry = Geometry::of(size);
    let last =
        geometry.and_then(|geometry| Some((geometry, geometry.index(geometry.chunks().checked_sub(1)?)?)));
    let Some((geometry, last)) = last else { return Verdict::Wrong };
    let (session, addr) = match reach(dials, holder, (me, Role::Ask), Side::Fetch) {
        Ok(reached) => reached,
        Err(Missed::Later) => return Verdict::Away,
        Err(Missed::Foreign) => return Verdict::Wrong,
        Err(Missed::Unreached(unreached)) => {
            tracing::debug!("peer {} proves nothing of {id}: {unreached}", holder.0);
            return if unreached.breaks_the_protocol() { Verdict::Wrong } else { Verdict::Away };
        }
    };
    let probed =
        Probe::on(session).and_then(|bulk| Probe { bulk, id, geometry, last, arriving: None }.run(over));
    match probed {
        Ok(verdict) => verdict,
        Err(NetError::Decode(_) | NetError::Frame(_) | NetError::Unexpected(_)) => Verdict::Wrong,
        Err(error) => {
            tracing::debug!("{addr} proves nothing of {id}: {error}");
            Verdict::Away
        }
    }
}

struct Probe {
    bulk: Bulk<ToServer>,
    id: FileId,
    geometry: Geometry,
    last: ChunkIndex,
    /// The chunk's bytes on their way: what they should hash to, and how many are still to come.
    arriving: Option<(ChunkHasher, ChunkHash, u64)>,
}

impl Probe {
    fn on(session: Session<Arc<TcpStream>>) -> Result<Bulk<ToServer>, NetError> {
        Ok(Bulk::new(session, Side::Fetch, Arc::new(Wake::new()?))?.0)
    }

    fn run(mut self, over: &AtomicBool) -> Result<Verdict, NetError> {
        self.bulk.queue(OPEN, Open { slot: SLOT, id: self.id, view: View::Bytes });
        let first = Chunk(self.last.get());
        self.bulk
            .queue(CHUNK, GetChunk { slot: SLOT, first, count: 1, proof: true, urgency: Urgency::Normal });
        let begun = Instant::now();
        let mut heard = begun;
        loop {
            let flushed = self.bulk.flush(false)?;
            if self.bulk.unsent_bytes() > MAX_UNTAKEN_BYTES {
                return Err(NetError::Unexpected("messages of a source that takes none"));
            }
            while let Some(step) = self.step()? {
                if let Step::Ended(verdict) = step {
                    self.bulk.queue(CHUNK + 1, Common::Leave);
                    let _ = self.bulk.flush(false);
                    return Ok(verdict);
                }
            }
            if begun.elapsed() >= LONGEST {
                return Err(NetError::TimedOut);
            }
            if self.bulk.fill()? != Filled::Nothing {
                heard = Instant::now();
                continue;
            }
            if over.load(Ordering::Acquire) || heard.elapsed() >= PATIENCE {
                return Err(NetError::TimedOut);
            }
            self.bulk.wait(true, !flushed, Some(Instant::now() + LOOK))?;
        }
    }

    /// Takes in one thing of what has arrived; `None` if more bytes are needed.
    fn step(&mut self) -> Result<Option<Step>, NetError> {
        if self.arriving.is_some() {
            return Ok(self.take_data());
        }
        let Some(header) = self.bulk.header(Some(ChunkHead::ID), MAX_CHUNK_FRAME_BYTES)? else {
            return Ok(None);
        };
        if header.id == ChunkHead::ID {
            return self.take_head(header);
        }
        let Some(message) = self.bulk.message(header)? else { return Ok(None) };
        Ok(Some(match message {
            FromServer::Opened(opened) => {
                let fits = (opened.size, opened.chunks) == (self.geometry.size(), self.geometry.chunks());
                if fits { Step::GoesOn } else { Step::Ended(Verdict::Away) }
            }
            FromServer::Refused(_) => Step::Ended(Verdict::Away),
            FromServer::Common(Common::Ping) => {
                self.bulk.queue(header.request, Common::Pong);
                Step::GoesOn
            }
            FromServer::ServerHas(_)
            | FromServer::Load(_)
            | FromServer::Common(Common::Ok | Common::Pong) => Step::GoesOn,
            FromServer::Common(Common::Error(_) | Common::Leave) => Step::Ended(Verdict::Away),
            other => return Err(NetError::Unexpected(crate::wire::Message::label(&other))),
        }))
    }

    /// Takes the head of the chunk: its hash must follow from the proof.
    fn take_head(&mut self, header: RawHeader) -> Result<Option<Step>, NetError> {
        let Some((head, head_bytes)) = chunk_head(self.bulk.arrived(), header)? else { return Ok(None) };
        let len = self.geometry.len(self.last);
        let right = header.request == CHUNK
            && head.index == Chunk(self.last.get())
            && (header.body_bytes - head_bytes) as u64 == len;
        let hash = match self.geometry.chunks() {
            1 => Some(ChunkHash(self.id.0)),
            _ => {
                let proved = head.proof.proves(self.id, self.geometry, self.last);
                head.proof.hashes.last().copied().filter(|_| proved)
            }
        };
        let Some(hash) = hash.filter(|_| right) else { return Ok(Some(Step::Ended(Verdict::Wrong))) };
        self.bulk.consume(HEADER_BYTES + head_bytes);
        self.arriving = Some((chunk_hasher(self.geometry, self.last), hash, len));
        Ok(Some(Step::GoesOn))
    }

    fn take_data(&mut self) -> Option<Step> {
        let (hasher, hash, left) = self.arriving.as_mut()?;
        let part = (self.bulk.arrived().len() as u64).min(*left) as usize;
        if part == 0 {
            return None;
        }
        hasher.update(&self.bulk.arrived()[..part]);
        *left -= part as u64;
        self.bulk.consume(part);
        if *left > 0 {
            return Some(Step::GoesOn);
        }
        let hash = *hash;
        let (hasher, ..) = self.arriving.take()?;
        Some(Step::Ended(if hasher.finish() == hash { Verdict::Proved } else { Verdict::Wrong }))
    }
}

enum Step {
    GoesOn,
    Ended(Verdict),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Proof;
    use crate::peer::transfer::tests::{Content, Said, who_said};
    use crate::wire::{ErrorCode, Load, Opened, Refusal};

    /// What comes of a holder that has said all this.
    fn probed(content: &Content, says: impl FnOnce(&mut Said)) -> Result<Verdict, NetError> {
        let mut said = Said::default();
        says(&mut said);
        let (session, _far) = who_said(&said);
        let (geometry, bulk) = (content.geometry, Probe::on(session)?);
        let last = geometry.index(geometry.chunks() - 1).unwrap();
        Probe { bulk, id: content.id, geometry, last, arriving: None }.run(&AtomicBool::new(false))
    }

    #[test]
    fn the_last_chunk_proves_a_size_and_whatever_else_comes_as_it_is_a_lie() {
        for chunks in [1, 3, 20] {
            let content = &Content::new(chunks);
            let last = chunks as u32 - 1;
            let (proof, data) = (|| content.proof(last), vec![7; content.len(last)]);
            let sent = |request, chunk, proof, data: &[u8]| {
                probed(content, |said| {
                    let load = Load { uploads: 0, downloads: 0, queued: 0, rate: None };
                    said.says(OPEN, content.opened(&[last])).says(7, Common::Ping).says(1, load);
                    said.sends(request, chunk, proof, data);
                })
            };
            let verdict = |sent: Result<Verdict, NetError>| sent.unwrap();
            assert_eq!(verdict(sent(CHUNK, last, proof(), &data)), Verdict::Proved, "{chunks}");
            assert_eq!(
                verdict(sent(CHUNK, last, proof(), &vec![8; data.len()])),
                Verdict::Wrong,
                "other bytes"
            );
            assert_eq!(verdict(sent(CHUNK, last, proof(), &data[1..])), Verdict::Wrong, "fewer");
            assert_eq!(verdict(sent(CHUNK, last + 1, proof(), &data)), Verdict::Wrong, "another chunk");
            assert_eq!(verdict(sent(CHUNK + 1, last, proof(), &data)), Verdict::Wrong, "nobody asked for it");
            if chunks > 1 {
                assert_eq!(verdict(sent(CHUNK, last, Proof::default(), &data)), Verdict::Wrong, "unproved");
            }
        }
    }

    #[test]
    fn who_does_not_say_it_proves_nothing_and_has_not_lied() {
        let content = &Content::new(2);
        let away = |says: &dyn Fn(&mut Said)| probed(content, says).unwrap();
        let error = || Common::error(ErrorCode::Limit, "too much");
        assert_eq!(away(&|said| _ = said.refuses(OPEN, Refusal::NotHere)), Verdict::Away);
        assert_eq!(away(&|said| _ = said.says(0, error())), Verdict::Away);
        assert_eq!(away(&|said| _ = said.says(0, Common::Leave)), Verdict::Away);
        let other = |size, chunks| Opened { size, chunks, ..content.opened(&[1]) };
        assert_eq!(
            away(&|said| _ = said.says(OPEN, other(5, 2))),
            Verdict::Away,
            "it has another size by now"
        );
        assert_eq!(away(&|said| _ = said.says(OPEN, other(content.geometry.size(), 3))), Verdict::Away);
        let gone = probed(content, |said| _ = said.says(OPEN, content.opened(&[1])));
        assert!(matches!(gone, Err(NetError::Closed)), "{gone:?}");
        let manifest = crate::wire::Manifest { proof: content.proof(1) };
        let odd = probed(content, |said| _ = said.says(CHUNK, manifest));
        assert!(matches!(odd, Err(NetError::Unexpected("MANIFEST"))), "{odd:?}");
    }
}
