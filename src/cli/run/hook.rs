//! `p2p hook`: what an agent starts to bring a lost node back; nobody types it.

use crate::cli::failure::{Failure, reason};
use crate::cli::typed::nodes::HookArgs;
use crate::node::hook;

/// `p2p hook --until NS -- PROGRAM …`
pub(crate) fn hook(args: &HookArgs) -> Result<(), Failure> {
    let program = args.argv.first().map_or("", String::as_str);
    match hook::run(args.until, &args.argv) {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::other(format!("{program}: {status}"))),
        Err(error) => Err(Failure::other(format!("{program} cannot be run: {}", reason(&error)))),
    }
}
