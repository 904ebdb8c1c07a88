//! Every route: what it is called, who may take it, how long its request may be, and what answers. The API's document is
//! made of this table, so it says what there is.

use hyper::Method;
use serde_json::{Map, Value, json};

use super::accounts::Role;
use super::answer::{Answer, Problem};
use super::request::Asked;
use super::site::{House, Site};
use super::{
    accounts_api, cluster_api, common_api, download, handed_out, members_api, metrics, peer_api, stored_api,
    swarm, tracker_api, upload,
};

/// What answers a request.
pub(super) type Call = fn(&Site, &Asked) -> Result<Answer, Problem>;

/// On whose page a route is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    Both,
    Peer,
    Tracker,
}

/// How a route is answered.
#[derive(Clone, Copy)]
pub(super) enum How {
    /// At once, when all of the request is here.
    Call(Call),
    /// With events, until who listens goes.
    Events,
    /// When the bytes of an upload have been taken as they came.
    Upload,
}

/// A route.
#[derive(Clone, Copy)]
pub(super) struct Route {
    pub(super) method: &'static str,
    /// What is in braces stands for anything but nothing.
    pub(super) path: &'static str,
    about: &'static str,
    pub(super) of: Of,
    /// The least role; none: anybody.
    pub(super) role: Option<Role>,
    /// Bytes of a request.
    pub(super) most: usize,
    pub(super) how: How,
}

/// Bytes of a small request in JSON.
const SMALL: usize = 4 << 10;
/// Bytes of a request that may carry a descriptor.
const DESCRIPTOR: usize = 80 << 10;

macro_rules! routes {
    ($($method:ident $path:literal $of:ident $role:tt $most:tt $how:expr, $about:literal;)*) => {
        /// All routes below `/api/v1`, and those beside it.
        pub(super) const ROUTES: &[Route] = &[$(Route {
            method: stringify!($method),
            path: $path,
            about: $about,
            of: Of::$of,
            role: routes!(@role $role),
            most: $most,
            how: $how,
        }),*];
    };
    (@role nobody) => { None };
    (@role $role:ident) => { Some(Role::$role) };
}

