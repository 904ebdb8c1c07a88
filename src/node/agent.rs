//! The agent of a node: one loop that hears of processes, notices, requests and time, has `roles` decide, and carries out
//! what they decide. It owns all there is; threads that wait for something tell it what came.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use rustix::process::Signal;

use super::control;
use super::news::News;
use super::notice::{self, Notice};
use super::plan::Plan;
use super::process::{self, Heard, Process};
use super::record::{Record, as_object, words};
use super::role::{self, Effect, Event, Role, State};
use super::roles::{self, Roles};
use super::service::Service;
use super::siblings::Siblings;
use crate::api::Exit;
use crate::api::control::Fault;
use crate::api::node::{NodeAnswer, NodeRequest, NodeStatus};
use crate::content::shown;
use crate::net::Identity;
use crate::say;
use crate::storage::{Owned, OwnedError};
use crate::threads;
use crate::wire::NodeRole;

/// The file by which a node stays drained over a restart of its agent.
const DRAINED: &str = "drained";
/// The socket for notices.
const NOTICES: &str = "notify";
/// What may wait to be heard: whoever writes more waits.
const BACKLOG: usize = 1024;
/// How often it is looked whether something is due, should nobody say so.
const LOOK: Duration = Duration::from_secs(60);

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// Another agent has the state, or it cannot be used.
    #[error("{0}")]
    State(#[from] OwnedError),
    /// The system refused something.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Reads a configuration again.
pub type Reread = Box<dyn Fn() -> Result<Plan, String> + Send>;

/// The agent of a node.
pub struct Agent {
    plan: Plan,
    reread: Reread,
    roles: Roles,
    /// What is known of each role besides what it does.
    records: BTreeMap<String, Record>,
    program: PathBuf,
    /// Arguments of every role, before its own.
    common: Vec<String>,
    news: Receiver<News>,
    tell: Sender<News>,
    /// All roles were ready once, or will not be: that was said.
    ready: bool,
    ending: bool,
    /// A later start of this node was let in.
    fenced: bool,
    siblings: Siblings,
    _state: Owned,
    /// Where notices are sent to.
    notices: notice::Place,
}

/// Why an agent has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It was asked to.
    Asked,
    /// A later start of its node was let in.
    Fenced,
}

/// Tells an agent that it is to end.
#[derive(Debug, Clone)]
pub struct Ender(Sender<News>);

impl Ender {
    /// All roles are asked to end, and the agent ends after them.
    pub fn end(&self) {
        let _ = self.0.send(News::End);
    }
}

impl Agent {
    /// An agent that has its state, can be asked, and beats to trackers as who it is; it starts nothing before [`Agent::run`].
    /// `common` are arguments of every role.
    ///
    /// # Errors
    /// [`AgentError`]; nothing is left running.
    pub fn new(
        plan: Plan,
        reread: Reread,
        common: Vec<String>,
        who: impl Fn(&Plan) -> io::Result<Identity> + Send + Sync + 'static,
    ) -> Result<Agent, AgentError> {
        let state = Owned::claim(&plan.state)?;
        let (tell, news) = crossbeam_channel::bounded(BACKLOG);
        let notices = notice::Place::beside(&plan.state.join(NOTICES))?;
        let socket = notice::bind(notices.path())?;
        let told = tell.clone();
        let hear = move || {
            while let Ok((pid, notices)) = notice::receive(&socket) {
                if told.send(News::Told(pid, notices)).is_err() {
                    return;
                }
            }
        };
        threads::small("node-notices").essential(hear)?;
        control::start(&plan.state, &tell)?;
        let drained = fs::exists(plan.state.join(DRAINED)).unwrap_or(false);
        let program = std::env::current_exe()?;
        let node = plan.clone();
        let siblings = Siblings::start(&plan, Arc::new(move || who(&node)), (&program, drained), &tell)?;
        Ok(Agent {
            roles: Roles::new(plan.patience, drained, fastrand::u64(..)),
            records: BTreeMap::new(),
            program,
            common,
            news,
            tell,
            ready: false,
            ending: false,
            fenced: false,
            siblings,
            _state: state,
            notices,
            plan,
            reread,
        })
    }

    /// Ends it from another thread.
    pub fn ender(&self) -> Ender {
        Ender(self.tell.clone())
    }

    /// Keeps the roles as they are to be until it is to end and they have. `ready` is called once, when all roles are ready
    /// or will not be.
    pub fn run(mut self, service: &Service, ready: impl Fn(&NodeStatus)) -> End {
        let orders = self.roles.assign(&self.plan.roles, Instant::now());
        self.carry_out(orders);
        let pulse = service.pulse();
        let mut beat = Instant::now();
        while !(self.ending && self.roles.are_down()) {
            let now = Instant::now();
            if !self.ready && self.roles.are_settled() {
                self.ready = true;
                ready(&self.status(now));
            }
            if let Some(pulse) = pulse.filter(|_| now >= beat) {
                service.alive();
                beat = now + pulse;
            }
            self.siblings.say(self.roles.is_drained(), self.node_roles(now));
            let due = [self.roles.deadline(), self.siblings.deadline(), pulse.map(|_| beat)];
            let due = due.into_iter().flatten().min();
            match self.news.recv_deadline(due.unwrap_or(now + LOOK)) {
                Ok(news) => {
                    let was = self.ending;
                    self.hear(news);
                    if self.ending && !was {
                        service.stopping();
                    }
                }
                Err(_) => {
                    let now = Instant::now();
                    let orders = self.roles.tick(now);
                    self.carry_out(orders);
                    self.siblings.tick(now);
                }
            }
        }
        control::remove(&self.plan.state);
        if self.fenced { End::Fenced } else { End::Asked }
    }

