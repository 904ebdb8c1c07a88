//! A connection to a source, with sources that answer as they should and as they should not.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;

use bytes::{Buf, BytesMut};
use tempfile::TempDir;

use super::connection;
use super::outcome::FetchEnd;
use super::underway::Transfer;
use crate::content::{
    Chunk, ChunkSet, FileId, Geometry, Looks, Manifest, PeerId, Proof, Run, SafeName, hash_chunk, proof_run,
};
use crate::net::tests::greeted;
use crate::net::{NetError, Session};
use crate::peer::config::Limits;
use crate::peer::disk::{Disk, Manner, Plan};
use crate::swarm::scheduler::MAX_CORRUPT;
use crate::wire::{
    ChunkHead, Common, ErrorCode, FromServer, HEADER_BYTES, List, Load, Message, Opened, RawHeader, Refusal,
    Refused, ServerHas, ToServer, View,
};

const CHUNK: usize = 1 << 16;

/// A file of so many chunks, but for the last byte, of sevens.
pub(super) struct Content {
    pub(super) id: FileId,
    pub(super) geometry: Geometry,
    manifest: Option<Manifest>,
}

impl Content {
    pub(super) fn new(chunks: usize) -> Content {
        let geometry = Geometry::of((chunks * CHUNK - 1) as u64).unwrap();
        let data = [7; CHUNK];
        let hash = |chunk| {
            let index = geometry.index(chunk).unwrap();
            hash_chunk(geometry, index, &data[..geometry.len(index) as usize])
        };
        let hashes: Vec<_> = (0..geometry.chunks()).map(hash).collect();
        if let [only] = hashes[..] {
            return Content { id: FileId(only.0), geometry, manifest: None };
        }
        let (manifest, id) = Manifest::new(geometry, hashes).unwrap();
        Content { id, geometry, manifest: Some(manifest) }
    }

    pub(super) fn len(&self, chunk: u32) -> usize {
        self.geometry.len(self.geometry.index(chunk).unwrap()) as usize
    }

    /// What proves a chunk.
    pub(super) fn proof(&self, chunk: u32) -> Proof {
        let run = proof_run(self.geometry, self.geometry.index(chunk).unwrap());
        self.manifest.as_ref().map_or_else(Proof::default, |manifest| manifest.prove(run).unwrap())
    }

    /// What proves a run.
    pub(super) fn prove(&self, run: std::ops::Range<u32>) -> Proof {
        self.manifest.as_ref().unwrap().prove(run).unwrap()
    }

    /// OPENED by who has these chunks.
    pub(super) fn opened(&self, have: &[u32]) -> Opened {
        let chunks = self.geometry.chunks();
        let have = (&ChunkSet::of(chunks, have)).into();
        Opened { size: self.geometry.size(), chunks, have, looks: None }
    }

    fn all(&self) -> Vec<u32> {
        (0..self.geometry.chunks()).collect()
    }
}

/// What a source says, one thing behind the other.
#[derive(Debug, Default)]
pub(super) struct Said(pub(super) BytesMut);

impl Said {
    pub(super) fn says(&mut self, request: u32, message: impl Into<FromServer>) -> &mut Said {
        message.into().put_frame(request, &mut self.0);
        self
    }

    pub(super) fn sends(&mut self, request: u32, chunk: u32, proof: Proof, data: &[u8]) -> &mut Said {
        ChunkHead { index: Chunk(chunk), proof }.put_frame(request, data.len(), &mut self.0);
        self.0.extend_from_slice(data);
        self
    }

    pub(super) fn refuses(&mut self, request: u32, reason: Refusal) -> &mut Said {
        self.says(request, Refused { reason })
    }
}

/// A connection to who has said all this, and says nothing more; and its other end.
pub(super) fn who_said(said: &Said) -> (Session<Arc<TcpStream>>, TcpStream) {
    let (session, far) = greeted(&said.0);
    far.shutdown(Shutdown::Write).unwrap();
    (session, far)
}

/// What a source answers as it should, that has these chunks.
fn honestly(content: &Content, have: &[u32], (request, asked): (u32, &ToServer), said: &mut Said) {
    match asked {
        ToServer::Open(_) => _ = said.says(request, content.opened(have)),
        ToServer::GetLoad(_) => {
            _ = said.says(request, Load { uploads: 0, downloads: 0, queued: 0, rate: None })
        }
        ToServer::GetChunk(get) => {
            for at in 0..u32::from(get.count) {
                let chunk = get.first.plus(at).0;
                said.sends(request + at, chunk, content.proof(chunk), &vec![7; content.len(chunk)]);
            }
        }
        _ => {}
    }
}

