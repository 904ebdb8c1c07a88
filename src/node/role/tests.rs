//! What becomes of a role, event by event; and of any events in any order.

use super::*;

const SEC: Duration = Duration::from_secs(1);
const FAILED: Event = Event::Ended(End::Code(1));

struct Stage {
    role: Role,
    now: Instant,
}

impl Stage {
    fn new() -> Stage {
        let mut stage = Stage { role: Role::new(Patience::default(), 7), now: Instant::now() };
        assert_eq!(stage.event(Event::MayStart(true)), None);
        stage
    }

    /// One that is up.
    fn running() -> Stage {
        let mut stage = Stage::new();
        assert_eq!(stage.event(Event::Wanted(true)), Some(Effect::Start));
        assert_eq!(stage.event(Event::Ready), None);
        stage
    }

    fn event(&mut self, event: Event) -> Option<Effect> {
        self.role.step(event, self.now)
    }

    fn after(&mut self, time: Duration) -> Option<Effect> {
        self.now += time;
        self.event(Event::Tick)
    }

    /// Lets it end and waits for its next start: how long that took.
    fn fails(&mut self) -> Duration {
        match self.event(FAILED) {
            Some(effect) => {
                assert_eq!(effect, Effect::Start);
                Duration::ZERO
            }
            None => {
                let State::Pausing { until } = self.role.state() else { panic!("{:?}", self.role) };
                let pause = until - self.now;
                assert_eq!(self.after(pause - Duration::from_nanos(1)), None);
                assert_eq!(self.after(Duration::from_nanos(1)), Some(Effect::Start));
                pause
            }
        }
    }
}

#[test]
fn who_ends_again_and_again_is_started_at_once_and_then_ever_later_and_is_never_given_up() {
    let mut stage = Stage::running();
    let pauses: Vec<Duration> = (0..40).map(|_| stage.fails()).collect();
    assert_eq!(pauses[0], Duration::ZERO);
    let usual = [1, 2, 4, 8, 16, 32].into_iter().chain(std::iter::repeat(60));
    for (pause, usual) in pauses[1..].iter().zip(usual) {
        let times = pause.as_secs_f64() / f64::from(usual);
        assert!((0.8..=1.2).contains(&times), "{pause:?} for {usual} s");
    }
    assert!(pauses[9..].windows(2).any(|two| two[0] != two[1]), "there is jitter");
}

#[test]
fn who_lasted_a_minute_is_as_good_as_new() {
    let mut stage = Stage::running();
    (0..5).for_each(|_| _ = stage.fails());
    assert_eq!(stage.event(Event::Ready), None);
    stage.now += SOUND - SEC;
    assert!(stage.fails() > 10 * SEC, "it did not last");
    assert_eq!(stage.event(Event::Ready), None);
    stage.now += SOUND;
    assert_eq!(stage.fails(), Duration::ZERO);
}

#[test]
fn five_ends_in_a_minute_are_a_loop_which_changes_nothing_else() {
    let mut stage = Stage::running();
    for _ in 0..LOOP - 1 {
        stage.fails();
    }
    assert!(!stage.role.is_looping(stage.now));
    stage.fails();
    assert!(stage.role.is_looping(stage.now) && stage.role.is_wanted());
    assert!(!stage.role.is_looping(stage.now + SOUND));
}

#[test]
fn bad_usage_waits_for_a_person() {
    let mut stage = Stage::running();
    assert_eq!(stage.event(Event::Ended(End::Code(2))), None);
    assert_eq!((stage.role.state(), stage.role.deadline()), (State::Broken, None));
    assert_eq!(stage.after(3600 * SEC), None);
    assert_eq!(stage.event(Event::Restart), Some(Effect::Start));
    assert_eq!(stage.event(Event::Ended(End::Code(2))), None);
    assert_eq!(stage.event(Event::Wanted(true)), Some(Effect::Start), "a person asks for it");
    assert_eq!(stage.event(Event::Ended(End::Code(2))), None);
    assert_eq!((stage.event(Event::Wanted(false)), stage.role.state()), (None, State::Stopped));
}

