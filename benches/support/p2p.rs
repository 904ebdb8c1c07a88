//! The program under test, driven through its command line only.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use p2p::content::base32;
use p2p::net::secure::Secret;

use super::process::{Line, Running};

/// How long a tracker or a peer may take to say that it is ready.
const READY: Duration = Duration::from_secs(120);

/// Where commands run: here, or inside a network namespace.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place {
    namespace: Option<String>,
}

impl Place {
    pub(crate) fn here() -> Self {
        Self::default()
    }

    pub(crate) fn namespace(name: &str) -> Self {
        Self { namespace: Some(name.to_owned()) }
    }

    /// A command that runs in this place.
    pub(crate) fn command(&self, program: &Path) -> Command {
        match &self.namespace {
            None => Command::new(program),
            Some(name) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", name]).arg(program);
                command
            }
        }
    }

    /// The same, held until a line arrives on its standard input: many can then start at one moment.
    pub(crate) fn gated(&self, program: &Path) -> Command {
        let mut command = self.command(Path::new("/bin/sh"));
        command.args(["-c", "echo gate; read gate; exec \"$0\" \"$@\""]).arg(program);
        command
    }
}

/// The binary: `P2P_BIN` if set, else the one built for this benchmark.
pub(crate) fn binary() -> PathBuf {
    std::env::var_os("P2P_BIN").map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_p2p")), PathBuf::from)
}

/// Takes the user's own configuration out of the measurement of this command of ours, which is closed if its scratch folder
/// has a key, and else speaks in the clear.
pub(crate) fn isolate(command: &mut Command, scratch: &Path) {
    command.env_remove("P2P_TRACKER").env_remove("P2P_SWARM_FILE").env_remove("RUST_LOG");
    command.env("XDG_CONFIG_HOME", scratch.join("config")).env("XDG_STATE_HOME", scratch.join("state"));
    let swarm = scratch.join(SWARM);
    match swarm.exists() {
        true => command.env("P2P_SWARM_FILE", swarm),
        false => command.arg("--open"),
    };
}

/// In the scratch folder of programs that are closed: their key.
const SWARM: &str = "swarm.toml";

/// Makes the programs that have this scratch folder a closed swarm.
pub(crate) fn close(scratch: &Path) -> Result<()> {
    let path = scratch.join(SWARM);
    let key = base32::encode(Secret::random()?.expose());
    fs::write(&path, format!("[[key]]\nepoch = 1\nsecret = \"{}\"\n", *key))?;
    Ok(fs::set_permissions(&path, Permissions::from_mode(0o600))?)
}

/// A tracker or a peer that has said it is ready.
pub(crate) struct Server {
    pub(crate) process: Running,
    /// `HOST:PORT` from its ready line.
    pub(crate) address: String,
}

impl Server {
    /// `p2p tracker` on `host`, any port.
    pub(crate) fn tracker(place: &Place, host: &str, scratch: &Path) -> Result<Self> {
        let mut command = place.command(&binary());
        command.args(["tracker", "--listen", &format!("{host}:0")]);
        Self::start(command, "tracker", scratch, "tracker listening on ")
    }

    /// `p2p peer FOLDER` on `host`, any port.
    pub(crate) fn peer(
        place: &Place,
        host: &str,
        folder: &Path,
        tracker: &str,
        name: &str,
        scratch: &Path,
    ) -> Result<Self> {
        let mut command = place.command(&binary());
        command.arg("peer").arg(folder);
        command.args(["--tracker", tracker, "--listen", &format!("{host}:0"), "--name", name]);
        Self::start(command, name, scratch, " listening on ")
    }

    /// Any command that says where it listens behind `mark`.
    pub(crate) fn start(mut command: Command, name: &str, scratch: &Path, mark: &str) -> Result<Self> {
        isolate(&mut command, scratch);
        let process = Running::start(command, name, scratch)?;
        let Line { text, .. } = process.wait_line(READY, |line| line.contains(mark))?;
        let (_, rest) = text.split_once(mark).context("the ready line")?;
        let address = rest.split([',', ' ']).next().unwrap_or_default().to_owned();
        Ok(Self { process, address })
    }
}

/// `p2p get WHAT DEST --tracker T`, without what makes it stay.
pub(crate) fn get(place: &Place, what: &str, destination: &Path, tracker: &str, scratch: &Path) -> Command {
    let mut command = place.command(&binary());
    command.arg("get").arg(what).arg(destination).args(["--tracker", tracker]);
    isolate(&mut command, scratch);
    command
}
