//! What a node is to be, by its configuration: `node.toml`. Pure.
//!
//! A role's keys are the long names of its command's options; what they mean is checked where options are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::{Table, Value};

use super::rescuer::Revive;
use super::role::Patience;

/// Longest name of a node or role.
const MAX_NAME_BYTES: usize = 64;
/// The section of the node itself, and its keys.
const NODE: &str = "node";
const NODE_KEYS: &[&str] = &[
    "name",
    "host",
    "state",
    "trackers",
    "pause",
    "longest-pause",
    "start-patience",
    "watchdog",
    "stop-patience",
];
/// The section that says how other nodes are brought back, and its keys.
const REVIVE: &str = "revive";
const REVIVE_KEYS: &[&str] = &["run", "nodes"];
/// Where a tracker of the node listens that does not say where, and the key by which it does.
const TRACKER: &str = "tracker";
const LISTEN: &str = "listen";
const LISTENS: &str = "[::]:9700";
/// The keys by which a role, or the node, says where trackers are.
const TRACKERS: &[&str] = &["trackers", "tracker"];
/// Of these a node has one at most, which is called so.
const SINGLE: &[&str] = &["tracker"];
/// Of these it may have several, each with a name.
const NAMED: &[&str] = &["peer"];
/// The one key of a role that is not an option of its command.
const AFTER: &str = "after";
/// No patience is shorter: a role must be able to keep up.
const LEAST: Duration = Duration::from_millis(10);

/// What a role is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The arguments of its process.
    pub args: Vec<String>,
    /// The roles that are to be ready before it starts.
    pub after: BTreeSet<String>,
}

/// What an agent goes by.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The node's name.
    pub name: String,
    /// Where others reach this host, to bring the node back.
    pub host: String,
    /// The trackers that its agent beats to.
    pub trackers: Vec<String>,
    /// How it brings others back.
    pub revive: Revive,
    /// Where the agent keeps its state.
    pub state: PathBuf,
    /// Where the processes of roles run: their paths are relative to it.
    pub base: PathBuf,
    /// How patient the agent is.
    pub patience: Patience,
    /// The roles by name.
    pub roles: BTreeMap<String, Assignment>,
}

/// What holds where a configuration says nothing.
#[derive(Debug, Clone)]
pub struct Defaults {
    /// The node's name, and where it is.
    pub name: String,
    /// Where the agent keeps its state.
    pub state: PathBuf,
}

impl Plan {
    /// The plan that a configuration in the folder `base` describes; `args` turns a command, the place of its state and
    /// its options into arguments.
    ///
    /// # Errors
    /// What in it makes no sense, in a clause.
    pub fn of(
        table: &Table,
        base: &Path,
        defaults: Defaults,
        args: impl Fn(&str, &Path, &Table) -> Result<Vec<String>, String>,
    ) -> Result<Plan, String> {
        let mut plan = Plan {
            host: defaults.name.clone(),
            trackers: trackers_of(table),
            revive: table
                .get(REVIVE)
                .map_or(Ok(Revive::default()), |table| revive(section(REVIVE, table)?))?,
            name: defaults.name,
            state: defaults.state,
            base: base.to_owned(),
            patience: Patience::default(),
            roles: BTreeMap::new(),
        };
        if let Some(node) = table.get(NODE) {
            plan.settle(section(NODE, node)?)?;
        }
        for (key, value) in table.iter().filter(|(key, _)| ![NODE, REVIVE].contains(&key.as_str())) {
            if SINGLE.contains(&key.as_str()) {
                plan.add(key, key, section(key, value)?, &args)?;
            } else if NAMED.contains(&key.as_str()) {
                for (name, value) in section(key, value)? {
                    let all = format!("{key}.{name}");
                    plan.add(key, name, section(&all, value)?, &args)?;
                }
            } else {
                let all: Vec<String> = NAMED.iter().map(|named| format!("[{named}.NAME]")).collect();
                return Err(format!(
                    "unknown section `{key}`; there are [node], [revive], [tracker] and {}",
                    all.join(", ")
                ));
            }
        }
        match plan.stray() {
            Some((name, after)) => {
                Err(format!("`{name}` is to start after `{after}`, which is no role here"))
            }
            None if plan.roles.is_empty() => {
                Err("there is no role in it; [tracker] or [peer.NAME] is one".to_owned())
            }
            None => match plan.circle() {
                Some(name) => Err(format!("`{name}` would start after itself")),
                None => Ok(plan),
            },
        }
    }

