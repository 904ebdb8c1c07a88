//! Asking several trackers at once, and those that are one with them in their place; and for how long.

use std::collections::HashMap;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};

use super::{known, swarm};
use crate::cli::typed::values::Patience;
use crate::net::NetError;
use crate::say;
use crate::threads;

/// What a tracker that is there may take to answer, however little patience there is.
const MOMENT: Duration = Duration::from_secs(2);
/// How long others that were asked are waited for once one has what is sought.
const GRACE: Duration = Duration::from_millis(100);
/// How often an absent tracker is tried again.
const RETRY: Duration = Duration::from_millis(500);
/// A tracker of a cluster that has said nothing for so long has the next one asked beside it.
const STAGGER: Duration = Duration::from_millis(50);

/// A wait for somebody who is not there yet: says so once, and how long it lasts.
#[derive(Debug)]
pub(crate) struct Wait {
    patience: Patience,
    start: Instant,
    told: bool,
}

impl Wait {
    pub(crate) fn new(patience: Patience) -> Wait {
        Wait { patience, start: Instant::now(), told: false }
    }

    /// Until when an answer is waited for: somebody who is there has a moment even when there is no patience.
    fn until(&self) -> Option<Instant> {
        let most = self.patience.limit()?.saturating_sub(self.start.elapsed()).max(MOMENT);
        Instant::now().checked_add(most)
    }

    /// True once it has lasted as long as it may.
    pub(crate) fn is_over(&self) -> bool {
        self.patience.is_over(self.start.elapsed())
    }

    /// Waits until it is time to try again; false once patience is over.
    pub(crate) fn again(&mut self, why: &str) -> bool {
        let waited = self.start.elapsed();
        if self.patience.is_over(waited) {
            return false;
        }
        if !self.told {
            say::note(&format!("{why}; waiting, --wait is {}", self.patience));
            self.told = true;
        }
        thread::sleep(match self.patience {
            Patience::For(most) => RETRY.min(most - waited),
            Patience::Forever => RETRY,
        });
        true
    }
}

/// Asks all trackers at once, so that one that hangs holds up nobody: their answers, or why there is none, as they
/// come, then those that said nothing while there was patience.
pub(crate) fn ask_each<T: Send + 'static, F: Fn(&str) -> Result<T, String> + Clone + Send + 'static>(
    trackers: &[String],
    wait: &Wait,
    ask: F,
) -> Answers<T> {
    ask_in_turn(trackers.iter().map(|tracker| vec![tracker.clone()]).collect(), wait, |_| true, ask)
}

/// The same; where a tracker cannot be asked, or has said nothing for a moment, those are asked in turn that are one
/// with it, as it said earlier; also where its answer does not suffice, which counts then if nobody has a better one. Those
/// in `tried` come last.
pub(crate) fn ask_or_others<T: Send + 'static, F: Fn(&str) -> Result<T, String> + Clone + Send + 'static>(
    trackers: &[String],
    tried: &[String],
    wait: &Wait,
    suffices: fn(&T) -> bool,
    ask: F,
) -> Answers<T> {
    let mut clusters = known::clusters(trackers, &swarm::keyring().unwrap_or_default());
    for cluster in &mut clusters {
        cluster.sort_by_key(|address| tried.contains(address)); // stable: else as they were
    }
    ask_in_turn(clusters, wait, suffices, ask)
}