/// How a fetch went.
struct Fetched {
    end: Result<(), FetchEnd>,
    /// What the source was told and asked, in order.
    heard: Vec<(u32, ToServer)>,
    transfer: Transfer,
    folder: TempDir,
}

impl Fetched {
    fn is_done(&self) -> bool {
        self.transfer.is_over() && self.folder.path().join("x").exists()
    }

    fn heard_of(&self, label: &str) -> usize {
        self.heard.iter().filter(|(_, message)| message.label() == label).count()
    }

    /// What the source is said to have done.
    #[track_caller]
    fn unexpected(&self) -> &'static str {
        match &self.end {
            Err(FetchEnd::Net(NetError::Unexpected(what))) => what,
            other => panic!("{other:?}"),
        }
    }
}

/// Fetches a content from a source that answers so; false from it: it says nothing more.
fn fetch(content: &Content, mut answer: impl FnMut(u32, &ToServer, &mut Said) -> bool + Send) -> Fetched {
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan::file(content.id, content.geometry, "x").unwrap();
    let manner = Manner { force: false, noted: false, own: false, delete: false, told: true, fsync: false };
    let state = folder.path().join("state").join("x");
    let (disk, had) = Disk::open(plan, content.id, &state, folder.path(), manner).unwrap();
    let sets = (had, ChunkSet::full(content.geometry.chunks()));
    let name = SafeName::new("x").unwrap();
    let transfer = Transfer::new(content.id, View::Bytes, name, disk, sets, &Limits::default(), Vec::new());
    let (session, mut far) = greeted(&[]);
    let (end, heard) = std::thread::scope(|scope| {
        let serving = scope.spawn(move || {
            let (mut heard, mut arrived, mut answers) = (Vec::new(), BytesMut::new(), true);
            let mut block = [0; 4096];
            while let Ok(got @ 1..) = far.read(&mut block) {
                arrived.extend_from_slice(&block[..got]);
                while let Ok(Some(header)) = RawHeader::peek(&arrived)
                    && arrived.len() >= HEADER_BYTES + header.body_bytes
                {
                    arrived.advance(HEADER_BYTES);
                    let body = arrived.split_to(header.body_bytes).freeze();
                    let asked = ToServer::decode(header.id, body).unwrap();
                    let mut said = Said::default();
                    let goes_on = answers && answer(header.request, &asked, &mut said);
                    if answers && (far.write_all(&said.0).is_err() || !goes_on) {
                        let _ = far.shutdown(Shutdown::Write); // it may be over already
                        answers = false;
                    }
                    heard.push((header.request, asked));
                }
            }
            heard
        });
        let end = connection::run(&transfer, session, "h:1");
        (end, serving.join().unwrap())
    });
    Fetched { end, heard, transfer, folder }
}

/// The same from one that has all of it, and answers what it is asked for chunks otherwise.
fn fetch_chunks(content: &Content, mut answer: impl FnMut(u32, u32, &mut Said) + Send) -> Fetched {
    fetch(content, |request, asked, said| {
        match asked {
            ToServer::GetChunk(get) => {
                (0..u32::from(get.count)).for_each(|at| answer(request + at, get.first.plus(at).0, said));
            }
            other => honestly(content, &content.all(), (request, other), said),
        }
        true
    })
}

#[test]
fn all_of_it_comes_from_who_has_it_and_then_it_is_left() {
    for chunks in [1, 2, 4, 40] {
        let content = Content::new(chunks);
        let fetched = fetch(&content, |request, asked, said| {
            if let ToServer::GetChunk(get) = asked
                && get.first == crate::wire::ANY_CHUNK
            {
                said.refuses(request, Refusal::NothingBetter);
                return true;
            }
            honestly(&content, &content.all(), (request, asked), said);
            true
        });
        assert!(fetched.end.is_ok() && fetched.is_done(), "{chunks}: {:?}", fetched.end);
        let bytes = std::fs::read(fetched.folder.path().join("x")).unwrap();
        assert!(bytes == vec![7; chunks * CHUNK - 1]);
        assert_eq!(fetched.heard.last().map(|(_, last)| last.label()), Some("LEAVE"));
        assert_eq!((fetched.heard_of("OPEN"), fetched.heard_of("CORRUPT")), (1, 0));
        assert_eq!(fetched.transfer.ledger.view().useful, bytes.len() as u64);
    }
}

