//! `p2p tracker`, and the tracker inside `p2p share`.

use crate::cli::failure::Failure;
use crate::cli::run::signals::Stop;
use crate::cli::show::output;
use crate::cli::typed::args::{TRACKER_LISTEN, TrackerArgs};
use crate::tracker::{self, Tracker};

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

/// Where the tracker inside `p2p share` listens if the usual port is taken.
const ANY_PORT: &str = "[::]:0";

/// The tracker inside `p2p share`: the usual port if it is free, else any.
pub(crate) fn built_in(listen: &str) -> Result<Tracker, Failure> {
    let usual = tracker::Config { listen: listen.to_owned(), ..tracker::Config::default() };
    match tracker::start(usual) {
        Ok(tracker) => Ok(tracker),
        Err(_) if listen == TRACKER_LISTEN => {
            Ok(tracker::start(tracker::Config { listen: ANY_PORT.to_owned(), ..Default::default() })?)
        }
        Err(error) => Err(error.into()),
    }
}