    /// Where the agent keeps its state by a configuration in the folder `base`, if that says so.
    pub fn state_in(table: &Table, base: &Path) -> Option<PathBuf> {
        Some(base.join(table.get(NODE)?.get("state")?.as_str()?))
    }

    /// Where the role of this name has what makes it the only one.
    pub fn folder_of(&self, role: &str) -> PathBuf {
        self.state.join("roles").join(role)
    }

    fn settle(&mut self, node: &Table) -> Result<(), String> {
        for (key, value) in node {
            let text = || value.as_str().ok_or_else(|| format!("the value of `{key}` must be a text"));
            match key.as_str() {
                "name" => self.name = sound(text()?)?,
                "host" => self.host = sound(text()?)?,
                "trackers" => {
                    self.trackers = texts(value).ok_or("`trackers` of [node] must be a list of addresses")?;
                }
                "state" => self.state = self.base.join(text()?),
                "pause" => self.patience.pause = time(key, value)?,
                "longest-pause" => self.patience.longest = time(key, value)?,
                "start-patience" => self.patience.start = time(key, value)?,
                "watchdog" => self.patience.watchdog = time(key, value)?,
                "stop-patience" => self.patience.stop = time(key, value)?,
                _ => {
                    return Err(format!("unknown key `{key}` in [node]; there are {}", NODE_KEYS.join(", ")));
                }
            }
        }
        Ok(())
    }

    fn add(
        &mut self,
        command: &str,
        name: &str,
        options: &Table,
        args: &impl Fn(&str, &Path, &Table) -> Result<Vec<String>, String>,
    ) -> Result<(), String> {
        let name = sound(name)?;
        let mut options = options.clone();
        let after = match options.remove(AFTER) {
            None => BTreeSet::new(),
            Some(after) => {
                names(&after).ok_or_else(|| format!("`{AFTER}` of `{name}` must be a list of roles"))?
            }
        };
        let state = self.state.join(&name);
        let args = args(command, &state, &options).map_err(|fault| format!("role `{name}`: {fault}"))?;
        match self.roles.insert(name.clone(), Assignment { args, after }) {
            None => Ok(()),
            Some(_) => Err(format!("two roles are called `{name}`")),
        }
    }

    /// Who is to start after somebody that is not here.
    fn stray(&self) -> Option<(&String, &String)> {
        let pairs =
            self.roles.iter().flat_map(|(name, role)| role.after.iter().map(move |after| (name, after)));
        pairs.into_iter().find(|(_, after)| !self.roles.contains_key(*after))
    }

    /// Who would wait for itself.
    fn circle(&self) -> Option<&String> {
        let mut free = BTreeSet::new();
        loop {
            let more: Vec<&String> = self
                .roles
                .iter()
                .filter(|(name, role)| {
                    !free.contains(*name) && role.after.iter().all(|other| free.contains(other))
                })
                .map(|(name, _)| name)
                .collect();
            if more.is_empty() {
                return self.roles.keys().find(|name| !free.contains(*name));
            }
            free.extend(more);
        }
    }
}

