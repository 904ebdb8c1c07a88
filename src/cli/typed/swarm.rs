//! What can be typed about closed swarms, and where their keys are found.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};

use super::swarm_file::SwarmFile;
use crate::cli::failure::{Failure, reason};
use crate::cli::typed::options::Asking;
use crate::cli::typed::values::{Period, interval};
use crate::net::secure::files;
use crate::wire::MemberRole;

/// The file's name in the folder of the configuration, and among the credentials that a service is given.
const FILE: &str = "swarm.toml";
const CREDENTIAL: &str = "swarm";
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";
/// The variable that names the file.
const VARIABLE: &str = "P2P_SWARM_FILE";

/// Whether and by which keys this process is in a closed swarm.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Closed swarms")]
pub(crate) struct SwarmArgs {
    /// The file with the keys of a closed swarm [default: swarm.toml beside the configuration file]
    #[arg(long, global = true, value_name = "FILE", env = VARIABLE, hide_env_values = true)]
    pub(crate) swarm: Option<PathBuf>,
    /// Speak in the clear with whoever can be reached, though that is not this machine alone
    #[arg(long, global = true, conflicts_with = "swarm")]
    pub(crate) open: bool,
}

impl SwarmArgs {
    /// What of it stands on a command line that is not understood yet, or in the environment.
    pub(crate) fn early(words: impl Iterator<Item = OsString>) -> SwarmArgs {
        let (mut swarm, mut open) = (env::var_os(VARIABLE).map(PathBuf::from), false);
        let mut words = words.skip(1);
        while let Some(word) = words.next() {
            match word.to_str() {
                Some("--") => break,
                Some("--open") => open = true,
                Some("--swarm") => swarm = words.next().map(PathBuf::from),
                Some(text) => {
                    if let Some(file) = text.strip_prefix("--swarm=") {
                        swarm = Some(PathBuf::from(file));
                    }
                }
                None => {}
            }
        }
        SwarmArgs { swarm, open }
    }

    /// The file that was named; an empty variable names none.
    pub(crate) fn named(&self) -> Option<&Path> {
        self.swarm.as_deref().filter(|path| !path.as_os_str().is_empty())
    }

    /// Where the file is, or would be made; `None` on a system without folders for that.
    pub(crate) fn place(&self) -> Option<PathBuf> {
        if let Some(named) = self.named() {
            return Some(named.to_owned());
        }
        let given = env::var_os(CREDENTIALS).map(|folder| Path::new(&folder).join(CREDENTIAL));
        given.filter(|path| path.exists()).or_else(|| Some(dirs::config_dir()?.join("p2p").join(FILE)))
    }

    /// The swarm that this user is a member of, if it is one.
    ///
    /// # Errors
    /// There is a file, but it cannot be read, others may read it, or it is no file of keys; or the one that was named
    /// is not there.
    pub(crate) fn member(&self) -> Result<Option<(PathBuf, SwarmFile)>, Failure> {
        let Some(path) = self.place().filter(|_| !self.open) else { return Ok(None) };
        if self.named().is_none() && !path.exists() {
            return Ok(None);
        }
        read(&path).map(|file| Some((path, file)))
    }
}

/// Reads a file of keys.
pub(crate) fn read(path: &Path) -> Result<SwarmFile, Failure> {
    let refused = |why: String| Failure::usage(format!("cannot use the keys in {}: {why}", path.display()));
    let bytes = files::read_private(path).map_err(|error| refused(reason(&error)))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| refused("it is no text".to_owned()))?;
    SwarmFile::parse(text).map_err(refused)
}

/// A role, as it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RoleWord {
    /// Fetches, and serves what others brought in
    Reader,
    /// Brings in contents, too
    Publisher,
    /// Says who is a member, too
    Admin,
    /// Is a tracker
    Tracker,
}

impl From<RoleWord> for MemberRole {
    fn from(word: RoleWord) -> MemberRole {
        match word {
            RoleWord::Reader => MemberRole::Reader,
            RoleWord::Publisher => MemberRole::Publisher,
            RoleWord::Admin => MemberRole::Admin,
            RoleWord::Tracker => MemberRole::Tracker,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct InviteArgs {
    /// What those may do who join by it
    #[arg(long, value_enum, default_value = "publisher")]
    pub(crate) role: RoleWord,
    /// Of publishers: how the names begin that they may give [default: any]
    #[arg(long, value_name = "PREFIX", default_value = "", hide_default_value = true)]
    pub(crate) prefix: String,
    /// How many may join by it
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) uses: u32,
    /// For how long
    #[arg(long = "for", value_name = "TIME", default_value = "24h", value_parser = interval)]
    pub(crate) valid: Period,
    #[command(flatten)]
    pub(crate) asking: Asking,
}

#[derive(Debug, Args)]
pub(crate) struct JoinArgs {
    /// What `p2p invite` printed; `-` reads it from standard input, so that no other user sees it among the processes
    pub(crate) link: String,
    /// What this member is to be called [default: USER@HOST]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct MembersArgs {
    #[command(flatten)]
    pub(crate) asking: Asking,
}

#[derive(Debug, Args)]
pub(crate) struct RevokeArgs {
    /// The member's name, or its key, or the first letters of that
    pub(crate) who: String,
    #[command(flatten)]
    pub(crate) asking: Asking,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SwarmCommand {
    /// Give a member another role, or enter a key that is in no roster yet
    Role(RoleArgs),
    /// Give the swarm another key, which all members hear of
    Rotate(RotateArgs),
    /// Show the swarm that this user is a member of
    Show(ShowArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RoleArgs {
    /// The member's name, or its key, or the first letters of that; a whole key is entered if it is new
    pub(crate) who: String,
    /// What it may do from now on
    #[arg(value_enum)]
    pub(crate) role: RoleWord,
    /// Of publishers: how the names begin that they may give [default: any]
    #[arg(long, value_name = "PREFIX", default_value = "", hide_default_value = true)]
    pub(crate) prefix: String,
    #[command(flatten)]
    pub(crate) asking: Asking,
}

#[derive(Debug, Args)]
pub(crate) struct RotateArgs {
    /// For how long the key that there is lets in as well
    #[arg(long, value_name = "TIME", default_value = "1h")]
    pub(crate) grace: Period,
    #[command(flatten)]
    pub(crate) asking: Asking,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// Print the key, too: whoever reads it is in
    #[arg(long)]
    pub(crate) secret: bool,
    /// One JSON object
    #[arg(long, conflicts_with = "secret")]
    pub(crate) json: bool,
}
