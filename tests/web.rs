//! The page of a peer and of a tracker, from outside, with requests written by hand: who is let in, what each role may do,
//! what is refused, and that it does what the command line does.

#![cfg(feature = "web")]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use support::{DEADLINE, Daemon, Port, Sample, eventually, pattern, run};
use tempfile::TempDir;

/// What a page answered.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{}: {}", self.status, self.body))
    }

    fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// Somebody who knows where a page is, and may be logged in.
#[derive(Clone)]
struct Visitor {
    addr: SocketAddr,
    /// Lines of each request's header.
    lines: Vec<String>,
}

impl Visitor {
    fn new(addr: SocketAddr) -> Visitor {
        Visitor { addr, lines: Vec::new() }
    }

    /// One who shows a line with each request.
    fn with(&self, line: String) -> Visitor {
        let mut lines = self.lines.clone();
        lines.push(line);
        Visitor { addr: self.addr, lines }
    }

    /// A request as it is written here, but for the visitor's own lines.
    fn raw(&self, method: &str, path: &str, lines: &[&str], body: &str) -> Answer {
        let mut text = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        for line in lines.iter().copied().chain(self.lines.iter().map(String::as_str)) {
            text.push_str(&format!("{line}\r\n"));
        }
        if !body.is_empty() {
            text.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        let mut stream = TcpStream::connect(self.addr).expect("the page listens");
        stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        stream.write_all(format!("{text}\r\n{body}").as_bytes()).expect("it is taken");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Answer { status, head: head.to_owned(), body: body.to_owned() }
    }

    /// The header and the bytes of an answer.
    fn bytes(&self, method: &str, path: &str, lines: &[&str]) -> (String, Vec<u8>) {
        let mut text = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        for line in lines.iter().copied().chain(self.lines.iter().map(String::as_str)) {
            text.push_str(&format!("{line}\r\n"));
        }
        let mut stream = TcpStream::connect(self.addr).expect("the page listens");
        stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        stream.write_all(format!("{text}\r\n").as_bytes()).expect("it is taken");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("a header");
        let body = answer.split_off(end + 4);
        (String::from_utf8_lossy(&answer).into_owned(), body)
    }

    /// A request as the page itself makes it.
    fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let host = format!("Host: {}", self.addr);
        let body = body.map_or_else(String::new, Value::to_string);
        let lines = [&*host, "Sec-Fetch-Site: same-origin", "Content-Type: application/json"];
        self.raw(method, path, &lines, &body)
    }

    fn get(&self, path: &str) -> Answer {
        self.call("GET", path, None)
    }

    /// Follows a login link.
    #[track_caller]
    fn log_in(&self, secret: &str) -> Visitor {
        let answer = self.call("POST", "/api/v1/session", Some(&json!({ "token": secret })));
        assert_eq!(answer.status, 201, "{}", answer.body);
        let cookie = answer.header("set-cookie").expect("a cookie");
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
        self.with(format!("Cookie: {}", cookie.split(';').next().unwrap_or_default()))
    }

    /// One with a token of this scope.
    #[track_caller]
    fn token(&self, scope: &str) -> Visitor {
        let wish = json!({ "name": scope, "scope": scope, "days": 1 });
        let token = self.call("POST", "/api/v1/tokens", Some(&wish)).json()["token"].clone();
        let token = token.as_str().expect("a token").to_owned();
        Visitor::new(self.addr).with(format!("Authorization: Bearer {token}"))
    }
}

/// The page that a process says it has, and the secret of the link that it printed.
#[track_caller]
fn page_of(daemon: &Daemon) -> (Visitor, String) {
    daemon.wait_for_stdout("page at ");
    let said = daemon.stdout();
    let line = said.lines().find(|line| line.starts_with("page at ")).expect("the line").to_owned();
    let addr = line.split('/').nth(2).and_then(|addr| addr.parse().ok()).expect("an address");
    let secret = line.split("#in=").nth(1).expect("a link").trim().to_owned();
    (Visitor::new(addr), secret)
}

/// A tracker, who shares a file, and a peer with a page.
struct Swarm {
    tracker: Daemon,
    _seeder: Daemon,
    fetcher: Daemon,
    shared: Sample,
    place: TempDir,
    content: Vec<u8>,
}

impl Swarm {
    fn new(more: &[&str]) -> Swarm {
        let tracker = Daemon::tracker(&["--web=127.0.0.1:0"]);
        let (at, content) = (tracker.target(), pattern(3 << 20, 5));
        let mut shared = Sample::empty();
        shared.add("big.iso", content.clone());
        shared.add("small.txt", b"a few words".to_vec());
        let seeder = Daemon::peer(shared.path(), &["--tracker", &at, "--name", "seeder"]);
        let place = TempDir::new().expect("a temporary folder");
        let args = [&["--tracker", &*at, "--name", "fetcher", "--web=127.0.0.1:0"], more].concat();
        let fetcher = Daemon::peer(place.path(), &args);
        Swarm { tracker, _seeder: seeder, fetcher, shared, place, content }
    }

    fn owner(&self) -> Visitor {
        let (visitor, secret) = page_of(&self.fetcher);
        visitor.log_in(&secret)
    }
}

