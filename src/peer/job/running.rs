//! The thread of a job: asks the trackers, fetches the listing of a tree, prepares the destination, and
//! sees the transfer to its end.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::driver::Driver;
use super::landing::Landing;
use super::{FetchError, Inner, Peer, Report, Stage, Want};
use crate::content::{Geometry, Tree, TreeError};
use crate::peer::store::{Manner, Plan, Store};
use crate::peer::transfer::{End, Transfer};
use crate::peer::{left, lock, offered_name};
use crate::swarm::chunk_set::ChunkSet;
use crate::swarm::neighbours::FIRST_RELOCATE;
use crate::swarm::scheduler::TICK;
use crate::threads;
use crate::wire::{Locate, Name, Offer, Purpose, Variant, View};

/// When several things are claimed of one id, each is tried for so long without a source; twice as long the
/// next time.
const CLAIM_PATIENCE: Duration = Duration::from_secs(2);

/// What some holders claim of the content.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claim<'a> {
    pub(super) variant: &'a Variant,
    /// Others claim something else.
    pub(super) disputed: bool,
    /// How long to go on without a source; none: for ever.
    pub(super) wait: Option<Duration>,
}

/// The thread of a job.
pub(super) struct Running {
    pub(super) peer: Arc<Peer>,
    pub(super) job: Arc<Inner>,
}

impl Running {
    pub(super) fn run(&self) {
        let expected = self.expect();
        let outcome = self.fetch();
        if let (Ok(report), Some(transfer)) = (&outcome, self.job.fetching()) {
            self.job.end(Ok(report.clone()));
            self.after(&transfer, expected);
        }
        self.end(outcome);
    }

    /// The end of the job, however it came: nothing of it goes on.
    pub(super) fn end(&self, outcome: Result<Report, FetchError>) {
        if outcome.is_err() {
            lock(&self.job.transfers).iter().for_each(|transfer| transfer.finish(End::Cancelled));
        }
        self.withdraw();
        self.job.end(outcome);
        self.peer.jobs.leave(&self.job);
    }

    /// What was registered is not coming, or somebody else has it now.
    fn withdraw(&self) {
        self.peer.withdraw(self.job.number);
    }

    fn fetch(&self) -> Result<Report, FetchError> {
        let start = Instant::now();
        let mut patience = CLAIM_PATIENCE;
        loop {
            let claims = self.locate()?;
            let alone = claims.len() == 1;
            for claim in &claims {
                let wait = if alone { self.job.dest.wait } else { Some(patience) };
                let outcome = self.fetch_claimed(Claim { variant: claim, disputed: !alone, wait });
                let over = self.job.dest.wait.is_some_and(|wait| start.elapsed() >= wait);
                match outcome {
                    Err(error) if !alone && !over && error.may_be_a_false_claim() => {
                        tracing::debug!("{} bytes are not what {} is: {error}", claim.size, claim.id);
                        self.withdraw();
                    }
                    outcome => return outcome,
                }
            }
            // All can fail at once.
            std::thread::park_timeout(FIRST_RELOCATE);
            patience = patience.saturating_mul(2);
        }
    }

    /// Fetches the content as one holder or another claims it to be. Only one claim about an id is true;
    /// to a false one there is no proof.
    fn fetch_claimed(&self, claim: Claim<'_>) -> Result<Report, FetchError> {
        let variant = claim.variant;
        let Want { id, name } = &self.job.want;
        let geometry = Geometry::of(variant.size)
            .ok_or_else(|| FetchError::Integrity(format!("{name} is said to be larger than any file")))?;
        let landing = self.land(variant.size)?;
        let mut content = None;
        let fetched = (|| {
            let transfer = match name.is_tree() {
                false => self.file_transfer(&landing, geometry, variant)?,
                true => self.tree_transfer(&landing, geometry, claim)?,
            };
            content = Some(transfer.clone());
            self.job.set_stage(Stage::Fetching);
            threads::may_panic("fetch");
            self.offer(&transfer, variant);
            self.drive(&transfer, claim)?;
            Ok(transfer)
        })();
        let transfer = match fetched {
            Ok(transfer) => transfer,
            Err(error) => {
                landing.give_up(content.as_deref(), &error);
                return Err(error);
            }
        };
        let path = self.job.dest.path.display().to_string();
        tracing::debug!("{id} is done");
        let mut status = transfer.status();
        status.seconds = self.job.started.elapsed().as_secs_f64();
        Ok(Report { status, path })
    }

    /// Asks the trackers until one knows the content: all that is claimed of it, what most say first.
    fn locate(&self) -> Result<Vec<Variant>, FetchError> {
        let deadline = self.job.dest.wait.map(|wait| Instant::now() + wait);
        let mut pause = FIRST_RELOCATE;
        let mut answered = false;
        loop {
            let answers = self.peer.trackers().locate(&self.question(Vec::new()));
            while let Some(located) = self.receive(&answers, deadline) {
                answered = true;
                let mut claims = located.variants.into_vec();
                claims.retain(|claim| claim.id == self.job.want.id);
                // A listing may be known as a file, too, which is another claim.
                let tree = self.job.want.name.is_tree();
                let fits = |claim: &Variant| claim.name.ends_with('/') == tree;
                if claims.iter().any(fits) {
                    claims.retain(fits);
                }
                if !claims.is_empty() {
                    return Ok(claims);
                }
            }
            if self.job.is_cancelled() {
                return Err(FetchError::Interrupted);
            }
            if left(deadline).is_some_and(|left| left.is_zero()) {
                let name = self.job.want.name.to_string();
                return Err(match answered {
                    true => FetchError::NotFound(name),
                    false => {
                        FetchError::NobodyReached(format!("no tracker could be reached to ask for {name}"))
                    }
                });
            }
            std::thread::park_timeout(left(deadline).map_or(pause, |left| left.min(pause)));
            pause = (pause * 2).min(self.peer.limits.refresh);
        }
    }

