//! `p2p share`: a peer of one file or folder, and a tracker beside it if there is no other.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::cli::failure::Failure;
use crate::cli::reach::swarm;
#[cfg(feature = "web")]
use crate::cli::run::page;
use crate::cli::run::signals::Stop;
use crate::cli::run::{engine, news, peer, tracker};
use crate::cli::show::output;
use crate::cli::typed::address::{is_far, reachable};
use crate::cli::typed::args::ShareArgs;
use crate::content::{Host, Link, SafeName};
use crate::net::join_link::with_share_key;
use crate::net::secure::Code;
use crate::peer::{Config, Peer};
use crate::tracker::Tracker;
#[cfg(feature = "web")]
use crate::web;
use crate::wire::{MemberRole, Offer};

/// `p2p share PATH`
pub(crate) fn share(args: ShareArgs) -> Result<(), Failure> {
    let stop = Stop::install()?;
    let path = std::fs::canonicalize(&args.path)
        .map_err(|_| Failure::usage(format!("there is no file or folder {}", args.path.display())))?;
    let name = link_name(&path)?;
    if !args.trackers.is_empty() && swarm::role() == Some(MemberRole::Reader) {
        return Err(Failure::usage(
            "this member is a reader, and what it shares is not listed; ask an admin for a link of \
             `p2p invite --role publisher`",
        ));
    }
    let code = match args.trackers.is_empty() && !swarm::is_open() && is_far(&args.tracker_listen) {
        true => Some(Code::random().map_err(|error| Failure::other(error.to_string()))?),
        false => None,
    };
    if let Some(code) = &code {
        swarm::of_share(code.clone());
    }
    #[cfg(feature = "web")]
    let wanted = page::for_browsers(&args.page)?.map(|page| web::Config { cache: u64::MAX, ..page });
    let built_in =
        if args.trackers.is_empty() { Some(tracker::built_in(&args.tracker_listen)?) } else { None };
    let selection = args.selection.of(&path)?;
    let (mut config, trackers) = share_config(&args, path, built_in.as_ref());
    config.selection = selection;
    let peer = engine::start(config)?;
    stop.graceful();
    if let Some(tracker) = &built_in {
        output::ready(&format!("tracker listening on {}", tracker.addr()));
    }
    output::ready(&peer::ready(&peer, &stop));
    let offer = offer_of(&peer, &name)?;
    #[cfg(feature = "web")]
    let shared = name.clone();
    let link = Link { id: offer.id, name: Some(name), size: Some(offer.total), trackers }.to_string();
    let link = code.map_or_else(|| Zeroizing::new(link.clone()), |code| with_share_key(&link, &code));
    output::ready(&format!("on the other side:\n  p2p get '{}'", &*link));
    #[cfg(feature = "web")]
    let page = page::start(wanted, web::House::Peer(peer.hand()));
    #[cfg(feature = "web")]
    if let Some(page) = &page {
        let link = page.hand_out(offer.id, &shared, offer.total, args.web_for.0);
        output::ready(&format!("or in any browser, for {}:\n  {link}", args.web_for));
    }
    news::follow(&peer, &stop, args.until.map(|times| (&*offer.name, times.get())));
    #[cfg(feature = "web")]
    page::stop(page);
    peer.stop();
    if let Some(tracker) = built_in {
        tracker.stop();
    }
    Ok(())
}

/// The peer's configuration, and the trackers for the link: a built-in one is dialled here on the
/// loopback, by others at the address that is advertised.
fn share_config(args: &ShareArgs, path: PathBuf, built_in: Option<&Tracker>) -> (Config, Vec<String>) {
    let mut config = engine::config(&args.engine, args.trackers.clone(), Some(path));
    config.prefix = true;
    let Some(tracker) = built_in else {
        return (config, args.trackers.clone());
    };
    let addr = tracker.addr();
    config.trackers = vec![reachable(addr, IpAddr::from([127, 0, 0, 1])).to_string()];
    let advertised = args.engine.advertise.as_deref().and_then(Host::with_port).map(|(host, _)| host);
    let hosts: Vec<Host> = match advertised.filter(|host| !host.is_empty()) {
        Some(host) => vec![host],
        None if addr.ip().is_unspecified() => {
            let outward = engine::outward_addresses().into_iter();
            outward.filter(|ip| ip.is_ipv4() || addr.is_ipv6()).map(Host::from).collect()
        }
        None => vec![addr.ip().into()],
    };
    (config, hosts.iter().map(|host| host.endpoint(addr.port()).to_string()).collect())
}

