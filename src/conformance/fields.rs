//! Bodies of messages, written and read field by field: section 2 of `docs/PROTOCOL.md`.

use std::net::IpAddr;

use super::check::{Checked, Fault};

/// Writes the fields of a body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Body(
    /// What was written so far.
    pub Vec<u8>,
);

impl Body {
    /// An empty body.
    pub fn new() -> Body {
        Body::default()
    }

    /// Appends bytes as they are.
    pub fn raw(mut self, bytes: &[u8]) -> Body {
        self.0.extend_from_slice(bytes);
        self
    }

    /// Appends one byte.
    pub fn u8(self, value: u8) -> Body {
        self.raw(&[value])
    }

    /// Appends two bytes.
    pub fn u16(self, value: u16) -> Body {
        self.raw(&value.to_be_bytes())
    }

    /// Appends four bytes.
    pub fn u32(self, value: u32) -> Body {
        self.raw(&value.to_be_bytes())
    }

    /// Appends eight bytes.
    pub fn u64(self, value: u64) -> Body {
        self.raw(&value.to_be_bytes())
    }

    /// Appends an IPv4 address with its port.
    pub fn address(self, ip: [u8; 4], port: u16) -> Body {
        self.raw(&[0; 10]).raw(&[0xff; 2]).raw(&ip).u16(port)
    }

    /// Appends a text with its length.
    pub fn text(self, text: &str) -> Body {
        self.u16(text.len() as u16).raw(text.as_bytes())
    }

    /// Appends a list with its count.
    pub fn list(self, items: &[Body]) -> Body {
        let start = self.u32(items.len() as u32);
        items.iter().fold(start, |body, item| body.raw(&item.0))
    }

    /// Appends Ranges.
    pub fn ranges(self, ranges: &[(u32, u32)]) -> Body {
        let pairs: Vec<Body> =
            ranges.iter().map(|(first, count)| Body::new().u32(*first).u32(*count)).collect();
        self.list(&pairs)
    }
}

/// Reads the fields of a body. What is not there reads as zeros, and [`Fields::end`] tells of it.
#[derive(Debug)]
pub struct Fields<'a> {
    rest: &'a [u8],
    /// The first field that was not as it should be.
    wrong: Option<String>,
}

impl<'a> Fields<'a> {
    /// Those of a body.
    pub fn new(body: &'a [u8]) -> Fields<'a> {
        Fields { rest: body, wrong: None }
    }

    /// What has not been read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    fn spoil<T: Default>(&mut self, what: String) -> T {
        self.wrong.get_or_insert(what);
        self.rest = &[];
        T::default()
    }

    /// So many bytes.
    pub fn raw(&mut self, len: usize) -> &'a [u8] {
        match self.rest.split_at_checked(len) {
            Some((bytes, rest)) => {
                self.rest = rest;
                bytes
            }
            None => self.spoil(format!("{} bytes where a field of {len} should be", self.rest.len())),
        }
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        self.raw(N).try_into().unwrap_or([0; N])
    }

    /// One byte.
    pub fn u8(&mut self) -> u8 {
        u8::from_be_bytes(self.array())
    }

    /// Two bytes.
    pub fn u16(&mut self) -> u16 {
        u16::from_be_bytes(self.array())
    }

    /// Four bytes.
    pub fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.array())
    }

    /// Eight bytes.
    pub fn u64(&mut self) -> u64 {
        u64::from_be_bytes(self.array())
    }

    /// A flag.
    pub fn flag(&mut self) -> bool {
        match self.u8() {
            0 => false,
            1 => true,
            other => self.spoil(format!("a flag of {other}")),
        }
    }

    /// A file id or chunk hash.
    pub fn hash(&mut self) -> [u8; 32] {
        self.array()
    }

    /// A peer id.
    pub fn peer(&mut self) -> [u8; 16] {
        self.array()
    }

    /// Where a peer can be dialled.
    pub fn addresses(&mut self) -> Vec<(IpAddr, u16)> {
        self.list(8, |fields| {
            let mut ip = [0; 16];
            ip.iter_mut().for_each(|byte| *byte = fields.u8());
            (IpAddr::from(ip).to_canonical(), fields.u16())
        })
    }

    /// A text.
    pub fn text(&mut self) -> &'a str {
        let len = usize::from(self.u16());
        let bytes = self.raw(len);
        std::str::from_utf8(bytes)
            .unwrap_or_else(|_| self.spoil(format!("a text that is not UTF-8: {bytes:02x?}")))
    }

    /// A list of at most `most`.
    pub fn list<T>(&mut self, most: usize, mut item: impl FnMut(&mut Fields<'a>) -> T) -> Vec<T> {
        let count = self.u32() as usize;
        if count > most {
            return self.spoil(format!("a list of {count}, where {most} is the limit"));
        }
        (0..count).map(|_| item(self)).collect()
    }

    /// All was there and as it should be, and nothing is left over.
    ///
    /// # Errors
    /// What was not.
    pub fn end(self) -> Checked {
        match (self.wrong, self.rest) {
            (None, []) => Ok(()),
            (None, rest) => {
                Err(Fault::new("exactly the fields of the message", format!("{rest:02x?} left over")))
            }
            (Some(wrong), _) => Err(Fault::new("the fields of the message", wrong)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_what_is_wrong_is_told_at_the_end() {
        let body = Body::new().u8(1).u16(2).text("ü").list(&[Body::new().u32(3)]).u64(4);
        let mut fields = Fields::new(&body.0);
        assert_eq!((fields.flag(), fields.u16(), fields.text()), (true, 2, "ü"));
        assert_eq!((fields.list(1, Fields::u32), fields.u64()), (vec![3], 4));
        assert_eq!(fields.end(), Ok(()));
        let wrong = |read: fn(&mut Fields<'_>) -> u64| {
            let mut fields = Fields::new(&[2, 0xff, 0xff]);
            read(&mut fields);
            fields.end().is_err()
        };
        assert!(wrong(|fields| fields.flag().into()) && wrong(|fields| fields.u32().into()));
        assert!(wrong(|fields| fields.u8().into()), "two bytes are left over");
        assert!(wrong(|fields| fields.list(5, Fields::u8).len() as u64));
    }
}
