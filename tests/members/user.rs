//! Somebody with a home of its own: the keys of one user are not those of another.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::support::{Daemon, Output, run_with};

/// Somebody with a home of its own.
pub(crate) struct User {
    pub(crate) home: TempDir,
}

impl User {
    pub(crate) fn new() -> User {
        User { home: TempDir::new().unwrap() }
    }

    pub(crate) fn prepare(&self) -> impl FnOnce(&mut std::process::Command) + Send + use<> {
        let home = self.home.path().to_owned();
        move |command| {
            for name in ["HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME"] {
                command.env(name, &home);
            }
        }
    }

    #[track_caller]
    pub(crate) fn run(&self, args: &[&str]) -> Output {
        run_with(args, self.prepare())
    }

    #[track_caller]
    pub(crate) fn start(&self, args: &[&str]) -> Daemon {
        Daemon::start_with(args, self.prepare())
    }

    /// A command that goes on for a while and is ready at once.
    #[track_caller]
    pub(crate) fn begin(&self, args: &[&str]) -> Daemon {
        Daemon::underway_with(args, "", self.prepare())
    }

    /// The file with its keys.
    pub(crate) fn keys(&self) -> PathBuf {
        self.home.path().join("p2p/swarm.toml")
    }

    /// A closed tracker that this user runs; beyond the first start its records are in its home.
    #[track_caller]
    pub(crate) fn tracker(&self) -> Daemon {
        let keys = self.keys();
        self.start(&["tracker", "--listen", "127.0.0.1:0", "--swarm", keys.to_str().unwrap()])
    }

    /// Its tracker again, where it was before.
    #[track_caller]
    pub(crate) fn tracker_at(&self, addr: &str) -> Daemon {
        self.start(&["tracker", "--listen", addr, "--swarm", self.keys().to_str().unwrap()])
    }

    /// A link that this user, an admin, hands out.
    #[track_caller]
    pub(crate) fn invite(&self, more: &[&str]) -> String {
        self.run(&[&["invite"], more].concat()).expect(0).stdout.trim().to_owned()
    }

    /// Somebody who has joined with this role.
    #[track_caller]
    pub(crate) fn invites(&self, role: &str) -> User {
        let (link, joins) = (self.invite(&["--role", role]), User::new());
        joins.run(&["join", &link, "--name", role]).expect(0);
        joins
    }

    /// The secret of the key that it has.
    pub(crate) fn secret(&self) -> String {
        let text = fs::read_to_string(self.keys()).unwrap();
        let secret = text.lines().find_map(|line| line.strip_prefix("secret = ")).unwrap();
        secret.trim_matches('"').to_owned()
    }
}
