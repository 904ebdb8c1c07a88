//! A peer's page: what it shares, fetches, hands out, and takes from browsers.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::content::SafeName;
use crate::net::secure::Keyring;
use crate::peer::{self, Peer};

/// A peer that shares files, and its page.
struct Scene {
    folder: TempDir,
    peer: Peer,
    page: Page,
}

impl Scene {
    fn new(files: &[(&str, &[u8])], trackers: &[&Tracker]) -> Scene {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        let config = peer::Config {
            folder: Some(folder.path().to_owned()),
            prefix: false,
            selection: peer::share::Selection::default(),
            state: None,
            trackers: trackers.iter().map(|tracker| tracker.addr().to_string()).collect(),
            listen: "127.0.0.1:0".to_owned(),
            name: "ann".to_owned(),
            keyring: Keyring::none(),
            advertise: None,
            watch: false,
            limits: peer::Limits::default(),
            lending: None,
            faults: None,
            latencies: Default::default(),
        };
        let peer = peer::start(config, &mut |_| std::ops::ControlFlow::Continue(())).unwrap();
        let page = Page::of(House::Peer(peer.hand()));
        Scene { folder, peer, page }
    }

    fn id(&self, name: &str) -> String {
        let offer = self.peer.offers().into_iter().find(|offer| *offer.name == *name).unwrap();
        offer.id.to_string()
    }

    /// Bytes of a content, or of the part that a header asks for.
    fn data(&self, name: &str, headers: &[(&str, &str)]) -> Said {
        let path = format!("/api/v1/contents/{}/data", self.id(name));
        self.page.ask("GET", &path, headers, "")
    }
}

#[test]
fn what_is_shared_is_listed_by_name_size_and_age() {
    let scene = Scene::new(&[("b", b"12345"), ("A.txt", b"1"), ("d/c", b"123")], &[]);
    for (query, names) in [
        ("", &["A.txt", "b", "d/", "d/c"][..]),
        ("?sort=-size&limit=1", &["b"]),
        ("?q=D", &["d/", "d/c"]),
        ("?sort=modified&after=9", &[]),
    ] {
        assert_eq!(scene.page.get(&format!("shared{query}")).items("name"), names, "{query}");
    }
    assert_eq!(scene.page.get("shared?sort=id").refused().0, 400);
    assert_eq!(scene.page.get("status").json()["name"], "ann");
    assert_eq!(scene.page.ask("GET", "/readyz", &[], "").text(), "ready\n");
}

#[test]
fn a_browser_gets_a_file_or_the_part_that_it_asks_for() {
    let bytes: Vec<u8> = (0..200_000_u32).map(|at| (at % 251) as u8).collect();
    let scene = Scene::new(&[("b.bin", &bytes)], &[]);
    let whole = scene.data("b.bin", &[]);
    assert_eq!((whole.status, whole.body == bytes), (200, true));
    assert!(whole.header("content-disposition").unwrap().starts_with("attachment; filename=\"b.bin\""));
    let tag = whole.header("etag").unwrap();
    for (range, from, to) in
        [("bytes=0-0", 0, 1), ("bytes=65530-65545", 65_530, 65_546), ("bytes=-3", 199_997, 200_000)]
    {
        let part = scene.data("b.bin", &[("range", range)]);
        assert_eq!((part.status, part.body[..] == bytes[from..to]), (206, true), "{range}");
        assert_eq!(part.header("content-range"), Some(&*format!("bytes {from}-{}/200000", to - 1)));
    }
    let none = scene.data("b.bin", &[("range", "bytes=200000-")]);
    assert_eq!((none.refused().0, none.header("content-range")), (416, Some("bytes */200000")));
    let same = scene.data("b.bin", &[("range", "bytes=0-0"), ("if-range", tag)]);
    let other = scene.data("b.bin", &[("range", "bytes=0-0"), ("if-range", "\"another\"")]);
    assert_eq!((same.status, other.status, other.body.len()), (206, 200, 200_000));
    let called = scene.page.get(&format!("contents/{}/data?name=x/%C3%BC.txt", scene.id("b.bin")));
    assert!(called.header("content-disposition").unwrap().ends_with("filename*=UTF-8''%C3%BC%2Etxt"));
    assert_eq!(scene.page.get("contents/12/data").refused().0, 400);
}

