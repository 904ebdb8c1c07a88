//! Changes of what is on record, a second: by three trackers that are one, by one alone, and by etcd with three members.
//!
//! `cargo bench --bench cluster` prints a table, all from one run. All put what they acknowledge on the disk of a temporary
//! folder first. etcd (Debian's etcd-server and etcd-client) is asked by as many clients over its gateway for HTTP, and by its own
//! `etcdctl check perf --load=l`, which has 500 clients: more that it can put together. Where it is not installed its rows say so.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use data_encoding::BASE64;
use p2p::content::FileId;
use p2p::net::secure::{Expected, Keyring};
use p2p::net::{self, Identity, Messages, trace::Side};
use p2p::wire::{ClientId, FromTracker, Label, Name, Policy, Publish, Role, ToTracker, Version};
use tempfile::TempDir;

/// Clients that publish at once, each one thing after the other.
const CLIENTS: usize = 50;
/// How long each is measured.
const TIME: Duration = Duration::from_secs(15);
/// Versions that a name gets, before the client goes on with another.
const VERSIONS: u64 = 100;

type Link = Messages<FromTracker, ToTracker>;

fn main() {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("load average before the run {}\n", load.split(' ').next().unwrap_or_default());
    println!("| {CLIENTS} clients, changes a second | | latency p50 / p99 |\n|---|---|---|");
    let several = ours(3);
    let alone = ours(1);
    println!("| one alone, as part of three | {:.2} | |", alone / several);
    match etcd() {
        Ok(Etcd { puts, own }) => {
            println!(
                "| etcd, three members, by its `etcdctl check perf --load=l` with 500 clients | {own:.0} | |"
            );
            println!("| three trackers, as part of etcd | {:.2} | |", several / puts);
            println!(
                "| three trackers, as part of etcd with ten times as many clients | {:.2} | |",
                several / own
            );
        }
        Err(why) => println!("| etcd, three members | missing: {why} | |"),
    }
}

/// A process that ends with this value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Addresses on which nobody listens now.
fn free_addresses(count: usize) -> Vec<String> {
    let held: Vec<TcpListener> =
        (0..count).map(|_| TcpListener::bind("127.0.0.1:0").expect("a port")).collect();
    held.iter().map(|listener| listener.local_addr().expect("its address").to_string()).collect()
}

/// So many trackers; the changes that they acknowledge a second.
fn ours(count: usize) -> f64 {
    let place = TempDir::new().expect("a temporary folder");
    let addresses = free_addresses(count);
    let _running: Vec<Running> = (0..count).map(|which| tracker(&addresses, which, place.path())).collect();
    let began = Instant::now();
    while !is_ready(&addresses[0]) {
        assert!(began.elapsed() < Duration::from_secs(60), "the trackers do not agree");
        thread::sleep(Duration::from_millis(50)); // nobody tells when they agree: they are asked again
    }
    let what = if count == 1 { "one tracker alone" } else { "three trackers" };
    measured(what, |number, over, made| publish(&addresses[number % count], number, over, made))
}

/// What clients get done a second, each of whom gives how long each thing took.
fn measured(what: &str, client: impl Fn(usize, &AtomicBool, &AtomicU64) -> Vec<Duration> + Sync) -> f64 {
    let (over, made) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut latencies: Vec<Duration> = thread::scope(|scope| {
        let (over, made, client) = (&over, &made, &client);
        let one = |number: usize| move || client(number, over, made);
        let clients: Vec<_> = (0..CLIENTS).map(|number| scope.spawn(one(number))).collect();
        thread::sleep(TIME); // what is measured: as much as they do in that time
        over.store(true, Ordering::Relaxed);
        clients.into_iter().flat_map(|client| client.join().expect("a client")).collect()
    });
    latencies.sort_unstable();
    let at =
        |part: usize| latencies[(latencies.len() * part / 100).min(latencies.len() - 1)].as_secs_f64() * 1e3;
    let rate = made.load(Ordering::Relaxed) as f64 / TIME.as_secs_f64();
    println!("| {what} | {rate:.0} | {:.1} / {:.1} ms |", at(50), at(99));
    rate
}

fn tracker(addresses: &[String], which: usize, place: &Path) -> Running {
    let mut command = Command::new(env!("CARGO_BIN_EXE_p2p"));
    command.env("XDG_CONFIG_HOME", place).args(["tracker", "--listen", &addresses[which], "--data"]);
    command.arg(place.join(format!("tracker{which}")));
    if addresses.len() > 1 {
        let nodes = addresses.iter().enumerate().map(|(node, address)| format!("{}={address}", node + 1));
        let cluster = nodes.collect::<Vec<_>>().join(",");
        command.args(["--node", &(which + 1).to_string(), "--cluster", &cluster]);
    }
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("a tracker");
    let mut said = BufReader::new(child.stdout.take().expect("its output"));
    let mut line = String::new();
    while !line.contains("listening") {
        line.clear();
        assert!(said.read_line(&mut line).expect("its output") > 0, "the tracker ended");
    }
    Running(child)
}

fn link(address: &str) -> Link {
    let me = Identity::tool(Keyring::none());
    let stream = net::dial(address).expect("the tracker");
    let session =
        net::greet(stream, (&me, Role::Member), Expected::Anybody, Side::Tracker, net::HELLO_TIMEOUT)
            .expect("HELLO");
    Messages::new(session, Side::Tracker)
}

fn is_ready(address: &str) -> bool {
    let question = change("ready", &[0], (ClientId::random(), 1));
    matches!(link(address).call(&question), Ok(FromTracker::Stored(_)))
}

