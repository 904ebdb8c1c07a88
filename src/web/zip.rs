//! A folder as one file for a browser: a ZIP without compression, written as it is read, whose size is known ahead.
//!
//! The format is PKWARE's APPNOTE 6.3.10: each file's check follows its bytes (4.3.9), sizes are those of ZIP64 (4.5.3)
//! throughout, and names are UTF-8 (flag 11).

/// Versions of ZIP that are needed to read it: 4.5 has ZIP64.
const NEEDED: u16 = 45;
/// The check comes after the bytes (bit 3); the name is UTF-8 (bit 11).
const FLAGS: u16 = 1 << 3 | 1 << 11;
/// Stands for a number that is in the ZIP64 field.
const ELSEWHERE: u32 = u32::MAX;
/// 1980-01-01, the first day that there is in a ZIP.
const NO_DATE: u16 = 1 << 5 | 1;

/// A file of the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its path, with `/` between the parts.
    pub(super) path: String,
    pub(super) size: u64,
}

#[derive(Debug, Default)]
struct Bytes(Vec<u8>);

impl Bytes {
    fn u16(mut self, value: u16) -> Bytes {
        self.0.extend(value.to_le_bytes());
        self
    }

    fn u32(mut self, value: u32) -> Bytes {
        self.0.extend(value.to_le_bytes());
        self
    }

    fn u64(mut self, value: u64) -> Bytes {
        self.0.extend(value.to_le_bytes());
        self
    }

    fn bytes(mut self, bytes: &[u8]) -> Bytes {
        self.0.extend(bytes);
        self
    }
}

impl Entry {
    /// What comes before the file's bytes (4.3.7).
    pub(super) fn head(&self) -> Vec<u8> {
        let fixed = Bytes::default().u32(0x0403_4b50).u16(NEEDED).u16(FLAGS).u16(0).u16(0).u16(NO_DATE);
        let sizes = fixed.u32(0).u32(ELSEWHERE).u32(ELSEWHERE).u16(self.path.len() as u16).u16(20);
        sizes.bytes(self.path.as_bytes()).u16(1).u16(16).u64(0).u64(0).0
    }

    /// What comes after them (4.3.9).
    pub(super) fn tail(&self, check: u32) -> Vec<u8> {
        Bytes::default().u32(0x0807_4b50).u32(check).u64(self.size).u64(self.size).0
    }

    /// Its line in the list at the end (4.3.12).
    fn line(&self, check: u32, at: u64) -> Vec<u8> {
        let fixed =
            Bytes::default().u32(0x0201_4b50).u16(3 << 8 | NEEDED).u16(NEEDED).u16(FLAGS).u16(0).u16(0);
        let sizes = fixed.u16(NO_DATE).u32(check).u32(ELSEWHERE).u32(ELSEWHERE).u16(self.path.len() as u16);
        let rest = sizes.u16(28).u16(0).u16(0).u16(0).u32(0o100_644 << 16).u32(ELSEWHERE);
        rest.bytes(self.path.as_bytes()).u16(1).u16(24).u64(self.size).u64(self.size).u64(at).0
    }

    /// Bytes of all of these about one file.
    fn bytes(&self) -> u64 {
        let name = self.path.len() as u64;
        (30 + name + 20) + self.size + 24 + (46 + name + 28)
    }
}

/// The list of all files at the end, with the check of each.
pub(super) fn end(entries: &[Entry], checks: &[u32]) -> Vec<u8> {
    let (mut list, mut at) = (Vec::new(), 0);
    for (entry, check) in entries.iter().zip(checks) {
        list.extend(entry.line(*check, at));
        at += entry.bytes() - (46 + entry.path.len() as u64 + 28);
    }
    let (count, bytes) = (entries.len() as u64, list.len() as u64);
    let end = Bytes(list).u32(0x0606_4b50).u64(44).u16(3 << 8 | NEEDED).u16(NEEDED).u32(0).u32(0);
    let end = end.u64(count).u64(count).u64(bytes).u64(at);
    let end = end.u32(0x0706_4b50).u32(0).u64(at + bytes).u32(1);
    let end = end.u32(0x0605_4b50).u16(0).u16(0).u16(u16::MAX).u16(u16::MAX);
    end.u32(ELSEWHERE).u32(ELSEWHERE).u16(0).0
}

/// Bytes of the whole archive.
pub(super) fn size(entries: &[Entry]) -> u64 {
    const END: u64 = 56 + 20 + 22;
    entries.iter().map(Entry::bytes).sum::<u64>() + END
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_is_known_ahead() {
        let entries = [("a/b.txt", 5), ("ü", 0)].map(|(path, size)| Entry { path: path.to_owned(), size });
        let mut archive = Vec::new();
        for entry in &entries {
            archive.extend(entry.head());
            archive.extend(vec![b'x'; entry.size as usize]);
            archive.extend(entry.tail(0));
        }
        archive.extend(end(&entries, &[0, 0]));
        assert_eq!(archive.len() as u64, size(&entries));
    }
}
