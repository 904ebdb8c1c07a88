//! A content that can be served: shared from the folder, or on its way here.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use crate::content::{Chunk, ChunkSet, FileId, Layout, Looks, PeerId, Place, Proof, Run, proof_run};
use crate::peer::lend::Kept;
use crate::peer::share::{self, Holding, Members, Share, Source, Standing};
use crate::peer::stamp::Stamp;
use crate::peer::transfer::{Lying, Transfer};
use crate::wire::{Refusal, View};

/// Where a chunk's bytes are.
#[derive(Debug)]
pub(in crate::peer) enum Data {
    /// In a file.
    File(Lying),
    /// In memory, from this place on.
    Memory(Arc<[u8]>, usize),
}

/// A content that can be served.
#[derive(Debug)]
pub(in crate::peer) enum Held {
    /// Whole, in the shared folder.
    Shared(Shared),
    /// Kept for others.
    Kept(Box<Kept>),
    /// On its way here, or fetched and not part of a shared folder.
    Fetching(Arc<Transfer>),
}

/// A content of the shared folder, as one connection serves it.
#[derive(Debug)]
pub(in crate::peer) struct Shared {
    share: Arc<Share>,
    id: FileId,
    what: What,
    /// The file that was served last: the next chunk is likely of the same.
    open: Option<Box<Opened>>,
    /// [`Share::withdrawals`] when that file was opened.
    withdrawals: u64,
}

/// A file that is being served, and how it looked when it was hashed.
#[derive(Debug)]
struct Opened {
    file: usize,
    path: Arc<str>,
    data: Arc<File>,
    stamp: Stamp,
}

#[derive(Debug)]
enum What {
    File(Layout, Source),
    Listing(Layout, Arc<[u8]>),
    Members(Arc<Members>),
}

impl Shared {
    pub(in crate::peer) fn find(share: &Arc<Share>, id: FileId, view: View) -> Option<Shared> {
        let what = match share.find(id, view)? {
            Holding::File(geometry, source) => What::File(Layout::new(vec![geometry])?, source),
            Holding::Listing(geometry, bytes) => What::Listing(Layout::new(vec![geometry])?, bytes),
            Holding::Members(members) => What::Members(members),
        };
        Some(Shared { share: share.clone(), id, what, open: None, withdrawals: 0 })
    }

    fn layout(&self) -> &Layout {
        match &self.what {
            What::File(layout, _) | What::Listing(layout, _) => layout,
            What::Members(members) => &members.layout.layout,
        }
    }

    fn id_of(&self, file: usize) -> Option<FileId> {
        match &self.what {
            What::File(..) | What::Listing(..) => Some(self.id),
            What::Members(members) => members.layout.ids.get(file).copied(),
        }
    }

    /// The path and id of a file that is served from the disk.
    fn source(&self, file: usize) -> Option<(&Arc<str>, FileId)> {
        let source = match &self.what {
            What::Listing(..) => return None,
            What::File(_, source) => source,
            What::Members(members) => members.sources.get(file)?,
        };
        // It may have been renamed since.
        let open = self.open.as_ref().filter(|open| open.file == file);
        Some((open.map_or(&source.path, |open| &open.path), self.id_of(file)?))
    }

    /// Mode and time of the file as they are now, which need not be how it was when it was hashed.
    fn looks(&self) -> Option<Looks> {
        let What::File(_, source) = &self.what else { return None };
        match self.share.open_source(&source.path, self.id).ok()? {
            Standing::Sound(file, _) | Standing::Doubted(file) => {
                file.metadata().ok().map(|metadata| share::looks_of(&metadata))
            }
            Standing::Gone => None,
        }
    }

