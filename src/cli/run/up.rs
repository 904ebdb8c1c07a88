//! `p2p up`: runs a node, which is what its configuration says, until it is stopped.

use std::fs;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use crate::api::Exit;
use crate::api::node::{NodeStatus, RoleState};
use crate::cli::failure::{Failure, reason};
use crate::cli::reach::swarm;
use crate::cli::run::demo::Demo;
use crate::cli::run::signals::Stop;
use crate::cli::run::{engine, enter};
use crate::cli::show::output;
use crate::cli::typed::address::tracker_address;
use crate::cli::typed::nodes::UpArgs;
use crate::cli::typed::settings;
use crate::cli::typed::swarm::SwarmArgs;
use crate::net;
use crate::node::{Agent, Defaults, End, Plan, Reread};
use crate::{say, threads};

/// Where a configuration is looked for last.
const OF_THE_SYSTEM: &str = "/etc/p2p/node.toml";
const FILE: &str = "node.toml";
/// Where systemd has a service keep its state.
const STATE_VARIABLE: &str = "STATE_DIRECTORY";
/// Where root's nodes do.
const STATE_OF_ROOT: &str = "/var/lib/p2p";

/// `p2p up [FILE]`
pub(crate) fn up(args: &UpArgs, keys: &SwarmArgs) -> Result<(), Failure> {
    let stop = Stop::install()?;
    let service = stop.service()?;
    let demo = args.demo.map(Demo::prepare).transpose()?;
    let (plan, reread): (Plan, Reread) = match &demo {
        Some(demo) => {
            let plan = demo.plan();
            (plan.clone(), Box::new(move || Ok(plan.clone())))
        }
        None => {
            let file = file(args.file.as_deref())?;
            let plan = read(&file).map_err(Failure::usage)?;
            (plan, Box::new(move || read(&file)))
        }
    };
    let agent = Agent::new(plan, reread, of_every_role(keys)?, identity)?;
    stop.graceful();
    let ender = agent.ender();
    let stopped = move || {
        stop.wait_until(None);
        ender.end();
    };
    threads::named("node-stop").essential(stopped).map_err(Failure::no_thread)?;
    let end = agent.run(&service, |status| {
        let words = ready(status);
        output::ready(&words);
        service.ready(&words);
        if let Some(demo) = &demo {
            demo.tell();
        }
    });
    match end {
        End::Asked => Ok(()),
        End::Fenced => Err(Failure::quiet(Exit::Fenced)),
    }
}

/// Who an agent is: in an open swarm too the one that its state says, so that its node is the same after a restart.
fn identity(plan: &Plan) -> std::io::Result<net::Identity> {
    swarm::look_again();
    let keyring = enter::keys_in(&plan.state, &plan.name, &plan.trackers)?;
    let key = swarm::identity_in(Some(&plan.state))?;
    Ok(net::Identity::new(keyring, key.public().peer_id(), plan.name.clone(), 0))
}

/// What roles are told besides what is theirs, as this process was: in which swarm they are, and how logs are written.
fn of_every_role(keys: &SwarmArgs) -> Result<Vec<String>, Failure> {
    let mut args = Vec::new();
    args.extend(keys.open.then(|| "--open".to_owned()));
    if let Some(file) = keys.named() {
        // Their folder may be another.
        let file = std::path::absolute(file)
            .map_err(|error| Failure::usage(format!("{}: {}", file.display(), reason(&error))))?;
        args.push(format!("--swarm={}", file.display()));
    }
    args.extend(say::is_json().then(|| "--log-format=json".to_owned()));
    Ok(args)
}

/// The line that says that the roles are up, or which are not.
fn ready(status: &NodeStatus) -> String {
    let named = |wanted: &dyn Fn(&RoleState) -> bool| -> Vec<&str> {
        status.roles.iter().filter(|role| wanted(&role.state)).map(|role| &*role.role).collect()
    };
    let up = named(&|state| *state == RoleState::Running);
    let down = named(&|state| *state != RoleState::Running);
    let up = if up.is_empty() { "nothing".to_owned() } else { up.join(", ") };
    let down = if down.is_empty() { String::new() } else { format!("; down: {}", down.join(", ")) };
    format!("node {} is up: {up}{down}", status.node)
}