#[test]
fn who_sends_what_does_not_prove_is_told_each_time_and_left_in_the_end() {
    let content = Content::new(2);
    let wrong = fetch_chunks(&content, |request, chunk, said| {
        said.sends(request, chunk, content.proof(chunk), &vec![8; content.len(chunk)]);
    });
    let unproved = fetch_chunks(&content, |request, chunk, said| {
        said.sends(request, chunk, Proof::default(), &vec![7; content.len(chunk)]);
    });
    for (what, fetched) in [("wrong bytes", wrong), ("no proof", unproved)] {
        assert!(matches!(fetched.end, Err(FetchEnd::Lied(_))), "{what}: {:?}", fetched.end);
        // What was under way when it was left did not prove either.
        assert!((MAX_CORRUPT..=MAX_CORRUPT + 1).contains(&(fetched.heard_of("CORRUPT") as u32)), "{what}");
        assert!(!fetched.is_done() && fetched.transfer.sources.gave_only_wrong_bytes());
        let ledger = fetched.transfer.ledger.view();
        assert!(ledger.useful == 0 && ledger.rejected >= (CHUNK - 1) as u64, "{what}");
    }
}

#[test]
fn what_cannot_be_the_chunk_that_was_asked_for_ends_the_connection_at_once() {
    let content = Content::new(2);
    let other = |chunk: u32| 1 - chunk;
    let another = fetch_chunks(&content, |request, chunk, said| {
        said.sends(request, other(chunk), content.proof(0), &vec![7; content.len(other(chunk))]);
    });
    let shorter = fetch_chunks(&content, |request, chunk, said| {
        said.sends(request, chunk, content.proof(0), &vec![7; content.len(chunk) - 1]);
    });
    let nowhere = fetch_chunks(&content, |request, _, said| {
        said.sends(request, 2, content.proof(0), &[7; CHUNK]);
    });
    for (what, fetched) in [("another", another), ("shorter", shorter), ("nowhere", nowhere)] {
        assert!(matches!(fetched.end, Err(FetchEnd::Lied(Chunk(..2)))), "{what}: {:?}", fetched.end);
        assert!(!fetched.is_done() && fetched.heard_of("CORRUPT") == 0, "{what}");
    }
}

#[test]
fn what_nobody_asked_for_ends_the_connection() {
    let content = Content::new(2);
    let says = |message: fn(&Content) -> FromServer| {
        let said = move |content: &Content, request, asked: &ToServer, said: &mut Said| {
            honestly(content, &[], (request, asked), said); // nothing is asked for
            if matches!(asked, ToServer::Open(_)) {
                said.says(99, message(content));
            }
            true
        };
        fetch(&content, |request, asked, into| said(&content, request, asked, into))
    };
    assert_eq!(says(|_| Refused { reason: Refusal::Busy }.into()).unexpected(), "REFUSED");
    assert_eq!(says(|content| content.opened(&[0]).into()).unexpected(), "OPENED");
    let manifest = |content: &Content| crate::wire::Manifest { proof: content.proof(0) }.into();
    assert_eq!(says(manifest).unexpected(), "MANIFEST");
    let chunk = fetch(&content, |request, asked, said| {
        honestly(&content, &[], (request, asked), said);
        if matches!(asked, ToServer::Open(_)) {
            said.sends(99, 0, content.proof(0), &[7; CHUNK]);
        }
        true
    });
    assert_eq!(chunk.unexpected(), "CHUNK");
    let left = says(|_| Common::Leave.into());
    assert!(matches!(left.end, Err(FetchEnd::Net(NetError::Closed))), "{:?}", left.end);
}

#[test]
fn an_error_of_no_request_is_the_end_and_one_of_a_request_is_asked_again() {
    let content = Content::new(2);
    let ends = fetch(&content, |request, asked, said| {
        honestly(&content, &[], (request, asked), said);
        if matches!(asked, ToServer::Open(_)) {
            said.says(0, Common::error(ErrorCode::Stopping, "bye"));
        }
        true
    });
    assert!(matches!(ends.end, Err(FetchEnd::Net(NetError::Refused { .. }))), "{:?}", ends.end);
    let mut failed = 0;
    let again = fetch_chunks(&content, |request, chunk, said| {
        failed += 1;
        match failed {
            1 => said.says(request, Common::error(ErrorCode::Limit, "too much to do")),
            _ => said.sends(request, chunk, content.proof(chunk), &vec![7; content.len(chunk)]),
        };
        said.says(7, Common::Ping);
    });
    // What was refused is not asked for again before the driver looks: all else came.
    drop(again.transfer.take_missing());
    assert!(again.heard.contains(&(7, Common::Pong.into())), "a sign of life is given meanwhile");
}