    /// The chunk's bytes, if its file is still what was hashed, under its name or, as after a renaming, another.
    fn data(&mut self, place: Place) -> Result<Data, Refusal> {
        if let What::Listing(_, bytes) = &self.what {
            return Ok(Data::Memory(bytes.clone(), place.offset as usize));
        }
        if let Some(open) = &self.open
            && open.file == place.file
            && self.withdrawals == self.share.withdrawals()
            && open.data.metadata().is_ok_and(|metadata| Stamp::of(&metadata) == open.stamp)
        {
            return Ok(Data::File(at(place, open.data.clone())));
        }
        let (path, id) = self.source(place.file).ok_or(Refusal::Gone)?;
        let path = path.clone();
        let data = self.data_at(&path, id, place);
        let gone = matches!(data, Err(Refusal::Gone));
        match gone.then(|| self.share.find(id, View::Bytes)).flatten() {
            Some(Holding::File(_, elsewhere)) if elsewhere.path != path => {
                self.data_at(&elsewhere.path, id, place)
            }
            _ => data,
        }
    }

    fn data_at(&mut self, path: &Arc<str>, id: FileId, place: Place) -> Result<Data, Refusal> {
        let withdrawals = self.share.withdrawals();
        match self.share.open_source(path, id) {
            Ok(Standing::Sound(opened, stamp)) => {
                let data = Arc::new(opened);
                let open = Opened { file: place.file, path: path.clone(), data: data.clone(), stamp };
                self.open = Some(Box::new(open));
                self.withdrawals = withdrawals;
                Ok(Data::File(at(place, data)))
            }
            Ok(Standing::Doubted(opened)) => match self.share.proved_chunk(id, &opened, place) {
                Ok(Some(bytes)) => Ok(Data::Memory(bytes.into(), 0)),
                Ok(None) => {
                    self.share.expose(path, id);
                    Err(Refusal::Gone)
                }
                Err(error) => self.failed(path, &error),
            },
            Ok(Standing::Gone) => {
                self.share.look_at(path);
                Err(Refusal::Gone)
            }
            // It may have another name now, by which it is known without hashing.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.share.look_at(path);
                Err(Refusal::Gone)
            }
            Err(error) => self.failed(path, &error),
        }
    }

    /// What may be over at the next try is no word about the file.
    fn failed(&self, path: &Arc<str>, error: &io::Error) -> Result<Data, Refusal> {
        if share::is_passing(error) {
            self.share.put_off(path, error);
            return Err(Refusal::Busy);
        }
        self.share.withdraw(path);
        Err(Refusal::Gone)
    }

    fn prove(&self, file: usize, run: Range<u32>) -> Option<Proof> {
        self.share.manifest(self.id_of(file)?)?.prove(run).ok()
    }
}

/// A chunk in its file, which is all of it.
fn at(place: Place, file: Arc<File>) -> Lying {
    Lying { file, offset: place.offset, hold: None }
}

impl Held {
    pub(in crate::peer) fn layout(&self) -> &Layout {
        match self {
            Held::Shared(shared) => shared.layout(),
            Held::Kept(kept) => kept.layout(),
            Held::Fetching(transfer) => &transfer.layout,
        }
    }

    /// The chunks that are here.
    pub(in crate::peer) fn have(&self) -> ChunkSet {
        match self {
            Held::Shared(shared) => ChunkSet::full(shared.layout().chunks()),
            Held::Kept(kept) => kept.have(),
            Held::Fetching(transfer) => transfer.had(),
        }
    }

    /// Mode and time of a single file: of the one that is served, or as they were told here.
    pub(in crate::peer) fn looks(&self) -> Option<Looks> {
        match self {
            Held::Shared(shared) => shared.looks(),
            Held::Kept(kept) => kept.looks(),
            Held::Fetching(transfer) => transfer.landing.told_looks(),
        }
    }

