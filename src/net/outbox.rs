//! What a closed connection that carries chunks has sealed and the system has not taken yet.
//!
//! The bytes of a file are read straight to their records' places and sealed there. What is here cannot be taken back: it
//! goes before everything else. The buffer is large while a file is being sent, so that calls are few, and none while
//! nothing is.

use std::io::{self, IoSliceMut};
use std::os::fd::AsFd;

use rustix::io::Errno;

use super::secure::{Broken, RECORD_OVERHEAD, Sealer, sealed_len};
use crate::wire::limits::MAX_RECORD_BYTES;

/// Records sealed at a time: with half as many, a transfer costs a tenth more.
const BATCH_RECORDS: usize = 8;
const BATCH_BYTES: usize = BATCH_RECORDS * MAX_RECORD_BYTES;
/// Where the plaintext of a record begins.
const LENGTH_BYTES: usize = 2;

#[derive(Debug)]
pub(super) struct Outbox {
    sealer: Sealer,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Outbox {
    pub(super) fn new(sealer: Sealer) -> Outbox {
        Outbox { sealer, buffer: Vec::new(), start: 0, end: 0 }
    }

    /// What is to be sent next.
    pub(super) fn waiting(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// The system has taken so many bytes of it.
    pub(super) fn took(&mut self, bytes: usize) {
        self.start += bytes;
    }

    /// Nothing is sent for a while: the buffer goes, if nothing waits in it.
    pub(super) fn rest(&mut self) {
        if self.waiting().is_empty() {
            (self.buffer, self.start, self.end) = (Vec::new(), 0, 0);
        }
    }

    /// Seals the beginning of `plain` where nothing waits; says how much of it.
    pub(super) fn seal(&mut self, plain: &[u8]) -> Result<usize, Broken> {
        let bytes = plain.len().min(BATCH_BYTES);
        self.make_room(bytes);
        let places = self.buffer.chunks_mut(MAX_RECORD_BYTES + RECORD_OVERHEAD);
        for (place, plain) in places.zip(plain[..bytes].chunks(MAX_RECORD_BYTES)) {
            place[LENGTH_BYTES..][..plain.len()].copy_from_slice(plain);
        }
        self.seal_in_place(bytes)?;
        Ok(bytes)
    }

    /// Seals up to `len` bytes of `file` from `offset` where nothing waits; says how many, which is none at its end.
    ///
    /// # Errors
    /// As of the system's call; of kind `Other` if sealing fails.
    pub(super) fn seal_file(&mut self, file: impl AsFd, offset: u64, len: usize) -> io::Result<usize> {
        let bytes = len.min(BATCH_BYTES);
        self.make_room(bytes);
        let mut left = bytes;
        let places = self.buffer.chunks_mut(MAX_RECORD_BYTES + RECORD_OVERHEAD).map(|place| {
            let here = left.min(MAX_RECORD_BYTES);
            left -= here;
            IoSliceMut::new(&mut place[LENGTH_BYTES..][..here])
        });
        let mut places: Vec<_> = places.take(bytes.div_ceil(MAX_RECORD_BYTES)).collect();
        let got = loop {
            match rustix::io::preadv(&file, &mut places, offset) {
                Err(Errno::INTR) => {}
                other => break other?,
            }
        };
        self.seal_in_place(got).map_err(io::Error::other)?;
        Ok(got)
    }

    fn make_room(&mut self, plain: usize) {
        debug_assert!(self.waiting().is_empty());
        let needed = sealed_len(plain);
        if self.buffer.len() < needed {
            self.buffer = vec![0; needed];
        }
        (self.start, self.end) = (0, 0);
    }

    /// Seals so many bytes, which lie where those of their records do.
    fn seal_in_place(&mut self, plain: usize) -> Result<(), Broken> {
        let sealed = sealed_len(plain);
        for record in self.buffer[..sealed].chunks_mut(MAX_RECORD_BYTES + RECORD_OVERHEAD) {
            self.sealer.seal_in_place(record)?;
        }
        self.end = sealed;
        Ok(())
    }
}