/// Asks the first of each cluster now, the others in turn while none of theirs has answered so that it suffices.
fn ask_in_turn<T: Send + 'static, F: Fn(&str) -> Result<T, String> + Clone + Send + 'static>(
    clusters: Vec<Vec<String>>,
    wait: &Wait,
    suffices: fn(&T) -> bool,
    ask: F,
) -> Answers<T> {
    let (tell, told) = unbounded();
    let mut answers = Answers {
        told,
        silent: Vec::new(),
        cluster_of: HashMap::new(),
        open: Vec::new(),
        until: wait.until(),
        suffices,
        spare: Vec::new(),
    };
    for (number, cluster) in clusters.into_iter().enumerate() {
        let (open, answered) = bounded::<()>(0);
        answers.open.push(Some(open));
        answers.silent.extend(cluster.first().cloned());
        for (place, address) in cluster.into_iter().enumerate() {
            answers.cluster_of.insert(address.clone(), number);
            let (ask, tell, answered) = (ask.clone(), tell.clone(), answered.clone());
            let asking = move || {
                // The first is asked in any case, however late its thread begins.
                let turn = STAGGER * place as u32;
                if place > 0 && answered.recv_timeout(turn) == Err(RecvTimeoutError::Disconnected) {
                    return;
                }
                let answer = ask(&address);
                let _ = tell.send((address, answer)); // nobody may want to know any more
            };
            if let Err(error) = threads::named("ask").connection(asking) {
                tracing::warn!("no thread to ask a tracker: {error}");
            }
        }
    }
    answers
}

/// The answers of trackers that are asked at once.
pub(crate) struct Answers<T> {
    told: Receiver<(String, Result<T, String>)>,
    /// Those that were asked first and have not answered.
    silent: Vec<String>,
    /// Which of the clusters a tracker is of.
    cluster_of: HashMap<String, usize>,
    /// Of a cluster of which nobody has answered well: while this is there, others of it are asked.
    open: Vec<Option<Sender<()>>>,
    until: Option<Instant>,
    /// False of an answer that others of the cluster may have better.
    suffices: fn(&T) -> bool,
    /// Such answers, of clusters that have given no better one.
    spare: Vec<(String, T)>,
}

impl<T> Answers<T> {
    /// There is what was sought: the others have [`GRACE`] from now on, and nobody else is asked.
    pub(crate) fn hurry(&mut self) {
        self.open.clear();
        let soon = Instant::now() + GRACE;
        self.until = Some(self.until.map_or(soon, |until| until.min(soon)));
    }

    /// A tracker has said what suffices: nobody else of its cluster needs to be asked.
    fn heard(&mut self, address: &str) {
        let cluster_of = &self.cluster_of;
        let cluster = cluster_of.get(address);
        self.spare.retain(|(other, _)| cluster_of.get(other) != cluster);
        if let Some(open) = cluster.and_then(|cluster| self.open.get_mut(*cluster)) {
            *open = None;
        }
        if self.open.iter().all(Option::is_none) {
            self.hurry();
        }
    }
}

impl<T> Iterator for Answers<T> {
    type Item = (String, Result<T, String>);

