//! One content that an asker has opened.

use std::collections::BTreeSet;
use std::io;
use std::time::Instant;

use bytes::BytesMut;

use super::gone::Gone;
use super::held::{Data, Held};
use super::sending::FilePart;
use super::uploads::Content;
use crate::content::{Chunk, Place, Proof, proof_run};
use crate::peer::mischief::Fate;
use crate::peer::share::{is_passing, read_at};
use crate::peer::transfer::Lying;
use crate::wire::{ChunkHead, Refusal, Urgency};

/// Chunks up to this size are copied into the buffer of messages instead of sent from the file.
const COPY_BYTES: u64 = 32 << 10;

/// A request for a chunk that is not answered yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) number: u32,
    pub(super) slot: u16,
    /// Its number, or [`ANY_CHUNK`](crate::wire::ANY_CHUNK).
    pub(super) chunk: Chunk,
    /// With its proof.
    pub(super) proof: bool,
    /// Others get on faster than the asker.
    pub(super) urgency: Urgency,
}

pub(super) struct Slot {
    pub(super) held: Held,
    /// How many chunks the asker said that it gained, with repetitions.
    pub(super) told_chunks: u64,
    /// What is held, as others know it.
    pub(super) content: Content,
    /// The asker has said which chunks it wants.
    pub(super) narrowed: bool,
    /// Runs, by file and first chunk, whose proof has been sent.
    proved: BTreeSet<(usize, u32)>,
    /// Chunks refused because their file had changed.
    pub(super) gone: Gone,
}

impl Slot {
    pub(super) fn new(held: Held, content: Content) -> Slot {
        Slot {
            held,
            told_chunks: 0,
            content,
            narrowed: false,
            proved: BTreeSet::new(),
            gone: Gone::default(),
        }
    }

    /// Begins to answer a request with this `chunk`: puts it behind `unsent`, or of a long one the head, and says which
    /// part of a file is to follow. What is to be spoilt is copied whatever its length.
    pub(super) fn begin(
        &mut self,
        request: Request,
        chunk: Chunk,
        place: Place,
        fate: Fate,
        unsent: &mut BytesMut,
        now: Instant,
    ) -> Result<Option<FilePart>, Refusal> {
        let data = self.held.data(chunk, place).inspect_err(|reason| {
            if *reason == Refusal::Gone {
                self.gone.note(chunk, now);
            }
        })?;
        let (start, len) = (unsent.len(), place.len as usize);
        // Whoever cannot prove what it sends would look like a liar.
        let proof = self.proof(request.proof, place).ok_or(Refusal::NotYet)?;
        ChunkHead { index: chunk, proof }.put_frame(request.number, len, unsent);
        let at = unsent.len();
        match data {
            Data::File(Lying { file, offset, hold }) if place.len > COPY_BYTES && fate == Fate::Sound => {
                return Ok(Some(FilePart {
                    file,
                    offset,
                    _hold: hold,
                    left: len,
                    slot: request.slot,
                    place,
                }));
            }
            Data::Memory(bytes, from) => unsent.extend_from_slice(&bytes[from..from + len]),
            Data::File(lying) => {
                unsent.resize(at + len, 0);
                let read = read_at(&lying.file, &mut unsent[at..], lying.offset);
                // It may have been written to while it was read.
                if read.is_err() || matches!(self.held.data(chunk, place), Err(Refusal::Gone)) {
                    unsent.truncate(start);
                    return Err(self.unreadable(chunk, place, read.err(), now));
                }
            }
        }
        let sent = fate.spoil(&mut unsent[at..]);
        unsent.truncate(at + sent);
        Ok(None)
    }

    /// The chunk does not leave after all; why it is refused.
    fn unreadable(&mut self, chunk: Chunk, place: Place, error: Option<io::Error>, now: Instant) -> Refusal {
        self.proved.remove(&(place.file, self.run_of(place)));
        self.held.check(place);
        if error.is_some_and(|error| is_passing(&error)) {
            return Refusal::Busy;
        }
        self.gone.note(chunk, now);
        Refusal::Gone
    }

    /// The proof that goes with a chunk: that of its run if it is wanted, known, and was not carried by
    /// this connection; else an empty one. `None` if it is wanted and not known.
    fn proof(&mut self, wanted: bool, place: Place) -> Option<Proof> {
        let run = (place.file, self.run_of(place));
        let proves_itself = self.held.layout().files()[place.file].chunks() == 1;
        if !wanted || proves_itself || self.proved.contains(&run) {
            return Some(Proof::default());
        }
        let proof = self.held.proof(place)?;
        self.proved.insert(run);
        Some(Proof::clone(&proof))
    }

    /// The first chunk of the run that a chunk is proved with.
    fn run_of(&self, place: Place) -> u32 {
        proof_run(self.held.layout().files()[place.file], place.chunk).start
    }
}
