//! `p2p node`: asks the agent of a node how its roles are, and has it do something about them.

use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::api::node::{AGENT_SOCKET, NodeAnswer, NodeRequest, NodeStatus, RoleState, RoleStatus};
use crate::cli::failure::{Failure, reason};
use crate::cli::run::up;
use crate::cli::show::output;
use crate::cli::show::table::{Align, Table};
use crate::cli::show::words::{age, shown};
use crate::cli::typed::nodes::{NodeAct, NodeArgs};
use crate::{local, owner};

/// How long an agent may be silent: it answers at once.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks whether what was asked for is so.
const LOOK: Duration = Duration::from_millis(50);

/// `p2p node ACT`
pub(crate) fn node(args: &NodeArgs) -> Result<(), Failure> {
    let agent = Asked { state: state(args)?, until: Instant::now() + args.wait.0 };
    let status = match &args.act {
        NodeAct::Status => agent.status()?,
        NodeAct::Logs { role } => return logs(args.json, &agent, role),
        NodeAct::Start { role } => {
            agent.act(NodeRequest::Start { role: role.clone() })?;
            agent.settled(role, 0)?
        }
        NodeAct::Stop { role } => {
            agent.act(NodeRequest::Stop { role: role.clone() })?;
            agent.until(|status| find(status, role).is_none_or(|role| role.state == RoleState::Stopped))?
        }
        NodeAct::Restart { role: Some(role) } => agent.restart(role)?,
        NodeAct::Restart { role: None } => {
            // One after the other: what is up stays up as far as it can.
            let is_up = |role: &RoleStatus| !matches!(role.state, RoleState::Stopped | RoleState::Broken);
            let up = agent.status()?.roles.into_iter().filter(is_up);
            for role in up {
                agent.restart(&role.role)?;
            }
            agent.status()?
        }
        NodeAct::Drain => {
            agent.act(NodeRequest::Drain { drained: true })?;
            agent.until(|status| status.roles.iter().all(|role| role.state == RoleState::Stopped))?
        }
        NodeAct::Undrain => {
            agent.act(NodeRequest::Drain { drained: false })?;
            agent.until(|status| status.roles.iter().all(is_settled))?
        }
        NodeAct::Reload => {
            agent.act(NodeRequest::Reload {})?;
            agent.until(|status| status.roles.iter().all(is_settled))?
        }
    };
    output::answer(args.json, &status, || words(&status))
}

fn state(args: &NodeArgs) -> Result<PathBuf, Failure> {
    match (&args.state, &args.file) {
        (Some(state), _) => Ok(state.clone()),
        (None, Some(file)) => up::state(file),
        // An agent may run without a configuration that is found from here.
        (None, None) => up::file(None).map_or_else(|_| Ok(up::default_state()), |file| up::state(&file)),
    }
}

fn logs(json: bool, agent: &Asked, role: &str) -> Result<(), Failure> {
    match agent.ask(&NodeRequest::Logs { role: role.to_owned() })? {
        NodeAnswer::Logs(lines) if json => output::json(&lines),
        NodeAnswer::Logs(lines) => lines.iter().try_for_each(|line| output::line(&shown(line))),
        _ => Err(strange("to another question")),
    }
}

/// True if nothing more is to be expected of it for now.
fn is_settled(role: &RoleStatus) -> bool {
    matches!(role.state, RoleState::Running | RoleState::Stopped | RoleState::Broken)
}

fn find<'a>(status: &'a NodeStatus, role: &str) -> Option<&'a RoleStatus> {
    status.roles.iter().find(|status| status.role == role)
}

/// The agent of a node, as long as it is waited for.
#[derive(Debug)]
struct Asked {
    state: PathBuf,
    until: Instant,
}

impl Asked {
    fn status(&self) -> Result<NodeStatus, Failure> {
        self.act(NodeRequest::Status {})
    }

    fn act(&self, request: NodeRequest) -> Result<NodeStatus, Failure> {
        match self.ask(&request)? {
            NodeAnswer::Status(status) => Ok(status),
            _ => Err(strange("to another question")),
        }
    }

    fn restart(&self, role: &str) -> Result<NodeStatus, Failure> {
        let starts = find(&self.status()?, role).map_or(0, |role| role.starts);
        self.act(NodeRequest::Restart { role: role.to_owned() })?;
        self.settled(role, starts)
    }

    /// Waits until a role is up that has been started more often than so.
    fn settled(&self, role: &str, starts: u64) -> Result<NodeStatus, Failure> {
        let status = self.until(|status| {
            find(status, role).is_none_or(|role| is_settled(role) && (role.starts > starts || status.drained))
        })?;
        if status.drained {
            return Err(Failure::other(format!(
                "the node is drained, so {role} is down until `p2p node undrain`"
            )));
        }
        match find(&status, role).map(|role| (role.state, role.last_lines.last())) {
            Some((RoleState::Broken, line)) => Err(Failure::other(format!(
                "{role} does not start: {}",
                line.map_or_else(|| "what it was told makes no sense".to_owned(), |line| shown(line))
            ))),
            _ => Ok(status),
        }
    }