/// The trackers that a configuration speaks of, without [node]: that of the node, and those of its peers.
fn trackers_of(table: &Table) -> Vec<String> {
    let own = table.get(TRACKER).and_then(Value::as_table).map(|tracker| {
        let listens = tracker.get(LISTEN).and_then(Value::as_str).unwrap_or(LISTENS);
        let (host, port) = listens.rsplit_once(':').unwrap_or((listens, ""));
        let host = if ["0.0.0.0", "[::]"].contains(&host) { "127.0.0.1" } else { host };
        (port != "0").then(|| format!("{host}:{port}"))
    });
    let peers = table.iter().filter(|(key, _)| NAMED.contains(&key.as_str()));
    let peers = peers.flat_map(|(_, peers)| peers.as_table().into_iter().flat_map(Table::values));
    let theirs = peers.filter_map(Value::as_table).flat_map(|peer| {
        let lists = TRACKERS.iter().filter_map(|key| texts(peer.get(*key)?));
        lists.flatten().collect::<Vec<String>>()
    });
    let mut all: Vec<String> = Vec::new();
    for tracker in own.flatten().into_iter().chain(theirs) {
        if !all.contains(&tracker) {
            all.push(tracker);
        }
    }
    all
}

/// How others are brought back.
fn revive(table: &Table) -> Result<Revive, String> {
    let mut revive = Revive::default();
    for (key, value) in table {
        let list = || texts(value).ok_or_else(|| format!("`{key}` of [{REVIVE}] must be a list of texts"));
        match key.as_str() {
            "run" => revive.run = list()?,
            "nodes" => {
                revive.nodes = list()?.iter().map(|name| sound(name)).collect::<Result<_, _>>()?;
            }
            _ => {
                return Err(format!(
                    "unknown key `{key}` in [{REVIVE}]; there are {}",
                    REVIVE_KEYS.join(", ")
                ));
            }
        }
    }
    match revive.run.is_empty() {
        true => Err(format!("[{REVIVE}] must say what to `run`, as a list: the program and its arguments")),
        false => Ok(revive),
    }
}

fn section<'a>(name: &str, value: &'a Value) -> Result<&'a Table, String> {
    value.as_table().ok_or_else(|| format!("`{name}` must be a section, [{name}]"))
}

/// A name that can stand in a path, a log and a command line.
fn sound(name: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let is_sound = (1..=MAX_NAME_BYTES).contains(&name.len())
        && name.chars().all(plain)
        && !name.starts_with(['.', '-']);
    if is_sound {
        Ok(name.to_owned())
    } else {
        Err(format!("`{name}` is no name; letters, digits, `.`, `-` and `_` make one"))
    }
}

fn names(value: &Value) -> Option<BTreeSet<String>> {
    texts(value).map(|texts| texts.into_iter().collect())
}

fn texts(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|text| text.as_str().map(str::to_owned)).collect()
}

