//! What a connection asks its source for: orders become requests, neighbouring chunks runs. Pure.

use std::collections::BTreeMap;

use super::link::Order;
use crate::content::{Chunk, Run, runs};
use crate::wire::ANY_CHUNK;
use crate::wire::limits::MAX_RUN;

/// The request by which the content is opened; the one before it asks for the load.
pub(super) const OPEN: u32 = 2;
/// The one content that the connection is for; of several, each has its own, from this on.
pub(super) const SLOT: u16 = 0;

/// What is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Send {
    /// Ask for so many chunks from `first` on, or so many of the source's choice, each a request of its own.
    Ask { request: u32, first: Chunk, count: u16, proof: bool },
    /// Cancel this request.
    Cancel(u32),
    /// Ask for the load.
    Load(u32),
    /// Tell of these runs of chunks.
    Tell(Vec<Run>),
    /// Say that the connection ends. Nothing comes after it.
    Leave(u32),
}

/// The requests of one connection that are not answered.
#[derive(Debug)]
pub(super) struct Requests {
    next: u32,
    /// Chunks asked for, by request; none for "whichever".
    open: BTreeMap<u32, Option<Chunk>>,
}

impl Requests {
    /// Those that follow so many by which contents were opened.
    pub(super) fn behind(opened: u32) -> Requests {
        Requests { next: OPEN + opened, open: BTreeMap::new() }
    }

    /// True if nothing is owed.
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// A number for a message that asks for no chunk.
    pub(super) fn number(&mut self) -> u32 {
        let number = self.next;
        self.next = number.checked_add(1).unwrap_or(OPEN + 1);
        number
    }

    /// A request is answered: the chunk that it asked for, or that it left the choice. None if there is no such
    /// request.
    pub(super) fn answered(&mut self, request: u32) -> Option<Option<Chunk>> {
        self.open.remove(&request)
    }

    /// Carries out orders, in order; only what is told comes last, for it is news and no request.
    pub(super) fn obey(&mut self, orders: &[Order], needs_proof: impl Fn(Chunk) -> bool) -> Vec<Send> {
        let (mut out, mut news, mut load) = (Vec::new(), Vec::new(), false);
        let mut runs = Vec::new();
        for order in orders {
            match *order {
                Order::Ask(chunk) => join_runs(&mut runs, chunk, needs_proof(chunk)),
                Order::AskAny => match runs.last_mut() {
                    Some((ANY_CHUNK, count, _)) if *count < MAX_RUN => *count += 1,
                    _ => runs.push((ANY_CHUNK, 1, true)),
                },
                Order::Cancel(chunk) => {
                    // What is cancelled may have been asked for just before.
                    self.ask(&mut runs, &mut out);
                    out.extend(self.request_for(chunk).map(Send::Cancel));
                }
                Order::AskLoad => load = true,
                Order::Tell(chunk) => news.push(chunk),
                Order::Close => {
                    out.push(Send::Leave(self.next));
                    return out;
                }
            }
        }
        self.ask(&mut runs, &mut out);
        if load {
            // Behind the chunks: the answer tells how many others are served before them.
            out.push(Send::Load(self.number()));
        }
        if !news.is_empty() {
            news.sort_unstable();
            out.push(Send::Tell(runs::of(news)));
        }
        out
    }

    fn ask(&mut self, runs: &mut Vec<(Chunk, u16, bool)>, out: &mut Vec<Send>) {
        for (first, count, proof) in runs.drain(..) {
            if self.next.checked_add(u32::from(count)).is_none() {
                self.next = OPEN + 1;
            }
            let request = self.next;
            for at in 0..u32::from(count) {
                let chunk = (first != ANY_CHUNK).then(|| first.plus(at));
                self.open.insert(request + at, chunk);
            }
            self.next += u32::from(count);
            out.push(Send::Ask { request, first, count, proof });
        }
    }

    /// The request that asked for `chunk` last: an earlier one was cancelled before.
    fn request_for(&self, chunk: Chunk) -> Option<u32> {
        self.open.iter().rev().find(|(_, asked)| **asked == Some(chunk)).map(|(request, _)| *request)
    }
}

