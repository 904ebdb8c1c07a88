//! The page of a peer or tracker, as a command serves it beside its work. No trouble with it ends that.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use crate::cli::failure::Failure;
use crate::cli::show::output;
use crate::cli::typed::page::{PageAddress, PageArgs};
use crate::say;
use crate::web::{self, Config, House, Web};

/// The usual port of a tracker's page, and of a peer's.
const TRACKER_PORT: u16 = 9780;
const PEER_PORT: u16 = 9781;

/// How a page is to be served, if one is wanted: looked at before anything else is started.
///
/// # Errors
/// Strangers could read what is said.
pub(crate) fn wanted(args: &PageArgs, of_tracker: bool) -> Result<Option<Config>, Failure> {
    let Some(at) = args.web else { return Ok(None) };
    let usual = if of_tracker { TRACKER_PORT } else { PEER_PORT };
    let (listen, any_port) = match at {
        PageAddress::Usual => (SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), usual), true),
        PageAddress::At(addr) => (addr, false),
    };
    let config =
        Config { listen, any_port, hosts: args.web_host.clone(), proxy: args.web_proxy, keeps: None };
    config.check().map_err(|error| Failure::usage(error.to_string()))?;
    Ok(Some(config))
}

/// Serves a page, and prints the link that opens it. One that cannot be served is told, and missed.
pub(crate) fn serve(config: Option<Config>, house: House, keeps: Option<PathBuf>) -> Option<Web> {
    let page = match web::start(&Config { keeps, ..config? }, house.clone()) {
        Ok(page) => page,
        Err(error) => {
            say::line(&format!("warning: there is no page: {error}"));
            return None;
        }
    };
    let login = page.login();
    output::ready(&format!("page at http://{}/, opened once by {}", page.addr(), login()));
    if let House::Peer(peer) = house {
        peer.has_page(login);
    }
    Some(page)
}

/// Ends it.
pub(crate) fn stop(page: Option<Web>) {
    if let Some(page) = page {
        page.stop();
    }
}
