//! Asks holders for the chunk hashes of files of a content, and proves them. No chunk is moved.
//!
//! Who has all of a file tells all of its hashes at once. Who has a part of it, as a store does, knows the proofs of the
//! runs that this lies in: they are asked for run by run, many at a time, and several holders together know them all.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use crate::content::{ChunkHash, FileId, Geometry, Looks, Manifest, PROOF_RUN, PeerId, Proof};
use crate::net::trace::Side;
use crate::net::{self, Identity, Messages, NetError};
use crate::wire::limits::MAX_PROOF_RUN;
use crate::wire::{Common, FromServer, GetManifest, Open, Refusal, Role, ToServer, View};

/// The one content of the connection.
const SLOT: u16 = 0;
/// A holder may be silent for so long.
const PATIENCE: Duration = Duration::from_secs(5);
/// Runs that are asked for before the answers are read.
const WINDOW: usize = 32;

/// A file of a content: its number in the view, and what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::peer) struct Listed {
    pub(in crate::peer) file: usize,
    pub(in crate::peer) id: FileId,
    pub(in crate::peer) geometry: Geometry,
}

/// The chunk hashes of a file of more than one chunk, as far as they are proved.
#[derive(Debug)]
pub(in crate::peer) struct Hashes {
    pub(in crate::peer) listed: Listed,
    /// Of runs of [`PROOF_RUN`] chunks, by the first.
    runs: BTreeMap<u32, Vec<ChunkHash>>,
}

impl Hashes {
    pub(in crate::peer) fn new(listed: Listed) -> Hashes {
        Hashes { listed, runs: BTreeMap::new() }
    }

    /// The hashes themselves, if all are known.
    pub(in crate::peer) fn manifest(&self) -> Option<Manifest> {
        let Listed { id, geometry, .. } = self.listed;
        let hashes: Vec<ChunkHash> = self.runs.values().flatten().copied().collect();
        if hashes.len() as u64 != u64::from(geometry.chunks()) {
            return None;
        }
        Manifest::new(geometry, hashes).ok().filter(|(_, merged)| *merged == id).map(|(manifest, _)| manifest)
    }

    /// The runs that all of it is asked for in, if nothing is known and it is more than one.
    fn at_once(&self) -> Vec<Range<u32>> {
        let chunks = self.listed.geometry.chunks();
        let firsts = (0..chunks).step_by(MAX_PROOF_RUN);
        let firsts = firsts.filter(|_| self.runs.is_empty() && chunks > PROOF_RUN);
        firsts.map(|first| first..chunks.min(first + MAX_PROOF_RUN as u32)).collect()
    }

    fn missing(&self) -> Vec<Range<u32>> {
        let chunks = self.listed.geometry.chunks();
        let firsts = (0..chunks).step_by(PROOF_RUN as usize);
        let missing = firsts.filter(|first| !self.runs.contains_key(first));
        missing.map(|first| first..(first + PROOF_RUN).min(chunks)).collect()
    }

    /// Takes in what proves the hashes of a run; false if it does not.
    fn learn(&mut self, run: &Range<u32>, proof: &Proof) -> bool {
        let Listed { id, geometry, .. } = self.listed;
        let proved = proof.run() == *run && proof.check(id, geometry).is_ok();
        if proved {
            let parts = proof.hashes.chunks(PROOF_RUN as usize);
            let firsts = (run.start..).step_by(PROOF_RUN as usize);
            self.runs.extend(firsts.zip(parts.map(<[ChunkHash]>::to_vec)));
        }
        proved
    }
}

/// A connection to a holder that has the content.
pub(in crate::peer) struct Holder {
    messages: Messages<FromServer, ToServer>,
    /// Mode and time of a single file, as it says.
    pub(in crate::peer) looks: Option<Looks>,
}