    /// Where the bytes of a chunk are; only of proved ones.
    pub(in crate::peer) fn data(&mut self, chunk: Chunk, place: Place) -> Result<Data, Refusal> {
        match self {
            Held::Shared(shared) => shared.data(place),
            Held::Kept(kept) => match kept.bytes(place) {
                Ok(Some(lying)) => Ok(Data::File(lying)),
                Ok(None) => Err(Refusal::NotHere),
                Err(error) if share::is_passing(&error) => Err(Refusal::Busy),
                Err(error) => {
                    tracing::warn!("a chunk that is kept cannot be read: {error}");
                    Err(Refusal::Gone)
                }
            },
            Held::Fetching(transfer) if transfer.is_spoilt() => Err(Refusal::Gone),
            Held::Fetching(transfer) if !transfer.has(chunk) => Err(Refusal::NotYet),
            Held::Fetching(transfer) => transfer.landing.bytes(place).map(Data::File).map_err(|error| {
                tracing::debug!("{}: {error}", transfer.name);
                if share::is_passing(&error) { Refusal::Busy } else { Refusal::Gone }
            }),
        }
    }

    /// The proof of the run that a chunk of a file of several lies in.
    pub(in crate::peer) fn proof(&self, place: Place) -> Option<Arc<Proof>> {
        let geometry = self.layout().files()[place.file];
        match self {
            Held::Shared(shared) => shared.prove(place.file, proof_run(geometry, place.chunk)).map(Arc::new),
            Held::Kept(kept) => kept.proof(place).map(Arc::new),
            Held::Fetching(transfer) => transfer.proof_of(place),
        }
    }

    /// The proof of any aligned run of a file's chunks; of a content on its way here, of one that is proved together.
    pub(in crate::peer) fn manifest_run(&self, file: usize, run: Range<u32>) -> Option<Proof> {
        match self {
            Held::Shared(shared) => shared.prove(file, run),
            Held::Kept(kept) => kept.manifest_run(file, run),
            Held::Fetching(transfer) => {
                let place = transfer.layout.place(transfer.layout.first_of(file).plus(run.start))?;
                transfer.proof_of(place).map(|proof| (*proof).clone()).filter(|proof| proof.run() == run)
            }
        }
    }

    /// A chunk that was served from here did not prove, or could not be read: it is looked at again. Only what is
    /// read here counts.
    pub(in crate::peer) fn check(&self, place: Place) {
        match self {
            Held::Shared(shared) => {
                if let Some((path, id)) = shared.source(place.file) {
                    shared.share.check(path, id, place);
                }
            }
            Held::Kept(kept) => kept.check(place),
            Held::Fetching(transfer) => transfer.check(place),
        }
    }

    /// Somebody waits for these chunks, if they are on their way here.
    pub(in crate::peer) fn press(&self, run: Run) {
        if let Held::Fetching(transfer) = self {
            transfer.press(run);
        }
    }

    /// See [`Transfer::is_failed_by`].
    pub(in crate::peer) fn is_failed_by(&self, peer: PeerId) -> bool {
        matches!(self, Held::Fetching(transfer) if transfer.is_failed_by(peer))
    }

