//! What is offered of a path just now, for who wants to know at once whether it is what lies there.

use std::path::Path;

use super::core::Core;
use super::selection::IGNORE_FILE;
use crate::wire::Offer;

/// The offer of a file or folder, by its resolved path, if it is as it lies there now. Nothing of a folder of which this
/// peer leaves out more than another would that shared it alone.
pub(super) fn offer_at(core: &Core, path: &Path) -> Option<Offer> {
    let scope = path.strip_prefix(&core.walker.root).ok()?.to_str()?;
    let scan = core.walker.scan(scope);
    let is_plain = || core.walker.selection.is_default() && !path.join(IGNORE_FILE).exists();
    if !scan.is_of_a_file() && !is_plain() {
        return None;
    }
    let state = core.read();
    let is_known = state.catalogue.compare(&scan).is_empty();
    state.catalogue.offer_at(scope).filter(|_| is_known)
}
