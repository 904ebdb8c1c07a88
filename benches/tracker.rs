//! The tracker beside redis: LOCATE per second, latency, and memory for many registrations and peers.
//!
//! `cargo bench --bench tracker` (or `-- speed`, `registrations`, `idle` for a part) prints a table of ratios, all from one run: ours and redis take
//! turns, and each figure is the median of its turns. The tracker runs in a process of its own (this
//! program with the argument `serve`), so that its memory can be read. Redis is asked twice: by its
//! own `redis-benchmark`, and by the single-threaded epoll client that asks us.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

use p2p::content::{FileId, PeerId};
use p2p::net::secure::{Expected, Keyring};
use p2p::net::{self, Identity, Messages, trace::Side};
use p2p::tracker::{self, Config};
use p2p::wire::{
    Addresses, Common, FromTracker, HEADER_BYTES, List, Locate, Message, Name, Offer, Purpose, Ranges,
    RawHeader, Register, Role, ToTracker,
};

const CONNECTIONS: usize = 50;
const REQUESTS: usize = 200_000;
const TURNS: usize = 5;
const IDLE_PEERS: usize = 10_000;
const PEERS: usize = 1_000;
const FILES_PER_PEER: usize = 1_000;

type Link = Messages<FromTracker, ToTracker>;

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("serve") => serve(),
        _ => measure(),
    }
}

/// The tracker's process: runs until its standard input ends.
fn serve() {
    let config = Config {
        listen: "127.0.0.1:0".into(),
        lease: Duration::from_secs(3600),
        idle: Duration::from_secs(3600),
        max_connections: Some(16 * IDLE_PEERS), // one address may have a part of them
        ..Config::default()
    };
    let tracker = tracker::start(config).expect("a free port");
    println!("{}", tracker.addr());
    let _ = io::stdin().read(&mut [0]);
}

fn measure() {
    raise_descriptor_limit();
    println!("| work | ours | other | ratio |\n|---|---|---|---|");
    let asked: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    for (part, run) in [("speed", speed as fn()), ("registrations", registrations), ("idle", idle_peers)] {
        if asked.is_empty() || asked.iter().any(|asked| asked == part) {
            run();
        }
    }
}

fn speed() {
    let ours = Process::tracker();
    let mut sharer = ours.register(0, 1_000, 0);
    let redis = Process::redis();
    let (mut located, mut got, mut benchmarked) = (Vec::new(), Vec::new(), Vec::new());
    let (mut our_cpu, mut redis_cpu) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        let before = ours.cpu_seconds();
        located.push(ask(ours.locators(CONNECTIONS), whole_frame));
        our_cpu.push((ours.cpu_seconds() - before) * 1e6 / REQUESTS as f64);
        if let Some(redis) = &redis {
            let before = redis.cpu_seconds();
            got.push(ask(redis.getters(), |bytes| bytes.ends_with(b"\r\n").then_some(bytes.len())));
            redis_cpu.push((redis.cpu_seconds() - before) * 1e6 / REQUESTS as f64);
            benchmarked.extend(redis.benchmark());
        }
    }
    let ours = Rates::of(located);
    sharer.call(&Common::Ping.into()).expect("the sharer is still there");
    if redis.is_none() {
        println!(
            "| LOCATE, {CONNECTIONS} connections | {:.0}/s | redis is not installed | |",
            ours.per_second
        );
        return;
    }
    let same_client = Rates::of(got);
    let row = |what: &str, other: f64| {
        let (per_second, ratio) = (ours.per_second, ours.per_second / other);
        println!(
            "| LOCATE, {CONNECTIONS} connections, against {what} | {per_second:.0}/s | {other:.0}/s | {ratio:.2} |"
        );
    };
    row("redis-benchmark -t get", median(benchmarked));
    row("redis GET by the same client", same_client.per_second);
    println!(
        "| LOCATE latency p50 / p99, against redis by the same client | {:.0} / {:.0} µs | {:.0} / {:.0} µs | {:.2} |",
        ours.p50_us,
        ours.p99_us,
        same_client.p50_us,
        same_client.p99_us,
        ours.p50_us / same_client.p50_us
    );
    let (ours, redis) = (median(our_cpu), median(redis_cpu));
    println!(
        "| processor time per request, against redis GET by the same client | {ours:.1} µs | {redis:.1} µs | {:.2} |",
        ours / redis
    );
}