fn time(key: &str, value: &Value) -> Result<Duration, String> {
    let time = match value {
        Value::Integer(seconds) => u64::try_from(*seconds).ok().map(Duration::from_secs),
        Value::String(text) => humantime::parse_duration(text).ok(),
        _ => None,
    };
    time.filter(|time| *time >= LEAST).ok_or_else(|| {
        format!("`{value}` is no value of `{key}`: a duration is a number with a unit, such as 30s")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(text: &str) -> Result<Plan, String> {
        let defaults = Defaults { name: "host".to_owned(), state: "/state".into() };
        Plan::of(&text.parse().unwrap(), Path::new("/etc/p2p"), defaults, |command, state, options| {
            let mut args = vec![command.to_owned(), state.display().to_string()];
            args.extend(options.keys().cloned());
            if options.contains_key("bad") { Err("it is bad".to_owned()) } else { Ok(args) }
        })
    }

    #[test]
    fn a_node_is_its_sections() {
        let text = "[node]\nname = \"a\"\nstate = \"s\"\npause = \"20ms\"\nwatchdog = 5\n\
            [tracker]\nlisten = \"h:1\"\n[peer.data]\nfolder = \"/d\"\nafter = [\"tracker\"]\n[peer.more]\nfolder = \"/m\"";
        let plan = plan(text).unwrap();
        assert_eq!((&*plan.name, &*plan.state), ("a", Path::new("/etc/p2p/s")));
        let Patience { pause, watchdog, start, .. } = plan.patience;
        assert_eq!((pause, watchdog), (Duration::from_millis(20), Duration::from_secs(5)));
        assert_eq!(start, Patience::default().start);
        assert_eq!(plan.roles.keys().collect::<Vec<_>>(), ["data", "more", "tracker"]);
        assert_eq!(plan.roles["data"].args, ["peer", "/etc/p2p/s/data", "folder"]);
        assert_eq!(plan.roles["data"].after.iter().collect::<Vec<_>>(), ["tracker"]);
        assert_eq!(plan.folder_of("data"), Path::new("/etc/p2p/s/roles/data"));
    }

    #[test]
    fn a_node_beats_to_its_own_tracker_and_to_those_of_its_peers_unless_it_says_to_whom() {
        let of = |text: &str| plan(text).unwrap().trackers;
        assert_eq!(of("[tracker]"), ["127.0.0.1:9700"]);
        assert_eq!(of("[tracker]\nlisten = \"0.0.0.0:7\""), ["127.0.0.1:7"]);
        assert_eq!(of("[tracker]\nlisten = \"h:0\""), [""; 0], "nobody knows where it listens");
        let peers = "[tracker]\nlisten = \"h:1\"\n[peer.a]\ntrackers = [\"x:1\", \"h:1\"]\n[peer.b]\ntrackers = [\"y:1\"]";
        assert_eq!(of(peers), ["h:1", "x:1", "y:1"]);
        assert_eq!(of(&format!("[node]\ntrackers = [\"z:1\"]\n{peers}")), ["z:1"]);
    }

    #[test]
    fn how_others_are_brought_back_is_a_list_of_words() {
        let text =
            "[node]\nhost = \"a.lan\"\n[revive]\nrun = [\"ssh\", \"{host}\"]\nnodes = [\"b\"]\n[tracker]";
        let plan_ = plan(text).unwrap();
        assert_eq!(
            (&*plan_.host, &plan_.revive.run[..]),
            ("a.lan", &["ssh".to_owned(), "{host}".to_owned()][..])
        );
        assert!(plan_.revive.nodes.contains("b"));
        let fault = |text: &str| plan(&format!("[tracker]\n[revive]\n{text}")).unwrap_err();
        assert!(fault("").contains("must say what to `run`"));
        assert_eq!(fault("run = \"ssh\""), "`run` of [revive] must be a list of texts");
        assert!(fault("ruun = []").starts_with("unknown key `ruun` in [revive]; there are run, nodes"));
        assert!(fault("run = [\"x\"]\nnodes = [\"a b\"]").starts_with("`a b` is no name"));
    }

    #[test]
    fn mistakes_are_named() {
        let fault = |text: &str| plan(text).unwrap_err();
        assert!(fault("").starts_with("there is no role in it"));
        assert!(fault("[node]\nnam = 1").starts_with("unknown key `nam` in [node]; there are name, "));
        assert_eq!(fault("[node]\nname = 1"), "the value of `name` must be a text");
        assert!(fault("[node]\nname = \"a/b\"").starts_with("`a/b` is no name"));
        assert!(fault("[node]\nwatchdog = \"0s\"").starts_with("`\"0s\"` is no value of `watchdog`"));
        assert!(fault("[node]\npause = -1").contains("a number with a unit"));
        assert!(
            fault("[trackr]").starts_with(
                "unknown section `trackr`; there are [node], [revive], [tracker] and [peer.NAME]"
            )
        );
        assert_eq!(fault("tracker = 1"), "`tracker` must be a section, [tracker]");
        assert_eq!(fault("[peer]\nfolder = \"x\""), "`peer.folder` must be a section, [peer.folder]");
        assert_eq!(fault("[peer.a]\nbad = 1"), "role `a`: it is bad");
        assert_eq!(fault("[tracker]\n[peer.tracker]"), "two roles are called `tracker`");
        assert_eq!(fault("[peer.a]\nafter = 1"), "`after` of `a` must be a list of roles");
        assert_eq!(fault("[peer.a]\nafter = [\"b\"]"), "`a` is to start after `b`, which is no role here");
        let circle = "[peer.a]\nafter = [\"b\"]\n[peer.b]\nafter = [\"c\"]\n[peer.c]\nafter = [\"b\"]";
        assert_eq!(fault(circle), "`a` would start after itself");
    }
}
