//! What an agent knows of a role besides what it does, and how that looks: to people, to trackers, and in the log.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::process::Process;
use super::role::{self, Role, State};
use super::tail::Tail;
use crate::api::node::RoleStatus;
use crate::say;
use crate::wire::{Label, NodeRole, RoleState};

/// Lines that are shown of a role that is looping or broken.
const LAST_LINES: usize = 20;

/// What is known of a role besides what it does.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) process: Option<Process>,
    pub(super) starts: u64,
    pub(super) says: Option<String>,
    pub(super) last_end: Option<String>,
    pub(super) tail: Tail,
}

impl Record {
    /// How the role is, as trackers hear of it.
    pub(super) fn told(&self, (name, role): (&str, &Role), now: Instant) -> NodeRole {
        NodeRole {
            name: Label::new(name),
            state: state_of(role.state()),
            starts: self.starts.try_into().unwrap_or(u32::MAX),
            looping: role.is_looping(now),
        }
    }

    /// How the role is, for who asks the agent.
    pub(super) fn status(&self, (name, role): (&str, &Role), now: Instant) -> RoleStatus {
        let ms = |time: Duration| time.as_millis() as u64;
        let state = role.state();
        let looping = role.is_looping(now);
        let told = looping || state == State::Broken;
        RoleStatus {
            role: name.to_owned(),
            state: state_of(state).into(),
            pid: self.process.as_ref().map(Process::pid),
            ready_ms: match state {
                State::Running { since, .. } => Some(ms(now.saturating_duration_since(since))),
                _ => None,
            },
            next_ms: match state {
                State::Pausing { until } => Some(ms(until.saturating_duration_since(now))),
                _ => None,
            },
            starts: self.starts,
            looping,
            says: self.says.clone(),
            last_end: self.last_end.clone(),
            last_lines: if told { self.tail.last(LAST_LINES) } else { Vec::new() },
        }
    }
}

/// A line of a role as an object that names it: that which it is, or one that has it as its message.
pub(super) fn as_object(name: &str, line: &str) -> String {
    let mut object = match serde_json::from_str(line) {
        Ok(Value::Object(object)) => object,
        _ => say::object("info", line),
    };
    // Of a node that is a role itself, the innermost says most.
    let role = match object.get("role").and_then(Value::as_str) {
        Some(inner) => format!("{name}/{inner}"),
        None => name.to_owned(),
    };
    object.insert("role".to_owned(), role.into());
    Value::Object(object).to_string()
}

fn state_of(state: State) -> RoleState {
    match state {
        State::Stopped => RoleState::Stopped,
        State::Waiting => RoleState::Waiting,
        State::Starting { .. } => RoleState::Starting,
        State::Running { .. } => RoleState::Running,
        State::Stopping { .. } => RoleState::Stopping,
        State::Pausing { .. } => RoleState::Backoff,
        State::Broken => RoleState::Broken,
    }
}

pub(super) fn words(end: role::End) -> String {
    match end {
        role::End::Code(code) => format!("exit code {code}"),
        role::End::Signal(signal) => format!("signal {signal}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::role::{Effect, Event, LOOP, Patience};

    #[test]
    fn a_role_is_told_of_as_it_lives_and_its_last_lines_where_it_fails_again_and_again() {
        let mut now = Instant::now();
        let mut role = Role::new(Patience::default(), 7);
        let mut record = Record { starts: 3, says: Some("here".to_owned()), ..Record::default() };
        (1..=LAST_LINES + 5).for_each(|line| record.tail.push(&line.to_string()));
        let state = |role: &Role, now| record.told(("a", role), now).state;
        assert_eq!(state(&role, now), RoleState::Stopped);
        assert_eq!(role.step(Event::Wanted(true), now), None);
        assert_eq!(state(&role, now), RoleState::Waiting);
        assert_eq!(role.step(Event::MayStart(true), now), Some(Effect::Start));
        assert_eq!(state(&role, now), RoleState::Starting);
        assert_eq!(role.step(Event::Ready, now), None);
        let status = record.status(("a", &role), now + Duration::from_millis(1500));
        assert_eq!((status.role.as_str(), status.pid, status.starts), ("a", None, 3));
        assert_eq!((status.ready_ms, status.next_ms, status.looping), (Some(1500), None, false));
        assert_eq!((status.says.as_deref(), status.last_lines.len()), (Some("here"), 0));
        let failed = Event::Ended(role::End::Code(1));
        assert_eq!(role.step(failed, now), Some(Effect::Start), "at once, the first time");
        for _ in 1..LOOP {
            assert!(!record.told(("a", &role), now).looping);
            assert_eq!(role.step(failed, now), None);
            let State::Pausing { until } = role.state() else { panic!("{role:?}") };
            let status = record.status(("a", &role), now);
            assert_eq!(status.next_ms, Some((until - now).as_millis() as u64));
            assert_eq!((state(&role, now), status.ready_ms), (RoleState::Backoff, None));
            now = until;
            assert_eq!(role.step(Event::Tick, now), Some(Effect::Start));
        }
        let status = record.status(("a", &role), now);
        assert!(status.looping && record.told(("a", &role), now).looping);
        assert_eq!(status.last_lines.first().map(String::as_str), Some("6"));
        assert_eq!(status.last_lines.len(), LAST_LINES);
        assert_eq!(role.step(Event::Ended(role::End::Code(2)), now), None);
        let later = now + role::SOUND;
        assert_eq!(state(&role, later), RoleState::Broken);
        let status = record.status(("a", &role), later);
        assert_eq!((status.looping, status.last_lines.len()), (false, LAST_LINES), "nobody starts it again");
    }

    #[test]
    fn so_many_starts_that_a_message_has_no_number_for_them_are_told_as_the_most() {
        let (role, now) = (Role::new(Patience::default(), 7), Instant::now());
        let record = Record { starts: u64::MAX, ..Record::default() };
        assert_eq!(record.told(("a", &role), now).starts, u32::MAX);
        assert_eq!(record.status(("a", &role), now).starts, u64::MAX);
    }

    #[test]
    fn how_a_process_ended_is_said_in_words() {
        assert_eq!(words(role::End::Code(3)), "exit code 3");
        assert_eq!(words(role::End::Signal(9)), "signal 9");
    }

    #[test]
    fn what_a_role_says_in_json_is_one_object_that_names_it() {
        let said: Value =
            serde_json::from_str(&as_object("a", "{\"msg\":\"x\",\"level\":\"warn\"}")).unwrap();
        assert_eq!((&said["msg"], &said["level"], &said["role"]), (&"x".into(), &"warn".into(), &"a".into()));
        let said: Value = serde_json::from_str(&as_object("a", "tracker\tlistening")).unwrap();
        assert_eq!((&said["msg"], &said["role"]), (&"tracker\tlistening".into(), &"a".into()));
        let nested: Value = serde_json::from_str(&as_object("b", &as_object("a", "x"))).unwrap();
        assert_eq!(nested["role"], "b/a");
    }
}