fn registrations() {
    let ours = Process::tracker();
    let before = ours.resident_mib();
    let started = Instant::now();
    let links: Vec<Link> = (0..PEERS).map(|peer| ours.register(peer, FILES_PER_PEER, peer)).collect();
    let (resident, seconds) = (ours.resident_mib(), started.elapsed().as_secs_f64());
    let bytes = (resident - before) * f64::from(1 << 20) / (PEERS * FILES_PER_PEER) as f64;
    println!(
        "| {} registrations, {PEERS} peers | {resident:.0} MiB ({bytes:.0} B each, {seconds:.1} s) | 150 MiB | {:.2} |",
        PEERS * FILES_PER_PEER,
        resident / 150.0
    );
    let full = Rates::of((0..TURNS).map(|_| ask(ours.locators(CONNECTIONS), whole_frame)).collect());
    println!("| LOCATE with them registered | {:.0}/s, p50 {:.0} µs | | |", full.per_second, full.p50_us);
    drop(links);
}

fn idle_peers() {
    let ours = Process::tracker();
    let _sharer = ours.register(0, 1_000, 0);
    let alone = Rates::of((0..TURNS).map(|_| ask(ours.locators(CONNECTIONS), whole_frame)).collect());
    let links: Vec<Link> = (1..=IDLE_PEERS).map(|peer| ours.register(peer, 1, 0)).collect();
    let resident = ours.resident_mib();
    println!(
        "| {IDLE_PEERS} idle registered peers | {resident:.0} MiB | 400 MiB | {:.2} |",
        resident / 400.0
    );
    let among = Rates::of((0..TURNS).map(|_| ask(ours.locators(CONNECTIONS), whole_frame)).collect());
    println!(
        "| LOCATE p50 / p99 among them, against alone | {:.0} / {:.0} µs | {:.0} / {:.0} µs | {:.2} |",
        among.p50_us,
        among.p99_us,
        alone.p50_us,
        alone.p99_us,
        among.p50_us / alone.p50_us
    );
    drop(links);
}

/// A server in a process of its own, ended when dropped.
struct Process {
    child: Child,
    addr: String,
}

impl Process {
    fn tracker() -> Process {
        let program = std::env::current_exe().expect("this program's path");
        let mut child = Command::new(program)
            .arg("serve")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program starts");
        let addr = line_with(&mut child, "").expect("an address");
        Process { child, addr }
    }

