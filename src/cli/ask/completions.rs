//! `p2p completions`: what a shell can complete.

use clap::CommandFactory;

use crate::cli::failure::Failure;
use crate::cli::show::output;
use crate::cli::typed::args::Cli;

/// `p2p completions SHELL`
pub(crate) fn completions(shell: clap_complete::Shell) -> Result<(), Failure> {
    // Through a buffer: the generator panics when its output is closed early.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "p2p", &mut script);
    output::line(String::from_utf8_lossy(&script).trim_end())
}
