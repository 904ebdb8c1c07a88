//! `p2p join`: makes this user a member of a closed swarm, by the link of an invite.

use std::io::Read;
use std::path::Path;

use serde::Serialize;
use zeroize::Zeroizing;

use crate::api::{Exit, role_word};
use crate::cli::failure::{Failure, net_reason};
use crate::cli::reach::swarm;
use crate::cli::show::output;
use crate::cli::show::words::shown;
use crate::cli::typed::swarm::{JoinArgs, SwarmArgs};
use crate::cli::typed::swarm_file::SwarmFile;
use crate::content::PublicKey;
use crate::net::join_link::JoinLink;
use crate::net::secure::{Expected, Keyring, Purpose, Secret};
use crate::net::trace::Side;
use crate::net::{self, Identity, Messages, NetError};
use crate::wire::{Common, ErrorCode, FromTracker, Join, Joined, Label, MemberRole, Role, ToTracker};

/// Most bytes of a link on standard input.
const MAX_LINK_BYTES: u64 = 16 << 10;
/// Stands for standard input.
const INPUT: &str = "-";

/// `join --json`
#[derive(Debug, Serialize)]
struct Line<'a> {
    swarm: &'a str,
    role: &'static str,
    file: String,
}

/// `p2p join LINK | -`
pub(crate) fn join(args: &JoinArgs, keys: &SwarmArgs) -> Result<(), Failure> {
    let link = link(&args.link)?;
    let link = JoinLink::parse(&link).map_err(|error| Failure::usage(error.to_string()))?;
    let path = keys.place().ok_or_else(|| Failure::usage("name a file for the keys with --swarm FILE"))?;
    if path.exists() {
        return Err(swarm::is_member_already(&path));
    }
    let name = args.name.clone().unwrap_or_else(own_name);
    let (joined, address, key) = ask_all(&link, &name)?;
    let file = file_of(&joined, &link, (address, key));
    swarm::create(&path, &file)?;
    tell(args, &joined, &path)
}

fn link(typed: &str) -> Result<Zeroizing<String>, Failure> {
    let mut link = Zeroizing::new(typed.to_owned());
    if typed == INPUT {
        link.clear();
        std::io::stdin()
            .take(MAX_LINK_BYTES)
            .read_to_string(&mut link)
            .map_err(|error| Failure::usage(format!("standard input cannot be read: {error}")))?;
    }
    Ok(link)
}

/// `USER@HOST`
fn own_name() -> String {
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_default();
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match (&*user, host.trim()) {
        ("", host) => host.to_owned(),
        (user, host) => format!("{user}@{host}"),
    }
}

/// Asks one tracker after the other; who answered, where, and by which key it is known.
fn ask_all(link: &JoinLink, name: &str) -> Result<(Joined, String, PublicKey), Failure> {
    let mut failed = Vec::new();
    for address in &link.trackers {
        match ask(link, address, name) {
            Ok((FromTracker::Joined(joined), key)) => return Ok((joined, address.clone(), key)),
            Ok((FromTracker::Common(Common::Error(error)), _)) => {
                return Err(Failure::new(
                    Exit::Other,
                    format!("the tracker at {address} says: {}", shown(&error.detail)),
                ));
            }
            Ok((other, _)) => return Err(crate::cli::reach::client::strange(&other)),
            Err(NetError::Refused { code: ErrorCode::Revoked, .. }) => return Err(swarm::is_put_out()),
            Err(error) => failed.push(format!("{address} ({})", net_reason(&error))),
        }
    }
    Err(Failure::unreachable(format!(
        "no tracker of the link lets this machine in: {}; if one is there, the invite is over: ask for another",
        failed.join(", ")
    )))
}

fn ask(link: &JoinLink, address: &str, name: &str) -> Result<(FromTracker, PublicKey), NetError> {
    let identity = swarm::identity_in(swarm::state().as_deref()).map_err(NetError::Io)?;
    let me = Identity::tool(Keyring::new(identity, link.code.invite(), Purpose::Join));
    let stream = net::dial(address).map_err(NetError::Io)?;
    // Whoever answers has the invite's secret, as only the tracker has.
    let session =
        net::greet(stream, (&me, Role::Member), Expected::Anybody, Side::Tracker, net::HELLO_TIMEOUT)?;
    let Some(proven) = session.proven() else { return Err(NetError::SwarmIsOpen) };
    let mut line: Messages<FromTracker, ToTracker> = Messages::new(session, Side::Tracker);
    line.set_timeout(Some(net::HELLO_TIMEOUT))?;
    let answer = line.call(&Join { name: Label::new(name) }.into())?;
    Ok((answer, proven.key))
}