#[test]
fn what_is_found_is_fetched_paused_limited_and_here() {
    let swarm = Swarm::new(&["--down", "200KB/s"]);
    let owner = swarm.owner();
    let found = eventually("the tracker knows it", || {
        let found = owner.get("/api/v1/contents?q=*.iso").json();
        (found["total"] == 1).then_some(found)
    });
    assert_eq!(found["items"][0]["name"], "big.iso");
    let preview = owner.get("/api/v1/preview?what=big.iso").json();
    assert_eq!(
        (&preview["size"], &preview["dest"], &preview["exists"]),
        (&json!(3 << 20), &json!("big.iso"), &json!(false))
    );
    let nothing = owner.call("POST", "/api/v1/transfers", Some(&json!({ "what": "" })));
    assert!(nothing.status == 400 && nothing.body.contains("`what` says"), "{}", nothing.body);
    let not_so = owner.call("PUT", "/api/v1/transfers", None);
    assert_eq!((not_so.status, not_so.header("allow")), (405, Some("GET, HEAD, POST")));
    let begun = owner.call("POST", "/api/v1/transfers", Some(&json!({ "what": "big.iso" })));
    assert_eq!(begun.status, 201, "{}", begun.body);
    let number = begun.json()["number"].clone();
    let path = |more: &str| format!("/api/v1/transfers/{number}{more}");
    eventually("it has begun", || {
        let transfer = owner.get(&path("")).json();
        (transfer["bytes_done"].as_u64() > Some(0)).then_some(())
    });
    assert_eq!(owner.call("POST", &path("/pause"), None).json()["state"], "paused");
    assert!(owner.get(&path("/sources")).json()["total"].as_u64() >= Some(1));
    assert!(!owner.get(&path("/chunks")).json()["strip"].as_str().unwrap_or_default().is_empty());
    assert_eq!(owner.get(&path("/files")).json()["items"][0]["path"], "big.iso");
    let limits = owner.call("PATCH", "/api/v1/limits", Some(&json!({ "down": 0 }))).json();
    assert_eq!(limits["down"], Value::Null);
    let last = owner.get("/api/v1/activity").json()["items"][0]["what"].clone();
    assert_eq!(last, "limits rates: down no limit, up as before");
    assert_ne!(owner.call("POST", &path("/resume"), None).json()["state"], "paused");
    eventually("it is here", || (owner.get(&path("")).json()["state"] == "done").then_some(()));
    assert_eq!(fs::read(swarm.place.path().join("big.iso")).expect("it is here"), swarm.content);
    eventually("it is shared", || (owner.get("/api/v1/shared").json()["total"] == 1).then_some(()));
    let activity = owner.get("/api/v1/activity").json();
    let said: Vec<&str> =
        activity["items"].as_array().expect("a list").iter().filter_map(|row| row["what"].as_str()).collect();
    assert_eq!(said.first(), Some(&"resumes big.iso"), "{said:?}");
    assert!(said.contains(&"pauses big.iso") && said.contains(&"fetches big.iso as big.iso"), "{said:?}");
    let metrics = owner.get("/metrics").body;
    assert!(metrics.contains("p2p_peer_transfers{state=\"done\"} 1"), "{metrics}");
    let file = swarm.place.path().join("big.iso");
    fs::write(&file, "mine").expect("it can be written");
    let again = owner.call("POST", &path("/again"), None);
    assert!(again.status == 201 && again.json()["number"] != number, "{}", again.body);
    eventually("what differs is replaced", || {
        fs::read(&file).is_ok_and(|now| now == swarm.content).then_some(())
    });
}

/// What is not here is fetched for who reads it: a part of it first, and none of it becomes a part of what is shared.
#[test]
fn what_is_not_here_is_fetched_for_who_reads_it() {
    let swarm = Swarm::new(&[]);
    let owner = swarm.owner();
    let deep = swarm.shared.path().join("some/folder/deep");
    fs::create_dir_all(&deep).expect("a folder");
    fs::write(deep.join("a.txt"), "a file of the folder").expect("a file");
    let id_of = |name: &str| {
        eventually("the tracker knows it", || {
            let found = owner.get(&format!("/api/v1/contents?q={name}")).json();
            let first = &found["items"][0];
            (first["name"] == name).then(|| first["id"].as_str().map(str::to_owned)).flatten()
        })
    };
    let (big, folder) = (id_of("big.iso"), id_of("some/"));
    let data = |id: &str, line: &str| {
        let host = format!("Host: {}", owner.addr);
        owner.bytes("GET", &format!("/api/v1/contents/{id}/data"), &[&host, line])
    };
    let (head, part) = data(&big, "Range: bytes=2000000-2000099");
    assert!(head.starts_with("HTTP/1.1 206") && head.contains("bytes 2000000-2000099/3145728"), "{head}");
    assert_eq!(part, swarm.content[2_000_000..2_000_100]);
    let (head, whole) = data(&big, "Accept: */*");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert_eq!(whole, swarm.content);
    let (head, zip) = data(&folder, "Accept: */*");
    assert!(head.contains("application/zip"), "{head}");
    let has = |what: &[u8]| zip.windows(what.len()).any(|window| window == what);
    assert!(has(b"a file of the folder") && has(b"folder/deep/a.txt"), "what is in it is in the ZIP");
    assert_eq!(owner.get("/api/v1/shared").json()["total"], 0, "nothing of it is shared from the folder");
    assert!(!swarm.place.path().join("big.iso").exists());
    let other = "1".repeat(64);
    let (head, _) = data(&other, "Accept: */*");
    assert!(head.starts_with("HTTP/1.1 404"), "{head}");
}

