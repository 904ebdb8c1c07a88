//! What can be typed about pages: where one listens, and how to be let in.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::content::Host;

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
    /// Serve the page by TLS, with the certificate in this PEM file; `self`: with one that is made here, whose fingerprint
    /// is printed [default: none]
    #[arg(long, value_name = "FILE", requires = "web", help_heading = HEADING)]
    pub(crate) web_cert: Option<PathBuf>,
    /// The key of the certificate, in PEM [default: none]
    #[arg(long, value_name = "FILE", requires = "web_cert", help_heading = HEADING)]
    pub(crate) web_key: Option<PathBuf>,
    /// Another page, like https://10.0.0.6:9780, that goes on when this one is gone; give several for several
    /// [default: none]
    #[arg(long, value_name = "URL", requires = "web", value_parser = origin, help_heading = HEADING)]
    pub(crate) web_also: Vec<String>,
    /// A file with a secret of 32 bytes or more that these pages share: who is logged in at one is at the others, too
    /// [default: none, and who goes on elsewhere logs in again]
    #[arg(long, value_name = "FILE", requires = "web", help_heading = HEADING)]
    pub(crate) web_secret: Option<PathBuf>,
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
    /// Print a link that opens the page of a running peer or tracker, once within ten minutes
    Login {
        /// The folder that the peer is sharing, or one in it; or that of the tracker's --data [default: this one, else this
        /// user's tracker]
        folder: Option<PathBuf>,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
}

/// `http://HOST[:PORT]` or `https://HOST[:PORT]`, and nothing behind it.
fn origin(text: &str) -> Result<String, String> {
    let bare = text.trim_end_matches('/');
    let host = bare.strip_prefix("http://").or_else(|| bare.strip_prefix("https://"));
    let is_host = |host: &str| Host::with_port(host).is_some_and(|(host, _)| !host.is_empty());
    let is_plain =
        |host: &str| host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte));
    match host {
        Some(host) if is_plain(host) && is_host(host) => Ok(format!("{bare}/")),
        _ => Err("a page is at http://HOST:PORT or https://HOST:PORT".into()),
    }
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
    fn another_page_is_named_by_its_origin() {
        assert_eq!(origin("https://a.example"), Ok("https://a.example/".to_owned()));
        assert_eq!(origin("http://[::1]:9780/"), Ok("http://[::1]:9780/".to_owned()));
        for bad in ["a.example", "http://", "http://a/b", "ftp://a", "https://a; script-src *", "http://a b"]
        {
            assert!(origin(bad).is_err(), "{bad}");
        }
    }

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
