//! What can be typed: every command, option and default. Defaults of a role come from the role.

use std::ffi::OsString;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::api::Exit;
use crate::cli::failure::Failure;
use crate::cli::typed::address::{listened, tracker_address};
use crate::cli::typed::cluster::{ClusterArgs, ClusterCommand};
use crate::cli::typed::examples;
use crate::cli::typed::fault::Fault;
use crate::cli::typed::nodes::{DoctorArgs, HookArgs, NodeArgs, UpArgs};
use crate::cli::typed::options::{
    Asking, EXPERIMENTS, EngineArgs, LogArgs, SelectionArgs, TrackerList, name,
};
#[cfg(feature = "web")]
use crate::cli::typed::page::{PageArgs, WebArgs};
use crate::cli::typed::published::{HealthArgs, PublishArgs, PublishedArgs, StoresArgs, UploadArgs};
use crate::cli::typed::steering::{LimitArgs, SteerArgs};
use crate::cli::typed::swarm::{InviteArgs, JoinArgs, MembersArgs, RevokeArgs, SwarmArgs, SwarmCommand};
use crate::cli::typed::values::{Bytes, Patience, Period, interval, some_bytes};
use crate::content::{FileId, Filter, Pattern, Rate, SafeName};
use crate::tracker;

/// Where a tracker listens: everywhere, since others are to reach it.
pub(crate) const TRACKER_LISTEN: &str = "[::]:9700";

const LENDING: &str = "Lending space";
const PRECEDENCE: &str = "Options beat the environment (P2P_TRACKER, a comma-separated list), which beats \
    the configuration file (p2p/config.toml in the configuration directory, ~/.config as a rule), which \
    beats the defaults.";

/// Shares folders and files between machines: chunked, swarmed, every byte proved.
#[derive(Debug, Parser)]
#[command(name = "p2p", version, after_help = format!("{PRECEDENCE}\n\n{}", Exit::HELP), max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub(crate) keys: SwarmArgs,
    #[command(flatten)]
    pub(crate) logs: LogArgs,
}

