//! `p2p tracker`, and the tracker inside `p2p share`.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cli::failure::{Failure, reason};
use crate::cli::reach::swarm;
use crate::cli::run::engine;
#[cfg(feature = "web")]
use crate::cli::run::page;
use crate::cli::run::signals::Stop;
use crate::cli::show::output;
use crate::cli::show::words::shown;
use crate::cli::typed::address::{is_far, reachable};
use crate::cli::typed::args::{TRACKER_LISTEN, TrackerArgs};
use crate::cli::typed::cluster::ClusterArgs;
use crate::cli::typed::swarm::{self as typed, SwarmArgs};
use crate::cli::typed::swarm_file::SwarmFile;
use crate::content::{Host, PublicKey};
use crate::net::join_link::JoinLink;
use crate::net::secure::{Code, Identity, Keyring, Secret};
use crate::rescue::Terms;
use crate::say;
use crate::tracker::cluster::Address;
use crate::tracker::recorder::Founders;
use crate::tracker::{self, Closed, Delays, SpareTerms, Tracker};
#[cfg(feature = "web")]
use crate::web::House;
use crate::wire::{MemberRole, SwarmSecret};

/// How many may join by the link that a founding prints, and for how long.
const FIRST_USES: u32 = 20;
const FIRST_VALID: Duration = Duration::from_secs(24 * 3600);

/// `p2p tracker`
pub(crate) fn tracker(args: &TrackerArgs, keys: &SwarmArgs) -> Result<(), Failure> {
    let stop = Stop::install()?;
    let service = stop.service()?;
    #[cfg(feature = "web")]
    let wanted = page::wanted(&args.page, true)?;
    let door = door(args, keys)?;
    let mut config = tracker::Config {
        listen: args.listen.clone(),
        lease: args.lease.0,
        max_connections: args.max_connections,
        data: args.data.clone(),
        recover: args.recover,
        cluster: founders(args)?,
        spares: spares(&args.cluster),
        delays: Delays {
            grace: args.grace.0,
            repair_after: args.repair_after.0,
            nodes: Terms::of(args.node_silence.0, args.duty_lease.0),
        },
        ..tracker::Config::default()
    };
    match &door {
        Door::Closed(data) => {
            let closed = closed(&args.listen, data)?;
            if let Some(founders) = &mut config.cluster {
                found_alone(founders, &closed, tracker::is_closed_in(data)?)?;
            }
            config.closed = Some(closed);
            config.data = Some(data.clone());
        }
        Door::Keyed => {
            swarm::settle(keys)?;
            // A tracker of a cluster is who joined to be one.
            let state = args.cluster.node.and_then(|_| swarm::state());
            config.keyring = keyring(state.as_deref().or(args.data.as_deref()))?;
            check_known(args, config.keyring.identity())?;
        }
        Door::Open => {}
    }
    #[cfg(feature = "web")]
    let data = config.data.clone();
    let tracker = tracker::start(config)?;
    stop.graceful();
    let in_the_clear = matches!(door, Door::Open) && is_far(&args.listen);
    let how = if in_the_clear { ", in the clear for whoever can reach it (--open)" } else { "" };
    let ready = format!("tracker listening on {}{how}", tracker.addr());
    // Who reads that it is ready finds the keys.
    let handed = hand_out(&tracker, keys)?;
    output::ready(&ready);
    handed.iter().for_each(|how_to_join| output::ready(how_to_join));
    service.ready(&ready);
    service.watch(tracker.touch()).map_err(Failure::no_thread)?;
    #[cfg(feature = "web")]
    let page = page::serve(wanted, House::Tracker(tracker.inside()), data);
    stop.wait_until(None);
    service.stopping();
    #[cfg(feature = "web")]
    page::stop(page);
    tracker.stop();
    Ok(())
}

/// Which of several trackers this one is to be, if it is.
fn founders(args: &TrackerArgs) -> Result<Option<Founders>, Failure> {
    let ClusterArgs { node: Some(node), cluster, .. } = &args.cluster else { return Ok(None) };
    if args.data.is_none() {
        return Err(Failure::usage(
            "a tracker of a cluster keeps its records in a folder: name it with --data DIR",
        ));
    }
    let mut numbers: Vec<u16> = cluster.iter().map(|place| place.node).collect();
    numbers.sort_unstable();
    if numbers.windows(2).any(|two| two[0] == two[1]) {
        return Err(Failure::usage("two trackers of --cluster have the same number"));
    }
    if !numbers.contains(node) {
        return Err(Failure::usage(format!(
            "--cluster does not say where tracker {node} is reached, which is this one"
        )));
    }
    let key = PublicKey::NONE;
    let first = cluster.iter().map(|place| (place.node, Address::new(&*place.address), key)).collect();
    Ok(Some(Founders { node: *node, first }))
}