/// Of a file that stores keep as shards of a code, who reads it on the page hears nothing of a store that is gone.
#[test]
fn what_stores_keep_as_shards_is_decoded_for_who_reads_it() {
    let tracker = Daemon::tracker(&[]);
    let at = tracker.target();
    let (mut made, content) = (Sample::empty(), pattern(20 << 16, 6));
    let film = made.add("film", content.clone());
    let places: Vec<TempDir> = (0..4).map(|_| TempDir::new().expect("a temporary folder")).collect();
    let store = |place: &TempDir| Daemon::peer(place.path(), &["--tracker", &at, "--store", "20MB"]);
    let mut stores: Vec<Daemon> = places[..3].iter().map(store).collect();
    let upload = ["upload", film.to_str().expect("UTF-8"), "--code", "2+1", "--tracker", &at];
    eventually("it is stored", || (run(&upload).code() == 0).then_some(()));
    stores.remove(0).kill();
    let peer = Daemon::peer(places[3].path(), &["--tracker", &at, "--web=127.0.0.1:0"]);
    let (visitor, secret) = page_of(&peer);
    let owner = visitor.log_in(&secret);
    let id = eventually("the tracker knows it", || {
        let found = owner.get("/api/v1/contents?q=film").json();
        found["items"][0]["id"].as_str().map(str::to_owned)
    });
    let host = format!("Host: {}", owner.addr);
    let (head, whole) = owner.bytes("GET", &format!("/api/v1/contents/{id}/data"), &[&host]);
    assert!(head.starts_with("HTTP/1.1 200") && whole == content, "{head}");
}

#[test]
fn what_is_larger_than_its_cache_is_not_fetched_for_a_reader() {
    let swarm = Swarm::new(&["--web-cache", "1MB"]);
    let owner = swarm.owner();
    let id = eventually("the tracker knows it", || {
        let found = owner.get("/api/v1/contents?q=big.iso").json();
        found["items"][0]["id"].as_str().map(str::to_owned)
    });
    let refused = owner.get(&format!("/api/v1/contents/{id}/data"));
    assert_eq!(refused.status, 507, "{}", refused.body);
    assert!(refused.body.contains("--web-cache"), "{}", refused.body);
}

#[test]
fn a_trackers_page_says_what_the_swarm_has_and_hands_out_descriptors() {
    let swarm = Swarm::new(&[]);
    let (visitor, secret) = page_of(&swarm.tracker);
    let owner = visitor.log_in(&secret);
    let id = eventually("the tracker knows it", || {
        let found = owner.get("/api/v1/contents?sort=-size&limit=1").json();
        (found["total"] == 2).then(|| found["items"][0]["id"].as_str().map(str::to_owned)).flatten()
    });
    let holders = owner.get(&format!("/api/v1/contents/{id}/holders")).json();
    assert_eq!(holders["items"][0]["name"], "seeder");
    let descriptor = owner.get(&format!("/api/v1/contents/{id}/descriptor"));
    assert!(descriptor.header("content-disposition").expect("a file").contains("big.iso.p2p"));
    assert!(descriptor.body.contains(&id), "{}", descriptor.body);
    let peers = owner.get("/api/v1/peers?sort=name").json();
    assert_eq!(peers["total"], 2);
    let handed = owner.raw(
        "POST",
        "/api/v1/descriptors",
        &[&format!("Host: {}", owner.addr), "Sec-Fetch-Site: same-origin", "Content-Type: application/toml"],
        &descriptor.body,
    );
    assert_eq!(handed.status, 201, "{}", handed.body);
    assert_eq!(owner.get("/api/v1/descriptors").json()["items"][0]["name"], "big.iso");
    let nobodys = format!("{:064x}", 1);
    let link = format!("p2p:{nobodys}?name=later.iso&size=7");
    let lines =
        [&*format!("Host: {}", owner.addr), "Sec-Fetch-Site: same-origin", "Content-Type: application/toml"];
    assert_eq!(owner.raw("POST", "/api/v1/descriptors", &lines, &link).status, 201);
    let descriptor = owner.get(&format!("/api/v1/contents/{nobodys}/descriptor"));
    assert!(descriptor.status == 200 && descriptor.body.contains(&nobodys), "{}", descriptor.body);
    let first = owner.get("/api/v1/peers?limit=1");
    let tag = first.header("etag").expect("a tag").to_owned();
    let again = owner.with(format!("If-None-Match: {tag}")).get("/api/v1/peers?limit=1");
    assert!(again.status == 304 || again.header("etag") != Some(&*tag), "what is the same is not sent again");
    assert_eq!(owner.get("/api/v1/transfers").status, 404, "a tracker has none");
}