/// The commands.
#[derive(Debug, Subcommand)]
#[allow(private_interfaces)] // the arguments of a command are the command's own
pub enum Command {
    /// Run a tracker: it knows who has what
    #[command(after_help = examples::TRACKER)]
    Tracker(TrackerArgs),
    /// Share a folder, and fetch for it, until stopped
    #[command(after_help = examples::PEER)]
    Peer(PeerArgs),
    /// Run a node: trackers and peers as node.toml says, each started again whenever it ends or hangs
    #[command(after_help = examples::UP)]
    Up(UpArgs),
    /// Show and steer the roles of a node that `p2p up` runs
    #[command(after_help = examples::NODE)]
    Node(NodeArgs),
    /// Share a file or folder at once, with a tracker built in
    #[command(after_help = examples::SHARE)]
    Share(ShareArgs),
    /// List what the swarm has
    #[command(after_help = examples::LS)]
    Ls(LsArgs),
    /// Show who has something
    #[command(after_help = examples::FIND)]
    Find(FindArgs),
    /// Fetch files and folders
    #[command(override_usage = "p2p get [OPTIONS] <WHAT>... [DEST]", after_help = examples::GET)]
    Get(GetArgs),
    /// Have a file or folder kept by stores, under a name with versions
    #[command(after_help = examples::UPLOAD)]
    Upload(UploadArgs),
    /// Fetch what was uploaded: NAME, a version of it (NAME@2), or a part of a folder (NAME/PATH, NAME@2/PATH)
    #[command(
        override_usage = "p2p download [OPTIONS] <NAME[@VERSION][/PATH]>... [DEST]",
        after_help = examples::DOWNLOAD
    )]
    Download(GetArgs),
    /// List the versions of what was uploaded
    #[command(after_help = examples::VERSIONS)]
    Versions(PublishedArgs),
    /// Take what was uploaded off the record: NAME with all its versions, or one of them (NAME@2)
    #[command(override_usage = "p2p rm [OPTIONS] <NAME[@VERSION]>", after_help = examples::RM)]
    Rm(PublishedArgs),
    /// Put what somebody shares on record under a name, kept by no store
    #[command(after_help = examples::PUBLISH)]
    Publish(PublishArgs),
    /// Write a descriptor (NAME.p2p) of a file or folder, and print its link
    #[command(after_help = examples::CREATE)]
    Create(CreateArgs),
    /// Ask a peer how many uploads and downloads it serves now
    #[command(after_help = examples::LOAD)]
    Load(LoadArgs),
    /// Show what a peer is doing, or what the tracker sees
    #[command(after_help = examples::STATUS)]
    Status(StatusArgs),
    /// End a fetch of a running peer; what is proved is kept for next time
    #[command(after_help = examples::CANCEL)]
    Cancel(SteerArgs),
    /// Have a fetch of a running peer ask for nothing more until it is resumed
    #[command(after_help = examples::PAUSE)]
    Pause(SteerArgs),
    /// Have a fetch go on that was paused
    #[command(after_help = examples::RESUME)]
    Resume(SteerArgs),
    /// Limit the rates of a running peer, or of one of its fetches
    #[command(after_help = examples::LIMIT)]
    Limit(LimitArgs),
    /// List the stores: who lends space, and how much of it is in use
    #[command(after_help = examples::STORES)]
    Stores(StoresArgs),
    /// Say how safe is what stores keep: how many of them may be lost
    #[command(after_help = examples::HEALTH)]
    Health(HealthArgs),
    /// Show and change which trackers are one, and the nodes that they know of
    #[command(after_help = examples::CLUSTER)]
    Cluster(ClusterCommand),
    /// Print a link by which others join this closed swarm
    #[command(after_help = examples::INVITE)]
    Invite(InviteArgs),
    /// Become a member of a closed swarm, by the link of an invite
    #[command(after_help = examples::JOIN)]
    Join(JoinArgs),
    /// List the members of this closed swarm
    #[command(after_help = examples::MEMBERS)]
    Members(MembersArgs),
    /// Put a member out of this closed swarm: nobody speaks with it any more
    #[command(after_help = examples::REVOKE)]
    Revoke(RevokeArgs),
    /// Look after the key of this closed swarm
    #[command(after_help = examples::SWARM)]
    Swarm {
        /// What to do.
        #[command(subcommand)]
        command: SwarmCommand,
    },
    /// Show what a peer knows of each source of its transfers, and why it asks it or not
    #[command(after_help = examples::WHY)]
    Why(WhyArgs),
    /// Look at this machine, a folder and the trackers: what is wrong, what is slow, and what to do about it
    #[command(after_help = examples::DOCTOR)]
    Doctor(DoctorArgs),
    /// Check whether a tracker, a peer or a command that fetches keeps to the protocol
    #[command(after_help = examples::CONFORMANCE)]
    Conformance(ConformanceArgs),
    /// Open the page of a running peer or tracker
    #[cfg(feature = "web")]
    #[command(after_help = examples::WEB)]
    Web(WebArgs),
    /// Run what brings a lost node back, until its time is over: what the agent of a node starts for itself
    #[command(hide = true)]
    Hook(HookArgs),
    /// Print completions for a shell
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Args)]
pub(crate) struct TrackerArgs {
    /// Where to listen; port 0 takes any free one
    #[arg(long, value_name = "HOST:PORT", default_value = TRACKER_LISTEN, value_parser = listened)]
    pub(crate) listen: String,
    /// How long a peer may be silent before it is forgotten
    #[arg(long, value_name = "TIME", default_value_t = Period(tracker::Config::default().lease),
          value_parser = interval)]
    pub(crate) lease: Period,
    #[arg(long, value_name = "N", help = format!("Most connections at once; 0 lets nobody in [default: {}, or as \
          many as open files allow]", tracker::MAX_CONNECTIONS))]
    pub(crate) max_connections: Option<usize>,
    /// Keep published names and their versions, and who is a member, in this folder [default: of a closed tracker p2p/tracker
    /// in the state directory, else none: only stores remember them]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Take in what stores remember beside what is in DIR: after its disk was lost
    #[arg(long, requires = "data")]
    pub(crate) recover: bool,
    /// How long a store may be away before others make new copies of what it keeps
    #[arg(long, value_name = "TIME", default_value_t = Period(tracker::Delays::default().repair_after),
          value_parser = interval)]
    pub(crate) repair_after: Period,
    /// How long stores keep what no version needs any more, or an upload left that did not end
    #[arg(long, value_name = "TIME", default_value_t = Period(tracker::Delays::default().grace),
          value_parser = interval)]
    pub(crate) grace: Period,
    /// How long a node may be silent before another brings it back
    #[arg(long, value_name = "TIME", default_value_t = Period(tracker::Delays::default().nodes.silence),
          value_parser = interval)]
    pub(crate) node_silence: Period,
    /// How long the other may take for that; then somebody else tries
    #[arg(long, value_name = "TIME", default_value_t = Period(tracker::Delays::default().nodes.lease),
          value_parser = interval)]
    pub(crate) duty_lease: Period,
    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,
    #[cfg(feature = "web")]
    #[command(flatten)]
    pub(crate) page: PageArgs,
}

