//! One request, from its header to its answer: the guard first, then the route.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use http_body_util::{BodyExt, Limited};
use hyper::body::{Body as _, Incoming};
use hyper::header::{
    AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderName,
    HeaderValue, IF_NONE_MATCH, ORIGIN,
};
use hyper::{Method, Request, StatusCode};

use super::accounts::{Secret, Who};
use super::accounts_api::cookie_name;
use super::answer::{Answer, Answered, Problem};
use super::assets;
use super::drive::Clock;
use super::guard::{self, Facts, Refusal, Wants};
use super::request::{Asked, cookie, query, segments};
use super::routes::{self, Found, How};
use super::site::{Site, now};
use super::upload;
use crate::net::guests::Guest;
use crate::threads::lock;

/// One connection: where it comes from, and where to.
#[derive(Debug, Clone)]
pub(super) struct Way<'a> {
    pub(super) theirs: SocketAddr,
    pub(super) ours: SocketAddr,
    pub(super) clock: Clock,
    pub(super) guest: &'a Guest,
}

/// Answers a request.
pub(super) async fn serve(site: Arc<Site>, way: Way<'_>, request: Request<Incoming>) -> Answered {
    let answer = answer(&site, &way, request).await.unwrap_or_else(Answer::from);
    let class = usize::from(answer.status.as_u16() / 100);
    if let Some(count) = site.answered.get(class) {
        count.fetch_add(1, Ordering::Relaxed);
    }
    Ok(dressed(answer, &site.also.policy).response())
}

