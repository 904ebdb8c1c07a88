//! The thread of a job: asks the trackers, fetches the listing of a tree, prepares the destination, and
//! sees the transfer to its end.

use std::fs;
use std::io;
use std::sync::Arc;

use super::after::{after, expect, is_shared};
use super::contest::Contest;
use super::driver::Driver;
use super::error::{FetchError, Halt};
use super::handle::{Course, Job};
use super::here::take_here;
use super::landing::Landing;
use super::means::Means;
use super::older::take_older;
use super::settle::settle;
use super::want::{Dest, Want};
use crate::api::{Report, TransferStatus, Trashed};
use crate::content::{ChunkSet, Geometry, LeftOut, Tree, TreeError};
use crate::peer::disk::{Disk, Manner, Plan, Spared};
use crate::peer::news::News;
use crate::peer::transfer::Transfer;
use crate::swarm::patience::Patience;
use crate::threads;
use crate::wire::{Name, Offer, Variant, View};

/// Starts to fetch `want` into `dest`, or joins the job that does so already.
pub(in crate::peer) fn start(means: &Arc<Means>, want: Want, dest: Dest) -> io::Result<Job> {
    let (job, alive) = means.jobs.enter(want, dest);
    let Some(alive) = alive else { return Ok(Job(job)) };
    let running = Arc::new(Running { means: means.clone(), job: job.clone() });
    let failing = running.clone();
    let failed = move |why: &str| {
        let _alive = alive;
        failing.end(Err(FetchError::Internal(why.to_owned())));
    };
    if let Err(error) = threads::named("fetch").job(move || running.run(), failed) {
        means.jobs.forget(&job);
        return Err(error);
    }
    Ok(Job(job))
}

/// The thread of a job.
struct Running {
    means: Arc<Means>,
    job: Arc<Course>,
}

impl Running {
    fn run(&self) {
        let expected = self.means.share().and_then(|share| expect(share, &self.job));
        let outcome = self.fetch();
        if let (Ok(report), Some(transfer)) = (&outcome, self.job.fetched()) {
            self.job.end(Ok(report.clone()));
            after(self.means.share(), &self.job, &transfer, expected);
        }
        self.end(outcome);
    }

    /// The end of the job, however it came: nothing of it goes on.
    fn end(&self, outcome: Result<Report, FetchError>) {
        if outcome.is_err() {
            self.job.stop_transfer();
        }
        self.means.holdings.withdraw(self.job.number);
        let shared = self.means.share().filter(|share| is_shared(share, &self.job));
        if let (Ok(report), Some(_)) = (&outcome, shared) {
            let (name, bytes) = (report.status.name.clone(), report.status.bytes_total);
            self.means.news.tell(News::Fetched { name, bytes });
        }
        self.job.end(outcome);
        self.means.jobs.leave(&self.job);
    }

    fn fetch(&self) -> Result<Report, FetchError> {
        let Dest { wait, waited, .. } = self.job.dest;
        let mut patience = Patience::new(wait, waited, self.job.started);
        let mut contest = Contest::new(&self.means, self.job.want.id);
        loop {
            let (size, variants) = settle(&self.means, &self.job, &mut contest, &patience)?;
            match self.fetch_sized((size, &variants), &mut contest, &mut patience) {
                Ok(report) => return Ok(report),
                Err(Halt::Failed(error)) => return Err(error),
                // Only what is proved supersedes, and then there is one size for good.
                Err(Halt::Superseded) => self.means.holdings.withdraw(self.job.number),
            }
        }
    }