#[derive(Debug, Args)]
pub(crate) struct PeerArgs {
    /// The folder to share; what is fetched into it is shared too
    pub(crate) folder: PathBuf,
    #[command(flatten)]
    pub(crate) selection: SelectionArgs,
    #[command(flatten)]
    pub(crate) trackers: TrackerList,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
    /// Keep for others what the tracker says, in at most so much disk, in .p2p/vault in the folder
    /// [default: nothing is kept for others]
    #[arg(long, value_name = "SIZE", value_parser = some_bytes, help_heading = LENDING)]
    pub(crate) store: Option<Bytes>,
    /// Where it stands: copies go to different zones, where there are enough [default: nowhere in particular]
    #[arg(long, value_name = "NAME", requires = "store", help_heading = LENDING)]
    pub(crate) zone: Option<String>,
    /// Go over to this tracker from the one that it kept for before, whose copies may be deleted then
    #[arg(long, requires = "store", help_heading = LENDING)]
    pub(crate) adopt: bool,
    /// In what time all that is kept is read and proved again, to find what rots on the disk
    #[arg(long, value_name = "TIME", default_value = "30d", value_parser = interval, help_heading = LENDING)]
    pub(crate) scrub: Period,
    /// Copy what nobody waits for, when another store is gone, no faster than this [default: no limit]
    #[arg(long, value_name = "RATE", requires = "store", help_heading = LENDING)]
    pub(crate) repair_rate: Option<Rate>,
    #[cfg(feature = "web")]
    #[command(flatten)]
    pub(crate) page: PageArgs,
    /// Keep at most so much of what is only read on the page and is none of the folder's, in .p2p/cache in the folder
    #[cfg(feature = "web")]
    #[arg(long, value_name = "SIZE", requires = "web", value_parser = some_bytes, default_value = "4GiB", help_heading = "Page")]
    pub(crate) web_cache: Bytes,
    /// Misbehave on purpose, for tests: corrupt=P, drop=P, delay=TIME, refuse=P, lie[=P], stall=P, with
    /// the probability P for each chunk [default: none]
    #[arg(long, value_name = "KIND[=VALUE]", value_delimiter = ',', help_heading = EXPERIMENTS)]
    pub(crate) fault: Vec<Fault>,
    /// Decides which chunks the faults hit
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = EXPERIMENTS)]
    pub(crate) fault_seed: u64,
}

#[derive(Debug, Args)]
pub(crate) struct ShareArgs {
    /// The file or folder to share
    pub(crate) path: PathBuf,
    #[command(flatten)]
    pub(crate) selection: SelectionArgs,
    /// Use this tracker [default: one is built in]
    #[arg(long = "tracker", value_name = "HOST[:PORT]", env = "P2P_TRACKER", value_delimiter = ',',
          value_parser = tracker_address)]
    pub(crate) trackers: Vec<String>,
    /// End when so many have all of it [default: go on until stopped]
    #[arg(long, value_name = "N")]
    pub(crate) until: Option<NonZeroU64>,
    /// Where the built-in tracker listens; another free port is taken if this one is busy
    #[arg(long, value_name = "HOST:PORT", default_value = TRACKER_LISTEN, value_parser = listened)]
    pub(crate) tracker_listen: String,
    #[cfg(feature = "web")]
    #[command(flatten)]
    pub(crate) page: PageArgs,
    /// How long the link for browsers is good that --web prints
    #[cfg(feature = "web")]
    #[arg(long, value_name = "TIME", requires = "web", default_value = "24h", help_heading = "Page")]
    pub(crate) web_for: Period,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
}

