//! A tracker's page: what it lists of who is there and what they have.

use serde_json::json;

use super::*;
use crate::content::PeerId;
use crate::net::secure::{Expected, Keyring};
use crate::net::trace::Side;
use crate::net::{Identity, Messages};
use crate::wire::{FromTracker, List, Name, Offer, Register, Role as Speaks, ToTracker};

type Link = Messages<FromTracker, ToTracker>;

/// Somebody who shares files of these names, each as its size says what it is.
fn joins(tracker: &Tracker, number: u8, name: &str, files: &[(&str, u64)]) -> Link {
    let me = Identity::new(Keyring::none(), PeerId([number; 16]), name.to_owned(), 7);
    let stream = net::dial(&tracker.addr().to_string()).unwrap();
    let by = (&me, Speaks::Member);
    let session = net::greet(stream, by, Expected::Anybody, Side::Tracker, net::HELLO_TIMEOUT).unwrap();
    let mut link = Messages::new(session, Side::Tracker);
    let offers = files.iter().map(|(name, size)| offer(name, *size)).collect();
    let register = Register { port: 7, addresses: List::default(), offers: List::new(offers) };
    assert!(matches!(link.call(&register.into()).unwrap(), FromTracker::Registered(_)));
    link
}

fn id(size: u64) -> FileId {
    FileId([size as u8; 32])
}

fn offer(name: &str, size: u64) -> Offer {
    let name = Name::new(name);
    let complete = true;
    Offer { name, id: id(size), size, total: size, chunks: 1, complete, original: true, modified: 0 }
}

/// Two who share four files, one of which both have.
struct Scene {
    tracker: Tracker,
    page: Page,
    _links: Vec<Link>,
}

impl Scene {
    fn new() -> Scene {
        let tracker = tracker();
        let page = Page::of(House::Tracker(tracker.inside()));
        let links = vec![
            joins(&tracker, 1, "bob", &[("a", 10), ("b", 5)]),
            joins(&tracker, 2, "Ann", &[("C.txt", 7), ("a", 10), ("d/e", 8)]),
        ];
        Scene { tracker, page, _links: links }
    }
}

#[test]
fn names_come_in_the_order_and_the_parts_that_are_asked_for() {
    let Scene { page, .. } = &Scene::new();
    for (query, names, next) in [
        ("", &["C.txt", "a", "b", "d/e"][..], Value::Null),
        ("?limit=1", &["C.txt"], json!(1)), // as the tracker lists them
        ("?limit=2&after=2", &["b", "d/e"], Value::Null),
        ("?sort=-name&limit=3", &["d/e", "b", "a"], json!(3)),
        ("?sort=size", &["b", "C.txt", "d/e", "a"], Value::Null),
        ("?sort=-size&limit=1", &["a"], json!(1)),
        ("?sort=-seeders&limit=1", &["a"], json!(1)),
        ("?sort=leechers&after=1&limit=1", &["a"], json!(2)),
        ("?after=9", &[], Value::Null),
    ] {
        let said = page.get(&format!("contents{query}"));
        assert_eq!(said.items("name"), names, "{query}");
        let json = said.json();
        assert_eq!(
            (&json["next"], &json["total"], &json["more"]),
            (&next, &json!(4), &json!(false)),
            "{query}"
        );
        assert!(said.header("etag").is_some());
    }
    assert_eq!(page.get("contents?sort=colour").refused().0, 400);
    let long = "x".repeat(crate::wire::limits::MAX_NAME_BYTES + 1);
    assert_eq!(page.get(&format!("contents?q={long}")).refused(), (400, "no name is so long".to_owned()));
}

#[test]
fn what_is_looked_for_is_found_by_name_and_id_with_who_has_it() {
    let Scene { page, .. } = &Scene::new();
    let hex = id(10).to_string();
    for what in ["a", &hex] {
        let said = page.get(&format!("find?what={what}"));
        assert_eq!(
            (said.items("id"), said.items("size")),
            (vec![hex.clone()], vec!["10".to_owned()]),
            "{what}"
        );
    }
    let near = page.get("find?what=C.tx").json();
    assert_eq!((&near["items"], &near["near"]), (&json!([]), &json!(["C.txt"])));
    for empty in ["find", "find?what="] {
        assert_eq!(page.get(empty).refused(), (400, "`what` says what is looked for".to_owned()));
    }
    for (query, names) in [
        ("", &["Ann", "bob"][..]),
        ("?sort=-name", &["bob", "Ann"]),
        ("?q=AN", &["Ann"]),
        ("?limit=1", &["Ann"]),
    ] {
        assert_eq!(page.get(&format!("contents/{hex}/holders{query}")).items("name"), names, "{query}");
    }
    assert_eq!(page.get(&format!("contents/{hex}")).items("name"), ["a"]);
    let nobody = id(99).to_string();
    for path in ["contents/ID", "contents/ID/holders", "contents/ID/link", "contents/ID/descriptor"] {
        assert_eq!(page.get(&path.replace("ID", &nobody)).refused().0, 404, "{path}");
        assert_eq!(page.get(&path.replace("ID", "12")).refused().0, 400, "{path}");
    }
}