    fn hear(&mut self, news: News) {
        let now = Instant::now();
        match news {
            News::Role(name, _, Heard::Line(line)) => self.line(&name, &line),
            News::Role(name, pid, Heard::Ended(end)) => self.ended(&name, pid, end, now),
            News::Told(pid, notices) => {
                let is_its = |record: &Record| record.process.as_ref().is_some_and(|its| its.pid() == pid);
                let name =
                    self.records.iter().find(|(_, record)| is_its(record)).map(|(name, _)| name.clone());
                if let Some(name) = name {
                    notices.into_iter().for_each(|notice| self.told(&name, notice, now));
                }
            }
            News::Asked(request, answer) => {
                let _ = answer.send(self.answer(request, now));
            }
            News::Tracker(tracker, told) => {
                if !self.siblings.told(tracker, told, now) && !self.fenced {
                    say::line("node: a later start of this node was let in; this one ends, with its roles");
                    self.fenced = true;
                    self.end(now);
                }
            }
            News::HookSaid(duty, line) => self.line(&format!("hook-{duty}"), &line),
            News::HookEnded(duty, how) => self.siblings.ended(duty, &how, now),
            News::End => self.end(now),
        }
    }

    fn end(&mut self, now: Instant) {
        self.ending = true;
        let orders = self.roles.end(now);
        self.carry_out(orders);
    }

    fn line(&mut self, name: &str, line: &str) {
        match say::is_json() {
            true => say::raw_line(&as_object(name, line)),
            false => say::raw_line(&format!("role={name} {}", shown(line))),
        }
        self.records.entry(name.to_owned()).or_default().tail.push(line);
    }

    fn told(&mut self, name: &str, notice: Notice, now: Instant) {
        let event = match notice {
            Notice::Ready => Event::Ready,
            Notice::Alive => Event::Alive,
            Notice::Extend(time) => Event::Extend(time),
            Notice::Status(says) => {
                self.records.entry(name.to_owned()).or_default().says = Some(says);
                return;
            }
        };
        let orders = self.roles.step(name, event, now);
        self.carry_out(orders);
    }

    fn ended(&mut self, name: &str, pid: u32, end: role::End, now: Instant) {
        let Some(record) = self.records.get_mut(name) else { return };
        if record.process.as_ref().is_none_or(|process| process.pid() != pid) {
            return;
        }
        record.process = None;
        let how = words(end);
        record.last_end = Some(how.clone());
        let orders = self.roles.step(name, Event::Ended(end), now);
        self.say_what_follows(name, &how, now);
        self.carry_out(orders);
    }

    fn say_what_follows(&self, name: &str, how: &str, now: Instant) {
        let follows = match self.roles.get(name).map(Role::state) {
            Some(State::Pausing { until }) => {
                format!(
                    "; it is started again in {:.2} s",
                    until.saturating_duration_since(now).as_secs_f64()
                )
            }
            Some(State::Starting { .. }) => "; it is started again".to_owned(),
            Some(State::Broken) => "; mend what it was told, then reload or start it".to_owned(),
            _ => String::new(),
        };
        let looping = match self.roles.get(name).is_some_and(|role| role.is_looping(now)) {
            true => " (it is looping)",
            false => "",
        };
        say::note(&format!("node: {name} ended with {how}{follows}{looping}"));
    }

    /// Carries out what was decided, and what that leads to.
    fn carry_out(&mut self, orders: Vec<roles::Order>) {
        let mut orders = VecDeque::from(orders);
        while let Some((name, effect)) = orders.pop_front() {
            let signal = match effect {
                Effect::Start => {
                    if let Err(error) = self.start(&name) {
                        say::line(&format!("node: {name} cannot be started: {error}"));
                        let failed = Event::Ended(role::End::Code(i32::from(Exit::Other as u8)));
                        orders.extend(self.roles.step(&name, failed, Instant::now()));
                    }
                    continue;
                }
                Effect::Terminate => Signal::TERM,
                Effect::Abort => Signal::ABORT,
                Effect::Kill => Signal::KILL,
            };
            if let Some(process) = self.records.get(&name).and_then(|record| record.process.as_ref()) {
                if matches!(signal, Signal::ABORT) {
                    say::note(&format!("node: {name} has not answered for too long and is ended"));
                }
                process.signal(signal);
            }
        }
    }

