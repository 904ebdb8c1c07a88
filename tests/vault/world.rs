//! What is kept in a vault and deleted again, and what should be there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use p2p::content::{
    Chunk, ChunkSet, FileId, Geometry, Layout, Manifest, Place, Proof, hash_chunk, proof_run,
};
use p2p::peer::lend::vault::{Grant, Kept, Kind, Lot, Owner, Vault, VaultError};
use p2p::storage::OwnedError;

/// How long something may take on a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);
/// Who deletes.
pub(crate) const OWNER: Owner = Owner { authority: [1; 16], term: [1; 16], lasting: true };

/// The seed of a test, or another one.
pub(crate) fn seed() -> u64 {
    std::env::var("P2P_VAULT_SEED").map_or(1, |seed| seed.parse().expect("a number"))
}

/// A file.
struct Sample {
    bytes: Vec<u8>,
    id: FileId,
    geometry: Geometry,
    manifest: Manifest,
}

/// What can be kept: a file, or the files that a listing names.
struct Content {
    id: FileId,
    kind: Kind,
    /// By their place among all files.
    files: Vec<usize>,
    layout: Layout,
}

/// All that there is.
pub(crate) struct World {
    samples: Vec<Sample>,
    contents: Vec<Content>,
}

/// What is kept of each content.
pub(crate) type Model = BTreeMap<usize, BTreeSet<Chunk>>;

/// Something that is done to a vault.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    Keep(usize, BTreeSet<Chunk>),
    Delete(usize, BTreeSet<Chunk>),
}

impl Sample {
    fn new(seed: u64, len: usize) -> Sample {
        let mut rng = fastrand::Rng::with_seed(seed);
        Sample::of((0..len).map(|_| rng.u8(..)).collect())
    }

    /// Another version, with a few bytes changed.
    fn version(&self, seed: u64) -> Sample {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut bytes = self.bytes.clone();
        for _ in 0..3 {
            let at = rng.usize(..bytes.len());
            bytes[at] ^= 1;
        }
        Sample::of(bytes)
    }

    fn of(bytes: Vec<u8>) -> Sample {
        let geometry = Geometry::of(bytes.len() as u64).expect("a small file");
        let chunks = (0..geometry.chunks()).filter_map(|number| geometry.index(number));
        let parts = bytes.chunks(geometry.chunk_size() as usize);
        let hashes = chunks.zip(parts).map(|(chunk, data)| hash_chunk(geometry, chunk, data)).collect();
        let (manifest, id) = Manifest::new(geometry, hashes).expect("a manifest");
        Sample { bytes, id, geometry, manifest }
    }

    fn proof(&self, place: Place) -> Option<Arc<Proof>> {
        let run = proof_run(self.geometry, place.chunk);
        (self.geometry.chunks() > 1).then(|| Arc::new(self.manifest.prove(run).expect("a proof")))
    }

    fn part(&self, place: Place) -> &[u8] {
        &self.bytes[place.offset as usize..(place.offset + place.len) as usize]
    }
}

impl World {
    /// Files of all kinds, versions of some of them, and two trees that have some of them in common.
    pub(crate) fn new() -> World {
        let lengths = [
            1,
            4096,
            10_000,
            65_536,
            65_537,
            200_000,
            (17 << 16) + 5,
            40_000,
            3 << 16,
            12_288,
            25 << 16,
            (20 << 16) + 1,
        ];
        let mut samples: Vec<Sample> =
            lengths.iter().enumerate().map(|(at, len)| Sample::new(at as u64, *len)).collect();
        samples.extend(
            [6, 6, 11]
                .into_iter()
                .enumerate()
                .map(|(at, of)| (at, &samples[of]))
                .map(|(at, of)| of.version(at as u64))
                .collect::<Vec<_>>(),
        );
        let files = samples.len();
        let mut contents = Vec::new();
        for (at, files) in [vec![0, 2, 6, 8], vec![1, 2, 5, 12, 7, 9]].into_iter().enumerate() {
            let listing = Sample::new(100 + at as u64, 70_000 * at + 500);
            let geometries = files.iter().map(|file: &usize| samples[*file].geometry).collect();
            let layout = Layout::new(geometries).expect("a small tree");
            contents.push(Content { id: listing.id, kind: Kind::Members, files, layout });
            samples.push(listing);
        }
        for (at, sample) in samples.iter().enumerate().take(files) {
            let layout = Layout::new(vec![sample.geometry]).expect("a file");
            contents.push(Content { id: sample.id, kind: Kind::Bytes, files: vec![at], layout });
        }
        World { samples, contents }
    }

