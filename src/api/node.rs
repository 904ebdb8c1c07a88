//! What is said of a node: the roles that its agent keeps running on a host. And what its agent is asked on its socket: one
//! JSON request on a line, one JSON answer.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::control::Fault;
use crate::wire;

/// The socket's name in the folder of the agent's state.
pub const AGENT_SOCKET: &str = "agent.sock";

/// What an agent is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum NodeRequest {
    /// How its roles are.
    Status {},
    /// To have a role up.
    Start {
        /// Its name.
        role: String,
    },
    /// To have a role down until it is started.
    Stop {
        /// Its name.
        role: String,
    },
    /// To start a role anew.
    Restart {
        /// Its name.
        role: String,
    },
    /// To have all roles down, or up again as they were; kept over a restart of the agent.
    Drain {
        /// Down.
        drained: bool,
    },
    /// To read its configuration again; only roles whose lines changed are started anew.
    Reload {},
    /// What a role said last.
    Logs {
        /// Its name.
        role: String,
    },
}

/// What it answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeAnswer {
    /// How its roles are, after what was asked has begun.
    Status(NodeStatus),
    /// The last lines of a role.
    Logs(Vec<String>),
    /// It could not be done.
    Error(Fault),
}

/// A node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Its name.
    pub node: String,
    /// The process of its agent.
    pub pid: u32,
    /// Where the agent keeps its state.
    pub state: PathBuf,
    /// All roles are to be down.
    pub drained: bool,
    /// By name.
    pub roles: Vec<RoleStatus>,
}

/// What a role does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoleState {
    /// It is down, and is to be.
    Stopped,
    /// It is started when those it starts after are ready.
    Waiting,
    /// Its process is not ready yet.
    Starting,
    /// It is ready.
    Running,
    /// Its process is to end.
    Stopping,
    /// Its process has ended, and another is started in a moment.
    Backoff,
    /// What it was told makes no sense: only another configuration, or a person, helps.
    Broken,
}

impl RoleState {
    /// As it is written in JSON.
    pub fn name(self) -> &'static str {
        match self {
            RoleState::Stopped => "stopped",
            RoleState::Waiting => "waiting",
            RoleState::Starting => "starting",
            RoleState::Running => "running",
            RoleState::Stopping => "stopping",
            RoleState::Backoff => "backoff",
            RoleState::Broken => "broken",
        }
    }
}

impl From<wire::RoleState> for RoleState {
    fn from(state: wire::RoleState) -> RoleState {
        match state {
            wire::RoleState::Stopped => RoleState::Stopped,
            wire::RoleState::Waiting => RoleState::Waiting,
            wire::RoleState::Starting => RoleState::Starting,
            wire::RoleState::Running => RoleState::Running,
            wire::RoleState::Stopping => RoleState::Stopping,
            wire::RoleState::Backoff => RoleState::Backoff,
            wire::RoleState::Broken => RoleState::Broken,
        }
    }
}

/// A role of a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RoleStatus {
    /// Its name.
    pub role: String,
    /// What it does.
    pub state: RoleState,
    /// Its process, if it has one.
    pub pid: Option<u32>,
    /// Milliseconds in a row that it has been ready.
    pub ready_ms: Option<u64>,
    /// Milliseconds until it is started again.
    pub next_ms: Option<u64>,
    /// Processes that were started.
    pub starts: u64,
    /// It ended five times or more within a minute.
    pub looping: bool,
    /// What it said of itself last.
    pub says: Option<String>,
    /// How its last process ended.
    pub last_end: Option<String>,
    /// The last that it wrote, if it is looping or broken.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub last_lines: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Exit;

    #[test]
    fn what_an_agent_is_asked_and_answers_is_a_line_of_json() {
        let role = || "store".to_owned();
        for (request, line) in [
            (NodeRequest::Status {}, r#"{"status":{}}"#),
            (NodeRequest::Start { role: role() }, r#"{"start":{"role":"store"}}"#),
            (NodeRequest::Stop { role: role() }, r#"{"stop":{"role":"store"}}"#),
            (NodeRequest::Restart { role: role() }, r#"{"restart":{"role":"store"}}"#),
            (NodeRequest::Drain { drained: true }, r#"{"drain":{"drained":true}}"#),
            (NodeRequest::Reload {}, r#"{"reload":{}}"#),
            (NodeRequest::Logs { role: role() }, r#"{"logs":{"role":"store"}}"#),
        ] {
            assert_eq!(serde_json::to_string(&request).unwrap(), line);
            assert_eq!(serde_json::from_str::<NodeRequest>(line).unwrap(), request);
        }
        for wrong in [r#"{"status":{"all":true}}"#, r#"{"explode":{}}"#, r#"{"stop":{}}"#, "[]", ""] {
            assert!(serde_json::from_str::<NodeRequest>(wrong).is_err(), "{wrong}");
        }
        let fault = Fault { code: Exit::NotFound, message: "no such role".into(), no_folder: false };
        let said = serde_json::to_string(&NodeAnswer::Error(fault.clone())).unwrap();
        assert_eq!(serde_json::from_str::<NodeAnswer>(&said).unwrap(), NodeAnswer::Error(fault));
    }

    #[test]
    fn a_state_is_called_the_same_by_agents_and_by_trackers() {
        for state in wire::RoleState::ALL {
            let here = RoleState::from(*state);
            assert_eq!(serde_json::to_value(here).unwrap(), here.name());
            assert_eq!(here.name().to_uppercase(), state.label());
        }
    }
}