/// What the new member has to know.
fn file_of(joined: &Joined, link: &JoinLink, (address, key): (String, PublicKey)) -> SwarmFile {
    let mut trackers: Vec<(String, PublicKey)> = joined
        .trackers
        .iter()
        .filter(|tracker| tracker.address.parse::<crate::content::Endpoint>().is_ok())
        .map(|tracker| (tracker.address.to_string(), tracker.key))
        .collect();
    // It was reached there, whatever it calls itself; and if it is the only one, the link's addresses are all its.
    let only = joined.trackers.iter().all(|tracker| tracker.key == key);
    let more = if only { link.trackers.clone() } else { vec![address] };
    for address in more {
        if trackers.iter().all(|(known, _)| *known != address) {
            trackers.push((address, key));
        }
    }
    let secret = Secret::from(*joined.epoch.secret.expose());
    SwarmFile::new(&joined.swarm, joined.standing.role, trackers, (joined.epoch.number, secret))
}

fn tell(args: &JoinArgs, joined: &Joined, path: &Path) -> Result<(), Failure> {
    let role = joined.standing.role;
    let line = Line { swarm: &joined.swarm, role: role_word(role), file: path.display().to_string() };
    output::answer(args.json, &line, || {
        let can = match (role, &*joined.standing.prefix) {
            (MemberRole::Reader, _) => "it may fetch, and serve what others brought in".to_owned(),
            (MemberRole::Publisher, "") => "it may fetch and share".to_owned(),
            (MemberRole::Publisher, prefix) => format!("it may fetch, and share under {}", shown(prefix)),
            (MemberRole::Admin, _) => "it may fetch, share, invite and revoke".to_owned(),
            (MemberRole::Tracker, _) => "it may be a tracker".to_owned(),
        };
        format!("joined {} as {}: {can}", shown(line.swarm), line.role)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::secure::Code;
    use crate::wire::{Epoch, Label, List, Name, Standing, SwarmSecret, TrackerAddress, TrackerKey};

    /// The addresses, with the first byte of each one's key, that somebody knows who joined at `at`.
    fn known(told: &[(&str, u8)], link: &[&str], at: (&str, u8)) -> Vec<(String, u8)> {
        let tracker = |(address, key): &(&str, u8)| TrackerKey {
            address: TrackerAddress::new(*address),
            key: PublicKey([*key; 32]),
        };
        let joined = Joined {
            swarm: Label::new("lab"),
            standing: Standing { role: MemberRole::Publisher, prefix: Name::default() },
            epoch: Epoch { number: 7, secret: SwarmSecret::new([5; 32]) },
            trackers: List::new(told.iter().map(tracker).collect()),
        };
        let trackers = link.iter().map(|address| (*address).to_owned()).collect();
        let link = JoinLink { trackers, code: Code::random().unwrap() };
        let file = file_of(&joined, &link, (at.0.to_owned(), PublicKey([at.1; 32])));
        assert_eq!((&*file.swarm, file.role), ("lab", Some(MemberRole::Publisher)));
        assert_eq!(file.newest().map(|(epoch, _)| *epoch), Some(7));
        file.trackers.into_iter().map(|(address, key)| (address, key.0[0])).collect()
    }

    #[test]
    fn who_joins_knows_where_the_trackers_are_that_let_it_in() {
        let own = |all: &[(&str, u8)]| -> Vec<(String, u8)> {
            all.iter().map(|(address, key)| ((*address).to_owned(), *key)).collect()
        };
        // The only one is at all addresses of the link, whatever it calls itself.
        assert_eq!(known(&[("", 1)], &["a:1", "b:2"], ("b:2", 1)), own(&[("a:1", 1), ("b:2", 1)]));
        assert_eq!(known(&[("c:3", 1)], &["a:1"], ("a:1", 1)), own(&[("c:3", 1), ("a:1", 1)]));
        // Of several, each where it says that it is, and the one that answered where it did.
        let two = [("a:1", 1), ("b:2", 2)];
        assert_eq!(known(&two, &["a:1", "x:9"], ("x:9", 2)), own(&[("a:1", 1), ("b:2", 2), ("x:9", 2)]));
        assert_eq!(known(&two, &["z:8"], ("a:1", 1)), own(&two), "each once, and not where the link says");
        assert_eq!(known(&[("", 1), ("nowhere", 2)], &["a:1"], ("a:1", 1)), own(&[("a:1", 1)]));
    }
}