/// With the headers that every answer has.
fn dressed(mut answer: Answer, policy: &str) -> Answer {
    let has = |answer: &Answer, name: &HeaderName| answer.headers.iter().any(|(other, _)| other == name);
    if !has(&answer, &CACHE_CONTROL) {
        answer = answer.with(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if !has(&answer, &CONTENT_SECURITY_POLICY) {
        answer = answer.with_text(CONTENT_SECURITY_POLICY, policy);
    }
    let fixed = [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    ];
    for (name, value) in fixed {
        let name = HeaderName::from_static(name);
        if !has(&answer, &name) {
            answer = answer.with(name, HeaderValue::from_static(value));
        }
    }
    answer
}

async fn answer(site: &Site, way: &Way<'_>, request: Request<Incoming>) -> Result<Answer, Problem> {
    let (head, body) = request.into_parts();
    let header = |name: HeaderName| head.headers.get(name).and_then(|value| value.to_str().ok());
    let is_safe = matches!(head.method, Method::GET | Method::HEAD);
    let bearer = header(AUTHORIZATION).and_then(|text| text.strip_prefix("Bearer "));
    let facts = Facts {
        host: header(HOST),
        origin: header(ORIGIN),
        fetch_site: header(HeaderName::from_static("sec-fetch-site")),
        is_safe,
        has_token: bearer.is_some(),
    };
    let check = |refusal| refused(site, refusal);
    site.names.check_way(facts, way.theirs, way.ours).map_err(check)?;
    let by_proxy = site.names.proxy.is_some_and(|proxy| proxy == way.theirs.ip().to_canonical());
    let passed_on = |name: &'static str| {
        header(HeaderName::from_static(name)).filter(|_| by_proxy).and_then(|list| list.rsplit(',').next())
    };
    let by_https = passed_on("x-forwarded-proto").is_some_and(|by| by.trim() == "https");
    let secure = site.tls.is_some() || by_https;
    let from = passed_on("x-forwarded-for").and_then(|from| from.trim().parse().ok());
    let mut asked = Asked {
        places: Vec::new(),
        query: query(head.uri.query().unwrap_or_default()),
        who: who(site, bearer, cookie(&head.headers, &cookie_name(site, secure))),
        headers: head.headers.clone(),
        body: Default::default(),
        from: from.unwrap_or(way.theirs.ip().to_canonical()),
        secure,
        clock: way.clock.clone(),
    };
    if asked.who.is_some() {
        way.guest.greeted();
    }
    let segments = segments(head.uri.path()).ok_or_else(|| Problem::bad("the path is not UTF-8"))?;
    let (route, places) = match routes::find(&site.house, &head.method, &segments) {
        Found::Route(route, places) => (route, places),
        Found::Method => {
            let detail = "nothing is done here by this method";
            return Err(Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method", detail));
        }
        Found::Nothing => {
            let asset = is_safe.then(|| assets::asset(&segments.join("/"), &asked)).flatten();
            return asset.ok_or_else(|| Problem::missing("there is nothing at this path"));
        }
    };
    let events = matches!(route.how, How::Events);
    guard::check(facts, asked.who.as_ref(), Wants { role: route.role, same_origin: events })
        .map_err(check)?;
    asked.places = places;
    match route.how {
        How::Upload => upload::append(site, &asked, body).await,
        How::Call(call) => {
            asked.body = read(body, route.most, way, &asked).await?;
            call(site, &asked).map(|answer| unchanged(answer, &asked))
        }
        How::Events => {
            let events = site.hub.listen(way.clock.clone());
            let Some(events) = events else {
                // Its connection, too, is a place that somebody else could have.
                let full = Answer::from(Problem::unreachable("too many pages listen already").after(5));
                return Ok(full.with(CONNECTION, HeaderValue::from_static("close")));
            };
            Ok(Answer::source(events).with(CONTENT_TYPE, HeaderValue::from_static("text/event-stream")))
        }
    }
}

/// Who comes with this token, or this session.
fn who(site: &Site, bearer: Option<&str>, session: Option<&str>) -> Option<Who> {
    let mut accounts = lock(&site.accounts);
    match (bearer, session) {
        (Some(token), _) => accounts.token(Secret::of(token), now()),
        (None, Some(session)) => accounts.session(Secret::of(session), now()),
        (None, None) => None,
    }
}

/// All of a request's body, which is JSON or a descriptor, never what a form of another page could send.
async fn read(body: Incoming, most: usize, way: &Way<'_>, asked: &Asked) -> Result<bytes::Bytes, Problem> {
    if body.is_end_stream() {
        return Ok(bytes::Bytes::new());
    }
    if body.size_hint().lower() > most as u64 {
        return Err(Problem::too_large(most));
    }
    let kind = asked.header(CONTENT_TYPE.as_str()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !["application/json", "application/toml", "application/octet-stream"].contains(&kind) {
        let detail = "the request is of type application/json, or application/toml for a descriptor";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "type", detail));
    }
    way.clock.body(true);
    let read = Limited::new(body, most).collect().await;
    way.clock.body(false);
    read.map(|all| all.to_bytes()).map_err(|_| Problem::too_large(most))
}

/// Nothing, if who asks has it already.
fn unchanged(answer: Answer, asked: &Asked) -> Answer {
    let known = asked.headers.get(IF_NONE_MATCH);
    match answer.tag().cloned().filter(|tag| Some(tag) == known) {
        Some(tag) => Answer::empty(StatusCode::NOT_MODIFIED).with(hyper::header::ETAG, tag),
        None => answer,
    }
}

/// Why somebody is turned away, and what he can do about it.
fn refused(site: &Site, refusal: Refusal) -> Problem {
    match refusal {
        Refusal::Misdirected => Problem::new(
            StatusCode::MISDIRECTED_REQUEST,
            "host",
            format!(
                "this page is at {}; to have it called otherwise, start it with --web-host NAME",
                site.url()
            ),
        ),
        Refusal::PastProxy => Problem::new(
            StatusCode::FORBIDDEN,
            "proxy",
            "this page is reached through its proxy only, which --web-proxy names",
        ),
        Refusal::CrossSite => Problem::new(
            StatusCode::FORBIDDEN,
            "cross-site",
            "this does not come from the page itself; a program shows a token (Authorization: Bearer)",
        ),
        Refusal::NoLogin => {
            Problem::new(StatusCode::UNAUTHORIZED, "no-login", "log in first: `p2p web login` prints a link")
        }
        Refusal::Role => Problem::new(StatusCode::FORBIDDEN, "role", "your role may not do this"),
    }
}