    /// What could be done next.
    pub(crate) fn op(&self, model: &Model, rng: &mut fastrand::Rng) -> Op {
        let content = rng.usize(..self.contents.len());
        let chunks = self.contents[content].layout.chunks();
        let some = |rng: &mut fastrand::Rng| match rng.u8(..3) {
            0 => (0..chunks).map(Chunk).collect(),
            _ => (0..chunks).map(Chunk).filter(|_| rng.bool()).collect::<BTreeSet<Chunk>>(),
        };
        let is_kept = model.contains_key(&content);
        match is_kept && rng.u8(..5) < 2 {
            true => Op::Delete(content, some(rng)),
            false => Op::Keep(content, some(rng)),
        }
    }

    /// What should be kept after it.
    pub(crate) fn after(&self, model: &Model, op: &Op) -> Model {
        let mut model = model.clone();
        match op {
            Op::Keep(content, chunks) => model.entry(*content).or_default().extend(chunks),
            Op::Delete(content, chunks) => {
                let kept = model.entry(*content).or_default();
                kept.retain(|chunk| !chunks.contains(chunk));
            }
        }
        model.retain(|_, chunks| !chunks.is_empty());
        model
    }

    /// Does it, until it is on the disk.
    pub(crate) fn apply(&self, vault: &Vault, op: &Op) -> Result<(), VaultError> {
        match op {
            Op::Keep(content, chunks) => self.keep(vault, &self.contents[*content], chunks),
            Op::Delete(content, chunks) => {
                let Content { id, kind, layout, .. } = &self.contents[*content];
                vault.hear(OWNER)?;
                vault.delete(OWNER, *id, *kind, &set(layout.chunks(), chunks)).map(drop)
            }
        }
    }

    fn keep(&self, vault: &Vault, content: &Content, chunks: &BTreeSet<Chunk>) -> Result<(), VaultError> {
        if content.kind == Kind::Members {
            let listing = self.samples.iter().position(|sample| sample.id == content.id).expect("a listing");
            let chunks = self.samples[listing].geometry.chunks();
            if vault.serve(content.id, Kind::Listing).is_none_or(|listing| !listing.have().is_full()) {
                self.bring(vault, (content.id, Kind::Listing), &[listing], &ChunkSet::full(chunks))?;
            }
        }
        let wanted = set(content.layout.chunks(), chunks);
        self.bring(vault, (content.id, content.kind), &content.files, &wanted)
    }

    fn bring(
        &self,
        vault: &Vault,
        (id, kind): (FileId, Kind),
        files: &[usize],
        wanted: &ChunkSet,
    ) -> Result<(), VaultError> {
        let of = |file: &usize| (self.samples[*file].id, self.samples[*file].bytes.len() as u64);
        let mut lot = Lot::new(id, kind, files.iter().map(of).collect(), vec![])?;
        // Sometimes its hashes are known beforehand.
        for (at, file) in files.iter().enumerate().filter(|(_, file)| *file % 4 > 0) {
            lot.know(at, self.samples[*file].manifest.hashes().to_vec())?;
        }
        let grant = vault.reserve(lot, wanted)?;
        let new: Vec<Chunk> = wanted.iter().filter(|chunk| !grant.had().contains(*chunk)).collect();
        new.iter().try_for_each(|chunk| self.write(&grant, files, *chunk))?;
        vault.commit().map(drop)
    }

    fn write(&self, grant: &Grant, files: &[usize], chunk: Chunk) -> Result<(), VaultError> {
        let place = grant.lot().layout().place(chunk).expect("a chunk");
        let sample = &self.samples[files[place.file]];
        let (first, second) = sample.part(place).split_at(place.len as usize / 2);
        grant.write(place, 0, first)?;
        grant.write(place, first.len() as u64, second)?;
        grant.keep(place, sample.proof(place))
    }