/// Runs of each of these files, with the place of the file.
fn runs_of(files: &[Hashes], runs: impl Fn(&Hashes) -> Vec<Range<u32>>) -> Vec<(usize, Range<u32>)> {
    let all = files.iter().enumerate();
    all.flat_map(|(at, hashes)| runs(hashes).into_iter().map(move |run| (at, run))).collect()
}

impl Holder {
    /// Opens the content at the peer that is to be found at one of these addresses.
    ///
    /// # Errors
    /// When the holder cannot be reached, or does not have it.
    pub(in crate::peer) fn open(
        me: &Identity,
        peer: (PeerId, &[SocketAddr]),
        (id, view): (FileId, View),
    ) -> Result<Holder, NetError> {
        let (session, _) = net::reach(peer, (me, Role::Ask), Side::Fetch, &mut |_| true)?;
        let mut messages = Messages::new(session, Side::Fetch);
        messages.set_timeout(Some(PATIENCE))?;
        match messages.call(&Open { slot: SLOT, id, view }.into())? {
            FromServer::Opened(opened) => Ok(Holder { messages, looks: opened.looks }),
            other => Err(refused(other)),
        }
    }

    /// Asks for what is missing of files' hashes: all of it, or what this holder knows. They do not wait for each other's.
    ///
    /// # Errors
    /// When the holder does not answer, or what it says is not so; what was told before is known.
    pub(in crate::peer) fn tell_all(&mut self, files: &mut [Hashes]) -> Result<(), NetError> {
        // Who has a part of a file refuses these.
        for runs in runs_of(files, Hashes::at_once).chunks(WINDOW) {
            self.ask(files, runs)?;
        }
        for runs in runs_of(files, Hashes::missing).chunks(WINDOW) {
            self.ask(files, runs)?;
        }
        Ok(())
    }

    /// Asks for runs of hashes of files, all at once.
    fn ask(&mut self, files: &mut [Hashes], runs: &[(usize, Range<u32>)]) -> Result<(), NetError> {
        let mut asked = BTreeMap::new();
        for (at, run) in runs {
            let (file, first, count) = (files[*at].listed.file as u32, run.start, run.len() as u32);
            let get = GetManifest { slot: SLOT, file, first, count };
            asked.insert(self.messages.request(&get.into())?, (*at, run));
        }
        while !asked.is_empty() {
            let (request, answer) = self.messages.receive()?;
            let (at, run) =
                asked.remove(&request).ok_or(NetError::Unexpected("an answer that nobody waits for"))?;
            match answer {
                FromServer::Manifest(answer) if files[at].learn(run, &answer.proof) => {}
                FromServer::Manifest(_) => return Err(NetError::Unexpected("MANIFEST of something else")),
                FromServer::Refused(refused) if refused.reason == Refusal::NotYet => {}
                other => return Err(refused(other)),
            }
        }
        Ok(())
    }

    /// Says that no more is wanted.
    pub(in crate::peer) fn leave(mut self) {
        let _ = self.messages.send(0, &Common::Leave.into());
    }
}

