//! What can be typed of trackers that are one, and of the nodes that they know of.

use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Subcommand};

use crate::cli::typed::address::tracker_address;
use crate::cli::typed::options::{Asking, TrackerList};
use crate::cli::typed::values::{Patience, Period, interval};
use crate::tracker::cluster::MAX_NODE;

/// The heading of options about trackers that are one.
const SEVERAL: &str = "Several trackers as one";
/// Longer than a host takes to start again.
const REPLACE_AFTER: Period = Period(Duration::from_secs(300));

/// A tracker of a cluster: its number, and where it is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) node: u16,
    pub(crate) address: String,
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Place, String> {
        let wrong = || format!("a tracker of a cluster is N=HOST:PORT, with N from 1 to {MAX_NODE}");
        let (node, address) = text.split_once('=').ok_or_else(wrong)?;
        let node = node.parse().ok().filter(|node| (1..=MAX_NODE).contains(node)).ok_or_else(wrong)?;
        Ok(Place { node, address: tracker_address(address)? })
    }
}

#[derive(Debug, Args)]
pub(crate) struct ClusterArgs {
    /// Which tracker of --cluster this is [default: none, it is alone]
    #[arg(long, value_name = "N", requires = "cluster", help_heading = SEVERAL,
          value_parser = clap::value_parser!(u16).range(1..=i64::from(MAX_NODE)))]
    pub(crate) node: Option<u16>,
    /// The trackers that are one from the start on, this one among them: what one acknowledges survives the loss of any minority.
    /// Later, `p2p cluster` changes who they are, and these are a place to look [default: none, it is alone]
    #[arg(long, value_name = "N=HOST:PORT", value_delimiter = ',', requires = "node", help_heading = SEVERAL)]
    pub(crate) cluster: Vec<Place>,
    /// A tracker that takes the place of one of them that stays away: it runs as they do, with a number that none of them has, and
    /// without a vote until then. Of several the first that is there is taken [default: none, people see to it]
    #[arg(long, value_name = "N=HOST:PORT", value_delimiter = ',', requires = "node", help_heading = SEVERAL)]
    pub(crate) spare: Vec<Place>,
    /// How long one of them may be away before a spare takes its place
    #[arg(long, value_name = "TIME", default_value_t = REPLACE_AFTER, value_parser = interval, help_heading = SEVERAL)]
    pub(crate) replace_after: Period,
}

#[derive(Debug, Args)]
pub(crate) struct ClusterCommand {
    #[command(subcommand)]
    pub(crate) act: ClusterAct,
}

/// What is asked of trackers that are one, or about nodes.
#[derive(Debug, Subcommand)]
pub(crate) enum ClusterAct {
    /// Show them: who leads, who is away, how far each is
    Status(Asking),
    /// Take in one more, which runs with --node and --cluster; done when it has what the others have
    Add {
        /// Its number, and where it is reached
        #[arg(value_name = "NUMBER=HOST:PORT")]
        place: Place,
        #[command(flatten)]
        changing: Changing,
    },
    /// Go on without one of them, whether it is there or not
    Remove {
        /// Its number
        #[arg(value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=i64::from(MAX_NODE)))]
        node: u16,
        #[command(flatten)]
        changing: Changing,
    },
    /// List the nodes: which are there, which are lost, and who brings them back
    Nodes(Asking),
    /// Have nobody brought back until resumed: for work on several hosts
    Pause(Asking),
    /// Have lost nodes brought back again
    Resume(Asking),
    /// Wait no longer for a lost node: it does not come back
    Forget(ForgetArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ForgetArgs {
    /// Its name, or the first digits of its id
    pub(crate) node: String,
    #[command(flatten)]
    pub(crate) asking: Asking,
}

/// Whom to ask for a change, for how long, and how to answer.
#[derive(Debug, Args)]
pub(crate) struct Changing {
    #[command(flatten)]
    pub(crate) trackers: TrackerList,
    /// How long to wait for a tracker, and for the change to be made: a time, 0 or `forever`
    #[arg(long, value_name = "TIME", default_value = "60s")]
    pub(crate) wait: Patience,
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tracker_of_a_cluster_has_a_number_and_an_address() {
        let place = |text: &str| text.parse::<Place>().map(|place| (place.node, place.address));
        assert_eq!(place("4=t4:9701"), Ok((4, "t4:9701".to_owned())));
        assert_eq!(place("99=t4"), Ok((99, "t4:9700".to_owned())));
        for wrong in ["t4:9701", "0=t4", "100=t4", "x=t4", "4=", "=t4", "4=t4:0"] {
            assert!(place(wrong).is_err(), "{wrong}");
        }
    }
}