#[test]
fn a_link_is_good_once_and_another_comes_over_the_local_socket() {
    let swarm = Swarm::new(&[]);
    let (visitor, secret) = page_of(&swarm.fetcher);
    assert_eq!(visitor.get("/api/v1/status").status, 401);
    let owner = visitor.log_in(&secret);
    assert_eq!(owner.get("/api/v1/status").status, 200);
    let again = visitor.call("POST", "/api/v1/session", Some(&json!({ "token": secret })));
    assert_eq!(again.status, 403, "used");
    let place = swarm.place.path().to_str().expect("a UTF-8 path");
    let link = run(&["web", "login", place]).expect(0).stdout;
    let other = visitor.log_in(link.trim().split("#in=").nth(1).expect("a link"));
    assert_eq!(other.get("/api/v1/sessions").json()["items"].as_array().map(Vec::len), Some(2));
    assert_eq!(owner.call("DELETE", "/api/v1/session", None).status, 204);
    assert_eq!((owner.get("/api/v1/status").status, other.get("/api/v1/status").status), (401, 200));
}

#[test]
fn another_link_to_a_trackers_page_is_asked_for_where_its_records_are() {
    let data = TempDir::new().expect("a temporary folder");
    let at = data.path().to_str().expect("a UTF-8 path");
    let tracker = Daemon::tracker(&["--web=127.0.0.1:0", "--data", at]);
    let (visitor, secret) = page_of(&tracker);
    visitor.log_in(&secret);
    for _ in 0..2 {
        let link = run(&["web", "login", at]).expect(0).stdout;
        let owner = visitor.log_in(link.trim().split("#in=").nth(1).expect("a link"));
        assert_eq!(owner.get("/api/v1/peers").status, 200);
    }
    tracker.stop();
    let told = run(&["web", "login", at]).expect(4);
    assert!(told.stderr.contains("no tracker with a page"), "{}", told.stderr);
}

#[test]
fn ten_thousand_guesses_open_nothing_and_lock_nobody_out() {
    let swarm = Swarm::new(&[]);
    let (visitor, secret) = page_of(&swarm.fetcher);
    let mut heard = 0;
    let mut stream = TcpStream::connect(visitor.addr).expect("the page listens");
    let mut answers = vec![0; 64 << 10];
    // Many on each connection: it is their number that counts here.
    for guess in 0..10_000 {
        let body = format!("{{\"token\":\"{guess:040x}\"}}");
        let request = format!(
            "POST /api/v1/session HTTP/1.1\r\nHost: {}\r\nSec-Fetch-Site: same-origin\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            visitor.addr,
            body.len()
        );
        stream.write_all(request.as_bytes()).expect("it is taken");
        let mut text = String::new();
        while !text.ends_with('}') {
            let read = stream.read(&mut answers).expect("an answer");
            assert!(read > 0, "{text}");
            text.push_str(&String::from_utf8_lossy(&answers[..read]));
        }
        match text.get(9..12) {
            Some("429") => assert!(text.contains("retry-after: "), "{text}"),
            Some("403") => heard += 1,
            _ => panic!("{text}"),
        }
    }
    assert!(heard <= 100, "{heard} guesses were listened to");
    let owner = visitor.log_in(&secret);
    assert_eq!(owner.get("/api/v1/status").status, 200, "who has the link comes in");
}

#[test]
fn other_hosts_other_pages_and_forms_are_refused() {
    let swarm = Swarm::new(&[]);
    let owner = swarm.owner();
    let host = format!("Host: {}", owner.addr);
    for other in [
        "Host: evil.example",
        "Host: 127.0.0.1",
        "Host: 127.0.0.1:1",
        &format!("Host: evil.example:{}", owner.addr.port()),
    ] {
        for path in ["/", "/healthz", "/api/v1/status", "/nothing"] {
            let answer = owner.raw("GET", path, &[other], "");
            assert_eq!(answer.status, 421, "{other} {path}");
            assert!(answer.body.contains("--web-host"), "{}", answer.body);
        }
    }
    let wish = json!({ "down": 1000 }).to_string();
    let kind = "Content-Type: application/json";
    for (lines, status) in [
        (vec!["Sec-Fetch-Site: cross-site"], 403),
        (vec!["Sec-Fetch-Site: same-site"], 403),
        (vec!["Origin: http://evil.example"], 403),
        (vec!["Origin: null"], 403),
        (vec![], 403),
        (vec!["Sec-Fetch-Site: same-origin"], 200),
    ] {
        let lines = [&[&*host, kind][..], &lines].concat();
        assert_eq!(owner.raw("PATCH", "/api/v1/limits", &lines, &wish).status, status, "{lines:?}");
    }
    assert_eq!(owner.raw("GET", "/api/v1/events", &[&host, "Sec-Fetch-Site: cross-site"], "").status, 403);
    let form = [&*host, "Sec-Fetch-Site: same-origin", "Content-Type: application/x-www-form-urlencoded"];
    assert_eq!(owner.raw("PATCH", "/api/v1/limits", &form, &wish).status, 415);
    let large = "x".repeat(100_000);
    assert_eq!(
        owner.raw("PATCH", "/api/v1/limits", &[&*host, "Sec-Fetch-Site: same-origin", kind], &large).status,
        413
    );
    let page = owner.get("/");
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    for path in ["/../Cargo.toml", "/..%2f..%2fetc/passwd", "/pages/..%2fapp.js", "/vendor"] {
        assert_eq!(owner.get(path).status, 404, "{path}");
    }
}

