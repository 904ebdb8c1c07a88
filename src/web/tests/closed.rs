//! The page of a closed swarm's tracker: its members.

use serde_json::json;

use super::*;
use crate::content::PublicKey;
use crate::net::join_link::JoinLink;
use crate::net::secure::Identity;

fn page(folder: &std::path::Path, hosts: &[&str]) -> (Tracker, Page) {
    let closed = role::Closed {
        identity: Identity::load_or_make(folder).unwrap(),
        swarm: "lab".to_owned(),
        admin: (PublicKey([7; 32]), "me@lab".to_owned()),
        hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
    };
    let config = role::Config {
        listen: "127.0.0.1:0".to_owned(),
        data: Some(folder.to_owned()),
        closed: Some(closed),
        ..role::Config::default()
    };
    let tracker = role::start(config).unwrap();
    let page = Page::of(House::Tracker(tracker.inside()));
    (tracker, page)
}

#[test]
fn members_are_listed_invited_given_roles_and_put_out() {
    let folder = tempfile::tempdir().unwrap();
    let (tracker, page) = page(folder.path(), &["tracker.example"]);
    assert_eq!(page.get("members?sort=-role&limit=1").items("role"), ["tracker"]);
    assert_eq!(page.get("members?q=ME%40").items("name"), ["me@lab"]);
    let invite = |body: Value| page.send("POST", "invites", &body.to_string());
    let made = invite(json!({ "role": "publisher", "prefix": "a/", "uses": 2, "hours": 1 }));
    assert_eq!((made.status, page.noted()), (201, "invites 2 to join as publisher, within 1 h".to_owned()));
    let link = JoinLink::parse(made.json()["link"].as_str().unwrap()).unwrap();
    assert_eq!(link.trackers, [format!("tracker.example:{}", tracker.addr().port())]);
    assert!(made.json()["picture"].as_str().unwrap().contains("<svg"));
    for (role, uses, hours) in
        [("king", 1, 1), ("reader", 0, 1), ("reader", 1_001, 1), ("reader", 1, 0), ("reader", 1, 9_000)]
    {
        let wrong = invite(json!({ "role": role, "uses": uses, "hours": hours }));
        assert_eq!(wrong.refused().0, 400, "{role} {uses} {hours}");
    }
    let own = page.get("members?q=me%40").items("key").remove(0);
    let to = |key: &str, role: &str| {
        page.send("PATCH", &format!("members/{key}"), &json!({ "role": role }).to_string())
    };
    assert_eq!(to("nonsense", "reader").refused().0, 400);
    assert_eq!(to(&own, "king").refused().0, 400);
    let unknown = PublicKey([9; 32]).to_string();
    assert!(to(&unknown, "reader").refused().0 >= 400);
    let last = page.send("DELETE", &format!("members/{own}"), "").refused();
    assert!(last.0 >= 400, "a swarm has an admin: {last:?}");
    assert_eq!(page.get("members?q=me%40").items("role"), ["admin"]);
}

#[test]
fn who_does_not_know_where_others_find_it_invites_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let (_tracker, page) = page(folder.path(), &[]);
    let said = page.send("POST", "invites", r#"{ "role": "reader", "uses": 1, "hours": 1 }"#);
    assert_eq!(said.refused().0, 409);
}
