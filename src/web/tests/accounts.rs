//! Who may come in: links, tokens, users and their passwords.

use serde_json::json;

use super::*;
use crate::web::accounts::Secret;

fn page() -> (Tracker, Page) {
    let tracker = tracker();
    let page = Page::of(House::Tracker(tracker.inside()));
    (tracker, page)
}

fn log_in(page: &Page, body: Value) -> Said {
    page.send("POST", "session", &body.to_string())
}

#[test]
fn a_link_lets_its_owner_in_once_and_who_guesses_waits() {
    let (_tracker, page) = page();
    let link = page.site.login_link();
    let (place, secret) = link.split_once("#in=").unwrap();
    assert_eq!(place, "http://127.0.0.1:9780/");
    let came = log_in(&page, json!({ "token": secret }));
    assert_eq!((came.status, came.json()), (201, json!({ "account": "owner", "role": "admin" })));
    let cookie = came.header("set-cookie").unwrap();
    assert!(cookie.starts_with("p2p-9780=") && cookie.ends_with("; HttpOnly; SameSite=Strict"), "{cookie}");
    assert_eq!(page.noted(), "logs in");
    assert_eq!(page.get("sessions").items("account"), ["owner"]);
    for body in [
        json!({}),
        json!({ "token": "a", "name": "b" }),
        json!({ "name": "b" }),
        json!({ "password": "c" }),
        json!({ "tokens": "a" }),
    ] {
        assert_eq!(log_in(&page, body.clone()).refused().0, 400, "{body}");
    }
    for _ in 0..5 {
        let (status, why) = log_in(&page, json!({ "token": secret })).refused();
        assert!(status == 403 && why.contains("this link was used"), "{why}");
    }
    let waits = log_in(&page, json!({ "token": secret }));
    assert_eq!((waits.refused().0, waits.header("retry-after")), (429, Some("1")));
}

#[test]
fn a_session_is_ended_by_what_it_is_called() {
    let (_tracker, page) = page();
    let secret = |page: &Page| page.site.login_link().split_once('=').unwrap().1.to_owned();
    for _ in 0..2 {
        assert_eq!(log_in(&page, json!({ "token": secret(&page) })).status, 201);
    }
    let ids = page.get("sessions").items("id");
    assert_eq!(ids.len(), 2);
    assert_eq!(page.send("DELETE", &format!("sessions/{}", ids[0]), "").status, 204);
    assert_eq!(page.get("sessions").items("id"), ids[1..]);
    let again = page.send("DELETE", &format!("sessions/{}", ids[0]), "").refused();
    assert_eq!(again, (404, "there is no such session".to_owned()));
    let out = page.send("DELETE", "session", "");
    assert!(out.status == 204 && out.header("set-cookie").unwrap().contains("Max-Age=0"));
}

#[test]
fn a_token_has_a_name_a_role_and_an_end() {
    let (_tracker, page) = page();
    let make = |name: &str, scope: &str, days: u64| {
        page.send("POST", "tokens", &json!({ "name": name, "scope": scope, "days": days }).to_string())
    };
    let long = "x".repeat(65);
    for (name, scope, days) in [
        ("", "reader", 1),
        (&*long, "reader", 1),
        ("owner", "reader", 1),
        ("a\nb", "reader", 1),
        ("a", "king", 1),
        ("a", "reader", 0),
        ("a", "reader", 367),
    ] {
        assert_eq!(make(name, scope, days).refused().0, 400, "{name:?} {scope} {days}");
    }
    let made = make("ci", "publisher", 366);
    assert_eq!(made.status, 201);
    let (token, now) = (made.json()["token"].as_str().unwrap().to_owned(), site::now());
    let who = lock(&page.site.accounts).token(Secret::of(&token), now).unwrap();
    assert_eq!((&*who.account, who.role), ("token ci", Role::Publisher));
    let end = made.json()["until"].as_u64().unwrap();
    assert!(lock(&page.site.accounts).token(Secret::of(&token), end).is_none());
    let listed = page.get("tokens");
    assert_eq!(
        (listed.items("name"), listed.items("scope")),
        (vec!["ci".to_owned()], vec!["publisher".to_owned()])
    );
    assert!(!listed.text().contains(&token) && token.starts_with("p2p_"), "the answer alone has it");
    let id = &listed.items("id")[0];
    assert_eq!(page.send("DELETE", &format!("tokens/{id}"), "").status, 204);
    assert_eq!(page.send("DELETE", &format!("tokens/{id}"), "").refused().0, 404);
    assert!(lock(&page.site.accounts).token(Secret::of(&token), now).is_none());
}

#[test]
fn who_is_invited_chooses_a_password_once_and_comes_in_by_it() {
    let (_tracker, page) = page();
    let invited = page.send("POST", "users", r#"{ "name": "zoe", "role": "reader" }"#);
    let invitation = invited.json()["invitation"].as_str().unwrap().to_owned();
    assert_eq!((invited.status, page.noted()), (201, "invites zoe".to_owned()));
    assert_eq!(
        page.get("users").json()["items"],
        json!([{ "name": "zoe", "role": "reader", "invited": true }])
    );
    let choose = |password: &str| log_in(&page, json!({ "token": invitation, "password": password }));
    for wrong in ["ten bytes", &"x".repeat(257)] {
        assert_eq!(choose(wrong).refused(), (400, "a password has 10 to 256 bytes".to_owned()));
    }
    assert_eq!(choose("a long word").json(), json!({ "account": "zoe", "role": "reader" }));
    assert_eq!(choose("another one").refused().0, 403, "an invitation is used once");
    assert_eq!(page.get("users").json()["items"][0]["invited"], false);
    let come = |name: &str, password: &str| log_in(&page, json!({ "name": name, "password": password }));
    assert_eq!(come("zoe", "a long word").status, 201);
    assert_eq!(come("zoe", "a long worD").refused().0, 403);
    assert_eq!(page.send("DELETE", "users/zoe", "").status, 204);
    assert_eq!(page.send("DELETE", "users/zoe", "").refused().0, 404);
    for wrong in
        [r#"{ "name": "owner", "role": "reader" }"#, r#"{ "name": "a" }"#, r#"{ "name": "a", "role": "x" }"#]
    {
        assert_eq!(page.send("POST", "users", wrong).refused().0, 400, "{wrong}");
    }
}

#[test]
fn who_is_in_is_said_and_a_ticket_is_for_pages_that_share_a_secret() {
    let (_tracker, mut page) = page();
    assert_eq!(page.get("session").json(), json!({ "account": "ann", "role": "admin" }));
    let about = page.get("about").json();
    assert_eq!(
        (&about["account"], &about["may"], &about["users"]),
        (&json!("ann"), &json!("admin"), &json!(false))
    );
    assert_eq!(page.send("POST", "ticket", "").refused().0, 404);
    page.site.also = Also::new(&["http://b/".to_owned()], Some(&[7; 32]));
    assert_eq!(page.send("POST", "ticket", "").refused(), (409, "tickets are for sessions".to_owned()));
    assert_eq!(page.get("about").json()["also"], json!(["http://b/"]));
    assert!(page.site.also.policy.contains("connect-src 'self' http://b/"), "{}", page.site.also.policy);
}