/// Every route of the document, for nobody and for each scope: what the document says of it is what happens.
#[test]
fn each_role_may_what_the_document_says() {
    let swarm = Swarm::new(&[]);
    goes_by_its_document(&swarm.owner(), "peer");
    let (visitor, secret) = page_of(&swarm.tracker);
    goes_by_its_document(&visitor.log_in(&secret), "tracker");
}

#[track_caller]
fn goes_by_its_document(owner: &Visitor, of: &str) {
    let visitors = ["metrics", "reader", "publisher", "admin"].map(|scope| owner.token(scope));
    let document = owner.get("/api/v1/openapi.json").json();
    let rank =
        |role: &str| ["metrics", "reader", "publisher", "admin"].iter().position(|known| *known == role);
    let mut tried = 0;
    for (path, operations) in document["paths"].as_object().expect("paths") {
        for (method, operation) in operations.as_object().expect("operations") {
            // A stream does not end, and a session is none of a token's.
            let is_here = operation["x-on"].as_array().is_some_and(|pages| pages.contains(&json!(of)));
            if path.ends_with("/events") || path.ends_with("/session") || !is_here {
                continue;
            }
            let least = operation["x-role"].as_str().expect("a role");
            let filled = path.replace("{id}", "0").replace("{number}", "0");
            let filled = filled.replace("{name}", "0").replace("{key}", "0");
            let (method, host) = (method.to_ascii_uppercase(), format!("Host: {}", owner.addr));
            let nobody = Visitor::new(owner.addr).call(&method, &filled, None);
            assert_eq!(
                nobody.status == 401,
                least != "nobody",
                "{method} {path} for nobody: {}",
                nobody.status
            );
            for (number, visitor) in visitors.iter().enumerate() {
                let answer = visitor.raw(&method, &filled, &[&host], "");
                let may = rank(least).is_none_or(|least| least <= number);
                let refused = answer.status == 403 && answer.body.contains("\"code\":\"role\"");
                assert_eq!(refused, !may, "{method} {path} for {number}: {} {}", answer.status, answer.body);
                tried += 1;
            }
        }
    }
    assert!(tried > 100, "{tried} were tried");
}

#[test]
fn a_port_that_is_taken_costs_the_page_and_not_the_peer() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = format!("--web={}", taken.local_addr().expect("an address"));
    let place = TempDir::new().expect("a temporary folder");
    let peer = Daemon::peer(place.path(), &[&*at]);
    peer.wait_for_log("there is no page: cannot listen on");
    let folder = place.path().to_str().expect("a UTF-8 path");
    assert!(run(&["status", folder]).expect(0).stdout.contains("listening on"));
    let login = run(&["web", "login", folder]).expect(4);
    assert!(login.stderr.contains("--web"), "{}", login.stderr);
}

#[test]
fn beyond_this_machine_there_is_no_page_without_a_proxy() {
    let refused = run(&["tracker", "--listen", "127.0.0.1:0", "--web=0.0.0.0:0"]).expect(2);
    for way in ["127.0.0.1", "ssh -L", "--web-cert self", "--web-proxy"] {
        assert!(refused.stderr.contains(way), "{}", refused.stderr);
    }
}

#[test]
fn who_may_come_in_to_a_trackers_page_is_on_its_records() {
    let data = TempDir::new().expect("a temporary folder");
    let at = data.path().to_str().expect("a UTF-8 path");
    let start = || Daemon::tracker(&["--web=127.0.0.1:0", "--data", at]);
    let tracker = start();
    let (visitor, secret) = page_of(&tracker);
    let owner = visitor.log_in(&secret);
    let (reader, ended) = (owner.token("reader"), owner.token("publisher"));
    let invite = |name: &str| {
        let user = json!({ "name": name, "role": "publisher" });
        let link = owner.call("POST", "/api/v1/users", Some(&user)).json()["invitation"].clone();
        let choice = json!({ "token": link, "password": "correct horse" });
        assert_eq!(visitor.call("POST", "/api/v1/session", Some(&choice)).status, 201);
    };
    invite("anna");
    invite("ben");
    assert_eq!(owner.call("DELETE", "/api/v1/users/ben", None).status, 204);
    let tokens = owner.get("/api/v1/tokens").json();
    let id = tokens["items"].as_array().expect("a list").iter().find(|token| token["name"] == "publisher");
    let id = id.and_then(|token| token["id"].as_str()).expect("the token").to_owned();
    assert_eq!(owner.call("DELETE", &format!("/api/v1/tokens/{id}"), None).status, 204);
    let activity = owner.get("/api/v1/activity").body;
    for line in ["invites anna", "ends the user ben", "makes the token reader"] {
        assert!(activity.contains(line), "{activity}");
    }
    tracker.stop();
    let tracker = start();
    let addr = page_of(&tracker).0.addr;
    let see = |visitor: &Visitor| Visitor { addr, ..visitor.clone() }.get("/api/v1/peers").status;
    assert_eq!((see(&reader), see(&ended)), (200, 401));
    let log_in = |name: &str| {
        let login = json!({ "name": name, "password": "correct horse" });
        Visitor::new(addr).call("POST", "/api/v1/session", Some(&login)).status
    };
    assert_eq!((log_in("anna"), log_in("ben")), (201, 403));
}

