//! Files that a browser brings, in parts and with resume: tus 1.0.0 (<https://tus.io/protocols/resumable-upload>), its core
//! with creation and termination. What has come lies in the peer's state folder until all of it is there; then it gets its
//! name in the shared folder, and is shared.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use data_encoding::BASE64;
use http_body_util::BodyExt;
use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, LOCATION};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::answer::{Answer, Problem};
use super::request::Asked;
use super::site::{Site, secret};
use crate::content::SafeName;

/// The folder in the peer's state.
const FOLDER: &str = "uploads";
/// Uploads that are not done, at a time.
const MAX_UPLOADS: usize = 32;
/// One that nobody goes on with is given up after so long.
const GIVEN_UP: Duration = Duration::from_secs(7 * 86_400);
/// Names that are tried in the shared folder when the first is taken.
const MAX_NAMES: u32 = 1_000;
const VERSION: &str = "1.0.0";
const OFFSET: HeaderName = HeaderName::from_static("upload-offset");
const LENGTH: HeaderName = HeaderName::from_static("upload-length");
const RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");

/// What is known of an upload from its beginning.
#[derive(Debug, Serialize, Deserialize)]
struct Plan {
    name: String,
    length: u64,
}

/// An upload that is not done.
struct Upload {
    id: String,
    part: PathBuf,
    plan: PathBuf,
}

impl Upload {
    fn new(folder: &Path, id: &str) -> Upload {
        let at = |end: &str| folder.join(format!("{id}.{end}"));
        Upload { id: id.to_owned(), part: at("part"), plan: at("json") }
    }

    fn end(&self) {
        let _ = fs::remove_file(&self.part); // it may have its name already
        let _ = fs::remove_file(&self.plan);
    }
}

fn failed(error: &io::Error) -> Problem {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Problem::new(StatusCode::INSUFFICIENT_STORAGE, "full", "there is no room on the disk")
        }
        _ => Problem::internal(format!("what was uploaded cannot be kept: {error}")),
    }
}

/// The folder of uploads, made if need be.
fn folder(site: &Site) -> Result<PathBuf, Problem> {
    let state = site.peer()?.state().map(Path::to_owned);
    let none = || Problem::conflict("this peer shares no folder to upload into");
    let folder = state.ok_or_else(none)?.join(FOLDER);
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
    made.map(|()| folder).map_err(|error| failed(&error))
}

/// The upload of the id in the path.
fn one(site: &Site, asked: &Asked) -> Result<(Upload, Plan), Problem> {
    let id = asked.place(0);
    let missing = || Problem::missing("there is no such upload, or it is done");
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(missing());
    }
    let upload = Upload::new(&folder(site)?, id);
    let plan = fs::read(&upload.plan).map_err(|_| missing())?;
    Ok((upload, serde_json::from_slice(&plan).map_err(|_| missing())?))
}

fn told(status: StatusCode) -> Answer {
    Answer::empty(status).with(RESUMABLE, HeaderValue::from_static(VERSION))
}

/// A value of `Upload-Metadata`: pairs of a key and Base64, with commas between them.
fn metadata(header: &str, key: &str) -> Option<String> {
    let pairs = header.split(',').filter_map(|pair| pair.trim().split_once(' '));
    let value = pairs.into_iter().find(|(name, _)| *name == key)?.1;
    String::from_utf8(BASE64.decode(value.trim().as_bytes()).ok()?).ok()
}

/// `POST /uploads`
pub(super) fn create(site: &Site, asked: &Asked) -> Result<Answer, Problem> {
    let length = asked.header("upload-length").and_then(|length| length.parse::<u64>().ok());
    let length = length.ok_or_else(|| Problem::bad("`Upload-Length` says how many bytes it has"))?;
    let name = metadata(asked.header("upload-metadata").unwrap_or_default(), "filename");
    let name = name.ok_or_else(|| Problem::bad("`Upload-Metadata` has the `filename`"))?;
    let name = SafeName::new(name).map_err(|error| Problem::bad(format!("no name for a file: {error}")))?;
    if name.is_tree() {
        return Err(Problem::bad("a file is uploaded, not a folder"));
    }
    let folder = folder(site)?;
    sweep(&folder);
    let count = fs::read_dir(&folder).map_err(|error| failed(&error))?.count() / 2;
    if count >= MAX_UPLOADS {
        return Err(Problem::conflict("too many uploads are not done; end one first"));
    }
    let upload = Upload::new(&folder, &secret()[..24]);
    let plan = Plan { name: name.as_str().to_owned(), length };
    let write = || -> io::Result<()> {
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&upload.part)?;
        fs::write(&upload.plan, serde_json::to_vec(&plan)?)
    };
    write().map_err(|error| failed(&error))?;
    if length == 0 {
        finish(site, asked, &upload, &plan)?;
    }
    Ok(told(StatusCode::CREATED).with_text(LOCATION, &format!("uploads/{}", upload.id)))
}

/// Gives up what nobody goes on with.
fn sweep(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let changed = entry.metadata().and_then(|metadata| metadata.modified());
        let age = changed.ok().and_then(|changed| SystemTime::now().duration_since(changed).ok());
        if age.is_some_and(|age| age > GIVEN_UP) {
            let _ = fs::remove_file(entry.path()); // it is tried again at the next upload
        }
    }
}

