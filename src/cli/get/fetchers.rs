//! The peers of this process that fetch: one for all contents that are sought at the same trackers.

use crate::cli::failure::Failure;
use crate::cli::run::engine::start_fetcher;
use crate::cli::typed::args::GetArgs;
use crate::peer::Peer;

/// Peers by their trackers. They run until [`Fetchers::stop`], so that what came early is shared while more comes.
pub(super) struct Fetchers<'a> {
    args: &'a GetArgs,
    running: Vec<(Vec<String>, Peer)>,
}

impl<'a> Fetchers<'a> {
    pub(super) fn new(args: &'a GetArgs) -> Fetchers<'a> {
        Fetchers { args, running: Vec::new() }
    }

    /// The peer that asks these trackers, started if need be.
    pub(super) fn asking(&mut self, trackers: Vec<String>) -> Result<&Peer, Failure> {
        let at = match self.running.iter().position(|(asked, _)| *asked == trackers) {
            Some(at) => at,
            None => {
                let peer = start_fetcher(&self.args.engine, trackers.clone())?;
                self.running.push((trackers, peer));
                self.running.len() - 1
            }
        };
        Ok(&self.running[at].1)
    }

    /// True if none was needed.
    pub(super) fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// Says goodbye to everybody.
    pub(super) fn stop(self) {
        self.running.into_iter().for_each(|(_, peer)| peer.stop());
    }
}