/// Three trackers that are one, each with a page.
struct Several {
    _data: TempDir,
    trackers: Vec<Option<Daemon>>,
    owners: Vec<Visitor>,
}

impl Several {
    fn new() -> Several {
        let data = TempDir::new().expect("a temporary folder");
        let ports: Vec<Port> = (0..3).map(|_| Port::reserve()).collect();
        let places = (1..).zip(&ports).map(|(node, port)| format!("{node}={}", port.target()));
        let list = places.collect::<Vec<_>>().join(",");
        let start = |(node, port): (usize, &Port)| {
            let (node, listen, data) = (node.to_string(), port.target(), data.path().join(node.to_string()));
            let data = data.to_str().expect("a UTF-8 path");
            let args = ["--listen", &listen, "--data", data, "--node", &node, "--cluster", &list];
            Daemon::tracker(&[&args[..], &["--web=127.0.0.1:0"]].concat())
        };
        let trackers: Vec<Daemon> = (1..).zip(&ports).map(start).collect();
        let owner = |tracker| {
            let (visitor, secret) = page_of(tracker);
            visitor.log_in(&secret)
        };
        let owners = trackers.iter().map(owner).collect();
        Several { _data: data, trackers: trackers.into_iter().map(Some).collect(), owners }
    }

    /// Makes a change at a page, as soon as the trackers are one.
    #[track_caller]
    fn change(&self, at: usize, (method, path): (&str, &str), body: Option<&Value>) -> Answer {
        eventually("the change is made", || {
            Some(self.owners[at].call(method, path, body)).filter(|answer| answer.status != 503)
        })
    }
}

#[test]
fn who_may_come_in_to_the_pages_of_several_trackers_is_changed_at_any_of_them() {
    let mut several = Several::new();
    let visitors: Vec<Visitor> = several.owners.iter().map(|owner| Visitor::new(owner.addr)).collect();
    let log_in = |at: usize, name: &str| {
        let login = json!({ "name": name, "password": "correct horse" });
        visitors[at].call("POST", "/api/v1/session", Some(&login)).status
    };
    let mut tokens = Vec::new();
    for (at, visitor) in visitors.iter().enumerate() {
        let name = format!("user {at}");
        let user = json!({ "name": name, "role": "reader" });
        let invitation =
            several.change(at, ("POST", "/api/v1/users"), Some(&user)).json()["invitation"].clone();
        let choice = json!({ "token": invitation, "password": "correct horse" });
        assert_eq!(visitor.call("POST", "/api/v1/session", Some(&choice)).status, 201);
        let wish = json!({ "name": name, "scope": "reader", "days": 1 });
        let made = several.change(at, ("POST", "/api/v1/tokens"), Some(&wish));
        assert_eq!(made.status, 201, "{}", made.body);
        tokens.push(made.json()["token"].as_str().expect("a token").to_owned());
    }
    let see = |at: usize, token: &str| {
        visitors[at].with(format!("Authorization: Bearer {token}")).get("/api/v1/peers").status
    };
    for at in 0..3 {
        eventually("each of them lets all in", || {
            tokens.iter().all(|token| see(at, token) == 200).then_some(())
        });
        assert_eq!([0, 1, 2].map(|user| log_in(at, &format!("user {user}"))), [201; 3]);
    }
    let listed = several.owners[1].get("/api/v1/tokens").json();
    let rows = listed["items"].as_array().expect("a list");
    let id = |name: &str| {
        rows.iter().find(|row| row["name"] == name).and_then(|row| row["id"].as_str()).map(str::to_owned)
    };
    let ended = format!("/api/v1/tokens/{}", id("user 0").expect("the token"));
    assert_eq!(several.change(2, ("DELETE", &ended), None).status, 204);
    assert_eq!(several.change(1, ("DELETE", "/api/v1/users/user%202"), None).status, 204);
    for at in 0..3 {
        eventually("none of them lets in who may not", || {
            (see(at, &tokens[0]) == 401 && log_in(at, "user 2") == 403).then_some(())
        });
        assert_eq!((see(at, &tokens[1]), log_in(at, "user 1")), (200, 201));
    }
    let kill = |several: &mut Several, at: usize| {
        let tracker = several.trackers[at].take().expect("it runs");
        tracker.signal(Signal::KILL);
        tracker.wait();
    };
    kill(&mut several, 0);
    assert_eq!(several.change(1, ("DELETE", "/api/v1/users/user%200"), None).status, 204);
    eventually("the other hears of it", || (log_in(2, "user 0") == 403).then_some(()));
    let ready = |several: &Several| several.owners[2].get("/readyz");
    let quorum = |several: &Several, is: &str| {
        several.owners[2].get("/metrics").body.contains(&format!("p2p_cluster_quorum{{}} {is}\n"))
    };
    eventually("two of three agree", || {
        (ready(&several).status == 200 && quorum(&several, "1.0")).then_some(())
    });
    kill(&mut several, 1);
    let unready = eventually("one of three does not", || Some(ready(&several)).filter(|is| is.status == 503));
    assert!(unready.body.contains("too few trackers of this cluster are there to agree"), "{}", unready.body);
    assert!(unready.body.contains("tracker 1 (127.0.0.1:"), "{}", unready.body);
    assert!(quorum(&several, "0.0") && several.owners[2].get("/healthz").status == 200);
    let cluster = several.owners[2].get("/api/v1/cluster").json();
    let nodes = cluster["nodes"].as_array().expect("who is missed is seen then, too");
    assert_eq!(nodes.iter().filter(|node| node["state"] == "away").count(), 2, "{cluster}");
    let refused = several.owners[2].call("DELETE", "/api/v1/users/user%201", None);
    assert_eq!((refused.status, log_in(2, "user 1")), (503, 201), "{}", refused.body);
    assert!(refused.body.contains("not on record"), "{}", refused.body);
}

