//! A connection to a tracker on which it is asked for duties, one question after the other: each waits until there is
//! something to say.

use std::time::{Duration, Instant};

use super::stop::Stop;
use crate::net::keys;
use crate::net::secure::Keyring;
use crate::net::trace::Side;
use crate::net::wake::Wake;
use crate::net::{self, Identity, Messages, NetError};
use crate::wire::limits::MAX_WAIT_MS;
use crate::wire::{Common, Duties, FromTracker, GetDuties, Message, Role, Term, ToTracker};

/// How much longer than it was asked to wait a tracker may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Such a connection, for as long as the peer does not stop.
pub(super) struct Questions<'a> {
    line: Messages<FromTracker, ToTracker>,
    keyring: Keyring,
    /// Woken when the peer stops.
    wake: &'a Wake,
    stop: &'a Stop,
}

impl<'a> Questions<'a> {
    pub(super) fn dial(
        addr: &str,
        me: &Identity,
        (wake, stop): (&'a Wake, &'a Stop),
    ) -> Result<Questions<'a>, NetError> {
        let session = {
            let expected = me.keyring.tracker_at(addr);
            net::greet(net::dial(addr)?, (me, Role::Member), expected, Side::Tracker, net::HELLO_TIMEOUT)?
        };
        Ok(Questions { line: Messages::new(session, Side::Tracker), keyring: me.keyring.clone(), wake, stop })
    }

    /// The duties of now, or the next; none if the peer stops before they come.
    pub(super) fn ask(&mut self, term: Term) -> Result<Option<Duties>, NetError> {
        let line = &mut self.line;
        let request = line.request(&GetDuties { term, wait_ms: MAX_WAIT_MS }.into())?;
        let until = Instant::now() + Duration::from_millis(MAX_WAIT_MS.into()) + ANSWER_TIMEOUT;
        loop {
            while let Some((number, message)) = line.received()? {
                match message {
                    FromTracker::Duties(duties) if number == request => return Ok(Some(duties)),
                    FromTracker::Common(Common::Ping) => line.send(number, &Common::Pong.into())?,
                    FromTracker::Keys(keys) => keys::learn(&self.keyring, &keys),
                    FromTracker::Common(Common::Error(error)) => return Err(error.into()),
                    FromTracker::Common(Common::Leave) => return Err(NetError::Closed),
                    other => return Err(NetError::Unexpected(other.label())),
                }
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(NetError::TimedOut);
            }
            if self.wake.wait_with(line.socket(), left)? {
                line.fill()?;
            }
            if self.stop.is_stopping() {
                return Ok(None);
            }
        }
    }

    /// Tells the tracker that no more is asked.
    pub(super) fn leave(mut self) {
        let _ = self.line.send(0, &Common::Leave.into());
    }
}
