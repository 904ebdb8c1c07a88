//! What a connection is just sending, and how it goes into the socket.

use std::fs::File;
use std::sync::Arc;
use std::time::Instant;

use rustix::io::Errno;

use super::asker::Asker;
use crate::content::Place;
use crate::net::NetError;
use crate::net::bulk::Bulk;
use crate::peer::transfer::Hold;
use crate::wire::{DecodeError, FromServer};

/// Bytes of one sendfile call to a fast uplink, between which requests are read.
const SEND_BYTES: usize = 1 << 20;

/// What a pass over the queue ended with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// Nothing to send.
    Idle,
    /// More can be sent at once.
    More,
    /// The socket has no room.
    Full,
    /// Another connection's turn, or the rate limit's pause.
    NotNow,
}

/// Why nothing more can be sent.
#[derive(Debug)]
pub(super) enum Broken {
    /// The connection is broken.
    Socket(NetError),
    /// The file is shorter than it was, or the disk fails under it: the asker sees the connection end.
    File(NetError),
}

impl From<NetError> for Broken {
    fn from(error: NetError) -> Broken {
        Broken::Socket(error)
    }
}

/// Part of a file that is on its way out: a chunk, or what is left of it.
#[derive(Debug)]
pub(super) struct FilePart {
    pub(super) file: Arc<File>,
    /// What keeps its bytes there.
    pub(super) _hold: Option<Arc<dyn Hold>>,
    pub(super) offset: u64,
    pub(super) left: usize,
    /// Whose it is.
    pub(super) slot: u16,
    pub(super) place: Place,
}

impl FilePart {
    /// Gives the socket `most` bytes of it; none if it has no room for any.
    fn send(&mut self, bulk: &mut Bulk<FromServer>, most: usize) -> Result<Option<usize>, Broken> {
        match bulk.send_file(&self.file, &mut self.offset, self.left.min(most)) {
            Ok(Some(0)) => Err(Broken::File(NetError::Decode(DecodeError::Truncated))),
            Ok(sent) => {
                self.left -= sent.unwrap_or(0);
                Ok(sent)
            }
            Err(NetError::Io(error)) if Errno::from_io_error(&error) == Some(Errno::IO) => {
                Err(Broken::File(error.into()))
            }
            Err(error) => Err(Broken::Socket(error)),
        }
    }
}

/// Leave to send.
#[derive(Debug)]
pub(super) enum Turn {
    /// Until then, if it is known, should the socket take nothing more.
    Has(Option<Instant>),
    /// It was too slow: what was begun is sent all the same.
    Lost,
}

/// What a connection is just sending.
#[derive(Debug)]
pub(super) enum Outgoing {
    /// Nothing that needs a turn.
    Nothing,
    /// Nothing either, until the rate limit's pause is over.
    Paused(Instant),
    /// The next chunk has waited for its share of the rate.
    Paid,
    /// What a turn was had for: what waits in the buffer, and this part of a file behind it.
    Begun { part: Option<FilePart>, turn: Turn },
}

impl Outgoing {
    /// With a turn that has just come.
    pub(super) fn begun(part: Option<FilePart>) -> Outgoing {
        Outgoing::Begun { part, turn: Turn::Has(None) }
    }

    /// True while the rate limit's pause lasts; after it, the chunk has paid.
    pub(super) fn is_paused(&mut self, now: Instant) -> bool {
        match self {
            Outgoing::Paused(until) if now < *until => return true,
            Outgoing::Paused(_) => *self = Outgoing::Paid,
            _ => {}
        }
        false
    }

    /// True while part of a file is on its way out.
    pub(super) fn is_sending(&self) -> bool {
        matches!(self, Outgoing::Begun { part: Some(_), .. })
    }

    /// The slot and chunk of which part of a file is on its way out.
    pub(super) fn source(&self) -> Option<(u16, Place)> {
        match self {
            Outgoing::Begun { part: Some(part), .. } => Some((part.slot, part.place)),
            _ => None,
        }
    }