    /// Fetches the content as one of so many bytes; to a false size there is no proof.
    fn fetch_sized(
        &self,
        (size, variants): (u64, &[Variant]),
        contest: &mut Contest,
        patience: &mut Patience,
    ) -> Result<Report, Halt> {
        let Want { id, name, .. } = &self.job.want;
        let geometry = Geometry::of(size)
            .ok_or_else(|| FetchError::Integrity(format!("{name} is said to be larger than any file")))?;
        let landing = Landing::claim(&self.means, &self.job, size)?;
        let mut content = None;
        let fetched = (|| {
            let transfer = match name.is_tree() {
                false => self.file_transfer((&landing, geometry), variants)?,
                true => self.tree_transfer((&landing, geometry), variants, contest, patience)?,
            };
            content = Some(transfer.clone());
            threads::may_panic("fetch");
            self.offer(&transfer, size);
            self.drive((&transfer, size), variants, contest, patience)?;
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
        let disk = transfer.disk().ok_or_else(|| FetchError::Internal("a fetch without files".to_owned()))?;
        let done = disk.note_done(&|| self.job.is_cancelled());
        if self.job.is_cancelled() && self.job.dest.delete {
            return Err(FetchError::Interrupted.into());
        }
        Ok(report(status, path, &disk.plan().left_out, done))
    }

    fn manner(&self) -> Manner {
        Manner {
            force: self.job.dest.force,
            noted: true,
            own: self.job.dest.own,
            delete: self.job.dest.delete,
            told: !self.job.want.name.is_tree(),
            fsync: self.means.limits.fsync,
        }
    }

    /// Takes what need not be fetched: from the shared folder, then from what is to be replaced.
    fn take_near(
        &self,
        view: View,
        disk: &Disk,
        had: &mut ChunkSet,
        variants: &[Variant],
    ) -> Result<(), FetchError> {
        self.take_here(disk, had)?;
        take_older(&self.means, &self.job, ((self.job.want.id, view), disk), had, variants)
    }

    fn take_here(&self, disk: &Disk, had: &mut ChunkSet) -> Result<(), FetchError> {
        self.means.share().map_or(Ok(()), |share| take_here(share, &self.job, disk, had))
    }

    fn begin(&self, view: View, disk: Disk, had: ChunkSet) -> Result<Arc<Transfer>, FetchError> {
        let name = self.job.want.name.clone();
        let limits = &self.means.limits;
        let wanted = disk.plan().wanted();
        let inlets = vec![self.means.inlet.clone(), self.job.inlet.clone()];
        let transfer = Transfer::new(self.job.want.id, view, name, disk, (had, wanted), limits, inlets);
        let transfer = Arc::new(transfer);
        self.job.begin(transfer.clone());
        self.means.holdings.lend(self.job.number, transfer.clone());
        if self.job.is_cancelled() {
            return Err(FetchError::Interrupted);
        }
        Ok(transfer)
    }

    fn file_transfer(
        &self,
        (landing, geometry): (&Landing, Geometry),
        variants: &[Variant],
    ) -> Result<Arc<Transfer>, FetchError> {
        let id = self.job.want.id;
        let path = &self.job.dest.path;
        let base = path.file_name().and_then(|base| base.to_str());
        let base = base.ok_or_else(|| FetchError::Disk(format!("{} is not a file name", path.display())))?;
        let plan = Plan::file(id, geometry, base).ok_or(FetchError::BadTree(TreeError::TooLarge))?;
        let (disk, mut had) = Disk::open(plan, id, landing.unfinished(), &landing.root, self.manner())?;
        self.take_near(View::Bytes, &disk, &mut had, variants)?;
        self.begin(View::Bytes, disk, had)
    }

    /// Fetches the listing, then prepares the transfer of what it lists.
    fn tree_transfer(
        &self,
        (landing, geometry): (&Landing, Geometry),
        variants: &[Variant],
        contest: &mut Contest,
        patience: &mut Patience,
    ) -> Result<Arc<Transfer>, Halt> {
        let Want { id, name, size, .. } = &self.job.want;
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
        self.drive((&listing, geometry.size()), variants, contest, patience)?;
        let file = landing.unfinished().join(Landing::LISTING);
        let unread = |error| FetchError::Disk(format!("{}: {error}", file.display()));
        let bytes = fs::read(&file).map_err(unread)?;
        // It goes with the unfinished files, and is served on.
        listing.disk().map_or(Ok(()), |disk| disk.hold(0)).map_err(unread)?;
        let tree = Tree::decode(&bytes)?;
        let plan = self.plan(&tree)?;
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
        self.take_near(View::Members, &disk, &mut had, variants)?;
        Ok(self.begin(View::Members, disk, had)?)
    }

    /// What is to be made of a tree.
    fn plan(&self, tree: &Tree) -> Result<Plan, FetchError> {
        let Want { name, inside, filter, .. } = &self.job.want;
        let Some(inside) = inside else {
            let plan = match filter.is_open() {
                true => Plan::tree(tree)?,
                false => {
                    Plan::filtered(tree, filter)?.ok_or_else(|| FetchError::NothingOf(name.to_string()))?
                }
            };
            return Ok(plan.named(name.as_str()));
        };
        let base = self.job.dest.path.file_name().and_then(|base| base.to_str()).unwrap_or_default();
        let part = format!("{name}{inside}");
        match Plan::part(tree, inside, base)? {
            Some(plan) if inside.is_tree() => Ok(plan.named(&part)),
            Some(plan) => Ok(plan),
            None => Err(FetchError::NotFound(part)),
        }
    }

    /// Registers this peer as one that will have the content.
    fn offer(&self, transfer: &Transfer, size: u64) {
        let offer = Offer {
            name: Name::new(self.job.want.name.as_str()),
            id: transfer.id,
            size,
            total: transfer.layout.size(),
            chunks: transfer.layout.chunks(),
            complete: false,
            original: false,
            modified: 0,
        };
        self.means.holdings.register(self.job.number, offer);
    }

    /// Finds neighbours and gives the scheduler its time until the transfer ends.
    fn drive(
        &self,
        (transfer, size): (&Arc<Transfer>, u64),
        variants: &[Variant],
        contest: &mut Contest,
        patience: &mut Patience,
    ) -> Result<(), Halt> {
        Driver::new(&self.means, &self.job, (transfer.clone(), size), contest, patience).run(variants)
    }
}

/// What a finished fetch did.
fn report(
    status: TransferStatus,
    path: String,
    left_out: &LeftOut,
    (left_alone, trashed): (Spared, Option<Trashed>),
) -> Report {
    Report {
        status,
        path,
        partial: left_out.sentence(),
        left_out: left_out.named().to_vec(),
        left_out_more: left_out.more(),
        left_alone: left_alone.paths,
        left_older: left_alone.older,
        trashed,
    }
}