    fn next(&mut self) -> Option<(String, Result<T, String>)> {
        loop {
            let answer = match self.until {
                Some(until) => self.told.recv_deadline(until).ok(),
                None => self.told.recv().ok(),
            };
            let Some((address, answer)) = answer else { break };
            self.silent.retain(|other| *other != address);
            match answer {
                Ok(answer) if !(self.suffices)(&answer) => self.spare.push((address, answer)),
                Ok(answer) => {
                    self.heard(&address);
                    return Some((address, Ok(answer)));
                }
                Err(why) => return Some((address, Err(why))),
            }
        }
        let spare = self.spare.pop().map(|(address, answer)| (address, Ok(answer)));
        let silent = || self.silent.pop().map(|address| (address, Err(NetError::TimedOut.to_string())));
        spare.or_else(silent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clusters(all: &[&[&str]]) -> Vec<Vec<String>> {
        all.iter().map(|cluster| cluster.iter().map(|address| (*address).to_owned()).collect()).collect()
    }

    /// Answers for trackers called `hangs…`, `is…`, and others, which are not.
    fn asked(all: &[&[&str]], patience: Patience) -> (Sender<()>, Answers<()>) {
        let (hold, held) = bounded::<()>(0);
        let ask = move |address: &str| match address {
            hangs if hangs.starts_with("hangs") => held.recv().map_err(|error| error.to_string()),
            is if is.starts_with("is ") => Ok(()),
            _ => Err("refused".to_owned()),
        };
        (hold, ask_in_turn(clusters(all), &Wait::new(patience), |_| true, ask))
    }

    fn silent(address: &str) -> (String, Result<(), String>) {
        (address.to_owned(), Err(NetError::TimedOut.to_string()))
    }

    #[test]
    fn a_tracker_that_hangs_holds_up_nobody_and_is_named_last() {
        let (_hold, answers) = asked(&[&["hangs"], &["is A"], &["dead"]], Patience::For(Duration::ZERO));
        let mut answers: Vec<_> = answers.collect();
        assert_eq!(answers.pop(), Some(silent("hangs")));
        answers.sort_unstable();
        assert_eq!(answers, [("dead".to_owned(), Err("refused".to_owned())), ("is A".to_owned(), Ok(()))]);
    }

    #[test]
    fn once_one_has_it_the_others_have_but_a_moment() {
        let began = Instant::now();
        let (_hold, mut answers) = asked(&[&["hangs"], &["is A"]], Patience::Forever);
        assert_eq!(answers.next(), Some(("is A".to_owned(), Ok(()))));
        answers.hurry();
        assert_eq!(answers.next(), Some(silent("hangs")));
        assert_eq!(answers.next(), None);
        assert!(began.elapsed() >= GRACE && began.elapsed() < MOMENT, "{:?}", began.elapsed());
    }

    #[test]
    fn in_place_of_one_that_hangs_or_is_dead_those_are_asked_that_are_one_with_it() {
        let began = Instant::now();
        let (_hold, answers) = asked(&[&["hangs", "dead", "hangs too", "is A", "is B"]], Patience::Forever);
        let heard: Vec<_> = answers.filter(|(_, answer)| answer.is_ok()).collect();
        // On a machine with much to do the next one may be heard before it.
        assert!(heard.contains(&("is A".to_owned(), Ok(()))), "{heard:?}");
        assert!(began.elapsed() >= STAGGER * 3, "one after the other");
    }

    #[test]
    fn where_one_answers_nobody_is_asked_in_its_place() {
        let (_hold, answers) = asked(&[&["is A", "hangs"], &["is B", "hangs too"]], Patience::Forever);
        let mut heard: Vec<_> = answers.collect();
        heard.sort_unstable();
        assert_eq!(heard, [("is A".to_owned(), Ok(())), ("is B".to_owned(), Ok(()))]);
    }

    #[test]
    fn what_does_not_suffice_counts_only_where_nobody_of_the_cluster_has_better() {
        let asked = |all: &[&[&str]]| {
            let ask = |address: &str| match address {
                "dead" => Err("refused".to_owned()),
                _ => Ok(address.to_owned()),
            };
            let good = |answer: &String| answer.starts_with("old");
            let all = ask_in_turn(clusters(all), &Wait::new(Patience::Forever), good, ask);
            all.filter_map(|(_, answer)| answer.ok()).collect::<Vec<_>>()
        };
        assert_eq!(asked(&[&["young", "dead", "old"]]), ["old"]);
        assert_eq!(asked(&[&["young", "dead"]]), ["young"]);
        let mut two = asked(&[&["young A"], &["young B", "old B"]]);
        two.sort_unstable();
        assert_eq!(two, ["old B", "young A"]);
    }

    #[test]
    fn there_is_a_moment_even_without_patience_and_no_end_to_endless_patience() {
        let left = |patience| Wait::new(patience).until().map(|until| until - Instant::now());
        let within = |left: Option<Duration>, most: Duration| left.is_some_and(|left| left <= most);
        assert!(within(left(Patience::For(Duration::ZERO)), MOMENT));
        assert!(left(Patience::For(Duration::from_secs(600))) > Some(Duration::from_secs(500)));
        assert_eq!(left(Patience::Forever), None);
    }

    #[test]
    fn patience_ends() {
        assert!(!Wait::new(Patience::For(Duration::ZERO)).again("why"));
        let mut wait = Wait::new(Patience::For(Duration::from_millis(1)));
        let mut tries = 0;
        while wait.again("a test waits for nobody") {
            tries += 1;
        }
        assert!((0..=2).contains(&tries) && wait.is_over(), "{tries}");
    }
}
