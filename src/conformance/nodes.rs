//! Nodes: NODE_BEAT, CLAIM, DUTY_DONE and GET_NODES of sections 8.2 and 13.10.

use std::thread;
use std::time::Duration;

use super::check::{Check, Checked, checks, holds, same};
use super::client::Client;
use super::directory::any_prefix;
use super::fields::{Body, Fields};
use super::numbers::{code, id};
use super::target::Target;

pub(super) const CHECKS: &[Check<Target>] = checks! {
    "8.2":
        who_beats_hears_orders;
    "13.10":
        a_node_that_beats_is_on_record_and_an_older_life_of_it_is_fenced,
        a_duty_that_was_not_given_cannot_be_claimed;
};

/// How often, and after which pauses, it is looked whether a node was let in.
const LOOKS: usize = 40;
const PAUSE: Duration = Duration::from_millis(250);
const NOTHING: [u8; 16] = [0; 16];
const UP: u8 = 1;
const RUNNING: u8 = 4;
const SOFTWARE: &str = "conformance/1";

/// A NODE_BEAT of a node of one role, of the life that began so often.
fn beat(name: &str, start: u64) -> Body {
    let role = Body::new().text("tracker").u8(RUNNING).u32(1).u8(0);
    let beat = Body::new().u64(start).u32(7).text(name).text("nowhere").u8(0).u8(0);
    beat.u64(1 << 30).u32(25).list(&[role]).text(SOFTWARE)
}

fn duty(number: u64) -> Body {
    Body::new().u64(number).u64(1).u32(7)
}

/// How many milliseconds may pass until the next beat, and how many duties there are.
fn orders(client: &mut Client, body: &Body) -> Checked<(u32, u32)> {
    let orders = client.call(id::NODE_BEAT, body, id::NODE_ORDERS)?;
    orders.fields(|fields| {
        let (authority, beat, _paused) = (fields.raw(16).to_vec(), fields.u32(), fields.flag());
        let none = authority == NOTHING;
        (if none { 0 } else { beat }, fields.u32())
    })
}

/// The state of the node of this name, if it is on the first page.
fn state(client: &mut Client, name: &str) -> Checked<Option<u8>> {
    let role = |fields: &mut Fields<'_>| {
        let _role = (fields.text().len(), fields.u8(), fields.u32(), fields.flag());
    };
    let duty = |fields: &mut Fields<'_>| {
        let _duty = (fields.u64(), fields.raw(16).len(), fields.flag());
    };
    let node = |fields: &mut Fields<'_>| {
        fields.raw(16);
        let (its, _host) = (fields.text().to_owned(), fields.text().len());
        let state = fields.u8();
        let _heard = (fields.u64(), fields.u32(), fields.flag(), fields.u64(), fields.u32());
        let _roles = fields.list(32, role);
        let _tries = fields.u32();
        let _duties = fields.list(1, duty);
        let _software = fields.text().len();
        (its, state)
    };
    let page = client.call(id::GET_NODES, &Body::new().raw(&NOTHING).u16(64), id::NODES)?;
    let nodes = page.fields(|fields| {
        let _paused = fields.flag();
        (fields.list(64, node), fields.flag()).0
    })?;
    Ok(nodes.into_iter().find(|(its, _)| its == name).map(|(_, state)| state))
}

fn who_beats_hears_orders(target: &Target) -> Checked {
    let mut agent = target.greet()?;
    let (interval, duties) = orders(&mut agent, &beat(&any_prefix(), 1))?;
    holds!(interval > 0, "an authority, and a time until the next beat");
    same!(duties, 0, "duties of who cannot bring others back:");
    agent.is_alive()
}

fn a_node_that_beats_is_on_record_and_an_older_life_of_it_is_fenced(target: &Target) -> Checked {
    let (mut agent, name) = (target.greet()?, any_prefix());
    let mut known = None;
    for _ in 0..LOOKS {
        orders(&mut agent, &beat(&name, 5))?;
        known = state(&mut agent, &name)?;
        if known.is_some() {
            break;
        }
        thread::sleep(PAUSE);
    }
    same!(known, Some(UP), "the state of the node:");
    let older = agent.ask(id::NODE_BEAT, &beat(&name, 4))?.error()?;
    same!(code::name(older), code::name(code::FENCED));
    orders(&mut agent, &beat(&name, 6))?;
    agent.is_alive()
}

fn a_duty_that_was_not_given_cannot_be_claimed(target: &Target) -> Checked {
    let mut agent = target.greet()?;
    let refused = agent.ask(id::CLAIM, &duty(u64::MAX))?.error()?;
    same!(code::name(refused), code::name(code::OVER));
    agent.call(id::DUTY_DONE, &duty(u64::MAX), id::OK)?;
    agent.is_alive()
}