#[test]
fn a_clean_end_that_nobody_asked_for_is_an_end_too() {
    let mut stage = Stage::running();
    assert_eq!(stage.event(Event::Ended(End::Code(0))), Some(Effect::Start));
    assert_eq!(stage.event(Event::Ended(End::Signal(2))), None, "bad usage is a code, not a signal");
    assert!(matches!(stage.role.state(), State::Pausing { .. }));
}

#[test]
fn who_gives_no_sign_of_life_is_aborted_then_killed_then_started_again() {
    let mut stage = Stage::running();
    assert_eq!(stage.after(29 * SEC), None);
    assert_eq!(stage.event(Event::Alive), None);
    assert_eq!(stage.after(29 * SEC), None);
    assert_eq!(stage.after(SEC), Some(Effect::Abort));
    assert_eq!(stage.after(ABORT_PATIENCE - SEC), None);
    assert_eq!(stage.event(Event::Alive), None, "it is too late");
    assert_eq!(stage.after(SEC), Some(Effect::Kill));
    assert_eq!((stage.after(60 * SEC), stage.role.deadline()), (None, None), "it is the kernel's now");
    assert_eq!(stage.event(Event::Ended(End::Signal(9))), Some(Effect::Start), "the first end of the kind");
}

#[test]
fn who_does_not_get_ready_is_ended_but_may_say_that_it_needs_longer() {
    let mut stage = Stage::new();
    assert_eq!(stage.event(Event::Wanted(true)), Some(Effect::Start));
    assert_eq!(stage.after(59 * SEC), None);
    assert_eq!(stage.event(Event::Extend(5 * SEC)), None);
    assert_eq!(stage.after(4 * SEC), None);
    assert_eq!(stage.event(Event::Extend(Duration::ZERO)), None, "never less");
    assert_eq!(stage.after(SEC), Some(Effect::Terminate));
    assert_eq!(stage.event(Event::Ready), None, "it is too late");
    assert_eq!(stage.after(10 * SEC), Some(Effect::Kill));
    assert_eq!(stage.event(Event::Ended(End::Signal(9))), Some(Effect::Start));
    assert!(stage.fails() > Duration::ZERO, "the first was an end too");
    assert_eq!(stage.event(Event::Extend(Duration::MAX)), None);
    assert_eq!(stage.role.deadline(), Some(stage.now + MOST_EXTENSION));
}

#[test]
fn who_is_not_wanted_is_asked_to_end_and_killed_if_it_does_not() {
    let mut stage = Stage::running();
    assert_eq!(stage.event(Event::Wanted(false)), Some(Effect::Terminate));
    assert_eq!(stage.event(Event::Wanted(false)), None);
    assert_eq!(stage.after(10 * SEC), Some(Effect::Kill));
    assert_eq!(stage.event(Event::Ended(End::Signal(9))), None);
    assert_eq!(stage.role.state(), State::Stopped);
    assert_eq!(stage.after(3600 * SEC), None);
}

#[test]
fn who_is_wanted_again_while_it_ends_is_started_when_it_has_ended() {
    let mut stage = Stage::running();
    assert_eq!(stage.event(Event::Wanted(false)), Some(Effect::Terminate));
    assert_eq!(stage.event(Event::Wanted(true)), None);
    assert_eq!(stage.event(Event::Ended(End::Code(0))), Some(Effect::Start));
    assert!(!stage.role.is_looping(stage.now) && stage.role.ends.is_empty(), "it was asked to");
}

#[test]
fn a_restart_is_a_stop_and_a_start_and_forgets_what_was() {
    let mut stage = Stage::running();
    (0..6).for_each(|_| _ = stage.fails());
    assert_eq!(stage.event(FAILED), None);
    assert_eq!(stage.event(Event::Restart), Some(Effect::Start), "without the pause");
    assert_eq!(stage.event(Event::Restart), Some(Effect::Terminate));
    assert_eq!(stage.event(Event::Restart), None);
    assert_eq!(stage.event(Event::Ended(End::Code(2))), Some(Effect::Start), "it was asked to");
    assert_eq!(stage.fails(), Duration::ZERO);
    let mut stopped = Stage::new();
    assert_eq!(stopped.event(Event::Restart), None, "what is stopped stays so");
}

