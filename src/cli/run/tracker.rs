//! `p2p tracker`, and the tracker inside `p2p share`.

use std::path::Path;

use crate::cli::failure::Failure;
use crate::cli::reach::swarm;
use crate::cli::run::signals::Stop;
use crate::cli::show::output;
use crate::cli::typed::args::{TRACKER_LISTEN, TrackerArgs};
use crate::net::secure::Keyring;
use crate::tracker::StartError;
use crate::tracker::{self, Delays, Tracker};

/// `p2p tracker`
pub(crate) fn tracker(args: &TrackerArgs) -> Result<(), Failure> {
    let stop = Stop::install()?;
    let service = stop.service()?;
    let config = tracker::Config {
        listen: args.listen.clone(),
        lease: args.lease.0,
        max_connections: args.max_connections,
        data: args.data.clone(),
        recover: args.recover,
        keyring: keyring(args.data.as_deref())?,
        delays: Delays { grace: args.grace.0, repair_after: args.repair_after.0 },
        ..tracker::Config::default()
    };
    let tracker = tracker::start(config)?;
    stop.graceful();
    let ready = format!("tracker listening on {}", tracker.addr());
    output::ready(&ready);
    service.ready(&ready);
    service.watch(tracker.touch()).map_err(Failure::no_thread)?;
    stop.wait_until(None);
    service.stopping();
    tracker.stop();
    Ok(())
}

/// The keys of a tracker that keeps its state there, if anywhere.
fn keyring(data: Option<&Path>) -> Result<Keyring, Failure> {
    Ok(swarm::keyring_in(data).map_err(StartError::Thread)?)
}

/// Where the tracker inside `p2p share` listens if the usual port is taken.
const ANY_PORT: &str = "[::]:0";

/// The tracker inside `p2p share`: the usual port if it is free, else any.
pub(crate) fn built_in(listen: &str) -> Result<Tracker, Failure> {
    let usual =
        tracker::Config { listen: listen.to_owned(), keyring: keyring(None)?, ..tracker::Config::default() };
    match tracker::start(usual.clone()) {
        Ok(tracker) => Ok(tracker),
        Err(_) if listen == TRACKER_LISTEN => {
            Ok(tracker::start(tracker::Config { listen: ANY_PORT.to_owned(), ..usual })?)
        }
        Err(error) => Err(error.into()),
    }
}
