//! What the system says of a disk, in words.

use std::io;

/// What the system says, without its number.
pub(crate) fn said(error: &io::Error) -> String {
    let text = error.to_string();
    match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem => "its file system is read-only".to_owned(),
        io::ErrorKind::PermissionDenied => "this user has no right to".to_owned(),
        _ => text.split(" (os error").next().unwrap_or(&text).to_owned(),
    }
}
