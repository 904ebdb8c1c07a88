//! Nodes on machines of their own, of which some are killed, stopped or cut off, round for round, while others upload, look up
//! and download: what was acknowledged stays, nothing fails while most trackers are there, and whoever is lost is brought
//! back by one other, once.
//!
//! `P2P_ROUNDS=30 P2P_SEED=1 cargo test --test rounds -- --ignored --nocapture` makes network namespaces and removes them
//! again, and needs root for that.

mod namespaces;
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use namespaces::{Host, Lab, obstacle};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::Value;
use support::{Daemon, Output, eventually, pattern, run};
use tempfile::TempDir;

const DONE: i32 = 0;
/// The nodes, and whether each has a tracker and a store.
const NODES: [(&str, bool, bool); 5] =
    [("a", true, false), ("b", true, true), ("c", true, true), ("d", false, true), ("e", false, true)];
/// Where the trackers are: those of the first three nodes, which are one.
const TRACKERS: &str = "10.79.0.1:9700,10.79.0.2:9700,10.79.0.3:9700";
/// How long a node may be silent: beats come every fifth of it.
const SILENCE: Duration = Duration::from_secs(6);
/// How long whoever does something waits for trackers.
const WAIT: &str = "60s";
/// How long it may take until all are well again, and how often that is looked at: there are two processors for all machines.
const PATIENCE: Duration = Duration::from_secs(240);
const LOOK_AGAIN: Duration = Duration::from_millis(300);

/// What brings a node back. It says when it begins, whether another is at it, and how it ended; a machine that is cut off it
/// cannot reach. What may be left of the agent it ends, and starts another, on the lost node's machine.
const HOOK: &str = r#"#!/bin/sh
node=$1 by=$2
cd "$(dirname "$0")" || exit 1
for other in at."$node".*; do
    [ -e "$other" ] && kill -0 "${other##*.}" 2>/dev/null && echo "two $P2P_DUTY $node $by" >> log
done
echo "begin $P2P_DUTY $node $by" >> log
touch at."$node".$$
sleep 0.$((P2P_DUTY % 10))
if [ -e "cut.$node" ] || [ -e "cut.$by" ]; then
    echo "vain $P2P_DUTY $node $by" >> log
    rm at."$node".$$
    exit 1
fi
old=$(cat "$node.pid")
kill -9 "$old" 2>/dev/null
while grep -q '^State:.[^Z]' "/proc/$old/status" 2>/dev/null; do sleep 0.05; done
ip netns exec "SPACE$node" P2P up --open "$node/node.toml" </dev/null >/dev/null 2>>"$node.err" &
echo $! > "$node.pid"
echo "end $P2P_DUTY $node $by" >> log
rm at."$node".$$
"#;

/// What is done to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Harm {
    /// One of its roles is killed.
    Role,
    /// Its agent is killed.
    Agent,
    /// All that runs on its machine is killed.
    Host,
    /// Its agent is stopped for so long.
    Stop(Duration),
    /// Its machine is cut off for so long.
    Cut(Duration),
    /// What its machine says to one of the trackers goes astray for so long.
    Link(Duration),
    /// One of its roles is stopped.
    Hang,
    /// Its agent is killed, and at the same moment the tracker that leads.
    Both,
}

impl Harm {
    fn draw(rng: &mut fastrand::Rng) -> Harm {
        let time = Duration::from_millis(rng.u64(..20_000));
        match rng.u8(..8) {
            0 => Harm::Role,
            1 => Harm::Agent,
            2 => Harm::Host,
            3 => Harm::Stop(time),
            4 => Harm::Cut(time),
            5 => Harm::Link(time),
            6 => Harm::Hang,
            _ => Harm::Both,
        }
    }

    /// True if its agent has to be started again.
    fn ends_the_agent(self) -> bool {
        matches!(self, Harm::Agent | Harm::Host | Harm::Both)
    }

    /// True if most trackers heard it all the time.
    fn is_slight(self) -> bool {
        match self {
            Harm::Role | Harm::Hang | Harm::Link(_) => true,
            Harm::Stop(time) | Harm::Cut(time) => time < SILENCE / 3,
            _ => false,
        }
    }
}

/// Five machines with a node each, and one on which people do something.
struct World {
    folder: TempDir,
    hosts: BTreeMap<&'static str, Host>,
    out: Host,
    lab: Lab,
}