#[test]
fn a_folder_is_a_zip_of_its_files() {
    let scene = Scene::new(&[("d/a", b"one"), ("d/e/b", b"two two"), ("x", b"")], &[]);
    let zip = scene.data("d/", &[]);
    assert_eq!((zip.status, zip.header("content-type")), (200, Some("application/zip")));
    assert!(zip.header("content-disposition").unwrap().contains("d.zip"));
    for inside in [&b"d/a"[..], b"d/e/b", b"one", b"two two"] {
        assert!(zip.body.windows(inside.len()).any(|part| part == inside), "{inside:?}");
    }
    assert!(zip.body.starts_with(b"PK"));
}

#[test]
fn a_link_gives_one_content_to_whoever_has_it_for_a_while() {
    let scene = Scene::new(&[("<b>.txt", b"12345")], &[]);
    let id = scene.id("<b>.txt");
    let hand_out = |hours: u64| {
        scene.page.send("POST", &format!("contents/{id}/links"), &json!({ "hours": hours }).to_string())
    };
    for wrong in [0, 721] {
        assert_eq!(hand_out(wrong).refused().0, 400);
    }
    let link = hand_out(720).json()["link"].as_str().unwrap().to_owned();
    assert_eq!(scene.page.noted(), "hands out <b>.txt for 720 h to whoever has the link");
    let path = link.strip_prefix("http://127.0.0.1:9780").unwrap();
    let shown = scene.page.ask("GET", path, &[], "");
    assert!(
        shown.text().contains("<bdi>&lt;b&gt;.txt</bdi>")
            && shown.text().contains(&format!("{}/data", &path[3..]))
    );
    let saved = scene.page.ask("GET", &format!("{path}/data"), &[], "");
    assert_eq!((saved.status, saved.text()), (200, "12345"));
    let no = scene.page.ask("GET", "/s/0123", &[], "");
    assert!(no.status == 404 && no.text().contains("Nothing here"));
    assert_eq!(scene.page.ask("GET", "/s/0123/data", &[], "").refused().0, 404);
    // One that is over.
    let name = SafeName::new("x").unwrap();
    let over = handed_out::link(&scene.page.site, (id.parse().unwrap(), name, 5), Duration::ZERO);
    let over = over.strip_prefix("http://127.0.0.1:9780").unwrap();
    assert_eq!(scene.page.ask("GET", &format!("{over}/data"), &[], "").refused().0, 404);
}

#[test]
fn an_upload_of_a_browser_begins_with_its_name_and_length() {
    let scene = Scene::new(&[("empty", b"")], &[]);
    let named = |name: &str| format!("filename {}", data_encoding::BASE64.encode(name.as_bytes()));
    let create = |headers: &[(&str, &str)]| scene.page.ask("POST", "/api/v1/uploads", headers, "");
    let good = named("a.txt");
    for wrong in [
        &[][..],
        &[("upload-length", "5")],
        &[("upload-metadata", &*good)],
        &[("upload-length", "-5"), ("upload-metadata", &good)],
        &[("upload-length", "5"), ("upload-metadata", &named("a/"))],
        &[("upload-length", "5"), ("upload-metadata", &named("../a"))],
    ] {
        assert_eq!(create(wrong).refused().0, 400, "{wrong:?}");
    }
    let begun = create(&[("upload-length", "5"), ("upload-metadata", &good)]);
    assert_eq!((begun.status, begun.header("tus-resumable")), (201, Some("1.0.0")));
    let place = begun.header("location").unwrap();
    let here = scene.page.get(place);
    assert_eq!((here.header("upload-offset"), here.header("upload-length")), (Some("0"), Some("5")));
    assert_eq!(scene.page.send("DELETE", place, "").status, 204);
    assert_eq!(scene.page.get(place).refused(), (404, "there is no such upload, or it is done".to_owned()));
    assert_eq!(scene.page.get("uploads/..").refused().0, 404);
    // What is empty is done at once, under a name that is free.
    let metadata = named("f/empty");
    assert_eq!(create(&[("upload-length", "0"), ("upload-metadata", &metadata)]).status, 201);
    assert_eq!(scene.page.noted(), "uploads empty (2)");
    assert!(scene.folder.path().join("empty (2)").exists() && !scene.folder.path().join("f").exists());
    for _ in 0..32 {
        assert_eq!(create(&[("upload-length", "5"), ("upload-metadata", &good)]).status, 201);
    }
    assert_eq!(create(&[("upload-length", "5"), ("upload-metadata", &good)]).refused().0, 409);
}

