//! What every page has: is the process well, whose page is it, numbers over time, what was changed.

use hyper::StatusCode;
use hyper::header::HeaderName;

use super::answer::{Answer, Problem};
use super::request::Asked;
use super::site::{Activity, House, Site, now};
use super::swarm::{self, Order};
use super::tracker_api;
use crate::threads::lock;
use crate::warnings::{self, Warning};

/// `GET /healthz`: the locks behind these answers can be taken.
pub(super) fn healthz(site: &Site, _: &Asked) -> Result<Answer, Problem> {
    match &site.house {
        House::Peer(peer) => _ = (peer.status(), peer.transfers()),
        House::Tracker(_) => _ = swarm::status(site)?,
    }
    // Another page may look whether this one is there, and sees no more than that.
    let from_anywhere = HeaderName::from_static("cross-origin-resource-policy");
    Ok(Answer::of("text/plain; charset=utf-8", "ok\n").with_text(from_anywhere, "cross-origin"))
}

/// `GET /readyz`
pub(super) fn readyz(site: &Site, _: &Asked) -> Result<Answer, Problem> {
    match tracker_api::is_ready(site) {
        Ok(()) => Ok(Answer::of("text/plain; charset=utf-8", "ready\n")),
        Err(why) => Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not-ready", why)),
    }
}

/// `GET /about`: the version is for those who are logged in.
pub(super) fn about(site: &Site, asked: &Asked) -> Result<Answer, Problem> {
    let (role, name) = match &site.house {
        House::Peer(peer) => ("peer", peer.status().name),
        House::Tracker(_) => ("tracker", String::new()),
    };
    let who = asked.who.as_ref();
    Ok(Answer::json(&serde_json::json!({
        "role": role,
        "name": who.map(|_| name),
        "version": who.map(|_| env!("CARGO_PKG_VERSION")),
        "account": who.map(|who| &who.account),
        "may": asked.role(),
        "also": who.map(|_| &site.also.pages),
        "users": !lock(&site.accounts).users().is_empty(),
    })))
}

/// `GET /series?span=0`: the last ten minutes; 1: a day; 2: a week. As CSV with `format=csv`.
pub(super) fn series(site: &Site, asked: &Asked) -> Result<Answer, Problem> {
    let span = asked.value("span").unwrap_or("0").parse().ok();
    let plot = span.and_then(|span: usize| lock(&site.series).plot(span, now()));
    let plot = plot.ok_or_else(|| Problem::bad("`span` is 0, 1 or 2"))?;
    if asked.value("format") != Some("csv") {
        return Ok(Answer::json(&plot));
    }
    let mut text = String::from("time_ms,down,up,members,names,questions\n");
    let count = plot.values.first().map_or(0, |(_, values)| values.len());
    for at in 0..count {
        let time = plot.until.saturating_sub(plot.step * 1_000 * (count - at - 1) as u64);
        let values: Vec<String> = plot.values.iter().map(|(_, values)| values[at].to_string()).collect();
        text.push_str(&format!("{time},{}\n", values.join(",")));
    }
    Ok(Answer::of("text/csv; charset=utf-8", text))
}

/// `GET /warnings`: what went wrong lately.
pub(super) fn warnings(_: &Site, asked: &Asked) -> Result<Answer, Problem> {
    let part = asked.part("-number")?;
    let mut all = warnings::last();
    all.retain(|warning| swarm::has(&warning.what, &part.q));
    let orders: [Order<'_, Warning>; 1] = [("number", |a, b| a.number.cmp(&b.number))];
    swarm::page(&all, &part, false, &orders)
}

/// `GET /activity`: all of it, or what is of one kind with `kind=peer`.
pub(super) fn activity(site: &Site, asked: &Asked) -> Result<Answer, Problem> {
    let part = asked.part("-number")?;
    let mut all = site.activity();
    let kind = asked.value("kind").filter(|kind| !kind.is_empty());
    all.retain(|row| {
        let texts =
            [Some(&row.what), Some(&row.account), Some(&row.from), row.name.as_ref(), row.id.as_ref()];
        kind.is_none_or(|kind| row.kind == kind)
            && texts.into_iter().flatten().any(|text| swarm::has(text, &part.q))
    });
    let orders: [Order<'_, Activity>; 2] = [
        ("number", |a, b| a.number.cmp(&b.number)),
        ("account", |a, b| (&a.account, a.number).cmp(&(&b.account, b.number))),
    ];
    swarm::page(&all, &part, false, &orders)
}