    /// Waits until the node is so.
    fn until(&self, is_so: impl Fn(&NodeStatus) -> bool) -> Result<NodeStatus, Failure> {
        loop {
            let status = self.status()?;
            if is_so(&status) {
                return Ok(status);
            }
            if Instant::now() >= self.until {
                return Err(Failure::other(
                    "it has begun and goes on; `p2p node status` shows how far it is",
                ));
            }
            thread::sleep(LOOK);
        }
    }

    fn ask(&self, request: &NodeRequest) -> Result<NodeAnswer, Failure> {
        let nobody = || nobody(&self.state);
        let stream = local::connect(&self.state, AGENT_SOCKET, owner::of_folder(&self.state), PATIENCE)
            .ok_or_else(nobody)?;
        let mut line = serde_json::to_vec(request).map_err(|error| strange(&error.to_string()))?;
        line.push(b'\n');
        local::say(&stream, &line).map_err(|error| silent(&error))?;
        let mut answer = String::new();
        match BufReader::new(&stream).read_line(&mut answer) {
            Ok(0) => Err(nobody()),
            Ok(_) => match serde_json::from_str(&answer) {
                Ok(NodeAnswer::Error(fault)) => Err(Failure::new(fault.code, fault.message)),
                Ok(answer) => Ok(answer),
                Err(error) => Err(strange(&error.to_string())),
            },
            Err(error) => Err(silent(&error)),
        }
    }
}

fn nobody(state: &Path) -> Failure {
    Failure::unreachable(format!(
        "no agent has its state in {}; `p2p up` starts one, --file or --state say which one is meant",
        state.display()
    ))
}

fn silent(error: &io::Error) -> Failure {
    Failure::unreachable(format!("the agent does not answer: {}", reason(error)))
}

fn strange(what: &str) -> Failure {
    Failure::other(format!("the agent answered strangely: {what}; is it of another version?"))
}

fn words(status: &NodeStatus) -> String {
    let mut table = Table::new([
        ("ROLE", Align::Left),
        ("STATE", Align::Left),
        ("FOR", Align::Right),
        ("PID", Align::Right),
        ("STARTS", Align::Right),
        ("SAYS", Align::Left),
    ]);
    for role in &status.roles {
        let looping = if role.looping { ", looping" } else { "" };
        table.row([
            role.role.clone(),
            format!("{}{looping}", role.state.name()),
            role.ready_ms.map_or_else(String::new, |ms| age(ms / 1000)),
            role.pid.map_or_else(String::new, |pid| pid.to_string()),
            role.starts.to_string(),
            shown(&says(role)),
        ]);
    }
    let drained = if status.drained { ", drained" } else { "" };
    let mut text = format!("node {}{drained}\n{}", status.node, table.render(output::columns()));
    for role in status.roles.iter().filter(|role| !role.last_lines.is_empty()) {
        text.push_str(&format!("\n\nlast lines of {}:", role.role));
        role.last_lines.iter().for_each(|line| text.push_str(&format!("\n  {}", shown(line))));
    }
    text
}

fn says(role: &RoleStatus) -> String {
    let ended = role.last_end.as_ref().map(|end| format!("ended with {end}"));
    match (role.state, role.next_ms) {
        (RoleState::Backoff, Some(ms)) => {
            format!("{}, again in {} s", ended.unwrap_or_default(), ms.div_ceil(1000))
        }
        (RoleState::Running | RoleState::Stopping, _) => role.says.clone().unwrap_or_default(),
        _ => ended.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_a_table_and_who_is_in_trouble_is_heard() {
        let role = |name: &str, state| RoleStatus {
            role: name.to_owned(),
            state,
            pid: None,
            ready_ms: None,
            next_ms: None,
            starts: 1,
            looping: false,
            says: Some("well".to_owned()),
            last_end: Some("exit code 1".to_owned()),
            last_lines: Vec::new(),
        };
        let up = RoleStatus { pid: Some(7), ready_ms: Some(125_000), ..role("a", RoleState::Running) };
        let next = RoleStatus {
            next_ms: Some(1500),
            looping: true,
            starts: 6,
            last_lines: vec!["oh\n".to_owned()],
            ..role("b", RoleState::Backoff)
        };
        let status = NodeStatus {
            node: "n".to_owned(),
            pid: 1,
            state: "/s".into(),
            drained: true,
            roles: vec![up, next, role("c", RoleState::Stopped)],
        };
        let text = words(&status);
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[0], ["node", "n,", "drained"]);
        assert_eq!(lines[2], ["a", "running", "2", "min", "7", "1", "well"]);
        let waits =
            ["b", "backoff,", "looping", "6", "ended", "with", "exit", "code", "1,", "again", "in", "2", "s"];
        assert_eq!(lines[3], waits);
        assert!(text.ends_with("\n\nlast lines of b:\n  oh\\n"), "{text}");
    }
}