fn change(name: &str, content: &[u8], (client, seq): (ClientId, u64)) -> ToTracker {
    let version = Version {
        number: 0,
        id: FileId::of(content),
        size: content.len() as u64,
        total: content.len() as u64,
        chunks: 1,
        policy: Policy::NONE,
        stamp_ms: 0,
        publisher: Label::new("bench"),
    };
    Publish { client, seq, name: Name::new(name), version, expect: 0 }.into()
}

/// Publishes one thing after the other; how long each took.
fn publish(address: &str, number: usize, over: &AtomicBool, made: &AtomicU64) -> Vec<Duration> {
    let (mut link, client) = (link(address), ClientId::random());
    let mut latencies = Vec::new();
    for seq in 1_u64.. {
        let name = format!("client{number}/{}", seq / VERSIONS);
        let question =
            change(&name, &[seq.to_be_bytes(), (number as u64).to_be_bytes()].concat(), (client, seq));
        let began = Instant::now();
        let answer = link.call(&question).expect("an answer");
        assert!(matches!(answer, FromTracker::Stored(_)), "{answer:?}");
        if over.load(Ordering::Relaxed) {
            break;
        }
        latencies.push(began.elapsed());
        made.fetch_add(1, Ordering::Relaxed);
    }
    latencies
}

/// What etcd does a second.
struct Etcd {
    /// Puts of as many clients as ours are, over HTTP/1.1.
    puts: f64,
    /// By its own measure.
    own: f64,
}

/// One put after the other; how long each took.
fn put(address: &str, number: usize, over: &AtomicBool, made: &AtomicU64) -> Vec<Duration> {
    let mut stream = BufReader::new(TcpStream::connect(address).expect("etcd"));
    let mut latencies = Vec::new();
    for seq in 1_u64.. {
        let key = BASE64.encode(format!("client{number}/{}/{}", seq / VERSIONS, seq % VERSIONS).as_bytes());
        // As many bytes as a version has.
        let body = format!(r#"{{"key":"{key}","value":"{}"}}"#, BASE64.encode(&[seq as u8; 96]));
        let head =
            format!("POST /v3/kv/put HTTP/1.1\r\nHost: {address}\r\nContent-Length: {}\r\n\r\n", body.len());
        let began = Instant::now();
        stream.get_mut().write_all(format!("{head}{body}").as_bytes()).expect("etcd");
        assert!(answered(&mut stream).contains("revision"), "a put that was made");
        if over.load(Ordering::Relaxed) {
            break;
        }
        latencies.push(began.elapsed());
        made.fetch_add(1, Ordering::Relaxed);
    }
    latencies
}

/// The body of the next answer.
fn answered(stream: &mut BufReader<TcpStream>) -> String {
    let (mut line, mut bytes) = (String::new(), 0);
    while line != "\r\n" {
        line.clear();
        assert!(stream.read_line(&mut line).expect("etcd") > 0, "etcd has ended");
        if let Some(length) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            bytes = length.trim().parse().expect("a length");
        }
    }
    let mut body = vec![0; bytes];
    stream.read_exact(&mut body).expect("etcd");
    String::from_utf8_lossy(&body).into_owned()
}

/// What etcd does, or why that is not known.
fn etcd() -> Result<Etcd, String> {
    let place = TempDir::new().map_err(|error| error.to_string())?;
    let addresses = free_addresses(6);
    let (clients, peers) = addresses.split_at(3);
    let cluster: Vec<String> =
        peers.iter().enumerate().map(|(which, peer)| format!("m{which}=http://{peer}")).collect();
    let member = |which: usize| {
        let (client, peer) = (format!("http://{}", clients[which]), format!("http://{}", peers[which]));
        let data = place.path().join(format!("m{which}"));
        let log = fs::File::create(place.path().join(format!("m{which}.log")))?;
        let mut command = Command::new("etcd");
        command.args(["--name", &format!("m{which}"), "--initial-cluster", &cluster.join(",")]);
        command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        command.arg("--data-dir").arg(data).stdout(Stdio::null()).stderr(log).spawn().map(Running)
    };
    let running: Result<Vec<Running>, _> = (0..3).map(member).collect();
    let _running = running.map_err(|error| format!("etcd does not run: {error}"))?;
    let endpoints = clients.iter().map(|client| format!("http://{client}")).collect::<Vec<_>>().join(",");
    let ctl = |args: &[&str]| {
        let output = Command::new("etcdctl")
            .env("ETCDCTL_API", "3")
            .args(["--endpoints", &endpoints])
            .args(args)
            .output();
        output.map(|output| String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let began = Instant::now();
    while !ctl(&["endpoint", "health"])
        .map_err(|error| format!("etcdctl does not run: {error}"))?
        .contains("is healthy")
    {
        if began.elapsed() > Duration::from_secs(60) {
            return Err("its members do not agree".to_owned());
        }
        thread::sleep(Duration::from_millis(200)); // as above; each look is a process of its own
    }
    let puts = measured("etcd, three members, as many clients over HTTP/1.1", |number, over, made| {
        put(&clients[number % 3], number, over, made)
    });
    // `PASS: Throughput is 3421 writes/s`, or `FAIL: Throughput too low: 3421 writes/s`
    let said = ctl(&["check", "perf", "--load=l"]).map_err(|error| error.to_string())?;
    let rate = said.split(" writes/s").next().and_then(|before| before.rsplit(' ').next()?.parse().ok());
    let own = rate.ok_or_else(|| format!("etcdctl says {said:?}"))?;
    Ok(Etcd { puts, own })
}