    /// When to go on although nothing else happens.
    pub(super) fn next_look(&self) -> Option<Instant> {
        match self {
            Outgoing::Paused(until) => Some(*until),
            Outgoing::Begun { turn: Turn::Has(ends), .. } => *ends,
            Outgoing::Nothing | Outgoing::Paid | Outgoing::Begun { turn: Turn::Lost, .. } => None,
        }
    }

    /// Sends on with what was begun.
    pub(super) fn send_on(&mut self, bulk: &mut Bulk<FromServer>, asker: &Asker) -> Result<Pace, Broken> {
        let Outgoing::Begun { part, turn } = self else { return Ok(Pace::More) };
        if !bulk.flush(part.is_some())? {
            return Ok(self.blocked(asker));
        }
        let piece = asker.piece();
        while let Some(sending) = part.as_mut().filter(|part| part.left > 0) {
            if piece.is_some() && !bulk.has_room()? {
                return Ok(self.blocked(asker));
            }
            let Some(sent) = sending.send(bulk, piece.unwrap_or(SEND_BYTES))? else {
                return Ok(self.blocked(asker));
            };
            asker.sent(sent, Instant::now());
        }
        if !bulk.flush(false)? {
            return Ok(self.blocked(asker)); // it is sealed, and waits
        }
        if part.take().is_some() {
            bulk.data_left();
        }
        if matches!(turn, Turn::Has(_)) && piece.is_some() && !bulk.has_room()? {
            return Ok(self.blocked(asker)); // the next one's chunk would only share the uplink with this one
        }
        *self = Outgoing::Nothing;
        asker.done();
        Ok(Pace::More)
    }

