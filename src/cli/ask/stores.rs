//! `p2p stores` and `p2p health`: who lends space, and how safe is what is kept there.

use serde::Serialize;

use crate::api::{HealthReport, StoreReport};
use crate::cli::failure::Failure;
use crate::cli::reach::client::{Client, strange};
use crate::cli::reach::tracker;
use crate::cli::show::output;
use crate::cli::show::table::{Align, Table};
use crate::cli::show::words::{count, shown, size};
use crate::cli::typed::published::{HealthArgs, StoreAction, StoresArgs};
use crate::cli::typed::sought::Sought;
use crate::content::PeerId;
use crate::wire::{Common, FromTracker, SetStore, StoreChange, StoreInfo};

/// `p2p stores [leave|stay|forget STORE|rebalance]`
pub(crate) fn stores(args: &StoresArgs) -> Result<(), Failure> {
    match (args.action, &args.store) {
        (None, _) => list(args),
        (Some(StoreAction::Rebalance), None) => {
            set(args, StoreChange::Rebalance, None)?;
            said_of(args, "rebalance", None, "stores that are fuller than others pass something on")
        }
        (Some(StoreAction::Rebalance), Some(_)) => {
            Err(Failure::usage("`rebalance` is for all stores: leave STORE out"))
        }
        (Some(_), None) => Err(Failure::usage("which store? `p2p stores` lists them")),
        (Some(action), Some(typed)) => {
            let store = find(args, typed)?;
            let name = shown(&store.name);
            let (change, what, then) = match action {
                StoreAction::Leave => (
                    StoreChange::Leave,
                    "leave",
                    "others keep what it holds; `p2p stores` says `left` when it can be taken away",
                ),
                StoreAction::Stay => (StoreChange::Stay, "stay", "it keeps what it holds"),
                _ => (StoreChange::Forget, "forget", "it is not waited for any more"),
            };
            set(args, change, Some(store.peer))?;
            said_of(args, what, Some(&store), &format!("{name}: {then}"))
        }
    }
}

/// `stores leave --json` and its like.
#[derive(Debug, Serialize)]
struct Changed<'a> {
    change: &'a str,
    store: Option<String>,
    name: Option<&'a str>,
}

fn said_of(args: &StoresArgs, change: &str, store: Option<&StoreInfo>, words: &str) -> Result<(), Failure> {
    let name = store.map(|store| &*store.name);
    let line = Changed { change, store: store.map(|store| store.peer.to_string()), name };
    output::answer(args.asking.json, &line, || words.to_owned())
}

fn set(args: &StoresArgs, change: StoreChange, store: Option<PeerId>) -> Result<(), Failure> {
    let mut client = Client::new(&args.asking.trackers.trackers, args.asking.wait);
    let (id, seq) = client.change();
    let store = store.unwrap_or(PeerId([0; 16]));
    match client.ask(&SetStore { client: id, seq, store, change }.into())? {
        FromTracker::Common(Common::Ok) => Ok(()),
        other => Err(strange(&other)),
    }
}

/// The one store that is called so, or whose id begins so.
fn find(args: &StoresArgs, typed: &str) -> Result<StoreInfo, Failure> {
    let mut tracker = tracker::connect_to_one(&args.asking.trackers.trackers, args.asking.wait)?;
    let stores = tracker.stores()?;
    let named: Vec<&StoreInfo> = stores.iter().filter(|store| *store.name == *typed).collect();
    let begins = |store: &&StoreInfo| store.peer.to_string().starts_with(typed);
    let found = if named.is_empty() { stores.iter().filter(begins).collect() } else { named };
    match found[..] {
        [store] => Ok(store.clone()),
        [] => Err(Failure::not_found(format!("no store is called {typed}, and no store's id begins so"))),
        _ => Err(Failure::usage(format!(
            "{} are called {typed}; the first digits of an id say which",
            count(found.len() as u64, "store")
        ))),
    }
}

fn list(args: &StoresArgs) -> Result<(), Failure> {
    let mut tracker = tracker::connect_to_one(&args.asking.trackers.trackers, args.asking.wait)?;
    let mut stores: Vec<StoreReport> = tracker.stores()?.iter().map(StoreReport::from).collect();
    stores.sort_by(|a, b| (&a.name, &a.store).cmp(&(&b.name, &b.store)));
    if args.asking.json {
        return stores.iter().try_for_each(output::json);
    }
    if stores.is_empty() {
        return output::line(
            "no store has been here since the tracker started; `p2p peer FOLDER --store SIZE` is one",
        );
    }
    let mut table = Table::new([
        ("STORE", Align::Left),
        ("STATE", Align::Left),
        ("USED", Align::Right),
        ("OF", Align::Right),
        ("CONTENTS", Align::Right),
        ("ZONE", Align::Left),
    ]);
    for store in &stores {
        table.row([
            shown(&store.name),
            store.state.clone(),
            size(store.used),
            size(store.capacity),
            store.contents.to_string(),
            shown(&store.zone),
        ]);
    }
    output::line(table.render(output::columns()).trim_end())
}

