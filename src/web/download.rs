//! Bytes for a browser: a file, a folder as a ZIP, whether they are here, on its way here, or fetched for who reads them. Each chunk is proved before any of it is
//! sent. What comes from the swarm is hostile: it is saved, never shown or run.

use std::io;
use std::ops::Range;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{ACCEPT_RANGES, CONTENT_RANGE, ETAG, HeaderValue};

use super::answer::{Answer, Problem, Source};
use super::bring;
use super::drive::Clock;
use super::passing::{self, Opened, Reader};
use super::request::Asked;
use super::site::Site;
use super::zip::{self, Entry};
use crate::content::{FileId, SafeName};
use crate::peer::{Member, ReadError, Reading};

/// How often it is looked whether a chunk is here that is on its way.
const LOOK: Duration = Duration::from_millis(100);
/// How long one is waited for.
const PATIENCE: Duration = Duration::from_secs(120);

/// `GET /contents/{id}/data`: what is not here is fetched first, for who reads it.
pub(super) fn data(site: &Site, asked: &Asked) -> Result<Answer, Problem> {
    let id = asked.place(0).parse().map_err(|_| Problem::bad("an id has 64 hexadecimal digits"))?;
    content(site, asked, id, asked.value("name").and_then(|name| SafeName::new(name).ok()))
}

/// The bytes of a content, to be saved under this name.
pub(super) fn content(
    site: &Site,
    asked: &Asked,
    id: FileId,
    name: Option<SafeName>,
) -> Result<Answer, Problem> {
    let peer = site.peer()?;
    let called = peer.calls(id);
    let joined = site.passing.join(id);
    let is_folder = joined.as_ref().is_some_and(|reader| reader.is_folder)
        || called.as_ref().is_some_and(|name| name.ends_with('/'));
    let (reader, opened) = match passing::open(peer, id, is_folder) {
        Some(opened) => (joined, opened),
        None if called.is_some() => {
            return Err(Problem::conflict("its listing is not here yet; try in a moment").after(1));
        }
        None => bring::bring(site, id).map(|(reader, opened)| (Some(reader), opened))?,
    };
    let name = name.or_else(|| called.and_then(|name| SafeName::new(name).ok()));
    let base =
        name.as_ref().map_or_else(|| id.to_string(), |name| name.base().trim_end_matches('/').to_owned());
    match opened {
        Opened::File(reading) => file(asked, id, reading, reader, &base),
        Opened::Folder(reading, files) => Ok(folder(asked, (reading, files), reader, &base)),
    }
}

/// A file, or the part of it that is asked for.
fn file(
    asked: &Asked,
    id: FileId,
    reading: Reading,
    reader: Option<Reader>,
    base: &str,
) -> Result<Answer, Problem> {
    let (size, tag) = (reading.size(), format!("\"{id}\""));
    let is_same = asked.header("if-range").is_none_or(|known| known == tag);
    let wanted = asked.header("range").filter(|_| is_same).map_or(Ok(None), |range| part(range, size));
    let Ok(wanted) = wanted else {
        let problem = Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, "range", "the file has no such bytes");
        return Ok(Answer::from(problem).with_text(CONTENT_RANGE, &format!("bytes */{size}")));
    };
    let range = wanted.clone().unwrap_or(0..size);
    let wait = Wait::new(asked.clock.clone(), reader);
    let source = FileSource { reading, range: range.clone(), wait };
    let answer = Answer::of("application/octet-stream", Bytes::new()).streams(source).with_text(ETAG, &tag);
    let answer = answer.with(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let answer = match wanted {
        None => answer,
        Some(Range { start, end }) => {
            let told = format!("bytes {start}-{}/{size}", end.saturating_sub(1));
            answer.status(StatusCode::PARTIAL_CONTENT).with_text(CONTENT_RANGE, &told)
        }
    };
    Ok(answer.attachment(base))
}

/// A range of bytes that is asked for; none for all: several ranges, and what is no range of bytes, are all.
fn part(range: &str, size: u64) -> Result<Option<Range<u64>>, ()> {
    let Some((from, to)) = range.strip_prefix("bytes=").and_then(|range| range.split_once('-')) else {
        return Ok(None);
    };
    let wanted = match (from.trim().parse::<u64>(), to.trim().parse::<u64>()) {
        (Ok(from), Ok(to)) if to >= from => from..to.saturating_add(1).min(size),
        (Ok(from), Err(_)) if to.trim().is_empty() => from..size,
        (Err(_), Ok(last)) if from.trim().is_empty() => size.saturating_sub(last)..size,
        _ => return Ok(None),
    };
    if wanted.start < wanted.end { Ok(Some(wanted)) } else { Err(()) }
}

