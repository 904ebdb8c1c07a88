//! One request, from its header to its answer: the guard first, then the route.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use http_body_util::{BodyExt, Limited};
use hyper::body::{Body as _, Incoming};
use hyper::header::{
    ALLOW, AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderName,
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
        Found::Method(others) => {
            let detail = "nothing is done here by this method";
            let problem = Answer::from(Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method", detail));
            let Ok(allowed) = HeaderValue::try_from(others.join(", ")) else { return Ok(problem) };
            return Ok(problem.with(ALLOW, allowed));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::accounts::Role;
    use crate::web::house::House;
    use crate::web::tests::{Page, asked, tracker};

    fn headers(answer: Answer) -> Vec<(String, String)> {
        let response = answer.response();
        let text = |value: &HeaderValue| value.to_str().unwrap().to_owned();
        response.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect()
    }

    #[test]
    fn each_answer_has_the_headers_that_leave_a_browser_nothing_to_guess_and_none_twice() {
        let usual = [
            ("cache-control", "no-store"),
            ("content-security-policy", "the policy"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("referrer-policy", "no-referrer"),
            ("x-content-type-options", "nosniff"),
        ];
        let of = |answer| {
            let mut all = headers(dressed(answer, "the policy"));
            all.sort();
            all
        };
        let expected = |own: &[(&str, &str)]| {
            let mut all: Vec<(String, String)> =
                usual.map(|(name, value)| (name.into(), value.into())).into();
            for (name, value) in own {
                all.retain(|(other, _)| other != name);
                all.push(((*name).to_owned(), (*value).to_owned()));
            }
            all.sort();
            all
        };
        assert_eq!(of(Answer::empty(StatusCode::OK)), expected(&[]));
        for (name, value) in [
            ("cache-control", "max-age=5"),
            ("content-security-policy", "sandbox"),
            ("cross-origin-resource-policy", "cross-origin"),
            ("x-more", "y"),
        ] {
            let own = Answer::empty(StatusCode::OK).with_text(HeaderName::from_static(name), value);
            assert_eq!(of(own), expected(&[(name, value)]));
        }
    }

    #[test]
    fn who_has_an_answer_already_is_sent_nothing_but_its_tag() {
        let answer = || Answer::tagged(&"a");
        let tag = answer().tag().cloned().unwrap();
        let known = |tag: Option<&HeaderValue>, answer: Answer| {
            let mut asked = asked();
            tag.map(|tag| asked.headers.insert(IF_NONE_MATCH, tag.clone()));
            let answer = unchanged(answer, &asked);
            (answer.status.as_u16(), answer.tag().cloned())
        };
        assert_eq!(known(Some(&tag), answer()), (304, Some(tag.clone())));
        assert_eq!(known(None, answer()), (200, Some(tag.clone())));
        assert_eq!(known(Some(&HeaderValue::from_static("\"another\"")), answer()), (200, Some(tag.clone())));
        assert_eq!(known(Some(&tag), Answer::json(&"a")), (200, None), "it has no tag");
    }

    #[test]
    fn who_is_turned_away_hears_why_and_who_comes_is_known_by_token_before_session() {
        let tracker = tracker();
        let site = Page::of(House::Tracker(tracker.inside())).site;
        for (refusal, status, code) in [
            (Refusal::Misdirected, 421, "host"),
            (Refusal::PastProxy, 403, "proxy"),
            (Refusal::CrossSite, 403, "cross-site"),
            (Refusal::NoLogin, 401, "no-login"),
            (Refusal::Role, 403, "role"),
        ] {
            let problem = refused(&site, refusal);
            assert_eq!((problem.status, problem.code), (status, code));
            assert_eq!(problem.detail.contains(&site.url()), code == "host");
        }
        let ann = Who { account: "ann".to_owned(), role: Role::Reader, session: None };
        lock(&site.accounts).begin(&ann, Secret::of("session"), asked().from, now());
        let until = now() + 60_000;
        lock(&site.accounts).add_token(Secret::of("token"), ("ci", Role::Metrics), until, now());
        let come = |bearer, session| who(&site, bearer, session).map(|who| who.account);
        assert_eq!(come(Some("token"), Some("session")).as_deref(), Some("token ci"));
        assert_eq!(come(None, Some("session")).as_deref(), Some("ann"));
        assert_eq!(come(Some("wrong"), Some("session")), None, "a wrong token is no session");
        for (bearer, session) in [(None, None), (Some("session"), None), (None, Some("token"))] {
            assert_eq!(come(bearer, session), None);
        }
    }
}
