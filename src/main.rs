//! The `p2p` program: read what was typed, do it, turn the outcome into an exit code.

use std::process::ExitCode;

use p2p::cli;

fn main() -> ExitCode {
    p2p::program(|| match cli::read_arguments().and_then(cli::run) {
        Ok(()) => cli::Exit::Done.into(),
        Err(failure) => {
            failure.print();
            failure.exit.into()
        }
    })
}