/// The name under which `path` is shared.
pub(crate) fn link_name(path: &Path) -> Result<SafeName, Failure> {
    let Some(base) = path.file_name() else {
        return Err(Failure::usage(format!(
            "{} has no name under which it could be shared; name a file or folder in it",
            path.display()
        )));
    };
    let base = base.to_str().unwrap_or_default();
    let name = if path.is_dir() { format!("{base}/") } else { base.to_owned() };
    SafeName::new(name).map_err(|error| {
        Failure::usage(format!(
            "{} cannot be shared under its name: {error}; rename it first",
            path.display()
        ))
    })
}

fn offer_of(peer: &Peer, name: &SafeName) -> Result<Offer, Failure> {
    let offer = peer.offers().into_iter().find(|offer| *offer.name == *name.as_str());
    offer.ok_or_else(|| Failure::other(format!("{name} cannot be read, so it is not shared")))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::api::Exit;
    use crate::cli::typed::args::{Cli, Command};

    #[test]
    fn what_is_shared_is_called_after_its_last_part() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("d")).unwrap();
        std::fs::write(folder.path().join("f"), "").unwrap();
        let name = |part: &str| link_name(&folder.path().join(part)).map(|name| name.as_str().to_owned());
        assert_eq!((name("d").unwrap(), name("f").unwrap()), ("d/".to_owned(), "f".to_owned()));
        assert_eq!(name(".p2p").unwrap_err().exit, Exit::Usage);
        let root = link_name(Path::new("/")).unwrap_err().to_string();
        assert!(root.starts_with("/ has no name under which"), "{root}");
    }

    fn args(line: &str) -> ShareArgs {
        let words = ["p2p", "share", "x"].into_iter().chain(line.split_whitespace());
        let Command::Share(args) = Cli::parse_from(words).command else { panic!("{line}") };
        args
    }

    #[test]
    fn a_link_names_the_trackers_that_were_typed_or_where_others_dial_the_one_that_is_built_in() {
        let of = |line: &str, tracker: Option<&Tracker>| {
            let (config, link) = share_config(&args(line), "x".into(), tracker);
            assert!(config.prefix && config.folder.is_some());
            (config.trackers, link)
        };
        let named = vec!["a:9700".to_owned(), "b:7".to_owned()];
        assert_eq!(of("--tracker a --tracker b:7", None), (named.clone(), named));
        let start = |listen: &str| {
            crate::tracker::start(crate::tracker::Config { listen: listen.into(), ..Default::default() })
                .unwrap()
        };
        let near = start("127.0.0.1:0");
        let own = near.addr().to_string();
        assert_eq!(of("", Some(&near)), (vec![own.clone()], vec![own.clone()]));
        let port = near.addr().port();
        assert_eq!(of("--advertise lab:7", Some(&near)), (vec![own.clone()], vec![format!("lab:{port}")]));
        assert_eq!(
            of("--advertise :7", Some(&near)),
            (vec![own.clone()], vec![own]),
            "a port is the peer's own"
        );
        near.stop();
        let everywhere = start("0.0.0.0:0");
        let (dialled, link) = of("", Some(&everywhere));
        let port = everywhere.addr().port();
        assert_eq!(dialled, [format!("127.0.0.1:{port}")]);
        assert!(
            !link.is_empty()
                && link.iter().all(|one| one.ends_with(&format!(":{port}")) && !one.starts_with("0.0"))
        );
        assert!(link.iter().all(|one| !one.starts_with('[')), "it does not listen there: {link:?}");
        everywhere.stop();
    }
}
