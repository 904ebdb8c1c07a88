//! What is moved: ids, geometry, sets and runs of chunks, manifests with their proofs, erasure codes, trees, names and links; and the keys of those who move it. Pure.

mod address;
pub mod base32;
mod chunk_set;
mod claim;
pub mod code;
mod endpoint;
mod geometry;
mod id;
mod link;
mod name;
mod network;
mod pattern;
mod proof;
mod public_key;
mod rate;
pub mod runs;
mod tree;

pub use address::Address;
pub use chunk_set::ChunkSet;
pub use claim::Claim;
pub use endpoint::{Endpoint, EndpointError, Host};
pub use geometry::{Chunk, ChunkIndex, ChunkSize, Geometry, Layout, Place};
pub use id::{ChunkHash, FileId, IdError, PeerId};
pub use link::{Descriptor, Link, LinkError};
pub use name::{NameError, SafeName, misleads, shown, version_in};
pub use network::Network;
pub use pattern::{Filter, Pattern, is_pattern};
pub use proof::{ChunkHasher, Manifest, PROOF_RUN, Proof, ProofError, chunk_hasher, hash_chunk, proof_run};
pub use public_key::{NoKey, PublicKey};
pub use rate::Rate;
pub use runs::Run;
pub use tree::{
    LeftOut, Looks, Missing, Reason, Tree, TreeEntry, TreeError, TreeKind, TreeLayout, leads_inside, way_to,
};