/// The configuration that is meant: the one named, else the first that is there.
pub(crate) fn file(named: Option<&Path>) -> Result<PathBuf, Failure> {
    if let Some(named) = named {
        return Ok(named.to_owned());
    }
    let configured = dirs::config_dir().map(|folder| folder.join("p2p").join(FILE));
    let places: Vec<PathBuf> =
        [Some(FILE.into()), configured, Some(OF_THE_SYSTEM.into())].into_iter().flatten().collect();
    places.iter().find(|place| place.exists()).cloned().ok_or_else(|| {
        let places: Vec<String> = places.iter().map(|place| place.display().to_string()).collect();
        Failure::usage(format!(
            "there is no configuration of a node: none of {} is there; name one, or try `p2p up --demo 3`",
            places.join(", ")
        ))
    })
}

/// What the configuration in a file describes.
fn read(file: &Path) -> Result<Plan, String> {
    let (table, base) = table(file)?;
    let defaults = Defaults { name: engine::host_name(), state: default_state() };
    let plan = Plan::of(&table, &base, defaults, arguments).and_then(|plan| {
        let trackers =
            plan.trackers.iter().map(|tracker| tracker_address(tracker)).collect::<Result<_, _>>()?;
        Ok(Plan { trackers, ..plan })
    });
    plan.map_err(|fault| format!("{}: {fault}", file.display()))
}

/// Where the agent of the node that a file describes keeps its state, whatever else the file says.
pub(crate) fn state(file: &Path) -> Result<PathBuf, Failure> {
    let (table, base) = table(file).map_err(Failure::usage)?;
    Ok(Plan::state_in(&table, &base).unwrap_or_else(default_state))
}

/// What a file says, and the folder that it is in.
fn table(file: &Path) -> Result<(Table, PathBuf), String> {
    let text = fs::read_to_string(file)
        .map_err(|error| format!("cannot read {}: {}", file.display(), reason(&error)))?;
    let table = settings::table(&text).map_err(|fault| format!("{}: {fault}", file.display()))?;
    let whole = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    Ok((table, whole.parent().unwrap_or(Path::new("/")).to_owned()))
}

/// Where a node of this user keeps its state.
pub(crate) fn default_state() -> PathBuf {
    if let Some(given) = std::env::var_os(STATE_VARIABLE).filter(|given| !given.is_empty()) {
        return PathBuf::from(given);
    }
    if rustix::process::geteuid().is_root() {
        return PathBuf::from(STATE_OF_ROOT);
    }
    let own = dirs::state_dir().or_else(dirs::data_local_dir).unwrap_or_else(std::env::temp_dir);
    own.join("p2p")
}

