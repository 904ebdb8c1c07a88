//! Bytes of a content that is here or on its way here, for who is in this process: chunk by chunk, each proved as it is
//! read.

use std::io;
use std::os::unix::fs::FileExt;

use super::serve::{Data, Held};
use crate::content::{Chunk, FileId, Layout, hash_chunk};
use crate::wire::Refusal;

/// Why a piece cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is on its way here.
    #[error("it is not here yet")]
    NotYet,
    /// It went, or is not what it was.
    #[error("it is not here any more")]
    Gone,
    /// The disk does not give it.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A file's content that can be read.
#[derive(Debug)]
pub struct Reading {
    id: FileId,
    held: Held,
    layout: Layout,
}

impl Reading {
    /// Of a content that is one file.
    pub(super) fn new(id: FileId, held: Held) -> Reading {
        let layout = held.layout().clone();
        Reading { id, held, layout }
    }

    /// Bytes of the file.
    pub fn size(&self) -> u64 {
        self.layout.size()
    }

    /// True if all of it is here.
    pub fn is_whole(&self) -> bool {
        self.held.have().is_full()
    }

    /// The bytes from `at`, which is before the end, to the end of the chunk that they lie in; all of that is proved.
    ///
    /// # Errors
    /// [`ReadError`] says why there are none.
    pub fn read(&mut self, at: u64) -> Result<Vec<u8>, ReadError> {
        let geometry = *self.layout.files().first().ok_or(ReadError::Gone)?;
        let number = Chunk(u32::try_from(at / geometry.chunk_size()).map_err(|_| ReadError::Gone)?);
        let place = self.layout.place(number).ok_or(ReadError::Gone)?;
        let mut bytes = match self.held.data(number, place) {
            Ok(Data::Memory(all, from)) => {
                let end = from + place.len as usize;
                all.get(from..end).ok_or(ReadError::Gone)?.to_vec()
            }
            Ok(Data::File(lying)) => {
                let mut bytes = vec![0; place.len as usize];
                lying.file.read_exact_at(&mut bytes, lying.offset)?;
                bytes
            }
            Err(Refusal::NotYet | Refusal::Busy) => return Err(ReadError::NotYet),
            Err(_) => return Err(ReadError::Gone),
        };
        let hash = hash_chunk(geometry, place.chunk, &bytes);
        let is_right = match self.held.proof(place) {
            None => geometry.chunks() == 1 && hash.0 == self.id.0,
            Some(proof) => {
                let within = place.chunk.get().checked_sub(proof.first);
                let stated = within.and_then(|within| proof.hashes.get(within as usize));
                stated == Some(&hash) && proof.proves(self.id, geometry, place.chunk)
            }
        };
        if !is_right {
            self.held.check(place);
            return Err(ReadError::Gone);
        }
        Ok(bytes.split_off((at - place.offset) as usize))
    }
}