    pub(super) fn question(&self, missing: Vec<(u32, u32)>) -> Locate {
        Locate {
            name: Name::default(),
            id: self.job.want.id,
            purpose: Purpose::Fetch,
            max: (self.peer.limits.max_neighbours * 2).min(64) as u16,
            missing: crate::wire::List::new(missing),
        }
    }

    /// The next answer, unless the deadline or a cancel comes first.
    fn receive(
        &self,
        answers: &crossbeam_channel::Receiver<crate::wire::Located>,
        deadline: Option<Instant>,
    ) -> Option<crate::wire::Located> {
        const LOOK: Duration = Duration::from_millis(50);
        loop {
            match answers.recv_timeout(LOOK) {
                Ok(located) => return Some(located),
                Err(crossbeam_channel::RecvTimeoutError::Disconnected) => return None,
                Err(crossbeam_channel::RecvTimeoutError::Timeout) => {
                    if self.job.is_cancelled() || left(deadline).is_some_and(|left| left.is_zero()) {
                        return None;
                    }
                }
            }
        }
    }

    fn manner(&self) -> Manner {
        Manner { force: self.job.dest.force, fsync: self.peer.limits.fsync }
    }

    fn begin(&self, view: View, store: Store, had: ChunkSet) -> Result<Arc<Transfer>, FetchError> {
        let name = self.job.want.name.clone();
        let limits = &self.peer.limits;
        let transfer = Arc::new(Transfer::new(self.job.want.id, view, name, store, had, limits));
        lock(&self.job.transfers).push(transfer.clone());
        if self.job.is_cancelled() {
            return Err(FetchError::Interrupted);
        }
        Ok(transfer)
    }

    fn file_transfer(
        &self,
        landing: &Landing,
        geometry: Geometry,
        variant: &Variant,
    ) -> Result<Arc<Transfer>, FetchError> {
        let path = &self.job.dest.path;
        let base = path.file_name().and_then(|base| base.to_str());
        let base = base.ok_or_else(|| FetchError::Disk(format!("{} is not a file name", path.display())))?;
        let plan = Plan::file(variant.id, geometry, base).ok_or(FetchError::BadTree(TreeError::TooLarge))?;
        let (store, had) = Store::open(plan, variant.id, landing.unfinished(), &landing.root, self.manner())?;
        self.begin(View::Bytes, store, had)
    }

    /// Fetches the listing, then prepares the transfer of what it lists.
    fn tree_transfer(
        &self,
        landing: &Landing,
        geometry: Geometry,
        claim: Claim<'_>,
    ) -> Result<Arc<Transfer>, FetchError> {
        let id = claim.variant.id;
        if geometry.size() > Tree::MAX_BYTES {
            return Err(FetchError::BadTree(TreeError::TooLarge));
        }
        let plan = Plan::file(id, geometry, Landing::LISTING);
        let plan = plan.ok_or(FetchError::BadTree(TreeError::TooLarge))?;
        let manner = Manner { force: true, fsync: false };
        let (store, had) =
            Store::open(plan, id, &landing.unfinished_listing(), landing.unfinished(), manner)?;
        let listing = self.begin(View::Bytes, store, had)?;
        self.drive(&listing, claim)?;
        let file = landing.unfinished().join(Landing::LISTING);
        let unread = |error| FetchError::Disk(format!("{}: {error}", file.display()));
        let bytes = fs::read(&file).map_err(unread)?;
        // It goes with the unfinished files, and is served on.
        listing.store.hold(0).map_err(unread)?;
        let plan = Plan::tree(&Tree::decode(&bytes)?)?;
        let (store, had) = Store::open(plan, id, landing.unfinished(), &landing.root, self.manner())?;
        self.begin(View::Members, store, had)
    }

    /// Registers this peer as one that will have the content.
    fn offer(&self, transfer: &Transfer, variant: &Variant) {
        let offer = Offer {
            name: offered_name(&self.job.want.name),
            id: transfer.id,
            size: variant.size,
            total: transfer.layout.size(),
            chunks: transfer.layout.chunks(),
            complete: false,
            original: false,
            modified: 0,
        };
        self.peer.register(self.job.number, offer);
    }

    /// Finds neighbours and gives the scheduler its time until the transfer ends.
    fn drive(&self, transfer: &Arc<Transfer>, claim: Claim<'_>) -> Result<(), FetchError> {
        let mut driver = Driver::new(self, transfer.clone(), claim);
        driver.suggest(claim.variant);
        let outcome = loop {
            if let Some(end) = transfer.wait_news(TICK) {
                transfer.tell_news();
                driver.announce();
                driver.join();
                break match end {
                    End::Done => Ok(()),
                    End::Cancelled => Err(FetchError::Interrupted),
                    End::Failed(error) => Err(error.to_fetch_error()),
                };
            }
            if let Err(error) = driver.turn() {
                break Err(error);
            }
        };
        // Whoever goes on with what is unfinished must be its only writer.
        transfer.wait_for_writers();
        outcome
    }
}