    /// What is kept: each chunk of it right, at its place and with its proof.
    #[track_caller]
    pub(crate) fn kept(&self, vault: &Vault) -> Model {
        let mut model = Model::new();
        for Kept { id, kind, chunks } in vault.held() {
            let number = self.contents.iter().position(|content| (content.id, content.kind) == (id, kind));
            let content = &self.contents[number.expect("something that was kept")];
            let served = vault.serve(id, kind).expect("what is kept is served");
            for chunk in chunks.iter() {
                let place = content.layout.place(chunk).expect("a chunk of it");
                let sample = &self.samples[content.files[place.file]];
                let located =
                    served.locate(place).expect("the slab can be read").expect("the chunk is there");
                let mut bytes = vec![0; place.len as usize];
                located.file.read_exact_at(&mut bytes, located.offset).expect("the slot can be read");
                assert!(bytes == sample.part(place), "chunk {chunk} of {number:?} is wrong");
                let proof = served.proof(place).map(Arc::new);
                assert_eq!(proof, sample.proof(place), "chunk {chunk} of {number:?}");
            }
            model.insert(number.expect("found above"), chunks.iter().collect());
        }
        model.retain(|_, chunks| !chunks.is_empty());
        model
    }

    /// Fails unless slabs of so many bytes have what is kept, and nothing else: each chunk of a file once, or once for all
    /// versions that have it in common, listings too.
    #[track_caller]
    pub(crate) fn expect_slots(&self, bytes: u64, model: &Model) {
        let mut chunks = BTreeSet::new();
        for (number, kept) in model {
            let content = &self.contents[*number];
            for place in kept.iter().filter_map(|chunk| content.layout.place(*chunk)) {
                chunks.insert((content.files[place.file], place.chunk.get()));
            }
            let listing = self.samples.iter().position(|sample| sample.id == content.id).expect("its bytes");
            if content.kind == Kind::Members {
                chunks.extend((0..self.samples[listing].geometry.chunks()).map(|chunk| (listing, chunk)));
            }
        }
        let slot = |(file, chunk): &(usize, u32)| {
            let sample = &self.samples[*file];
            let index = sample.geometry.index(*chunk).expect("a chunk");
            let hash = sample.manifest.hashes()[*chunk as usize];
            (hash.0, sample.geometry.len(index).next_multiple_of(4096))
        };
        let most: u64 = chunks.iter().map(|chunk| slot(chunk).1).sum();
        let least: u64 = chunks.iter().map(slot).collect::<BTreeMap<_, _>>().values().sum();
        // A file in many parts takes a block to say where they are.
        let spare = 32 << 10;
        assert!((least..most + spare).contains(&bytes), "{bytes} bytes for {least} to {most}");
    }

    /// What is kept lies between what was acknowledged and what was begun then.
    #[track_caller]
    pub(crate) fn expect_between(&self, kept: &Model, before: &Model, after: &Model) {
        let none = BTreeSet::new();
        for number in 0..self.contents.len() {
            let of = |model: &'_ Model| model.get(&number).unwrap_or(&none).clone();
            let (kept, before, after) = (of(kept), of(before), of(after));
            let both: BTreeSet<Chunk> = before.intersection(&after).copied().collect();
            let either: BTreeSet<Chunk> = before.union(&after).copied().collect();
            assert!(kept.is_superset(&both), "of {number} there was {both:?}, and now {kept:?}");
            assert!(kept.is_subset(&either), "of {number} there can be {either:?}, and is {kept:?}");
        }
    }
}

fn set(len: u32, chunks: &BTreeSet<Chunk>) -> ChunkSet {
    let mut set = ChunkSet::empty(len);
    for chunk in chunks {
        set.insert(*chunk);
    }
    set
}

/// Opens a vault that this process had open before. A process that another test starts has all that is open here for the
/// moment until it is another program, the lock too.
#[track_caller]
pub(crate) fn open(path: &Path, quota: u64) -> Vault {
    let begun = Instant::now();
    loop {
        match Vault::open(path, quota) {
            Err(VaultError::Folder(OwnedError::Busy(_))) if begun.elapsed() < DEADLINE => {
                std::thread::sleep(Duration::from_millis(5));
            }
            opened => return opened.expect("the vault can be opened"),
        }
    }
}

/// What the disk has given to the slabs of a vault, and to all of it.
pub(crate) fn room(vault: &Path) -> (u64, u64) {
    let of = |entry: fs::DirEntry| {
        let is_slab = entry.path().extension().is_some_and(|ending| ending == "slab");
        (is_slab, entry.metadata().map_or(0, |metadata| metadata.blocks() * 512))
    };
    let inside: Vec<_> = fs::read_dir(vault).expect("a vault").flatten().map(of).collect();
    let folder = fs::metadata(vault).expect("a vault").blocks() * 512;
    let slabs = inside.iter().filter(|(is_slab, _)| *is_slab).map(|(_, bytes)| bytes).sum();
    (slabs, inside.iter().map(|(_, bytes)| bytes).sum::<u64>() + folder)
}