#[test]
fn what_is_to_stay_up_is_seen_and_steered_at_any_of_several_trackers() {
    let several = Several::new();
    let paused = several.change(1, ("PATCH", "/api/v1/nodes"), Some(&json!({ "paused": true })));
    assert_eq!(paused.status, 204, "{}", paused.body);
    for owner in &several.owners {
        eventually("each of them sees all", || {
            let cluster = owner.get("/api/v1/cluster").json();
            let nodes = cluster["nodes"].as_array().expect("a list");
            let here = nodes.iter().filter(|node| node["state"] == "leads" || node["state"] == "follows");
            (cluster["paused"] == true && cluster["leader"].is_u64() && here.count() == 3).then_some(())
        });
        assert_eq!(owner.get("/api/v1/nodes").json()["total"], 0);
    }
    let missing = several.change(2, ("DELETE", &format!("/api/v1/nodes/{:032x}", 7)), None);
    assert_eq!(missing.status, 404, "{}", missing.body);
}

#[test]
fn what_is_shared_is_handed_to_a_store_which_is_let_go_on_the_page_of_its_tracker() {
    let (tracker, place) =
        (Daemon::tracker(&["--web=127.0.0.1:0"]), TempDir::new().expect("a temporary folder"));
    let _store = Daemon::peer(place.path(), &["--tracker", &tracker.target(), "--store", "20MB"]);
    let (visitor, secret) = page_of(&tracker);
    let owner = visitor.log_in(&secret);
    let store = || owner.get("/api/v1/stores").json()["items"][0].clone();
    let is = |state: &'static str| eventually(state, || (store()["state"] == state).then_some(()));
    is("lending");
    let path = format!("/api/v1/stores/{}", store()["store"].as_str().expect("an id"));
    let change = |what: &str| owner.call("PATCH", &path, Some(&json!({ "change": what }))).status;
    let (sharer, folder) = {
        let mut made = Sample::empty();
        made.add("film", pattern(1 << 20, 7));
        (Daemon::peer(made.path(), &["--tracker", &tracker.target(), "--web=127.0.0.1:0"]), made)
    };
    let (visitor, secret) = page_of(&sharer);
    let publisher = visitor.log_in(&secret).token("publisher");
    let id = eventually("it is shared", || {
        let shared = publisher.get("/api/v1/shared").json();
        shared["items"][0]["id"].as_str().map(str::to_owned)
    });
    let keep = |copies: u8| {
        let path = format!("/api/v1/contents/{id}/stored");
        assert_eq!(publisher.call("POST", &path, Some(&json!({ "copies": copies }))).status, 201);
        eventually("that is over", || {
            let one = publisher.get("/api/v1/stored").json()["items"][0].clone();
            (!one["version"].is_null() || !one["problem"].is_null()).then_some(one)
        })
    };
    assert!(keep(2)["problem"].as_str().expect("why not").contains("NO_STORES"), "there is one store");
    assert_eq!(keep(1)["version"], 1);
    drop((sharer, folder));
    assert_eq!((change("forget"), change("go")), (409, 400), "it is here, and there is no such change");
    assert_eq!(change("leave"), 204);
    is("leaving");
    assert_eq!(change("stay"), 204);
    is("lending");
}

/// All who came and went are told of, each as what it is, and how: by its word, without, or silently.
#[test]
fn a_trackers_page_tells_who_came_and_who_went() {
    let tracker = Daemon::tracker(&["--web=127.0.0.1:0", "--lease", "1s"]);
    let (visitor, secret) = page_of(&tracker);
    let owner = visitor.log_in(&secret);
    let reader = owner.token("reader");
    let mut events = TcpStream::connect(owner.addr).expect("the page listens");
    events.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    let asked = format!("GET /api/v1/events HTTP/1.1\r\nHost: {}\r\n{}\r\n\r\n", owner.addr, reader.lines[0]);
    events.write_all(asked.as_bytes()).expect("it is taken");
    let told = |query: &str| -> Vec<String> {
        let rows = reader.get(&format!("/api/v1/activity?{query}")).json();
        let text = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
        let rows = rows["items"].as_array().expect("a list");
        rows.iter().map(|row| ["kind", "name", "what"].map(|key| text(row, key)).join(" ")).collect()
    };
    let is_told = |what: &'static str| {
        eventually(what, || told("limit=1000").contains(&what.to_owned()).then_some(()));
    };
    let (place, lent) = (TempDir::new().expect("a folder"), TempDir::new().expect("a folder"));
    let at = tracker.target();
    let peer = Daemon::peer(place.path(), &["--tracker", &at, "--name", "anna \u{202e}"]);
    is_told("peer anna \u{202e} joined");
    peer.stop();
    is_told("peer anna \u{202e} left");
    let store = Daemon::peer(lent.path(), &["--tracker", &at, "--name", "ben", "--store", "20MB"]);
    is_told("store ben lends space");
    store.kill();
    is_told("store ben went without a word");
    let silent = Daemon::peer(place.path(), &["--tracker", &at, "--name", "carl"]);
    is_told("peer carl joined");
    silent.signal(Signal::STOP);
    is_told("peer carl was silent until its lease ran out");
    let (stores, changes) = (told("kind=store"), told("kind=change"));
    assert_eq!(stores, ["store ben went without a word", "store ben lends space"], "the newest first");
    assert!(changes.iter().any(|row| row == "change  makes the token reader"), "{changes:?}");
    assert_eq!(told("q=ben&sort=number&limit=1&after=1"), ["store ben lends space"]);
    assert!(told("q=nobody").is_empty());
    let mut heard = Vec::new();
    while !String::from_utf8_lossy(&heard).contains("was silent until its lease ran out") {
        let mut some = [0; 4096];
        let count = events.read(&mut some).expect("what happens is told as it happens");
        assert!(count > 0, "the stream goes on");
        heard.extend_from_slice(&some[..count]);
    }
}