    /// The socket has no room: the turn may be lost, and then a part of a file is all that is left to be done.
    fn blocked(&mut self, asker: &Asker) -> Pace {
        if let Outgoing::Begun { part, turn: turn @ Turn::Has(_) } = self {
            match asker.stuck(Instant::now()) {
                Some(ends) => *turn = Turn::Has(Some(ends)),
                None if part.is_some() => *turn = Turn::Lost,
                None => {
                    *self = Outgoing::Nothing;
                    asker.done();
                }
            }
        }
        Pace::Full
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpStream;
    use std::time::Duration;

    use super::*;
    use crate::content::{Chunk, Geometry, Layout, PeerId};
    use crate::net::tests::greeted;
    use crate::net::trace::Side;
    use crate::net::wake::Wake;
    use crate::peer::serve::Uploads;
    use crate::swarm::desk::Wish;
    use crate::wire::{Common, HEADER_BYTES, Urgency};

    /// More than a socket takes that nobody reads.
    const BYTES: usize = 16 << 20;
    const WISH: Wish = Wish { choice: None, urgency: Urgency::Normal };

    fn asker(uploads: &Arc<Uploads>) -> Asker {
        Asker::join(uploads, PeerId([1; 16]), [127, 0, 0, 1].into(), Arc::new(Wake::new().unwrap()))
    }

    /// A connection, and its other end.
    fn pair() -> (Bulk<FromServer>, TcpStream) {
        let (session, far) = greeted(&[]);
        let (bulk, _) = Bulk::new(session, Side::Serve, Arc::new(Wake::new().unwrap())).unwrap();
        (bulk, far)
    }

    /// All of a file of so many bytes, which is said to have [`BYTES`].
    fn part(bytes: usize) -> FilePart {
        let file = tempfile::tempfile().unwrap();
        file.set_len(bytes as u64).unwrap();
        let place = Layout::new(vec![Geometry::of(BYTES as u64).unwrap()]).unwrap().place(Chunk(0)).unwrap();
        FilePart { file: Arc::new(file), _hold: None, offset: 0, left: BYTES, slot: 5, place }
    }

    #[test]
    fn a_part_of_a_file_leaves_between_the_messages_around_it() {
        let (uploads, now) = (Arc::new(Uploads::new(None)), Instant::now());
        let (asker, (mut bulk, mut far)) = (asker(&uploads), pair());
        let reading = std::thread::spawn(move || {
            let mut read = Vec::new();
            far.read_to_end(&mut read).unwrap();
            read
        });
        assert!(asker.turn(WISH, now));
        bulk.queue(1, Common::Ok);
        bulk.data_follows();
        bulk.queue(2, Common::Ok);
        let mut outgoing = Outgoing::begun(Some(part(BYTES)));
        assert_eq!(outgoing.source().map(|(slot, _)| slot), Some(5));
        while outgoing.send_on(&mut bulk, &asker).unwrap() != Pace::More {
            bulk.wait(false, true, None).unwrap();
        }
        assert!(matches!(outgoing, Outgoing::Nothing) && outgoing.next_look().is_none());
        assert_eq!(uploads.busy(), 0, "the turn is over");
        assert!(bulk.flush(false).unwrap());
        drop(bulk);
        let read = reading.join().unwrap();
        assert_eq!(read.len(), BYTES + 2 * HEADER_BYTES);
        assert!(read[HEADER_BYTES..HEADER_BYTES + BYTES].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn a_file_that_became_shorter_breaks_the_connection() {
        let uploads = Arc::new(Uploads::new(None));
        let (asker, (mut bulk, far)) = (asker(&uploads), pair());
        let reading = std::thread::spawn(move || std::io::copy(&mut { far }, &mut std::io::sink()));
        let mut outgoing = Outgoing::begun(Some(part(BYTES - 1)));
        let broken = loop {
            match outgoing.send_on(&mut bulk, &asker) {
                Ok(pace) => assert_eq!(pace, Pace::Full),
                Err(broken) => break broken,
            }
            bulk.wait(false, true, None).unwrap();
        };
        assert!(matches!(broken, Broken::File(NetError::Decode(DecodeError::Truncated))));
        assert!(outgoing.source().is_some(), "it can be looked at again");
        drop(bulk);
        reading.join().unwrap().unwrap();
    }

    #[test]
    fn who_is_too_slow_sends_on_without_its_turn() {
        let (uploads, now) = (Arc::new(Uploads::new(None)), Instant::now());
        let (asker, (mut bulk, far)) = (asker(&uploads), pair());
        assert!(asker.turn(WISH, now));
        let mut outgoing = Outgoing::begun(Some(part(BYTES)));
        // Nobody reads: its buffers fill.
        let ends = loop {
            assert_eq!(outgoing.send_on(&mut bulk, &asker).unwrap(), Pace::Full);
            match outgoing.next_look() {
                Some(ends) => bulk.wait(false, false, Some(ends)).map(|_| ()).unwrap(),
                None => break Instant::now(),
            }
        };
        assert!(ends >= now + Duration::from_millis(20), "there was patience");
        assert!(matches!(outgoing, Outgoing::Begun { part: Some(_), turn: Turn::Lost }));
        assert_eq!(uploads.busy(), 1);
        let mut copied = Outgoing::begun(None);
        assert_eq!(copied.blocked(&asker), Pace::Full);
        assert!(
            matches!(copied, Outgoing::Nothing),
            "nothing of it is left to be done but the socket's part"
        );
        assert_eq!(uploads.busy(), 0);
        drop(far);
    }

    #[test]
    fn a_pause_ends_with_a_chunk_that_has_paid() {
        let now = Instant::now();
        let mut outgoing = Outgoing::Paused(now + Duration::from_secs(1));
        assert!(outgoing.is_paused(now) && !outgoing.is_sending() && outgoing.source().is_none());
        assert_eq!(outgoing.next_look(), Some(now + Duration::from_secs(1)));
        assert!(!outgoing.is_paused(now + Duration::from_secs(1)));
        assert!(matches!(outgoing, Outgoing::Paid));
        assert!(!outgoing.is_paused(now) && outgoing.next_look().is_none());
    }
}
