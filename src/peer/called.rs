//! Dials those who want what is here and cannot dial this peer, and serves them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use super::dialling::reach;
use super::node::Node;
use super::serve::{self, Host};
use crate::net::NetError;
use crate::net::door::Activity;
use crate::net::trace::Side;
use crate::threads;
use crate::wire::{Call, Here, Role, View};

/// Dials who called, in a thread, if what it wants is here.
pub(super) fn take_up(node: &Arc<Node>, call: Call) {
    let view = [View::Members, View::Bytes].into_iter().find(|view| node.find(call.id, *view).is_some());
    let Some(view) = view.filter(|_| node.called.enter(&call)) else { return };
    let (dialling, here) = (node.clone(), Here { id: call.id, view });
    let present = node.means.stop.enter();
    let called = call.clone();
    let spawned = threads::named("serve-called").connection(move || {
        let _present = present;
        let end = threads::caught(|| serve(&dialling, &called, here))
            .unwrap_or_else(|panicked| Err(NetError::Panicked(panicked)));
        if let Err(error) = end {
            tracing::debug!("peer {}, who called, is served no more: {error}", called.peer);
        }
        dialling.called.leave(&called);
    });
    if let Err(error) = spawned {
        tracing::warn!("no thread to dial who called: {error}");
        node.called.leave(&call);
    }
}

fn serve(node: &Node, call: &Call, here: Here) -> Result<(), NetError> {
    threads::may_panic("serve-called");
    let addresses: Vec<SocketAddr> = call.addresses.iter().map(|address| address.socket()).collect();
    let me = (&node.means.identity, Role::Serve);
    let (session, addr) = match reach(&node.means.dials, (call.peer, &addresses), me, Side::Serve) {
        Ok(reached) => reached,
        Err(missed) => {
            tracing::debug!("peer {}, who called, is not reached: {missed:?}", call.peer);
            return Ok(());
        }
    };
    tracing::debug!("peer {} is served at {addr}: it called", call.peer);
    let activity = Activity::new(Instant::now());
    serve::run(node, session, Some(here), &activity, &|| node.means.stop.is_stopping())
}
