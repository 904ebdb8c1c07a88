//! The command line: what people type, and what they read.
//!
//! One room per family of commands. A command takes its own arguments, talks to trackers or to a
//! peer, writes answers on standard output and everything else on standard error, and ends in a
//! [`Failure`] with a sentence and an exit code. Nothing below this layer prints or exits.
//!
//! The rooms, each of which knows those before it: `failure`; `typed` (what can be said, and what it means); `show`
//! (words, tables, JSON); `reach` (whom a command asks); `run` (what works in this process); `ask` (commands that
//! answer); `get`.

mod ask;
mod failure;
mod get;
mod reach;
mod run;
mod show;
mod typed;

pub use crate::api::Exit;
use crate::api::control::Order;
#[cfg(feature = "lab")]
pub(crate) use crate::net::join_link::check as check_join_link;
pub use failure::Failure;
pub use typed::args::{Cli, Command};
#[cfg(feature = "lab")]
pub(crate) use typed::settings::check as check_config;
pub use typed::settings::read as read_arguments;
#[cfg(feature = "lab")]
pub(crate) use typed::swarm_file::check as check_swarm_file;

/// Does what was typed.
///
/// # Errors
/// A [`Failure`] says what happened, to what, what can be done, and how to exit.
pub fn run(cli: Cli) -> Result<(), Failure> {
    run::logs::start(&cli.logs);
    crate::descriptors::raise();
    crate::threads::may_panic("main");
    if !matches!(cli.command, Command::Tracker(_) | Command::Join(_) | Command::Hook(_)) {
        reach::swarm::settle(&cli.keys)?; // of the first two the keys may be new, and the last needs none
    }
    match cli.command {
        Command::Tracker(args) => run::tracker::tracker(&args, &cli.keys),
        Command::Invite(args) => ask::members::invite(&args),
        Command::Join(args) => ask::join::join(&args, &cli.keys),
        Command::Members(args) => ask::members::members(&args),
        Command::Revoke(args) => ask::members::revoke(&args),
        Command::Swarm { command } => ask::members::swarm(&command),
        Command::Peer(args) => run::peer::peer(args),
        Command::Up(args) => run::up::up(&args, &cli.keys),
        Command::Node(args) => ask::node::node(&args),
        Command::Hook(args) => run::hook::hook(&args),
        Command::Share(args) => run::share::share(args),
        Command::Ls(args) => ask::list::ls(&args),
        Command::Find(args) => ask::find::find(&args),
        Command::Get(args) => get::get(args),
        Command::Publish(args) => ask::publish::publish(&args),
        Command::Download(args) => get::download(&args),
        Command::Upload(args) => run::upload::upload(&args),
        Command::Versions(args) => ask::versions::versions(&args),
        Command::Rm(args) => ask::remove::rm(&args),
        Command::Create(args) => run::create::create(&args),
        Command::Load(args) => ask::load::load(&args),
        Command::Status(args) => ask::status::status(&args),
        Command::Cancel(args) => ask::steer::steer(&args, Order::Cancel),
        Command::Pause(args) => ask::steer::steer(&args, Order::Pause),
        Command::Resume(args) => ask::steer::steer(&args, Order::Resume),
        Command::Limit(args) => ask::steer::limit(&args),
        Command::Stores(args) => ask::stores::stores(&args),
        Command::Health(args) => ask::stores::health(&args),
        Command::Cluster(args) => ask::cluster::cluster(&args),
        Command::Why(args) => ask::why::why(&args),
        Command::Doctor(args) => ask::doctor::doctor(&args),
        Command::Conformance(args) => ask::conformance::conformance(&args),
        #[cfg(feature = "web")]
        Command::Web(args) => ask::page::web(&args),
        Command::Completions { shell } => ask::completions::completions(shell),
    }
}