/// The arguments of a role. The tracker of a node keeps its records, unless it says `data = false`: it comes back as it
/// was.
fn arguments(command: &str, state: &Path, options: &Table) -> Result<Vec<String>, String> {
    let mut options = options.clone();
    if command == "tracker" {
        match options.get("data") {
            None => _ = options.insert("data".to_owned(), Value::String(state.display().to_string())),
            Some(Value::Boolean(false)) => _ = options.remove("data"),
            Some(_) => {}
        }
    }
    settings::arguments(command, &options)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("node.toml");
        fs::write(&file, text).unwrap();
        (folder, file)
    }

    #[test]
    fn a_tracker_of_a_node_keeps_its_records() {
        let (folder, file) = write("[node]\nstate = \"s\"\n[tracker]\nlisten = \"h:1\"");
        let plan = read(&file).unwrap();
        let data = folder.path().join("s/tracker");
        let args = ["tracker".to_owned(), format!("--data={}", data.display()), "--listen=h:1".to_owned()];
        let mut ours = plan.roles["tracker"].args.clone();
        ours.sort();
        assert_eq!(ours, {
            let mut args = args;
            args.sort();
            args
        });
        assert_eq!(state(&file).unwrap(), folder.path().join("s"));
    }

    #[test]
    fn a_file_that_is_not_there_or_says_nonsense_is_named() {
        let (_folder, file) = write("[tracker]\nlisten = = 1");
        let fault = read(&file).unwrap_err();
        assert!(fault.starts_with(&format!("{}: line 2 is not valid TOML", file.display())), "{fault}");
        assert!(
            read(Path::new("/nowhere/node.toml"))
                .unwrap_err()
                .starts_with("cannot read /nowhere/node.toml: no")
        );
        let (_folder, file) = write("[node]\nstate = \"s\"\n[tracker]\nlisten = 5\n[nonsense]");
        assert!(read(&file).unwrap_err().contains("unknown section `nonsense`"));
        assert!(state(&file).unwrap().ends_with("s"), "its state is found all the same");
    }

    #[test]
    fn it_is_said_which_roles_are_up_and_which_are_not() {
        let ready = |roles: &[(&str, RoleState)]| {
            let role = |(role, state): &(&str, RoleState)| serde_json::json!({ "role": role, "state": state, "starts": 1, "looping": false });
            let roles: Vec<serde_json::Value> = roles.iter().map(role).collect();
            let status = serde_json::json!({ "node": "n1", "pid": 7, "state": "/s", "drained": false, "roles": roles });
            ready(&serde_json::from_value(status).unwrap())
        };
        use RoleState::{Backoff, Broken, Running, Starting, Stopped};
        assert_eq!(ready(&[]), "node n1 is up: nothing");
        assert_eq!(ready(&[("tracker", Running), ("s1", Running)]), "node n1 is up: tracker, s1");
        assert_eq!(
            ready(&[("a", Broken), ("b", Running), ("c", Stopped), ("d", Starting), ("e", Backoff)]),
            "node n1 is up: b; down: a, c, d, e"
        );
    }

    #[test]
    fn roles_are_in_the_swarm_that_their_node_is_in() {
        let told = |open: bool, swarm: Option<&str>| {
            of_every_role(&SwarmArgs { swarm: swarm.map(PathBuf::from), open }).unwrap()
        };
        assert_eq!(told(false, None), Vec::<String>::new());
        assert_eq!(told(true, None), ["--open"]);
        assert_eq!(told(false, Some("/a/keys.toml")), ["--swarm=/a/keys.toml"]);
        assert_eq!(told(false, Some("")), Vec::<String>::new(), "an empty variable names none");
        let [whole] = &told(false, Some("keys.toml"))[..] else { panic!("one") };
        let path = Path::new(whole.strip_prefix("--swarm=").unwrap());
        assert!(path.is_absolute() && path.ends_with("keys.toml"), "their folder is another: {whole}");
    }

    #[test]
    fn nodes_of_a_demonstration_are_what_their_files_say() {
        for nodes in 1..=4_u16 {
            let demo = Demo::prepare(nodes).unwrap();
            let roles = demo.plan().roles;
            assert_eq!(roles.len(), usize::from(nodes));
            let mut places = Vec::new();
            for (name, role) in &roles {
                let [up, file] = &role.args[..] else { panic!("{:?}", role.args) };
                let plan = read(Path::new(file)).unwrap();
                assert_eq!((&**up, &plan.name), ("up", name));
                assert_eq!(plan.trackers.len(), usize::from(nodes));
                let others: Vec<&String> = roles.keys().filter(|other| *other != name).collect();
                assert_eq!(plan.revive.nodes.iter().collect::<Vec<_>>(), others);
                assert_eq!(plan.revive.run[1..4], ["node", "restart", "{node}"]);
                let [store, tracker] = ["store", "tracker"].map(|role| &plan.roles[role]);
                let option = |role: &crate::node::plan::Assignment, option: &str| {
                    let given = role.args.iter().filter_map(|arg| arg.strip_prefix(option));
                    given.map(str::to_owned).collect::<Vec<_>>()
                };
                // One of three or more has records, and a store tells all of them; a store of two is at the first.
                let is_one = nodes >= 3;
                assert_eq!(option(tracker, "--node=").len(), usize::from(is_one));
                assert_eq!(option(tracker, "--data=").len(), usize::from(is_one));
                assert_eq!(option(tracker, "--cluster=").len(), if is_one { nodes.into() } else { 0 });
                let at = option(store, "--tracker=");
                assert_eq!(at.len(), if is_one { nodes.into() } else { 1 });
                assert_eq!(at[0], plan.trackers[0]);
                assert_eq!(store.after.iter().collect::<Vec<_>>(), ["tracker"]);
                places.extend(option(tracker, "--listen="));
            }
            let trackers: Vec<String> = places.clone();
            places.sort();
            places.dedup();
            assert_eq!(places.len(), usize::from(nodes), "each has a port of its own: {trackers:?}");
        }
    }
}
