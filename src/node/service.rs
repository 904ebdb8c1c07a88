//! The other side of supervision, in the process of a role: it says when it is ready and that it is alive, it is the only
//! process of its role, and it does not outlive its agent.
//!
//! To systemd the same is said, where there is no agent: roles are services of `Type=notify` either way. Who is started by
//! neither says nothing to nobody.

use std::env;
use std::io::{self, Read};
use std::path::Path;
use std::thread;
use std::time::Duration;

use rustix::process::{Signal, set_parent_process_death_signal};
use sd_notify::NotifyState;

use crate::storage::{Owned, OwnedError};
use crate::threads;

/// The variable by which an agent names the folder of a role, and says that standard input is its lifeline.
pub(super) const ROLE_FOLDER: &str = "P2P_ROLE_FOLDER";
/// How long a role may take to end when its agent is gone.
const LAST_MOMENT: Duration = Duration::from_secs(2);
/// Signs of life in the time after which one is missed.
const SIGNS: u32 = 4;

/// Why a role does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// Another process is this role, or its folder cannot be used.
    #[error("this role is not started: {0}")]
    Folder(#[from] OwnedError),
    /// The system has no room for a thread.
    #[error("cannot watch for the end of the agent: {0}")]
    Thread(#[from] io::Error),
}

/// This process as a service.
#[derive(Debug)]
pub struct Service {
    /// It is the only one of its role as long as this lives.
    _only: Option<Owned>,
}

impl Service {
    /// Takes up the role, if this process is one of an agent's; `end` is called when the agent is gone, after which there
    /// are two seconds.
    ///
    /// # Errors
    /// [`ServiceError`]; another process may be this role.
    pub fn begin(end: impl FnOnce() + Send + 'static) -> Result<Service, ServiceError> {
        let Some(folder) = env::var_os(ROLE_FOLDER) else { return Ok(Service { _only: None }) };
        let lifeline = move || {
            // Whatever comes is passed over; the end of it, or of reading it, is the agent's.
            let _ = io::copy(&mut io::stdin().lock().by_ref(), &mut io::sink());
            end();
            thread::sleep(LAST_MOMENT);
            threads::end_process();
        };
        threads::small("lifeline").essential(lifeline)?;
        // One that is stopped (SIGSTOP) wakes up at its agent's death, and sees that the lifeline has ended.
        let _ = set_parent_process_death_signal(Some(Signal::CONT));
        Ok(Service { _only: Some(Owned::claim(Path::new(&folder))?) })
    }

    /// It is ready; what it is, in a line.
    pub fn ready(&self, text: &str) {
        tell(&[NotifyState::Ready, NotifyState::Status(&one_line(text))]);
    }

    /// It needs so much longer to get ready.
    pub fn needs(&self, time: Duration) {
        tell(&[NotifyState::ExtendTimeoutUsec(time.as_micros().try_into().unwrap_or(u32::MAX))]);
    }

    /// It is about to end.
    pub fn stopping(&self) {
        tell(&[NotifyState::Stopping]);
    }

    /// Between two signs of life, if any are wanted.
    pub fn pulse(&self) -> Option<Duration> {
        sd_notify::watchdog_enabled().map(|missed| missed / SIGNS)
    }

    /// A sign of life.
    pub fn alive(&self) {
        tell(&[NotifyState::Watchdog]);
    }

    /// Gives signs of life from now on, each after `touch` has returned: that takes the locks without which no request can
    /// be answered.
    ///
    /// # Errors
    /// The system has no room for a thread.
    pub fn watch(&self, touch: impl Fn() + Send + 'static) -> io::Result<()> {
        let Some(pulse) = self.pulse() else { return Ok(()) };
        let signs = move || {
            loop {
                touch();
                tell(&[NotifyState::Watchdog]);
                thread::sleep(pulse);
            }
        };
        threads::small("signs-of-life").essential(signs).map(drop)
    }
}

/// Who cannot be told has gone, or reads late: neither is a reason to do anything else.
fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!("the supervisor cannot be told: {error}");
    }
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
