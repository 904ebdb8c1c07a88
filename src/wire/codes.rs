//! Numbers with a meaning.

use std::fmt;

use bytes::BytesMut;

use super::field::{Cursor, DecodeError, Field};
use super::macros::code;

code! {
    /// Which part a side plays on a connection; settled in HELLO.
    Role: u8 {
        /// Asks for contents; a peer's dialling side as a rule.
        Ask = 1 "ASK",
        /// Serves contents.
        Serve = 2 "SERVE",
        /// Speaks to a tracker: a peer or a tool.
        Member = 3 "MEMBER",
        /// Is a tracker.
        Tracker = 4 "TRACKER",
        /// Is a tracker of a cluster, and speaks to another.
        Node = 5 "NODE",
    }
}

impl Role {
    /// What the other side of a connection must be.
    pub fn counterpart(self) -> Role {
        match self {
            Role::Ask => Role::Serve,
            Role::Serve => Role::Ask,
            Role::Member => Role::Tracker,
            Role::Tracker => Role::Member,
            Role::Node => Role::Node,
        }
    }
}

code! {
    /// Why a connection is about to close, or a request was not understood.
    ErrorCode: u16, else
    /// One that only later versions name.
    Unknown {
        /// The preface is not ours.
        BadMagic = 1 "BAD_MAGIC",
        /// No version in common.
        UnsupportedVersion = 2 "UNSUPPORTED_VERSION",
        /// The transport mode is not supported.
        UnsupportedMode = 3 "UNSUPPORTED_MODE",
        /// The message is not allowed now or in this direction.
        Unexpected = 4 "UNEXPECTED",
        /// The body is not the message's fields.
        Malformed = 5 "MALFORMED",
        /// A frame is above its limit.
        TooLarge = 6 "TOO_LARGE",
        /// A limit of this side is reached: connections, contents, slots.
        Limit = 7 "LIMIT",
        /// The request needs REGISTER first.
        NotRegistered = 8 "NOT_REGISTERED",
        /// A name is not a safe relative path.
        BadName = 9 "BAD_NAME",
        /// HELLO did not come in time, or the lease ran out.
        TimedOut = 10 "TIMED_OUT",
        /// Both ends of the connection are the same peer.
        Myself = 11 "MYSELF",
        /// This side is stopping.
        Stopping = 12 "STOPPING",
        /// This side failed; the detail says how.
        Internal = 13 "INTERNAL",
        /// A peer of this id is registered on another connection, which lives.
        InUse = 14 "IN_USE",
        /// There are too few stores for what was asked.
        NoStores = 15 "NO_STORES",
        /// The stores have too little room for what was asked.
        NoSpace = 16 "NO_SPACE",
        /// Something else than what was expected is there already.
        Conflict = 17 "CONFLICT",
        /// What was asked about is not there.
        NotFound = 18 "NOT_FOUND",
        /// The role of who asks does not permit it.
        NotAllowed = 19 "NOT_ALLOWED",
        /// The key that a dialler begins with is not known here.
        UnknownSwarm = 20 "UNKNOWN_SWARM",
        /// The peer id is not that of the key.
        Impostor = 21 "IMPOSTOR",
        /// The key of this side was put out of the swarm.
        Revoked = 22 "REVOKED",
        /// Too few trackers of the cluster are there to agree on anything.
        NoQuorum = 23 "NO_QUORUM",
        /// A later life of the node was let in: this one is to end.
        Fenced = 26 "FENCED",
        /// The duty is another's, or over.
        Over = 27 "OVER",
    }
}

/// For people: its name, or else its number.
impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ErrorCode::Unknown(number) => write!(f, "error {number}"),
            known => f.write_str(known.label()),
        }
    }
}

code! {
    /// Why a chunk or content is not given.
    Refusal: u8 {
        /// This side knows nothing of that content.
        NotHere = 1 "NOT_HERE",
        /// The content is known, that chunk is not here (yet).
        NotYet = 2 "NOT_YET",
        /// It was here, but the file changed or went away.
        Gone = 3 "GONE",
        /// Too much is being served now; ask again later.
        Busy = 4 "BUSY",
        /// The request was cancelled by the asking side.
        Cancelled = 5 "CANCELLED",
        /// "Whichever you think best": every chunk here has been sent to somebody; ask for one by number.
        NothingBetter = 6 "NOTHING_BETTER",
    }
}

