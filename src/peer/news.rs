//! What happens at a peer and people may want to hear: transfers that are done.

use std::net::IpAddr;

use crossbeam_channel::{Receiver, Sender};

/// News that wait for somebody to hear them; what comes then is lost.
const MAX_WAITING: usize = 256;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// Somebody who asked for something here has all of it now.
    Sent {
        /// What it is called here.
        name: String,
        /// Bytes of all its files.
        bytes: u64,
        /// What the other side calls itself.
        to: String,
        /// Where it is.
        addr: IpAddr,
    },
    /// Something was fetched into the shared folder.
    Fetched {
        /// What it is called.
        name: String,
        /// Bytes of all its files.
        bytes: u64,
    },
}

/// Where news are told and heard.
#[derive(Debug)]
pub(super) struct Board {
    tell: Sender<News>,
    heard: Receiver<News>,
}

impl Default for Board {
    fn default() -> Board {
        let (tell, heard) = crossbeam_channel::bounded(MAX_WAITING);
        Board { tell, heard }
    }
}

impl Board {
    /// Tells, without waiting for anybody.
    pub(super) fn tell(&self, news: News) {
        let _ = self.tell.try_send(news);
    }

    /// Where they can be heard.
    pub(super) fn heard(&self) -> Receiver<News> {
        self.heard.clone()
    }
}