/// `GET /uploads/{id}`, and so HEAD: how much of it is here.
pub(super) fn offset(site: &Site, asked: &Asked) -> Result<Answer, Problem> {
    let (upload, plan) = one(site, asked)?;
    let here = fs::metadata(&upload.part).map_err(|error| failed(&error))?.len();
    let answer = told(StatusCode::OK).with(OFFSET, HeaderValue::from(here));
    Ok(answer.with(LENGTH, HeaderValue::from(plan.length)))
}

/// `DELETE /uploads/{id}`
pub(super) fn remove(site: &Site, asked: &Asked) -> Result<Answer, Problem> {
    let (upload, plan) = one(site, asked)?;
    upload.end();
    site.note(asked, format!("gives up the upload of {}", plan.name));
    Ok(told(StatusCode::NO_CONTENT))
}

/// `PATCH /uploads/{id}`: the next bytes.
pub(super) async fn append(site: &Site, asked: &Asked, mut body: Incoming) -> Result<Answer, Problem> {
    if asked.header(CONTENT_TYPE.as_str()) != Some("application/offset+octet-stream") {
        let detail = "bytes of an upload are of type application/offset+octet-stream";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "type", detail));
    }
    let (upload, plan) = one(site, asked)?;
    let file = OpenOptions::new().append(true).open(&upload.part).map_err(|error| failed(&error))?;
    // Two that bring the same would write both: the second is told to ask anew.
    if file.try_lock().is_err() {
        return Err(Problem::new(StatusCode::LOCKED, "locked", "somebody brings this already"));
    }
    let here = file.metadata().map_err(|error| failed(&error))?.len();
    if asked.header(OFFSET.as_str()).and_then(|offset| offset.parse().ok()) != Some(here) {
        return Err(Problem::conflict(format!("{here} bytes are here, and the next are wanted")));
    }
    let mut here = here;
    asked.clock.body(true);
    let taken = take(&mut body, &file, &mut here, plan.length).await;
    asked.clock.body(false);
    taken?;
    if here == plan.length {
        finish(site, asked, &upload, &plan)?;
    }
    Ok(told(StatusCode::NO_CONTENT).with(OFFSET, HeaderValue::from(here)))
}

/// Writes what comes, no more than is wanted. What was written before a connection breaks is kept.
async fn take(body: &mut Incoming, mut file: &File, here: &mut u64, most: u64) -> Result<(), Problem> {
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Problem::bad("the connection broke"))?;
        let Some(bytes) = frame.data_ref() else { continue };
        if bytes.len() as u64 > most - *here {
            return Err(Problem::bad("it is longer than it was said to be"));
        }
        file.write_all(bytes).map_err(|error| failed(&error))?;
        *here += bytes.len() as u64;
    }
    Ok(())
}

/// Gives what has come its name in the shared folder; what is there keeps its own.
fn finish(site: &Site, asked: &Asked, upload: &Upload, plan: &Plan) -> Result<(), Problem> {
    let shared = site.peer()?.folder();
    let shared = shared.ok_or_else(|| Problem::conflict("this peer shares no folder to upload into"))?;
    let name = SafeName::new(&*plan.name).map_err(|error| Problem::bad(error.to_string()))?;
    let file = File::open(&upload.part).and_then(|file| file.sync_all());
    file.map_err(|error| failed(&error))?;
    // One name, and no folders: nothing that a browser says makes or follows any.
    let called = name.base().to_owned();
    for number in 1..=MAX_NAMES {
        let called = numbered(&called, number);
        match renameat_with(CWD, &upload.part, CWD, shared.join(&called), RenameFlags::NOREPLACE) {
            Ok(()) => {
                upload.end();
                site.note(asked, format!("uploads {called}"));
                return Ok(());
            }
            Err(Errno::EXIST) => {}
            Err(error) => return Err(failed(&error.into())),
        }
    }
    Err(Problem::conflict("too many files are called so"))
}

/// `a.txt`, then `a (2).txt`.
fn numbered(name: &str, number: u32) -> String {
    if number == 1 {
        return name.to_owned();
    }
    match name.rsplit_once('.').filter(|(stem, _)| !stem.is_empty()) {
        Some((stem, end)) => format!("{stem} ({number}).{end}"),
        None => format!("{name} ({number})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_has_names_in_base64() {
        let header = "filename w7wudHh0,filetype dGV4dC9wbGFpbg==";
        assert_eq!(metadata(header, "filename").as_deref(), Some("ü.txt"));
        assert_eq!(metadata(header, "filetype").as_deref(), Some("text/plain"));
        assert_eq!((metadata(header, "other"), metadata("filename ???", "filename")), (None, None));
    }

    #[test]
    fn what_is_there_keeps_its_name() {
        assert_eq!(numbered("a.txt", 1), "a.txt");
        assert_eq!(numbered("a.tar.gz", 2), "a.tar (2).gz");
        assert_eq!((numbered(".env", 2), numbered("a", 3)), (".env (2)".to_owned(), "a (3)".to_owned()));
    }
}