routes! {
    GET "/healthz" Both nobody 0 How::Call(common_api::healthz), "200 while the process answers";
    GET "/readyz" Both nobody 0 How::Call(common_api::readyz), "200 while it does what it is for, else 503 and why";
    GET "/metrics" Both Metrics 0 How::Call(metrics::metrics), "Numbers, as Prometheus reads them";
    GET "/api/v1/about" Both nobody 0 How::Call(common_api::about), "Whose page it is, and what there is on it";
    GET "/api/v1/openapi.json" Both Reader 0 How::Call(openapi), "This document";
    GET "/api/v1/session" Both nobody 0 How::Call(accounts_api::me), "Who is logged in";
    POST "/api/v1/session" Both nobody SMALL How::Call(accounts_api::log_in), "Logs in, by a link, an invitation or a password";
    DELETE "/api/v1/session" Both nobody 0 How::Call(accounts_api::log_out), "Logs out";
    POST "/api/v1/ticket" Both Reader 0 How::Call(accounts_api::ticket), "Makes a ticket by which this session goes on at another page";
    GET "/api/v1/sessions" Both Admin 0 How::Call(accounts_api::sessions), "Browsers that are logged in";
    DELETE "/api/v1/sessions/{id}" Both Admin 0 How::Call(accounts_api::end_session), "Ends a session";
    GET "/api/v1/tokens" Both Admin 0 How::Call(accounts_api::tokens), "Tokens of programs";
    POST "/api/v1/tokens" Both Admin SMALL How::Call(accounts_api::add_token), "Makes a token";
    DELETE "/api/v1/tokens/{id}" Both Admin 0 How::Call(accounts_api::end_token), "Ends a token";
    GET "/api/v1/users" Both Admin 0 How::Call(accounts_api::users), "Users";
    POST "/api/v1/users" Both Admin SMALL How::Call(accounts_api::add_user), "Invites a user, or gives him another role";
    DELETE "/api/v1/users/{name}" Both Admin 0 How::Call(accounts_api::remove_user), "Removes a user";
    GET "/api/v1/events" Both Reader 0 How::Events, "What changes, as server-sent events";
    GET "/api/v1/series" Both Reader 0 How::Call(common_api::series), "Numbers over time";
    GET "/api/v1/activity" Both Reader 0 How::Call(common_api::activity), "What was changed here, and by whom; at a tracker, who came and went";
    GET "/api/v1/warnings" Both Reader 0 How::Call(common_api::warnings), "What this process warned of lately";
    GET "/api/v1/contents" Both Reader 0 How::Call(swarm::contents), "Names in the swarm";
    GET "/api/v1/find" Both Reader 0 How::Call(swarm::find), "What a name or id stands for";
    GET "/api/v1/contents/{id}" Both Reader 0 How::Call(swarm::one), "A content";
    GET "/api/v1/contents/{id}/holders" Both Reader 0 How::Call(swarm::holders), "Who has a content";
    GET "/api/v1/contents/{id}/link" Both Reader 0 How::Call(swarm::as_link), "Its link";
    GET "/api/v1/contents/{id}/descriptor" Both Reader 0 How::Call(swarm::as_descriptor), "Its descriptor, a NAME.p2p file";
    GET "/api/v1/contents/{id}/data" Peer Reader 0 How::Call(download::data), "Its bytes: a file, in part if that is asked for, or a folder as a ZIP";
    POST "/api/v1/contents/{id}/links" Peer Publisher SMALL How::Call(handed_out::hand_out), "Makes a link by which whoever has it can save it for a while";
    POST "/api/v1/contents/{id}/stored" Peer Publisher SMALL How::Call(stored_api::store), "Has stores keep what is shared from the folder";
    GET "/api/v1/stored" Peer Reader 0 How::Call(stored_api::stored), "What was handed to stores here, and how far that is";
    GET "/s/{secret}" Peer nobody 0 How::Call(handed_out::page), "A page of what such a link gives";
    GET "/s/{secret}/data" Peer nobody 0 How::Call(handed_out::data), "The bytes of what such a link gives";
    GET "/api/v1/versions" Both Reader 0 How::Call(swarm::versions), "Versions on record under a name";
    GET "/api/v1/peers" Both Reader 0 How::Call(swarm::peers), "Registered peers";
    GET "/api/v1/stores" Both Reader 0 How::Call(swarm::stores), "Who lends space";
    PATCH "/api/v1/stores/{id}" Tracker Admin SMALL How::Call(cluster_api::set_store), "Says whether a store leaves, stays, or is forgotten";
    GET "/api/v1/health" Both Reader 0 How::Call(swarm::health), "How safe is what stores keep";
    GET "/api/v1/cluster" Both Reader 0 How::Call(cluster_api::cluster), "Trackers that are one";
    GET "/api/v1/nodes" Both Reader 0 How::Call(cluster_api::nodes), "Nodes with their roles, and who brings a lost one back";
    PATCH "/api/v1/nodes" Tracker Admin SMALL How::Call(cluster_api::pause), "Says whether lost nodes are brought back";
    DELETE "/api/v1/nodes/{id}" Tracker Admin 0 How::Call(cluster_api::forget), "Forgets a lost node";
    GET "/api/v1/tracker" Both Reader 0 How::Call(tracker_api::tracker), "How the tracker is";
    GET "/api/v1/members" Tracker Admin 0 How::Call(members_api::members), "Members of the closed swarm";
    POST "/api/v1/invites" Tracker Admin SMALL How::Call(members_api::invite), "Makes a link by which others join it";
    PATCH "/api/v1/members/{key}" Tracker Admin SMALL How::Call(members_api::set_role), "Gives a member another role";
    DELETE "/api/v1/members/{key}" Tracker Admin 0 How::Call(members_api::revoke), "Puts a member out, and gives the swarm another key";
    GET "/api/v1/descriptors" Both Reader 0 How::Call(tracker_api::descriptors), "Descriptors that were handed in";
    POST "/api/v1/descriptors" Both Publisher DESCRIPTOR How::Call(tracker_api::hand_in), "Hands in a descriptor or a link";
    GET "/api/v1/status" Peer Reader 0 How::Call(peer_api::status), "How the peer is";
    GET "/api/v1/transfers" Peer Reader 0 How::Call(peer_api::transfers), "Transfers";
    POST "/api/v1/transfers" Peer Publisher DESCRIPTOR How::Call(peer_api::fetch), "Fetches into the shared folder";
    GET "/api/v1/transfers/{number}" Peer Reader 0 How::Call(peer_api::transfer), "A transfer";
    PATCH "/api/v1/transfers/{number}" Peer Publisher SMALL How::Call(peer_api::limit_one), "Limits a transfer";
    DELETE "/api/v1/transfers/{number}" Peer Publisher 0 How::Call(peer_api::cancel), "Cancels a transfer; what is proved is kept";
    POST "/api/v1/transfers/{number}/pause" Peer Publisher SMALL How::Call(peer_api::pause), "Pauses a transfer";
    POST "/api/v1/transfers/{number}/resume" Peer Publisher SMALL How::Call(peer_api::resume), "Has a transfer go on";
    POST "/api/v1/transfers/{number}/again" Peer Publisher SMALL How::Call(peer_api::again), "Fetches again what has ended, and replaces what differs";
    GET "/api/v1/transfers/{number}/sources" Peer Reader 0 How::Call(peer_api::sources), "Its sources, and why each is asked or not";
    GET "/api/v1/transfers/{number}/files" Peer Reader 0 How::Call(peer_api::files), "Its files";
    GET "/api/v1/transfers/{number}/chunks" Peer Reader 0 How::Call(peer_api::chunks), "Which parts of it are here";
    GET "/api/v1/preview" Peer Reader 0 How::Call(peer_api::preview), "What would be fetched, from whom and where to";
    GET "/api/v1/shared" Peer Reader 0 How::Call(peer_api::shared), "What is shared";
    POST "/api/v1/uploads" Peer Publisher 0 How::Call(upload::create), "Begins an upload, by tus 1.0.0";
    GET "/api/v1/uploads/{id}" Peer Publisher 0 How::Call(upload::offset), "How much of an upload is here";
    PATCH "/api/v1/uploads/{id}" Peer Publisher 0 How::Upload, "The next bytes of an upload";
    DELETE "/api/v1/uploads/{id}" Peer Publisher 0 How::Call(upload::remove), "Gives an upload up";
    GET "/api/v1/limits" Peer Reader 0 How::Call(peer_api::limits), "Rates";
    PATCH "/api/v1/limits" Peer Admin SMALL How::Call(peer_api::set_limits), "Sets rates";
}

