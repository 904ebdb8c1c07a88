//! The command line: what people type, and what they read.
//!
//! One module per family of commands. A command takes its own arguments, talks to trackers or to a
//! peer, writes answers on standard output and everything else on standard error, and ends in a
//! [`Failure`] with a sentence and an exit code. Nothing below this layer prints or exits.

mod args;
mod create;
mod daemon;
mod daemons;
mod engine;
mod failure;
mod fault;
mod find;
mod get;
mod list;
mod load;
mod logs;
mod output;
mod scan;
mod scratch;
mod settings;
mod signals;
mod status;
mod swarm;
mod table;
mod units;
mod what;
mod why;

pub use crate::api::Exit;
pub use args::{Cli, Command};
pub use failure::Failure;
#[cfg(feature = "lab")]
pub(crate) use settings::check as check_config;
pub use settings::read as read_arguments;

/// Does what was typed.
///
/// # Errors
/// A [`Failure`] says what happened, to what, what can be done, and how to exit.
pub fn run(cli: Cli) -> Result<(), Failure> {
    logs::start(&cli.logs);
    crate::descriptors::raise();
    crate::threads::may_panic("main");
    match cli.command {
        Command::Tracker(args) => daemons::tracker(&args),
        Command::Peer(args) => daemons::peer(args),
        Command::Share(args) => daemons::share(args),
        Command::Ls(args) => list::ls(&args),
        Command::Find(args) => find::find(&args),
        Command::Get(args) => get::get(args),
        Command::Create(args) => create::create(&args),
        Command::Load(args) => load::load(&args),
        Command::Status(args) => status::status(&args),
        Command::Why(args) => why::why(&args),
        Command::Completions { shell } => args::completions(shell),
    }
}