/// What was answered instead.
fn refused(answer: FromServer) -> NetError {
    use crate::wire::Message;
    match answer {
        FromServer::Common(Common::Error(error)) => error.into(),
        FromServer::Refused(_) => NetError::Closed,
        other => NetError::Unexpected(other.label()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::hash_chunk;
    use crate::peer::transfer::tests::{Content, Said, who_said};

    #[test]
    fn what_several_holders_tell_is_put_together_and_nothing_else_is_believed() {
        let bytes = vec![7; 40 << 16];
        let geometry = Geometry::of(bytes.len() as u64).unwrap();
        let hash = |chunk| hash_chunk(geometry, geometry.index(chunk).unwrap(), &bytes[..1 << 16]);
        let (manifest, id) = Manifest::new(geometry, (0..40).map(hash).collect()).unwrap();
        let mut hashes = Hashes::new(Listed { file: 0, id, geometry });
        assert_eq!(hashes.missing(), [0..16, 16..32, 32..40]);
        let prove = |run: Range<u32>| manifest.prove(run).unwrap();
        assert!(hashes.learn(&(16..32), &prove(16..32)));
        assert!(!hashes.learn(&(0..16), &prove(16..32)), "of another run");
        let mut wrong = prove(32..40);
        wrong.hashes[3] = ChunkHash([1; 32]);
        assert!(!hashes.learn(&(32..40), &wrong));
        assert_eq!(hashes.missing(), [0..16, 32..40]);
        assert!(hashes.manifest().is_none());
        assert!(hashes.learn(&(32..40), &prove(32..40)) && hashes.learn(&(0..16), &prove(0..16)));
        assert_eq!(hashes.manifest().unwrap().hashes(), manifest.hashes());
        // All at once.
        let mut hashes = Hashes::new(Listed { file: 0, id, geometry });
        assert!(hashes.learn(&(0..40), &prove(0..40)));
        assert!(hashes.missing().is_empty() && hashes.manifest().is_some());
    }

    /// A holder that has said all this, and where to hear what it is asked.
    fn holder(said: &Said) -> (Holder, std::net::TcpStream) {
        let (session, far) = who_said(said);
        (Holder { messages: Messages::new(session, Side::Fetch), looks: None }, far)
    }

    fn hashes(file: usize, content: &Content) -> Hashes {
        Hashes::new(Listed { file, id: content.id, geometry: content.geometry })
    }

    #[test]
    fn who_has_all_tells_all_at_once_and_who_has_a_part_run_by_run() {
        let (large, small) = (Content::new(40), Content::new(5));
        let mut files = [hashes(0, &large), hashes(3, &large), hashes(4, &small)];
        let mut said = Said::default();
        let manifest = |content: &Content, run| crate::wire::Manifest { proof: content.prove(run) };
        said.says(1, manifest(&large, 0..40)).refuses(2, Refusal::NotYet);
        // Of the second file two runs of three; in whatever order.
        said.says(5, manifest(&large, 32..40)).says(6, manifest(&small, 0..5));
        said.refuses(3, Refusal::NotYet).says(4, manifest(&large, 16..32));
        let (mut one, _far) = holder(&said);
        one.tell_all(&mut files).unwrap();
        let known = files.each_ref().map(|hashes| hashes.manifest().is_some());
        assert_eq!(known, [true, false, true]);
        assert!(files[1].missing().into_iter().flatten().eq(0..16));
        let mut said = Said::default();
        said.says(1, manifest(&large, 0..16));
        let (mut other, _far) = holder(&said);
        other.tell_all(&mut files[1..2]).unwrap();
        assert!(files[1].manifest().is_some(), "the rest of it");
    }

    #[test]
    fn a_holder_that_says_what_is_not_so_or_what_nobody_asked_is_told_from_one_that_ends() {
        let content = Content::new(5);
        let told = |said: &Said| {
            let (mut holder, _far) = holder(said);
            holder.tell_all(&mut [hashes(0, &content)])
        };
        let mut wrong = content.prove(0..5);
        wrong.hashes[4] = ChunkHash([9; 32]);
        let manifest = |proof| crate::wire::Manifest { proof };
        let odd = told(Said::default().says(1, manifest(wrong)));
        assert!(matches!(odd, Err(NetError::Unexpected("MANIFEST of something else"))), "{odd:?}");
        let odd = told(Said::default().says(9, manifest(content.prove(0..5))));
        assert!(matches!(odd, Err(NetError::Unexpected("an answer that nobody waits for"))), "{odd:?}");
        let other = told(Said::default().says(1, Common::Ok));
        assert!(matches!(other, Err(NetError::Unexpected("OK"))), "{other:?}");
        for refusal in [Refusal::NotHere, Refusal::Gone] {
            assert!(matches!(told(Said::default().refuses(1, refusal)), Err(NetError::Closed)));
        }
        assert!(matches!(told(&Said::default()), Err(NetError::Closed)));
    }
}