#[test]
fn a_peer_whose_trackers_are_all_gone_is_not_ready() {
    let Swarm { tracker, fetcher, .. } = Swarm::new(&[]);
    let page = page_of(&fetcher).0;
    eventually("it is ready", || (page.get("/readyz").status == 200).then_some(()));
    tracker.kill();
    let unready = eventually("it is not", || Some(page.get("/readyz")).filter(|is| is.status == 503));
    assert!(unready.body.contains("no tracker of this peer can be reached"), "{}", unready.body);
    assert_eq!(page.get("/healthz").status, 200);
}

#[test]
fn tokens_outlive_the_process_and_streams_are_bounded() {
    let place = TempDir::new().expect("a temporary folder");
    let peer = Daemon::peer(place.path(), &["--web=127.0.0.1:0"]);
    let (visitor, secret) = page_of(&peer);
    let token = visitor.log_in(&secret).token("reader");
    let host = |visitor: &Visitor| format!("Host: {}", visitor.addr);
    assert_eq!(token.raw("GET", "/api/v1/status", &[&host(&token)], "").status, 200);
    let mut streams = Vec::new();
    for _ in 0..100 {
        let mut stream = TcpStream::connect(token.addr).expect("the page listens");
        stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        let request = format!(
            "GET /api/v1/events HTTP/1.1\r\n{}\r\nSec-Fetch-Site: same-origin\r\n{}\r\n\r\n",
            host(&token),
            token.lines[0]
        );
        // One that finds no place is cut at once, and then not even this may be taken.
        let mut answer = vec![0; 512];
        let told = stream.write_all(request.as_bytes()).and_then(|()| stream.read(&mut answer));
        let told = told.map(|read| String::from_utf8_lossy(&answer[..read]).into_owned()).unwrap_or_default();
        streams.push((stream, told.contains("200 OK")));
    }
    let open = streams.iter().filter(|(_, open)| *open).count();
    assert!((1..=64).contains(&open), "{open} streams are open");
    assert_eq!(token.raw("GET", "/healthz", &[&host(&token)], "").status, 200, "others are served");
    drop(streams);
    peer.stop();
    let peer = Daemon::peer(place.path(), &["--web=127.0.0.1:0"]);
    let again = Visitor { addr: page_of(&peer).0.addr, ..token };
    assert_eq!(again.raw("GET", "/api/v1/status", &[&host(&again)], "").status, 200);
}

/// All of them come from the address of the honest one, and are there before.
#[test]
fn a_thousand_who_never_end_their_requests_keep_nobody_out() {
    let place = TempDir::new().expect("a temporary folder");
    let peer = Daemon::peer(place.path(), &["--web=127.0.0.1:0"]);
    let (visitor, secret) = page_of(&peer);
    let owner = visitor.log_in(&secret);
    let mut slow = Vec::new();
    for number in 0..1_000 {
        // One for which there is no room may be cut before it has said anything.
        if let Ok(mut stream) = TcpStream::connect(visitor.addr) {
            let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: ");
            slow.push(stream);
        }
        if number % 100 == 99 {
            assert_eq!(owner.get("/api/v1/status").status, 200, "beside {number} others");
        }
    }
    drop(slow);
}

#[test]
fn who_sends_no_whole_request_is_cut() {
    let place = TempDir::new().expect("a temporary folder");
    let peer = Daemon::peer(place.path(), &["--web=127.0.0.1:0"]);
    let (visitor, _) = page_of(&peer);
    let slow: Vec<TcpStream> = (0..50)
        .map(|_| {
            let mut stream = TcpStream::connect(visitor.addr).expect("the page listens");
            stream.write_all(b"GET / HTTP/1.1\r\nHost: ").expect("it is taken");
            stream
        })
        .collect();
    let host = format!("Host: {}", visitor.addr);
    assert_eq!(visitor.raw("GET", "/healthz", &[&host], "").status, 200);
    for mut stream in slow {
        stream.set_read_timeout(Some(DEADLINE.max(Duration::from_secs(30)))).expect("a timeout");
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest); // an end, or a reset
        assert!(!rest.starts_with(b"HTTP/1.1 200"));
    }
}
