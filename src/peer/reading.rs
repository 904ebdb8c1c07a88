//! Bytes of a content that is here or on its way here, for who is in this process: chunk by chunk, each proved as it is
//! read.

use std::io;
use std::os::unix::fs::FileExt;

use super::serve::{Data, Held};
use crate::content::{FileId, Run, SafeName, Tree, TreeKind, hash_chunk};
use crate::wire::Refusal;

/// Bytes of what a reader waits for, and of what it will wait for next: they come before the rest.
const AHEAD: u64 = 32 << 20;

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

/// A content that can be read: a file, or all files of a folder.
#[derive(Debug)]
pub struct Reading {
    /// Of each file.
    ids: Vec<FileId>,
    held: Held,
}

/// A file of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Where it is in the folder.
    pub path: SafeName,
    /// Bytes that it has.
    pub size: u64,
    /// Which file of the folder's content it is.
    pub file: usize,
}

impl Reading {
    /// Of a content that is one file.
    pub(super) fn new(id: FileId, held: Held) -> Reading {
        Reading { ids: vec![id], held }
    }

    /// Of the files of a folder, and which they are; none if they are not what is held.
    pub(super) fn of_tree(tree: &Tree, held: Held) -> Option<(Reading, Vec<Member>)> {
        let numbered = tree.layout().ok()?;
        let files = tree.entries().iter().zip(&numbered.file_of).filter_map(|(entry, file)| {
            let is_file = matches!(entry.kind, TreeKind::File { .. } | TreeKind::HardLink(_));
            let file = (*file).filter(|_| is_file)?;
            let size = numbered.layout.files().get(file)?.size();
            Some(Member { path: entry.path.clone(), size, file })
        });
        let files = files.collect();
        let is_same = held.layout().files() == numbered.layout.files();
        is_same.then(|| (Reading { ids: numbered.ids, held }, files))
    }

    /// Bytes of all files.
    pub fn size(&self) -> u64 {
        self.held.layout().size()
    }

    /// The bytes of a file from `at`, which is before its end, to the end of the chunk that they lie in; all of that is
    /// proved. What is not here yet comes next.
    ///
    /// # Errors
    /// [`ReadError`] says why there are none.
    pub fn read(&mut self, file: usize, at: u64) -> Result<Vec<u8>, ReadError> {
        let layout = self.held.layout();
        let geometry = *layout.files().get(file).ok_or(ReadError::Gone)?;
        let within = u32::try_from(at / geometry.chunk_size()).map_err(|_| ReadError::Gone)?;
        let number = layout.first_of(file).plus(within);
        let place = layout.place(number).filter(|place| place.file == file).ok_or(ReadError::Gone)?;
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
            Err(Refusal::NotYet | Refusal::Busy) => {
                self.held.press(Run::new(number, (AHEAD / geometry.chunk_size()).max(1) as u32));
                return Err(ReadError::NotYet);
            }
            Err(_) => return Err(ReadError::Gone),
        };
        let (id, hash) =
            (self.ids.get(file).ok_or(ReadError::Gone)?, hash_chunk(geometry, place.chunk, &bytes));
        let is_right = match self.held.proof(place) {
            None => geometry.chunks() == 1 && hash.0 == id.0,
            Some(proof) => {
                let within = place.chunk.get().checked_sub(proof.first);
                let stated = within.and_then(|within| proof.hashes.get(within as usize));
                stated == Some(&hash) && proof.proves(*id, geometry, place.chunk)
            }
        };
        if !is_right {
            self.held.check(place);
            return Err(ReadError::Gone);
        }
        Ok(bytes.split_off((at - place.offset) as usize))
    }
}
