//! The thread of a job: asks the trackers, fetches the listing of a tree, prepares the destination, and
//! sees the transfer to its end.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::contest::{Contest, Heard};
use super::driver::Driver;
use super::error::FetchError;
use super::landing::Landing;
use super::{Inner, Peer, Stage, Want};
use crate::api::Report;
use crate::content::{ChunkSet, Geometry, Tree, TreeError};
use crate::peer::disk::{Disk, Manner, Plan};
use crate::peer::transfer::{End, Transfer};
use crate::peer::{left, lock, offered_name};
use crate::swarm::claims::Claims;
use crate::swarm::neighbours::FIRST_RELOCATE;
use crate::swarm::scheduler::TICK;
use crate::threads;
use crate::wire::limits::MAX_VARIANTS;
use crate::wire::{Locate, Located, Name, Offer, Purpose, Variant, View};

/// How long to wait for an answer before it is looked whether the job was cancelled.
const LOOK: Duration = Duration::from_millis(50);

/// Why a transfer ended without what was wanted.
pub(super) enum Halt {
    /// The content has another size than this transfer took for it.
    Superseded,
    Failed(FetchError),
}

impl<E: Into<FetchError>> From<E> for Halt {
    fn from(error: E) -> Halt {
        Halt::Failed(error.into())
    }
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
        let mut contest = Contest::new(&self.peer, self.job.want.id);
        loop {
            let (size, variants) = self.settle(&mut contest)?;
            match self.fetch_sized(size, &variants, &mut contest) {
                Ok(report) => return Ok(report),
                Err(Halt::Failed(error)) => return Err(error),
                // Only what is proved supersedes, and then there is one size for good.
                Err(Halt::Superseded) => self.withdraw(),
            }
        }
    }

    /// Fetches the content as one of so many bytes; to a false size there is no proof.
    fn fetch_sized(&self, size: u64, variants: &[Variant], contest: &mut Contest) -> Result<Report, Halt> {
        let Want { id, name, .. } = &self.job.want;
        let geometry = Geometry::of(size)
            .ok_or_else(|| FetchError::Integrity(format!("{name} is said to be larger than any file")))?;
        let landing = self.land(size)?;
        let mut content = None;
        let fetched = (|| {
            let transfer = match name.is_tree() {
                false => self.file_transfer(&landing, geometry)?,
                true => self.tree_transfer(&landing, geometry, variants, contest)?,
            };
            content = Some(transfer.clone());
            self.job.set_stage(Stage::Fetching);
            threads::may_panic("fetch");
            self.offer(&transfer, size);
            self.drive(&transfer, size, variants, contest)?;
            Ok(transfer)
        })();
        let transfer = match fetched {
            Ok(transfer) => transfer,
            Err(halt) => {
                landing.give_up(content.as_deref(), &halt);
                return Err(halt);
            }
        };
        let path = self.job.dest.path.display().to_string();
        tracing::debug!("{id} is done");
        let mut status = transfer.status();
        status.seconds = self.job.started.elapsed().as_secs_f64();
        let done = transfer.disk.note_done(&|| self.job.is_cancelled());
        if self.job.is_cancelled() && self.job.dest.delete {
            return Err(FetchError::Interrupted.into());
        }
        Ok(Report::new(status, path, &transfer.disk.plan().left_out, done))
    }

    /// The size of the content, if the shared folder has it. Else asks the trackers until it is agreed on: the only one
    /// that is claimed, or the one that is proved. With it, what the trackers said of it.
    fn settle(&self, contest: &mut Contest) -> Result<(u64, Vec<Variant>), FetchError> {
        if let Some(size) = self.size_here().filter(|_| contest.claims().len() == 0) {
            return Ok((size, Vec::new()));
        }
        let deadline = lock(&self.job.patience).deadline().map(|at| at.max(Instant::now() + FIRST_RELOCATE));
        let (mut next_locate, mut pause) = (Instant::now(), FIRST_RELOCATE);
        let mut answers = None;
        let (mut answered, mut variants) = (false, Vec::new());
        loop {
            contest.turn(Instant::now());
            if let Some(size) = contest.claims().agreed() {
                variants.retain(|variant: &Variant| variant.size == size);
                return Ok((size, variants));
            }
            if self.job.is_cancelled() {
                return Err(FetchError::Interrupted);
            }
            if left(deadline).is_some_and(|left| left.is_zero()) {
                return Err(self.unsettled(answered, contest.claims()));
            }
            if answers.is_none() && Instant::now() >= next_locate {
                answers = Some(self.peer.trackers().locate(&self.question(Vec::new())));
                (next_locate, pause) = (Instant::now() + pause, (pause * 2).min(self.peer.limits.refresh));
            }
            let look = left(deadline).map_or(LOOK, |left| left.min(LOOK));
            match contest.wait(answers.as_ref(), look) {
                Heard::Located(located) => {
                    answered = true;
                    if located.variants.len() >= MAX_VARIANTS {
                        // There are more claims than an answer has room for: the next has others.
                        (next_locate, pause) = (Instant::now() + FIRST_RELOCATE, FIRST_RELOCATE);
                    }
                    let usable = self.usable(located);
                    usable.iter().for_each(|variant| contest.hear(variant));
                    variants.extend(usable);
                    variants.drain(..variants.len().saturating_sub(MAX_VARIANTS));
                }
                Heard::NoMore => answers = None,
                Heard::Nothing => {}
            }
        }
    }

    /// Why there is nothing to fetch.
    fn unsettled(&self, answered: bool, claims: &Claims) -> FetchError {
        let Want { id, name, size } = &self.job.want;
        if !answered {
            return FetchError::NobodyReached(format!("no tracker could be reached to ask for {name}"));
        }
        match (claims.len(), size) {
            (0, None) => FetchError::NotFound(name.to_string()),
            (0, Some(size)) => FetchError::NobodyReached(format!(
                "nobody who has {name} with the {size} bytes that were asked for could be reached"
            )),
            (sizes, _) => FetchError::NobodyReached(format!(
                "peers claim {sizes} different sizes of {name} ({id}), and nobody who could be reached proves one"
            )),
        }
    }

    /// What of an answer is about the content, can be true, and has the size that was asked for, if one was.
    pub(super) fn usable(&self, located: Located) -> Vec<Variant> {
        let Want { id, name, size } = &self.job.want;
        let mut variants = located.variants.into_vec();
        variants.retain(|variant| variant.id == *id && variant.is_possible());
        if let Some(size) = *size {
            // A tree's is that of its files, and they tell which listing it is.
            let fits = |variant: &&Variant| {
                let total = if name.is_tree() { variant.total } else { variant.size };
                total == size && (variant.name.ends_with('/') || !name.is_tree())
            };
            let sizes: BTreeSet<u64> = variants.iter().filter(fits).map(|variant| variant.size).collect();
            variants.retain(|variant| sizes.contains(&variant.size));
        }
        variants
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

    fn manner(&self) -> Manner {
        Manner {
            force: self.job.dest.force,
            noted: true,
            own: self.job.dest.own,
            delete: self.job.dest.delete,
            told: !self.job.want.name.is_tree(),
            fsync: self.peer.limits.fsync,
        }
    }

    fn begin(&self, view: View, disk: Disk, had: ChunkSet) -> Result<Arc<Transfer>, FetchError> {
        let name = self.job.want.name.clone();
        let limits = &self.peer.limits;
        let transfer = Arc::new(Transfer::new(self.job.want.id, view, name, disk, had, limits));
        lock(&self.job.transfers).push(transfer.clone());
        if self.job.is_cancelled() {
            return Err(FetchError::Interrupted);
        }
        Ok(transfer)
    }

    fn file_transfer(&self, landing: &Landing, geometry: Geometry) -> Result<Arc<Transfer>, FetchError> {
        let id = self.job.want.id;
        let path = &self.job.dest.path;
        let base = path.file_name().and_then(|base| base.to_str());
        let base = base.ok_or_else(|| FetchError::Disk(format!("{} is not a file name", path.display())))?;
        let plan = Plan::file(id, geometry, base).ok_or(FetchError::BadTree(TreeError::TooLarge))?;
        let (disk, mut had) = Disk::open(plan, id, landing.unfinished(), &landing.root, self.manner())?;
        self.take_here(&disk, &mut had)?;
        self.begin(View::Bytes, disk, had)
    }

    /// Fetches the listing, then prepares the transfer of what it lists.
    fn tree_transfer(
        &self,
        landing: &Landing,
        geometry: Geometry,
        variants: &[Variant],
        contest: &mut Contest,
    ) -> Result<Arc<Transfer>, Halt> {
        let Want { id, name, size } = &self.job.want;
        let id = *id;
        if geometry.size() > Tree::MAX_BYTES {
            return Err(FetchError::BadTree(TreeError::Magic).into()); // no listing is as large
        }
        let plan = Plan::file(id, geometry, Landing::LISTING);
        let plan = plan.ok_or(FetchError::BadTree(TreeError::TooLarge))?;
        let manner =
            Manner { force: true, noted: false, own: false, delete: false, told: false, fsync: false };
        let (disk, mut had) =
            Disk::open(plan, id, &landing.unfinished_listing(), landing.unfinished(), manner)?;
        self.take_here(&disk, &mut had)?;
        let listing = self.begin(View::Bytes, disk, had)?;
        self.drive(&listing, geometry.size(), variants, contest)?;
        let file = landing.unfinished().join(Landing::LISTING);
        let unread = |error| FetchError::Disk(format!("{}: {error}", file.display()));
        let bytes = fs::read(&file).map_err(unread)?;
        // It goes with the unfinished files, and is served on.
        listing.disk.hold(0).map_err(unread)?;
        let tree = Tree::decode(&bytes)?;
        let plan = Plan::tree(&tree)?.named(name.as_str());
        let total = plan.layout.size();
        if let Some(size) = size.filter(|size| *size != total) {
            let what = format!("{name} was asked for with {size} bytes, but the files of {id} have {total}");
            return Err(FetchError::Integrity(what).into());
        }
        // The size that people are shown of a folder is a claim, which its proved listing settles.
        if let (Some(claimed), false) = (variants.first(), variants.iter().any(|one| one.total == total)) {
            let claimed = claimed.total;
            let what = format!("{name} is said to have {claimed} bytes, but the files of {id} have {total}");
            return Err(FetchError::Integrity(what).into());
        }
        let (disk, mut had) = Disk::open(plan, id, landing.unfinished(), &landing.root, self.manner())?;
        self.take_here(&disk, &mut had)?;
        Ok(self.begin(View::Members, disk, had)?)
    }

    /// Registers this peer as one that will have the content.
    fn offer(&self, transfer: &Transfer, size: u64) {
        let offer = Offer {
            name: offered_name(&self.job.want.name),
            id: transfer.id,
            size,
            total: transfer.layout.size(),
            chunks: transfer.layout.chunks(),
            complete: false,
            original: false,
            modified: 0,
        };
        self.peer.register(self.job.number, offer);
    }

    /// Finds neighbours and gives the scheduler its time until the transfer ends.
    fn drive(
        &self,
        transfer: &Arc<Transfer>,
        size: u64,
        variants: &[Variant],
        contest: &mut Contest,
    ) -> Result<(), Halt> {
        let mut driver = Driver::new(self, transfer.clone(), size, contest);
        variants.iter().for_each(|variant| driver.consider(variant));
        let outcome = loop {
            if let Some(end) = transfer.wait_news(TICK) {
                transfer.tell_news();
                driver.announce();
                driver.join();
                break match end {
                    End::Done => {
                        contest.prove(size);
                        Ok(())
                    }
                    End::Cancelled => Err(FetchError::Interrupted.into()),
                    End::Failed(error) => Err(FetchError::from(&*error).into()),
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