impl World {
    fn new() -> World {
        let (folder, lab) = (TempDir::new().expect("a temporary folder"), Lab::new());
        let at = |number: usize| format!("10.79.0.{number}/24");
        let hosts = NODES.iter().zip(1..).map(|((name, ..), number)| (*name, lab.host(name, &[&at(number)])));
        let world = World { hosts: hosts.collect(), out: lab.host("out", &[&at(99)]), lab, folder };
        let hook = world.path("hook");
        let space = world.hosts["a"].namespace().strip_suffix('a').expect("its name is behind it");
        let text = HOOK.replace("P2P up", &format!("{} up", env!("CARGO_BIN_EXE_p2p")));
        fs::write(&hook, text.replace("SPACE", space)).expect("a hook");
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).expect("it can be run");
        NODES.iter().zip(1..).for_each(|(node, number)| world.describe(*node, number));
        world
    }

    /// Writes down what a node is.
    fn describe(&self, (name, tracker, store): (&str, bool, bool), number: usize) {
        let quoted = |words: &mut dyn Iterator<Item = &str>| {
            words.map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ")
        };
        let others = quoted(&mut NODES.iter().map(|(other, ..)| *other).filter(|other| *other != name));
        let trackers = quoted(&mut TRACKERS.split(','));
        let mut text = format!(
            "[node]\nname = \"{name}\"\nhost = \"{name}\"\nstate = \"state\"\ntrackers = [{trackers}]\nwatchdog = \"8s\"\n\
             [revive]\nrun = [\"{}\", \"{{node}}\", \"{name}\"]\nnodes = [{others}]\n",
            self.path("hook").display()
        );
        if tracker {
            let all: Vec<String> =
                (1..).zip(TRACKERS.split(',')).map(|(n, at)| format!("{n}={at}")).collect();
            text += &format!(
                "[tracker]\nlisten = \"10.79.0.{number}:9700\"\nnode = {number}\ncluster = \"{}\"\n\
                 node-silence = \"{}s\"\nduty-lease = \"20s\"\n",
                all.join(","),
                SILENCE.as_secs()
            );
        }
        if store {
            fs::create_dir_all(self.path(name).join("store")).expect("a folder");
            text += &format!(
                "[peer.store]\nfolder = \"store\"\nname = \"store-{name}\"\nstore = \"1GB\"\n\
                 zone = \"{name}\"\ntrackers = [{trackers}]\n"
            );
        }
        fs::create_dir_all(self.path(name)).expect("a folder");
        fs::write(self.path(name).join("node.toml"), text).expect("a configuration");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts the agent of a node on its machine.
    fn up(&self, name: &'static str) -> Daemon {
        let file = self.path(name).join("node.toml");
        let agent = self.hosts[name].inside(move || Daemon::launch(&["up", "--open", text(&file)]));
        fs::write(self.path(&format!("{name}.pid")), agent.pid().to_string()).expect("its number");
        agent
    }

    /// The process of a node's agent, whoever started it.
    fn agent(&self, name: &str) -> Pid {
        let number = fs::read_to_string(self.path(&format!("{name}.pid"))).expect("its number");
        number.trim().parse().ok().and_then(Pid::from_raw).expect("a number")
    }

    /// The process of one of a node's roles.
    fn role(&self, name: &str, role: &str) -> Pid {
        let file = self.path(name).join("node.toml");
        eventually("its role runs", || {
            let status = run(&["node", "status", "--json", "--file", text(&file)]).stdout;
            let status: Value = serde_json::from_str(&status).ok()?;
            let its = status["roles"].as_array()?.iter().find(|its| its["role"] == role)?.clone();
            Pid::from_raw(its["pid"].as_i64()? as i32)
        })
    }

    /// Runs a command on the machine where people are.
    fn ask(&self, args: &[&str]) -> Output {
        ask(&self.out, args)
    }

    /// The nodes by name, as trackers have them on record.
    fn nodes(&self) -> BTreeMap<String, Value> {
        let said = self.ask(&["cluster", "nodes", "--json", "--wait", WAIT]).stdout;
        let all = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        all.map(|node| (node["node"].as_str().unwrap_or_default().to_owned(), node)).collect()
    }

    /// Waits until all nodes are there with all their roles, and nobody is to bring anybody back; `more` is for one of them.
    fn are_well(&self, more: impl Fn(&Value) -> bool) -> BTreeMap<String, Value> {
        let begun = Instant::now();
        loop {
            let nodes = self.nodes();
            let all = NODES.iter().all(|(name, ..)| nodes.get(*name).is_some_and(is_well));
            if all && nodes.values().all(&more) {
                return nodes;
            }
            assert!(begun.elapsed() < PATIENCE, "not all are well: {nodes:#?}\n{}", self.log().join("\n"));
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// Which node's tracker leads.
    fn leader(&self) -> &'static str {
        eventually("a tracker leads", || {
            let said = self.ask(&["cluster", "status", "--json"]).stdout;
            let seen: Value = serde_json::from_str(&said).ok()?;
            NODES.get((seen["leader"].as_u64()? as usize).checked_sub(1)?).map(|(name, ..)| *name)
        })
    }

    /// The lines of hooks: what, duty, node, by whom.
    fn log(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("log")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// How often others have started a node.
    fn starts(&self, name: &str) -> usize {
        let is_one = |line: &&String| line.starts_with("end ") && line.split(' ').nth(2) == Some(name);
        self.log().iter().filter(is_one).count()
    }

    /// Does it, and waits until what lasts a while is over.
    fn harm(&self, victim: &'static str, harm: Harm, rng: &mut fastrand::Rng) {
        let agent = self.agent(victim);
        match harm {
            Harm::Role | Harm::Hang => {
                let roles = NODES.iter().find(|(name, ..)| *name == victim);
                let role = match roles {
                    Some((_, true, true)) => ["tracker", "store"][rng.usize(..2)],
                    Some((_, true, _)) => "tracker",
                    _ => "store",
                };
                let (signal, role) = match harm {
                    Harm::Hang => (Signal::STOP, self.role(victim, role)),
                    _ => (Signal::KILL, self.role(victim, role)),
                };
                let _ = kill_process(role, signal);
                eventually("its agent has seen it", || test_kill_process(role).is_err().then_some(()));
            }
            Harm::Agent => kill_process(agent, Signal::KILL).expect("it is ours"),
            Harm::Host => self.hosts[victim].kill_all(),
            Harm::Stop(time) => {
                kill_process(agent, Signal::STOP).expect("it is ours");
                std::thread::sleep(time);
                let _ = kill_process(agent, Signal::CONT); // who brought it back has killed it
            }
            Harm::Cut(time) => {
                fs::write(self.path(&format!("cut.{victim}")), "").expect("a file");
                self.lab.cut(victim, true);
                std::thread::sleep(time);
                self.lab.cut(victim, false);
                fs::remove_file(self.path(&format!("cut.{victim}"))).expect("a file");
            }
            Harm::Link(time) => {
                let trackers =
                    NODES.iter().zip(TRACKERS.split(',')).filter(|((name, ..), _)| *name != victim);
                let (_, at) = trackers.collect::<Vec<_>>()[rng.usize(..2)];
                let host = at.strip_suffix(":9700").expect("its port");
                self.hosts[victim].loses(host, true);
                std::thread::sleep(time);
                self.hosts[victim].loses(host, false);
            }
            Harm::Both => {
                let leader = self.leader();
                let tracker = self.role(leader, "tracker");
                kill_process(agent, Signal::KILL).expect("it is ours");
                let _ = kill_process(tracker, Signal::KILL); // it may have been the same node's
            }
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.hosts.values().for_each(Host::kill_all);
        if std::thread::panicking() {
            for (name, ..) in NODES {
                let said = fs::read_to_string(self.path(&format!("{name}.err"))).unwrap_or_default();
                eprintln!("--- {name}, started by others\n{said}---");
            }
        }
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a UTF-8 path")
}

/// Runs a command of an open swarm on a machine, for as long as it takes: it says itself how long it waits.
fn ask(host: &Host, args: &[&str]) -> Output {
    let home = TempDir::new().expect("a temporary folder");
    let mut command = support::command(&[args, &["--open", "--tracker", TRACKERS]].concat(), home.path());
    let output = host.inside(move || command.output().expect("the binary starts"));
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Output { status: output.status, stdout: said(&output.stdout), stderr: said(&output.stderr) }
}

fn is_well(node: &Value) -> bool {
    let roles = node["roles"].as_array().map_or(&[][..], Vec::as_slice);
    let lately = node["silent_ms"].as_u64().is_some_and(|ms| Duration::from_millis(ms) < SILENCE / 2);
    node["state"] == "up"
        && node["executor"].is_null()
        && lately
        && !roles.is_empty()
        && roles.iter().all(|role| role["state"] == "running")
}

/// Says that it is over, also where a test fails.
struct AtTheEnd<'a>(&'a AtomicBool);

impl Drop for AtTheEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Uploads, looks up and downloads until it is to stop: how much of it was done, and what failed.
struct Work<'a> {
    host: &'a Host,
    folder: PathBuf,
    rng: fastrand::Rng,
    uploaded: u32,
    done: u32,
    failed: Vec<String>,
}

impl Work<'_> {
    fn file(&self, number: u32) -> PathBuf {
        self.folder.join(format!("f{number}"))
    }

    fn run(&mut self, over: &AtomicBool) {
        while !over.load(Ordering::SeqCst) {
            self.upload();
            let number = self.rng.u32(..self.uploaded.max(1));
            self.expect(&["versions", &format!("f{number}"), "--wait", WAIT]);
            self.download(number);
        }
    }

    /// What is not acknowledged does not count as there.
    fn upload(&mut self) {
        let (number, size) = (self.uploaded, self.rng.usize(1..600_000));
        let file = self.file(number);
        fs::write(&file, pattern(size, self.rng.u8(..))).expect("a file");
        if self.expect(&["upload", text(&file), "--wait", WAIT]) {
            self.uploaded += 1;
        }
    }

    fn download(&mut self, number: u32) {
        let (name, target) = (format!("f{number}"), self.folder.join("got"));
        if number >= self.uploaded || !self.expect(&["download", &name, text(&target), "--wait", WAIT]) {
            return;
        }
        if fs::read(&target).ok() != fs::read(self.file(number)).ok() {
            self.failed.push(format!("{name} is another one"));
        }
        let _ = fs::remove_file(target);
    }

    fn expect(&mut self, args: &[&str]) -> bool {
        let begun = Instant::now();
        let output = ask(self.host, args);
        match output.code() {
            DONE => self.done += 1,
            _ => self.failed.push(format!("{args:?} after {:?}: {output:?}", begun.elapsed())),
        }
        output.code() == DONE
    }
}

#[test]
#[ignore = "makes network namespaces, which needs root, and takes a quarter of a minute a round: cargo test --test rounds -- --ignored"]
fn whatever_befalls_a_machine_what_was_acknowledged_stays_and_one_other_brings_it_back_once() {
    if let Some(obstacle) = obstacle() {
        eprintln!("skipped: {obstacle}");
        return;
    }
    let number = |name: &str, usual: u64| {
        std::env::var(name).ok().and_then(|number| number.parse().ok()).unwrap_or(usual)
    };
    let (rounds, seed) = (number("P2P_ROUNDS", 10), number("P2P_SEED", 1));
    let mut rng = fastrand::Rng::with_seed(seed);
    let world = World::new();
    let _agents: Vec<Daemon> = NODES.iter().map(|(name, ..)| world.up(name)).collect();
    let mut known = world.are_well(|_| true);
    let mut work = Work {
        host: &world.out,
        folder: world.path("work"),
        rng: rng.fork(),
        uploaded: 0,
        done: 0,
        failed: Vec::new(),
    };
    fs::create_dir(&work.folder).expect("a folder");
    for round in 0..rounds {
        let (victim, harm) = (NODES[rng.usize(..NODES.len())].0, Harm::draw(&mut rng));
        let (before, begun) = (world.log().len(), Instant::now());
        let least = known[victim]["starts"].as_u64().map(|starts| starts + u64::from(harm.ends_the_agent()));
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let _over = AtTheEnd(&over);
            scope.spawn(|| work.run(&over));
            world.harm(victim, harm, &mut rng);
            // Who was started by others is not well before that life is let in.
            known = world.are_well(|node| {
                node["starts"] == 1 + world.starts(node["node"].as_str().unwrap_or_default())
                    && (node["node"] != victim || node["starts"].as_u64() >= least)
            });
        });
        let log = world.log();
        let lines = |what: &str| log[before..].iter().filter(|line| line.starts_with(what)).count();
        eprintln!(
            "round {round}: {victim}, {harm:?}: well after {:?}; {} tries, {} starts; {} things done",
            begun.elapsed(),
            lines("begin "),
            lines("end "),
            work.done
        );
        let told = format!("seed {seed}, round {round}, {victim}, {harm:?}:\n{}", log[before..].join("\n"));
        assert!(work.failed.is_empty(), "{told}\n{}", work.failed.join("\n"));
        assert_eq!(lines("two "), 0, "two at once: {told}");
        let of_others = log[before..].iter().filter(|line| line.split(' ').nth(2) != Some(victim)).count();
        assert_eq!(of_others, 0, "of those that are heard: {told}");
        assert!(!harm.is_slight() || lines("begin ") == 0, "it was heard: {told}");
        assert!(lines("end ") <= 1 && (!harm.ends_the_agent() || lines("end ") == 1), "{told}");
    }
    (0..work.uploaded).for_each(|number| work.download(number));
    assert!(work.failed.is_empty(), "seed {seed}: {}", work.failed.join("\n"));
    eprintln!("{} uploads are all there; {} things done", work.uploaded, work.done);
}