    /// A redis on a free port that keeps nothing; none if it is not installed.
    fn redis() -> Option<Process> {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).ok()?.port();
        let mut child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        line_with(&mut child, "Ready to accept connections")?;
        Some(Process { child, addr: format!("127.0.0.1:{port}") })
    }

    /// What `redis-benchmark` says, in requests per second.
    fn benchmark(&self) -> Option<f64> {
        let port = self.addr.rsplit(':').next()?;
        let (requests, clients) = (REQUESTS.to_string(), CONNECTIONS.to_string());
        let output = Command::new("redis-benchmark")
            .args(["-p", port, "-n", &requests, "-c", &clients, "-t", "get", "--csv"])
            .output()
            .ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        let row = text.lines().find(|line| line.starts_with("\"GET\""))?;
        row.split(',').nth(1)?.trim_matches('"').parse().ok()
    }

    fn connect(&self, number: usize) -> net::Session {
        let mut peer = PeerId([0; 16]);
        peer.0[..8].copy_from_slice(&(number as u64).to_be_bytes());
        let me = Identity::new(Keyring::none(), peer, format!("peer-{number}"), 0);
        let stream = net::dial(&self.addr).expect("the tracker listens");
        net::greet(stream, (&me, Role::Member), Expected::Anybody, Side::Tracker, net::HELLO_TIMEOUT)
            .expect("HELLO is answered")
    }

    /// A peer with this many files, named and filled like nobody else's if `series` is its own.
    fn register(&self, number: usize, files: usize, series: usize) -> Link {
        let mut link = Link::new(self.connect(number + 1), Side::Tracker);
        let offers = (0..files).map(|file| offer(series, file)).collect();
        let message = Register { port: 4000, addresses: Addresses::default(), offers: List::new(offers) };
        let answer = link.call(&message.into()).expect("REGISTER is answered");
        assert!(matches!(answer, FromTracker::Registered(_)), "{answer:?}");
        link
    }

    /// Connections past HELLO, each with the LOCATE that it is to send.
    fn locators(&self, count: usize) -> Vec<Client> {
        let client = |number| {
            let message = Locate {
                name: Name::new(name(0, number * 7)),
                id: FileId::NONE,
                purpose: Purpose::Fetch,
                max: 16,
                missing: Ranges::default(),
            };
            let mut request = BytesMut::new();
            ToTracker::from(message).put_frame(1, &mut request);
            Client::new(self.connect(1_000_000 + number).stream, &request)
        };
        (0..count).map(client).collect()
    }

    fn getters(&self) -> Vec<Client> {
        let request = b"*2\r\n$3\r\nGET\r\n$16\r\nkey:__rand_int__\r\n";
        let client = |_| Client::new(TcpStream::connect(&self.addr).expect("redis listens"), request);
        (0..CONNECTIONS).map(client).collect()
    }

    /// Processor time of all the process's threads, user and system.
    fn cpu_seconds(&self) -> f64 {
        const TICKS_PER_SECOND: f64 = 100.0; // USER_HZ is the same on every Linux
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("/proc");
        // The fields after the program's name, which is in brackets, from the third on.
        let fields = stat.rsplit(')').next().expect("a name in brackets").split_whitespace();
        fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / TICKS_PER_SECOND
    }

    fn resident_mib(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("/proc");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a resident size");
        let kib: f64 = line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number");
        kib / 1024.0
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The first line of a child's output that has this part.
fn line_with(child: &mut Child, part: &str) -> Option<String> {
    let output = BufReader::new(child.stdout.take()?);
    output.lines().map_while(Result::ok).find(|line| line.contains(part))
}

fn name(series: usize, file: usize) -> String {
    format!("data/{series:04}/file-{file:06}.bin")
}

fn offer(series: usize, file: usize) -> Offer {
    let mut id = FileId([7; 32]);
    id.0[..8].copy_from_slice(&fastrand::Rng::with_seed((series << 32 | file) as u64).u64(..).to_be_bytes());
    id.0[8..16].copy_from_slice(&((series << 32 | file) as u64).to_be_bytes());
    let size = 1000 + file as u64;
    Offer {
        name: Name::new(name(series, file)),
        id,
        size,
        total: size,
        chunks: 1,
        complete: true,
        original: true,
        modified: 0,
    }
}

/// A connection with one request outstanding.
struct Client {
    stream: TcpStream,
    request: Vec<u8>,
    sent: Instant,
    answer: Vec<u8>,
}

impl Client {
    fn new(stream: TcpStream, request: &[u8]) -> Client {
        stream.set_nodelay(true).and_then(|()| stream.set_nonblocking(true)).expect("a socket");
        Client { stream, request: request.to_vec(), sent: Instant::now(), answer: Vec::new() }
    }

    fn send(&mut self) {
        self.sent = Instant::now();
        self.stream.write_all(&self.request).expect("a small request fits the socket's buffer");
    }
}

fn whole_frame(bytes: &[u8]) -> Option<usize> {
    let header = RawHeader::peek(bytes).expect("a frame")?;
    assert_eq!(header.id, 0x31, "LOCATED");
    Some(HEADER_BYTES + header.body_bytes).filter(|len| bytes.len() >= *len)
}

/// One turn's requests per second and the latency of each, in microseconds.
fn ask(mut clients: Vec<Client>, whole: impl Fn(&[u8]) -> Option<usize>) -> (f64, Vec<f64>) {
    let poll = epoll::create(CreateFlags::CLOEXEC).expect("epoll");
    for (number, client) in clients.iter().enumerate() {
        epoll::add(&poll, &client.stream, EventData::new_u64(number as u64), EventFlags::IN).expect("epoll");
    }
    let (mut latencies, mut sent) = (Vec::with_capacity(REQUESTS), clients.len());
    let mut buffer = [0; 16 << 10];
    let mut events = Vec::with_capacity(CONNECTIONS);
    let started = Instant::now();
    clients.iter_mut().for_each(Client::send);
    while latencies.len() < REQUESTS {
        events.clear();
        epoll::wait(&poll, rustix::buffer::spare_capacity(&mut events), None).expect("epoll");
        for event in &events {
            let client = &mut clients[event.data.u64() as usize];
            let got = client.stream.read(&mut buffer).expect("an answer");
            assert_ne!(got, 0, "the server closed the connection");
            client.answer.extend_from_slice(&buffer[..got]);
            if whole(&client.answer).is_some() {
                client.answer.clear();
                latencies.push(client.sent.elapsed().as_secs_f64() * 1e6);
                if sent < REQUESTS {
                    sent += 1;
                    client.send();
                }
            }
        }
    }
    (latencies.len() as f64 / started.elapsed().as_secs_f64(), latencies)
}

/// Medians over all turns.
struct Rates {
    per_second: f64,
    p50_us: f64,
    p99_us: f64,
}

impl Rates {
    fn of(turns: Vec<(f64, Vec<f64>)>) -> Rates {
        let (per_second, mut latencies): (Vec<f64>, Vec<Vec<f64>>) = turns.into_iter().unzip();
        latencies.iter_mut().for_each(|turn| turn.sort_by(f64::total_cmp));
        let at = |part: f64| {
            median(latencies.iter().map(|turn| turn[(turn.len() as f64 * part) as usize]).collect())
        };
        Rates { p50_us: at(0.5), p99_us: at(0.99), per_second: median(per_second) }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}