#[test]
fn who_starts_after_another_waits_for_it_the_first_time_and_each_time() {
    let mut role = Role::new(Patience::default(), 1);
    let now = Instant::now();
    assert_eq!(role.step(Event::Wanted(true), now), None);
    assert_eq!((role.state(), role.is_settled()), (State::Waiting, false));
    assert_eq!(role.step(Event::MayStart(false), now), None);
    assert_eq!(role.step(Event::MayStart(true), now), Some(Effect::Start));
    assert!(!role.is_settled());
    assert_eq!(role.step(Event::MayStart(false), now), None, "it is never a reason to stop");
    assert_eq!(role.step(Event::Ready, now), None);
    assert!(role.is_settled());
    assert_eq!(role.step(FAILED, now), None);
    assert_eq!((role.state(), role.is_settled()), (State::Waiting, false));
}

#[test]
fn whatever_happens_a_role_has_one_process_and_ends_as_it_is_wanted() {
    for seed in 0..2000 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut stage = Stage { role: Role::new(Patience::default(), seed), now: Instant::now() };
        let mut process = false;
        let mut last_end: Option<(Instant, u32)> = None;
        for _ in 0..200 {
            stage.now += Duration::from_millis(rng.u64(..20_000));
            let event = match rng.u8(..10) {
                0 => Event::Wanted(rng.bool()),
                1 => Event::MayStart(rng.u8(..4) > 0),
                2 => Event::Restart,
                3 if process => Event::Ended(End::Code(rng.i32(..4))),
                4 => Event::Ready,
                5 => Event::Extend(Duration::from_secs(rng.u64(..90))),
                6 => Event::Alive,
                _ => Event::Tick,
            };
            let tries = stage.role.tries;
            let effect = stage.event(event);
            if matches!(event, Event::Ended(_)) {
                process = false;
                last_end = Some((stage.now, tries));
            }
            match effect {
                Some(Effect::Start) => {
                    assert!(!process, "seed {seed}: one at a time");
                    assert!(stage.role.is_wanted(), "seed {seed}: what is stopped is not started");
                    if let (Some((end, tries @ 1..)), Event::Tick) = (last_end, event) {
                        let least = SEC.saturating_mul(1 << (tries - 1).min(6)).min(60 * SEC).mul_f64(0.8);
                        assert!(stage.now - end >= least || tries == 0, "seed {seed}: the pause is kept");
                    }
                    process = true;
                }
                Some(_) => assert!(process, "seed {seed}: nobody else is hit"),
                None => {}
            }
            let has_one = matches!(
                stage.role.state(),
                State::Starting { .. } | State::Running { .. } | State::Stopping { .. }
            );
            assert_eq!(has_one, process, "seed {seed} {:?}", stage.role);
        }
        settles(&mut stage, &mut process, seed);
    }
}

/// Faults end: what is wanted and sound runs within the longest pause.
fn settles(stage: &mut Stage, process: &mut bool, seed: u64) {
    let broken = stage.role.state() == State::Broken;
    let (wanted, since) = (stage.role.is_wanted(), stage.now);
    let mut effect = stage.event(Event::MayStart(true));
    for _ in 0..100 {
        if effect.take() == Some(Effect::Start) {
            *process = true;
        }
        if matches!(stage.role.state(), State::Stopping { kill: None, .. }) {
            *process = false; // nobody survives that
            effect = stage.event(Event::Ended(End::Signal(9)));
            continue;
        }
        if *process && matches!(stage.role.state(), State::Starting { .. }) {
            assert_eq!(stage.event(Event::Ready), None);
        }
        if matches!(stage.role.state(), State::Running { .. }) && wanted {
            let took = stage.now - since;
            assert!(took <= 60 * SEC.mul_f64(1.2) + 10 * SEC, "seed {seed}: {took:?}");
            return;
        }
        let Some(deadline) = stage.role.deadline() else { break };
        stage.now = stage.now.max(deadline);
        effect = stage.event(Event::Tick);
    }
    let state = stage.role.state();
    assert!(if wanted { broken } else { state == State::Stopped }, "seed {seed}: {state:?}");
}
