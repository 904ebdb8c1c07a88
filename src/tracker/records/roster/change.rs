//! What changes who is in a closed swarm, as it stands in the journal.

use bytes::BytesMut;

use crate::content::PublicKey;
use crate::wire::{
    ClientId, Cursor, DecodeError, Field, Label, List, MemberRole, Standing, SwarmSecret, layout,
};

/// Most members that a founding may name.
const MAX_FOUNDERS: usize = 16;

layout! {
    /// Somebody who is a member from the founding on.
    Founder {
        /// The public key.
        key: PublicKey,
        /// Its name.
        name: Label,
        /// What it may do.
        role: MemberRole,
    }
}

layout! {
    /// Makes the swarm a closed one, if it is not.
    Found {
        /// Its name.
        swarm: Label,
        /// What the first key is made of.
        secret: SwarmSecret,
        /// Its first members: an admin and a tracker at least.
        founders: List<Founder, MAX_FOUNDERS>,
        /// When.
        since_ms: u64,
    }
}

layout! {
    /// Lets somebody join.
    Invite {
        /// Who asks.
        client: ClientId,
        /// Which of its commands this is.
        seq: u64,
        /// The member who invites.
        by: PublicKey,
        /// The number by which those who join name it.
        id: u64,
        /// The key of the invite.
        key: SwarmSecret,
        /// What those may do who join by it.
        standing: Standing,
        /// How many may join.
        uses: u32,
        /// For how long, and once it is stamped until when.
        until_ms: u64,
    }
}

layout! {
    /// Somebody joins by an invite. The same key by the same invite is no second one.
    Admit {
        /// The number of the invite.
        invite: u64,
        /// The public key of the new member.
        key: PublicKey,
        /// Its name.
        name: Label,
        /// When.
        now_ms: u64,
    }
}

layout! {
    /// Enters a key: one of the member's own, or as an admin says.
    Enter {
        /// Who asks.
        client: ClientId,
        /// Which of its commands this is.
        seq: u64,
        /// The member who enters it.
        by: PublicKey,
        /// The key.
        key: PublicKey,
        /// What it is called; empty: as before.
        name: Label,
        /// True if it is the member's own, and may do what that may.
        own: bool,
        /// Else what it may do.
        standing: Standing,
        /// When.
        since_ms: u64,
    }
}

layout! {
    /// Puts a member out with all its keys, and begins an epoch that it knows nothing of.
    Revoke {
        /// Who asks.
        client: ClientId,
        /// Which of its commands this is.
        seq: u64,
        /// The member who says so.
        by: PublicKey,
        /// The key of who goes.
        key: PublicKey,
        /// What the key of the new epoch is made of.
        secret: SwarmSecret,
    }
}

layout! {
    /// Begins an epoch.
    Rotate {
        /// Who asks.
        client: ClientId,
        /// Which of its commands this is.
        seq: u64,
        /// The member who says so.
        by: PublicKey,
        /// What its key is made of.
        secret: SwarmSecret,
        /// For how long the key before lets in, and once it is stamped until when; 0: no longer.
        until_ms: u64,
    }
}

layout! {
    /// Ends what is over: epochs but the last, and invites.
    Expire {
        /// What should have ended until then.
        now_ms: u64,
    }
}