#[test]
fn rates_are_set_one_by_one_and_said() {
    let scene = Scene::new(&[], &[]);
    let set = |body: &str| scene.page.send("PATCH", "limits", body);
    assert_eq!(scene.page.get("limits").json(), json!({ "down": null, "up": null }));
    assert_eq!(set(r#"{ "down": 5000 }"#).json(), json!({ "down": 5000, "up": null }));
    assert_eq!(scene.page.noted(), "limits rates: down 5000 B/s, up as before");
    assert_eq!(set(r#"{ "up": 7000 }"#).json(), json!({ "down": 5000, "up": 7000 }));
    assert_eq!(set(r#"{ "down": 0 }"#).json(), json!({ "down": null, "up": 7000 }));
    assert_eq!(set(r#"{ "down": -1 }"#).refused().0, 400);
}

#[test]
fn transfers_that_are_not_there_and_trackers_that_are_away_are_said_so() {
    let scene = Scene::new(&[], &[]);
    assert_eq!(scene.page.get("transfers").json()["total"], 0);
    for (method, target) in [
        ("GET", "transfers/1"),
        ("GET", "transfers/x"),
        ("GET", "transfers/1/sources"),
        ("GET", "transfers/1/files"),
        ("GET", "transfers/1/chunks"),
        ("DELETE", "transfers/1"),
        ("POST", "transfers/1/pause"),
        ("POST", "transfers/1/resume"),
        ("POST", "transfers/1/again"),
    ] {
        assert_eq!(scene.page.send(method, target, "").refused().0, 404, "{method} {target}");
    }
    for target in ["contents", "find?what=a", "peers", "preview?what=a"] {
        assert_eq!(scene.page.get(target).refused().0, 503, "{target}");
    }
}

/// Waits until something holds that others bring about.
fn soon(holds: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < until, "it does not come");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn what_is_found_is_shown_before_it_is_fetched_into_the_shared_folder() {
    let tracker = tracker();
    let bytes = vec![7; 300_000];
    let other = Scene::new(&[("a.bin", &bytes), ("p/b", b"x"), ("p/c", b"yy")], &[&tracker]);
    let scene = Scene::new(&[("b", b"in the way")], &[&tracker]);
    let finds = |what: &str| {
        let found = scene.page.get(&format!("find?what={what}")).json();
        found["items"].as_array().is_some_and(|items| !items.is_empty())
    };
    soon(|| finds("a.bin") && finds("b"));
    let preview = |what: &str| scene.page.get(&format!("preview?what={what}"));
    let shown = preview("a.bin").json();
    assert_eq!(
        (&shown["id"], &shown["size"], &shown["dest"]),
        (&json!(other.id("a.bin")), &json!(300_000), &json!("a.bin"))
    );
    assert_eq!((&shown["exists"], &shown["here"]), (&json!(false), &Value::Null));
    assert_eq!(
        (&preview("p/b").json()["dest"], &preview("p/b").json()["exists"]),
        (&json!("b"), &json!(true))
    );
    assert_eq!(preview("a.bi").refused(), (404, "nothing is called so; nearly: a.bin".to_owned()));
    assert_eq!(preview(&"12".repeat(32)).refused().0, 404);
    let fetch = |wish: Value| scene.page.send("POST", "transfers", &wish.to_string());
    assert_eq!(fetch(json!({ "what": "nobody's" })).refused().0, 404);
    assert_eq!(fetch(json!({ "what": "a.bin", "dest": "../x" })).refused().0, 400);
    assert_eq!(fetch(json!({ "what": "a.bin", "where": "x" })).refused().0, 400);
    let begun = fetch(json!({ "what": "a.bin", "dest": "new.bin" }));
    assert_eq!((begun.status, scene.page.noted()), (201, "fetches a.bin as new.bin".to_owned()));
    let number = begun.json()["number"].as_u64().unwrap();
    let state = || scene.page.get(&format!("transfers/{number}")).json()["state"].clone();
    soon(|| state() == "done");
    assert_eq!(fs::read(scene.folder.path().join("new.bin")).unwrap(), bytes);
    let of = |what: &str| scene.page.get(&format!("transfers/{number}/{what}")).json();
    assert_eq!((&of("files")["items"], &of("chunks")["strip"]), (&json!([]), &json!("")), "it has ended");
    assert_eq!(
        scene.page.send("POST", &format!("transfers/{number}/pause"), "").refused(),
        (409, "it has ended".to_owned())
    );
    assert_eq!(scene.page.get("transfers?q=NONE").json()["total"], 0);
    assert_eq!(scene.page.get("transfers?q=A.BIN").items("number"), [number.to_string()]);
    let here = || preview("a.bin").json()["here"].as_str().unwrap_or_default().to_owned();
    soon(|| Path::new(&here()).ends_with("new.bin"));
}