    fn start(&mut self, name: &str) -> io::Result<()> {
        let Some(assigned) = self.roles.assigned(name) else { return Ok(()) };
        let record = self.records.entry(name.to_owned()).or_default();
        record.starts += 1;
        record.says = None;
        let (tell, role) = (self.tell.clone(), name.to_owned());
        let heard = move |pid, heard| _ = tell.send(News::Role(role.clone(), pid, heard));
        let order = process::Order {
            program: &self.program,
            args: &[&self.common[..], &assigned.args[..]].concat(),
            base: &self.plan.base,
            folder: &self.plan.folder_of(name),
            notices: self.notices.path(),
            watchdog: self.plan.patience.watchdog,
        };
        record.process = Some(Process::start(&order, heard)?);
        Ok(())
    }

    fn answer(&mut self, request: NodeRequest, now: Instant) -> NodeAnswer {
        let done = match request {
            NodeRequest::Status {} => Ok(Vec::new()),
            NodeRequest::Start { role } => {
                self.known(&role).map(|()| self.roles.stop(&role, false, now)).map(|mut orders| {
                    // One that waits for its next start, or for a person, is started now.
                    orders.extend(match self.roles.get(&role).map(Role::state) {
                        Some(State::Pausing { .. } | State::Broken) => {
                            self.roles.step(&role, Event::Restart, now)
                        }
                        _ => Vec::new(),
                    });
                    orders
                })
            }
            NodeRequest::Stop { role } => self.known(&role).map(|()| self.roles.stop(&role, true, now)),
            NodeRequest::Restart { role } => {
                self.known(&role).map(|()| self.roles.step(&role, Event::Restart, now))
            }
            NodeRequest::Drain { drained } => {
                self.keep_drained(drained).map(|()| self.roles.drain(drained, now))
            }
            NodeRequest::Reload {} => self.reload(now),
            NodeRequest::Logs { role } => {
                return match self.known(&role) {
                    Ok(()) => NodeAnswer::Logs(
                        self.records.get(&role).map(|record| record.tail.all()).unwrap_or_default(),
                    ),
                    Err(fault) => NodeAnswer::Error(fault),
                };
            }
        };
        match done {
            Ok(orders) => {
                self.carry_out(orders);
                NodeAnswer::Status(self.status(now))
            }
            Err(fault) => NodeAnswer::Error(fault),
        }
    }

    fn known(&self, name: &str) -> Result<(), Fault> {
        if self.roles.get(name).is_some() {
            return Ok(());
        }
        let all: Vec<&str> = self.roles.iter().map(|(name, _)| &**name).collect();
        Err(fault(Exit::Usage, format!("there is no role `{name}` here; there are {}", all.join(", "))))
    }

    fn keep_drained(&self, drained: bool) -> Result<(), Fault> {
        let file = self.plan.state.join(DRAINED);
        let kept = match drained {
            true => fs::write(&file, ""),
            false => fs::remove_file(&file).or_else(|error| match error.kind() {
                io::ErrorKind::NotFound => Ok(()),
                _ => Err(error),
            }),
        };
        kept.map_err(|error| fault(Exit::Other, format!("cannot change {}: {error}", file.display())))
    }

    fn reload(&mut self, now: Instant) -> Result<Vec<roles::Order>, Fault> {
        let plan =
            (self.reread)().map_err(|why| fault(Exit::Usage, format!("nothing was changed: {why}")))?;
        let fixed = |plan: &Plan| {
            let Plan { name, host, state, patience, .. } = plan.clone();
            (name, host, state, patience)
        };
        let held = match () {
            () if fixed(&plan) != fixed(&self.plan) => "[node]",
            () if plan.trackers != self.plan.trackers => "which trackers the node and its peers have",
            () => "",
        };
        if !held.is_empty() {
            let why =
                format!("nothing was changed: {held} holds from the start of the agent on; restart that");
            return Err(fault(Exit::Usage, why));
        }
        self.siblings.reconfigure(plan.revive.clone());
        self.plan = plan;
        Ok(self.roles.assign(&self.plan.roles, now))
    }

    /// What is told of each role, with what is known of it.
    fn of_each<T>(&self, tell: impl Fn(&Record, (&str, &Role)) -> T) -> Vec<T> {
        let none = Record::default();
        let record = |name: &String| self.records.get(name).unwrap_or(&none);
        self.roles.iter().map(|(name, role)| tell(record(name), (name, role))).collect()
    }

    /// The roles, as trackers hear of them.
    fn node_roles(&self, now: Instant) -> Vec<NodeRole> {
        self.of_each(|record, role| record.told(role, now))
    }

    fn status(&self, now: Instant) -> NodeStatus {
        NodeStatus {
            node: self.plan.name.clone(),
            pid: std::process::id(),
            state: self.plan.state.clone(),
            drained: self.roles.is_drained(),
            roles: self.of_each(|record, role| record.status(role, now)),
        }
    }
}

fn fault(code: Exit, message: String) -> Fault {
    Fault { code, message, no_folder: false }
}