#[derive(Debug, Args)]
pub(crate) struct LsArgs {
    /// What the names look like, at any depth: `*` and `?` stand for any characters; without either, a part of the
    /// name. `FOLDER/`: what lies in that folder [default: the top level]
    pub(crate) pattern: Option<String>,
    /// Of a folder, or of the top level: all that is below it
    #[arg(short, long)]
    pub(crate) recursive: bool,
    #[command(flatten)]
    pub(crate) asking: Asking,
}

/// Which side of the protocol is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Checked {
    /// A tracker, on which nobody else registers names that begin with `conformance`
    Tracker,
    /// A peer that serves
    Server,
    /// A command that fetches, run anew for each check
    Asker,
}

#[derive(Debug, Args)]
pub(crate) struct ConformanceArgs {
    /// Where the tracker or server listens
    #[arg(value_name = "HOST:PORT", required_unless_present = "command", conflicts_with = "command")]
    pub(crate) target: Option<String>,
    /// What it is: there is no default
    #[arg(long)]
    pub(crate) role: Checked,
    /// Of a server: the id of a content of at least two chunks that it shares
    /// [default: that of the pattern of 200,000 bytes in docs/PROTOCOL.md]
    #[arg(long, requires = "size")]
    pub(crate) id: Option<FileId>,
    /// The size of that content, in bytes [default: 200000]
    #[arg(long, value_name = "BYTES", requires = "id")]
    pub(crate) size: Option<u64>,
    /// Of a server: the id of a tree that it shares, with at least one file that is not empty [default: trees are
    /// not checked]
    #[arg(long, value_name = "ID")]
    pub(crate) tree: Option<FileId>,
    /// How long it may take for anything
    #[arg(long, value_name = "TIME", default_value_t = Period(Duration::from_secs(10)), value_parser = interval)]
    pub(crate) patience: Period,
    /// One JSON object a line
    #[arg(long)]
    pub(crate) json: bool,
    /// Of an asker: the command. `{tracker}` stands for the tracker to ask, `{name}` and `{id}` for the content,
    /// `{size}` for its bytes, `{dest}` for the folder to put it into, `{wait}` for the seconds it is to wait for who is
    /// not there
    #[arg(last = true)]
    pub(crate) command: Vec<String>,
}

#[derive(Debug, Args)]
#[command(mut_arg("wait", |wait| wait.default_value("30s")))]
pub(crate) struct FindArgs {
    /// A name, a folder (`photos/`), an id or the first digits of one, a pattern (`'photos/*.jpg'`), a `p2p:` link or a
    /// NAME.p2p file; `name:…` is always a name
    pub(crate) what: String,
    #[command(flatten)]
    pub(crate) asking: Asking,
}

