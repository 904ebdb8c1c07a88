//! The numbers of `docs/PROTOCOL.md`, written down again from its tables, and what they are called.

#![allow(missing_docs, reason = "the names are the document's")]

pub const PREFACE: [u8; 8] = *b"p2p/\x00\x01\x00\x00";
pub const MAX_HELLO_FRAME_BYTES: usize = 2048;
pub const MAX_FRAME_BYTES: usize = 1 << 20;
pub const ANY_CHUNK: u32 = u32::MAX;

pub const ASK: u8 = 1;
pub const SERVE: u8 = 2;
pub const MEMBER: u8 = 3;
pub const TRACKER: u8 = 4;
pub const NODE: u8 = 5;

/// Numbers with a meaning, and what each is called.
macro_rules! numbers {
    ($(#[$doc:meta])* $module:ident: $type:ty { $($name:ident = $value:literal,)+ }) => {
        $(#[$doc])*
        pub mod $module {
            $(pub const $name: $type = $value;)+

            /// What a number is called, for people.
            pub fn name(number: $type) -> String {
                match number {
                    $($name => stringify!($name).to_owned(),)+
                    other => format!("{other:#04x}"),
                }
            }
        }
    };
}

numbers! {
    /// Message ids, section 8.
    id: u8 {
        HELLO = 0x01,
        ERROR = 0x02,
        PING = 0x03,
        PONG = 0x04,
        LEAVE = 0x05,
        OK = 0x06,
        REGISTER = 0x10,
        UPDATE = 0x11,
        TRACKER_HAVE = 0x12,
        LOCATE = 0x13,
        LIST = 0x14,
        HEARTBEAT = 0x15,
        REPORT = 0x16,
        GET_STATUS = 0x17,
        GET_PEERS = 0x18,
        GET_CLUSTER = 0x19,
        LEND = 0x1a,
        KEPT = 0x1b,
        DECLINE = 0x1c,
        GET_DUTIES = 0x1d,
        STORE = 0x1e,
        RESOLVE = 0x1f,
        GET_VERSIONS = 0x20,
        REMOVE = 0x21,
        GET_HEALTH = 0x22,
        GET_STORES = 0x23,
        SET_STORE = 0x24,
        RECORDS = 0x26,
        PUBLISH = 0x27,
        NODE_BEAT = 0x2f,
        REGISTERED = 0x30,
        LOCATED = 0x31,
        LISTING = 0x32,
        STATUS = 0x33,
        PEERS = 0x34,
        CLUSTER = 0x37,
        LENT = 0x38,
        DUTIES = 0x39,
        STORING = 0x3a,
        STORED = 0x3b,
        RESOLVED = 0x3c,
        VERSIONS = 0x3d,
        REMOVED = 0x3e,
        HEALTH = 0x3f,
        STORES = 0x40,
        NODE_ORDERS = 0x47,
        OPEN = 0x50,
        CLOSE = 0x51,
        GET_MANIFEST = 0x52,
        GET_CHUNK = 0x53,
        CANCEL = 0x54,
        GET_LOAD = 0x55,
        ASKER_HAVE = 0x56,
        CORRUPT = 0x57,
        WANT = 0x58,
        CLAIM = 0x60,
        DUTY_DONE = 0x61,
        GET_NODES = 0x62,
        NODES = 0x68,
        OPENED = 0x70,
        MANIFEST = 0x71,
        CHUNK = 0x72,
        REFUSED = 0x73,
        LOAD = 0x74,
        SERVER_HAVE = 0x75,
        HERE = 0x77,
    }
}

numbers! {
    /// Error codes, section 11.
    code: u16 {
        BAD_MAGIC = 1,
        UNSUPPORTED_VERSION = 2,
        UNSUPPORTED_MODE = 3,
        UNEXPECTED = 4,
        MALFORMED = 5,
        TOO_LARGE = 6,
        LIMIT = 7,
        NOT_REGISTERED = 8,
        BAD_NAME = 9,
        TIMED_OUT = 10,
        MYSELF = 11,
        IN_USE = 14,
        CONFLICT = 17,
        NOT_FOUND = 18,
        UNKNOWN_SWARM = 20,
        IMPOSTOR = 21,
        FENCED = 26,
        OVER = 27,
    }
}

numbers! {
    /// Refusals, section 9.2.
    refusal: u8 {
        NOT_HERE = 1,
        NOT_YET = 2,
        GONE = 3,
        BUSY = 4,
        CANCELLED = 5,
        NOTHING_BETTER = 6,
    }
}
