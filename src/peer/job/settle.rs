//! Settles what is to be fetched: the size that the content has, of those that are claimed of its id.

use std::time::{Duration, Instant};

use super::contest::{Contest, Heard};
use super::error::FetchError;
use super::handle::Course;
use super::here::size_here;
use super::means::Means;
use super::want::Want;
use crate::swarm::claims::Claims;
use crate::swarm::patience::Patience;
use crate::swarm::round::{FIRST_RELOCATE, Round};
use crate::wire::Variant;
use crate::wire::limits::MAX_VARIANTS;

/// How long to wait for an answer before it is looked whether the job was cancelled.
const LOOK: Duration = Duration::from_millis(50);

/// The size of the content, if the shared folder has it. Else asks the trackers until it is agreed on: the only one
/// that is claimed, or the one that is proved. With it, what the trackers said of it.
pub(super) fn settle(
    means: &Means,
    job: &Course,
    contest: &mut Contest,
    patience: &Patience,
) -> Result<(u64, Vec<Variant>), FetchError> {
    let here = || size_here(means.share()?, &job.want);
    if let Some(size) = here().filter(|_| contest.claims().len() == 0) {
        return Ok((size, Vec::new()));
    }
    let deadline = patience.deadline().map(|at| at.max(Instant::now() + FIRST_RELOCATE));
    let mut locating = Round::locating(job.refresh(means.limits.refresh), Instant::now());
    let mut answers = None;
    let (mut answered, mut variants) = (false, Vec::new());
    loop {
        contest.turn(Instant::now());
        if let Some(size) = contest.claims().agreed() {
            variants.retain(|variant: &Variant| variant.size == size);
            return Ok((size, variants));
        }
        if job.is_cancelled() {
            return Err(FetchError::Interrupted);
        }
        if left(deadline).is_some_and(|left| left.is_zero()) {
            let refusal = means.trackers().refusal();
            return Err(unsettled(&job.want, answered, refusal, contest.claims()));
        }
        if answers.is_none() && locating.is_due(Instant::now()) {
            let question = job.want.question(Vec::new(), means.limits.max_neighbours);
            answers = Some(means.trackers().locate(&question));
        }
        let look = left(deadline).map_or(LOOK, |left| left.min(LOOK));
        match contest.wait(answers.as_ref(), look) {
            Heard::Located(located) => {
                answered = true;
                if located.variants.len() >= MAX_VARIANTS {
                    // There are more claims than an answer has room for: the next has others.
                    locating.relocate_soon(Instant::now());
                }
                let usable = job.want.usable(located);
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
fn unsettled(
    Want { id, name, size, .. }: &Want,
    answered: bool,
    refusal: Option<String>,
    claims: &Claims,
) -> FetchError {
    if !answered {
        return FetchError::NobodyReached(match refusal {
            Some(said) => format!("nobody said who has {name}: {said}"),
            None => format!("no tracker could be reached to ask for {name}"),
        });
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

/// How long until `deadline`, if there is one.
fn left(deadline: Option<Instant>) -> Option<Duration> {
    deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::handle::Job;
    use super::super::means::alone;
    use super::super::want::sought;
    use super::*;

    fn settled(wait: Option<Duration>, before: impl FnOnce(&Job)) -> (Result<u64, FetchError>, Duration) {
        let means = Arc::new(alone());
        let (want, dest) = sought("f", "d");
        let (course, _alive) = Course::new(1, want, dest);
        before(&Job(course.clone()));
        let patience = Patience::new(wait, Duration::ZERO, Instant::now());
        let begun = Instant::now();
        let mut contest = Contest::new(&means, course.want.id);
        let outcome = settle(&means, &course, &mut contest, &patience);
        (outcome.map(|(size, _)| size), begun.elapsed())
    }

    #[test]
    fn without_a_tracker_it_gives_up_once_one_could_have_answered() {
        let (outcome, took) = settled(Some(Duration::ZERO), |_| {});
        assert!(matches!(outcome, Err(FetchError::NobodyReached(why)) if why.starts_with("no tracker")));
        assert!(took >= FIRST_RELOCATE, "{took:?}");
        let (outcome, _) = settled(None, Job::cancel);
        assert!(matches!(outcome, Err(FetchError::Interrupted)));
    }

    #[test]
    fn why_nothing_was_settled_says_what_was_heard() {
        let (mut want, _) = sought("f", "d");
        let mut claims = Claims::default();
        let why =
            |want: &Want, answered, claims: &Claims| unsettled(want, answered, None, claims).to_string();
        assert_eq!(why(&want, false, &claims), "no tracker could be reached to ask for f");
        let refused = unsettled(&want, false, Some("the tracker at t says LIMIT: no".into()), &claims);
        assert_eq!(refused.to_string(), "nobody said who has f: the tracker at t says LIMIT: no");
        assert_eq!(why(&want, true, &claims), "no tracker knows f");
        want.size = Some(7);
        assert!(why(&want, true, &claims).starts_with("nobody who has f with the 7 bytes"));
        [5, 6].into_iter().for_each(|size| claims.hear(size));
        assert!(why(&want, true, &claims).starts_with("peers claim 2 different sizes of f"));
    }
}