/// Which trackers take the place of one that stays away.
fn spares(args: &ClusterArgs) -> SpareTerms {
    let places = args.spare.iter().map(|place| (place.node, Address::new(&*place.address))).collect();
    SpareTerms { places, patience: args.replace_after.0 }
}

/// The first of a closed swarm's trackers has to found it before others can come.
fn found_alone(founders: &mut Founders, closed: &Closed, is_founded: bool) -> Result<(), Failure> {
    if founders.first.len() > 1 && !is_founded {
        return Err(Failure::usage(
            "a closed swarm begins with one tracker: name it alone in --cluster; the others join by `p2p invite --role tracker`, \
             and `p2p cluster add` makes them members",
        ));
    }
    for (_, _, key) in founders.first.iter_mut().filter(|(node, ..)| *node == founders.node) {
        *key = closed.identity.public();
    }
    Ok(())
}

/// What a tracker lets in.
enum Door {
    /// Everybody.
    Open,
    /// Who has the key in the file that there is; who they are it does not know.
    Keyed,
    /// Members, who are on its records there.
    Closed(PathBuf),
}

/// Closed is what was closed before, what listens beyond this machine, and what is to write its keys to a file.
fn door(args: &TrackerArgs, keys: &SwarmArgs) -> Result<Door, Failure> {
    let data = args.data.clone().or_else(swarm::tracker_folder);
    let was_closed = data.as_deref().map_or(Ok(false), tracker::is_closed_in)?;
    match args.data.as_deref().filter(|_| keys.open && was_closed) {
        Some(data) => {
            return Err(Failure::usage(format!(
                "the records in {} are those of a closed swarm; leave --open out, or name another folder with --data",
                data.display()
            )));
        }
        None if keys.open => return Ok(Door::Open),
        None => {}
    }
    let place = keys.place().filter(|place| place.exists());
    if args.cluster.node.is_some()
        && place
            .as_deref()
            .map(typed::read)
            .transpose()?
            .is_some_and(|file| file.role == Some(MemberRole::Tracker))
    {
        return Ok(Door::Keyed);
    }
    let founds = keys.named().is_some() || is_far(&args.listen);
    match (data, place) {
        (Some(data), Some(place)) if was_closed && (args.data.is_some() || is_its(&data, &place)?) => {
            Ok(Door::Closed(data))
        }
        (Some(data), None) if was_closed && (args.data.is_some() || founds) => Ok(Door::Closed(data)),
        (_, Some(_)) => Ok(Door::Keyed),
        (Some(data), None) if founds => Ok(Door::Closed(data)),
        (None, None) if founds => {
            Err(Failure::usage("name a folder for the members of the swarm with --data DIR"))
        }
        (_, None) => Ok(Door::Open),
    }
}

/// Where the file with the keys says that another tracker is to be, nobody would believe this one.
fn check_known(args: &TrackerArgs, own: Option<&Identity>) -> Result<(), Failure> {
    let Ok(listen) = args.listen.parse() else { return Ok(()) };
    let here = reachable(listen, IpAddr::from([127, 0, 0, 1])).to_string();
    let is_own = |key: &PublicKey| own.is_some_and(|own| own.public() == *key);
    let names_another =
        |file: &SwarmFile| file.trackers.iter().any(|(address, key)| *address == here && !is_own(key));
    let named = swarm::member(|path, file| names_another(file).then(|| path.to_owned()));
    let Some(file) = named.flatten() else { return Ok(()) };
    let data = args.data.clone().or_else(swarm::tracker_folder).unwrap_or_default();
    Err(Failure::other(format!(
        "the records of the swarm whose tracker is at {here}, as {file} says, are not in {}, and without them nobody believes \
         that this is it; put that folder back, or, if it is lost, move {file} away: then another swarm begins, which \
         everybody has to join",
        data.display(),
        file = file.display(),
    )))
}

/// True if these are keys of the swarm whose tracker keeps its records there.
fn is_its(data: &Path, keys: &Path) -> Result<bool, Failure> {
    let own = identity_in(data)?.public();
    Ok(typed::read(keys)?.trackers.iter().any(|(_, key)| *key == own))
}

