//! The listing of a folder, fetched for a look at it.

use std::fs;
use std::time::Duration;

use super::choice::of_id;
use super::follow;
use super::progress::Progress;
use crate::api::Exit;
use crate::cli::failure::{Failure, reason};
use crate::cli::run::scratch;
use crate::cli::run::signals::Stop;
use crate::cli::typed::values::Patience;
use crate::content::{FileId, Filter, Tree};
use crate::peer::{Dest, Peer, Want};

/// Fetches it, proved by its id.
pub(super) fn fetch(peer: &Peer, id: FileId, stop: &Stop, patience: Patience) -> Result<Tree, Failure> {
    let folder = scratch::folder()?;
    let path = folder.path().join(id.to_string());
    let name = of_id(&id)?;
    let mut progress = Progress::new(false, &name, patience);
    let (wait, waited) = (patience.limit(), Duration::ZERO);
    let (down, refresh) = (None, None);
    let dest =
        Dest { path: path.clone(), force: true, own: false, delete: false, wait, waited, down, refresh };
    let (size, inside, filter) = (None, None, Filter::default());
    let want = Want { id, name, size, inside, filter };
    let job = peer.fetch(want, dest).map_err(Failure::cannot_start)?;
    follow::job(&job, &mut progress, stop)?;
    let failed =
        |what: String| Failure::new(Exit::Integrity, format!("the listing {id} cannot be used: {what}"));
    let bytes = fs::read(&path).map_err(|error| failed(reason(&error)))?;
    Tree::decode(&bytes).map_err(|error| failed(error.to_string()))
}