    pub(in crate::peer) fn count_sent(&self, bytes: usize) {
        if let Held::Fetching(transfer) = self {
            transfer.count_sent(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::ops::ControlFlow;
    use std::os::unix::fs::FileExt;
    use std::path::Path;

    use super::*;
    use crate::peer::share::Selection;
    use crate::peer::transfer::{End, of_one_byte};

    fn share(folder: &Path) -> Arc<Share> {
        let config = share::Config {
            folder: folder.to_owned(),
            prefix: None,
            state: folder.join(".p2p"),
            selection: Selection::default(),
            watch: false,
            threads: 1,
        };
        Share::open(config, &mut |_| ControlFlow::Continue(())).unwrap()
    }

    fn held(share: &Arc<Share>, name: &str, view: View) -> Held {
        let offer = share.offers().into_iter().find(|offer| *offer.name == *name).unwrap();
        Held::Shared(Shared::find(share, offer.id, view).unwrap())
    }

    /// The bytes of a chunk as they are served, or why they are not.
    fn served(held: &mut Held, chunk: u32) -> Result<Vec<u8>, Refusal> {
        let place = held.layout().place(Chunk(chunk)).unwrap();
        Ok(match held.data(Chunk(chunk), place)? {
            Data::Memory(bytes, from) => bytes[from..from + place.len as usize].to_vec(),
            Data::File(Lying { file, offset, .. }) => {
                let mut bytes = vec![0; place.len as usize];
                file.read_exact_at(&mut bytes, offset).unwrap();
                bytes
            }
        })
    }

    #[test]
    fn a_file_a_listing_and_what_is_listed_are_served_as_they_were_hashed() {
        let folder = tempfile::tempdir().unwrap();
        let large: Vec<u8> = (0..100_000_u32).map(|at| (at % 251) as u8).collect();
        fs::create_dir(folder.path().join("d")).unwrap();
        fs::write(folder.path().join("d/a"), &large).unwrap();
        fs::write(folder.path().join("d/b"), "b").unwrap();
        let share = share(folder.path());
        let mut file = held(&share, "d/a", View::Bytes);
        assert_eq!((file.have().count(), file.have().is_full()), (2, true));
        assert!(
            served(&mut file, 1).unwrap() == large[1 << 16..]
                && served(&mut file, 0).unwrap() == large[..1 << 16]
        );
        let place = file.layout().place(Chunk(1)).unwrap();
        let proof = file.proof(place).unwrap();
        assert_eq!((proof.run(), file.manifest_run(0, 0..2).as_ref()), (0..2, Some(&*proof)));
        assert!(file.looks().is_some());
        let mut listing = held(&share, "d/", View::Bytes);
        let text = served(&mut listing, 0).unwrap();
        assert_eq!(crate::content::Tree::decode(&text).unwrap().layout().unwrap().ids.len(), 2);
        let mut members = held(&share, "d/", View::Members);
        assert_eq!((members.have().count(), members.looks()), (3, None));
        assert_eq!(served(&mut members, 2).unwrap(), b"b");
        assert!(Shared::find(&share, FileId([9; 32]), View::Bytes).is_none());
    }

    #[test]
    fn what_has_changed_or_gone_since_is_refused_though_it_was_served_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        ["a", "b", "c"].iter().for_each(|name| fs::write(path(name), name.repeat(70_000)).unwrap());
        let share = share(folder.path());
        let [mut changed, mut gone, mut stays] = ["a", "b", "c"].map(|name| held(&share, name, View::Bytes));
        for held in [&mut changed, &mut gone, &mut stays] {
            assert!(served(held, 0).is_ok());
        }
        fs::write(path("a"), "x".repeat(70_000)).unwrap();
        fs::remove_file(path("b")).unwrap();
        let bytes = |held: &mut Held, chunk| served(held, chunk).map(|bytes| bytes.len());
        assert_eq!(bytes(&mut changed, 0), Err(Refusal::Gone));
        assert_eq!(bytes(&mut gone, 1), Err(Refusal::Gone));
        assert_eq!(bytes(&mut stays, 1), Ok(70_000 - (1 << 16)));
    }

    #[test]
    fn of_what_is_on_its_way_only_what_is_here_is_served_and_nothing_once_it_is_spoilt() {
        let folder = tempfile::tempdir().unwrap();
        let transfer = Arc::new(of_one_byte(folder.path()));
        let mut held = Held::Fetching(transfer.clone());
        assert_eq!((served(&mut held, 0), held.have().count()), (Err(Refusal::NotYet), 0));
        let place = held.layout().place(Chunk(0)).unwrap();
        assert!(transfer.supply(Chunk(0), place, Proof::default(), b"x"));
        assert!(matches!(transfer.end(), Some(End::Done)));
        assert_eq!((served(&mut held, 0), held.have().count()), (Ok(b"x".to_vec()), 1));
        transfer.spoil();
        assert_eq!(served(&mut held, 0), Err(Refusal::Gone));
    }
}