fn identity_in(folder: &Path) -> Result<Identity, Failure> {
    swarm::identity_in(Some(folder)).map_err(|error| Failure::other(error.to_string()))
}

/// Who a closed tracker is, whose swarm it founds if it has none, and where others dial it.
fn closed(listen: &str, data: &Path) -> Result<Closed, Failure> {
    let of_user = swarm::state().unwrap_or_else(|| data.to_owned());
    let admin = identity_in(&of_user)?.public();
    let host = Host::with_port(listen).map(|(host, _)| host).filter(|host| !host.is_empty());
    let ip = host.as_ref().map(|host| host.parse::<IpAddr>());
    let outward = |ip: Option<IpAddr>| {
        // Who listens at all addresses of IPv4 has none of the other kind.
        let all = engine::outward_addresses().into_iter();
        all.filter(|own| own.is_ipv4() || ip.is_none_or(|ip| ip.is_ipv6()))
            .map(|own| own.to_string())
            .collect()
    };
    let hosts = match (host, ip) {
        (Some(_), Some(Ok(ip))) if ip.is_unspecified() => outward(Some(ip)),
        (Some(host), _) => vec![host.to_string()],
        (None, _) => outward(None),
    };
    let name = engine::host_name();
    Ok(Closed { identity: identity_in(data)?, swarm: name.clone(), admin: (admin, own_name(&name)), hosts })
}

fn own_name(host: &str) -> String {
    match std::env::var("USER") {
        Ok(user) if !user.is_empty() => format!("{user}@{host}"),
        _ => host.to_owned(),
    }
}

/// Leaves the keys of a closed tracker where this user's other commands find them; what there is to say of how others join.
fn hand_out(tracker: &Tracker, keys: &SwarmArgs) -> Result<Option<String>, Failure> {
    let Some(swarm) = tracker.swarm() else { return Ok(None) };
    let own = swarm.tracker;
    let address = reachable(tracker.addr(), IpAddr::from([127, 0, 0, 1])).to_string();
    let secret = Secret::from(*swarm.epoch.secret.expose());
    let file =
        SwarmFile::new(&swarm.name, MemberRole::Admin, vec![(address, own)], (swarm.epoch.number, secret));
    match keys.place() {
        Some(path) if path.exists() => {
            let known = typed::read(&path)?;
            match known.trackers.iter().any(|(_, key)| *key == own) {
                true => swarm::write(&path, &file).map_err(|error| {
                    Failure::other(format!("cannot write {}: {}", path.display(), reason(&error)))
                })?,
                false => say::note(&format!(
                    "{} has the keys of another swarm and stays as it is; --swarm FILE names one for this swarm's",
                    path.display()
                )),
            }
        }
        Some(path) => swarm::create(&path, &file)?,
        None => say::note("there is no place for this swarm's keys; name a file with --swarm"),
    }
    if !swarm.is_new {
        let more = "`p2p invite` makes a link for others to join by";
        return Ok(Some(format!("closed swarm {}; {more}", shown(&swarm.name))));
    }
    let code = Code::random().map_err(|error| Failure::other(error.to_string()))?;
    let key = SwarmSecret::new(*code.invite().key().expose());
    let invited = tracker.invite(key, FIRST_USES, FIRST_VALID);
    invited.map_err(|error| Failure::other(format!("nobody can be invited: {error}")))?;
    let link = JoinLink { trackers: swarm.addresses, code }.reveal();
    Ok(Some(format!(
        "closed swarm {}; on other machines, {FIRST_USES} times within a day:\n  p2p join '{}'",
        shown(&swarm.name),
        &*link
    )))
}

/// The keys of this process for a tracker that keeps its state there, if anywhere.
fn keyring(data: Option<&Path>) -> Result<Keyring, Failure> {
    swarm::keyring_in(data).map_err(|error| Failure::other(error.to_string()))
}

/// Where the tracker inside `p2p share` listens if the usual port is taken.
const ANY_PORT: &str = "[::]:0";

/// The tracker inside `p2p share`, with the keys of this process: the usual port if it is free, else any.
pub(crate) fn built_in(listen: &str) -> Result<Tracker, Failure> {
    let keyring = keyring(None)?;
    let usual = tracker::Config { listen: listen.to_owned(), keyring, ..tracker::Config::default() };
    match tracker::start(usual.clone()) {
        Ok(tracker) => Ok(tracker),
        Err(_) if listen == TRACKER_LISTEN => {
            Ok(tracker::start(tracker::Config { listen: ANY_PORT.to_owned(), ..usual })?)
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests;