#[derive(Debug, Args)]
pub(crate) struct GetArgs {
    /// What to fetch, and last of several where to. WHAT: a name, a folder (`photos/`), an id or the first digits of one, a
    /// pattern (`'photos/*.jpg'`), a `p2p:` link or a NAME.p2p file; `name:…` is always a name. DEST: a folder that
    /// exists, or a path that ends with `/`, puts it inside; any other path is the file or folder to make; `-` is
    /// standard output [default: the current folder]
    #[arg(value_name = "WHAT… [DEST]", required = true)]
    pub(crate) words: Vec<OsString>,
    #[command(flatten)]
    pub(crate) trackers: TrackerList,
    /// Of a folder, fetch only what matches, at any depth, or from the top if there is a `/` in it; give several for
    /// several [default: all of it]
    #[arg(long, value_name = "PATTERN", conflicts_with = "union")]
    pub(crate) include: Vec<Pattern>,
    /// Of a folder, leave out what matches, with all that is in it [default: nothing]
    #[arg(long, value_name = "PATTERN", conflicts_with = "union")]
    pub(crate) exclude: Vec<Pattern>,
    /// Say what would be fetched, and where to, and do nothing
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
    /// How long to wait for a tracker or for somebody who has it: a time, 0 or `forever`
    #[arg(long, value_name = "TIME", default_value = "30s")]
    pub(crate) wait: Patience,
    /// Of several contents under a name: the one that this peer made; its name, or the start of its id
    /// [default: they are listed]
    #[arg(long, value_name = "PEER", conflicts_with = "union")]
    pub(crate) from: Option<String>,
    /// Of several contents under a name: the one that was changed last
    #[arg(long, conflicts_with = "union")]
    pub(crate) newest: bool,
    /// Make one folder of several under a name, if no path in them contradicts another
    #[arg(long)]
    pub(crate) union: bool,
    /// What to call it inside DEST [default: as it was asked for; by id, as those who made it agree, else
    /// its id]
    #[arg(long = "as", value_name = "NAME", value_parser = name)]
    pub(crate) called: Option<SafeName>,
    /// Overwrite existing files that differ
    #[arg(long)]
    pub(crate) force: bool,
    /// Of a folder that was fetched before: move what the new version lacks, and nobody changed, to
    /// DEST/.p2p/trash, which is never shared
    #[arg(long, conflicts_with = "union")]
    pub(crate) delete: bool,
    /// A folder that its source could not list in full is a success too
    #[arg(long)]
    pub(crate) allow_partial: bool,
    /// Stay and share it until stopped
    #[arg(long)]
    pub(crate) seed: bool,
    /// Stay and share it for so long
    #[arg(long, value_name = "TIME", conflicts_with = "seed")]
    pub(crate) seed_for: Option<Period>,
    /// Progress and outcome as one JSON object a line
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
    /// Which of [`GetArgs::ITS_OWN`] were typed.
    #[arg(skip)]
    pub(crate) typed: Vec<String>,
    /// Which of [`GetArgs::OF_A_FETCH`] were typed.
    #[arg(skip)]
    pub(crate) typed_of_it: Vec<String>,
}

impl GetArgs {
    /// What holds for a fetch by whichever peer it is carried out.
    pub(crate) const OF_A_FETCH: &[&str] = &["down", "refresh"];

    /// What is to be fetched, and where to.
    pub(crate) fn places(&self) -> Result<(Vec<String>, PathBuf), Failure> {
        let (whats, dest) = match self.words.split_last() {
            Some((dest, whats)) if !whats.is_empty() => (whats, PathBuf::from(dest)),
            _ => (&self.words[..], PathBuf::from(".")),
        };
        let text = |what: &OsString| what.to_str().map(str::to_owned);
        let whats: Option<Vec<String>> = whats.iter().map(text).collect();
        Ok((whats.ok_or_else(|| Failure::usage("what is to be fetched is not UTF-8"))?, dest))
    }

    /// What is wanted of a folder.
    pub(crate) fn filter(&self) -> Filter {
        Filter { include: self.include.clone(), exclude: self.exclude.clone() }
    }

    /// What only a fetch of this process can go by: a running peer has its own.
    pub(crate) const ITS_OWN: &[&str] =
        &["temp", "max_in_flight", "max_neighbours", "up", "fsync", "keep_partial", "seed_for"];
}

#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// The file or folder to describe
    pub(crate) path: PathBuf,
    #[command(flatten)]
    pub(crate) selection: SelectionArgs,
    /// The descriptor to write [default: NAME.p2p in the current folder]
    #[arg(short, long, value_name = "FILE.p2p")]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) trackers: TrackerList,
    /// Overwrite an existing descriptor
    #[arg(long)]
    pub(crate) force: bool,
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct LoadArgs {
    /// The peer: its name at the tracker, or HOST:PORT
    pub(crate) peer: String,
    #[command(flatten)]
    pub(crate) trackers: TrackerList,
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// The folder that a peer is sharing; without it, the trackers are asked
    pub(crate) folder: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) trackers: TrackerList,
    /// One JSON object a line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct WhyArgs {
    /// The folder that a peer is sharing, or the id of what the peer of this folder fetches
    #[arg(value_name = "FOLDER|ID", default_value = ".")]
    pub(crate) what: String,
    /// One JSON object a line
    #[arg(long)]
    pub(crate) json: bool,
}

#[cfg(test)]
mod tests;
