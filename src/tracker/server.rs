//! The tracker's threads and sockets, from the first to the last.
//!
//! One thread accepts (`accept`), one ends leases (`leases`), one turns away (`refuse`), two dial back (`look`), and each
//! connection has one (`member`, kept by `crew`). Where it is one of several trackers, `nodes` has
//! the connections to the others, `passing` asks the one that leads, `follow` sees to what others have changed, and `replace` has
//! a spare take the place of one that stays away. What they share are values of their own: who is connected
//! (`net::guests`), how many large messages are under way (`large`). Nothing here decides about the directory.
//!
//! There is one way to stop: [`Server::stop`] tells the guests, by which whoever pauses or reads wakes up, and joins
//! every thread.

use std::io;
use std::net::TcpListener;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use super::config::Config;
use super::shared::Shared;
use crate::net::Identity;
use crate::net::guests::Guests;
use crate::threads::{self, lock};
use accept::Acceptor;
use askings::Askings;
use bells::Bells;
use crew::Crew;
use large::Large;
use look::Looks;
use member::Service;
use nodes::Nodes;
use passing::Passing;
use refuse::Refusals;

mod accept;
mod askings;
mod bells;
mod caller;
mod crew;
mod follow;
mod large;
mod leases;
mod look;
mod member;
mod nodes;
pub(super) mod passing;
mod receiving;
mod refuse;
mod replace;

/// A running server; it is to be stopped.
#[derive(Debug)]
pub(super) struct Server {
    service: Arc<Service>,
    listener: Arc<TcpListener>,
    crew: Arc<Crew>,
    /// All threads but those of connections.
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Server {
    /// Starts the threads that are there from the start.
    ///
    /// # Errors
    /// The system does not give them all; none is left.
    pub(super) fn start(
        config: &Config,
        identity: Identity,
        shared: Shared,
        (listener, guests): (TcpListener, Arc<Guests>),
    ) -> io::Result<Server> {
        let (identity, shared) = (Arc::new(identity), Arc::new(shared));
        let nodes = Nodes::new(&shared, Arc::clone(&identity));
        let passing = nodes.map(|nodes| Arc::new(Passing::new(Arc::new(nodes))));
        let service = Service {
            identity,
            shared,
            guests,
            looks: Arc::new(Looks::new()),
            idle: config.idle,
            large: Large::default(),
            askings: Askings::default(),
            bells: Bells::default(),
            passing,
            pings: AtomicU32::default(),
        };
        let server = Server {
            service: Arc::new(service),
            listener: Arc::new(listener),
            crew: Arc::default(),
            threads: Mutex::default(),
        };
        if let Err(error) = server.start_threads(config) {
            server.stop();
            return Err(error);
        }
        Ok(server)
    }

    fn start_threads(&self, config: &Config) -> io::Result<()> {
        let (service, crew) = (&self.service, &self.crew);
        let mut threads = lock(&self.threads);
        look::start(&service.looks, &service.identity, &service.shared, &mut threads)?;
        let guests = Arc::clone(&service.guests);
        let (refusals, refusing) = Refusals::start(move || guests.is_closing())?;
        threads.push(refusing);
        let acceptor = Acceptor::new(Arc::clone(service), Arc::clone(crew), refusals);
        let listener = Arc::clone(&self.listener);
        threads.push(threads::small("tracker-accept").essential(move || acceptor.run(&listener))?);
        let (shared, guests) = (Arc::clone(&service.shared), Arc::clone(&service.guests));
        threads.push(leases::start(shared, guests, Arc::clone(crew), config.lease)?);
        if let Some(passing) = &service.passing {
            threads.push(follow::start(Arc::clone(service))?);
            threads.push(passing.nodes.start(Arc::clone(&service.guests), Arc::clone(crew))?);
            threads.extend(replace::start(Arc::clone(service), config.spares.clone())?);
        }
        Ok(())
    }

    /// The way to the other trackers, if this is one of several.
    pub(super) fn passing(&self) -> Option<Arc<Passing>> {
        self.service.passing.clone()
    }

    /// What its sessions share.
    pub(super) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.service.shared)
    }

    /// Ends all connections and joins all threads. Calling it twice does no harm.
    pub(super) fn stop(&self) {
        self.service.guests.begin_to_close();
        let _ = rustix::net::shutdown(&self.listener, rustix::net::Shutdown::Both);
        self.service.looks.stop();
        if let Some(passing) = &self.service.passing {
            passing.nodes.stop();
            passing.stop();
        }
        // Who waits for what others have to agree on would wait for ever, now that nothing is heard of them.
        self.service.shared.stop();
        self.service.guests.close();
        let threads = std::mem::take(&mut *lock(&self.threads));
        threads.into_iter().for_each(crew::join);
        self.crew.join_all();
    }

    /// See [`Shared::touch`].
    pub(super) fn touch(&self) -> impl Fn() + Send + use<> {
        let shared = Arc::clone(&self.service.shared);
        move || shared.touch()
    }

    /// Blocks until the last connection of a stopping tracker has ended.
    pub(super) fn wait(&self) {
        self.service.guests.wait();
    }
}

#[cfg(test)]
mod tests;
