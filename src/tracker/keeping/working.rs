//! Goes over contents, a step at a time, so that nobody waits long for the planner: what somebody waits for, then what has
//! changed, then what is most endangered.

use std::ops::Bound;
use std::time::Instant;

use super::agenda::{Place, Turn, Walk};
use super::state::Keeping;
use super::steps::{self, Step};
use super::store::Presence;
use crate::tracker::records::Content;
use crate::wire::ClientId;

/// Contents that may wait to be planned before others are looked for.
const MOST_DUE: usize = 100_000;

impl Keeping {
    /// Goes on with what is to be gone over, for one bounded step; true if there is more. How much has been done is
    /// bounded by [`steps::MOST`] and what one content takes.
    pub fn work(&mut self, now: Instant) -> bool {
        self.step(now);
        self.has_work(now)
    }

    /// The same; how much was done.
    pub(super) fn step(&mut self, now: Instant) -> usize {
        let mut step = Step::default();
        while !step.is_over() && self.goes_on(&mut step, now) {}
        step.work()
    }

    /// True if there is something to be gone over now.
    pub fn has_work(&self, now: Instant) -> bool {
        !self.agenda.is_empty() || self.outlived(now).is_some()
    }

    fn goes_on(&mut self, step: &mut Step, now: Instant) -> bool {
        let urgent = matches!(self.agenda.due.first(), Some((Turn::Urgent, _)));
        let walks = !self.agenda.walks.is_empty() && self.agenda.due.len() < MOST_DUE;
        if urgent || (!walks && !self.agenda.due.is_empty()) {
            self.plan_next(step, now);
        } else if walks {
            self.walk_on(step, now);
        } else if let Some(content) = self.outlived(now) {
            step.does(steps::CONTENT);
            self.give_up(content, now);
        } else {
            return false;
        }
        true
    }

    /// A content is to be planned.
    pub(super) fn is_due(&mut self, content: Content) {
        // Both contents of a code are planned at once.
        let content = self.pair_of(content).map_or(content, |pair| pair.data);
        let Some(row) = self.rows.get(&content) else { return };
        let turn = if row.asked > 0 { Turn::Urgent } else { Turn::Copies(row.fewest) };
        self.agenda.due.insert((turn, content));
    }

    fn plan_next(&mut self, step: &mut Step, now: Instant) {
        let Some((_, content)) = self.agenda.due.first().copied() else { return };
        let begun = self.agenda.halfway.take().filter(|(halfway, _)| *halfway == content);
        let from = begun.map_or(Place::default(), |(_, place)| place);
        let place = self.plan(content, from, step, now);
        if place.is_over {
            self.agenda.due.pop_first();
            self.is_planned(content, place.is_short, now);
        } else {
            self.agenda.halfway = Some((content, place));
        }
    }

    /// Looks at the next content of the walk that is under way.
    fn walk_on(&mut self, step: &mut Step, now: Instant) {
        let Some((walk, after)) = self.agenda.walks.front().copied() else { return };
        step.does(steps::CONTENT);
        let behind = (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        let next = match walk {
            Walk::Uploads => {
                let last = after.map(|content| (content, (ClientId(u128::MAX), u64::MAX)));
                let behind = (last.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
                self.uploads_of.range(behind).next().map(|(content, _)| *content)
            }
            Walk::Reported(at) | Walk::Of(at) | Walk::Leaving(at) => {
                self.stores[at].holds.range(behind).next().copied()
            }
            Walk::All | Walk::Surplus | Walk::Balance => {
                self.rows.range(behind).next().map(|(content, _)| *content)
            }
        };
        let Some(content) = next else {
            self.agenda.walks.pop_front();
            return self.has_walked(walk, now);
        };
        self.agenda.walks[0].1 = Some(content);
        match walk {
            Walk::Uploads => self.look_at_upload(content, now),
            Walk::Reported(at) => self.forget_unnamed(content, at, now),
            Walk::Of(_) | Walk::All => self.look_for_missing(content, step),
            Walk::Leaving(at) => self.agenda.needed += u64::from(self.is_needed(content, at, step)),
            Walk::Surplus => self.look_for_surplus(content, step, now),
            Walk::Balance => self.pass_on_from_full(content, step, now),
        }
    }

    fn has_walked(&mut self, walk: Walk, now: Instant) {
        match walk {
            Walk::Reported(at) => {
                if let Presence::Here { reported, .. } = &mut self.stores[at].presence {
                    *reported = true;
                    let store = &mut self.stores[at];
                    store.has_reported(now);
                    self.wakes.extend(store.waiting);
                    self.has_surplus = true;
                    self.agenda.walk(Walk::Of(at), false);
                    self.agenda.walk(Walk::Uploads, true);
                }
            }
            Walk::Leaving(at) => {
                self.stores[at].needed_for = Some(std::mem::take(&mut self.agenda.needed));
            }
            Walk::Surplus => {
                // For so long again nothing is looked for: what was found takes its time.
                self.calm_since = self.calm_since.map(|_| now);
                self.wake_who_gives_up();
            }
            Walk::Uploads | Walk::Of(_) | Walk::All | Walk::Balance => {}
        }
    }
}