#[test]
fn who_does_not_open_the_very_content_is_no_source() {
    let content = Content::new(2);
    let opens = |opened: fn(&Content) -> Result<Opened, Refusal>| {
        fetch(&content, |request, asked, said| {
            match (asked, opened(&content)) {
                (ToServer::Open(_), Ok(opened)) => said.says(request, opened),
                (ToServer::Open(_), Err(reason)) => said.refuses(request, reason),
                _ => said,
            };
            true
        })
    };
    for (what, opened) in [
        ("size", (|content| Ok(Opened { size: 5, ..content.opened(&[0]) })) as fn(&Content) -> _),
        ("chunks", |content| Ok(Opened { chunks: 3, ..content.opened(&[0]) })),
        ("set", |content| Ok(Opened { have: (&ChunkSet::of(9, &[0])).into(), ..content.opened(&[0]) })),
    ] {
        let fetched = opens(opened);
        assert!(matches!(fetched.end, Err(FetchEnd::Geometry)), "{what}: {:?}", fetched.end);
        assert_eq!(fetched.heard_of("GET_CHUNK"), 0, "{what}");
        assert!(fetched.transfer.sources.all().is_empty(), "{what}");
    }
    let refused = opens(|_| Err(Refusal::NotHere));
    assert!(matches!(refused.end, Err(FetchEnd::Refused(Refusal::NotHere))), "{:?}", refused.end);
}

#[test]
fn what_a_source_said_it_had_and_refuses_is_told_of_and_not_asked_again() {
    let content = Content::new(4);
    let fetched = fetch(&content, |request, asked, said| match asked {
        ToServer::GetChunk(get) => {
            (0..u32::from(get.count)).for_each(|at| _ = said.refuses(request + at, Refusal::NotHere));
            said.0.len() < 4 * 10 // it has refused all of them at once
        }
        other => {
            honestly(&content, &content.all(), (request, other), said);
            true
        }
    });
    assert!(!fetched.is_done());
    let missing = fetched.transfer.take_missing();
    let chunks: std::collections::BTreeSet<Chunk> = missing.iter().map(|(_, chunk)| *chunk).collect();
    assert!(!missing.is_empty() && missing.len() == chunks.len(), "each once: {missing:?}");
}

#[test]
fn what_a_source_gains_is_asked_for_and_its_mode_and_time_once_more() {
    let content = Content::new(3);
    let mut opened = 0;
    let looks = Looks { mode: 0o640, mtime_ns: 1_000_000_000_000_000_000 };
    let fetched = fetch(&content, |request, asked, said| {
        match asked {
            ToServer::Open(open) => {
                opened += 1;
                let all = opened > 1;
                let have = if all { content.all() } else { vec![1] };
                let looks = all.then_some(looks);
                assert_eq!(open.slot, u16::from(all));
                said.says(request, Opened { looks, ..content.opened(&have) });
                if !all {
                    let gained = List::new(vec![Run::new(Chunk(0), 1), Run::new(Chunk(2), 1)]);
                    said.says(0, ServerHas { slot: 0, gained });
                }
            }
            other => honestly(&content, &content.all(), (request, other), said),
        }
        true
    });
    assert!(fetched.end.is_ok() && fetched.is_done(), "{:?}", fetched.end);
    assert_eq!((fetched.heard_of("OPEN"), fetched.heard_of("CLOSE")), (2, 1));
    let metadata = fetched.folder.path().join("x").metadata().unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::mtime(&metadata), 1_000_000_000);
}

#[test]
fn who_tells_of_more_than_there_is_is_left() {
    let content = Content::new(2);
    let fetched = fetch(&content, |request, asked, said| {
        honestly(&content, &[], (request, asked), said);
        if matches!(asked, ToServer::Open(_)) {
            let gained = || List::new(vec![Run::new(Chunk(0), 1)]);
            (0..10_000).for_each(|_| _ = said.says(0, ServerHas { slot: 0, gained: gained() }));
        }
        true
    });
    assert_eq!(fetched.unexpected(), "HAVE of more chunks than there are");
    let elsewhere = fetch(&content, |request, asked, said| {
        honestly(&content, &[], (request, asked), said);
        if matches!(asked, ToServer::Open(_)) {
            // Of a slot that is not open: it concerns nobody.
            said.says(0, ServerHas { slot: 5, gained: List::new(vec![Run::new(Chunk(0), 2)]) });
            said.says(0, Common::Leave);
        }
        true
    });
    assert_eq!(elsewhere.heard_of("GET_CHUNK"), 0);
    let known = elsewhere.transfer.sources.all();
    assert_eq!((known.len(), known[0].0.peer == PeerId([0; 16]), known[0].2), (1, false, false));
}