/// What a path leads to.
pub(super) enum Found {
    Route(&'static Route, Vec<String>),
    /// There is something at the path, but only for these methods.
    Method(Vec<&'static str>),
    Nothing,
}

/// The route of a request.
pub(super) fn find(house: &House, method: &Method, segments: &[String]) -> Found {
    let is_here = |route: &&Route| match route.of {
        Of::Both => true,
        Of::Peer => matches!(house, House::Peer(_)),
        Of::Tracker => matches!(house, House::Tracker(_)),
    };
    // What a HEAD is answered has the same header.
    let method = if *method == Method::HEAD { Method::GET.as_str() } else { method.as_str() };
    let mut others = Vec::new();
    for route in ROUTES.iter().filter(is_here) {
        if let Some(places) = fits(route.path, segments) {
            if route.method == method {
                return Found::Route(route, places);
            }
            others.push(route.method);
            others.extend((route.method == Method::GET.as_str()).then_some(Method::HEAD.as_str()));
        }
    }
    if others.is_empty() { Found::Nothing } else { Found::Method(others) }
}

/// What stands in the place of what is in braces, if the path is one of these.
fn fits(pattern: &str, segments: &[String]) -> Option<Vec<String>> {
    let parts: Vec<&str> = pattern.trim_start_matches('/').split('/').collect();
    let mut places = Vec::new();
    if parts.len() != segments.len() {
        return None;
    }
    for (part, segment) in parts.into_iter().zip(segments) {
        match part.starts_with('{') {
            true if !segment.is_empty() => places.push(segment.clone()),
            false if part == segment => {}
            _ => return None,
        }
    }
    Some(places)
}

/// `GET /openapi.json`
fn openapi(_: &Site, _: &Asked) -> Result<Answer, Problem> {
    Ok(Answer::tagged(&document()))
}

/// The table as an OpenAPI document.
fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for route in ROUTES {
        let names = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        let parameters: Vec<Value> = names
            .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
            .collect();
        let role = route.role.map_or_else(|| json!("nobody"), |role| json!(role));
        let on = match route.of {
            Of::Both => json!(["peer", "tracker"]),
            Of::Peer => json!(["peer"]),
            Of::Tracker => json!(["tracker"]),
        };
        let mut operation = json!({
            "summary": route.about,
            "parameters": parameters,
            "x-role": role,
            "x-on": on,
            "responses": {
                "200": { "description": "as it was asked" },
                "default": {
                    "description": "why it was not done",
                    "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
                },
            },
        });
        if route.most > 0 {
            operation["requestBody"] = json!({
                "x-most-bytes": route.most,
                "content": { "application/json": { "schema": { "type": "object" } } },
            });
        }
        let path = paths.entry(route.path.to_owned()).or_insert_with(|| json!({}));
        path[route.method.to_ascii_lowercase()] = operation;
    }
    json!({
        "openapi": "3.1.0",
        "info": { "title": "p2p", "version": "1" },
        "paths": paths,
        "components": {
            "schemas": {
                "Problem": {
                    "type": "object",
                    "required": ["type", "title", "status", "detail", "code"],
                    "properties": {
                        "type": { "type": "string" },
                        "title": { "type": "string" },
                        "status": { "type": "integer" },
                        "detail": { "type": "string" },
                        "code": { "type": "string" },
                        "retry_after": { "type": "integer" },
                    },
                },
            },
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
        },
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn path(text: &str) -> Vec<String> {
        super::super::request::segments(text).unwrap()
    }

    #[test]
    fn a_path_fits_part_by_part() {
        assert_eq!(fits("/a/{b}/c", &path("/a/x/c")), Some(vec!["x".to_owned()]));
        for other in ["/a/x", "/a//c", "/a/x/d", "/a/x/c/", "/b/x/c"] {
            assert_eq!(fits("/a/{b}/c", &path(other)), None, "{other}");
        }
    }

    #[test]
    fn the_document_has_every_route_and_no_other() {
        let document = document();
        let mut documented = BTreeSet::new();
        for (path, operations) in document["paths"].as_object().unwrap() {
            for (method, operation) in operations.as_object().unwrap() {
                documented.insert((method.to_ascii_uppercase(), path.clone()));
                assert_eq!(
                    operation["parameters"].as_array().unwrap().len(),
                    path.matches('{').count(),
                    "{path}"
                );
            }
        }
        let routes: BTreeSet<_> =
            ROUTES.iter().map(|route| (route.method.to_owned(), route.path.to_owned())).collect();
        assert_eq!(documented, routes);
        assert_eq!(routes.len(), ROUTES.len(), "one route is there twice");
    }

    #[test]
    fn what_changes_something_wants_a_role_and_what_has_no_body_takes_none() {
        for route in ROUTES {
            let is_safe = route.method == "GET";
            assert!(
                is_safe
                    || route.role >= Some(Role::Publisher)
                    || ["/api/v1/session", "/api/v1/ticket"].contains(&route.path),
                "{}",
                route.path
            );
            assert!(!is_safe || route.most == 0, "{}", route.path);
        }
    }
}