/// `p2p health [NAME]`
pub(crate) fn health(args: &HealthArgs) -> Result<(), Failure> {
    let trackers = &args.asking.trackers.trackers;
    let name = match &args.name {
        Some(typed) => Client::new(trackers, args.asking.wait).named(&Sought::parse(typed))?.to_string(),
        None => String::new(),
    };
    let mut tracker = tracker::connect_to_one(trackers, args.asking.wait)?;
    let health = HealthReport::from(&tracker.health(&name)?);
    output::answer(args.asking.json, &health, || said(&health))?;
    match health.lost {
        0 => Ok(()),
        lost => Err(Failure::unreachable(format!("{} cannot be had from any store now", size(lost)))),
    }
}

/// One number and one sentence.
fn said(health: &HealthReport) -> String {
    if health.contents == 0 {
        return "stores keep nothing that was promised".to_owned();
    }
    let mut parts = vec![match (health.lost, health.survives) {
        (0, 0) => format!("{} would be lost with one store more", size(health.endangered)),
        (0, some) => {
            format!("every byte survives the loss of any {}{}", count(some.into(), "store"), apart(health))
        }
        (lost, _) => format!("{} of {} are on no store that is here", size(lost), size(health.bytes)),
    }];
    if health.survives < health.promised && health.survives > 0 {
        let promised = count(health.promised.into(), "store");
        parts.push(format!("{} should survive that of any {promised}", size(health.endangered)));
    }
    if health.repairing > 0 {
        parts.push(format!("{} are being copied", size(health.repairing)));
    }
    if health.hearing {
        parts.push("not all stores have said yet what they hold".to_owned());
    }
    if !health.away.is_empty() {
        let names: Vec<String> = health.away.iter().map(|store| shown(&store.name)).collect();
        parts.push(format!("{} away: {}", count(names.len() as u64, "store"), names.join(", ")));
    }
    parts.join("; ")
}

/// Of what else as many may be lost as of stores.
fn apart(health: &HealthReport) -> &'static str {
    match (health.machines == health.survives, health.zones == health.survives) {
        (true, true) => ", machine or zone",
        (true, false) => " or machine",
        (false, true) => " or zone", // zones are what people say, and may be on one machine
        (false, false) => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_is_one_number_and_one_sentence() {
        let whole = HealthReport {
            contents: 2,
            survives: 1,
            promised: 1,
            machines: 0,
            zones: 0,
            bytes: 4 << 20,
            endangered: 0,
            lost: 0,
            repairing: 0,
            hearing: false,
            away: Vec::new(),
        };
        assert_eq!(said(&whole), "every byte survives the loss of any 1 store");
        let apart = HealthReport { machines: 1, ..whole.clone() };
        assert_eq!(said(&apart), "every byte survives the loss of any 1 store or machine");
        let zones = HealthReport { zones: 1, ..whole.clone() };
        assert_eq!(
            said(&zones),
            "every byte survives the loss of any 1 store or zone",
            "they are on one machine"
        );
        let apart = HealthReport { zones: 1, ..apart };
        assert_eq!(said(&apart), "every byte survives the loss of any 1 store, machine or zone");
        let away = StoreReport {
            store: String::new(),
            name: "lab3".to_owned(),
            zone: String::new(),
            machine: String::new(),
            state: "away".to_owned(),
            capacity: 0,
            used: 0,
            contents: 0,
            chunks: 0,
        };
        let fewer = HealthReport {
            survives: 0,
            endangered: 1 << 20,
            repairing: 1 << 20,
            away: vec![away],
            ..whole.clone()
        };
        let words = "1.0 MiB would be lost with one store more; 1.0 MiB are being copied; 1 store away: lab3";
        assert_eq!(said(&fewer), words);
        let lost = HealthReport { lost: 1 << 20, hearing: true, repairing: 0, away: Vec::new(), ..fewer };
        let words =
            "1.0 MiB of 4.0 MiB are on no store that is here; not all stores have said yet what they hold";
        assert_eq!(said(&lost), words);
        let three = HealthReport { promised: 2, endangered: 1 << 20, ..whole.clone() };
        let words =
            "every byte survives the loss of any 1 store; 1.0 MiB should survive that of any 2 stores";
        assert_eq!(said(&three), words);
        assert_eq!(said(&HealthReport { contents: 0, ..whole }), "stores keep nothing that was promised");
    }
}
