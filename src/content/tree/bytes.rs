//! A tree as bytes.
//!
//! Layout: the magic and the folder's own mode, then entries in strictly ascending byte order of path:
//! kind (`u8`), path, and what the kind has. Then what was left out, likewise. Integers are big-endian, texts
//! have their length before them. There is one encoding of each tree.

use bytes::{Buf, BufMut};

use super::{LeftOut, Looks, Missing, Reason, Tree, TreeEntry, TreeError, TreeKind};
use crate::content::id::FileId;
use crate::content::name::{NameError, SafeName};

const MAGIC: &[u8; 8] = b"p2ptree2";

const FILE: u8 = 0;
const FOLDER: u8 = 1;
const LINK: u8 = 2;
const HARD_LINK: u8 = 3;
const LEFT_OUT: u8 = 4;
const MORE_LEFT_OUT: u8 = 5;

impl Tree {
    /// The listing as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(MAGIC.len() + self.entries.len() * 96);
        out.put_slice(MAGIC);
        out.put_u16(self.mode);
        for entry in &self.entries {
            encode_entry(entry, &mut out);
        }
        for Missing { path, reason } in self.left_out.named() {
            out.put_u8(LEFT_OUT);
            put_text(path, &mut out);
            out.put_u8(*reason as u8);
        }
        if self.left_out.more() > 0 {
            out.put_u8(MORE_LEFT_OUT);
            out.put_u32(self.left_out.more());
        }
        out
    }

    /// Reads a listing.
    ///
    /// # Errors
    /// [`TreeError`] says what is wrong; nothing of it may be used then.
    pub fn decode(mut bytes: &[u8]) -> Result<Tree, TreeError> {
        let magic = bytes.split_off(..MAGIC.len()).ok_or(TreeError::Magic)?;
        if magic != MAGIC {
            return Err(TreeError::Magic);
        }
        let bytes = &mut bytes;
        let mode = bytes.try_get_u16().map_err(truncated)?;
        let mut entries = Vec::new();
        let mut folders = 0;
        while let Some(kind) = take_kind(bytes, |kind| kind < LEFT_OUT) {
            // Before there is anything for it: a listing that is refused should not cost its entries.
            folders += usize::from(kind == FOLDER);
            match (entries.len() >= Tree::MAX_ENTRIES, folders > Tree::MAX_FOLDERS) {
                (true, _) => return Err(TreeError::Entries),
                (_, true) => return Err(TreeError::Folders),
                _ => entries.push(decode_entry(kind, bytes)?),
            }
        }
        let mut named = Vec::new();
        while take_kind(bytes, |kind| kind == LEFT_OUT).is_some() {
            if named.len() >= LeftOut::MAX_NAMED {
                return Err(TreeError::LeftOut);
            }
            let path = take_text(bytes)?.to_owned();
            let reason = Reason::of(bytes.try_get_u8().map_err(truncated)?).ok_or(TreeError::Kind)?;
            named.push(Missing { path, reason });
        }
        let more = match take_kind(bytes, |kind| kind == MORE_LEFT_OUT) {
            Some(_) => match bytes.try_get_u32().map_err(truncated)? {
                0 => return Err(TreeError::LeftOut),
                more => more,
            },
            None => 0,
        };
        if let Some(kind) = bytes.first() {
            return Err(if *kind > MORE_LEFT_OUT { TreeError::Kind } else { TreeError::Order });
        }
        let left_out = LeftOut::read(named, more).ok_or(TreeError::LeftOut)?;
        let tree = Tree { mode, entries, left_out };
        tree.check()?;
        Ok(tree)
    }
}

fn encode_entry(entry: &TreeEntry, out: &mut Vec<u8>) {
    let kind = match &entry.kind {
        TreeKind::File { .. } => FILE,
        TreeKind::Folder(_) => FOLDER,
        TreeKind::Link(_) => LINK,
        TreeKind::HardLink(_) => HARD_LINK,
    };
    out.put_u8(kind);
    put_text(entry.path.as_str(), out);
    match &entry.kind {
        TreeKind::File { looks, size, id } => {
            put_looks(*looks, out);
            out.put_u64(*size);
            out.put_slice(&id.0);
        }
        TreeKind::Folder(looks) => put_looks(*looks, out),
        TreeKind::Link(target) => put_text(target, out),
        TreeKind::HardLink(of) => put_text(of.as_str(), out),
    }
}

fn decode_entry(kind: u8, bytes: &mut &[u8]) -> Result<TreeEntry, TreeError> {
    let path = take_name(bytes)?;
    let kind = match kind {
        FILE => {
            let looks = take_looks(bytes)?;
            let size = bytes.try_get_u64().map_err(truncated)?;
            let mut id = FileId::NONE;
            bytes.try_copy_to_slice(&mut id.0).map_err(truncated)?;
            TreeKind::File { looks, size, id }
        }
        FOLDER => TreeKind::Folder(take_looks(bytes)?),
        LINK => TreeKind::Link(take_text(bytes)?.into()),
        HARD_LINK => TreeKind::HardLink(take_name(bytes)?),
        _ => return Err(TreeError::Kind),
    };
    Ok(TreeEntry { path, kind })
}

/// The kind of the next entry, if there is one that `fits`.
fn take_kind(bytes: &mut &[u8], fits: impl Fn(u8) -> bool) -> Option<u8> {
    let kind = bytes.first().copied().filter(|kind| fits(*kind))?;
    bytes.advance(1);
    Some(kind)
}

fn put_text(text: &str, out: &mut Vec<u8>) {
    out.put_u16(text.len() as u16);
    out.put_slice(text.as_bytes());
}

fn take_text<'a>(bytes: &mut &'a [u8]) -> Result<&'a str, TreeError> {
    let len = usize::from(bytes.try_get_u16().map_err(truncated)?);
    let text = bytes.split_off(..len).ok_or(TreeError::Truncated)?;
    std::str::from_utf8(text).map_err(|_| TreeError::Path(NameError::Nul))
}

fn take_name(bytes: &mut &[u8]) -> Result<SafeName, TreeError> {
    Ok(SafeName::new(take_text(bytes)?)?)
}

fn put_looks(looks: Looks, out: &mut Vec<u8>) {
    out.put_u16(looks.mode);
    out.put_i64(looks.mtime_ns);
}

fn take_looks(bytes: &mut &[u8]) -> Result<Looks, TreeError> {
    let mode = bytes.try_get_u16().map_err(truncated)?;
    let mtime_ns = bytes.try_get_i64().map_err(truncated)?;
    Ok(Looks { mode, mtime_ns })
}

fn truncated(_: bytes::TryGetError) -> TreeError {
    TreeError::Truncated
}