/// The folder as a ZIP.
fn folder(
    asked: &Asked,
    (reading, files): (Reading, Vec<Member>),
    reader: Option<Reader>,
    base: &str,
) -> Answer {
    let entry = |member: &Member| Entry { path: format!("{base}/{}", member.path.path()), size: member.size };
    let entries: Vec<Entry> = files.iter().map(entry).collect();
    let left = zip::size(&entries);
    let numbers = files.into_iter().map(|member| member.file).collect();
    let wait = Wait::new(asked.clock.clone(), reader);
    let source = ZipSource { reading, entries, numbers, checks: Vec::new(), open: None, left, wait };
    let answer = Answer::of("application/zip", Bytes::new()).streams(source);
    answer.attachment(&format!("{base}.zip"))
}

/// A wait for what is on its way.
struct Wait {
    clock: Clock,
    since: Option<Instant>,
    /// As long as this is here, what passes through stays.
    _reader: Option<Reader>,
}

impl Wait {
    fn new(clock: Clock, reader: Option<Reader>) -> Wait {
        Wait { clock, since: None, _reader: reader }
    }

    /// Bytes, or a wait for them that ends at some time.
    fn take(&mut self, read: Result<Vec<u8>, ReadError>) -> Poll<Option<io::Result<Bytes>>> {
        match read {
            Ok(bytes) => {
                self.since = None;
                Poll::Ready(Some(Ok(bytes.into())))
            }
            Err(ReadError::NotYet) if self.since.is_none_or(|since| since.elapsed() < PATIENCE) => {
                let now = Instant::now();
                self.since.get_or_insert(now);
                self.clock.by(now + LOOK);
                Poll::Pending
            }
            Err(error) => Poll::Ready(Some(Err(io::Error::other(error.to_string())))),
        }
    }
}

/// A part of a file.
struct FileSource {
    reading: Reading,
    range: Range<u64>,
    wait: Wait,
}

impl Source for FileSource {
    fn next(&mut self, _: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if self.range.is_empty() {
            return Poll::Ready(None);
        }
        let left = self.range.end - self.range.start;
        let read = self.reading.read(0, self.range.start).map(|mut bytes| {
            bytes.truncate(left.min(bytes.len() as u64) as usize);
            bytes
        });
        if let Ok(bytes) = &read {
            self.range.start += bytes.len() as u64;
        }
        self.wait.take(read)
    }

    fn left(&self) -> Option<u64> {
        Some(self.range.end - self.range.start)
    }
}

/// The files of a folder, one after the other.
struct ZipSource {
    reading: Reading,
    entries: Vec<Entry>,
    /// Which file of the folder's content each entry is.
    numbers: Vec<usize>,
    checks: Vec<u32>,
    /// Of the file that is being sent: where its next bytes are, and the check of those before.
    open: Option<(u64, crc32fast::Hasher)>,
    left: u64,
    wait: Wait,
}

impl ZipSource {
    /// The next piece; there is always one before nothing is left.
    fn piece(&mut self) -> Result<Vec<u8>, ReadError> {
        let number = self.checks.len();
        let Some((entry, file)) = self.entries.get(number).zip(self.numbers.get(number)) else {
            return Ok(zip::end(&self.entries, &self.checks));
        };
        let Some((at, check)) = &mut self.open else {
            self.open = Some((0, crc32fast::Hasher::new()));
            return Ok(entry.head());
        };
        if *at == entry.size {
            let check = check.clone().finalize();
            self.checks.push(check);
            self.open = None;
            return Ok(entry.tail(check));
        }
        let bytes = self.reading.read(*file, *at)?;
        *at += bytes.len() as u64;
        check.update(&bytes);
        Ok(bytes)
    }
}

impl Source for ZipSource {
    fn next(&mut self, _: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let piece = self.piece();
        if let Ok(piece) = &piece {
            self.left = self.left.saturating_sub(piece.len() as u64);
        }
        self.wait.take(piece)
    }

    fn left(&self) -> Option<u64> {
        Some(self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_within_the_file() {
        for (range, wanted) in [
            ("bytes=0-0", Ok(Some(0..1))),
            ("bytes=5-", Ok(Some(5..10))),
            ("bytes=-3", Ok(Some(7..10))),
            ("bytes=-30", Ok(Some(0..10))),
            ("bytes=8-99", Ok(Some(8..10))),
            ("bytes=10-", Err(())),
            ("bytes=-0", Err(())),
            ("bytes=5-4", Ok(None)),
            ("bytes=0-1,3-4", Ok(None)),
            ("lines=1-2", Ok(None)),
        ] {
            assert_eq!(part(range, 10), wanted, "{range}");
        }
    }
}