#[test]
fn a_link_and_a_descriptor_say_what_a_content_is_called_here_or_there() {
    let Scene { page, .. } = &Scene::new();
    let hex = id(8).to_string();
    let link = |query: &str| {
        let said = page.get(&format!("contents/{hex}/link{query}"));
        said.text().parse::<crate::content::Link>().unwrap()
    };
    let plain = link("");
    assert_eq!((plain.id, plain.size, plain.trackers.len()), (id(8), Some(8), 0));
    assert_eq!(plain.name.unwrap().as_str(), "d/e");
    let other = link("?name=f&tracker=t:1");
    assert_eq!((other.name.unwrap().as_str(), other.trackers), ("f", vec!["t:1".to_owned()]));
    assert_eq!(page.get(&format!("contents/{hex}/link?name=../x")).refused().0, 400);
    let descriptor = page.get(&format!("contents/{hex}/descriptor"));
    assert_eq!(descriptor.header("content-type"), Some("application/toml"));
    assert!(descriptor.header("content-disposition").unwrap().contains("filename=\"e.p2p\""));
    assert_eq!(swarm::as_typed(descriptor.text()).unwrap().unwrap().id, id(8));
}

#[test]
fn peers_are_sorted_by_what_is_known_of_them() {
    let Scene { page, .. } = &Scene::new();
    for (query, names) in [
        ("", &["Ann", "bob"][..]),
        ("?sort=offers", &["bob", "Ann"]),
        ("?sort=-offers&limit=1", &["Ann"]),
        ("?q=B", &["bob"]),
        ("?q=0202", &["Ann"]),
        ("?q=zoe", &[]),
    ] {
        assert_eq!(page.get(&format!("peers{query}")).items("name"), names, "{query}");
    }
    for key in ["uploads", "downloads", "silent"] {
        assert_eq!(page.get(&format!("peers?sort={key}")).items("name").len(), 2);
    }
    let refused = page.get("peers?sort=size").refused();
    assert_eq!(refused, (400, "this list is sorted by name, offers, uploads, downloads, silent".to_owned()));
}

#[test]
fn a_tracker_of_nothing_kept_says_so() {
    let Scene { page, tracker, .. } = &Scene::new();
    assert_eq!(page.get("stores").items("name"), Vec::<String>::new());
    assert_eq!(page.get("nodes").items("node"), Vec::<String>::new());
    assert_eq!(page.get("versions?name=a").json(), json!({ "items": [], "more": false }));
    assert_eq!(page.get("versions?name=").refused().0, 400);
    assert_eq!(page.get("health").json()["contents"], 0);
    let state = page.get("tracker").json();
    assert_eq!(
        (&state["peers"], &state["names"], &state["registrations"]),
        (&json!(2), &json!(4), &json!(5))
    );
    assert_eq!(page.get("about").json()["role"], "tracker");
    let plain = |path| page.ask("GET", path, &[], "");
    assert_eq!((plain("/healthz").text(), plain("/readyz").text()), ("ok\n", "ready\n"));
    assert_eq!(plain("/healthz").header("cross-origin-resource-policy"), Some("cross-origin"));
    tracker.touch()();
}

#[test]
fn a_descriptor_that_is_handed_in_is_listed_under_its_name_and_gives_its_link() {
    let Scene { page, .. } = &Scene::new();
    let link = |id: FileId, name: &str, size| {
        let name = Some(SafeName::new(name).unwrap());
        crate::content::Link { id, name, size, trackers: Vec::new() }.to_string()
    };
    let hand_in = |text: &str| page.send("POST", "descriptors", text);
    let first = hand_in(&link(id(77), "y", Some(5)));
    assert_eq!(
        (first.status, &first.json()["by"], page.noted()),
        (201, &json!("ann"), "hands in y".to_owned())
    );
    assert_eq!(hand_in(&link(id(77), "y", Some(5))).status, 201, "the same again");
    assert_eq!(hand_in(&link(id(78), "y", Some(5))).refused().0, 409);
    let other = link(id(78), "y", Some(6));
    assert_eq!(page.ask("POST", "/api/v1/descriptors", &[("if-match", "*")], &other).status, 201);
    assert_eq!(hand_in(&link(id(79), "X", None)).status, 201);
    for nothing in ["y", &id(77).to_string(), "p2p:nonsense", ""] {
        assert_eq!(hand_in(nothing).refused().0, 400, "{nothing:?}");
    }
    for (query, names) in [
        ("?sort=name", &["X", "y"][..]),
        ("?sort=-name", &["y", "X"]),
        ("?sort=size", &["X", "y"]),
        ("?q=Y", &["y"]),
    ] {
        assert_eq!(page.get(&format!("descriptors{query}")).items("name"), names, "{query}");
    }
    // Nobody has it, and its link is there all the same; nobody says how large the other is.
    let of = |id: FileId, what: &str| page.get(&format!("contents/{id}/{what}"));
    assert_eq!(of(id(78), "link").text(), other);
    assert_eq!(of(id(78), "descriptor").status, 200);
    assert_eq!((of(id(79), "link").status, of(id(79), "descriptor").refused().0), (200, 404));
    assert_eq!(of(id(77), "link").refused().0, 404, "another took its name");
}