code! {
    /// How soon a chunk is wanted.
    Urgency: u8 {
        /// As those of others.
        Normal = 0 "NORMAL",
        /// The peers that the asker is connected to have gained more than it since they met.
        Behind = 1 "BEHIND",
        /// When nobody else waits: nobody uses it now.
        Background = 2 "BACKGROUND",
    }
}

code! {
    /// What a peer reports to the tracker.
    Complaint: u8 {
        /// The peer cannot be reached.
        Dead = 1 "DEAD",
        /// The peer announced the chunk, but does not have it.
        Missing = 2 "MISSING",
        /// The peer sent bytes that are not the chunk.
        Corrupt = 3 "CORRUPT",
    }
}

code! {
    /// What of a content is opened.
    View: u8 {
        /// The bytes whose id was given.
        Bytes = 0 "BYTES",
        /// The files that a tree lists, their chunks numbered through in listing order.
        Members = 1 "MEMBERS",
    }
}

code! {
    /// What LOCATE is asked for.
    Purpose: u8 {
        /// To look: every holder, up to the limit.
        Inspect = 0 "INSPECT",
        /// To fetch: a random choice of good neighbours.
        Fetch = 1 "FETCH",
    }
}

code! {
    /// Why a store does not keep what it was to keep.
    Reluctance: u8 {
        /// It has not the room.
        NoSpace = 1 "NO_SPACE",
        /// Nobody of whom it was told gives it.
        NoSource = 2 "NO_SOURCE",
        /// Its disk is damaged, full or gone.
        Damaged = 3 "DAMAGED",
    }
}

code! {
    /// What is to be had from a store.
    StoreState: u8 {
        /// It is here, and takes what it is given.
        Lending = 1 "LENDING",
        /// It is here, but has not said yet all that it holds.
        Reporting = 2 "REPORTING",
        /// It is not here.
        Away = 3 "AWAY",
        /// It is here, but serves another authority.
        Foreign = 4 "FOREIGN",
        /// It is here and to be taken away; something would be less safe than promised without it.
        Leaving = 5 "LEAVING",
        /// It is here and may be taken away: nothing needs it.
        Left = 6 "LEFT",
    }
}

code! {
    /// What is to become of a store.
    StoreChange: u8 {
        /// Others are to keep what it holds, so that it can be taken away.
        Leave = 1 "LEAVE",
        /// It is not to be taken away after all.
        Stay = 2 "STAY",
        /// It is away and does not come back.
        Forget = 3 "FORGET",
        /// Those that are fuller than others are to pass something on; no store is named.
        Rebalance = 4 "REBALANCE",
    }
}

code! {
    /// What a member of a closed swarm may do; section 13.9 of PROTOCOL.md has the table.
    MemberRole: u8 {
        /// Fetches, and serves what others brought in.
        Reader = 1 "READER",
        /// Brings in contents under names.
        Publisher = 2 "PUBLISHER",
        /// Says who is a member.
        Admin = 3 "ADMIN",
        /// Is a tracker of the swarm.
        Tracker = 4 "TRACKER",
    }
}

code! {
    /// Whether a node is there.
    NodeState: u8 {
        /// It is.
        Up = 1 "UP",
        /// Most trackers do not hear it.
        Lost = 2 "LOST",
        /// It is left alone, whether it is there or not.
        Drained = 3 "DRAINED",
    }
}

code! {
    /// What a role of a node does.
    RoleState: u8 {
        /// It is down, and is to be.
        Stopped = 1 "STOPPED",
        /// It is started when those it starts after are ready.
        Waiting = 2 "WAITING",
        /// Its process is not ready yet.
        Starting = 3 "STARTING",
        /// It is ready.
        Running = 4 "RUNNING",
        /// Its process is to end.
        Stopping = 5 "STOPPING",
        /// Its process has ended, and another is started in a moment.
        Backoff = 6 "BACKOFF",
        /// What it was told makes no sense.
        Broken = 7 "BROKEN",
    }
}

code! {
    /// What is to become of nodes.
    NodesChange: u8 {
        /// Nobody is to be brought back.
        Pause = 1 "PAUSE",
        /// Who is lost is to be brought back again.
        Resume = 2 "RESUME",
        /// A lost node does not come back.
        Forget = 3 "FORGET",
    }
}
