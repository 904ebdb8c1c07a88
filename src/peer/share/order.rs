//! Which file, or part of one, is hashed next. Pure.
//!
//! Small files go in the order given, several at a time. A large file is cut into spans, so that all threads hash it
//! together; the next one is begun when none of its spans is left, so that few are open at a time.

use std::collections::VecDeque;
use std::ops::Range;

use super::job::Job;
use crate::content::Geometry;

/// Bytes of a large file that one thread takes at a time, if its chunks are not larger.
const SPAN_BYTES: u64 = 4 << 20;
/// Small files that one thread takes at a time.
const BATCH_FILES: usize = 32;

/// What is left to do; `L` stands for a large file that is open.
#[derive(Debug)]
pub(super) struct Order<L> {
    jobs: VecDeque<Job>,
    /// Somebody opens a large file.
    beginning: bool,
    large: Option<UnderWay<L>>,
}

/// A large file with spans to hand out.
#[derive(Debug)]
struct UnderWay<L> {
    file: L,
    /// Chunks.
    left: Range<u32>,
    span: u32,
}

/// What a thread is to do next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<L> {
    /// Hash these files.
    Small(Vec<Job>),
    /// Open a large file, and then call [`Order::begun`].
    Begin(Job),
    /// Hash these chunks of a large file.
    Span(L, Range<u32>),
    /// Wait until a large file was opened.
    Wait,
    /// Nothing is left.
    Done,
}

impl<L: Clone> Order<L> {
    pub(super) fn new(jobs: Vec<Job>) -> Order<L> {
        Order { jobs: jobs.into(), beginning: false, large: None }
    }

    pub(super) fn next(&mut self) -> Next<L> {
        if let Some(large) = &mut self.large {
            let span = large.left.start..large.left.end.min(large.left.start + large.span);
            large.left.start = span.end;
            let file = large.file.clone();
            if large.left.is_empty() {
                self.large = None;
            }
            return Next::Span(file, span);
        }
        let is_small = |job: &&Job| job.found.stamp.size <= SPAN_BYTES;
        let count = self.jobs.iter().take(BATCH_FILES).take_while(is_small).count();
        if count > 0 {
            return Next::Small(self.jobs.drain(..count).collect());
        }
        if self.beginning {
            return Next::Wait;
        }
        let Some(job) = self.jobs.pop_front() else { return Next::Done };
        self.beginning = true;
        Next::Begin(job)
    }

    /// A large file was opened, or could not be.
    pub(super) fn begun(&mut self, opened: Option<(L, Geometry)>) {
        self.beginning = false;
        self.large = opened.map(|(file, geometry)| {
            let span = (SPAN_BYTES / geometry.chunk_size()).max(1) as u32;
            UnderWay { file, left: 0..geometry.chunks(), span }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::record::Found;
    use super::*;
    use crate::peer::stamp::Stamp;

    fn job(name: usize, size: u64) -> Job {
        let stamp = Stamp { size, mtime_ns: 1, inode: 1, ctime_ns: 1 };
        Job { path: Arc::from(name.to_string()), found: Found { stamp, mode: 0o644, linked: false } }
    }

    #[test]
    fn small_files_go_in_the_order_given_several_at_a_time() {
        let jobs: Vec<Job> = (0..70).map(|n| job(n, SPAN_BYTES)).collect();
        let mut order = Order::<()>::new(jobs.clone());
        for batch in [&jobs[..32], &jobs[32..64], &jobs[64..]] {
            assert_eq!(order.next(), Next::Small(batch.to_vec()));
        }
        assert_eq!(order.next(), Next::Done);
        assert_eq!(order.next(), Next::Done);
    }

    #[test]
    fn a_large_file_is_hashed_by_all_and_the_next_is_begun_after_its_last_span() {
        let size = 10 << 20;
        let geometry = Geometry::of(size).unwrap();
        let count = (SPAN_BYTES / geometry.chunk_size()) as u32;
        assert!(count > 1);
        let jobs = [job(0, 1), job(1, SPAN_BYTES + 1), job(2, size), job(3, 1), job(4, 1)];
        let mut order = Order::new(jobs.to_vec());
        assert_eq!(order.next(), Next::Small(vec![jobs[0].clone()]));
        assert_eq!(order.next(), Next::Begin(jobs[1].clone()));
        assert_eq!(order.next(), Next::Wait, "two are not opened at a time");
        order.begun(None);
        assert_eq!(order.next(), Next::Begin(jobs[2].clone()));
        assert_eq!(order.next(), Next::Small(jobs[3..].to_vec()), "there is something to do meanwhile");
        assert_eq!(order.next(), Next::Wait, "there will be spans");
        order.begun(Some(('f', geometry)));
        assert_eq!(order.next(), Next::Span('f', 0..count));
        assert_eq!(order.next(), Next::Span('f', count..2 * count));
        assert_eq!(order.next(), Next::Span('f', 2 * count..geometry.chunks()));
        assert_eq!(order.next(), Next::Done);
    }

    #[test]
    fn a_span_is_one_chunk_at_least() {
        let size = Geometry::MAX_SIZE;
        let geometry = Geometry::of(size).unwrap();
        assert!(geometry.chunk_size() > SPAN_BYTES);
        let mut order = Order::new(vec![job(0, size)]);
        assert_eq!(order.next(), Next::Begin(job(0, size)));
        order.begun(Some(((), geometry)));
        assert_eq!([order.next(), order.next()], [Next::Span((), 0..1), Next::Span((), 1..2)]);
    }
}
