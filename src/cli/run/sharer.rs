//! Who shares what is uploaded: a running peer that has hashed it already, or one of this process.

use std::path::{Path, PathBuf};

use crate::api::control::Offered;
use crate::cli::failure::Failure;
use crate::cli::reach::daemon::Daemon;
use crate::cli::run::scratch::{self, Scratch};
use crate::cli::run::signals::Stop;
use crate::cli::run::{engine, enter, peer};
use crate::cli::typed::published::UploadArgs;
use crate::content::{FileId, Geometry, Layout, SafeName};
use crate::peer::Peer;

/// What is uploaded, or its parity, shared by somebody.
pub(super) struct Source {
    pub(super) id: FileId,
    pub(super) offer: Offered,
    path: PathBuf,
    sharer: Sharer,
}

enum Sharer {
    /// The running peer of the folder that it is in: what it is called, and what it had sent before.
    Running { name: String, sent: u64 },
    /// A peer of this process, and where its state is.
    Own { peer: Peer, _scratch: Scratch },
}

/// What is coded: a file, or the members of a folder, and where each lies.
pub(super) struct Files {
    pub(super) of_folder: bool,
    pub(super) layout: Layout,
    pub(super) paths: Vec<PathBuf>,
}

/// What is to be uploaded is not what it was when it was begun.
pub(super) fn changed(name: &SafeName) -> Failure {
    Failure::other(format!("{name} changed while it was read; the same command begins again"))
}

impl Source {
    /// Finds who shares what is at `path`, or shares it; nothing is left beside it. A folder that is to be coded is shared by this
    /// process, which has to know its members.
    pub(super) fn find(args: &UploadArgs, path: PathBuf, name: &SafeName) -> Result<Source, Failure> {
        let known = if name.is_tree() && args.code.is_some() { None } else { running(args, &path) };
        match known {
            Some((id, offer, sharer)) => Ok(Source { id, offer, path, sharer }),
            None => own(args, path, name, false),
        }
    }

    /// Shares a file of this process, beside what else it shares.
    pub(super) fn beside(args: &UploadArgs, path: PathBuf, name: &SafeName) -> Result<Source, Failure> {
        own(args, path, name, true)
    }

    /// What there is to be coded.
    pub(super) fn files(&self, name: &SafeName) -> Result<Files, Failure> {
        let gone = || changed(name);
        if !name.is_tree() {
            let layout = Geometry::of(self.offer.size).and_then(|file| Layout::new(vec![file]));
            let (layout, paths) = (layout.ok_or_else(gone)?, vec![self.path.clone()]);
            return Ok(Files { of_folder: false, layout, paths });
        }
        let Sharer::Own { peer, .. } = &self.sharer else { return Err(gone()) };
        let (layout, paths) = peer.members(self.id).ok_or_else(gone)?;
        Ok(Files { of_folder: true, layout, paths })
    }

    /// Waits until a peer of this process is known to its trackers, as a running one is.
    pub(super) fn registered(&self, stop: &Stop) {
        if let Sharer::Own { peer, .. } = &self.sharer {
            peer::registered(peer, stop);
        }
    }

    /// What the peer is called.
    pub(super) fn sharer(&self) -> &str {
        match &self.sharer {
            Sharer::Running { name, .. } => name,
            Sharer::Own { peer, .. } => peer.name(),
        }
    }

    /// # Errors
    /// A running peer does not share it any more as it was.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let Sharer::Running { name, .. } = &self.sharer else { return Ok(()) };
        match offered(&self.path) {
            Some(offer) if offer == self.offer => Ok(()),
            _ => {
                let path = self.path.display();
                Err(Failure::other(format!(
                    "{name} does not share {path} any more as it was, so it is not stored; the same command begins again"
                )))
            }
        }
    }

    /// Bytes that left for its sake: of a running peer, all that left meanwhile.
    pub(super) fn end(self) -> u64 {
        match self.sharer {
            Sharer::Running { sent, .. } => {
                let status = Daemon::around(&self.path).and_then(|mut daemon| daemon.status().ok());
                status.map_or(0, |status| status.sent.saturating_sub(sent))
            }
            Sharer::Own { peer, .. } => {
                let sent = peer.sent();
                peer.stop();
                sent
            }
        }
    }
}

/// The running peer around `path`, if it shares that as it is, at all of these trackers. One that is to send at another rate
/// is not meant.
fn running(args: &UploadArgs, path: &Path) -> Option<(FileId, Offered, Sharer)> {
    let status = Daemon::around(path)?.status().ok()?;
    let is_linked =
        |tracker: &String| status.trackers.iter().any(|known| known.connected && known.addr == *tracker);
    if args.engine.up.is_some() || !args.asking.trackers.trackers.iter().all(is_linked) {
        return None;
    }
    let offer = offered(path)?;
    Some((offer.id.parse().ok()?, offer, Sharer::Running { name: status.name, sent: status.sent }))
}

fn offered(path: &Path) -> Option<Offered> {
    Daemon::around(path)?.offer(path).ok()?
}

/// Hashes what is at `path` and shares it; `beside` another peer of this process, which has the port that was typed.
fn own(args: &UploadArgs, path: PathBuf, name: &SafeName, beside: bool) -> Result<Source, Failure> {
    let scratch = scratch::folder()?;
    let mut config = engine::config(&args.engine, args.asking.trackers.trackers.clone(), Some(path.clone()));
    // Nothing is to be left beside what is uploaded, and another upload may run.
    let keyring = enter::spare_keys(&config.name, &config.trackers);
    config.keyring = keyring.map_err(|error| Failure::other(error.to_string()))?;
    config.prefix = true;
    config.watch = false;
    if beside {
        config.state = Some(scratch.path().to_owned());
        config.listen = engine::any_port(&config.listen);
    }
    config.state.get_or_insert_with(|| scratch.path().to_owned());
    let peer = engine::start(config)?;
    match peer.offers().iter().find(|offer| *offer.name == *name.as_str()) {
        Some(offer) => {
            let sharer = Sharer::Own { peer, _scratch: scratch };
            Ok(Source { id: offer.id, offer: Offered::of(offer), path, sharer })
        }
        None => {
            peer.stop();
            Err(Failure::other(format!("{} cannot be read, so it is not uploaded", path.display())))
        }
    }
}
