//! What can be typed about pages: where one listens, and how to be let in.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, Subcommand};

const HEADING: &str = "Page";

/// Where a page listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PageAddress {
    /// At the usual port of this machine alone, or one of the next.
    Usual,
    /// Here.
    At(SocketAddr),
}

/// The page of a peer or tracker.
#[derive(Debug, Clone, Args)]
pub(crate) struct PageArgs {
    /// Serve a page, for this machine alone if nothing else is said; prints a link that opens it once. ADDR is a port,
    /// or an address with its port [default: none; port 9780 of a tracker, 9781 of a peer]
    #[arg(long, value_name = "ADDR", num_args = 0..=1, require_equals = true, default_missing_value = "",
          value_parser = page_address, help_heading = HEADING)]
    pub(crate) web: Option<PageAddress>,
    /// The page is called so, too; give several for several [default: by its address alone]
    #[arg(long, value_name = "NAME", requires = "web", help_heading = HEADING)]
    pub(crate) web_host: Vec<String>,
    /// This proxy, which speaks TLS, passes on to the page what comes from other machines [default: none]
    #[arg(long, value_name = "IP", requires = "web", help_heading = HEADING)]
    pub(crate) web_proxy: Option<IpAddr>,
}

/// `p2p web`
#[derive(Debug, Args)]
pub(crate) struct WebArgs {
    #[command(subcommand)]
    pub(crate) command: WebCommand,
}

/// What can be done about a page.
#[derive(Debug, Subcommand)]
pub(crate) enum WebCommand {
    /// Print a link that opens the page of a running peer, once within ten minutes
    Login {
        /// The folder that the peer is sharing, or one in it
        #[arg(default_value = ".")]
        folder: PathBuf,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
}

/// Nothing, `PORT`, `IP:PORT` or `[IP]:PORT`.
fn page_address(text: &str) -> Result<PageAddress, String> {
    if text.is_empty() {
        return Ok(PageAddress::Usual);
    }
    let here = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
    let read = text.parse().or_else(|_| text.parse::<u16>().map(here));
    read.map(PageAddress::At).map_err(|_| "a page is at a PORT or an IP:PORT".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_at_a_port_of_this_machine_or_at_an_address() {
        assert_eq!(page_address(""), Ok(PageAddress::Usual));
        assert_eq!(page_address("80"), Ok(PageAddress::At("127.0.0.1:80".parse().unwrap())));
        assert_eq!(page_address("[::1]:0"), Ok(PageAddress::At("[::1]:0".parse().unwrap())));
        for bad in ["localhost:1", "127.0.0.1", "70000", ":1"] {
            assert!(page_address(bad).is_err(), "{bad}");
        }
    }
}