/// Adds `chunk` to the last run if it continues it and is asked for in the same way.
fn join_runs(runs: &mut Vec<(Chunk, u16, bool)>, chunk: Chunk, proof: bool) {
    match runs.last_mut() {
        Some((first, count, proofs))
            if *first != ANY_CHUNK
                && first.plus(u32::from(*count)) == chunk
                && *proofs == proof
                && *count < MAX_RUN =>
        {
            *count += 1;
        }
        _ => runs.push((chunk, 1, proof)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(request: u32, first: u32, count: u16, proof: bool) -> Send {
        Send::Ask { request, first: Chunk(first), count, proof }
    }

    #[test]
    fn neighbouring_chunks_make_runs_of_one_kind() {
        let mut requests = Requests::behind(1);
        let orders = [4, 5, 6, 9, 8].map(|chunk| Order::Ask(Chunk(chunk)));
        let sent = requests.obey(&orders, |chunk| chunk >= Chunk(6));
        assert_eq!(sent, [ask(3, 4, 2, false), ask(5, 6, 1, true), ask(6, 9, 1, true), ask(7, 8, 1, true)]);
        assert_eq!((requests.answered(4), requests.answered(4)), (Some(Some(Chunk(5))), None));
        let sent = requests.obey(&[Order::AskAny, Order::AskAny, Order::Ask(Chunk(1))], |_| false);
        assert_eq!(sent, [ask(8, ANY_CHUNK.0, 2, true), ask(10, 1, 1, false)]);
        assert_eq!(requests.answered(9), Some(None), "whichever");
    }

    #[test]
    fn runs_end_where_the_protocol_says_so() {
        let mut requests = Requests::behind(1);
        let many = u32::from(MAX_RUN) + 1;
        let orders: Vec<Order> = (0..many).map(Chunk).map(Order::Ask).collect();
        assert_eq!(
            requests.obey(&orders, |_| false),
            [ask(3, 0, MAX_RUN, false), ask(3 + u32::from(MAX_RUN), u32::from(MAX_RUN), 1, false),]
        );
        let orders = vec![Order::AskAny; many as usize];
        let counts: Vec<u16> = requests
            .obey(&orders, |_| false)
            .iter()
            .map(|sent| if let Send::Ask { count, .. } = sent { *count } else { 0 })
            .collect();
        assert_eq!(counts, [MAX_RUN, 1]);
    }

    #[test]
    fn a_cancel_follows_what_it_cancels_even_if_both_were_ordered_at_once() {
        let mut requests = Requests::behind(1);
        let orders = [
            Order::Ask(Chunk(1)),
            Order::Ask(Chunk(2)),
            Order::Cancel(Chunk(2)),
            Order::Ask(Chunk(3)),
            Order::Cancel(Chunk(7)),
        ];
        let sent = requests.obey(&orders, |_| false);
        assert_eq!(sent, [ask(3, 1, 2, false), Send::Cancel(4), ask(5, 3, 1, false)]);
        // Asked for again before the first answer came: the newer request is the one that stands.
        assert_eq!(requests.obey(&[Order::Ask(Chunk(2))], |_| false), [ask(6, 2, 1, false)]);
        assert_eq!(requests.obey(&[Order::Cancel(Chunk(2))], |_| false), [Send::Cancel(6)]);
    }

    #[test]
    fn what_is_told_and_the_load_come_behind_the_chunks_and_nothing_behind_the_end() {
        let mut requests = Requests::behind(1);
        let orders = [Order::Tell(Chunk(5)), Order::AskLoad, Order::Ask(Chunk(1)), Order::Tell(Chunk(4))];
        let sent = requests.obey(&orders, |_| false);
        assert_eq!(sent, [ask(3, 1, 1, false), Send::Load(4), Send::Tell(vec![Run::new(Chunk(4), 2)])]);
        assert_eq!(requests.number(), 5, "not that of the next chunk, too");
        assert!(!requests.is_empty());
        let orders = [Order::Ask(Chunk(2)), Order::Close, Order::Ask(Chunk(3))];
        assert_eq!(requests.obey(&orders, |_| false), [Send::Leave(6)]);
    }

    #[test]
    fn numbers_of_requests_begin_anew_before_they_run_out() {
        let mut requests = Requests { next: u32::MAX - 1, open: BTreeMap::new() };
        assert_eq!(requests.obey(&[Order::Ask(Chunk(1))], |_| false), [ask(u32::MAX - 1, 1, 1, false)]);
        assert_eq!(requests.obey(&[Order::AskLoad], |_| false), [Send::Load(u32::MAX)]);
        requests.next = u32::MAX;
        assert_eq!(requests.obey(&[Order::Ask(Chunk(1))], |_| false), [ask(OPEN + 1, 1, 1, false)]);
    }
}