#[test]
fn what_happened_is_listed_by_kind_and_by_what_is_looked_for() {
    let Scene { page, .. } = &mut Scene::new();
    page.send("POST", "tokens", r#"{ "name": "ci", "scope": "reader", "days": 1 }"#);
    for (query, what) in [
        ("?sort=number", &["joined", "joined", "makes the token ci"][..]),
        ("", &["makes the token ci", "joined", "joined"]),
        ("?kind=change", &["makes the token ci"]),
        ("?kind=peer&limit=1", &["joined"]),
        ("?kind=node", &[]),
        ("?q=TOKEN", &["makes the token ci"]),
        ("?q=10.0.0.7", &["makes the token ci"]),
        ("?sort=-account&limit=1", &["makes the token ci"]),
    ] {
        assert_eq!(page.get(&format!("activity{query}")).items("what"), what, "{query}");
    }
    assert_eq!(page.get("activity?q=bob").items("name"), ["bob"]);
    for span in ["0", "1", "2"] {
        assert!(page.get(&format!("series?span={span}")).json()["values"].is_array() || span != "0");
    }
    for wrong in ["3", "x", "-1"] {
        assert_eq!(page.get(&format!("series?span={wrong}")).refused().0, 400);
    }
    let csv = page.get("series?format=csv");
    assert_eq!(csv.header("content-type"), Some("text/csv; charset=utf-8"));
    let columns: Vec<usize> = csv.text().lines().map(|line| line.split(',').count()).collect();
    assert!(columns.iter().all(|count| *count == 6), "{columns:?}");
}

#[test]
fn nodes_and_stores_that_are_not_there_are_said_to_be_none() {
    let Scene { page, .. } = &Scene::new();
    let none = "11".repeat(16);
    for (method, target, body, status) in [
        ("DELETE", "nodes/ID", "", 404),
        ("DELETE", "nodes/xyz", "", 400),
        ("PATCH", "stores/ID", r#"{ "change": "leave" }"#, 404),
        ("PATCH", "stores/ID", r#"{ "change": "melt" }"#, 400),
        ("PATCH", "stores/12", r#"{ "change": "stay" }"#, 400),
        ("PATCH", "nodes", r#"{ "paused": 1 }"#, 400),
    ] {
        let said = page.send(method, &target.replace("ID", &none), body);
        assert_eq!(said.refused().0, status, "{method} {target} {body}: {}", said.text());
    }
    for (paused, words) in
        [(true, "has no lost node brought back"), (false, "has lost nodes brought back again")]
    {
        assert_eq!(page.send("PATCH", "nodes", &json!({ "paused": paused }).to_string()).status, 204);
        assert_eq!(page.noted(), words);
    }
}

#[test]
fn a_path_leads_to_one_route_of_this_page_by_its_method() {
    let Scene { page, .. } = &Scene::new();
    let leads = |method: &str, path: &str| {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        match routes::find(&page.site.house, &method, &segments(path).unwrap()) {
            Found::Route(route, places) => format!("{} {places:?}", route.path),
            Found::Method(_) => "another method".to_owned(),
            Found::Nothing => "nothing".to_owned(),
        }
    };
    for (method, path, to) in [
        ("GET", "/api/v1/contents/7/holders", "/api/v1/contents/{id}/holders [\"7\"]"),
        ("HEAD", "/healthz", "/healthz []"),
        ("PUT", "/healthz", "another method"),
        ("DELETE", "/api/v1/contents", "another method"),
        ("GET", "/api/v1/transfers", "nothing"), // a peer has those
        ("POST", "/api/v1/uploads", "nothing"),
        ("GET", "/api/v1/contents/", "nothing"),
        ("GET", "/api/v2/contents", "nothing"),
    ] {
        assert_eq!(leads(method, path), to, "{method} {path}");
    }
}
